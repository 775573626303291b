#!/bin/sh
# Makes a fresh Debian 12 ready to build and test rsinit; asks nothing, and does
# nothing where everything is there. Debian packages need root. Further lists of
# packages may be given as arguments.
set -eu
cd "$(dirname "$0")/.."

missing=
for package in $(cat test-vm/packages.txt "$@" | sed 's/#.*//'); do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' ||
        missing="$missing $package"
done
if [ -n "$missing" ]; then
    echo "setup: installing Debian packages:$missing"
    apt-get -qq update
    # shellcheck disable=SC2086
    DEBIAN_FRONTEND=noninteractive apt-get -qq -y install --no-install-recommends $missing
fi

if ! command -v rustup >/dev/null; then
    echo "setup: installing rustup by its own installer (Debian 12 has no package of it)"
    curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs |
        sh -s -- -y --no-modify-path --profile minimal --default-toolchain none
    PATH="$HOME/.cargo/bin:$PATH"
fi
version=$(sed -n 's/^channel = "\(.*\)"/\1/p' rust-toolchain.toml)
if ! rustup target list --installed --toolchain "$version" 2>/dev/null | grep -q musl; then
    echo "setup: installing Rust $version with the musl target"
    rustup toolchain install "$version" --profile minimal \
        --component rustfmt --component clippy --target x86_64-unknown-linux-musl
fi

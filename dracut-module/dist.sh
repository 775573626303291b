#!/bin/sh
# Packs the agent and its dracut module, as `make install` lays them out, into a
# tar.gz, a .deb and an .rpm: dist.sh BINARY OUTPUT-FOLDER. The same commit gives the
# same files but for rpm's own build time.
set -eu
binary=$(realpath "$1")
mkdir -p "$2"
output=$(realpath "$2")
cd "$(dirname "$0")/.."

version=$(sed -n '/^\[workspace.package\]/,/^$/s/^version = "\(.*\)"/\1/p' Cargo.toml)
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct 2>/dev/null || stat -c %Y Cargo.toml)
export SOURCE_DATE_EPOCH
summary="Boots a diskless compute node from a Warewulf server"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root
make -s install BINARY="$binary" DESTDIR="$root"
install -d "$root/usr/share/doc/rsinit/mkdisk-profiles"
install -m 644 README.md LICENSE-APACHE LICENSE-MIT "$root/usr/share/doc/rsinit/"
install -m 644 dracut-module/README.md "$root/usr/share/doc/rsinit/from-wwinit.md"
install -m 644 mkdisk-profiles/* "$root/usr/share/doc/rsinit/mkdisk-profiles/"
find "$root" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +

tar --create --gzip --file "$output/rsinit-$version-x86_64.tar.gz" --directory "$root" \
    --sort=name --owner=0 --group=0 --numeric-owner --format=gnu usr

# Beside dracut what its network and shutdown modules want, and a minimal image lacks.
mkdir "$root/DEBIAN"
cat >"$root/DEBIAN/control" <<CONTROL
Package: rsinit
Version: $version
Architecture: amd64
Maintainer: The rsinit project <rsinit@localhost>
Depends: dracut, dracut-network, dbus, iproute2, procps, systemd-sysv
Section: admin
Priority: optional
Description: $summary
 A dracut module and one static binary. In the image, build the initramfs with
 dracut --force --no-hostonly --add rsinit --kver RELEASE.
CONTROL
dpkg-deb --root-owner-group -Zgzip --build "$root" "$output/rsinit_${version}_amd64.deb" >/dev/null
rm -r "$root/DEBIAN"

cat >"$work/rsinit.spec" <<SPEC
Name: rsinit
Version: $version
Release: 1
Summary: $summary
License: Apache-2.0 OR MIT
BuildArch: x86_64
Requires: dracut, dracut-network
AutoReqProv: no
%global _build_id_links none
%global _buildhost localhost
%global _binary_payload w6.gzdio
%global __os_install_post %{nil}
%global clamp_mtime_to_source_date_epoch 1
%description
A dracut module and one static binary. In the image, build the initramfs with
dracut --force --no-hostonly --add rsinit --kver RELEASE.
%install
cp -a "$root/." "%{buildroot}/"
%files
%defattr(-,root,root)
/usr/sbin/rsinit
/usr/sbin/mkdisk
/usr/lib/dracut/modules.d/90rsinit
/usr/share/doc/rsinit
SPEC
rpmbuild -bb --quiet --target x86_64-linux --define "_topdir $work/rpm" "$work/rsinit.spec"
cp "$work"/rpm/RPMS/x86_64/*.rpm "$output/"
ls -l "$output"

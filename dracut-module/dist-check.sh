#!/bin/sh
# Whether the three packages of `make dist` hold the same files, and the binary that was
# built: dist-check.sh BINARY FOLDER. Fails with what differs.
set -eu
binary=$(realpath "$1")
folder=$(realpath "$2")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/tar" "$work/deb" "$work/rpm"
tar --extract --file "$folder"/rsinit-*.tar.gz --directory "$work/tar"
dpkg-deb --extract "$folder"/rsinit_*.deb "$work/deb"
(cd "$work/rpm" && rpm2cpio "$folder"/rsinit-*.rpm | cpio --quiet -idm)
for kind in deb rpm; do
    diff --recursive --no-dereference "$work/tar" "$work/$kind" ||
        { echo "dist: the $kind differs from the tar.gz"; exit 1; }
done
cmp "$binary" "$work/tar/usr/sbin/rsinit"
[ "$(readlink "$work/tar/usr/sbin/mkdisk")" = rsinit ]
for script in module-setup.sh rsinit-cmdline.sh rsinit-timeout.sh rsinit-boot.sh; do
    cmp "$(dirname "$0")/90rsinit/$script" "$work/tar/usr/lib/dracut/modules.d/90rsinit/$script"
done
"$work/tar/usr/sbin/rsinit" --version
"$work/rpm/usr/sbin/rsinit" help | grep -q 'rsinit boot'
dpkg-deb --field "$folder"/rsinit_*.deb Depends | grep -q dracut-network
rpm --query --package --requires "$folder"/rsinit-*.rpm | grep -q '^dracut-network'
echo "dist: three packages with the same files"

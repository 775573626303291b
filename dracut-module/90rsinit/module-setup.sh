#!/bin/bash
# The dracut module of rsinit: installs the binary, its hooks and the kernel
# modules it needs. It decides nothing; the binary does.
# Replaces wwinit, and a site's preboot and mkdisk modules.

# Only on request: `dracut --add rsinit`.
check() {
    require_binaries rsinit || return 1
    return 255
}

depends() {
    echo network
}

# Everything the node may need, whatever machine builds the initramfs. `-o`: a
# kernel that has one of these built in, or not at all, is fine.
installkernel() {
    hostonly='' dracut_instmods -o \
        md-mod raid0 raid1 ext4 crc32c_generic crc32c_intel \
        nfs nfsv3 nfsv4 \
        efivarfs \
        nvme ahci sd_mod virtio_pci virtio_blk virtio_scsi virtio_net \
        '=drivers/net/ethernet' '=drivers/net/mdio' '=drivers/net/phy'
}

install() {
    inst_multiple rsinit
    ln_r "$(command -v rsinit)" /usr/sbin/mkdisk
    inst_hook cmdline 30 "$moddir/rsinit-cmdline.sh"
    inst_hook initqueue/timeout 99 "$moddir/rsinit-timeout.sh"
    inst_hook pre-mount 30 "$moddir/rsinit-boot.sh"
}

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
    start_networkd
}

# dracut 059 and 060 leave it to the kernel's news of a network card to start
# systemd-networkd: of one whose driver is built in, as Ubuntu's virtio_net is,
# there is none. Newer ones start it in a hook, when they have written what it reads.
start_networkd() {
    local unit=systemd-networkd.service wants=/etc/systemd/system/initrd.target.wants
    local hooks=("$dracutbasedir"/modules.d/*systemd-networkd/networkd-run.sh)
    dracut_module_included systemd-networkd || return 0
    [[ -e ${hooks[0]} ]] && return 0
    mkdir -p "$initdir$wants"
    ln_r "$systemdsystemunitdir/$unit" "$wants/$unit"
}

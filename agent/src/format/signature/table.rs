//! Signatures that are a few bytes at a fixed place.

use super::{Signature, What, Windows};

/// Bytes at an offset from the start of the device.
struct Magic(&'static str, u64, &'static [u8]);

/// Sources: LVM2 `label.h`; the LUKS1 and LUKS2 on-disk formats; btrfs `ctree.h`;
/// XFS `xfs_format.h`; `linux/swap.h`; bcache `bcache.h`, bcachefs_format.h; Ceph
/// `BlueStore`'s label; Microsoft's boot sectors; f2fs `f2fs_fs.h`; UEFI 2.x for GPT;
/// `squashfs_fs.h`; Oracle ASM's disk header.
const FROM_START: &[Magic] = &[
    Magic("LVM", 0, b"LABELONE"),
    Magic("LVM", 512, b"LABELONE"),
    Magic("LVM", 1024, b"LABELONE"),
    Magic("LVM", 1536, b"LABELONE"),
    Magic("LUKS", 0, b"LUKS\xba\xbe"),
    Magic("LUKS", 0x4000, b"SKUL\xba\xbe"),
    Magic("LUKS", 0x8000, b"SKUL\xba\xbe"),
    Magic("LUKS", 0x1_0000, b"SKUL\xba\xbe"),
    Magic("LUKS", 0x2_0000, b"SKUL\xba\xbe"),
    Magic("LUKS", 0x4_0000, b"SKUL\xba\xbe"),
    Magic("LUKS", 0x8_0000, b"SKUL\xba\xbe"),
    Magic("btrfs", 0x1_0040, b"_BHRfS_M"),
    Magic("xfs", 0, b"XFSB"),
    Magic("old swap", 4096 - 10, b"SWAP-SPACE"),
    Magic("suspended system", 4096 - 10, b"S1SUSPEND\0"),
    Magic("bcache", 4096 + 24, b"\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x81"),
    Magic(
        "bcachefs",
        4096 + 24,
        b"\xc6\x85\x73\xf6\x66\xce\x90\xa9\xd9\x6a\x60\xcf\x80\x3d\xf7\xef",
    ),
    Magic("Ceph bluestore", 0, b"bluestore block device"),
    Magic("BitLocker", 3, b"-FVE-FS-"),
    Magic("NTFS", 3, b"NTFS    "),
    Magic("exFAT", 3, b"EXFAT   "),
    Magic("vfat", 82, b"FAT32   "),
    Magic("vfat", 54, b"FAT16   "),
    Magic("vfat", 54, b"FAT12   "),
    Magic("f2fs", 1024, b"\x10\x20\xf5\xf2"),
    Magic("squashfs", 0, b"hsqs"),
    Magic("Oracle ASM", 32, b"ORCLDISK"),
    Magic("GPT partitions", 512, b"EFI PART"),
    Magic("GPT partitions", 4096, b"EFI PART"),
];

/// The same with the distance from the end. Sources: UEFI 2.x; Intel's IMSM
/// superblock in the last two sectors; SNIA DDF, whose anchor is the last sector.
const FROM_END: &[Magic] = &[
    Magic("GPT partitions", 512, b"EFI PART"),
    Magic("GPT partitions", 4096, b"EFI PART"),
    Magic("Intel RAID (IMSM)", 1024, b"Intel Raid ISM Cfg Sig. "),
    Magic("Intel RAID (IMSM)", 8192, b"Intel Raid ISM Cfg Sig. "),
    Magic("DDF RAID", 512, b"\xde\x11\xde\x11"),
    Magic("DDF RAID", 512, b"\x11\xde\x11\xde"),
    Magic("DDF RAID", 4096, b"\xde\x11\xde\x11"),
];

/// ZFS keeps four labels of 256 KiB, two at each end; the second half of each is a
/// ring of uberblocks of 1 KiB or more. Source: the ZFS on-disk specification.
const ZFS_LABEL: u64 = 256 << 10;
const ZFS_MAGIC: u64 = 0x00ba_b10c;

/// All of the table that the windows show.
pub(super) fn find(windows: Windows<'_>) -> Vec<Signature> {
    let start = FROM_START.iter().filter_map(|Magic(name, offset, magic)| {
        let bytes = windows.at(*offset)?;
        bytes.starts_with(magic).then_some((*offset, *name))
    });
    let end = FROM_END.iter().filter_map(|Magic(name, distance, magic)| {
        let (offset, bytes) = windows.before_end(*distance)?;
        bytes.starts_with(magic).then_some((offset, *name))
    });
    let signature = |(offset, name)| Signature { offset, what: What::Known(name) };
    start.chain(end).chain(find_zfs(windows)).map(signature).collect()
}

fn find_zfs(windows: Windows<'_>) -> Option<(u64, &'static str)> {
    let aligned_end = windows.size_bytes / ZFS_LABEL * ZFS_LABEL;
    let labels = [
        Some(0),
        Some(ZFS_LABEL),
        aligned_end.checked_sub(ZFS_LABEL),
        aligned_end.checked_sub(ZFS_LABEL.saturating_mul(2)),
    ];
    labels.into_iter().flatten().find_map(|label| {
        let ring = windows.at(label.saturating_add(ZFS_LABEL / 2))?;
        let slots = ring.chunks_exact(1024).take(128);
        slots
            .filter_map(|slot| slot.first_chunk::<8>())
            .any(|magic| *magic == ZFS_MAGIC.to_le_bytes() || *magic == ZFS_MAGIC.to_be_bytes())
            .then_some((label, "ZFS"))
    })
}

/// Whether the first sector is a partition table: the mark at its end, and an entry
/// that says something. Boot sectors of file systems end with the same mark.
pub(super) fn has_mbr(head: &[u8], found: &[Signature]) -> bool {
    let is_boot_sector = found.iter().any(|signature| {
        let names = ["vfat", "NTFS", "exFAT", "BitLocker"];
        matches!(signature.what, What::Known(name) if names.contains(&name))
    });
    if is_boot_sector || head.get(510..512) != Some(&[0x55, 0xaa]) {
        return false;
    }
    let entries = head.get(446..510).unwrap_or_default().as_chunks::<16>().0;
    let is_entry = |entry: &[u8; 16]| matches!(entry, [0 | 0x80, _, _, _, kind, ..] if *kind != 0);
    entries.iter().any(is_entry)
}

//! Each kind at its place, nothing where nothing is, and hostile bytes.

use proptest::prelude::*;

use super::*;

const SIZE: usize = 16 << 20;

fn identify_disk(disk: &[u8]) -> Contents {
    let window = usize::try_from(WINDOW_BYTES).unwrap().min(disk.len());
    identify(Windows {
        size_bytes: u64::try_from(disk.len()).unwrap(),
        head: &disk[..window],
        tail: &disk[disk.len() - window..],
    })
}

fn with(offset: usize, bytes: &[u8]) -> String {
    let mut disk = vec![0u8; SIZE];
    disk[offset..offset + bytes.len()].copy_from_slice(bytes);
    identify_disk(&disk).to_string()
}

#[test]
fn only_zeros_are_blank() {
    assert!(identify_disk(&vec![0; SIZE]).is_blank());
    assert_eq!(with(SIZE - 1, &[1]), "unknown data");
    assert_eq!(with(12345, &[1]), "unknown data");
    assert_eq!(identify_disk(&vec![0xff; SIZE]).to_string(), "unknown data");
}

#[test]
fn each_magic_is_named_at_its_place() {
    for (offset, bytes, name) in [
        (512usize, &b"LABELONE"[..], "LVM"),
        (0, b"LUKS\xba\xbe", "LUKS"),
        (0x4000, b"SKUL\xba\xbe", "LUKS"),
        (65536 + 64, b"_BHRfS_M", "btrfs"),
        (0, b"XFSB", "xfs"),
        (4086, b"SWAPSPACE2", "swap"),
        (0, b"bluestore block device\n", "Ceph bluestore"),
        (3, b"-FVE-FS-", "BitLocker"),
        (512, b"EFI PART", "GPT partitions"),
        (4096, b"EFI PART", "GPT partitions"),
        (SIZE - 512, b"EFI PART", "GPT partitions"),
        (SIZE - 1024, b"Intel Raid ISM Cfg Sig. 1.3", "Intel RAID (IMSM)"),
        (SIZE - 512, b"\xde\x11\xde\x11", "DDF RAID"),
        (131072 + 3072, &0x00ba_b10cu64.to_le_bytes(), "ZFS"),
        (SIZE - (128 << 10), &0x00ba_b10cu64.to_be_bytes(), "ZFS"),
    ] {
        assert_eq!(with(offset, bytes), name, "{name} at {offset}");
    }
}

#[test]
fn partitions_are_told_from_boot_sectors() {
    let mut disk = vec![0u8; SIZE];
    disk[510..512].copy_from_slice(&[0x55, 0xaa]);
    assert_eq!(identify_disk(&disk).to_string(), "unknown data");
    disk[450] = 0x83;
    assert_eq!(identify_disk(&disk).to_string(), "MBR partitions");
    disk[82..90].copy_from_slice(b"FAT32   ");
    assert_eq!(identify_disk(&disk).to_string(), "vfat");
}

#[test]
fn md_is_found_at_all_its_places() {
    let superblock = md::Superblock {
        feature_map: 0,
        set_uuid: [1; 16],
        set_name: "any:0".into(),
        ctime_s: 0,
        utime_s: 0,
        level: 0,
        layout: 0,
        size_sectors: 1,
        chunk_sectors: 8,
        raid_disks: 2,
        bitmap_offset_sectors: 0,
        data_offset_sectors: 2048,
        data_size_sectors: 1,
        super_offset_sectors: 8,
        dev_number: 1,
        device_uuid: [0; 16],
        events: 0,
        resync_offset: 0,
        roles: vec![0, 1],
    };
    let bytes = md::encode(&superblock).unwrap();
    assert_eq!(with(4096, &bytes), "md 1.2 raid0 \"any:0\" slot 1 of 2");
    assert_eq!(with(0, &bytes), "md 1.1 raid0 \"any:0\" slot 1 of 2");
    assert_eq!(with(SIZE - 8192, &bytes), "md 1.0 raid0 \"any:0\" slot 1 of 2");
    let mut damaged = bytes;
    damaged[33] ^= 1;
    assert!(with(4096, &damaged).starts_with("damaged md superblock"));
    let mut old = [0u8; 64];
    old[..4].copy_from_slice(&md::MAGIC.to_le_bytes());
    old[28] = 1;
    assert_eq!(with(SIZE - 65536, &old), "md 0.90 raid1");
}

#[test]
fn an_unfinished_format_is_known_by_its_mark() {
    let mut disk = vec![0u8; SIZE];
    disk[..MARKER_BYTES].copy_from_slice(&encode_marker("scratch"));
    assert_eq!(identify_disk(&disk).formatting(), Some("scratch"));
    assert_eq!(with(0, b"rsinit: formatting without an end"), "unknown data");
}

#[test]
fn ext4_tells_label_and_size() {
    let mut head = vec![0u8; 1 << 20];
    head[1024 + 0x38..1024 + 0x3a].copy_from_slice(&[0x53, 0xef]);
    head[1024 + 0x04..1024 + 0x06].copy_from_slice(&[0, 1]);
    head[1024 + 0x18] = 2;
    head[1024 + 0x60] = 0x40;
    head[1024 + 0x78..1024 + 0x7d].copy_from_slice(b"label");
    let contents = identify(Windows { size_bytes: 1 << 30, head: &head, tail: &[] });
    let ext = contents.only_ext().unwrap();
    assert_eq!((ext.version, ext.label.as_str(), ext.size_bytes), (4, "label", 1 << 20));
    assert_eq!(contents.to_string(), "ext4 \"label\"");
}

#[test]
fn two_signatures_are_both_named_and_are_no_plain_array() {
    let mut disk = vec![0u8; SIZE];
    disk[512..520].copy_from_slice(b"EFI PART");
    disk[0..4].copy_from_slice(b"XFSB");
    let contents = identify_disk(&disk);
    assert_eq!(contents.to_string(), "xfs, GPT partitions");
    assert!(contents.only_md_1_2().is_none());
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic_or_look_blank(
        bytes in proptest::collection::vec(any::<u8>(), 0..9000), size in 0u64..1 << 40,
    ) {
        let contents = identify(Windows { size_bytes: size, head: &bytes, tail: &bytes });
        let has_data = bytes.iter().any(|&byte| byte != 0);
        prop_assert_eq!(contents.is_blank(), !has_data);
    }
}

//! Superblocks written and read back, and bytes that are none.

use proptest::prelude::*;

use super::*;

fn sample() -> Superblock {
    Superblock {
        feature_map: FEATURE_BITMAP,
        set_uuid: [7; 16],
        set_name: "rsinit:scratch".into(),
        ctime_s: 1_760_000_000,
        utime_s: 1_760_000_001,
        level: 1,
        layout: 0,
        size_sectors: 1000,
        chunk_sectors: 0,
        raid_disks: 2,
        bitmap_offset_sectors: 8,
        data_offset_sectors: 2048,
        data_size_sectors: 1000,
        super_offset_sectors: 8,
        dev_number: 1,
        device_uuid: [9; 16],
        events: 5,
        resync_offset: RESYNC_DONE,
        roles: vec![0, 1],
    }
}

#[test]
fn what_is_written_is_read_back() {
    let read = decode(&encode(&sample()).unwrap()).unwrap();
    assert_eq!(read.roles.len(), 128);
    assert_eq!(&read.roles[..3], [0, 1, ROLE_FAULTY]);
    assert_eq!((read.slot(), read.says_missing(0), read.says_missing(2)), (Some(1), false, true));
    let mut shortened = read;
    shortened.roles.truncate(2);
    assert_eq!(shortened, sample());
}

#[test]
fn the_layout_is_that_of_the_kernel_header() {
    let bytes = encode(&sample()).unwrap();
    assert_eq!(&bytes[0..4], [0xfc, 0x4e, 0x2b, 0xa9]);
    assert_eq!(&bytes[32..46], b"rsinit:scratch");
    assert_eq!(
        (bytes[72], bytes[92], bytes[96], bytes[160], bytes[200], bytes[220]),
        (1, 2, 8, 1, 5, 128)
    );
    assert_eq!(&bytes[208..216], [0xff; 8]);
}

#[test]
fn the_checksum_is_folded_and_leaves_its_own_field_out() {
    let mut bytes = [0u8; 256];
    bytes[0..4].copy_from_slice(&[0xff; 4]);
    bytes[4..8].copy_from_slice(&[2, 0, 0, 0]);
    bytes[216..220].copy_from_slice(&[0xaa; 4]);
    assert_eq!(checksum(&bytes), 2);
}

#[test]
fn damage_and_strange_versions_are_told_apart() {
    let good = encode(&sample()).unwrap();
    let mut bad = good;
    bad[100] ^= 1;
    assert!(matches!(decode(&bad), Err(SuperblockError::Checksum { .. })));
    assert_eq!(decode(&good[..255]), Err(SuperblockError::Short { bytes: 255 }));
    assert_eq!(decode(&good[..300]), Err(SuperblockError::Short { bytes: 300 }));
    assert_eq!(decode(&[0; 512]), Err(SuperblockError::Magic));
    let mut version = good;
    version[4] = 2;
    assert_eq!(decode(&version), Err(SuperblockError::Version(2)));
    let mut hostile = good;
    hostile[220..224].copy_from_slice(&[0xff; 4]);
    assert_eq!(decode(&hostile), Err(SuperblockError::Members(u32::MAX)));
}

#[test]
fn a_name_or_table_that_does_not_fit_is_not_cut() {
    let long = Superblock { set_name: "x".repeat(33), ..sample() };
    assert_eq!(encode(&long), Err(SuperblockError::DoesNotFit("the name")));
    let many = Superblock { roles: vec![0; 129], ..sample() };
    assert_eq!(encode(&many), Err(SuperblockError::DoesNotFit("the table of members")));
}

#[test]
fn members_are_cut_to_the_smallest_and_to_whole_chunks() {
    let geometry = plan_geometry(true, false, &[64 << 20, (32 << 20) + 700 * 512]).unwrap();
    assert_eq!(geometry.data_offset_sectors, 2048);
    assert_eq!(geometry.data_size_sectors, (31 << 20) / 512);
    let mirror = plan_geometry(false, true, &[1 << 42, 1 << 42]).unwrap();
    assert_eq!((mirror.chunk_sectors, mirror.bitmap_offset_sectors), (0, 8));
    assert_eq!(mirror.data_offset_sectors * 512 + mirror.data_size_sectors * 512, 1 << 42);
}

#[test]
fn the_bitmap_lies_between_superblock_and_data_at_any_size() {
    for exponent in [25, 36, 42, 45] {
        let bytes = 1u64 << exponent;
        let geometry = plan_geometry(false, true, &[bytes]).unwrap();
        let bitmap = encode_bitmap(&[1; 16], geometry.data_size_sectors);
        let end = 4096 + 4096 + u64::try_from(bitmap.len()).unwrap();
        assert!(end <= geometry.data_offset_sectors * 512, "{exponent}");
        assert_eq!(&bitmap[..4], b"bitm");
    }
}

#[test]
fn no_member_many_members_and_tiny_members_are_errors() {
    assert_eq!(plan_geometry(true, false, &[]), Err(GeometryError::Members(0)));
    assert_eq!(plan_geometry(true, false, &[1 << 30; 129]), Err(GeometryError::Members(129)));
    assert_eq!(
        plan_geometry(true, false, &[1 << 20]),
        Err(GeometryError::TooSmall { bytes: 1 << 20 })
    );
}

#[test]
fn version_0_90_is_read_in_both_byte_orders() {
    for big in [false, true] {
        let mut bytes = vec![0u8; 4096];
        let put = |bytes: &mut Vec<u8>, word: usize, value: u32| {
            let raw = if big { value.to_be_bytes() } else { value.to_le_bytes() };
            bytes[word * 4..word * 4 + 4].copy_from_slice(&raw);
        };
        put(&mut bytes, 0, MAGIC);
        put(&mut bytes, 2, 90);
        put(&mut bytes, 7, 1);
        put(&mut bytes, 10, 2);
        assert_eq!(decode_090(&bytes), Some(Superblock090 { level: 1, raid_disks: 2 }));
    }
    assert_eq!(decode_090(&[0; 40]), None);
    assert_eq!(offset_090(1 << 16), Some(0));
    assert_eq!(offset_090(100), None);
}

proptest! {
    #[test]
    fn no_bytes_make_the_readers_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..600), force in any::<bool>()) {
        if force && bytes.len() > 8 {
            bytes[..8].copy_from_slice(&[0xfc, 0x4e, 0x2b, 0xa9, 1, 0, 0, 0]);
        }
        let _ = decode(&bytes);
        let _ = decode_090(&bytes);
    }
}

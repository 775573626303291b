//! The plan as a whole: sizes, disjointness, order, cost, spread over members.

use super::*;
use proptest::prelude::*;
use std::ops::Range;

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const TIB: u64 = 1 << 40;

fn options() -> Options {
    Options {
        uuid: *b"filesystem-uuid.",
        hash_seed: *b"directory-hashes",
        journal_sequence: 0x1234_5678,
        created_s: 1_700_000_000,
        label: "scratch".parse().unwrap(),
        stride_blocks: 0,
        stripe_width_blocks: 0,
        reserved_percent: 0,
        bytes_per_inode: None,
        zeroed: false,
    }
}

/// Members of a RAID0 with chunks of 512 KiB.
fn striped(members: u32) -> Options {
    Options { stride_blocks: 128, stripe_width_blocks: 128 * members, ..options() }
}

fn plan(bytes: u64, options: &Options) -> Filesystem {
    Filesystem::plan(bytes, options).unwrap()
}

fn length(range: &Range<u64>) -> u64 {
    range.end - range.start
}

/// What no plan may break, whatever its size and options.
fn check_placement(filesystem: &Filesystem) {
    let Filesystem { geometry, placement, .. } = filesystem;
    let packs = placement.packs().map(|pack| pack.blocks.clone());
    let mut used: Vec<_> = placement.fixed.iter().cloned().chain(packs).collect();
    used.sort_by_key(|range| range.start);
    assert!(used.iter().all(|range| range.start < range.end), "{used:?}");
    assert!(used.windows(2).all(|pair| pair[0].end <= pair[1].start), "{used:?}");
    assert!(used.last().unwrap().end <= geometry.blocks, "{used:?}");

    let mut next_group = 0;
    for pack in placement.packs() {
        assert_eq!(pack.first_group, next_group);
        next_group += pack.groups;
        let end = geometry.group_start(next_group).min(geometry.blocks);
        assert!(geometry.group_start(pack.first_group) <= pack.blocks.start);
        assert!(pack.blocks.end <= end, "{pack:?}");
        for group in [pack.first_group, next_group - 1] {
            assert_eq!(placement.pack(group).blocks, pack.blocks, "pack of group {group}");
        }
        let last_table = pack.inode_table(next_group - 1, geometry.table_blocks());
        assert_eq!(last_table + geometry.table_blocks(), pack.blocks.end);
    }
    assert_eq!(next_group, geometry.groups);

    let free = (0..geometry.groups).map(|group| u64::from(filesystem.free_blocks_of(group)));
    assert_eq!(free.sum::<u64>(), filesystem.free_blocks());
}

/// The order and form of what is written; gives the number of writes and bytes.
fn check_chunks(filesystem: &Filesystem) -> (u64, u64) {
    let (mut calls, mut bytes, mut behind) = (0, 0, 4096);
    let mut is_over = false;
    for chunk in filesystem.chunks() {
        let size = u64::try_from(chunk.bytes.len()).unwrap();
        assert!(!is_over, "the superblock is the last");
        assert!(size > 0 && size <= 4 * MIB && size % 4096 == 0 && chunk.offset % 4096 == 0);
        is_over = chunk.offset == 0;
        if is_over {
            assert_eq!((size, &chunk.bytes[1024 + 56..][..2]), (4096, &[0x53, 0xef][..]));
        } else {
            assert!(chunk.offset >= behind, "ascending");
            behind = chunk.offset + size;
        }
        (calls, bytes) = (calls + 1, bytes + size);
    }
    assert!(is_over && behind <= filesystem.blocks() * 4096);
    (calls, bytes)
}

/// Writes that each member gets: a chunk of the array at a time.
fn writes_of_members(filesystem: &Filesystem, members: usize) -> Vec<u64> {
    let stripe_unit = 512 * 1024;
    let mut writes = vec![0; members];
    for chunk in filesystem.chunks() {
        let end = chunk.offset + u64::try_from(chunk.bytes.len()).unwrap();
        for unit in chunk.offset / stripe_unit..end.div_ceil(stripe_unit) {
            writes[usize::try_from(unit).unwrap() % members] += 1;
        }
    }
    writes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn metadata_never_overlaps_at_any_size(
        (power, odd) in (24..47u32, any::<u64>()),
        ratio in prop_oneof![Just(None), (12..23u32).prop_map(|power| Some(1 << power))],
        (stride, width) in (0..70_000u32, any::<u32>()),
        reserved_percent in 0..=50u8,
    ) {
        // Odd sizes between one power of two and the next, dense just above the first.
        let bytes = (1u64 << power) + (odd % (1 << power)) / (1 + odd % 4096);
        let options = Options {
            bytes_per_inode: ratio,
            stride_blocks: stride % 65_536,
            stripe_width_blocks: if width % 2 == 0 { stride.saturating_mul(width % 40) } else { width },
            reserved_percent,
            ..options()
        };
        match Filesystem::plan(bytes, &options) {
            Ok(filesystem) => {
                prop_assert_eq!(filesystem.blocks(), bytes / 4096);
                check_placement(&filesystem);
            }
            Err(error) => prop_assert!(matches!(error, Error::TooManyInodes { .. }), "{}", error),
        }
    }

    #[test]
    fn chunks_ascend_and_the_superblock_ends_them(
        bytes in prop_oneof![16 * MIB..300 * MIB, 16 * MIB..100 * GIB, 100 * GIB..2 * TIB],
        members in 0..9u32,
    ) {
        check_chunks(&plan(bytes, &striped(members)));
    }
}

#[test]
fn sizes_around_a_group_boundary_are_laid_out_whole() {
    for groups in [1u64, 2, 3, 63, 64, 65, 127, 128, 129, 255, 256, 257, 8192] {
        for blocks in [-70i64, -1, 0, 1, 2, 63, 64, 65, 66, 67, 70] {
            let bytes = (groups * 32_768).checked_add_signed(blocks).unwrap() * 4096;
            for ratio in [None, Some(4096), Some(4_194_304)] {
                check_placement(&plan(bytes, &Options { bytes_per_inode: ratio, ..options() }));
            }
        }
    }
}

#[test]
fn the_smallest_and_the_largest_size_are_taken_and_one_byte_beyond_refused() {
    for bytes in [MIN_BYTES, MAX_BYTES] {
        check_placement(&plan(bytes, &striped(8)));
    }
    let refusal = |bytes| Filesystem::plan(bytes, &options()).err();
    let small = Error::TooSmall { bytes: MIN_BYTES - 1, min: MIN_BYTES };
    assert_eq!(refusal(MIN_BYTES - 1), Some(small));
    let large = Error::TooLarge { bytes: MAX_BYTES + 1, max: MAX_BYTES };
    assert_eq!(refusal(MAX_BYTES + 1), Some(large));
    assert!(matches!(refusal(0), Some(Error::TooSmall { .. })));
    assert!(matches!(refusal(u64::MAX), Some(Error::TooLarge { .. })));
}

#[test]
fn options_out_of_range_are_refused() {
    let refusal = |options: Options| Filesystem::plan(GIB, &options).err().unwrap();
    let stride = Options { stride_blocks: 65_536, ..options() };
    assert_eq!(refusal(stride), Error::Stride { blocks: 65_536 });
    let reserved = Options { reserved_percent: 51, ..options() };
    assert_eq!(refusal(reserved), Error::ReservedPercent { percent: 51 });
    for bytes in [0, 4095, 4_194_305] {
        let ratio = Options { bytes_per_inode: Some(bytes), ..options() };
        assert_eq!(refusal(ratio), Error::BytesPerInode { bytes });
    }
    let many = Options { bytes_per_inode: Some(4096), ..options() };
    let error = Filesystem::plan(16 * TIB, &many).err();
    assert_eq!(error, Some(Error::TooManyInodes { inodes: 1 << 32 }));
}

#[test]
fn inodes_become_fewer_for_each_byte_with_the_size() {
    let bytes_per_inode = |bytes| bytes / u64::from(plan(bytes, &options()).inodes());
    assert_eq!(bytes_per_inode(64 * MIB), 16_384);
    assert_eq!(bytes_per_inode(TIB), 16_384);
    assert_eq!(bytes_per_inode(4 * TIB), 32_768);
    assert_eq!(bytes_per_inode(16 * TIB), 65_536);
    let chosen = Options { bytes_per_inode: Some(MIB.try_into().unwrap()), ..options() };
    assert_eq!(plan(4 * TIB, &chosen).inodes(), 4 << 20);
}

#[test]
fn little_is_written_in_few_calls() {
    for (tebibytes, most_calls, most_bytes) in
        [(1, 90, 3 * MIB), (4, 90, 12_000_000), (16, 200, 40_000_000), (32, 340, 100_000_000)]
    {
        let (calls, bytes) = check_chunks(&plan(tebibytes * TIB, &striped(8)));
        assert!(bytes <= most_bytes, "{bytes} bytes at {tebibytes} TiB");
        assert!(calls <= most_calls, "{calls} calls at {tebibytes} TiB");
    }
}

#[test]
fn no_member_of_a_stripe_gets_half_as_many_writes_again_as_another() {
    for (tebibytes, members) in [(1, 8), (4, 8), (32, 8), (1, 2), (2, 3), (4, 4), (8, 12), (32, 24)]
    {
        let filesystem = plan(tebibytes * TIB, &striped(members));
        let writes = writes_of_members(&filesystem, usize::try_from(members).unwrap());
        let (most, least) = (*writes.iter().max().unwrap(), *writes.iter().min().unwrap());
        assert!(most * 2 <= least * 3, "{tebibytes} TiB over {members}: {writes:?}");
    }
}

#[test]
fn the_same_plan_gives_the_same_bytes_and_another_seed_others() {
    let bytes = |options: &Options| plan(3 * GIB, options).chunks().collect::<Vec<_>>();
    assert!(bytes(&options()) == bytes(&options()));
    assert!(bytes(&options()) != bytes(&Options { hash_seed: [7; 16], ..options() }));
}

#[test]
fn journal_starts_empty_at_the_given_sequence_under_a_uuid_of_its_own() {
    let journal_of = |options: &Options| {
        let filesystem = plan(64 * MIB, options);
        let offset = filesystem.placement.journal.start * 4096;
        let chunk = filesystem.chunks().find(|chunk| {
            let size = u64::try_from(chunk.bytes.len()).unwrap();
            (chunk.offset..chunk.offset + size).contains(&offset)
        });
        let chunk = chunk.unwrap();
        chunk.bytes[usize::try_from(offset - chunk.offset).unwrap()..][..1024].to_vec()
    };
    let journal = journal_of(&options());
    assert_eq!(journal[..12], [0xc0, 0x3b, 0x39, 0x98, 0, 0, 0, 4, 0, 0, 0, 0]);
    assert_eq!(journal[0x18..0x20], [0x12, 0x34, 0x56, 0x78, 0, 0, 0, 0]);
    let reseeded = journal_of(&Options { hash_seed: [9; 16], ..options() });
    assert_ne!(journal[0x30..0x40], reseeded[0x30..0x40]);
    let zero = journal_of(&Options { journal_sequence: 0, ..options() });
    assert_eq!(zero[0x18..0x1c], [0, 0, 0, 1]);
}

#[test]
fn journal_has_one_sixty_fourth_within_its_bounds() {
    let blocks = |bytes| plan(bytes, &options()).journal_blocks();
    assert_eq!([16 * MIB, GIB, 64 * GIB, 32 * TIB].map(blocks), [1024, 4096, 262_144, 262_144]);
}

#[test]
fn reserved_blocks_are_a_share_of_all() {
    let reserved = |percent| {
        plan(32 * TIB, &Options { reserved_percent: percent, ..options() }).reserved_blocks()
    };
    assert_eq!((reserved(0), reserved(50)), (0, 1 << 32));
}

#[test]
fn uninitialised_groups_have_nothing_in_use() {
    let filesystem = plan(TIB, &striped(8));
    let without: Vec<u32> =
        (0..filesystem.groups()).filter(|group| !filesystem.has_block_bitmap(*group)).collect();
    assert!(without.len() > 7900, "{}", without.len());
    assert!(without.iter().all(|group| filesystem.free_blocks_of(*group) == 32_768));
    assert_eq!(filesystem.geometry.backup_groups().collect::<Vec<_>>(), [1, 8191]);
    assert!(length(&filesystem.placement.journal) == 262_144);
}

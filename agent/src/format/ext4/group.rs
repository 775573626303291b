//! Group descriptors and bitmaps.
//!
//! Source: `Documentation/filesystems/ext4/{group_descr,bitmaps}.rst`.

use super::Filesystem;
use super::bytes::{BLOCK_BYTES, Block, Fields};
use super::checksum::Checksum;
use super::geometry::{BLOCK_DESCRIPTORS, FIRST_INODE, GROUP_BLOCKS};
use std::ops::Range;

/// Bytes of a descriptor.
const SIZE: usize = 64;
const _: () = assert!(SIZE as u64 * BLOCK_DESCRIPTORS == BLOCK_BYTES as u64);

/// `EXT4_BG_INODE_UNINIT`: neither bitmap nor table of inodes is on disk.
const INODE_UNINIT: u16 = 1;
/// `EXT4_BG_BLOCK_UNINIT`: the block bitmap is not on disk; the kernel computes it.
const BLOCK_UNINIT: u16 = 2;
/// `EXT4_BG_INODE_ZEROED`: the unused part of the inode table reads as zeros.
const INODE_ZEROED: u16 = 4;

/// Fills block `index` of the descriptors.
pub(super) fn render_descriptors(block: &mut Block, filesystem: &Filesystem, index: u64) {
    let first = index.saturating_mul(BLOCK_DESCRIPTORS);
    let groups = u64::from(filesystem.geometry.groups);
    for (record, group) in block.chunks_exact_mut(SIZE).zip(first..groups) {
        // Below the number of groups, which is a u32.
        if let Ok(group) = u32::try_from(group) {
            render_descriptor(record, filesystem, group);
        }
    }
}

/// `struct ext4_group_desc`
fn render_descriptor(record: &mut [u8], filesystem: &Filesystem, group: u32) {
    let geometry = &filesystem.geometry;
    let pack = filesystem.placement.pack(group);
    let mut fields = Fields::new(record);
    fields.split64(0x00, 0x20, pack.block_bitmap(group));
    fields.split64(0x04, 0x24, pack.inode_bitmap(group));
    fields.split64(0x08, 0x28, pack.inode_table(group, geometry.table_blocks()));
    fields.split32(0x0c, 0x2c, filesystem.free_blocks_of(group));

    let used_inodes = if group == 0 { FIRST_INODE } else { 0 };
    let free_inodes = geometry.group_inodes.saturating_sub(used_inodes);
    fields.split32(0x0e, 0x2e, free_inodes);
    // bg_itable_unused: nobody reads the table beyond the last inode in use.
    fields.split32(0x1c, 0x32, free_inodes);
    // bg_used_dirs_count: root and lost+found.
    fields.split32(0x10, 0x30, if group == 0 { 2 } else { 0 });

    let mut flags = if filesystem.options.zeroed { INODE_ZEROED } else { 0 };
    if group == 0 {
        fields.split32(0x1a, 0x3a, inode_bitmap_checksum(filesystem).value());
    } else {
        flags |= INODE_UNINIT;
    }
    if filesystem.has_block_bitmap(group) {
        fields.split32(0x18, 0x38, block_bitmap_checksum(filesystem, group).value());
    } else {
        flags |= BLOCK_UNINIT;
    }
    fields.le16(0x12, flags);
    // In one piece: a call costs more than the few bytes do.
    let mut covered = [0; 4 + SIZE];
    let (number, copy) = covered.split_at_mut(4);
    number.copy_from_slice(&group.to_le_bytes());
    copy.copy_from_slice(record);
    Fields::new(record).le16(0x1e, filesystem.checksum.over(&covered).low16());
}

/// Over the bits of the group's inodes, not over the padding behind them.
fn inode_bitmap_checksum(filesystem: &Filesystem) -> Checksum {
    let mut bitmap = [0; BLOCK_BYTES];
    render_inode_bitmap(&mut bitmap, filesystem);
    let length = usize::try_from(filesystem.geometry.group_inodes / 8).unwrap_or(BLOCK_BYTES);
    let (covered, _) = bitmap.split_at(length.min(BLOCK_BYTES));
    filesystem.checksum.over(covered)
}

fn block_bitmap_checksum(filesystem: &Filesystem, group: u32) -> Checksum {
    let mut bitmap = [0; BLOCK_BYTES];
    render_block_bitmap(&mut bitmap, filesystem, group);
    filesystem.checksum.over(&bitmap)
}

/// Fills the block bitmap of `group`; blocks past the end of the file system count as used.
pub(super) fn render_block_bitmap(block: &mut Block, filesystem: &Filesystem, group: u32) {
    let range = filesystem.geometry.group_range(group);
    block.fill(0);
    for used in filesystem.placement.used(group, &range) {
        let first = used.start.saturating_sub(range.start);
        set_bits(block, first..used.end.saturating_sub(range.start));
    }
    set_bits(block, range.end.saturating_sub(range.start)..GROUP_BLOCKS);
}

/// Fills the inode bitmap of group 0; bits past the group's inodes count as used.
pub(super) fn render_inode_bitmap(block: &mut Block, filesystem: &Filesystem) {
    block.fill(0);
    set_bits(block, 0..u64::from(FIRST_INODE));
    set_bits(block, u64::from(filesystem.geometry.group_inodes)..GROUP_BLOCKS);
}

/// Sets a run of bits, lowest bit of a byte first.
fn set_bits(block: &mut Block, bits: Range<u64>) {
    let byte = |bit: u64| usize::try_from(bit / 8).unwrap_or(BLOCK_BYTES);
    let (first_whole, end_whole) = (bits.start.next_multiple_of(8), bits.end / 8 * 8);
    if first_whole < end_whole
        && let Some(whole) = block.get_mut(byte(first_whole)..byte(end_whole))
    {
        whole.fill(u8::MAX);
    }
    let ends = (bits.start..first_whole.min(bits.end)).chain(end_whole.max(bits.start)..bits.end);
    for bit in ends {
        if let Some(byte) = block.get_mut(byte(bit)) {
            *byte |= 1 << (bit % 8);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_bits_keep_to_their_ends() {
        let mut block = [0; BLOCK_BYTES];
        set_bits(&mut block, 3..18);
        set_bits(&mut block, 21..22);
        set_bits(&mut block, 32_767..32_768);
        assert_eq!(block[..4], [0b1111_1000, 0xff, 0b0010_0011, 0]);
        assert_eq!((block[4094], block[4095]), (0, 0x80));
    }

    #[test]
    fn every_run_of_bits_is_what_its_single_bits_give() {
        for start in 0..40 {
            for end in start..40 {
                let mut block = [0; BLOCK_BYTES];
                set_bits(&mut block, start..end);
                let mut single = [0; BLOCK_BYTES];
                (start..end)
                    .for_each(|bit| single[usize::try_from(bit / 8).unwrap()] |= 1 << (bit % 8));
                assert!(block == single, "{start}..{end}");
            }
        }
    }

    #[test]
    fn an_empty_run_sets_nothing() {
        let mut block = [0; BLOCK_BYTES];
        set_bits(&mut block, 9..9);
        set_bits(&mut block, 32_768..32_768);
        assert!(block.iter().all(|byte| *byte == 0));
    }
}

//! The superblock, primary and backups.
//!
//! Source: `Documentation/filesystems/ext4/super.rst`.

use super::Filesystem;
use super::bytes::Fields;
use super::checksum::Checksum;
use super::geometry::{BLOCK_SIZE, DESCRIPTOR_SIZE, FIRST_INODE, GROUP_BLOCKS, INODE_SIZE};
use super::inode::{EXTRA_ISIZE, JOURNAL_INODE};

/// Bytes of the superblock.
pub(super) const SIZE: usize = 1024;

/// `has_journal ext_attr dir_index sparse_super2`
const FEATURE_COMPAT: u32 = 0x4 | 0x8 | 0x20 | 0x200;
/// `filetype extent 64bit flex_bg`
const FEATURE_INCOMPAT: u32 = 0x2 | 0x40 | 0x80 | 0x200;
/// `large_file huge_file dir_nlink extra_isize metadata_csum`
const FEATURE_RO_COMPAT: u32 = 0x2 | 0x8 | 0x20 | 0x40 | 0x400;

/// `log2` of the groups of a flex group: the unit over which the kernel spreads directories.
const LOG_GROUPS_PER_FLEX: u8 = 4;
/// `EXT4_DEFM_XATTR_USER | EXT4_DEFM_ACL`
const DEFAULT_MOUNT_OPTIONS: u32 = 0x4 | 0x8;
/// `EXT2_FLAGS_SIGNED_HASH`: how the directory hash takes letters above 127.
const SIGNED_HASH: u32 = 0x1;
/// Half-MD4 as the directory hash.
const HASH_HALF_MD4: u8 = 1;
/// `s_checksum_type`: CRC-32C.
const CHECKSUM_CRC32C: u8 = 1;
/// `s_jnl_backup_type`: the journal's `i_block` and size are kept in `s_jnl_blocks`.
const JOURNAL_BACKUP: u8 = 1;

/// Fills `record` (1024 zero bytes) with the superblock for the copy in `group`.
pub(super) fn render(record: &mut [u8], filesystem: &Filesystem, group: u32) {
    let mut fields = Fields::new(record);
    counts(&mut fields, filesystem);
    identity(&mut fields, filesystem, group);
    features(&mut fields, filesystem);
    journal(&mut fields, filesystem);
    let (body, _) = record.split_at(SIZE - 4);
    let checksum = Checksum::START.over(body);
    Fields::new(record).le32(SIZE - 4, checksum.value());
}

fn counts(fields: &mut Fields, filesystem: &Filesystem) {
    let geometry = &filesystem.geometry;
    fields.le32(0x000, geometry.inodes);
    fields.split64(0x004, 0x150, geometry.blocks);
    fields.split64(0x008, 0x154, geometry.reserved_blocks);
    fields.split64(0x00c, 0x158, filesystem.free_blocks());
    fields.le32(0x010, filesystem.free_inodes());
    // s_log_block_size, s_log_cluster_size: 1024 << 2.
    fields.le32(0x018, 2);
    fields.le32(0x01c, 2);
    fields.bytes(0x020, &low32(GROUP_BLOCKS));
    fields.bytes(0x024, &low32(GROUP_BLOCKS));
    fields.le32(0x028, geometry.group_inodes);
    // s_overhead_clusters: what statfs leaves out. Kept here, the kernel need not
    // walk all groups for it at each mount.
    fields.bytes(0x248, &low32(filesystem.overhead_blocks()));
}

fn identity(fields: &mut Fields, filesystem: &Filesystem, group: u32) {
    let options = &filesystem.options;
    // s_wtime, s_lastcheck, s_mkfs_time
    for time in [0x030, 0x040, 0x108] {
        fields.le32(time, options.created_s);
    }
    // s_max_mnt_count: no check that is due by count.
    fields.le16(0x036, u16::MAX);
    fields.le16(0x038, 0xef53);
    // s_state: clean. s_errors: go on.
    fields.le16(0x03a, 1);
    fields.le16(0x03c, 1);
    // s_rev_level: dynamic inode sizes.
    fields.le32(0x04c, 1);
    // s_block_group_nr has 16 bits; the low ones, as others fill it.
    let [low, high, ..] = group.to_le_bytes();
    fields.bytes(0x05a, &[low, high]);
    fields.bytes(0x068, &options.uuid);
    fields.bytes(0x078, options.label.bytes());
    fields.bytes(0x0ec, &options.hash_seed);
    fields.byte(0x0fc, HASH_HALF_MD4);
    let stride = u16::try_from(options.stride_blocks).unwrap_or(0);
    fields.le16(0x164, stride);
    fields.le32(0x170, options.stripe_width_blocks);
}

fn features(fields: &mut Fields, filesystem: &Filesystem) {
    fields.le32(0x054, FIRST_INODE);
    fields.bytes(0x058, &low16(INODE_SIZE));
    fields.le32(0x05c, FEATURE_COMPAT);
    fields.le32(0x060, FEATURE_INCOMPAT);
    fields.le32(0x064, FEATURE_RO_COMPAT);
    fields.bytes(0x0fe, &low16(DESCRIPTOR_SIZE));
    fields.le32(0x100, DEFAULT_MOUNT_OPTIONS);
    fields.le16(0x15c, EXTRA_ISIZE);
    fields.le16(0x15e, EXTRA_ISIZE);
    fields.le32(0x160, SIGNED_HASH);
    fields.byte(0x174, LOG_GROUPS_PER_FLEX);
    fields.byte(0x175, CHECKSUM_CRC32C);
    let [first, second] = filesystem.geometry.backups;
    fields.le32(0x24c, first);
    fields.le32(0x250, second);
}

fn journal(fields: &mut Fields, filesystem: &Filesystem) {
    let inode = filesystem.journal_inode();
    fields.le32(0x0e0, JOURNAL_INODE);
    fields.byte(0x0fd, JOURNAL_BACKUP);
    fields.bytes(0x10c, &inode.extents);
    // The last two words of s_jnl_blocks: size high, size low.
    fields.split64(0x10c + 64, 0x10c + 60, inode.size);
}

fn low16(value: u64) -> [u8; 2] {
    let [a, b, ..] = value.to_le_bytes();
    [a, b]
}

fn low32(value: u64) -> [u8; 4] {
    let [a, b, c, d, ..] = value.to_le_bytes();
    [a, b, c, d]
}

const _: () = assert!(BLOCK_SIZE == 1024 << 2);

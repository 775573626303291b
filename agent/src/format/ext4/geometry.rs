//! Counts of a new file system: blocks, groups, inodes, journal, backups.
//!
//! Source: `Documentation/filesystems/ext4/{blockgroup,group_descr,super}.rst`.

use super::options::Error;
use std::ops::Range;

/// Bytes of a block.
pub(super) const BLOCK_SIZE: u64 = 4096;
/// Blocks of a group: as many as one bitmap block has bits.
pub(super) const GROUP_BLOCKS: u64 = 32_768;
/// Bytes of an inode on disk.
pub(super) const INODE_SIZE: u64 = 256;
/// Inodes of one block of the table.
pub(super) const BLOCK_INODES: u64 = BLOCK_SIZE / INODE_SIZE;
/// First inode that is not reserved: here `lost+found`.
pub(super) const FIRST_INODE: u32 = 11;
/// Bytes of a group descriptor, with the 64bit feature.
pub(super) const DESCRIPTOR_SIZE: u64 = 64;
/// Descriptors of one block.
pub(super) const BLOCK_DESCRIPTORS: u64 = BLOCK_SIZE / DESCRIPTOR_SIZE;

/// Smallest medium: 16 MiB.
pub const MIN_BYTES: u64 = 16 << 20;
/// Largest medium: 128 TiB. There the descriptors take half of the first group,
/// which they may not outgrow without `meta_bg`.
pub const MAX_BYTES: u64 = 128 << 40;

/// Smallest journal that the kernel takes. Source: `JBD2_MIN_JOURNAL_BLOCKS`.
const MIN_JOURNAL_BLOCKS: u64 = 1024;
/// Largest journal made: 1 GiB.
const MAX_JOURNAL_BLOCKS: u64 = 262_144;
/// A journal takes this share of the medium between the two bounds.
const JOURNAL_SHARE: u64 = 64;
/// A last group with fewer blocks left than this, beside a copy of the
/// superblock and descriptors, carries no copy.
const BACKUP_MARGIN_BLOCKS: u64 = 64;

/// Counts that follow from the size and the options alone.
#[derive(Debug, Clone)]
pub(super) struct Geometry {
    /// Blocks of the file system.
    pub(super) blocks: u64,
    /// Block groups; the last may be short.
    pub(super) groups: u32,
    /// Inodes of each group: a multiple of [`BLOCK_INODES`], at most [`GROUP_BLOCKS`].
    pub(super) group_inodes: u32,
    /// Inodes of all groups.
    pub(super) inodes: u32,
    /// Blocks of one copy of all descriptors.
    pub(super) descriptor_blocks: u64,
    /// Blocks of the journal.
    pub(super) journal_blocks: u64,
    /// Blocks that only root may use.
    pub(super) reserved_blocks: u64,
    /// Groups with a copy of superblock and descriptors; 0 stands for none.
    /// Source: `s_backup_bgs`, feature `sparse_super2`.
    pub(super) backups: [u32; 2],
}

impl Geometry {
    /// Counts for a medium of `size_bytes`; what is left behind the last whole block stays unused.
    pub(super) fn new(
        size_bytes: u64,
        reserved_percent: u8,
        bytes_per_inode: Option<u32>,
    ) -> Result<Self, Error> {
        if size_bytes < MIN_BYTES {
            return Err(Error::TooSmall { bytes: size_bytes, min: MIN_BYTES });
        }
        if size_bytes > MAX_BYTES {
            return Err(Error::TooLarge { bytes: size_bytes, max: MAX_BYTES });
        }
        if reserved_percent > 50 {
            return Err(Error::ReservedPercent { percent: reserved_percent });
        }
        let blocks = size_bytes / BLOCK_SIZE;
        let too_large = Error::TooLarge { bytes: size_bytes, max: MAX_BYTES };
        let groups = u32::try_from(blocks.div_ceil(GROUP_BLOCKS)).map_err(|_| too_large)?;
        let (group_inodes, inodes) = count_inodes(size_bytes, groups, bytes_per_inode)?;
        let descriptor_blocks = u64::from(groups).div_ceil(BLOCK_DESCRIPTORS);
        Ok(Self {
            blocks,
            groups,
            group_inodes,
            inodes,
            descriptor_blocks,
            journal_blocks: (blocks / JOURNAL_SHARE).clamp(MIN_JOURNAL_BLOCKS, MAX_JOURNAL_BLOCKS),
            reserved_blocks: blocks.saturating_mul(u64::from(reserved_percent)) / 100,
            backups: choose_backups(blocks, groups, descriptor_blocks),
        })
    }

    /// First block of `group`.
    pub(super) fn group_start(&self, group: u32) -> u64 {
        u64::from(group).saturating_mul(GROUP_BLOCKS)
    }

    /// Blocks of `group`.
    pub(super) fn group_range(&self, group: u32) -> Range<u64> {
        let start = self.group_start(group);
        start..start.saturating_add(GROUP_BLOCKS).min(self.blocks)
    }

    /// Blocks of one group's inode table.
    pub(super) fn table_blocks(&self) -> u64 {
        u64::from(self.group_inodes) / BLOCK_INODES
    }

    /// Superblock and descriptors as they stand at the start of `group`.
    pub(super) fn copy_range(&self, group: u32) -> Range<u64> {
        let start = self.group_start(group);
        start..start.saturating_add(1).saturating_add(self.descriptor_blocks)
    }

    /// Groups with a backup, in order.
    pub(super) fn backup_groups(&self) -> impl Iterator<Item = u32> + use<> {
        self.backups.into_iter().filter(|group| *group != 0)
    }
}

/// Inodes of a group and of the whole.
fn count_inodes(bytes: u64, groups: u32, ratio: Option<u32>) -> Result<(u32, u32), Error> {
    let ratio = match ratio {
        Some(ratio @ 4096..=4_194_304) => u64::from(ratio),
        Some(bytes) => return Err(Error::BytesPerInode { bytes }),
        None if bytes >= 16 << 40 => 65_536,
        None if bytes >= 4 << 40 => 32_768,
        None => 16_384,
    };
    let wanted = (bytes / ratio).div_ceil(u64::from(groups));
    let group_inodes = wanted.next_multiple_of(BLOCK_INODES).clamp(BLOCK_INODES, GROUP_BLOCKS);
    let inodes = group_inodes.saturating_mul(u64::from(groups));
    let too_many = |_| Error::TooManyInodes { inodes };
    Ok((u32::try_from(group_inodes).map_err(too_many)?, u32::try_from(inodes).map_err(too_many)?))
}

/// The second group, where every repair tool looks first, and the last one.
fn choose_backups(blocks: u64, groups: u32, descriptor_blocks: u64) -> [u32; 2] {
    let needed = descriptor_blocks.saturating_add(1 + BACKUP_MARGIN_BLOCKS);
    let last = groups.saturating_sub(1);
    let room = blocks.saturating_sub(u64::from(last).saturating_mul(GROUP_BLOCKS));
    let last = if room < needed { last.saturating_sub(1) } else { last };
    match last {
        0 => [0, 0],
        1 => [1, 0],
        last => [1, last],
    }
}

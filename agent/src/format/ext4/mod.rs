//! ext4: a new file system as bytes at offsets.
//!
//! [`Filesystem::plan`] turns a size and [`Options`] into a plan, whose
//! [`chunks`](Filesystem::chunks) are what has to be written; nothing here does
//! I/O or draws a random number. The features are those that kernel 4.18 and
//! all later ones mount:
//! `has_journal ext_attr dir_index sparse_super2`, `filetype extent 64bit flex_bg`,
//! `large_file huge_file dir_nlink extra_isize metadata_csum`.
//!
//! Little is written: groups without metadata have neither bitmaps nor inode
//! tables on disk (`BLOCK_UNINIT`, `INODE_UNINIT`), superblock and descriptors
//! have two backups, and of the journal only its superblock is there. What is
//! not written is not read either, so old contents of the medium do no harm.
//!
//! Source: the kernel's `Documentation/filesystems/ext4/`.

mod bytes;
mod checksum;
mod chunks;
mod directory;
mod geometry;
mod group;
mod inode;
mod journal;
mod options;
mod placement;
mod stagger;
mod superblock;

pub use bytes::Aligned;
pub use chunks::{Chunk, Chunks};
pub use geometry::{MAX_BYTES, MIN_BYTES};
pub use options::{Error, Label, Options};

use bytes::Block;
use checksum::Checksum;
use geometry::{BLOCK_SIZE, FIRST_INODE, GROUP_BLOCKS, Geometry, INODE_SIZE};
use inode::{Inode, JOURNAL_INODE, LOST_FOUND_INODE, ROOT_INODE};
use placement::Placement;

/// A new file system: its counts, where its metadata lies, and how to render it.
#[derive(Debug, Clone)]
pub struct Filesystem {
    geometry: Geometry,
    placement: Placement,
    /// Of each group, whether its block bitmap is on disk: of few, where there are many.
    mapped: Vec<bool>,
    options: Options,
    /// Seed of all checksums but those of superblocks.
    checksum: Checksum,
}

impl Filesystem {
    /// Plans a file system on a medium of `size_bytes`.
    ///
    /// # Errors
    /// Sizes outside of [`MIN_BYTES`]`..=`[`MAX_BYTES`] and options outside of their ranges.
    pub fn plan(size_bytes: u64, options: &Options) -> Result<Self, Error> {
        if u16::try_from(options.stride_blocks).is_err() {
            return Err(Error::Stride { blocks: options.stride_blocks });
        }
        let geometry =
            Geometry::new(size_bytes, options.reserved_percent, options.bytes_per_inode)?;
        let placement = Placement::new(&geometry, options);
        let mapped = mapped_groups(&geometry, &placement);
        let checksum = Checksum::of_filesystem(&options.uuid);
        Ok(Self { geometry, placement, mapped, options: options.clone(), checksum })
    }

    /// Whether [`plan`](Self::plan) takes a medium of `size_bytes`, by the choices that its
    /// size can forbid; lays nothing out.
    ///
    /// # Errors
    /// As [`plan`](Self::plan).
    pub fn check(
        size_bytes: u64,
        reserved_percent: u8,
        bytes_per_inode: Option<u32>,
    ) -> Result<(), Error> {
        Geometry::new(size_bytes, reserved_percent, bytes_per_inode).map(drop)
    }

    /// What to write: ascending offsets, and last of all the primary superblock
    /// (the whole block 0), which alone makes the rest a file system. Each chunk is
    /// rendered when it is asked for.
    pub fn chunks(&self) -> Chunks<'_> {
        Chunks::new(self)
    }

    /// Bytes of a block: 4096.
    #[must_use]
    pub fn block_bytes(&self) -> u64 {
        BLOCK_SIZE
    }

    /// Blocks of the file system.
    #[must_use]
    pub fn blocks(&self) -> u64 {
        self.geometry.blocks
    }

    /// Blocks that only root may use.
    #[must_use]
    pub fn reserved_blocks(&self) -> u64 {
        self.geometry.reserved_blocks
    }

    /// Blocks that are not in use.
    #[must_use]
    pub fn free_blocks(&self) -> u64 {
        self.geometry.blocks.saturating_sub(self.placement.used_blocks())
    }

    /// Block groups of 32768 blocks; the last may be short.
    #[must_use]
    pub fn groups(&self) -> u32 {
        self.geometry.groups
    }

    /// Inodes of all groups.
    #[must_use]
    pub fn inodes(&self) -> u32 {
        self.geometry.inodes
    }

    /// Blocks of the journal.
    #[must_use]
    pub fn journal_blocks(&self) -> u64 {
        self.geometry.journal_blocks
    }

    /// Blocks that `statfs` leaves out: all in use but those of files and directories.
    fn overhead_blocks(&self) -> u64 {
        self.placement.used_blocks().saturating_sub(self.placement.file_blocks())
    }

    fn free_inodes(&self) -> u32 {
        self.geometry.inodes.saturating_sub(FIRST_INODE)
    }

    fn free_blocks_of(&self, group: u32) -> u32 {
        let range = self.geometry.group_range(group);
        let blocks = range.end.saturating_sub(range.start);
        let used = if self.has_block_bitmap(group) {
            let used = self.placement.used(group, &range);
            used.map(|used| used.end.saturating_sub(used.start)).sum()
        } else {
            0
        };
        // At most the blocks of a group, so the conversion does not fail.
        u32::try_from(blocks.saturating_sub(used)).unwrap_or(0)
    }

    /// Whether the block bitmap of `group` is on disk.
    fn has_block_bitmap(&self, group: u32) -> bool {
        self.mapped.get(group as usize).is_some_and(|is_mapped| *is_mapped)
    }

    fn journal_inode(&self) -> Inode {
        let Placement { journal, extent_block, .. } = &self.placement;
        Inode::over(JOURNAL_INODE, 0o100_600, 1, journal, *extent_block)
    }

    /// Inodes 1 to 16: the first block of the first table.
    fn render_inodes(&self, block: &mut Block) {
        let root = self.placement.root;
        let root = root..root.saturating_add(1);
        let inodes = [
            Inode::over(ROOT_INODE, 0o040_755, 3, &root, None),
            self.journal_inode(),
            Inode::over(LOST_FOUND_INODE, 0o040_700, 2, &self.placement.lost_found(), None),
        ];
        let records = usize::try_from(INODE_SIZE).unwrap_or(usize::MAX);
        for (record, number) in block.chunks_exact_mut(records).zip(1..) {
            if let Some(inode) = inodes.iter().find(|inode| inode.number == number) {
                inode.render(record, self.checksum, self.options.created_s);
            }
        }
    }
}

/// Of each group, whether its block bitmap is on disk: where any block is in use, in the first (the
/// kernel insists) and in the last, which may be short.
fn mapped_groups(geometry: &Geometry, placement: &Placement) -> Vec<bool> {
    let mut mapped = vec![false; geometry.groups as usize];
    mapped.first_mut().into_iter().for_each(|first| *first = true);
    mapped.last_mut().into_iter().for_each(|last| *last = true);
    for used in placement.all_used() {
        // Groups are counted by a u32.
        let group = |block: u64| usize::try_from(block / GROUP_BLOCKS).unwrap_or(usize::MAX);
        let groups = group(used.start)..=group(used.end.saturating_sub(1));
        mapped.get_mut(groups).unwrap_or_default().fill(true);
    }
    mapped
}

#[cfg(test)]
mod tests;

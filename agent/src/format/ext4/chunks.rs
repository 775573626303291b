//! The plan as bytes at offsets, rendered as it is asked for.

use super::Filesystem;
use super::bytes::{Aligned, BLOCK_BYTES, Block};
use super::geometry::BLOCK_SIZE;
use super::inode::JOURNAL_INODE;
use super::{directory, group, inode, journal, superblock};
use std::iter::Peekable;
use std::vec::IntoIter;

/// Longest run of bytes handed out at once: a part for each of eight members of an array.
const CHUNK_BYTES: usize = 4 << 20;
/// Offset of the primary superblock: behind room for a boot loader.
const SUPERBLOCK_OFFSET: usize = 1024;

/// Bytes to write.
#[derive(Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Where they go: bytes from the start of the file system, a multiple of 4096.
    pub offset: u64,
    /// What to write: a multiple of 4096 bytes, at most 4 MiB.
    pub bytes: Aligned,
}

/// A run of blocks of one kind.
#[derive(Debug, Clone, Copy)]
struct Region {
    start: u64,
    blocks: u64,
    kind: Kind,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Backup(u32),
    Descriptors,
    Root,
    LostFound,
    JournalExtents,
    BlockBitmap(u32),
    InodeBitmap,
    InodeTable,
    Journal,
}

/// The chunks of a file system: ascending, then the primary superblock.
///
/// Holds one chunk at a time, and the descriptors: 16 MiB for 32 TiB.
pub struct Chunks<'a> {
    filesystem: &'a Filesystem,
    /// Blocks of descriptors that have been rendered: the backups are the same.
    descriptors: Vec<Block>,
    /// One item for each block, in the order of the medium.
    blocks: Peekable<Blocks>,
    superblock_is_due: bool,
    /// Memory of a chunk that has been used: the kernel has to find none for the next.
    spare: Option<Aligned>,
}

impl<'a> Chunks<'a> {
    /// The chunks of `filesystem`.
    pub(super) fn new(filesystem: &'a Filesystem) -> Self {
        let blocks = Blocks { regions: regions(filesystem).into_iter(), current: None }.peekable();
        let count = usize::try_from(filesystem.geometry.descriptor_blocks).unwrap_or(0);
        let descriptors = Vec::with_capacity(count);
        Self { filesystem, descriptors, blocks, superblock_is_due: true, spare: None }
    }

    /// Takes back a chunk: the next one is rendered into its memory.
    pub fn reuse(&mut self, chunk: Chunk) {
        self.spare = Some(chunk.bytes);
    }

    /// Appends one block to `bytes`.
    fn append(&mut self, kind: Kind, index: u64, bytes: &mut Aligned) {
        let place = usize::try_from(index).unwrap_or(usize::MAX);
        if let Kind::Descriptors = kind
            && let Some(known) = self.descriptors.get(place)
        {
            return bytes.append(known);
        }
        let block = render(self.filesystem, kind, index);
        bytes.append(&block);
        // The first copy comes whole and in order before any backup.
        if let Kind::Descriptors = kind
            && place == self.descriptors.len()
        {
            self.descriptors.push(block);
        }
    }

    fn primary_superblock(&self) -> Chunk {
        let mut block = [0; BLOCK_BYTES];
        let (_, rest) = block.split_at_mut(SUPERBLOCK_OFFSET);
        let (record, _) = rest.split_at_mut(superblock::SIZE);
        superblock::render(record, self.filesystem, 0);
        let mut bytes = Aligned::new(BLOCK_BYTES);
        bytes.append(&block);
        Chunk { offset: 0, bytes }
    }
}

impl Iterator for Chunks<'_> {
    type Item = Chunk;

    fn next(&mut self) -> Option<Chunk> {
        let Some((first, _, _)) = self.blocks.peek().copied() else {
            let due = std::mem::take(&mut self.superblock_is_due);
            return due.then(|| self.primary_superblock());
        };
        let mut bytes = self.spare.take().unwrap_or_else(|| Aligned::new(CHUNK_BYTES));
        bytes.clear();
        let mut next = first;
        while let Some((_, kind, index)) = self.blocks.next_if(|(at, _, _)| *at == next) {
            self.append(kind, index, &mut bytes);
            next = next.saturating_add(1);
            if bytes.len() >= CHUNK_BYTES {
                break;
            }
        }
        Some(Chunk { offset: first.saturating_mul(BLOCK_SIZE), bytes })
    }
}

/// Goes through the blocks of regions: block, kind, index within the region.
struct Blocks {
    regions: IntoIter<Region>,
    current: Option<(Region, u64)>,
}

impl Iterator for Blocks {
    type Item = (u64, Kind, u64);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.current {
                Some((region, index)) if index < region.blocks => {
                    self.current = Some((region, index.saturating_add(1)));
                    return Some((region.start.saturating_add(index), region.kind, index));
                }
                _ => self.current = Some((self.regions.next()?, 0)),
            }
        }
    }
}

/// All that is written but the primary superblock, in the order of the medium.
fn regions(filesystem: &Filesystem) -> Vec<Region> {
    let Filesystem { geometry, placement, .. } = filesystem;
    let region = |start, blocks, kind| Region { start, blocks, kind };
    let first = placement.pack(0);
    let lost_found = placement.lost_found();
    let mut regions = vec![
        region(1, geometry.descriptor_blocks, Kind::Descriptors),
        region(placement.root, 1, Kind::Root),
        region(lost_found.start, lost_found.end.saturating_sub(lost_found.start), Kind::LostFound),
        region(first.inode_bitmap(0), 1, Kind::InodeBitmap),
        region(first.inode_table(0, geometry.table_blocks()), 1, Kind::InodeTable),
        region(placement.journal.start, 1, Kind::Journal),
    ];
    regions.extend(placement.extent_block.map(|block| region(block, 1, Kind::JournalExtents)));
    for group in geometry.backup_groups() {
        let start = geometry.group_start(group);
        regions.push(region(start, 1, Kind::Backup(group)));
        let descriptors = start.saturating_add(1);
        regions.push(region(descriptors, geometry.descriptor_blocks, Kind::Descriptors));
    }
    for group in (0..geometry.groups).filter(|group| filesystem.has_block_bitmap(*group)) {
        let bitmap = placement.pack(group).block_bitmap(group);
        regions.push(region(bitmap, 1, Kind::BlockBitmap(group)));
    }
    regions.sort_unstable_by_key(|region| region.start);
    regions
}

fn render(filesystem: &Filesystem, kind: Kind, index: u64) -> Block {
    let Filesystem { geometry, placement, options, checksum, .. } = filesystem;
    let mut block = [0; BLOCK_BYTES];
    match kind {
        Kind::Backup(group) => {
            let (record, _) = block.split_at_mut(superblock::SIZE);
            superblock::render(record, filesystem, group);
        }
        Kind::Descriptors => group::render_descriptors(&mut block, filesystem, index),
        Kind::Root => directory::render_root(&mut block, *checksum),
        Kind::LostFound => directory::render_lost_found(&mut block, index, *checksum),
        Kind::JournalExtents => {
            let journal = &placement.journal;
            inode::render_extent_block(&mut block, journal, *checksum, JOURNAL_INODE);
        }
        Kind::BlockBitmap(group) => {
            group::render_block_bitmap(&mut block, filesystem, group);
        }
        Kind::InodeBitmap => group::render_inode_bitmap(&mut block, filesystem),
        Kind::InodeTable => filesystem.render_inodes(&mut block),
        Kind::Journal => journal::render(&mut block, geometry, options),
    }
    block
}

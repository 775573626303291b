//! Where the metadata lies.
//!
//! Bitmaps and inode tables of 128 groups at a time, of up to 1,024 in a large file
//! system, are packed together (which `flex_bg` allows): few bitmaps describe the groups
//! that hold them, they lie in one piece, and all other groups need no bitmap on disk. In order:
//! superblock, descriptors, root directory, `lost+found`, an extent block, then
//! the first pack and the journal; every later pack at the start of its groups,
//! shifted to the member of a striped array that has had the fewest writes.
//! Source: `Documentation/filesystems/ext4/blockgroup.rst`.

use super::geometry::{GROUP_BLOCKS, Geometry};
use super::inode;
use super::options::Options;
use super::stagger::Members;
use std::ops::{Range, RangeInclusive};

/// Groups of a pack: a write for each pack is most of what a large file system costs.
const PACK_GROUPS: RangeInclusive<u32> = 128..=1024;
/// Packs below which they do not grow: enough to give each member of an array its share.
const ENOUGH_PACKS: u32 = 64;
/// Blocks of `lost+found`: room for its entries must be there before it is needed.
const LOST_FOUND_BLOCKS: u64 = 4;
/// Root directory and `lost+found`.
const DIRECTORY_BLOCKS: u64 = 1 + LOST_FOUND_BLOCKS;

/// Groups whose bitmaps and inode tables lie together.
#[derive(Debug, Clone)]
pub(super) struct Pack {
    /// First of its groups.
    pub(super) first_group: u32,
    /// How many groups follow one another.
    pub(super) groups: u32,
    /// Blocks that it takes: block bitmaps, inode bitmaps, inode tables.
    pub(super) blocks: Range<u64>,
}

impl Pack {
    fn index(&self, group: u32) -> u64 {
        u64::from(group.saturating_sub(self.first_group))
    }

    /// Block bitmap of `group`.
    pub(super) fn block_bitmap(&self, group: u32) -> u64 {
        self.blocks.start.saturating_add(self.index(group))
    }

    /// Inode bitmap of `group`.
    pub(super) fn inode_bitmap(&self, group: u32) -> u64 {
        self.block_bitmap(group).saturating_add(u64::from(self.groups))
    }

    /// First block of the inode table of `group`.
    pub(super) fn inode_table(&self, group: u32, table_blocks: u64) -> u64 {
        let bitmaps = u64::from(self.groups).saturating_mul(2);
        let tables = self.index(group).saturating_mul(table_blocks);
        self.blocks.start.saturating_add(bitmaps).saturating_add(tables)
    }
}

/// Every block that is in use in the new file system.
#[derive(Debug, Clone)]
pub(super) struct Placement {
    /// Superblock, descriptors, directories, journal and backups: few and disjoint.
    pub(super) fixed: Vec<Range<u64>>,
    /// Block of the root directory; `lost+found` follows.
    pub(super) root: u64,
    /// Block for the journal's extents, where they do not fit its inode.
    pub(super) extent_block: Option<u64>,
    /// The journal.
    pub(super) journal: Range<u64>,
    /// Groups of each pack but the last.
    pack_groups: u32,
    first_pack: Pack,
    later_packs: Vec<Pack>,
}

impl Placement {
    /// Places the metadata of `geometry`.
    pub(super) fn new(geometry: &Geometry, options: &Options) -> Self {
        let base = geometry.copy_range(0);
        let root = base.end;
        let mut files_end = root.saturating_add(DIRECTORY_BLOCKS);
        let extent_block = inode::needs_extent_block(geometry.journal_blocks).then_some(files_end);
        if extent_block.is_some() {
            files_end = files_end.saturating_add(1);
        }
        let backups: Vec<_> =
            geometry.backup_groups().map(|group| geometry.copy_range(group)).collect();
        let pack_groups = pack_groups(geometry.groups);
        let count = (geometry.groups / pack_groups).max(1);
        let groups = |pack| groups_of_pack(geometry.groups, pack_groups, pack, count);
        let first_pack = place_first_pack(geometry, groups(0), files_end);
        let journal_start = first_pack.blocks.end;
        let journal = skip_over(&backups, journal_start, geometry.journal_blocks);
        let mut fixed = vec![base.start..files_end, journal.clone()];
        fixed.extend(backups);

        let mut members = Members::new(options.stride_blocks, options.stripe_width_blocks);
        if let Some(members) = &mut members {
            count_fixed_writes(members, &fixed, &first_pack, &journal);
        }
        let later_packs =
            (1..count).map(|pack| place_pack(geometry, groups(pack), &mut members)).collect();
        Self { fixed, root, extent_block, journal, pack_groups, first_pack, later_packs }
    }

    /// All packs in the order of their groups.
    pub(super) fn packs(&self) -> impl Iterator<Item = &Pack> {
        std::iter::once(&self.first_pack).chain(&self.later_packs)
    }

    /// The pack with the metadata of `group`.
    pub(super) fn pack(&self, group: u32) -> &Pack {
        let last = self.later_packs.len();
        let index = usize::try_from(group / self.pack_groups).unwrap_or(last).min(last);
        let later = index.checked_sub(1).and_then(|index| self.later_packs.get(index));
        later.unwrap_or(&self.first_pack)
    }

    /// Blocks of `lost+found`.
    pub(super) fn lost_found(&self) -> Range<u64> {
        let start = self.root.saturating_add(1);
        start..start.saturating_add(LOST_FOUND_BLOCKS)
    }

    /// Blocks of directories and of extents: in use, but no overhead of the file system.
    pub(super) fn file_blocks(&self) -> u64 {
        DIRECTORY_BLOCKS.saturating_add(u64::from(self.extent_block.is_some()))
    }

    /// Blocks in use among `blocks`, which lie in `group`.
    ///
    /// A pack lies within its own groups, so no other pack is asked.
    pub(super) fn used(&self, group: u32, blocks: &Range<u64>) -> impl Iterator<Item = Range<u64>> {
        let own = std::iter::once(&self.pack(group).blocks);
        let (start, end) = (blocks.start, blocks.end);
        let cut = move |used: &Range<u64>| used.start.max(start)..used.end.min(end);
        self.fixed.iter().chain(own).map(cut).filter(|used| !used.is_empty())
    }

    /// Blocks in use in the whole file system, in any order.
    pub(super) fn all_used(&self) -> impl Iterator<Item = &Range<u64>> {
        self.fixed.iter().chain(self.packs().map(|pack| &pack.blocks))
    }

    /// How many those are.
    pub(super) fn used_blocks(&self) -> u64 {
        self.all_used().map(|used| used.end.saturating_sub(used.start)).sum()
    }
}

/// Groups of a pack in a file system of `groups`: a power of two.
fn pack_groups(groups: u32) -> u32 {
    let wanted = (groups / ENOUGH_PACKS).checked_ilog2().map_or(0, |log| 1 << log);
    wanted.clamp(*PACK_GROUPS.start(), *PACK_GROUPS.end())
}

/// The last pack takes what is left over, up to twice as many.
fn groups_of_pack(groups: u32, pack_groups: u32, pack: u32, packs: u32) -> Range<u32> {
    let first = pack.saturating_mul(pack_groups);
    let is_last = pack.saturating_add(1) == packs;
    first..if is_last { groups } else { first.saturating_add(pack_groups) }
}

fn pack_at(geometry: &Geometry, groups: &Range<u32>, start: u64) -> Pack {
    let count = groups.end.saturating_sub(groups.start);
    let each = geometry.table_blocks().saturating_add(2);
    let blocks = start..start.saturating_add(each.saturating_mul(u64::from(count)));
    Pack { first_group: groups.start, groups: count, blocks }
}

/// Behind the directories where that fits group 0, else behind the backup in group 1.
fn place_first_pack(geometry: &Geometry, groups: Range<u32>, after: u64) -> Pack {
    let pack = pack_at(geometry, &groups, after);
    if geometry.groups == 1 || pack.blocks.end <= GROUP_BLOCKS {
        return pack;
    }
    pack_at(geometry, &groups, geometry.copy_range(1).end)
}

fn place_pack(geometry: &Geometry, groups: Range<u32>, members: &mut Option<Members>) -> Pack {
    let start = geometry.group_start(groups.start);
    let limit = geometry.group_start(groups.end.saturating_sub(2));
    let shifted = members
        .as_ref()
        .map(|members| pack_at(geometry, &groups, members.calmest_from(start)))
        .filter(|pack| pack.blocks.end <= limit);
    let pack = shifted.unwrap_or_else(|| pack_at(geometry, &groups, start));
    if let Some(members) = members {
        members.count(pack.blocks.start..pack.blocks.start.saturating_add(1));
    }
    pack
}

/// `blocks` in one piece from `start` on, behind each of `taken` that is in the way.
fn skip_over(taken: &[Range<u64>], start: u64, blocks: u64) -> Range<u64> {
    taken.iter().fold(start..start.saturating_add(blocks), |place, taken| {
        let clear = place.end <= taken.start || taken.end <= place.start;
        if clear { place } else { taken.end..taken.end.saturating_add(blocks) }
    })
}

/// Writes that go where they must, before the first pack that can be shifted.
fn count_fixed_writes(
    members: &mut Members,
    fixed: &[Range<u64>],
    pack: &Pack,
    journal: &Range<u64>,
) {
    // The superblock by itself, at the end.
    members.count(0..1);
    for written in fixed.iter().filter(|range| *range != journal) {
        members.count(written.clone());
    }
    let firsts =
        [pack.block_bitmap(0), pack.inode_bitmap(0), pack.inode_table(0, 0), journal.start];
    for block in firsts {
        members.count(block..block.saturating_add(1));
    }
}

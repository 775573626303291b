//! The four inodes of a new file system and their extents.
//!
//! Source: `Documentation/filesystems/ext4/{inodes,ifork,special_inodes}.rst`.

use super::bytes::{BLOCK_BYTES, Block, Fields};
use super::checksum::Checksum;
use super::geometry::{BLOCK_SIZE, FIRST_INODE, GROUP_BLOCKS};
use std::ops::Range;

/// `EXT4_ROOT_INO`
pub(super) const ROOT_INODE: u32 = 2;
/// `EXT4_JOURNAL_INO`
pub(super) const JOURNAL_INODE: u32 = 8;
/// The first inode that is not reserved.
pub(super) const LOST_FOUND_INODE: u32 = FIRST_INODE;

/// `i_extra_isize`: bytes in use behind the first 128.
pub(super) const EXTRA_ISIZE: u16 = 32;
/// `EXT4_EXTENTS_FL`
const EXTENTS_FLAG: u32 = 0x8_0000;
/// `eh_magic`
const EXTENT_MAGIC: u16 = 0xf30a;
/// Entries that the root of an extent tree, `i_block`, has room for.
const ROOT_ENTRIES: u64 = 4;
/// Entries of a block: 340, and 4 bytes are left over for the checksum.
const LEAF_ENTRIES: u16 = 340;

/// An inode before it is rendered.
pub(super) struct Inode {
    /// Its number.
    pub(super) number: u32,
    /// `i_mode`
    pub(super) mode: u16,
    /// `i_links_count`
    pub(super) links: u16,
    /// `i_size` in bytes.
    pub(super) size: u64,
    /// Blocks that it holds, with that of its extents.
    pub(super) blocks: u64,
    /// `i_block`: the root of its extents.
    pub(super) extents: [u8; 60],
}

impl Inode {
    /// A file or directory over `data`, whose extents are in `extent_block` where
    /// there is one.
    pub(super) fn over(
        number: u32,
        mode: u16,
        links: u16,
        data: &Range<u64>,
        extent_block: Option<u64>,
    ) -> Self {
        let blocks = data.end.saturating_sub(data.start);
        let extents = extent_block.map_or_else(|| extents_in_inode(data), index_of);
        let size = blocks.saturating_mul(BLOCK_SIZE);
        let blocks = blocks.saturating_add(u64::from(extent_block.is_some()));
        Self { number, mode, links, size, blocks, extents }
    }

    /// Writes the inode into its 256 bytes of the table.
    pub(super) fn render(&self, record: &mut [u8], filesystem: Checksum, created_s: u32) {
        let mut fields = Fields::new(record);
        fields.le16(0x00, self.mode);
        fields.split64(0x04, 0x6c, self.size);
        for time in [0x08, 0x0c, 0x10, 0x90] {
            fields.le32(time, created_s);
        }
        // The seconds are signed; two bits more of them stand in the extra fields.
        let epoch = u32::from(created_s > i32::MAX.unsigned_abs());
        for extra in [0x84, 0x88, 0x8c, 0x94] {
            fields.le32(extra, epoch);
        }
        fields.le16(0x1a, self.links);
        fields.split48(0x1c, 0x74, self.blocks.saturating_mul(BLOCK_SIZE / 512));
        fields.le32(0x20, EXTENTS_FLAG);
        fields.bytes(0x28, &self.extents);
        fields.le16(0x80, EXTRA_ISIZE);
        let checksum = inode_seed(filesystem, self.number).over(record);
        Fields::new(record).split32(0x7c, 0x82, checksum.value());
    }
}

/// Seed of everything that belongs to an inode: its number and generation, which is 0.
pub(super) fn inode_seed(filesystem: Checksum, number: u32) -> Checksum {
    filesystem.over(&number.to_le_bytes()).over(&0u32.to_le_bytes())
}

/// Whether the extents of a run of `blocks` do not fit an inode.
pub(super) fn needs_extent_block(blocks: u64) -> bool {
    blocks > ROOT_ENTRIES * GROUP_BLOCKS
}

/// Extents of one run of blocks: 32768 blocks each at the most (`EXT_INIT_MAX_LEN`).
fn split(data: &Range<u64>) -> impl Iterator<Item = (u64, u64, u64)> {
    let blocks = data.end.saturating_sub(data.start);
    let start = data.start;
    (0..blocks.div_ceil(GROUP_BLOCKS)).map(move |index| {
        let logical = index.saturating_mul(GROUP_BLOCKS);
        let length = blocks.saturating_sub(logical).min(GROUP_BLOCKS);
        (logical, start.saturating_add(logical), length)
    })
}

fn header(fields: &mut Fields, entries: u16, room: u16, depth: u16) {
    fields.le16(0, EXTENT_MAGIC);
    fields.le16(2, entries);
    fields.le16(4, room);
    fields.le16(6, depth);
}

fn entries(fields: &mut Fields, data: &Range<u64>) -> u16 {
    let mut count = 0;
    for ((logical, physical, length), offset) in split(data).zip((12..).step_by(12)) {
        let [a, b, c, d, ..] = logical.to_le_bytes();
        let [low, high, ..] = length.to_le_bytes();
        fields.bytes(offset, &[a, b, c, d, low, high]);
        fields.split48(offset.saturating_add(8), offset.saturating_add(6), physical);
        count += 1;
    }
    count
}

/// `i_block` with the extents themselves, at most four.
fn extents_in_inode(data: &Range<u64>) -> [u8; 60] {
    let mut root = [0; 60];
    let mut fields = Fields::new(&mut root);
    let count = entries(&mut fields, data);
    header(&mut fields, count, 4, 0);
    root
}

/// `i_block` that points to one block of extents.
fn index_of(extent_block: u64) -> [u8; 60] {
    let mut root = [0; 60];
    let mut fields = Fields::new(&mut root);
    header(&mut fields, 1, 4, 1);
    fields.split48(12 + 4, 12 + 8, extent_block);
    root
}

/// The block that [`Inode::over`] points to where the extents do not fit the inode.
pub(super) fn render_extent_block(
    block: &mut Block,
    data: &Range<u64>,
    filesystem: Checksum,
    number: u32,
) {
    const TAIL: usize = BLOCK_BYTES - 4;
    let mut fields = Fields::new(block);
    let count = entries(&mut fields, data);
    header(&mut fields, count, LEAF_ENTRIES, 0);
    let (body, _) = block.split_at(TAIL);
    let checksum = inode_seed(filesystem, number).over(body);
    Fields::new(block).le32(TAIL, checksum.value());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_four_extents_keeps_them_in_its_inode_and_of_five_does_not() {
        assert!(!needs_extent_block(4 * 32_768) && needs_extent_block(1 + 4 * 32_768));
        let four = Inode::over(8, 0o100_600, 1, &(100..100 + 4 * 32_768), None);
        assert_eq!(
            (four.blocks, &four.extents[..8]),
            (131_072, &[0x0a, 0xf3, 4, 0, 4, 0, 0, 0][..])
        );
        let five = Inode::over(8, 0o100_600, 1, &(100..101 + 4 * 32_768), Some(7));
        assert_eq!(
            (five.blocks, &five.extents[..8]),
            (131_074, &[0x0a, 0xf3, 1, 0, 4, 0, 1, 0][..])
        );
        assert_eq!(five.extents[16..20], [7, 0, 0, 0]);
    }

    #[test]
    fn a_time_after_2038_carries_its_epoch_bit() {
        let inode = Inode::over(2, 0o040_755, 2, &(5..6), None);
        let mut record = [0; 256];
        inode.render(&mut record, Checksum::START, 0x8000_0000);
        assert_eq!((record[0x10..0x14].to_vec(), record[0x88]), (vec![0, 0, 0, 0x80], 1));
        let mut record = [0; 256];
        inode.render(&mut record, Checksum::START, 0x7fff_ffff);
        assert_eq!(record[0x88], 0);
    }

    #[test]
    fn an_extent_past_sixteen_tebibytes_has_its_high_bits() {
        let inode = Inode::over(2, 0o040_755, 2, &(0x1_2345_6789..0x1_2345_678a), None);
        assert_eq!(inode.extents[18..24], [1, 0, 0x89, 0x67, 0x45, 0x23]);
    }
}

//! The blocks of the root directory and of `lost+found`.
//!
//! Source: `Documentation/filesystems/ext4/directory.rst`.

use super::bytes::{BLOCK_BYTES, Block, Fields};
use super::checksum::Checksum;
use super::inode::{LOST_FOUND_INODE, ROOT_INODE, inode_seed};

/// `struct ext4_dir_entry_tail`: 12 bytes at the end of each block.
const TAIL: usize = BLOCK_BYTES - 12;
/// File type of a directory: `EXT4_FT_DIR`.
const TYPE_DIRECTORY: u8 = 2;
/// File type of the tail: `EXT4_FT_DIR_CSUM`.
const TYPE_TAIL: u8 = 0xde;

/// The only block of the root directory.
pub(super) fn render_root(block: &mut Block, filesystem: Checksum) {
    let entries = [(ROOT_INODE, "."), (ROOT_INODE, ".."), (LOST_FOUND_INODE, "lost+found")];
    render(block, &entries, inode_seed(filesystem, ROOT_INODE));
}

/// Block `index` of `lost+found`: entries in the first, room in the others.
pub(super) fn render_lost_found(block: &mut Block, index: u64, filesystem: Checksum) {
    let entries = [(LOST_FOUND_INODE, "."), (ROOT_INODE, "..")];
    let entries: &[_] = if index == 0 { &entries } else { &[] };
    render(block, entries, inode_seed(filesystem, LOST_FOUND_INODE));
}

/// Lays out `entries`, the last of which reaches up to the tail.
fn render(block: &mut Block, entries: &[(u32, &str)], seed: Checksum) {
    let mut fields = Fields::new(block);
    let mut at = 0;
    if entries.is_empty() {
        entry(&mut fields, at, TAIL, 0, "");
    }
    for (index, (inode, name)) in entries.iter().enumerate() {
        let is_last = index.saturating_add(1) == entries.len();
        let needed = name.len().saturating_add(8).next_multiple_of(4);
        let length = if is_last { TAIL.saturating_sub(at) } else { needed };
        entry(&mut fields, at, length, *inode, name);
        at = at.saturating_add(length);
    }
    fields.le16(TAIL + 4, 12);
    fields.byte(TAIL + 7, TYPE_TAIL);
    let (body, _) = block.split_at(TAIL);
    let checksum = seed.over(body);
    Fields::new(block).le32(TAIL + 8, checksum.value());
}

/// `struct ext4_dir_entry_2`
fn entry(fields: &mut Fields, at: usize, length: usize, inode: u32, name: &str) {
    let [length_low, length_high, ..] = length.to_le_bytes();
    let [name_length, ..] = name.len().to_le_bytes();
    let file_type = if inode == 0 { 0 } else { TYPE_DIRECTORY };
    fields.le32(at, inode);
    fields.bytes(at.saturating_add(4), &[length_low, length_high, name_length, file_type]);
    fields.bytes(at.saturating_add(8), name.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths(block: &Block) -> Vec<usize> {
        let mut at = 0;
        let mut lengths = Vec::new();
        while at < BLOCK_BYTES {
            let length = usize::from(u16::from_le_bytes([block[at + 4], block[at + 5]]));
            lengths.push(length);
            at += length;
        }
        lengths
    }

    #[test]
    fn entries_and_tail_fill_the_block_exactly() {
        let mut block = [0; BLOCK_BYTES];
        render_root(&mut block, Checksum::START);
        assert_eq!(lengths(&block), [12, 12, 4060, 12]);
        assert_eq!(&block[32..42], b"lost+found");
        let mut block = [0; BLOCK_BYTES];
        render_lost_found(&mut block, 1, Checksum::START);
        assert_eq!(lengths(&block), [4084, 12]);
    }
}

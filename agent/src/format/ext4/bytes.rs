//! Little-endian fields at fixed offsets of a metadata block.
//!
//! Offsets are constants beside the names of the kernel's fields, so that each
//! encoder reads like the table in the kernel's documentation that it follows.

use std::ops::Deref;

/// Bytes of a block, of a bitmap and of a page: the only block size written.
pub(super) const BLOCK_BYTES: usize = 4096;

/// One block of metadata while it is rendered.
pub(super) type Block = [u8; BLOCK_BYTES];

/// Bytes that begin at an address which is a multiple of a block's size: direct I/O takes them as
/// they lie.
#[derive(Debug)]
pub struct Aligned {
    all: Vec<u8>,
    /// Where they begin.
    begin: usize,
}

impl Aligned {
    /// None, with room for `size`: so many may be added before their place changes.
    pub(super) fn new(size: usize) -> Self {
        let mut all = Vec::<u8>::with_capacity(BLOCK_BYTES + size);
        // Wherever that cannot be told, it is slower and no more.
        let begin = all.as_ptr().align_offset(BLOCK_BYTES).min(BLOCK_BYTES);
        all.resize(begin, 0);
        Self { all, begin }
    }

    /// So many bytes of zeros.
    pub fn zeros(count: usize) -> Self {
        let mut zeros = Self::new(count);
        zeros.all.resize(zeros.begin + count, 0);
        zeros
    }

    pub(super) fn clear(&mut self) {
        self.all.truncate(self.begin);
    }

    pub(super) fn append(&mut self, block: &Block) {
        self.all.extend_from_slice(block);
    }
}

impl Deref for Aligned {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.all.get(self.begin..).unwrap_or_default()
    }
}

impl PartialEq for Aligned {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Aligned {}

/// A record (superblock, descriptor, inode, ...) that is filled field by field.
pub(super) struct Fields<'a>(&'a mut [u8]);

impl<'a> Fields<'a> {
    /// Wraps `record`; offsets count from its first byte.
    pub(super) fn new(record: &'a mut [u8]) -> Self {
        Self(record)
    }

    /// Copies `value` to `offset`.
    ///
    /// A field outside of the record is a slip in an encoder: caught in debug
    /// builds, which every test is, and left out in others.
    pub(super) fn bytes(&mut self, offset: usize, value: &[u8]) {
        let end = offset.saturating_add(value.len());
        match self.0.get_mut(offset..end) {
            Some(field) => field.copy_from_slice(value),
            None => debug_assert!(false, "field at {offset:#x} is outside of the record"),
        }
    }

    /// `__u8`
    pub(super) fn byte(&mut self, offset: usize, value: u8) {
        self.bytes(offset, &[value]);
    }

    /// `__le16`
    pub(super) fn le16(&mut self, offset: usize, value: u16) {
        self.bytes(offset, &value.to_le_bytes());
    }

    /// `__le32`
    pub(super) fn le32(&mut self, offset: usize, value: u32) {
        self.bytes(offset, &value.to_le_bytes());
    }

    /// `__be32`, as the journal has it.
    pub(super) fn be32(&mut self, offset: usize, value: u32) {
        self.bytes(offset, &value.to_be_bytes());
    }

    /// A value in two `__le16` fields, `_lo` and `_hi`.
    pub(super) fn split32(&mut self, low: usize, high: usize, value: u32) {
        let [a, b, c, d] = value.to_le_bytes();
        self.bytes(low, &[a, b]);
        self.bytes(high, &[c, d]);
    }

    /// A value of up to 48 bits in an `__le32` field and an `__le16` field.
    pub(super) fn split48(&mut self, low: usize, high: usize, value: u64) {
        let [a, b, c, d, e, f, ..] = value.to_le_bytes();
        self.bytes(low, &[a, b, c, d]);
        self.bytes(high, &[e, f]);
    }

    /// A value in two `__le32` fields, `_lo` and `_hi`.
    pub(super) fn split64(&mut self, low: usize, high: usize, value: u64) {
        let [a, b, c, d, e, f, g, h] = value.to_le_bytes();
        self.bytes(low, &[a, b, c, d]);
        self.bytes(high, &[e, f, g, h]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_of_a_split_value_go_to_their_own_fields() {
        let mut record = [0u8; 16];
        let mut fields = Fields::new(&mut record);
        fields.split64(0, 8, 0x1122_3344_5566_7788);
        fields.split32(4, 12, 0xaabb_ccdd);
        assert_eq!(record[..8], [0x88, 0x77, 0x66, 0x55, 0xdd, 0xcc, 0, 0]);
        assert_eq!(record[8..], [0x44, 0x33, 0x22, 0x11, 0xbb, 0xaa, 0, 0]);
    }

    #[test]
    #[should_panic(expected = "outside of the record")]
    fn a_field_past_the_record_is_caught() {
        Fields::new(&mut [0u8; 4]).le32(2, 1);
    }
}

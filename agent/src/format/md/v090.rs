//! Superblocks of version 0.90 (`mdp_superblock_s`), in the byte order of the
//! machine that wrote them: recognised, so that they are not taken for nothing.

use super::MAGIC;

/// What is read of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Superblock090 {
    /// 0, 1, 4, 5, 6, 10, …
    pub level: i32,
    /// Slots of the array.
    pub raid_disks: u32,
}

/// Where one lies on a device: the last 64 KiB-aligned 64 KiB block, in bytes.
/// `None` for a device that has no room for it.
pub fn offset_090(size_bytes: u64) -> Option<u64> {
    (size_bytes & !0xffff).checked_sub(0x1_0000)
}

/// Reads one from its first byte on.
pub fn decode_090(bytes: &[u8]) -> Option<Superblock090> {
    let word = |index: usize| bytes.get(index.checked_mul(4)?..)?.first_chunk::<4>();
    let magic = word(0)?;
    let read: fn([u8; 4]) -> u32 = if *magic == MAGIC.to_le_bytes() {
        u32::from_le_bytes
    } else if *magic == MAGIC.to_be_bytes() {
        u32::from_be_bytes
    } else {
        return None;
    };
    if read(*word(1)?) != 0 {
        return None;
    }
    Some(Superblock090 { level: read(*word(7)?).cast_signed(), raid_disks: read(*word(10)?) })
}

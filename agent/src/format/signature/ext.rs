//! ext2, ext3 and ext4 by their primary superblock.
//! Source: the kernel's `Documentation/filesystems/ext4/super.rst`.

use std::fmt;

/// Bytes from the start of the volume to the superblock.
pub(super) const OFFSET: u64 = 1024;

/// What is read of a superblock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtSuperblock {
    /// 2, 3 or 4.
    pub version: u8,
    /// `s_uuid`.
    pub uuid: [u8; 16],
    /// `s_volume_name`, at most 16 bytes.
    pub label: String,
    /// Size of the file system in bytes.
    pub size_bytes: u64,
}

impl fmt::Display for ExtSuperblock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ext{}", self.version)?;
        if !self.label.is_empty() {
            write!(f, " \"{}\"", self.label.escape_default())?;
        }
        Ok(())
    }
}

/// Reads the superblock of a volume from the volume's first bytes.
pub(super) fn decode(head: &[u8]) -> Option<ExtSuperblock> {
    let bytes = head.get(usize::try_from(OFFSET).ok()?..)?.first_chunk::<1024>()?;
    let u32_at = |at: usize| Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
    if bytes.get(0x38..0x3a)? != [0x53, 0xef] {
        return None;
    }
    let (compatible, incompatible, read_only) = (u32_at(0x5c)?, u32_at(0x60)?, u32_at(0x64)?);
    // Extents, 64-bit and flexible groups; then those that only ext4 may write to.
    let is_4 = incompatible & !0x1f != 0 || read_only & !0x7 != 0;
    let has_journal = compatible & 0x4 != 0;
    let label = bytes.get(0x78..0x88)?.split(|&byte| byte == 0).next()?;
    let high = if incompatible & 0x80 == 0 { 0 } else { u32_at(0x150)? };
    let blocks = u64::from(high) << 32 | u64::from(u32_at(0x4)?);
    let block_bytes = 1024u64.checked_shl(u32_at(0x18)?).filter(|&bytes| bytes <= 65536)?;
    Some(ExtSuperblock {
        version: if is_4 {
            4
        } else if has_journal {
            3
        } else {
            2
        },
        uuid: *bytes.get(0x68..)?.first_chunk()?,
        label: String::from_utf8_lossy(label).into_owned(),
        size_bytes: blocks.saturating_mul(block_bytes),
    })
}

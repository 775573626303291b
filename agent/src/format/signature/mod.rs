//! What is on a disk: signatures of file systems, arrays, volume managers and
//! partition tables in its first and last MiB.
//!
//! The question answered here is "may this be overwritten", so the last resort is
//! not "nothing found" but [`What::Unknown`]: a disk is blank only when both
//! windows hold nothing but zeros.
//!
//! Sources: each format's own header or on-disk documentation, named in `table`.

mod ext;
mod marker;
mod table;

use std::fmt;

use super::md;
use super::swap::{self, SwapHeader};

pub use ext::ExtSuperblock;
pub use marker::{MARKER_BYTES, encode_marker};

/// Bytes that are looked at from the start of a device, and up to its end.
pub const WINDOW_BYTES: u64 = 1 << 20;

/// The two ends of a device as they were read.
#[derive(Debug, Clone, Copy)]
pub struct Windows<'a> {
    /// Size of the device in bytes.
    pub size_bytes: u64,
    /// The first bytes, [`WINDOW_BYTES`] of them where there are so many.
    pub head: &'a [u8],
    /// The last bytes; empty where only the start is of interest.
    pub tail: &'a [u8],
}

/// What was found on a device.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contents {
    /// All signatures by offset; more than one is common (a partition table with its
    /// backup, an array that was made over an old file system).
    pub found: Vec<Signature>,
}

/// One signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// Bytes from the start of the device.
    pub offset: u64,
    /// What it says.
    pub what: What,
}

/// The kinds that are told apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// An md superblock of version 1: 1.2 at 4 KiB, 1.1 at the start, 1.0 at the end.
    Md {
        /// 0, 1 or 2.
        minor: u32,
        /// What it says.
        superblock: Box<md::Superblock>,
    },
    /// An md superblock of version 0.90.
    Md090(md::Superblock090),
    /// The magic of an md superblock with something wrong behind it.
    MdDamaged(md::SuperblockError),
    /// ext2, ext3 or ext4.
    Ext(ExtSuperblock),
    /// A swap area.
    Swap(SwapHeader),
    /// The agent was making the file system of the named volume and did not finish.
    Formatting(String),
    /// A partition table of the old kind.
    Mbr,
    /// Something of the table: its name.
    Known(&'static str),
    /// Bytes that are not zero and that nothing here knows.
    Unknown,
}

impl Contents {
    /// Whether both windows held nothing but zeros.
    pub fn is_blank(&self) -> bool {
        self.found.is_empty()
    }

    /// The superblock of version 1.2, where there is one and nothing else.
    pub fn only_md_1_2(&self) -> Option<&md::Superblock> {
        match self.found.as_slice() {
            [Signature { what: What::Md { minor: 2, superblock }, .. }] => Some(superblock),
            _ => None,
        }
    }

    /// The ext superblock, where there is one and nothing else.
    pub fn only_ext(&self) -> Option<&ExtSuperblock> {
        match self.found.as_slice() {
            [Signature { what: What::Ext(superblock), .. }] => Some(superblock),
            _ => None,
        }
    }

    /// The swap area, where the device is one and nothing else.
    pub fn only_swap(&self) -> Option<&SwapHeader> {
        match self.found.as_slice() {
            [Signature { what: What::Swap(header), .. }] => Some(header),
            _ => None,
        }
    }

    /// Whether both are the same but for what md itself writes to a member: its count of
    /// changes, the time, its state.
    pub fn is_same_but_for_md(&self, other: &Self) -> bool {
        let is_same = |(a, b): (&Signature, &Signature)| match (&a.what, &b.what) {
            (What::Md { superblock: one, .. }, What::Md { superblock: two, .. }) => {
                let identity = |superblock: &md::Superblock| {
                    (superblock.set_uuid, superblock.device_uuid, superblock.level)
                };
                a.offset == b.offset && identity(one) == identity(two)
            }
            _ => a == b,
        };
        self.found.len() == other.found.len() && self.found.iter().zip(&other.found).all(is_same)
    }

    /// The volume whose file system was being made when the agent was stopped.
    pub fn formatting(&self) -> Option<&str> {
        self.found.iter().find_map(|signature| match &signature.what {
            What::Formatting(volume) => Some(volume.as_str()),
            _ => None,
        })
    }
}

impl fmt::Display for Contents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.found.is_empty() {
            return f.write_str("blank");
        }
        let mut names: Vec<String> = Vec::new();
        for signature in &self.found {
            let name = signature.what.to_string();
            if !names.contains(&name) {
                names.push(name);
            }
        }
        f.write_str(&names.join(", "))
    }
}

impl serde::Serialize for Contents {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Md { minor, superblock } => {
                write!(f, "md 1.{minor} {}", LevelName(superblock.level))?;
                write!(f, " \"{}\"", superblock.set_name.escape_default())?;
                match superblock.slot() {
                    Some(slot) => write!(f, " slot {slot} of {}", superblock.raid_disks),
                    None => f.write_str(" spare or failed"),
                }
            }
            Self::Md090(superblock) => write!(f, "md 0.90 {}", LevelName(superblock.level)),
            Self::MdDamaged(error) => write!(f, "damaged md superblock ({error})"),
            Self::Ext(superblock) => superblock.fmt(f),
            Self::Swap(header) if header.label.is_empty() => f.write_str("swap"),
            Self::Swap(header) => write!(f, "swap \"{}\"", header.label.escape_default()),
            Self::Formatting(volume) => write!(f, "unfinished {}", volume.escape_default()),
            Self::Mbr => f.write_str("MBR partitions"),
            Self::Known(name) => f.write_str(name),
            Self::Unknown => f.write_str("unknown data"),
        }
    }
}

/// An md level as people write it.
struct LevelName(i32);

impl fmt::Display for LevelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            -1 => f.write_str("linear"),
            -4 => f.write_str("multipath"),
            -5 => f.write_str("faulty"),
            level => write!(f, "raid{level}"),
        }
    }
}

/// Names everything that the two ends of a device hold.
pub fn identify(windows: Windows<'_>) -> Contents {
    let mut found = Vec::new();
    find_md(windows, &mut found);
    if let Some(volume) = marker::decode_marker(windows.head) {
        found.push(Signature { offset: 0, what: What::Formatting(volume) });
    }
    if let Some(superblock) = ext::decode(windows.head) {
        found.push(Signature { offset: ext::OFFSET, what: What::Ext(superblock) });
    }
    if let Some(header) = swap::decode(windows.head) {
        found.push(Signature { offset: 0, what: What::Swap(header) });
    }
    found.extend(table::find(windows));
    if table::has_mbr(windows.head, &found) {
        found.push(Signature { offset: 0, what: What::Mbr });
    }
    if found.is_empty() {
        found.extend(find_nonzero(windows).map(|offset| Signature { offset, what: What::Unknown }));
    }
    found.sort_by_key(|signature| signature.offset);
    Contents { found }
}

impl<'a> Windows<'a> {
    /// The bytes from `offset` on, as far as a window reaches.
    fn at(&self, offset: u64) -> Option<&'a [u8]> {
        let in_head = usize::try_from(offset).ok().and_then(|start| self.head.get(start..));
        if let Some(bytes) = in_head.filter(|bytes| !bytes.is_empty()) {
            return Some(bytes);
        }
        let from_start = offset.checked_sub(self.tail_start())?;
        self.tail.get(usize::try_from(from_start).ok()?..)
    }

    /// The bytes from `distance` before the end on; empty without a tail.
    fn before_end(&self, distance: u64) -> Option<(u64, &'a [u8])> {
        let offset = self.size_bytes.checked_sub(distance)?;
        let from_start = offset.checked_sub(self.tail_start())?;
        let bytes = self.tail.get(usize::try_from(from_start).ok()?..)?;
        Some((offset, bytes))
    }

    fn tail_start(&self) -> u64 {
        self.size_bytes.saturating_sub(u64::try_from(self.tail.len()).unwrap_or(u64::MAX))
    }
}

fn find_md(windows: Windows<'_>, found: &mut Vec<Signature>) {
    // 1.0: at least 8 KiB before the end, at a multiple of 4 KiB (`super_1_load`).
    let end = (windows.size_bytes / 512).checked_sub(16).map(|sector| (sector & !7) * 512);
    let places = [(1, Some(0)), (2, Some(md::SUPER_OFFSET_1_2)), (0, end)];
    for (minor, offset) in places {
        let Some((offset, bytes)) = offset.and_then(|o| Some((o, windows.at(o)?))) else {
            continue;
        };
        match md::decode(bytes) {
            Ok(superblock) => {
                let what = What::Md { minor, superblock: Box::new(superblock) };
                found.push(Signature { offset, what });
            }
            // Version 0 is told by `decode_090` where it belongs.
            Err(md::SuperblockError::Magic | md::SuperblockError::Short { .. }) => {}
            Err(error) => found.push(Signature { offset, what: What::MdDamaged(error) }),
        }
    }
    if let Some(offset) = md::offset_090(windows.size_bytes)
        && let Some(superblock) = windows.at(offset).and_then(md::decode_090)
    {
        found.retain(|signature| signature.offset != offset);
        found.push(Signature { offset, what: What::Md090(superblock) });
    }
}

fn find_nonzero(windows: Windows<'_>) -> Option<u64> {
    let first = |bytes: &[u8]| u64::try_from(first_nonzero(bytes)?).ok();
    first(windows.head).or_else(|| Some(first(windows.tail)?.saturating_add(windows.tail_start())))
}

/// Word by word, as whole windows are looked at: where memcmp(3) goes by bytes, comparing with
/// zeros takes several times as long.
fn first_nonzero(bytes: &[u8]) -> Option<usize> {
    let (blocks, _) = bytes.as_chunks::<64>();
    let is_zero = |block: &&[u8; 64]| {
        let (words, _) = block.as_chunks::<8>();
        words.iter().fold(0, |all, word| all | u64::from_ne_bytes(*word)) == 0
    };
    let skipped = blocks.iter().take_while(is_zero).count().saturating_mul(64);
    let position = bytes.get(skipped..)?.iter().position(|&byte| byte != 0)?;
    Some(skipped.saturating_add(position))
}

#[cfg(test)]
mod tests;

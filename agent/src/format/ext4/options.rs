//! What a caller chooses about a new file system, and what is refused.

use std::str::FromStr;

/// Choices for a new file system; nothing in it is random by itself, so that the
/// same options and size always give the same bytes.
#[derive(Debug, Clone)]
pub struct Options {
    /// UUID of the file system, in the order in which it is printed.
    pub uuid: [u8; 16],
    /// Secret of the directory hash; random, so that names cannot be chosen to collide.
    pub hash_seed: [u8; 16],
    /// First transaction of the journal, random: blocks of an older journal that
    /// are still on the medium must not look like the next transactions.
    /// 0 is taken as 1.
    pub journal_sequence: u32,
    /// Time of creation in seconds since 1970.
    pub created_s: u32,
    /// Volume label.
    pub label: Label,
    /// Blocks (4096 bytes) of a RAID chunk, 0..=65535; 0 where there is none.
    pub stride_blocks: u32,
    /// Blocks of a whole stripe over all data members; 0 where there is none.
    pub stripe_width_blocks: u32,
    /// Percent of the blocks that only root may use, 0..=50.
    pub reserved_percent: u8,
    /// Bytes of the medium for each inode, 4096..=4194304; by size where not given:
    /// 16384, from 4 TiB 32768, from 16 TiB 65536.
    pub bytes_per_inode: Option<u32>,
    /// The medium is proven to read as zeros everywhere: inode tables are marked as
    /// zeroed, and the kernel's lazy initialisation finds nothing to write.
    pub zeroed: bool,
}

/// A volume label: at most 16 bytes, none of them NUL. Source: `s_volume_name`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Label([u8; 16]);

impl Label {
    /// The label as it stands on disk, padded with NUL.
    pub(super) fn bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl FromStr for Label {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if text.contains('\0') {
            return Err(Error::LabelWithNul { label: text.to_owned() });
        }
        let mut label = [0; 16];
        match label.get_mut(..text.len()) {
            Some(field) => field.copy_from_slice(text.as_bytes()),
            None => return Err(Error::LabelTooLong { label: text.to_owned(), bytes: text.len() }),
        }
        Ok(Self(label))
    }
}

/// Why no file system can be planned.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    /// Below [`MIN_BYTES`](super::MIN_BYTES).
    #[error("{bytes} bytes are too few for ext4 with a journal: at least {min}")]
    TooSmall {
        /// Size of the medium.
        bytes: u64,
        /// Smallest size that is accepted.
        min: u64,
    },
    /// Above [`MAX_BYTES`](super::MAX_BYTES).
    #[error("{bytes} bytes are too many: at most {max}")]
    TooLarge {
        /// Size of the medium.
        bytes: u64,
        /// Largest size that is accepted.
        max: u64,
    },
    /// The label does not fit its field.
    #[error("label \"{label}\" has {bytes} bytes: at most 16")]
    LabelTooLong {
        /// The label as given.
        label: String,
        /// Its length.
        bytes: usize,
    },
    /// NUL ends a label on disk.
    #[error("label {label:?} holds a NUL")]
    LabelWithNul {
        /// The label as given.
        label: String,
    },
    /// `s_raid_stride` has 16 bits.
    #[error("stride of {blocks} blocks: at most 65535")]
    Stride {
        /// The stride as given.
        blocks: u32,
    },
    /// A share above one half.
    #[error("{percent} percent reserved: at most 50")]
    ReservedPercent {
        /// The share as given.
        percent: u8,
    },
    /// An inode ratio outside of its range.
    #[error("{bytes} bytes per inode: 4096 to 4194304")]
    BytesPerInode {
        /// The ratio as given.
        bytes: u32,
    },
    /// Inodes are numbered in 32 bits.
    #[error("{inodes} inodes: at most 4294967295, so take more bytes per inode")]
    TooManyInodes {
        /// Count that the ratio asks for.
        inodes: u64,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_of_sixteen_bytes_is_taken_and_one_more_refused() {
        let label: Label = "scratch-of-node1".parse().unwrap();
        assert_eq!(label.bytes(), b"scratch-of-node1");
        assert_eq!(
            "scratch-of-node12".parse::<Label>(),
            Err(Error::LabelTooLong { label: "scratch-of-node12".to_owned(), bytes: 17 })
        );
    }

    #[test]
    fn a_label_is_measured_in_bytes_not_in_letters() {
        assert!("ééééééééé".parse::<Label>().is_err());
        assert!("éééééééé".parse::<Label>().is_ok());
    }

    #[test]
    fn a_label_with_nul_is_refused() {
        assert!(matches!("a\0b".parse::<Label>(), Err(Error::LabelWithNul { .. })));
    }
}

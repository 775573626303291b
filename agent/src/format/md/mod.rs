//! The md superblock: version 1 in full, version 0.90 as far as telling what it is.
//! Source: `linux/raid/md_p.h`.
//!
//! Arrays are written with version 1.2, 4 KiB from the start of each member, and
//! then assembled from it by the kernel: creating is writing plus assembling.

mod bitmap;
mod codec;
mod geometry;
mod v090;

pub use bitmap::{BITMAP_CHUNK_BYTES, encode_bitmap};
pub use codec::{checksum, decode, encode};
pub use geometry::{Geometry, GeometryError, plan_geometry};
pub use v090::{Superblock090, decode_090, offset_090};

/// `MD_SB_MAGIC`.
pub const MAGIC: u32 = 0xa92b_4efc;
/// Where the superblock of version 1.2 lies, in bytes from the start of a member.
pub const SUPER_OFFSET_1_2: u64 = 4096;
/// Bytes of a superblock with [`MAX_MEMBERS`] roles: 256 and 2 a role.
pub const SUPER_BYTES: usize = 512;
/// Members that fit into [`SUPER_BYTES`].
pub const MAX_MEMBERS: u32 = 128;

/// Set in `feature_map` where a write-intent bitmap lies at `bitmap_offset`.
pub const FEATURE_BITMAP: u32 = 0x1;
/// `MD_FEATURE_RECOVERY_OFFSET`: the member is being rebuilt.
pub const FEATURE_RECOVERY: u32 = 0x2;
/// `MD_FEATURE_BAD_BLOCKS`: the member has a list of bad blocks.
pub const FEATURE_BAD_BLOCKS: u32 = 0x8;
/// `MD_FEATURE_RECOVERY_BITMAP`: a rebuild that the bitmap guides.
pub const FEATURE_RECOVERY_BITMAP: u32 = 0x80;
/// `MD_FEATURE_RAID0_LAYOUT`: `layout` says how zones of a raid0 are laid out.
pub const FEATURE_RAID0_LAYOUT: u32 = 0x1000;
/// What an array may have and still be assembled here. Others mean a reshape, a
/// journal or a cluster: mdadm's business.
pub const FEATURES_KNOWN: u32 = FEATURE_BITMAP
    | FEATURE_RECOVERY
    | FEATURE_BAD_BLOCKS
    | FEATURE_RECOVERY_BITMAP
    | FEATURE_RAID0_LAYOUT;

/// Role of a spare.
pub const ROLE_SPARE: u16 = 0xffff;
/// Role of a member that failed, and of a slot that nothing is in.
pub const ROLE_FAULTY: u16 = 0xfffe;

/// `resync_offset` of an array whose members agree: nothing is to be resynced.
pub const RESYNC_DONE: u64 = u64::MAX;

/// One superblock of version 1 (`mdp_superblock_1`). Sectors have 512 bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Superblock {
    /// `FEATURE_*`.
    pub feature_map: u32,
    /// The array's identity, equal on all its members.
    pub set_uuid: [u8; 16],
    /// `homehost:name`, at most 32 bytes.
    pub set_name: String,
    /// Creation, in seconds since 1970 (40 bits).
    pub ctime_s: u64,
    /// Last write of a superblock, in seconds since 1970 (40 bits).
    pub utime_s: u64,
    /// 0, 1, 4, 5, 6, 10; -1 linear, -4 multipath.
    pub level: i32,
    /// Of raid5, raid6, raid10 and, with [`FEATURE_RAID0_LAYOUT`], raid0.
    pub layout: u32,
    /// Sectors that each member gives to the array.
    pub size_sectors: u64,
    /// Chunk in sectors; 0 for raid1. (The ioctls have it in bytes.)
    pub chunk_sectors: u32,
    /// Slots of the array.
    pub raid_disks: u32,
    /// Sectors from the superblock to the bitmap; negative is before it.
    pub bitmap_offset_sectors: i32,
    /// First sector of the array's data on this member.
    pub data_offset_sectors: u64,
    /// Sectors of this member that are the array's.
    pub data_size_sectors: u64,
    /// Sector of this superblock.
    pub super_offset_sectors: u64,
    /// Index of this member into `roles`.
    pub dev_number: u32,
    /// This member's identity.
    pub device_uuid: [u8; 16],
    /// Counts changes of the superblock: the member with the most is the newest.
    pub events: u64,
    /// [`RESYNC_DONE`], or up to which sector the members agree.
    pub resync_offset: u64,
    /// By `dev_number`: the slot, [`ROLE_SPARE`] or [`ROLE_FAULTY`].
    pub roles: Vec<u16>,
}

impl Superblock {
    /// This member's slot, [`ROLE_SPARE`] or [`ROLE_FAULTY`].
    pub fn role(&self) -> u16 {
        usize::try_from(self.dev_number)
            .ok()
            .and_then(|index| self.roles.get(index))
            .copied()
            .unwrap_or(ROLE_FAULTY)
    }

    /// The slot, for a member that is active.
    pub fn slot(&self) -> Option<u32> {
        Some(u32::from(self.role())).filter(|&role| role < self.raid_disks)
    }

    /// Whether this member's table says that the member in `slot` is gone.
    pub fn says_missing(&self, slot: u32) -> bool {
        !self.roles.iter().any(|&role| u32::from(role) == slot)
    }
}

/// Why bytes are no superblock of version 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SuperblockError {
    /// Too few bytes for the header or for the roles it announces.
    #[error("{bytes} bytes are too few")]
    Short {
        /// How many there are.
        bytes: usize,
    },
    /// No magic number: no superblock here.
    #[error("no md superblock")]
    Magic,
    /// Not version 1.
    #[error("version {0} is not 1")]
    Version(u32),
    /// More roles than any version allows, or more slots than roles.
    #[error("{0} members are more than there can be")]
    Members(u32),
    /// The checksum does not fit: damaged, or only looks like a superblock.
    #[error("checksum {stored:08x} should be {computed:08x}")]
    Checksum {
        /// As stored.
        stored: u32,
        /// As it should be.
        computed: u32,
    },
    /// A superblock that cannot be written: a name or a table that is too long.
    #[error("{0} does not fit")]
    DoesNotFit(&'static str),
}

#[cfg(test)]
mod tests;

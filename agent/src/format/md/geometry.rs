//! Where the data of an array lies on its members.
//!
//! All members give the same amount, that of the smallest: one zone, which every
//! kernel lays out alike. (Since 5.4 the kernel refuses raid0 arrays of unequal
//! members whose superblock does not say how their zones are laid out.)

use super::bitmap::bitmap_bytes;
use super::{MAX_MEMBERS, SUPER_OFFSET_1_2};

/// Sectors of 512 bytes from the superblock to the bitmap.
const BITMAP_OFFSET_SECTORS: u32 = 8;
/// The data begins at a multiple of this, in bytes: erase blocks and 4Kn both fit.
const ALIGNMENT: u64 = 1 << 20;
/// Chunk of a raid0, in sectors: 512 KiB, mdadm's default.
const RAID0_CHUNK_SECTORS: u32 = 1024;
/// What a member must have at least, in bytes, for an array to make sense.
const SMALLEST_MEMBER: u64 = 16 << 20;

/// The numbers of an array, equal on all members. Sectors have 512 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Geometry {
    /// Chunk; 0 for raid1.
    pub chunk_sectors: u32,
    /// First sector of data.
    pub data_offset_sectors: u64,
    /// Sectors of data.
    pub data_size_sectors: u64,
    /// Sectors from the superblock to the bitmap; 0 where there is none.
    pub bitmap_offset_sectors: u32,
}

/// Why disks cannot become an array.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GeometryError {
    /// No member at all, or more than a superblock has room for.
    #[error("an array cannot have {0} members")]
    Members(usize),
    /// The smallest member has no room.
    #[error("a member of {bytes} bytes is too small, {SMALLEST_MEMBER} are needed")]
    TooSmall {
        /// Size of the smallest member.
        bytes: u64,
    },
}

/// Lays out an array over members of the given sizes in bytes.
///
/// # Errors
/// See [`GeometryError`].
pub fn plan_geometry(
    is_striped: bool,
    has_bitmap: bool,
    member_bytes: &[u64],
) -> Result<Geometry, GeometryError> {
    let count = member_bytes.len();
    let too_many = u32::try_from(count).map_or(true, |count| count > MAX_MEMBERS);
    let Some(&smallest) = member_bytes.iter().min().filter(|_| !too_many) else {
        return Err(GeometryError::Members(count));
    };
    if smallest < SMALLEST_MEMBER {
        return Err(GeometryError::TooSmall { bytes: smallest });
    }
    let bitmap = if has_bitmap { bitmap_bytes(smallest / 512) } else { 0 };
    let bitmap_start = SUPER_OFFSET_1_2.saturating_add(u64::from(BITMAP_OFFSET_SECTORS) * 512);
    let data_offset = bitmap_start.saturating_add(bitmap).next_multiple_of(ALIGNMENT);
    let chunk_sectors = if is_striped { RAID0_CHUNK_SECTORS } else { 0 };
    // Whole chunks, and for mirrors whole 4 KiB blocks: no half block at the end.
    let unit = if is_striped { u64::from(chunk_sectors) } else { 8 };
    let sectors = smallest.saturating_sub(data_offset) / 512;
    Ok(Geometry {
        chunk_sectors,
        data_offset_sectors: data_offset / 512,
        data_size_sectors: sectors / unit * unit,
        bitmap_offset_sectors: if has_bitmap { BITMAP_OFFSET_SECTORS } else { 0 },
    })
}

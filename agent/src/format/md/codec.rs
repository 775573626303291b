//! The superblock of version 1 as little-endian bytes.

use super::{MAGIC, MAX_MEMBERS, SUPER_BYTES, Superblock, SuperblockError};

/// Bytes before the roles.
const HEADER: usize = 256;
/// Roles in the largest superblock: 4 KiB less the header (`super_1_load`).
const MAX_ROLES: u32 = 1920;
/// The low 40 bits of `ctime` and `utime` are seconds, the others microseconds.
const SECONDS: u64 = (1 << 40) - 1;

mod at {
    //! Offsets in bytes of the fields of `mdp_superblock_1`.
    pub const MAGIC: usize = 0;
    pub const MAJOR: usize = 4;
    pub const FEATURES: usize = 8;
    pub const SET_UUID: usize = 16;
    pub const SET_NAME: usize = 32;
    pub const CTIME: usize = 64;
    pub const LEVEL: usize = 72;
    pub const LAYOUT: usize = 76;
    pub const SIZE: usize = 80;
    pub const CHUNK: usize = 88;
    pub const RAID_DISKS: usize = 92;
    pub const BITMAP: usize = 96;
    pub const DATA_OFFSET: usize = 128;
    pub const DATA_SIZE: usize = 136;
    pub const SUPER_OFFSET: usize = 144;
    pub const DEV_NUMBER: usize = 160;
    pub const DEVICE_UUID: usize = 168;
    pub const UTIME: usize = 192;
    pub const EVENTS: usize = 200;
    pub const RESYNC: usize = 208;
    pub const CHECKSUM: usize = 216;
    pub const MAX_DEV: usize = 220;
    pub const ROLES: usize = 256;
}

/// Reads a superblock from its first byte on; what follows it is ignored.
///
/// # Errors
/// `Magic` where there is none; anything else is one that is damaged or of a kind
/// that the kernel would not load either.
pub fn decode(bytes: &[u8]) -> Result<Superblock, SuperblockError> {
    let short = || SuperblockError::Short { bytes: bytes.len() };
    if u32_at(bytes, at::MAGIC).ok_or_else(short)? != MAGIC {
        return Err(SuperblockError::Magic);
    }
    let major = u32_at(bytes, at::MAJOR).ok_or_else(short)?;
    if major != 1 {
        return Err(SuperblockError::Version(major));
    }
    let max_dev = u32_at(bytes, at::MAX_DEV).ok_or_else(short)?;
    if max_dev > MAX_ROLES {
        return Err(SuperblockError::Members(max_dev));
    }
    let roles_bytes = usize::try_from(max_dev).unwrap_or_default().saturating_mul(2);
    let whole = bytes.get(..HEADER.saturating_add(roles_bytes)).ok_or_else(short)?;
    let stored = u32_at(whole, at::CHECKSUM).ok_or_else(short)?;
    let computed = checksum(whole);
    if stored != computed {
        return Err(SuperblockError::Checksum { stored, computed });
    }
    decode_fields(whole).ok_or_else(short)
}

fn decode_fields(bytes: &[u8]) -> Option<Superblock> {
    let name: Vec<u8> =
        array_at::<32>(bytes, at::SET_NAME)?.into_iter().take_while(|&byte| byte != 0).collect();
    let roles = bytes.get(at::ROLES..)?;
    let roles = roles.as_chunks::<2>().0.iter().map(|pair| u16::from_le_bytes(*pair)).collect();
    Some(Superblock {
        feature_map: u32_at(bytes, at::FEATURES)?,
        set_uuid: array_at(bytes, at::SET_UUID)?,
        set_name: String::from_utf8_lossy(&name).into_owned(),
        ctime_s: u64_at(bytes, at::CTIME)? & SECONDS,
        utime_s: u64_at(bytes, at::UTIME)? & SECONDS,
        level: i32::from_le_bytes(array_at(bytes, at::LEVEL)?),
        layout: u32_at(bytes, at::LAYOUT)?,
        size_sectors: u64_at(bytes, at::SIZE)?,
        chunk_sectors: u32_at(bytes, at::CHUNK)?,
        raid_disks: u32_at(bytes, at::RAID_DISKS)?,
        bitmap_offset_sectors: i32::from_le_bytes(array_at(bytes, at::BITMAP)?),
        data_offset_sectors: u64_at(bytes, at::DATA_OFFSET)?,
        data_size_sectors: u64_at(bytes, at::DATA_SIZE)?,
        super_offset_sectors: u64_at(bytes, at::SUPER_OFFSET)?,
        dev_number: u32_at(bytes, at::DEV_NUMBER)?,
        device_uuid: array_at(bytes, at::DEVICE_UUID)?,
        events: u64_at(bytes, at::EVENTS)?,
        resync_offset: u64_at(bytes, at::RESYNC)?,
        roles,
    })
}

/// Writes a superblock of [`SUPER_BYTES`] with room for [`MAX_MEMBERS`] roles; those
/// that `roles` does not give are [`super::ROLE_FAULTY`].
///
/// # Errors
/// `DoesNotFit` for a name of more than 32 bytes or more than [`MAX_MEMBERS`] roles.
pub fn encode(superblock: &Superblock) -> Result<[u8; SUPER_BYTES], SuperblockError> {
    let name = superblock.set_name.as_bytes();
    if name.len() > 32 {
        return Err(SuperblockError::DoesNotFit("the name"));
    }
    if superblock.roles.len() > usize::try_from(MAX_MEMBERS).unwrap_or_default() {
        return Err(SuperblockError::DoesNotFit("the table of members"));
    }
    let mut bytes = [0u8; SUPER_BYTES];
    let mut put = |offset: usize, field: &[u8]| {
        for (to, from) in bytes.iter_mut().skip(offset).zip(field) {
            *to = *from;
        }
    };
    put(at::MAGIC, &MAGIC.to_le_bytes());
    put(at::MAJOR, &1u32.to_le_bytes());
    put(at::FEATURES, &superblock.feature_map.to_le_bytes());
    put(at::SET_UUID, &superblock.set_uuid);
    put(at::SET_NAME, name);
    put(at::CTIME, &(superblock.ctime_s & SECONDS).to_le_bytes());
    put(at::LEVEL, &superblock.level.to_le_bytes());
    put(at::LAYOUT, &superblock.layout.to_le_bytes());
    put(at::SIZE, &superblock.size_sectors.to_le_bytes());
    put(at::CHUNK, &superblock.chunk_sectors.to_le_bytes());
    put(at::RAID_DISKS, &superblock.raid_disks.to_le_bytes());
    put(at::BITMAP, &superblock.bitmap_offset_sectors.to_le_bytes());
    put(at::DATA_OFFSET, &superblock.data_offset_sectors.to_le_bytes());
    put(at::DATA_SIZE, &superblock.data_size_sectors.to_le_bytes());
    put(at::SUPER_OFFSET, &superblock.super_offset_sectors.to_le_bytes());
    put(at::DEV_NUMBER, &superblock.dev_number.to_le_bytes());
    put(at::DEVICE_UUID, &superblock.device_uuid);
    put(at::UTIME, &(superblock.utime_s & SECONDS).to_le_bytes());
    put(at::EVENTS, &superblock.events.to_le_bytes());
    put(at::RESYNC, &superblock.resync_offset.to_le_bytes());
    put(at::MAX_DEV, &MAX_MEMBERS.to_le_bytes());
    let missing = std::iter::repeat(&super::ROLE_FAULTY);
    let roles: Vec<u8> = superblock
        .roles
        .iter()
        .chain(missing)
        .take(usize::try_from(MAX_MEMBERS).unwrap_or_default())
        .flat_map(|role| role.to_le_bytes())
        .collect();
    put(at::ROLES, &roles);
    let sum = checksum(&bytes).to_le_bytes();
    for (to, from) in bytes.iter_mut().skip(at::CHECKSUM).zip(sum) {
        *to = from;
    }
    Ok(bytes)
}

/// The sum of all 32-bit words and a last 16-bit one, with the checksum's own field
/// as zero, folded once (`calc_sb_1_csum`).
pub fn checksum(bytes: &[u8]) -> u32 {
    let (words, rest) = bytes.as_chunks::<4>();
    let sum: u64 = words
        .iter()
        .enumerate()
        .filter(|(index, _)| *index != at::CHECKSUM / 4)
        .map(|(_, word)| u64::from(u32::from_le_bytes(*word)))
        .sum();
    let tail = match rest {
        [low, high, ..] => u64::from(u16::from_le_bytes([*low, *high])),
        _ => 0,
    };
    let sum = sum.wrapping_add(tail);
    let folded = (sum & 0xffff_ffff).wrapping_add(sum >> 32) & 0xffff_ffff;
    u32::try_from(folded).unwrap_or_default()
}

fn array_at<const N: usize>(bytes: &[u8], offset: usize) -> Option<[u8; N]> {
    bytes.get(offset..)?.first_chunk::<N>().copied()
}

fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    array_at(bytes, offset).map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], offset: usize) -> Option<u64> {
    array_at(bytes, offset).map(u64::from_le_bytes)
}

//! The write-intent bitmap: which chunks of a mirror may differ after a power cut,
//! so that only those are resynced. Source: `bitmap_super_s`, the kernel's
//! `drivers/md/md-bitmap.h`.

/// Bytes of the array that one bit stands for, as mdadm chooses it for large arrays.
pub const BITMAP_CHUNK_BYTES: u32 = 64 << 20;
/// Seconds between clearing bits that are no longer needed.
const DAEMON_SLEEP_S: u32 = 5;
/// `BITMAP_MAGIC`, "bitm".
const MAGIC: u32 = 0x6d74_6962;
/// `BITMAP_MAJOR_HI`: a bitmap with the byte order of the disk.
const VERSION: u32 = 4;
/// Bytes before the bits.
const HEADER: u64 = 256;

/// A bitmap with no bit set for an array of `sync_sectors`, in whole 4 KiB blocks.
pub fn encode_bitmap(set_uuid: &[u8; 16], sync_sectors: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend_from_slice(&MAGIC.to_le_bytes());
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(set_uuid);
    bytes.extend_from_slice(&0u64.to_le_bytes()); // events
    bytes.extend_from_slice(&0u64.to_le_bytes()); // events_cleared
    bytes.extend_from_slice(&sync_sectors.to_le_bytes());
    bytes.extend_from_slice(&0u32.to_le_bytes()); // state
    bytes.extend_from_slice(&BITMAP_CHUNK_BYTES.to_le_bytes());
    bytes.extend_from_slice(&DAEMON_SLEEP_S.to_le_bytes());
    bytes.resize(usize::try_from(bitmap_bytes(sync_sectors)).unwrap_or_default(), 0);
    bytes
}

/// Space of the bitmap of an array of `sync_sectors`, in bytes: whole 4 KiB blocks.
pub(super) fn bitmap_bytes(sync_sectors: u64) -> u64 {
    let bits = sync_sectors.div_ceil(u64::from(BITMAP_CHUNK_BYTES) / 512);
    bits.div_ceil(8).saturating_add(HEADER).next_multiple_of(4096)
}

//! The journal's superblock; the journal's other blocks are not written.
//!
//! Stale blocks behind it are harmless: `s_start` says that there is nothing to
//! replay, and once there is, they match neither the sequence, which starts at
//! random, nor the checksums, whose seed is the journal's own UUID.
//! Source: `Documentation/filesystems/ext4/journal.rst`.

use super::bytes::{Block, Fields};
use super::geometry::Geometry;
use super::options::Options;

/// `JBD2_MAGIC_NUMBER`
const MAGIC: u32 = 0xc03b_3998;
/// `JBD2_SUPERBLOCK_V2`
const SUPERBLOCK_V2: u32 = 4;

/// Fills the first block of the journal.
pub(super) fn render(block: &mut Block, geometry: &Geometry, options: &Options) {
    let mut fields = Fields::new(block);
    fields.be32(0x00, MAGIC);
    fields.be32(0x04, SUPERBLOCK_V2);
    fields.be32(0x0c, 4096);
    // s_maxlen: at most 1 GiB in blocks, so the conversion does not fail.
    fields.be32(0x10, u32::try_from(geometry.journal_blocks).unwrap_or(u32::MAX));
    // s_first: the log begins behind this block.
    fields.be32(0x14, 1);
    fields.be32(0x18, options.journal_sequence.max(1));
    // s_uuid: fresh when either of the two is, also where a caller pins the UUID.
    let mut uuid = options.uuid;
    for (byte, seed) in uuid.iter_mut().zip(options.hash_seed) {
        *byte ^= seed;
    }
    fields.bytes(0x30, &uuid);
    // s_nr_users: this file system.
    fields.be32(0x40, 1);
}

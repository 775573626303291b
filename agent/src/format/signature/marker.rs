//! The mark of a file system that is being made.
//!
//! It is written to the first block of a volume before its array exists, and goes
//! when the file system is complete. A node that lost power in between finds it and
//! knows that nothing on the volume was ever in use.

/// Bytes of the mark: one block of 4 KiB, so that it fits 4Kn disks.
pub const MARKER_BYTES: usize = 4096;

const MAGIC: &[u8] = b"rsinit: formatting ";
/// A volume's name has at most this many bytes.
const MAX_NAME: usize = 64;

/// The block for the volume of that name.
pub fn encode_marker(volume: &str) -> [u8; MARKER_BYTES] {
    let mut block = [0u8; MARKER_BYTES];
    let text = MAGIC.iter().chain(volume.as_bytes().iter().take(MAX_NAME)).chain(b"\n");
    for (to, from) in block.iter_mut().zip(text) {
        *to = *from;
    }
    block
}

/// The volume's name, where the block is a mark.
pub(super) fn decode_marker(bytes: &[u8]) -> Option<String> {
    let rest = bytes.strip_prefix(MAGIC)?;
    let end = rest.iter().take(MAX_NAME.saturating_add(1)).position(|&byte| byte == b'\n')?;
    String::from_utf8(rest.get(..end)?.to_vec()).ok()
}

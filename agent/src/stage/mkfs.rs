//! Writes a planned ext4 to a device or a file, and the command that does so by hand.

use crate::format::ext4::{self, Filesystem};
use anyhow::Context;
use std::fs::File;
use std::os::unix::fs::FileExt;

/// Zeros written over both ends of the medium before anything else: signatures of
/// what was there before stand within it.
const WIPED_BYTES: u64 = 512 * 1024;

/// What making a file system has cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Written {
    /// Bytes written.
    pub bytes: u64,
    /// Calls of `pwrite`.
    pub calls: u64,
}

impl Written {
    /// Writes all of `bytes` at `offset`, and counts.
    fn write(&mut self, device: &File, mut offset: u64, mut bytes: &[u8]) -> std::io::Result<()> {
        while !bytes.is_empty() {
            let count = match device.write_at(bytes, offset) {
                Ok(0) => return Err(std::io::ErrorKind::WriteZero.into()),
                Ok(count) => count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let (_, rest) = bytes.split_at(count.min(bytes.len()));
            bytes = rest;
            let count = u64::try_from(count).unwrap_or(u64::MAX);
            offset = offset.saturating_add(count);
            self.bytes = self.bytes.saturating_add(count);
            self.calls = self.calls.saturating_add(1);
        }
        Ok(())
    }
}

/// Makes an ext4 file system on the first `size_bytes` of `device`.
///
/// Cut short at any point, it leaves something that is recognised as no file
/// system: old signatures go first, the new superblock comes last, each behind
/// a flush.
///
/// # Errors
/// Options or a size that [`Filesystem::plan`] refuses, before a byte is
/// written; errors of the device.
pub fn make_ext4(
    device: &File,
    size_bytes: u64,
    options: &ext4::Options,
) -> anyhow::Result<Written> {
    let filesystem = Filesystem::plan(size_bytes, options).context("planning the file system")?;
    let mut written = Written::default();
    if !options.zeroed {
        wipe_ends(device, &filesystem, &mut written).context("wiping old signatures")?;
    }
    for chunk in filesystem.chunks() {
        if chunk.offset == 0 {
            device.sync_data().context("flushing the metadata")?;
        }
        written
            .write(device, chunk.offset, &chunk.bytes)
            .with_context(|| format!("writing {} bytes at {}", chunk.bytes.len(), chunk.offset))?;
    }
    device.sync_data().context("flushing the superblock")?;
    Ok(written)
}

/// Zeros over both ends, flushed.
fn wipe_ends(device: &File, filesystem: &Filesystem, written: &mut Written) -> std::io::Result<()> {
    let zeros = vec![0; usize::try_from(WIPED_BYTES).unwrap_or(0)];
    let end = filesystem.blocks().saturating_mul(filesystem.block_bytes());
    written.write(device, 0, &zeros)?;
    written.write(device, end.saturating_sub(WIPED_BYTES), &zeros)?;
    device.sync_data()
}

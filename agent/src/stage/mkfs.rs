//! Writes a planned ext4 to a device or a file, and the command that does so by hand.

mod command;

pub use command::run;

use crate::format::ext4::{self, Filesystem};
use crate::format::signature::{self, MARKER_BYTES, Windows};
use anyhow::Context;
use std::fs::File;
use std::os::unix::fs::FileExt;

/// Bytes of zeros written over each end of the medium before anything else: signatures of
/// what was there before stand within it.
const ERASED_BYTES: usize = 512 * 1024;

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

/// Makes an ext4 file system on the first `size_bytes` of `device`, which is open
/// for reading and writing.
///
/// Cut short at any point, it leaves something that is recognised as no file
/// system: old signatures go first, the new superblock comes last, each behind
/// a flush. The mark that a file system is being made stays in block 0 until then.
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
        erase_ends(device, &filesystem, &mut written).context("erasing old signatures")?;
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

/// Zeros over both ends, flushed; block 0 keeps the mark of an unfinished file system.
fn erase_ends(
    device: &File,
    filesystem: &Filesystem,
    written: &mut Written,
) -> std::io::Result<()> {
    let zeros = vec![0; ERASED_BYTES];
    let mut mark = vec![0; MARKER_BYTES];
    device.read_exact_at(&mut mark, 0)?;
    let size_bytes = filesystem.blocks().saturating_mul(filesystem.block_bytes());
    let block = Windows { size_bytes, head: &mark, tail: &[] };
    let is_marked = signature::identify(block).formatting().is_some();
    let (first, rest) = zeros.split_at(MARKER_BYTES);
    if is_marked {
        let behind = u64::try_from(first.len()).unwrap_or(0);
        written.write(device, behind, rest)?;
    } else {
        written.write(device, 0, &zeros)?;
    }
    let length = u64::try_from(zeros.len()).unwrap_or(0);
    written.write(device, size_bytes.saturating_sub(length), &zeros)?;
    device.sync_data()
}

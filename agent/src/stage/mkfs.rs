//! Writes a planned ext4 to a device or a file, and the command that does so by hand.

mod command;

pub use command::run;

use crate::format::ext4::{self, Aligned, Filesystem};
use crate::format::signature::{self, MARKER_BYTES, Windows};
use crate::sys::Kernel;
use anyhow::Context;
use std::fs::File;
use std::io;

/// Bytes of zeros written over each end of the medium before anything else: signatures of
/// what was there before stand within it.
const ERASED_BYTES: usize = 512 * 1024;
/// Bytes before the superblock: room for a boot loader, which ext4 leaves alone.
const BOOT_BYTES: usize = 1024;

/// Bytes of a write from which on it goes past the kernel's memory. What is smaller is collected
/// there, and goes to all members of an array at once.
const MUCH: usize = 64 * 1024;

/// What making a file system has cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Written {
    /// Bytes written.
    pub bytes: u64,
    /// Writes asked for.
    pub calls: u64,
}

/// A device that is being written to, and what that has cost.
struct Medium<'a> {
    kernel: &'a dyn Kernel,
    device: &'a File,
    written: Written,
}

impl Medium<'_> {
    fn write(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        if bytes.len() < MUCH {
            self.kernel.write_at(self.device, offset, bytes)?;
        } else {
            self.kernel.write_much(self.device, offset, bytes)?;
        }
        let count = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.written.bytes = self.written.bytes.saturating_add(count);
        self.written.calls = self.written.calls.saturating_add(1);
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        self.kernel.flush(self.device)
    }
}

/// Makes an ext4 file system on the first `size_bytes` of `device`, which is open
/// for reading and writing.
///
/// Cut short at any point, it leaves something that is recognised as no file
/// system: old signatures go first, the new superblock comes last, each behind
/// a flush. The mark that a file system is being made stays in block 0 until then, and
/// goes when the superblock is on the medium: power may cut the write of one block in two.
///
/// # Errors
/// Options or a size that [`Filesystem::plan`] refuses, before a byte is
/// written; errors of the device.
pub fn make_ext4(
    kernel: &dyn Kernel,
    device: &File,
    size_bytes: u64,
    options: &ext4::Options,
) -> anyhow::Result<Written> {
    let filesystem = Filesystem::plan(size_bytes, options).context("planning the file system")?;
    let mut medium = Medium { kernel, device, written: Written::default() };
    let mark = read_mark(&medium, size_bytes).context("looking at the first block")?;
    if !options.zeroed {
        erase_ends(&mut medium, &filesystem, mark.is_some()).context("erasing old signatures")?;
    }
    let mut chunks = filesystem.chunks();
    while let Some(chunk) = chunks.next() {
        let length = chunk.bytes.len();
        let writing = || format!("writing {length} bytes at {}", chunk.offset);
        if chunk.offset == 0 {
            medium.flush().context("flushing the metadata")?;
            if let Some(mark) = &mark {
                let boot = mark.iter().take(BOOT_BYTES);
                let marked: Vec<u8> =
                    boot.chain(chunk.bytes.iter().skip(BOOT_BYTES)).copied().collect();
                medium.write(0, &marked).with_context(writing)?;
                medium.flush().context("flushing the marked superblock")?;
            }
        }
        medium.write(chunk.offset, &chunk.bytes).with_context(writing)?;
        chunks.reuse(chunk);
    }
    medium.flush().context("flushing the superblock")?;
    Ok(medium.written)
}

/// Block 0, where it bears the mark of an unfinished file system.
fn read_mark(medium: &Medium<'_>, size_bytes: u64) -> io::Result<Option<Vec<u8>>> {
    let mut block = vec![0; MARKER_BYTES];
    medium.kernel.read_at(medium.device, 0, &mut block)?;
    let window = Windows { size_bytes, head: &block, tail: &[] };
    let is_marked = signature::identify(window).formatting().is_some();
    Ok(is_marked.then_some(block))
}

/// Zeros over both ends, flushed; block 0 keeps its mark where it has one.
fn erase_ends(medium: &mut Medium<'_>, filesystem: &Filesystem, is_marked: bool) -> io::Result<()> {
    let zeros = Aligned::zeros(ERASED_BYTES);
    let size_bytes = filesystem.blocks().saturating_mul(filesystem.block_bytes());
    let (first, rest) = zeros.split_at(MARKER_BYTES);
    if is_marked {
        let behind = u64::try_from(first.len()).unwrap_or(0);
        medium.write(behind, rest)?;
    } else {
        medium.write(0, &zeros)?;
    }
    let length = u64::try_from(zeros.len()).unwrap_or(0);
    medium.write(size_bytes.saturating_sub(length), &zeros)?;
    medium.flush()
}

//! Reads what a disk holds: its two ends, and where an array's data begin.

use std::cell::RefCell;
use std::fs::File;
use std::io;

use crate::format::signature::{Contents, WINDOW_BYTES, Windows, identify};
use crate::sys::Kernel;

thread_local! {
    /// What both ends of the last disk were read into: the kernel has to find no memory for the next.
    static ENDS: RefCell<[Vec<u8>; 2]> = const { RefCell::new([Vec::new(), Vec::new()]) };
}

/// Lets the kernel begin to read what [`read_contents`] will ask for, without waiting.
pub(super) fn expect_contents(kernel: &dyn Kernel, device: &File, size_bytes: u64) {
    let window = size_bytes.min(WINDOW_BYTES);
    for offset in [0, size_bytes.saturating_sub(window)] {
        kernel.expect_read(device, offset, window);
    }
}

/// What an open disk of `size_bytes` holds.
///
/// # Errors
/// Those of reading.
pub(super) fn read_contents(
    kernel: &dyn Kernel,
    device: &File,
    size_bytes: u64,
) -> io::Result<Contents> {
    let window = size_bytes.min(WINDOW_BYTES);
    ENDS.with_borrow_mut(|[head, tail]| {
        read(kernel, device, 0, window, head)?;
        read(kernel, device, size_bytes.saturating_sub(window), window, tail)?;
        Ok(identify(Windows { size_bytes, head, tail }))
    })
}

/// What the array holds that has its first data on this disk.
///
/// # Errors
/// Those of reading.
pub(super) fn read_inner(
    kernel: &dyn Kernel,
    device: &File,
    size_bytes: u64,
    contents: &Contents,
) -> io::Result<Option<Contents>> {
    let Some(superblock) = contents.only_md_1_2() else { return Ok(None) };
    let has_start = superblock.level == 1 || superblock.slot() == Some(0);
    let start = superblock.data_offset_sectors.saturating_mul(512);
    if !has_start || start >= size_bytes {
        return Ok(None);
    }
    // A stripe's first chunk is all that this member has of the array's start.
    let chunk = match superblock.level {
        0 => u64::from(superblock.chunk_sectors).saturating_mul(512),
        _ => WINDOW_BYTES,
    };
    let window = chunk.min(WINDOW_BYTES).min(size_bytes.saturating_sub(start));
    let mut head = Vec::new();
    read(kernel, device, start, window, &mut head)?;
    let size_bytes = superblock.data_size_sectors.saturating_mul(512);
    Ok(Some(identify(Windows { size_bytes, head: &head, tail: &[] })))
}

/// Reads `count` bytes into `bytes`, whatever was in it.
fn read(
    kernel: &dyn Kernel,
    device: &File,
    offset: u64,
    count: u64,
    bytes: &mut Vec<u8>,
) -> io::Result<()> {
    bytes.resize(usize::try_from(count).map_err(io::Error::other)?, 0);
    kernel.read_at(device, offset, bytes)
}

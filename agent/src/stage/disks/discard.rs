//! Discarding: all disks of a step side by side, for a limited time.

use std::fs::File;
use std::io;
use std::time::Duration;

use crate::format::signature::WINDOW_BYTES;
use crate::plan::disks::inventory::Disk;
use crate::sys::Kernel;

/// Bytes of one call: the time is looked at in between.
const CHUNK_BYTES: u64 = 1 << 30;
/// Places that are read to see whether an emptied disk does read as zeros.
const SAMPLES: u64 = 64;
/// Bytes read at each.
const SAMPLE_BYTES: u64 = 4096;

/// How far one disk came.
#[derive(Debug)]
pub(super) enum Discarded {
    /// To the end.
    All,
    /// The time was over.
    Part {
        /// Bytes that were left.
        left_bytes: u64,
    },
    /// The kernel or the disk refused.
    Failed(io::Error),
}

/// Discards disks side by side. The windows at both ends, in which everything is told
/// by zeros, are left as they are: power may go at any time.
pub(super) fn discard_all(
    kernel: &dyn Kernel,
    disks: &[(&Disk, File)],
    limit: Duration,
) -> Vec<Discarded> {
    let end = kernel.since_boot().saturating_add(limit);
    std::thread::scope(|scope| {
        let start = |(disk, device)| scope.spawn(move || discard(kernel, device, disk, end));
        let threads: Vec<_> = disks.iter().map(|(disk, device)| start((disk, device))).collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, Discarded>| {
            let panicked = |_| Discarded::Failed(io::Error::other("the thread panicked"));
            thread.join().unwrap_or_else(panicked)
        };
        threads.into_iter().map(join).collect()
    })
}

fn discard(kernel: &dyn Kernel, device: &File, disk: &Disk, end: Duration) -> Discarded {
    let last = disk.size_bytes.saturating_sub(WINDOW_BYTES);
    let mut offset = WINDOW_BYTES;
    while offset < last {
        if kernel.since_boot() >= end {
            return Discarded::Part { left_bytes: last.saturating_sub(offset) };
        }
        let length = CHUNK_BYTES.min(last.saturating_sub(offset));
        if let Err(error) = kernel.discard(device, offset, length) {
            return Discarded::Failed(error);
        }
        offset = offset.saturating_add(length);
    }
    Discarded::All
}

/// Whether a disk that was emptied reads as zeros wherever it is looked at: a controller
/// may take a discard for a mere hint.
///
/// # Errors
/// Those of reading.
pub(super) fn reads_zero(kernel: &dyn Kernel, device: &File, disk: &Disk) -> io::Result<bool> {
    let blocks = (disk.size_bytes / SAMPLE_BYTES).saturating_sub(1);
    for sample in 0..=SAMPLES {
        let block = u128::from(blocks).saturating_mul(u128::from(sample)) / u128::from(SAMPLES);
        let offset = u64::try_from(block).unwrap_or(0).saturating_mul(SAMPLE_BYTES);
        let mut bytes = [0; 4096];
        kernel.read_at(device, offset, &mut bytes)?;
        if bytes.iter().any(|byte| *byte != 0) {
            return Ok(false);
        }
    }
    Ok(true)
}

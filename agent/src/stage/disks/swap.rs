//! Swap areas: made like file systems, and switched on where those are mounted.

use std::fs::File;

use anyhow::Context;

use crate::format::signature::{MARKER_BYTES, WINDOW_BYTES};
use crate::format::swap::{self, SwapHeader};
use crate::layout::Layout;
use crate::sys::Kernel;
use crate::sys::swap::page_bytes;

use super::inventory::{device_node, read_swaps};

/// Makes a swap area on a device of `size_bytes` whose first block bears the mark of one
/// that is being made; the mark is the last to go.
///
/// # Errors
/// A device that is too small; errors of the device.
pub(super) fn make_swap(
    kernel: &dyn Kernel,
    device: &File,
    size_bytes: u64,
    header: &SwapHeader,
) -> anyhow::Result<()> {
    let page = swap::encode(header, page_bytes(), size_bytes)?;
    let mut mark = vec![0; MARKER_BYTES];
    kernel.read_at(device, 0, &mut mark).context("reading the mark")?;
    let mark = mark.get(..swap::BOOT_BYTES).unwrap_or_default();
    let behind = page.get(swap::BOOT_BYTES..).unwrap_or_default();
    let marked = [mark, behind].concat();
    let start = u64::try_from(page.len())?;
    let rest = size_bytes.min(WINDOW_BYTES).saturating_sub(start);
    let write = || {
        // Signatures of what was there before.
        kernel.write_at(device, start, &vec![0; usize::try_from(rest).unwrap_or_default()])?;
        kernel.write_at(device, 0, &marked)?;
        kernel.flush(device)?;
        kernel.write_at(device, 0, &page)?;
        kernel.flush(device)
    };
    write().context("writing the header")
}

/// Switches a swap area on. One that is on already is left.
///
/// # Errors
/// What the kernel refuses.
pub(super) fn swap_on(kernel: &dyn Kernel, layout: &Layout, device: &str) -> anyhow::Result<()> {
    if read_swaps(layout).contains(device) {
        return Ok(());
    }
    kernel
        .swap_on(&device_node(layout, device))
        .with_context(|| format!("switching on swap on {device}"))
}

//! A disk that is about to be written to: opened alone, and still what the plan saw.

use std::fs::File;

use anyhow::{Context, bail, ensure};

use crate::format::signature::{Contents, WINDOW_BYTES};
use crate::layout::Layout;
use crate::plan::disks::inventory::Disk;
use crate::sys::Kernel;

use super::contents::read_contents;
use super::inventory::device_node;

/// Opens a disk of the plan for writing.
///
/// # Errors
/// When somebody has it, or when it is not the disk of the plan: another device, of
/// another size, or holding something else than `expected`.
pub(super) fn open_for_writing(
    kernel: &dyn Kernel,
    layout: &Layout,
    disk: &Disk,
    expected: &Contents,
) -> anyhow::Result<File> {
    let name = &disk.name;
    let node = device_node(layout, name);
    let device = match kernel.open_exclusive(&node) {
        Ok(device) => device,
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::BUSY.raw_os_error()) => {
            bail!("opening {name}: something is using it")
        }
        Err(error) => return Err(error).with_context(|| format!("opening {}", node.display())),
    };
    check_identity(kernel, &device, disk)?;
    let now = read_contents(kernel, &device, disk.size_bytes)
        .with_context(|| format!("reading {name} again"))?;
    ensure!(now == *expected, "{name} holds {now} now, the plan found {expected}: not written to");
    Ok(device)
}

/// Checks that an open device is the disk that was in the inventory.
///
/// # Errors
/// When it is another one.
pub(super) fn check_identity(
    kernel: &dyn Kernel,
    device: &File,
    disk: &Disk,
) -> anyhow::Result<()> {
    let name = &disk.name;
    let (major, minor) =
        kernel.device_number(device).with_context(|| format!("looking at {name}"))?;
    let size = kernel.size_bytes(device).with_context(|| format!("measuring {name}"))?;
    let is_same =
        (major, minor) == (disk.device.major, disk.device.minor) && size == disk.size_bytes;
    ensure!(is_same, "{name} is not the disk that the plan saw");
    Ok(())
}

/// Bytes at the start that go last: what says whose the disk is stands there, the mark of
/// an unfinished file system or a superblock. Cut short, a wipe can be finished.
const LAST_BYTES: usize = 8192;

/// Zeros over both ends, where all signatures are; then the kernel forgets partitions.
///
/// # Errors
/// Those of writing; partitions that are in use.
pub(super) fn wipe(kernel: &dyn Kernel, device: &File, disk: &Disk) -> anyhow::Result<()> {
    let name = &disk.name;
    let window = disk.size_bytes.min(WINDOW_BYTES);
    let zeros = vec![0; usize::try_from(window).unwrap_or(LAST_BYTES)];
    let (first, rest) = zeros.split_at(LAST_BYTES.min(zeros.len()));
    let write = |offset: u64, zeros: &[u8]| {
        kernel
            .write_at(device, offset, zeros)
            .with_context(|| format!("writing zeros to {name} at {offset}"))
    };
    let flush = || kernel.flush(device).with_context(|| format!("flushing {name}"));
    write(disk.size_bytes.saturating_sub(window), &zeros)?;
    write(u64::try_from(first.len()).unwrap_or_default(), rest)?;
    flush()?;
    write(0, first)?;
    flush()?;
    if !disk.partitions.is_empty() {
        kernel
            .reread_partitions(device)
            .with_context(|| format!("removing the partitions of {name}"))?;
    }
    Ok(())
}

//! The runs in their order, each measured. Inside the machine.

use std::path::{Path, PathBuf};
use std::slice;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rustix::mount::{MountFlags, UnmountFlags};

use super::act::{Ran, blank, commands, find_array, parse_range, read_counts, run_all, stop_array};
use super::job::{Act, Io, Job, Sample, Side};

/// All that creating an array writes lies below this offset of a member, in bytes.
const ARRAY_HEAD: u64 = 1 << 30;

/// How often an array that has been formatted is started again.
const ASSEMBLIES: u32 = 2;

/// Where a file system is mounted for a look.
const MOUNT: &str = "/mnt";

/// Takes a sample.
pub type Tell<'a> = &'a mut dyn FnMut(Sample) -> Result<()>;

/// Runs everything and hands on each sample.
///
/// # Errors
/// A command fails, a disk cannot be emptied, or what was made cannot be mounted.
pub fn run(job: &Job, disks: &[PathBuf], tell: Tell<'_>) -> Result<()> {
    for pair in 0..job.pairs {
        for side in in_turn(pair) {
            format(side, disks, tell)?;
        }
    }
    for _ in 0..job.with_discard {
        format(Side::ToolsWithDiscard, disks, tell)?;
    }
    blank(disks, None)?;
    for pair in 0..job.array_pairs {
        for side in in_turn(pair) {
            tell(measure(Act::Start, side, disks)?)?;
            measure_array(Act::Create, side, disks, tell)?;
            find_array()?.context("creating left no array")?;
            stop_array()?;
            blank(disks, Some(ARRAY_HEAD))?;
        }
    }
    let first = disks.first().context("finding the first disk")?;
    for pair in 0..job.pairs {
        for side in in_turn(pair) {
            tell(measure(Act::FormatOne, side, disks)?)?;
            mount(first)?;
            blank(slice::from_ref(first), None)?;
        }
    }
    Ok(())
}

/// Neither side always comes first.
fn in_turn(pair: u32) -> [Side; 2] {
    let sides = [Side::Rsinit, Side::Tools];
    if pair.is_multiple_of(2) { sides } else { [Side::Tools, Side::Rsinit] }
}

/// From blank disks to a file system on an array; that array started again; then mounted.
fn format(side: Side, disks: &[PathBuf], tell: Tell<'_>) -> Result<()> {
    blank(disks, None)?;
    tell(measure(Act::Format, side, disks)?)?;
    if side == Side::ToolsWithDiscard {
        return stop_array();
    }
    for _ in 0..ASSEMBLIES {
        stop_array()?;
        measure_array(Act::Assemble, side, disks, tell)?;
    }
    let array = find_array()?.context("assembling left no array")?;
    let wall = mount(&Path::new("/dev").join(array))?;
    tell(Sample { act: Act::Mount, side, wall, disks: Vec::new() })?;
    stop_array()
}

/// Measures what both sides do to an array, and of rsinit that part too which mdadm does.
fn measure_array(act: Act, side: Side, disks: &[PathBuf], tell: Tell<'_>) -> Result<()> {
    let (sample, said) = measure_and_hear(act, side, disks)?;
    tell(sample)?;
    if side != Side::Rsinit {
        return Ok(());
    }
    let wall = parse_range(&said).with_context(|| format!("rsinit says no time: {said}"))?;
    tell(Sample { act, side: Side::RsinitRange, wall, disks: Vec::new() })
}

fn measure(act: Act, side: Side, disks: &[PathBuf]) -> Result<Sample> {
    measure_and_hear(act, side, disks).map(|(sample, _)| sample)
}

fn measure_and_hear(act: Act, side: Side, disks: &[PathBuf]) -> Result<(Sample, String)> {
    let before = read_counts(disks)?;
    let Ran { wall, said } = run_all(&commands(act, side, disks))?;
    let after = read_counts(disks)?;
    let disks = before.iter().zip(&after).map(|(before, after)| Io {
        requests: after.requests.saturating_sub(before.requests),
        bytes: after.bytes.saturating_sub(before.bytes),
    });
    Ok((Sample { act, side, wall, disks: disks.collect() }, said))
}

/// Mounts an ext4 and lets it go again; what the mount took. Its inode tables stay as they are.
fn mount(device: &Path) -> Result<Duration> {
    let start = Instant::now();
    rustix::mount::mount(device, MOUNT, "ext4", MountFlags::empty(), Some(c"noinit_itable"))
        .with_context(|| format!("mounting {}", device.display()))?;
    let took = start.elapsed();
    rustix::mount::unmount(MOUNT, UnmountFlags::empty())
        .with_context(|| format!("unmounting {}", device.display()))?;
    Ok(took)
}

//! Makes the machine, lets it run, and reads what it tells.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use super::job::{Job, Message, Sample};
use super::{programs, table};
use crate::bench::image::command;
use crate::debian::Release;
use crate::disk::Disk;
use crate::kernel::{self, Kernel};
use crate::qemu::{Accelerator, CHEAP, Ending, Running};
use crate::workshop::Workshop;

/// Disks of the machine, and bytes of each.
const DISKS: usize = 8;
const DISK_BYTES: u64 = 4 << 40;

/// Memory of the machine, in MiB, and its processors.
const MEMORY_MIB: u32 = 3072;
const CPUS: u32 = 2;

/// Free bytes on the host below which the machine is switched off: a disk is being filled.
const LEAST_FREE: u64 = 4 << 30;
/// What mke2fs writes to the disks before they are emptied again, with something to spare.
const NEEDED_FREE: u64 = LEAST_FREE + (6 << 30);

/// The longest run.
const LIMIT: Duration = Duration::from_secs(3600);

/// What the command line says.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The binary that is measured.
    pub rsinit: PathBuf,
    /// What is run.
    pub job: Job,
}

impl Settings {
    /// The usual runs, of this `rsinit`.
    pub fn new(rsinit: PathBuf) -> Self {
        let modules = Vec::new();
        let job = Job { disks: DISKS, modules, pairs: 3, with_discard: 1, array_pairs: 5 };
        Self { rsinit, job }
    }
}

/// Runs everything and returns the table.
///
/// # Errors
/// Something is wrong: a tool is missing, a run fails, or the host's disk is filling up. A goal
/// that is missed is none.
pub fn run(settings: &Settings) -> Result<String> {
    let rsinit = &settings.rsinit;
    ensure!(rsinit.is_file(), "{} is not there: make build", rsinit.display());
    let workshop = Workshop::open()?;
    let _occupied = workshop.occupy()?;
    let kernel = kernel::prepare(&workshop, Release::Bookworm)?;
    let accelerator = Accelerator::probe(&workshop, &kernel)?;
    let scratch = workshop.scratch()?;
    let free = free_bytes(scratch.path())?;
    ensure!(
        free >= NEEDED_FREE,
        "{}: {free} bytes free, {NEEDED_FREE} wanted",
        scratch.path().display()
    );
    let initramfs = programs::pack(scratch.path(), rsinit, &kernel, settings.job.clone())?;
    let samples = boot(scratch.path(), &kernel, &initramfs, accelerator)?;
    let head = format!(
        "machine: {DISKS} NVMe disks of {} TiB, {CPUS} CPUs, Linux {}, {}\n\n",
        DISK_BYTES >> 40,
        kernel.release,
        accelerator.describe()
    );
    Ok(head + &table::render(&samples))
}

fn boot(
    scratch: &Path,
    kernel: &Kernel,
    initramfs: &Path,
    accelerator: Accelerator,
) -> Result<Vec<Sample>> {
    let told = scratch.join("told");
    let mut qemu = command("qemu-system-x86_64");
    qemu.args(accelerator.arguments()).args(["-nodefaults", "-display", "none", "-no-reboot"]);
    qemu.args(["-serial", "stdio", "-serial"]).arg(format!("file:{}", told.display()));
    qemu.args(["-m", &MEMORY_MIB.to_string(), "-smp", &CPUS.to_string()]);
    qemu.arg("-kernel").arg(kernel.image()).arg("-initrd").arg(initramfs);
    qemu.arg("-append").arg(format!("console=ttyS0 quiet panic=-1 {CHEAP}"));
    for number in 0..DISKS {
        let disk = Disk::blank(scratch, &format!("B{number}"), DISK_BYTES)?;
        let file = disk.path.display();
        qemu.arg("-drive").arg(format!(
            "if=none,id=disk{number},file={file},format=raw,cache=unsafe,discard=unmap"
        ));
        qemu.arg("-device").arg(format!("nvme,drive=disk{number},serial={}", disk.serial));
    }
    eprintln!("bench: booting the machine with eight disks");
    let mut machine = Running::start(&mut qemu, &scratch.join("console"), false)?;
    let ending = machine.wait_asking(LIMIT, |_| {
        let free = free_bytes(scratch).unwrap_or(0);
        (free < LEAST_FREE).then(|| format!("only {free} bytes are free on the host"))
    })?;
    let console = machine.console.text();
    drop(machine);
    let (samples, is_done) = read_told(&told)?;
    match ending {
        Ending::Off(_) if is_done => Ok(samples),
        ending => {
            let lines: Vec<&str> = console.lines().collect();
            let last = lines.get(lines.len().saturating_sub(20)..).unwrap_or_default();
            bail!("the machine did not come to its end: {ending:?}\n  {}", last.join("\n  "))
        }
    }
}

/// The samples, and whether the last word is there.
fn read_told(told: &Path) -> Result<(Vec<Sample>, bool)> {
    let text = fs::read_to_string(told).with_context(|| format!("reading {}", told.display()))?;
    let (mut samples, mut is_done) = (Vec::new(), false);
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        match serde_json::from_str(line) {
            Ok(Message::Sample(sample)) => samples.push(sample),
            Ok(Message::Failed(cause)) => bail!("in the machine: {cause}"),
            Ok(Message::Done) => is_done = true,
            // A line that was cut short: what is missing is seen below.
            Err(_) => {}
        }
    }
    Ok((samples, is_done))
}

fn free_bytes(folder: &Path) -> Result<u64> {
    let disk = rustix::fs::statvfs(folder).context("asking for free space")?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

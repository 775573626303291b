//! The machine's first process: makes the machine fit to measure, measures, switches it off.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use rustix::mount::MountFlags;
use rustix::system::RebootCommand;

use super::act::wait_until;
use super::job::{JOB, Job, Message};
use super::trial;

/// The port between the machine and the host.
const PORT: &str = "/dev/ttyS1";

/// Runs the job of the initramfs, tells the host, and switches off.
///
/// # Errors
/// The kernel would not switch off.
pub fn run() -> Result<()> {
    if let Err(cause) = testify() {
        eprintln!("bench-disks: {cause:#}");
        tell(&Message::Failed(format!("{cause:#}")))?;
    }
    rustix::fs::sync();
    rustix::system::reboot(RebootCommand::PowerOff).context("switching off")
}

fn testify() -> Result<()> {
    for (kind, at) in [("devtmpfs", "/dev"), ("proc", "/proc"), ("sysfs", "/sys")] {
        rustix::mount::mount(kind, at, kind, MountFlags::empty(), None)
            .with_context(|| format!("mounting {kind}"))?;
    }
    let text = fs::read(Path::new("/").join(JOB)).context("reading the job")?;
    let job: Job = serde_json::from_slice(&text).context("reading the job")?;
    for module in &job.modules {
        load(module).with_context(|| format!("loading {module}"))?;
    }
    let disks: Vec<PathBuf> =
        (0..job.disks).map(|disk| PathBuf::from(format!("/dev/nvme{disk}n1"))).collect();
    wait_until("all disks are there", || Ok(disks.iter().all(|disk| disk.exists())))?;
    trial::run(&job, &disks, &mut |sample| tell(&Message::Sample(sample)))?;
    tell(&Message::Done)
}

fn load(module: &str) -> Result<()> {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let file = File::open(Path::new("/lib/modules").join(release).join(module))?;
    Ok(rustix::system::finit_module(&file, c"", 0)?)
}

fn tell(message: &Message) -> Result<()> {
    let mut port = OpenOptions::new().write(true).open(PORT).context("opening the port")?;
    let line = format!("{}\n", serde_json::to_string(message)?);
    port.write_all(line.as_bytes()).context("telling the host")?;
    // Not before the last byte has left: the power may go next.
    rustix::termios::tcdrain(&port).context("telling the host")
}

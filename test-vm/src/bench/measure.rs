//! One run of one command in a fresh tmpfs, and what it took.
//!
//! The benchmark starts itself again for each run (`bench measure JOB`), for two reasons:
//! the mounts of that process go with it, and the kernel's sums over its children
//! (`RUSAGE_CHILDREN`) are those of this one run. That process stays small, as a child's
//! peak counts from its parent's memory at the moment of the fork.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use nix::sched::{CloneFlags, unshare};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;
use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_change, unmount,
};
use serde::{Deserialize, Serialize};

use crate::bench::listing;

/// How many of the last lines of a command that failed are told.
const TOLD: usize = 4;

/// One run, as it is handed to the process that carries it out.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Job {
    /// The command: a program and its arguments.
    pub argv: Vec<String>,
    /// Where the tmpfs is mounted and the command starts; none for a command that writes nothing.
    pub root: Option<PathBuf>,
    /// The size of that tmpfs, in bytes.
    pub root_bytes: u64,
    /// Where the listing of the tree goes that the command left.
    pub listing: Option<PathBuf>,
}

/// What one run took.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Sample {
    /// From the start of the command to its end.
    pub wall: Duration,
    /// User and system time of all its processes.
    pub cpu: Duration,
    /// Peak resident set of its largest process, in KiB.
    pub peak_kib: u64,
}

/// Carries out `job` in a process of its own.
///
/// # Errors
/// The command fails: the error ends with the last lines that it wrote.
pub fn run(job: &Job) -> Result<Sample> {
    let program = std::env::current_exe().context("finding this program")?;
    let output = super::image::command(&program)
        .arg("measure")
        .arg(serde_json::to_string(job)?)
        .output()
        .context("starting a measurement")?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        let lines: Vec<&str> = text.lines().collect();
        let last = lines.get(lines.len().saturating_sub(TOLD)..).unwrap_or_default();
        bail!("running {}:\n  {}", job.argv.join(" "), last.join("\n  "));
    }
    serde_json::from_slice(&output.stdout).context("reading a measurement")
}

/// What `bench measure` does: `job` as JSON; returns the sample as JSON.
///
/// # Errors
/// A mount fails (not root), or the command does.
pub fn perform(job: &str) -> Result<String> {
    let job: Job = serde_json::from_str(job).context("reading the job")?;
    if let Some(root) = &job.root {
        mount_root(root, job.root_bytes)?;
    }
    let sample = time(&job)?;
    if let (Some(root), Some(listing)) = (&job.root, &job.listing) {
        listing::write(root, listing)?;
    }
    if let Some(root) = &job.root {
        unmount(root, UnmountFlags::empty())
            .with_context(|| format!("unmounting {}", root.display()))?;
    }
    Ok(serde_json::to_string(&sample)?)
}

/// A tmpfs as Warewulf mounts it for the root, with the kernel's own defaults but for its size.
fn mount_root(root: &Path, bytes: u64) -> Result<()> {
    unshare(CloneFlags::CLONE_NEWNS).context("entering a mount namespace (this needs root)")?;
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    mount_change("/", private).context("making the mounts private")?;
    fs::create_dir_all(root).with_context(|| format!("making {}", root.display()))?;
    let options = std::ffi::CString::new(format!("mode=755,nr_inodes=0,size={bytes}"))?;
    mount("tmpfs", root, "tmpfs", MountFlags::empty(), options.as_c_str())
        .with_context(|| format!("mounting a tmpfs on {}", root.display()))
}

fn time(job: &Job) -> Result<Sample> {
    let [program, arguments @ ..] = job.argv.as_slice() else { bail!("the job has no command") };
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null());
    if let Some(root) = &job.root {
        command.current_dir(root);
    }
    let started = Instant::now();
    let status = command.status().with_context(|| format!("starting {program}"))?;
    let wall = started.elapsed();
    ensure!(status.success(), "{program}: {status}");
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).context("reading the usage of children")?;
    let micros = (usage.user_time() + usage.system_time()).num_microseconds();
    Ok(Sample {
        wall,
        cpu: Duration::from_micros(u64::try_from(micros)?),
        peak_kib: u64::try_from(usage.max_rss())?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(script: &str) -> String {
        let argv = ["sh", "-c", script].map(str::to_owned).to_vec();
        serde_json::to_string(&Job { argv, root: None, root_bytes: 0, listing: None }).unwrap()
    }

    #[test]
    fn wall_and_cpu_time_are_told_apart() {
        let sample = perform(&job("sleep 0.2")).unwrap();
        let sample: Sample = serde_json::from_str(&sample).unwrap();
        assert!(sample.wall >= Duration::from_millis(200), "{sample:?}");
        assert!(sample.peak_kib > 100, "{sample:?}");
    }

    #[test]
    fn a_command_that_fails_is_an_error() {
        let error = perform(&job("exit 3")).unwrap_err();
        assert!(error.to_string().contains("exit status: 3"), "{error}");
    }
}

//! Ends a program at its n-th call that changes a disk, an array or a mount: everything that a
//! kill or a power failure can leave behind, one point after the other.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use nix::libc;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::{HELD, PORT};

/// The name by which this program becomes the traced one.
const TRACED: &str = "traced";

/// `BLKSSZGET`: asks, and has no direction in its number that says so.
const BLKSSZGET: u64 = 0x1268;

/// The direction of an ioctl that only reads (`_IOC_READ`).
const READS: u64 = 0x8000_0000;

/// Where a program is to be stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
enum At {
    /// Nowhere: it runs to its end.
    End,
    /// Before the call with this number, from 0.
    Number(usize),
    /// Before the first call of this name, `mount`.
    First(String),
}

impl At {
    /// `-`, a number, or a name.
    fn parse(word: &OsString) -> Result<Self> {
        let word = word.to_str().context("reading where to stop")?;
        Ok(match word.parse() {
            Ok(number) => Self::Number(number),
            Err(_) if word == "-" => Self::End,
            Err(_) => Self::First(word.to_owned()),
        })
    }

    /// Whether it is before this call, which `points` others came before.
    fn is(&self, points: usize, call: &str) -> bool {
        match self {
            Self::End => false,
            Self::Number(number) => points == *number,
            Self::First(name) => call == name,
        }
    }
}

/// What came of a traced program.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Outcome {
    /// It ran to its end.
    Ended {
        /// Calls that changed something.
        points: usize,
        /// Its exit status.
        status: i32,
    },
    /// It stands before a call that has not been made.
    Stopped {
        /// `pwrite64 nvme1n1`.
        before: String,
        /// The program.
        program: Pid,
    },
}

/// Acts as the program of that name; none where this module has no such program.
pub fn act(name: &str) -> Option<ExitCode> {
    let argv = || -> Vec<OsString> { std::env::args_os().skip(1).collect() };
    let result = match name {
        "killed" => killed(&argv()),
        "held" => held(&argv()),
        TRACED => become_traced(&argv()).map(|()| ExitCode::SUCCESS),
        _ => return None,
    };
    Some(result.unwrap_or_else(|cause| {
        eprintln!("witness: {cause:#}");
        ExitCode::from(99)
    }))
}

/// `killed N|CALL|- PROGRAM…`: kills the program before its call number N, or its first CALL; `-`
/// lets it run and counts.
fn killed(argv: &[OsString]) -> Result<ExitCode> {
    let (at, argv) = argv.split_first().context("killed N|CALL|- PROGRAM")?;
    match trace(argv, &At::parse(at)?)? {
        Outcome::Ended { points, status } => {
            println!("ran through {points} points, status {status}");
            Ok(ExitCode::SUCCESS)
        }
        Outcome::Stopped { before, program } => {
            finish(program)?;
            println!("killed before {before}");
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// `held N PROGRAM…`: stops the program before its call number N, says so, and waits for the power
/// to go.
fn held(argv: &[OsString]) -> Result<ExitCode> {
    let (at, argv) = argv.split_first().context("held N PROGRAM")?;
    let outcome = trace(argv, &At::parse(at)?)?;
    let Outcome::Stopped { before, .. } = outcome else { bail!("it was not held: {outcome:?}") };
    let mut port = OpenOptions::new().write(true).open(PORT)?;
    port.write_all(format!("\n{HELD} {before}\n").as_bytes())?;
    loop {
        std::thread::sleep(Duration::from_secs(60));
    }
}

/// Becomes `argv`, traced by the parent.
///
/// # Errors
/// It cannot be started.
fn become_traced(argv: &[OsString]) -> Result<()> {
    ptrace::traceme().context("asking to be traced")?;
    let (program, words) = argv.split_first().context("naming a program")?;
    Err(Command::new(program).args(words).exec()).context("starting it")
}

/// Runs `argv` up to the call `at`, or to its end.
///
/// # Errors
/// The program cannot be traced.
fn trace(argv: &[OsString], at: &At) -> Result<Outcome> {
    let mut command = Command::new("/proc/self/exe");
    let child = command.arg0(TRACED).args(argv).spawn().context("starting it")?;
    let program = Pid::from_raw(i32::try_from(child.id())?);
    // Stopped by its exec.
    waitpid(program, None).context("waiting for its start")?;
    let options = Options::PTRACE_O_TRACESYSGOOD
        | Options::PTRACE_O_TRACECLONE
        | Options::PTRACE_O_TRACEEXEC
        | Options::PTRACE_O_EXITKILL;
    ptrace::setoptions(program, options).context("setting options")?;
    ptrace::syscall(program, None).context("going on")?;
    let mut inside = BTreeSet::new();
    let mut points = 0;
    loop {
        let stopped = waitpid(None, Some(WaitPidFlag::__WALL)).context("waiting for it")?;
        match stopped {
            WaitStatus::PtraceSyscall(thread) => {
                let is_entry = inside.insert(thread);
                if !is_entry {
                    inside.remove(&thread);
                } else if let Some(before) = describe(thread)? {
                    if at.is(points, &before) {
                        return Ok(Outcome::Stopped { before, program });
                    }
                    points += 1;
                }
                ptrace::syscall(thread, None)?;
            }
            WaitStatus::Stopped(thread, Signal::SIGTRAP | Signal::SIGSTOP)
            | WaitStatus::PtraceEvent(thread, ..) => ptrace::syscall(thread, None)?,
            WaitStatus::Stopped(thread, signal) => ptrace::syscall(thread, signal)?,
            WaitStatus::Exited(thread, status) if thread == program => {
                return Ok(Outcome::Ended { points, status });
            }
            WaitStatus::Signaled(thread, signal, _) if thread == program => {
                bail!("it was ended by {signal}")
            }
            _ => {}
        }
    }
}

/// Kills a stopped program and waits until the kernel has let go of all it held.
///
/// # Errors
/// It is no child of ours.
fn finish(program: Pid) -> Result<()> {
    kill(program, Signal::SIGKILL).context("killing it")?;
    loop {
        // Its threads too: until each was waited for, the program is not seen to end.
        match waitpid(None, Some(WaitPidFlag::__WALL)).context("waiting for its end")? {
            WaitStatus::Signaled(ended, ..) | WaitStatus::Exited(ended, ..) if ended == program => {
                return Ok(());
            }
            _ => {}
        }
    }
}

/// The call that a thread is about to make, if it changes a disk, an array or a mount.
fn describe(thread: Pid) -> Result<Option<String>> {
    let registers = ptrace::getregs(thread).context("reading registers")?;
    let name = match registers.orig_rax.cast_signed() {
        libc::SYS_mount => return Ok(Some("mount".to_owned())),
        libc::SYS_umount2 => return Ok(Some("umount".to_owned())),
        libc::SYS_write => "write",
        libc::SYS_pwrite64 => "pwrite64",
        libc::SYS_writev => "writev",
        libc::SYS_pwritev => "pwritev",
        libc::SYS_fsync => "fsync",
        libc::SYS_fdatasync => "fdatasync",
        libc::SYS_fallocate => "fallocate",
        libc::SYS_ioctl if registers.rsi & READS == 0 && registers.rsi != BLKSSZGET => "ioctl",
        _ => return Ok(None),
    };
    let link = format!("/proc/{thread}/fd/{}", registers.rdi);
    let target = fs::read_link(link).unwrap_or_default();
    let target = target.to_string_lossy();
    let is_ours = ["/dev/nvme", "/dev/md", "/sys/"].iter().any(|begin| target.starts_with(begin));
    Ok(is_ours.then(|| format!("{name} {}", target.rsplit('/').next().unwrap_or_default())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_is_a_number_a_name_or_none() {
        let parse = |word: &str| At::parse(&word.into()).unwrap();
        assert_eq!(parse("-"), At::End);
        assert_eq!(parse("12"), At::Number(12));
        assert_eq!(parse("mount"), At::First("mount".to_owned()));
        assert!(parse("12").is(12, "mount") && !parse("12").is(11, "mount"));
        assert!(parse("mount").is(3, "mount") && !parse("mount").is(3, "umount"));
        assert!(!parse("-").is(0, "mount"));
    }
}

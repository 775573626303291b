//! Processes in another root: chroot(2), sessions, what they say, and how they end.
#![allow(unsafe_code, reason = "chroot must happen between fork and exec")]

use std::ffi::{CStr, CString};
use std::io::{self, PipeReader, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Pid, Resource, Rlimit, Signal};

use super::Linux;
use super::holders::{self, Sought};

/// How often a program that still runs is reported.
const STILL_RUNS_EVERY: Duration = Duration::from_secs(15);
/// How long a program that was killed may take to end. One that has a file of a dead NFS
/// server open closes it no sooner than its requests are ended by an unmount by force.
const END_LIMIT: Duration = Duration::from_secs(5);
/// How much of what lies in the pipe is still read when the program has ended, in blocks.
const LAST_BLOCKS: usize = 64;

/// `RLIMIT_CORE` with which no core is written, into no file (less than a page) and
/// into no pipe (the kernel's own mark for that; 0 does not stop a pipe).
/// Source: `do_coredump`, `fs/coredump.c`.
const NO_CORE: Rlimit = Rlimit { current: Some(1), maximum: Some(1) };

/// The kernel's list of whom to end for want of memory, where everybody sets their own place.
const OOM_SCORE_ADJ: &CStr = c"/proc/self/oom_score_adj";
/// Whoever has this goes last, and yet before the kernel panics, as it would at -1000.
/// Source: `OOM_SCORE_ADJ_MIN`, `linux/oom.h`.
const LAST: &[u8] = b"-999";
/// Everybody's place.
const USUAL: &[u8] = b"0";

/// Has the kernel end anybody else first where memory is short: the hook, and not the boot.
///
/// # Errors
/// `EACCES` without `CAP_SYS_RESOURCE`.
pub fn be_ended_last() -> io::Result<()> {
    Ok(set_oom_score_adj(LAST)?)
}

/// Allocates nothing.
fn set_oom_score_adj(value: &[u8]) -> rustix::io::Result<()> {
    let file = rustix::fs::open(OOM_SCORE_ADJ, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    rustix::io::write(file, value).map(drop)
}

/// A program to run with another root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootCommand {
    /// The root it sees.
    pub root: PathBuf,
    /// The program, as a path below that root.
    pub program: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// Its whole environment.
    pub env: Vec<(String, String)>,
    /// Its working folder, below that root.
    pub cwd: String,
    /// How long it may take.
    pub timeout: Duration,
}

/// What is heard of a program while it runs.
#[derive(Debug)]
pub enum Heard<'a> {
    /// It wrote this, to standard output or error.
    Output(&'a [u8]),
    /// It still runs, after so long.
    StillRuns(Duration),
}

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It ended with this status, 0 to 255.
    Status(i32),
    /// A signal ended it.
    Signal(i32),
    /// It was ended because its time was over.
    TimedOut,
}

/// Running programs, as a stage asks for it.
pub trait Processes {
    /// Runs a program in its root, in a session of its own, without a core, in everybody's
    /// place for want of memory, lets
    /// `hear` hear of it, and ends whatever is left of its process group afterwards.
    ///
    /// # Errors
    /// What fork, chroot or exec say: `ENOENT` where there is no such program (or
    /// not its interpreter), `EACCES` where it may not be executed.
    fn run_in_root(
        &self,
        command: &RootCommand,
        hear: &mut dyn FnMut(Heard<'_>),
    ) -> io::Result<Exit>;

    /// Ends every process that is meant, and waits until it is gone; their names.
    ///
    /// # Errors
    /// Reading `proc`; `TimedOut`, with their names, where some do not go.
    fn end_all(&self, proc: &Path, sought: &Sought) -> io::Result<Vec<String>>;
}

impl Processes for Linux {
    fn run_in_root(
        &self,
        command: &RootCommand,
        hear: &mut dyn FnMut(Heard<'_>),
    ) -> io::Result<Exit> {
        let (output, child) = spawn(command)?;
        rustix::io::ioctl_fionbio(&output, true)?;
        follow(child, output, command.timeout, hear)
    }

    fn end_all(&self, proc: &Path, sought: &Sought) -> io::Result<Vec<String>> {
        holders::end_all(proc, sought)
    }
}

fn spawn(command: &RootCommand) -> io::Result<(PipeReader, Child)> {
    let root = CString::new(command.root.as_os_str().as_bytes())?;
    let cwd = CString::new(command.cwd.as_bytes())?;
    let (output, input) = io::pipe()?;
    let mut builder = Command::new(&command.program);
    builder
        .args(&command.args)
        .env_clear()
        .envs(command.env.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(input.try_clone()?)
        .stderr(input);
    // SAFETY: between fork and exec the closure makes only the system calls
    // setsid, prctl, open, write, close, setrlimit, chroot and chdir, which are async-signal-safe, on C
    // strings that were allocated before the fork; it takes no lock and allocates nothing.
    unsafe {
        builder.pre_exec(move || {
            rustix::process::setsid()?;
            rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
            // Where somebody has set a worse place, it may stay.
            let _ = set_oom_score_adj(USUAL);
            rustix::process::setrlimit(Resource::Core, NO_CORE)?;
            rustix::process::chroot(root.as_c_str())?;
            rustix::process::chdir(cwd.as_c_str())?;
            Ok(())
        });
    }
    let child = builder.spawn()?;
    Ok((output, child))
}

/// Hears a program until it ends, or its time is over.
///
/// It is waited for on a thread of its own that closes a pipe, so that one poll(2) has
/// all there is to wait for; pidfd_open(2) is newer than 4.18.
fn follow(
    mut child: Child,
    mut output: PipeReader,
    timeout: Duration,
    hear: &mut dyn FnMut(Heard<'_>),
) -> io::Result<Exit> {
    let group = Pid::from_child(&child);
    let (ended, lives) = io::pipe()?;
    let waiter = std::thread::spawn(move || {
        let status = child.wait();
        drop(lives);
        status
    });
    let begun = Instant::now();
    let (mut say_at, mut open) = (STILL_RUNS_EVERY, true);
    let in_time = loop {
        let elapsed = begun.elapsed();
        if elapsed >= timeout {
            break false;
        }
        if elapsed >= say_at {
            hear(Heard::StillRuns(elapsed));
            say_at += STILL_RUNS_EVERY;
        }
        let wait = timeout.min(say_at).saturating_sub(elapsed);
        let (has_ended, has_said) = wait_for(&ended, open.then_some(&output), wait)?;
        if has_said {
            open = pass_on(&mut output, hear)?;
        }
        if has_ended {
            break true;
        }
    };
    // ESRCH: nothing is left of it.
    let _ = rustix::process::kill_process_group(group, Signal::KILL);
    for _ in 0..LAST_BLOCKS {
        open = open && wait_for(&ended, Some(&output), Duration::ZERO)?.1;
        open = open && pass_on(&mut output, hear)?;
    }
    if !in_time {
        // One that does not even end now is found by whoever ends what is left in the root.
        wait_for(&ended, None, END_LIMIT)?;
        return Ok(Exit::TimedOut);
    }
    let status = waiter.join();
    Ok(exit_of(status.map_err(|_| io::Error::other("the thread that waits for it panicked"))??))
}

/// Whether it has ended, and whether it has said something or closed its output.
fn wait_for(
    ended: &PipeReader,
    output: Option<&PipeReader>,
    limit: Duration,
) -> io::Result<(bool, bool)> {
    let limit = Timespec::try_from(limit).map_err(io::Error::other)?;
    let mut wanted = vec![PollFd::new(ended, PollFlags::IN)];
    wanted.extend(output.map(|output| PollFd::new(output, PollFlags::IN)));
    match rustix::event::poll(&mut wanted, Some(&limit)) {
        Err(Errno::INTR) => return Ok((false, false)),
        answer => answer?,
    };
    let mut ready = wanted.iter().map(|fd| !fd.revents().is_empty());
    Ok((ready.next().unwrap_or(false), ready.next().unwrap_or(false)))
}

/// Passes on one block of output; whether there may be more.
fn pass_on(output: &mut PipeReader, hear: &mut dyn FnMut(Heard<'_>)) -> io::Result<bool> {
    let mut block = [0; 4096];
    match output.read(&mut block) {
        Ok(length) => {
            hear(Heard::Output(block.get(..length).unwrap_or_default()));
            Ok(length > 0)
        }
        Err(error)
            if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) =>
        {
            Ok(true)
        }
        Err(error) => Err(error),
    }
}

fn exit_of(status: ExitStatus) -> Exit {
    match (status.code(), status.signal()) {
        (Some(code), _) => Exit::Status(code),
        (None, signal) => Exit::Signal(signal.unwrap_or(0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, timeout: Duration) -> (io::Result<Exit>, String) {
        let mut said = Vec::new();
        let command = RootCommand {
            root: PathBuf::from("/"),
            program: "/bin/sh".to_owned(),
            args: vec!["-c".to_owned(), script.to_owned()],
            env: vec![("WORD".to_owned(), "hello".to_owned())],
            cwd: "/usr".to_owned(),
            timeout,
        };
        let exit = Linux.run_in_root(&command, &mut |heard| {
            if let Heard::Output(bytes) = heard {
                said.extend_from_slice(bytes);
            }
        });
        (exit, String::from_utf8(said).unwrap())
    }

    // These need CAP_SYS_CHROOT, as the boot does.
    #[test]
    fn a_program_gets_its_environment_and_folder_and_its_output_is_kept() {
        let (exit, log) =
            shell("echo $WORD $(pwd); echo oops >&2; exit 3", Duration::from_secs(20));
        assert_eq!(exit.unwrap(), Exit::Status(3));
        assert_eq!(log, "hello /usr\noops\n");
    }

    #[test]
    fn a_program_that_hangs_is_ended_with_all_its_children() {
        let begun = Instant::now();
        let (exit, log) = shell("sleep 600 & echo $!; wait", Duration::from_millis(500));
        assert_eq!(exit.unwrap(), Exit::TimedOut);
        assert!(begun.elapsed() < Duration::from_secs(60));
        // Killed is not yet dead: on a busy machine that takes a moment.
        let runs = || {
            let state = std::fs::read_to_string(format!("/proc/{}/stat", log.trim()));
            state.is_ok_and(|state| !state.contains(") Z "))
        };
        while runs() {
            assert!(begun.elapsed() < Duration::from_secs(60), "the child still runs");
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_signal_is_told_from_a_status() {
        let (exit, _) = shell("kill -TERM $$", Duration::from_secs(20));
        assert_eq!(exit.unwrap(), Exit::Signal(15));
    }

    #[test]
    fn what_keeps_the_output_open_does_not_keep_the_boot() {
        let begun = Instant::now();
        let (exit, log) = shell("setsid sh -c 'sleep 600 & echo $!'", Duration::from_secs(300));
        assert_eq!(exit.unwrap(), Exit::Status(0));
        assert!(begun.elapsed() < Duration::from_secs(60));
        let pid = log.trim().parse().ok().and_then(Pid::from_raw).unwrap();
        rustix::process::kill_process(pid, Signal::KILL).unwrap();
    }

    #[test]
    fn a_long_output_arrives_whole() {
        let (exit, log) = shell("seq 1 100000", Duration::from_secs(120));
        assert_eq!(exit.unwrap(), Exit::Status(0));
        assert_eq!(log.lines().count(), 100_000);
        assert!(log.ends_with("\n99999\n100000\n"));
    }

    #[test]
    fn for_want_of_memory_a_program_has_everybodys_place_and_not_that_of_its_parent() {
        // Another place than everybody's that anybody may take.
        set_oom_score_adj(b"1").unwrap();
        let (exit, log) = shell("cat /proc/self/oom_score_adj", Duration::from_secs(20));
        assert_eq!((exit.unwrap(), log.as_str()), (Exit::Status(0), "0\n"));
    }

    #[test]
    fn no_core_is_left_and_no_limit_can_be_raised_again_without_its_rights() {
        let (exit, log) = shell("ulimit -H -c; cat /proc/self/limits", Duration::from_secs(20));
        assert_eq!(exit.unwrap(), Exit::Status(0));
        let line = log.lines().find(|line| line.starts_with("Max core file size")).unwrap();
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(words[4..6], ["1", "1"], "{line}");
    }
}

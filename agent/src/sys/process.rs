//! Processes in another root: chroot(2), process groups, and who still lives there.
#![allow(unsafe_code, reason = "chroot must happen between fork and exec")]

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use rustix::process::{Pid, Signal};

use super::Linux;

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
    /// Runs a program in its root, in a process group of its own, with its output
    /// in `log`, and ends whatever is left of the group afterwards.
    ///
    /// # Errors
    /// What fork, chroot or exec say: `ENOENT` where there is no such program (or
    /// not its interpreter), `EACCES` where it may not be executed.
    fn run_in_root(&self, command: &RootCommand, log: File) -> io::Result<Exit>;

    /// Ends every process whose root folder is `root`, and says how many there were.
    ///
    /// # Errors
    /// Reading `proc`.
    fn end_all_in_root(&self, proc: &Path, root: &Path) -> io::Result<usize>;
}

impl Processes for Linux {
    fn run_in_root(&self, command: &RootCommand, log: File) -> io::Result<Exit> {
        let child = spawn(command, log)?;
        let group = Pid::from_child(&child);
        let exit = wait(child, command.timeout, group);
        // ESRCH: nothing is left of it.
        let _ = rustix::process::kill_process_group(group, Signal::KILL);
        exit
    }

    fn end_all_in_root(&self, proc: &Path, root: &Path) -> io::Result<usize> {
        let mut ended = 0;
        for entry in std::fs::read_dir(proc)? {
            let entry = entry?;
            let pid = entry.file_name().to_str().and_then(|name| name.parse().ok());
            let Some(pid) = pid.and_then(Pid::from_raw) else { continue };
            // A process that has just gone has no root to read.
            let lives_there = std::fs::read_link(entry.path().join("root"));
            if lives_there.is_ok_and(|of_process| of_process == root)
                && rustix::process::kill_process(pid, Signal::KILL).is_ok()
            {
                ended += 1;
            }
        }
        Ok(ended)
    }
}

fn spawn(command: &RootCommand, log: File) -> io::Result<Child> {
    let root = CString::new(command.root.as_os_str().as_bytes())?;
    let cwd = CString::new(command.cwd.as_bytes())?;
    let mut builder = Command::new(&command.program);
    builder
        .args(&command.args)
        .env_clear()
        .envs(command.env.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .process_group(0);
    // SAFETY: between fork and exec the closure makes only the system calls
    // chroot and chdir, which are async-signal-safe, on C strings that were
    // allocated before the fork; it takes no lock and allocates nothing.
    unsafe {
        builder.pre_exec(move || {
            rustix::process::chroot(root.as_c_str())?;
            rustix::process::chdir(cwd.as_c_str())?;
            Ok(())
        });
    }
    builder.spawn()
}

/// Waits on a thread of its own, so that the time limit needs neither a signal
/// nor pidfd_open(2), which is newer than 4.18.
fn wait(mut child: Child, timeout: Duration, group: Pid) -> io::Result<Exit> {
    let (ended, when_ended) = mpsc::channel();
    let waiter = std::thread::spawn(move || {
        let status = child.wait();
        // The receiver lives until this thread has been joined.
        let _ = ended.send(());
        status
    });
    let in_time = when_ended.recv_timeout(timeout).is_ok();
    if !in_time {
        // ESRCH: it ended this very moment.
        let _ = rustix::process::kill_process_group(group, Signal::KILL);
    }
    let status =
        waiter.join().map_err(|_| io::Error::other("the thread that waits for it panicked"))??;
    use std::os::unix::process::ExitStatusExt as _;
    Ok(match (in_time, status.code(), status.signal()) {
        (false, _, _) => Exit::TimedOut,
        (true, Some(code), _) => Exit::Status(code),
        (true, None, signal) => Exit::Signal(signal.unwrap_or(0)),
    })
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn shell(script: &str, timeout: Duration) -> (io::Result<Exit>, String) {
        let log = tempfile::NamedTempFile::new().unwrap();
        let command = RootCommand {
            root: PathBuf::from("/"),
            program: "/bin/sh".to_owned(),
            args: vec!["-c".to_owned(), script.to_owned()],
            env: vec![("WORD".to_owned(), "hello".to_owned())],
            cwd: "/usr".to_owned(),
            timeout,
        };
        let exit = Linux.run_in_root(&command, log.reopen().unwrap());
        (exit, std::fs::read_to_string(log.path()).unwrap())
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
        let state = std::fs::read_to_string(format!("/proc/{}/stat", log.trim()));
        assert!(state.is_err() || state.unwrap().contains(") Z "), "the child still runs");
    }

    #[test]
    fn a_signal_is_told_from_a_status() {
        let (exit, _) = shell("kill -TERM $$", Duration::from_secs(20));
        assert_eq!(exit.unwrap(), Exit::Signal(15));
    }
}

//! A system call that may wait for a server for ever, made where it can be ended.
//!
//! mount(2) and umount2(2) of a network file system wait in a way that only the end of
//! their process stops. So a child of ours makes the call, in our mount namespace, and is
//! killed when its time is over: afterwards no such call is under way any more.
#![allow(unsafe_code, reason = "fork(2): no other call makes a process without a program")]

use std::io;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};
use rustix::process::{Pid, Signal};

/// How long a killed child may take to end.
const END_LIMIT: Duration = Duration::from_secs(10);

/// Makes `call` in a process of its own, which has no longer than `limit`.
///
/// # Safety
/// Our other threads are not there in the child: `call` makes system calls and nothing
/// else, takes no lock and allocates nothing.
///
/// # Errors
/// The errno of the call; `TimedOut` where it was ended, done or not.
pub(super) unsafe fn within(
    limit: Duration,
    call: impl FnOnce() -> rustix::io::Result<()>,
) -> io::Result<()> {
    // SAFETY: the child makes one system call, `call`, for which the caller answers, and `end`.
    let child = match unsafe { fork() }? {
        ForkResult::Child => {
            // Nothing is mounted for somebody who was killed meanwhile.
            let _ = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
            end(call().map_or_else(rustix::io::Errno::raw_os_error, |()| 0))
        }
        ForkResult::Parent { child } => child,
    };
    let (over, is_over) = mpsc::channel();
    thread::spawn(move || {
        let ended = loop {
            match waitpid(child, None) {
                Err(Errno::EINTR) => {}
                ended => break ended,
            }
        };
        // Nobody listens any more: it was given up.
        let _ = over.send(ended);
    });
    let ended = is_over.recv_timeout(limit).or_else(|_| {
        if let Some(pid) = Pid::from_raw(child.as_raw()) {
            // Not yet waited for, so the number is still the child's; ESRCH: just ended.
            let _ = rustix::process::kill_process(pid, Signal::KILL);
        }
        is_over.recv_timeout(END_LIMIT)
    });
    match ended {
        Ok(Ok(WaitStatus::Exited(_, 0))) => Ok(()),
        Ok(Ok(WaitStatus::Exited(_, errno))) => Err(io::Error::from_raw_os_error(errno)),
        Ok(Err(error)) => Err(error.into()),
        Ok(Ok(_)) | Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

/// Ends the child at once: nothing of what the parent has set up is its to take down.
fn end(status: i32) -> ! {
    // SAFETY: _exit(2) takes any number; the kernel keeps eight bits, and an errno is below 134.
    unsafe { nix::libc::_exit(status) }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_call_in_a_process_of_its_own_tells_its_errno() {
        // SAFETY: nothing, or one system call.
        let called = unsafe { within(Duration::from_secs(60), || Ok(())) };
        assert!(called.is_ok());
        // SAFETY: one system call, of a path without a buffer of its own.
        let failed = unsafe {
            within(Duration::from_secs(60), || rustix::process::chdir(c"/no/such/folder"))
        };
        assert_eq!(failed.unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_call_that_waits_for_ever_is_ended() {
        let begun = Instant::now();
        let (reader, _writer) = io::pipe().unwrap();
        // SAFETY: one system call, into a buffer on the stack.
        let called = unsafe {
            within(Duration::from_millis(200), || {
                rustix::io::read(&reader, &mut [0_u8; 1]).map(drop)
            })
        };
        assert_eq!(called.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(begun.elapsed() < Duration::from_secs(60));
    }
}

//! The oldest kernel that the agent runs on, Linux 4.18, on any newer one.
//!
//! Every system call that came later is answered by `ENOSYS`, as an old kernel answers it: to
//! the calling thread, to the threads and programs that it starts, and for good. Left out: what
//! later kernels added to calls that 4.18 has, as flags, mount options and ioctls.

use std::collections::BTreeMap;
use std::io;

use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter};

/// Where the agent lies in an initramfs in whose place something else runs first.
pub const REAL_AGENT: &str = "/usr/sbin/rsinit.real";

/// `ENOSYS`. Source: `asm-generic/errno.h`.
const ENOSYS: u32 = 38;

/// The first call after 4.18 (`pidfd_send_signal`, Linux 5.1): from there on a call has one
/// number on every architecture, and none lies between. Source: `asm-generic/unistd.h`.
const FIRST: i64 = 424;
/// Beyond the last that any kernel of today has.
const LAST: i64 = 511;

/// Puts the calling thread, and all that it starts, onto Linux 4.18's set of system calls.
///
/// # Errors
/// The kernel has no seccomp filters.
pub fn stand_on_the_floor() -> io::Result<()> {
    let calls: BTreeMap<_, _> = (FIRST..=LAST).map(|call| (call, Vec::new())).collect();
    let architecture = std::env::consts::ARCH.try_into().map_err(io::Error::other)?;
    let (others, these) = (SeccompAction::Allow, SeccompAction::Errno(ENOSYS));
    let filter = SeccompFilter::new(calls, others, these, architecture);
    let program: BpfProgram = filter.and_then(TryInto::try_into).map_err(io::Error::other)?;
    apply_filter(&program).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
    use rustix::io::Errno;

    use super::*;

    fn openat2() -> Result<(), Errno> {
        rustix::fs::openat2(CWD, "/", OFlags::PATH, Mode::empty(), ResolveFlags::empty()).map(drop)
    }

    #[test]
    fn on_the_floor_there_is_no_openat2_and_all_older_calls_are() {
        let below = std::thread::spawn(|| {
            stand_on_the_floor().unwrap();
            let started = std::thread::spawn(openat2).join().unwrap();
            let ran = std::process::Command::new("true").status().unwrap();
            (openat2(), started, ran.success(), std::fs::metadata("/").unwrap().is_dir())
        });
        let missing = Err(Errno::NOSYS);
        assert_eq!(below.join().unwrap(), (missing, missing, true, true));
        assert_eq!(openat2(), Ok(()), "another thread's kernel is as it was");
    }
}

//! Devices that come and go: the kernel's netlink socket for kobject events.
//! Source: `lib/kobject_uevent.c`: `add@/devices/…`, then `KEY=value`, each ended by NUL.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, netlink, recv};

/// The group to which the kernel itself sends; udev sends to the second.
const KERNEL_GROUP: u32 = 1;
/// Longer than any event: the kernel's limit is 2 KiB and a header.
const EVENT_BYTES: usize = 8192;

/// Opens the socket and joins the kernel's group.
///
/// # Errors
/// The errno of the call.
pub(super) fn open() -> io::Result<OwnedFd> {
    let socket = rustix::net::socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
        Some(netlink::KOBJECT_UEVENT),
    )?;
    rustix::net::bind(&socket, &netlink::SocketAddrNetlink::new(0, KERNEL_GROUP))?;
    Ok(socket)
}

/// Waits until a storage device came or went, or until `timeout` has passed.
///
/// # Errors
/// The errno of the call.
pub(super) fn wait(socket: &OwnedFd, timeout: Duration) -> io::Result<bool> {
    let deadline = Instant::now().checked_add(timeout).unwrap_or_else(Instant::now);
    loop {
        let mut is_storage = false;
        let mut buffer = [0u8; EVENT_BYTES];
        while let Some(count) = receive(socket, &mut buffer)? {
            is_storage |= is_storage_event(buffer.get(..count).unwrap_or_default());
        }
        if is_storage {
            return Ok(true);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
        }
        let seconds = i64::try_from(left.as_secs()).unwrap_or(i64::MAX);
        let left = Timespec { tv_sec: seconds, tv_nsec: i64::from(left.subsec_nanos()) };
        match poll(&mut [PollFd::from_borrowed_fd(socket.as_fd(), PollFlags::IN)], Some(&left)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn receive(socket: &OwnedFd, buffer: &mut [u8]) -> io::Result<Option<usize>> {
    match recv(socket, buffer, RecvFlags::empty()) {
        Ok((count, _)) => Ok(Some(count)),
        Err(rustix::io::Errno::AGAIN) => Ok(None),
        // More events than the socket holds: something happened, and that is all
        // that is asked.
        Err(rustix::io::Errno::NOBUFS) => Ok(Some(0)),
        Err(error) => Err(error.into()),
    }
}

fn is_storage_event(message: &[u8]) -> bool {
    const KINDS: [&[u8]; 4] =
        [b"SUBSYSTEM=block", b"SUBSYSTEM=nvme", b"SUBSYSTEM=scsi", b"SUBSYSTEM=scsi_host"];
    message.split(|&byte| byte == 0).any(|field| KINDS.contains(&field)) || message.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_storage_is_of_interest() {
        assert!(is_storage_event(b"add@/devices/x\0ACTION=add\0SUBSYSTEM=block\0"));
        assert!(!is_storage_event(b"add@/devices/x\0ACTION=add\0SUBSYSTEM=net\0"));
        assert!(!is_storage_event(b"garbage"));
    }

    #[test]
    fn waiting_ends_with_its_timeout() {
        let Ok(socket) = open() else { return };
        let start = Instant::now();
        while wait(&socket, Duration::from_millis(20)).unwrap_or(false) {
            assert!(start.elapsed() < Duration::from_secs(20));
        }
    }
}

//! TCP connections from a source port that only root may bind.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{self, AddressFamily, SocketFlags, SocketType, ipproto, sockopt};

/// The ports a server takes as proof of root, and services leave alone. Source: bindresvport(3).
const LOWEST: u16 = 512;
/// Number of those ports: up to 1023.
const COUNT: u16 = 512;

/// Connects to `to` from a free port of 512-1023; the search starts at `first` (any number).
///
/// # Errors
/// Those of the calls: `EACCES` where the process is not root, `EADDRINUSE` when every port is
/// taken, `TimedOut`.
pub fn connect_from_reserved_port(
    to: SocketAddr,
    first: u16,
    timeout: Duration,
) -> io::Result<TcpStream> {
    let until = Instant::now() + timeout;
    Ok(first_free(first, |port| connect_from(to, port, until))?)
}

/// The first of all ports, from `first` on and round, with which `connect` succeeds.
fn first_free<T>(
    first: u16,
    mut connect: impl FnMut(u16) -> rustix::io::Result<T>,
) -> rustix::io::Result<T> {
    let mut last = Errno::ADDRINUSE;
    for step in 0..COUNT {
        match connect(LOWEST + (first % COUNT + step) % COUNT) {
            // Taken by another socket, or by an old connection to the same server.
            Err(errno @ (Errno::ADDRINUSE | Errno::ADDRNOTAVAIL)) => last = errno,
            done => return done,
        }
    }
    Err(last)
}

fn connect_from(to: SocketAddr, port: u16, until: Instant) -> rustix::io::Result<TcpStream> {
    let (family, from) = match to {
        SocketAddr::V4(_) => (AddressFamily::INET, SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))),
        SocketAddr::V6(_) => {
            (AddressFamily::INET6, SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)))
        }
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = net::socket_with(family, SocketType::STREAM, flags, Some(ipproto::TCP))?;
    net::bind(&socket, &from)?;
    match net::connect(&socket, &to) {
        Err(Errno::INPROGRESS) => wait_connected(&socket, until)?,
        other => other?,
    }
    rustix::io::ioctl_fionbio(&socket, false)?;
    Ok(TcpStream::from(socket))
}

fn wait_connected(socket: &OwnedFd, until: Instant) -> rustix::io::Result<()> {
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).map_err(|_| Errno::INVAL)?;
        match poll(&mut [PollFd::new(socket, PollFlags::OUT)], Some(&left)) {
            Ok(0) => return Err(Errno::TIMEDOUT),
            Ok(_) => return sockopt::socket_error(socket)?,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_next_port_is_taken_where_one_is_in_use() {
        assert!(rustix::process::geteuid().is_root(), "ports below 1024 need root");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let to = listener.local_addr().unwrap();
        // Distinct from other tests' searches, which start at random.
        let held = (0..COUNT)
            .find_map(|port| TcpListener::bind((Ipv4Addr::UNSPECIFIED, LOWEST + port)).ok());
        let taken = held.as_ref().unwrap().local_addr().unwrap().port();
        let stream = connect_from_reserved_port(to, taken - LOWEST, SECOND).unwrap();
        let port = stream.local_addr().unwrap().port();
        assert!((LOWEST..1024).contains(&port) && port != taken);
        let second = connect_from_reserved_port(to, taken - LOWEST, SECOND).unwrap();
        assert_ne!(second.local_addr().unwrap().port(), port);
    }

    #[test]
    fn ports_that_are_taken_or_not_to_be_had_are_passed_over_and_other_errors_are_not() {
        let mut tried = Vec::new();
        let port = first_free(65_000, |port| {
            tried.push(port);
            match tried.len() {
                1 => Err(Errno::ADDRINUSE),
                2 => Err(Errno::ADDRNOTAVAIL),
                _ => Ok(port),
            }
        });
        let start = LOWEST + 65_000 % COUNT;
        assert_eq!((port, tried), (Ok(start + 2), vec![start, start + 1, start + 2]));
        let refused =
            first_free(0, |port| if port > LOWEST { Ok(()) } else { Err(Errno::CONNREFUSED) });
        assert_eq!(refused, Err(Errno::CONNREFUSED));
        let mut all = Vec::new();
        let none = first_free::<()>(1023, |port| {
            all.push(port);
            Err(Errno::ADDRNOTAVAIL)
        });
        all.sort_unstable();
        assert_eq!((none, all), (Err(Errno::ADDRNOTAVAIL), (512..1024).collect()));
    }

    #[test]
    fn refused_and_silent_servers_are_errors() {
        let to = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
        let error = connect_from_reserved_port(to, 0, SECOND).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    }
}

//! Telling systemd how a service is: sd_notify(3), which is one datagram a message.

use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// The way to whoever started the service; leads nowhere where nobody listens.
#[derive(Debug, Default)]
pub struct Notify {
    to: Option<(UnixDatagram, SocketAddr)>,
    /// systemd wants to hear of the service this often.
    pub watchdog: Option<Duration>,
}

impl Notify {
    /// From the values of `NOTIFY_SOCKET` (a path, or an abstract name after `@`) and
    /// `WATCHDOG_USEC` (microseconds).
    ///
    /// # Errors
    /// The socket's name is none, or those of socket(2).
    pub fn new(socket: Option<&str>, watchdog: Option<&str>) -> io::Result<Self> {
        let watchdog = watchdog.and_then(|text| text.parse().ok()).map(Duration::from_micros);
        let Some(name) = socket.filter(|name| !name.is_empty()) else {
            return Ok(Self { to: None, watchdog });
        };
        let address = match name.strip_prefix('@') {
            Some(name) => SocketAddr::from_abstract_name(name)?,
            None => SocketAddr::from_pathname(name)?,
        };
        Ok(Self { to: Some((UnixDatagram::unbound()?, address)), watchdog })
    }

    /// Sends one message, as `READY=1`; several are divided by newlines.
    ///
    /// # Errors
    /// Those of sendto(2).
    pub fn send(&self, message: &str) -> io::Result<()> {
        match &self.to {
            Some((socket, address)) => socket.send_to_addr(message.as_bytes(), address).map(|_| ()),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_arrive_by_path_and_by_abstract_name() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("notify");
        let name = format!("rsinit-test-{}", std::process::id());
        let abstract_name = SocketAddr::from_abstract_name(&name).unwrap();
        for (socket, name) in [
            (UnixDatagram::bind(&path).unwrap(), path.to_str().unwrap().to_owned()),
            (UnixDatagram::bind_addr(&abstract_name).unwrap(), format!("@{name}")),
        ] {
            let notify = Notify::new(Some(&name), Some("30000000")).unwrap();
            notify.send("READY=1\nSTATUS=up").unwrap();
            let mut message = [0; 64];
            let length = socket.recv(&mut message).unwrap();
            assert_eq!(&message[..length], b"READY=1\nSTATUS=up");
            assert_eq!(notify.watchdog, Some(Duration::from_secs(30)));
        }
    }

    #[test]
    fn nobody_listening_is_no_error() {
        for (socket, watchdog) in [(None, None), (Some(""), Some("x"))] {
            let notify = Notify::new(socket, watchdog).unwrap();
            notify.send("READY=1").unwrap();
            assert_eq!(notify.watchdog, None);
        }
    }
}

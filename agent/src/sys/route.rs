//! Interfaces, addresses and routes: what of the network is there yet.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, SocketFlags, SocketType};

use super::Linux;

/// One network interface other than loopback.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Interface {
    /// Its name, as `eth0`.
    pub name: String,
    /// Its hardware address: lower case, with colons.
    pub mac: Option<String>,
    /// Whether something has brought it up (`IFF_UP`).
    pub is_up: bool,
    /// Whether its cable has a signal, too (`IFF_RUNNING`).
    pub carrier: bool,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
}

/// The network's state, as a stage asks for it.
pub trait Routes {
    /// The address that packets to `to` would come from.
    ///
    /// # Errors
    /// `ENETUNREACH` while there is no route.
    fn source_address(&self, to: SocketAddr) -> io::Result<IpAddr>;

    /// Every interface but loopback, by name.
    ///
    /// # Errors
    /// The errno of the netlink socket behind it.
    fn interfaces(&self) -> io::Result<Vec<Interface>>;

    /// A socket that hears of links, addresses and routes that change.
    ///
    /// # Errors
    /// The errno of socket(2) or bind(2).
    fn watch_routes(&self) -> io::Result<OwnedFd>;

    /// Waits until [`Self::watch_routes`] has heard of a change, or `limit` is over.
    ///
    /// # Errors
    /// The errno of poll(2).
    fn wait_for_change(&self, watch: &OwnedFd, limit: Duration) -> io::Result<()>;
}

/// `RTMGRP_LINK`, `RTMGRP_IPV4_IFADDR`, `RTMGRP_IPV4_ROUTE`, `RTMGRP_IPV6_IFADDR`
/// and `RTMGRP_IPV6_ROUTE`. Source: `linux/rtnetlink.h`.
const GROUPS: u32 = 0x1 | 0x10 | 0x40 | 0x100 | 0x400;

impl Routes for Linux {
    fn source_address(&self, to: SocketAddr) -> io::Result<IpAddr> {
        // Connecting a datagram socket sends nothing; it only looks up the route.
        let any: IpAddr = if to.is_ipv4() { [0; 4].into() } else { [0u16; 8].into() };
        let socket = UdpSocket::bind((any, 0))?;
        socket.connect(to)?;
        Ok(socket.local_addr()?.ip())
    }

    fn interfaces(&self) -> io::Result<Vec<Interface>> {
        let mut interfaces = BTreeMap::<String, Interface>::new();
        for entry in getifaddrs()? {
            if entry.flags.contains(InterfaceFlags::IFF_LOOPBACK) {
                continue;
            }
            let interface = interfaces.entry(entry.interface_name.clone()).or_default();
            interface.name = entry.interface_name;
            interface.is_up = entry.flags.contains(InterfaceFlags::IFF_UP);
            interface.carrier =
                interface.is_up && entry.flags.contains(InterfaceFlags::IFF_RUNNING);
            let Some(address) = entry.address else { continue };
            if let Some(mac) = address.as_link_addr().and_then(|link| link.addr()) {
                let bytes: Vec<String> = mac.iter().map(|byte| format!("{byte:02x}")).collect();
                interface.mac = Some(bytes.join(":"));
            } else if let Some(v4) = address.as_sockaddr_in() {
                interface.addresses.push(v4.ip().into());
            } else if let Some(v6) = address.as_sockaddr_in6() {
                interface.addresses.push(v6.ip().into());
            }
        }
        Ok(interfaces.into_values().collect())
    }

    fn watch_routes(&self) -> io::Result<OwnedFd> {
        // Protocol 0 is NETLINK_ROUTE.
        let socket = rustix::net::socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
            None,
        )?;
        rustix::net::bind(&socket, &SocketAddrNetlink::new(0, GROUPS))?;
        Ok(socket)
    }

    fn wait_for_change(&self, watch: &OwnedFd, limit: Duration) -> io::Result<()> {
        let mut fds = [PollFd::from_borrowed_fd(watch.as_fd(), PollFlags::IN)];
        let limit = Timespec::try_from(limit).map_err(io::Error::other)?;
        match rustix::event::poll(&mut fds, Some(&limit)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        // What changed does not matter: the caller looks at everything again. Reading
        // ends with EAGAIN when the queue is empty, with ENOBUFS when it overflowed.
        let mut message = [0; 8192];
        while rustix::net::recv(watch, &mut message, rustix::net::RecvFlags::empty()).is_ok() {}
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_to_loopback_come_from_loopback() {
        let to = "127.0.0.1:9".parse().unwrap();
        assert_eq!(Linux.source_address(to).unwrap(), IpAddr::from([127, 0, 0, 1]));
    }

    #[test]
    fn waiting_for_a_change_ends_at_its_limit() {
        let watch = Linux.watch_routes().unwrap();
        Linux.wait_for_change(&watch, Duration::from_millis(10)).unwrap();
    }

    #[test]
    fn loopback_is_not_among_the_interfaces() {
        assert!(Linux.interfaces().unwrap().iter().all(|interface| interface.name != "lo"));
    }
}

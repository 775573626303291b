//! A wire on which nodes get their addresses by DHCPv6, and by no other way.

use std::net::Ipv6Addr;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, Result};

use super::{BRIDGE, UDP6, tap, wait_for_udp};
use crate::tool::{Service, command, run};

/// The node of one place on a wire of its own, as long as this value lives: the router there says
/// that addresses are managed, and that nobody may give himself one (RFC 4861, M and no A).
#[derive(Debug)]
pub struct Managed {
    place: usize,
    /// The server's address.
    pub server: Ipv6Addr,
    dhcp: Service,
}

impl Managed {
    /// Moves the node in `place` there; dnsmasq's files go to `folder`.
    ///
    /// # Errors
    /// There is no such place, or dnsmasq does not start.
    pub fn new(place: usize, folder: &Path) -> Result<Self> {
        let server = address(place, 1)?;
        let (first, last) = (address(place, 0x100)?, address(place, 0x1ff)?);
        let (tap, bridge) = (tap(place), bridge(place));
        ip(&["link", "add", &bridge, "type", "bridge"])?;
        ip(&["addr", "add", &format!("{server}/64"), "dev", &bridge, "nodad"])?;
        ip(&["link", "set", &bridge, "up"])?;
        ip(&["link", "set", &tap, "master", &bridge])?;
        let mut tool = command("dnsmasq");
        tool.args(["--keep-in-foreground", "--conf-file=/dev/null", "--user=root", "--pid-file="]);
        tool.args(["--port=0", "--bind-interfaces", &format!("--interface={bridge}")]);
        tool.args(["--enable-ra", &format!("--dhcp-range={first},{last},64,1h")]);
        tool.arg(format!("--dhcp-leasefile={}", folder.join("leases6").display()));
        tool.stdout(Stdio::null()).stderr(Stdio::null());
        let mut dhcp = Service::start("dnsmasq", &mut tool)?;
        wait_for_udp(&mut dhcp, UDP6, 547)?;
        Ok(Self { place, server, dhcp })
    }

    /// Whether DHCPv6 gives out this address here.
    ///
    /// # Errors
    /// dnsmasq has ended.
    pub fn gives(&mut self, address: Ipv6Addr) -> Result<bool> {
        self.dhcp.check()?;
        let [.., last] = address.segments();
        let same =
            address.segments().iter().zip(self.server.segments()).take(7).all(|(a, b)| *a == b);
        Ok(same && (0x100..=0x1ff).contains(&last))
    }
}

impl Drop for Managed {
    fn drop(&mut self) {
        // The next node of this place says so where it is not back on the cluster's wire.
        let _ = ip(&["link", "set", &tap(self.place), "master", BRIDGE]);
        let _ = ip(&["link", "del", &bridge(self.place)]);
    }
}

fn bridge(place: usize) -> String {
    format!("managed{place}")
}

/// An address of the network of a place.
fn address(place: usize, last: u16) -> Result<Ipv6Addr> {
    let place = u16::try_from(place).context("numbering a place")?;
    Ok(Ipv6Addr::new(0xfd66, 0, 0, place, 0, 0, 0, last))
}

fn ip(words: &[&str]) -> Result<()> {
    run(command("ip").args(words)).map(drop)
}

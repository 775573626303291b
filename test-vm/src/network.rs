//! The cluster's wire: a bridge with a tap for each place a node can stand in, and DHCP.

use std::fmt::Write as _;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use crate::tool::{Service, command, run};

/// The address of everything that is not a node.
pub const SERVER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);

/// The same by IPv6: a node gives itself an address beside it.
pub const SERVER6: Ipv6Addr = Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 1);

/// How many nodes can be switched on at a time.
pub const PLACES: usize = 2;

/// Nodes that have an address, numbered from 1.
const NODES: u8 = 120;

const BRIDGE: &str = "br0";

/// A node's number, from which its addresses follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Number(pub u8);

impl Number {
    /// Its MAC: locally administered, lower case.
    pub fn mac(self) -> String {
        format!("52:54:00:77:00:{:02x}", self.0)
    }

    /// The address that DHCP gives it.
    pub fn ip(self) -> IpAddr {
        Ipv4Addr::new(10, 77, 0, self.0.saturating_add(100)).into()
    }

    /// Its name.
    pub fn name(self) -> String {
        format!("node{:03}", self.0)
    }
}

/// The tap of a place.
pub fn tap(place: usize) -> String {
    format!("tap{place}")
}

/// Bridge, taps and the DHCP server, as long as this value lives.
#[derive(Debug)]
pub struct Network {
    dhcp: Service,
}

impl Network {
    /// Builds the network of this namespace.
    ///
    /// # Errors
    /// Not in a namespace of our own, no `/dev/net/tun`, or dnsmasq does not start.
    pub fn start(scratch: &Path) -> Result<Self> {
        let ip = |words: &[&str]| run(command("ip").args(words)).map(drop);
        ip(&["link", "add", BRIDGE, "type", "bridge"])?;
        ip(&["addr", "add", &format!("{SERVER}/24"), "dev", BRIDGE])?;
        ip(&["addr", "add", &format!("{SERVER6}/64"), "dev", BRIDGE, "nodad"])?;
        ip(&["link", "set", BRIDGE, "up"])?;
        for place in 0..PLACES {
            let tap = tap(place);
            ip(&["tuntap", "add", &tap, "mode", "tap"])?;
            ip(&["link", "set", &tap, "master", BRIDGE, "up"])?;
        }
        let mut dhcp = Service::start("dnsmasq", &mut dnsmasq(scratch)?)?;
        wait_for_dhcp(&mut dhcp)?;
        Ok(Self { dhcp })
    }

    /// Checks that the services live.
    ///
    /// # Errors
    /// One has ended.
    pub fn check(&mut self) -> Result<()> {
        self.dhcp.check()
    }
}

/// dnsmasq as a DHCP server alone, with a fixed address for each MAC; for IPv6 it names the network.
fn dnsmasq(scratch: &Path) -> Result<std::process::Command> {
    let mut hosts = String::new();
    for number in (1..=NODES).map(Number) {
        writeln!(hosts, "{},{},{}", number.mac(), number.ip(), number.name())?;
    }
    let hosts_file = scratch.join("dhcp-hosts");
    fs::write(&hosts_file, hosts).context("writing the DHCP hosts")?;
    let log = fs::File::create(scratch.join("dnsmasq.log")).context("making dnsmasq's log")?;
    let mut tool = command("dnsmasq");
    tool.args(["--keep-in-foreground", "--conf-file=/dev/null", "--port=0", "--user=root"]);
    tool.args(["--log-facility=-", "--log-dhcp", "--pid-file=/run/dnsmasq.pid"]);
    tool.arg(format!("--interface={BRIDGE}")).arg("--bind-interfaces");
    tool.args(["--dhcp-range=10.77.0.0,static,255.255.255.0,1h", "--no-ping"]);
    tool.args(["--enable-ra", "--dhcp-range=fd77::,ra-only,64"]);
    tool.arg(format!("--dhcp-hostsfile={}", hosts_file.display()));
    tool.arg(format!("--dhcp-leasefile={}", scratch.join("leases").display()));
    tool.stdout(Stdio::null()).stderr(log);
    Ok(tool)
}

/// Waits until the kernel lists a socket on UDP port 67.
fn wait_for_dhcp(dhcp: &mut Service) -> Result<()> {
    let patience = Instant::now() + Duration::from_secs(10);
    loop {
        dhcp.check()?;
        let sockets = fs::read_to_string("/proc/self/net/udp").context("reading the sockets")?;
        if sockets.contains(":0043 ") {
            return Ok(());
        }
        ensure!(Instant::now() < patience, "dnsmasq does not listen");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_named_by_its_number() {
        let number = Number(11);
        assert_eq!(number.mac(), "52:54:00:77:00:0b");
        assert_eq!(number.ip().to_string(), "10.77.0.111");
        assert_eq!(number.name(), "node011");
    }
}

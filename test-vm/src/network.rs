//! The cluster's wire: a bridge with a tap for each place a node can stand in, DHCP, TFTP and names.

mod dhcp6;

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::process::{ChildStderr, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use crate::tool::{Service, command, run};

pub use dhcp6::Managed;

/// The address of everything that is not a node.
pub const SERVER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);

/// The same by IPv6: a node gives itself an address beside it.
pub const SERVER6: Ipv6Addr = Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 1);

/// Its name, to who asks its name server.
pub const NAME: &str = "head.cluster.test";

/// How many nodes can be switched on at a time.
pub const PLACES: usize = 2;

/// Nodes that have an address, numbered from 1.
const NODES: u8 = 120;

const BRIDGE: &str = "br0";

/// Where dnsmasq finds what DHCP tells single nodes: it sees a new file by itself.
const OPTIONS: &str = "dhcp-options";

/// The port of the first node's server; each node has a server of its own.
const FIRST_PORT: u16 = 9873;

/// What a firmware's PXE is sent by TFTP: iPXE, for BIOS and for UEFI.
pub const IPXE_BIOS: &str = "undionly.kpxe";
/// See [`IPXE_BIOS`].
pub const IPXE_UEFI: &str = "ipxe.efi";
/// Where the package ipxe has them.
const IPXE: &str = "/usr/lib/ipxe";

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

    /// The address that it makes of its MAC and of the network that the router names (EUI-64, RFC
    /// 4291).
    pub fn ip6(self) -> Ipv6Addr {
        Ipv6Addr::new(0xfd77, 0, 0, 0, 0x5054, 0x00ff, 0xfe77, u16::from(self.0))
    }

    /// The port of its server.
    pub fn port(self) -> u16 {
        FIRST_PORT + u16::from(self.0)
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

/// A node off the wire, as long as this value lives: its card has a signal, and nobody is there.
#[derive(Debug)]
pub struct Unplugged {
    tap: String,
}

impl Unplugged {
    /// Takes the node in `place` off the wire.
    ///
    /// # Errors
    /// There is no such place.
    pub fn new(place: usize) -> Result<Self> {
        let unplugged = Self { tap: tap(place) };
        run(command("ip").args(["link", "set", &unplugged.tap, "nomaster"]))?;
        Ok(unplugged)
    }

    fn plug(&self) -> Result<()> {
        run(command("ip").args(["link", "set", &self.tap, "master", BRIDGE])).map(drop)
    }
}

impl Drop for Unplugged {
    fn drop(&mut self) {
        // A node that stays alone says so itself.
        let _ = self.plug();
    }
}

/// Starts a name server that knows [`NAME`] and nothing else. No node hears of it by itself.
fn serve_names() -> Result<Service> {
    let mut tool = command("dnsmasq");
    tool.args(["--keep-in-foreground", "--conf-file=/dev/null", "--user=root", "--pid-file="]);
    tool.args(["--bind-interfaces", &format!("--listen-address={SERVER}")]);
    // `--local`: that it has no IPv6 address is an answer too, not a refusal.
    tool.args(["--no-resolv", "--no-hosts", &format!("--local=/{NAME}/")]);
    tool.arg(format!("--host-record={NAME},{SERVER}"));
    let mut names = Service::start("dnsmasq", tool.stdout(Stdio::null()).stderr(Stdio::null()))?;
    wait_for_udp(&mut names, UDP, 53)?;
    Ok(names)
}

/// What dnsmasq said, and when.
type Lines = Arc<Mutex<Vec<(Instant, String)>>>;

/// Bridge, taps and the DHCP server, as long as this value lives.
#[derive(Debug)]
pub struct Network {
    dhcp: Service,
    names: Service,
    said: Lines,
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
        let said = Lines::default();
        let source = dhcp.errors().context("reading what dnsmasq says")?;
        follow(source, &scratch.join("dnsmasq.log"), Arc::clone(&said))?;
        wait_for_udp(&mut dhcp, UDP, 67)?;
        let names = serve_names().context("serving names")?;
        Ok(Self { dhcp, names, said })
    }

    /// What the DHCP and TFTP server said since `since`, and how long after it.
    pub fn said(&self, since: Instant) -> Vec<(Duration, String)> {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let after = |(at, line): &(Instant, String)| {
            Some((at.checked_duration_since(since)?, line.clone()))
        };
        said.iter().filter_map(after).collect()
    }

    /// Checks that the services live.
    ///
    /// # Errors
    /// One has ended.
    pub fn check(&mut self) -> Result<()> {
        self.dhcp.check()?;
        self.names.check()
    }
}

/// From now on DHCP names the name server to this node.
///
/// # Errors
/// dnsmasq cannot be told.
pub fn name_server_for(number: Number, scratch: &Path) -> Result<()> {
    let line = format!("tag:{},option:dns-server,{SERVER}\n", number.name());
    fs::write(scratch.join(OPTIONS).join(number.name()), line).context("telling dnsmasq")
}

/// Keeps what dnsmasq says, in memory and in the file `log`.
fn follow(source: ChildStderr, log: &Path, said: Lines) -> Result<()> {
    let mut file = fs::File::create(log).context("making dnsmasq's log")?;
    let copy = move || {
        for line in BufReader::new(source).lines().map_while(std::io::Result::ok) {
            // The copy in memory is what counts.
            let _ = writeln!(file, "{line}");
            said.lock().unwrap_or_else(PoisonError::into_inner).push((Instant::now(), line));
        }
    };
    std::thread::Builder::new().name("dnsmasq".to_owned()).spawn(copy)?;
    Ok(())
}

/// dnsmasq: a fixed address for each MAC, and what boots over the network; for IPv6 it names the network.
fn dnsmasq(scratch: &Path) -> Result<std::process::Command> {
    let tftp = scratch.join("tftp");
    fs::create_dir_all(&tftp).context("making the folder of TFTP")?;
    for name in [IPXE_BIOS, IPXE_UEFI] {
        fs::copy(Path::new(IPXE).join(name), tftp.join(name))
            .with_context(|| format!("copying {name} (package ipxe)"))?;
    }
    let options = scratch.join(OPTIONS);
    fs::create_dir_all(&options).context("making a folder for more options of DHCP")?;
    let conf = scratch.join("dnsmasq.conf");
    fs::write(&conf, boot_settings()?).context("writing dnsmasq.conf")?;
    let mut tool = command("dnsmasq");
    tool.arg("--keep-in-foreground").arg(format!("--conf-file={}", conf.display()));
    tool.args(["--port=0", "--user=root"]);
    tool.args(["--log-facility=-", "--log-dhcp", "--pid-file=/run/dnsmasq.pid"]);
    tool.arg(format!("--interface={BRIDGE}")).arg("--bind-interfaces");
    tool.args(["--dhcp-range=10.77.0.0,static,255.255.255.0,1h", "--no-ping"]);
    tool.args(["--enable-ra", "--dhcp-range=fd77::,ra-only,64"]);
    tool.arg(format!("--dhcp-optsdir={}", options.display()));
    tool.arg("--enable-tftp").arg(format!("--tftp-root={}", tftp.display()));
    tool.arg(format!("--dhcp-leasefile={}", scratch.join("leases").display()));
    tool.stdout(Stdio::null()).stderr(Stdio::piped());
    Ok(tool)
}

/// Who gets which file: a firmware's PXE gets iPXE by TFTP, for its architecture (option 93, RFC
/// 4578); iPXE gets its script from the node's server, by the address that Warewulf's dnsmasq gives.
///
/// QEMU's card for BIOS is an iPXE already, of the very build that it is sent. To tell the two
/// apart, the first is given a user class (option 77): the second finds it in the answer that the
/// first has left to it, and says it in its own question.
fn boot_settings() -> Result<String> {
    let mut text = format!(
        "dhcp-match=set:efi,option:client-arch,7\n\
         dhcp-match=set:efi,option:client-arch,9\n\
         dhcp-userclass=set:ipxe,iPXE\n\
         dhcp-userclass=set:script,second-stage\n\
         tag-if=set:script,tag:efi,tag:ipxe\n\
         dhcp-option-force=tag:!efi,tag:!script,77,second-stage\n\
         dhcp-boot=tag:!efi,tag:!script,{IPXE_BIOS}\n\
         dhcp-boot=tag:efi,tag:!script,{IPXE_UEFI}\n"
    );
    for number in (1..=NODES).map(Number) {
        let (mac, ip, name, port) = (number.mac(), number.ip(), number.name(), number.port());
        writeln!(text, "dhcp-host={mac},set:{name},{ip},{name}")?;
        let script = format!("http://{SERVER}:{port}/ipxe/${{mac:hexhyp}}");
        let asked = "assetkey=${asset}&uuid=${uuid}";
        writeln!(text, "dhcp-boot=tag:script,tag:{name},\"{script}?{asked}\"")?;
    }
    Ok(text)
}

/// Where the kernel lists the sockets of UDP: those for IPv4, and those for IPv6.
const UDP: &str = "/proc/self/net/udp";
const UDP6: &str = "/proc/self/net/udp6";

/// Waits until the kernel lists a socket on this port in `table`.
fn wait_for_udp(service: &mut Service, table: &str, port: u16) -> Result<()> {
    let patience = Instant::now() + Duration::from_secs(10);
    loop {
        service.check()?;
        let sockets = fs::read_to_string(table).context("reading the sockets")?;
        if sockets.contains(&format!(":{port:04X} ")) {
            return Ok(());
        }
        ensure!(Instant::now() < patience, "dnsmasq does not listen on port {port}");
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
        assert_eq!(number.ip6().to_string(), "fd77::5054:ff:fe77:b");
        assert_eq!(number.name(), "node011");
    }
}

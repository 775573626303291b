//! Nodes that have no IPv4 address at all.

use std::net::{IpAddr, Ipv4Addr};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::furnished::{ask_system, furnish, judge_system};
use super::hooks::{self, judge_traces, saw};
use super::secrets::hears;
use super::{Bench, Case, Size, fails_with};
use crate::boot::Boot;
use crate::debian::Release;
use crate::facts::Facts;
use crate::initramfs::{Flavour, network_handlers};
use crate::network::{Managed, SERVER6};
use crate::nfs::MUNGE_KEY;
use crate::node::{Node, gave_up};

/// Addressed by dracut's own scripts.
pub const ONLY: Case = Case {
    name: "ipv6-only",
    about: "a node without IPv4: address by router advertisement (ip=auto6, network-legacy), image, secrets, report by IPv6",
    size: Size::Tiny,
    run: only,
};

/// Addressed by systemd-networkd, late; and not at all.
pub const LATE: Case = Case {
    name: "ipv6-only-late",
    about: "a real node without IPv4 on a wire that is plugged in late (ip=auto6, networkd); a static one without a route says so",
    size: Size::Full(Release::Bookworm),
    run: |bench, facts| {
        late(bench, facts)?;
        no_route(bench, facts).context("booting without a route")
    },
};

/// Addressed by DHCPv6, by dracut's own scripts and by systemd-networkd.
pub const DHCP6: Case = Case {
    name: "dhcp6",
    about: "a node whose only address is given by DHCPv6 (ip=dhcp6): network-legacy, and networkd",
    size: Size::Tiny,
    run: |bench, facts| {
        for (flavour, handler) in
            [(Flavour::Plain, "network-legacy"), (Flavour::Systemd, "systemd-networkd")]
        {
            dhcp6(bench, flavour, handler, facts).with_context(|| format!("with {handler}"))?;
        }
        Ok(())
    },
};

/// The kernel's tables of addresses: IPv4's, and those of IPv6.
const TABLES: [&str; 2] = ["/proc/net/fib_trie", "/proc/net/if_inet6"];

/// Takes IPv4 away from a node and its server.
fn by_ipv6_only(node: &mut Node) {
    node.server_ip = SERVER6.into();
    let uri = node.uri();
    node.argue("rsinit.uri", &uri);
    node.argue("ip", "eth0:auto6");
    node.ask(&TABLES);
}

fn only(bench: &Bench, facts: &mut Facts) -> Result<()> {
    let mut node = hooks::furnish(bench, "/hook-ok", &[])?;
    by_ipv6_only(&mut node);
    node.ask(&["/usr/share/ballast"]);
    let handlers = network_handlers(node.initramfs())?;
    facts.equal("the initramfs has dracut's own scripts", handlers, vec!["network-legacy"]);
    let boot = node.boot(|_| {})?;
    judge_addresses(&node, &boot, facts)?;
    judge_traces(&boot, facts)?;
    let answer = boot.answer()?;
    let ballast = answer.path("/usr/share/ballast").and_then(|entry| entry.sha256.clone());
    facts.equal("the image is whole", ballast, Some(crate::image::tiny::ballast_sha256()));
    let saw = saw(answer)?;
    let mount = saw.get("mount").and_then(Value::as_str).unwrap_or("");
    let own = format!("clientaddr={}", node.number.ip6());
    let options = [" - nfs4 ", "proto=tcp6", "addr=fd77::1", &own];
    facts.contains("the secrets come from the boot server by IPv6", mount, &options);
    let text = saw.get("secrets.yml").and_then(Value::as_str).unwrap_or("");
    facts.contains("the hook reads them", text, &[&bench.cluster.secrets.monitor_token]);
    Ok(())
}

/// The kernel has an IPv6 address and none of IPv4, and everybody saw the node come from it.
fn judge_addresses(node: &Node, boot: &Boot, facts: &mut Facts) -> Result<()> {
    let answer = boot.answer()?;
    let ip6 = node.number.ip6();
    let [four, six] = TABLES.map(|path| answer.path(path).and_then(|entry| entry.text.as_deref()));
    let four = four.context("reading the table of IPv4")?;
    let words = four.split_whitespace().filter_map(|word| word.parse::<Ipv4Addr>().ok());
    let own: Vec<_> = words.filter(|ip| !ip.is_loopback() && !ip.is_unspecified()).collect();
    facts.equal("the kernel knows no IPv4 address but loopback's", own, vec![]);
    let hex: String = ip6.octets().iter().map(|byte| format!("{byte:02x}")).collect();
    facts.contains("it has the network's IPv6 address", six.unwrap_or_default(), &[&hex]);
    let stages = answer.stages();
    let network = stages.iter().find(|stage| stage.name == "network");
    let note = network.map_or("", |stage| stage.note.as_str());
    let found = format!("{SERVER6} from {ip6} ({})", node.number.mac());
    facts.equal("from which the agent found the server", note, &found);
    let peers = boot.requests.iter().filter(|served| served.peer.ip() == ip6).count();
    facts.equal("and asked it for everything", peers, boot.requests.len());
    let told = boot.heard.report.as_ref().and_then(|report| report.pointer("/node/address"));
    facts.equal("so the head node was told, by IPv6", told, Some(&Value::from(ip6.to_string())));
    let said: Vec<&str> = boot.wire.iter().map(|(_, line)| line.as_str()).collect();
    let of_node = |word: &str| {
        said.iter().filter(|line| line.contains(word) && line.contains(&node.number.mac())).count()
    };
    // While its address is tentative, a node asks without saying its own (RFC 4861, section 4.1).
    let is_nameless = |line: &&&str| line.contains("RTR-SOLICIT") && line.trim_end().ends_with(')');
    let asked = of_node("RTR-SOLICIT") + said.iter().filter(is_nameless).count();
    facts.holds("it asked for a router", asked > 0, said.join("\n"));
    facts.equal("and nobody for an IPv4 address", of_node("DHCPDISCOVER"), 0);
    Ok(())
}

fn dhcp6(bench: &Bench, flavour: Flavour, handler: &'static str, facts: &mut Facts) -> Result<()> {
    let mut node = hooks::furnish(bench, "/hook-ok", &[])?;
    node.flavour = flavour;
    let mut wire = Managed::new(bench.place, node.folder())?;
    node.server_ip = wire.server.into();
    let uri = node.uri();
    node.argue("rsinit.uri", &uri);
    node.argue("ip", "eth0:dhcp6");
    let handlers = network_handlers(node.initramfs())?;
    facts.equal("the initramfs is addressed by it alone", handlers, vec![handler]);
    let boot = node.boot(|_| {})?;
    judge_traces(&boot, facts)?;
    let stages = boot.answer()?.stages();
    let network = stages.iter().find(|stage| stage.name == "network");
    let note = network.map_or("", |stage| stage.note.as_str());
    let peers: Vec<IpAddr> = boot.requests.iter().map(|served| served.peer.ip()).collect();
    let Some(IpAddr::V6(own)) = peers.first().copied() else { bail!("nothing came by IPv6") };
    facts.holds("its address is one that DHCPv6 gives", wire.gives(own)?, own);
    let found = format!("{} from {own} ({})", wire.server, node.number.mac());
    facts.equal("from which the agent found the server", note, &found);
    facts.holds("and asked it for everything", peers.iter().all(|peer| *peer == own), own);
    Ok(())
}

/// What must be active.
const UNITS: [&str; 3] = ["multi-user.target", "ssh", "munge"];

/// How the agent says that there is no address yet.
const NO_ADDRESS: &str = "rsinit: network: still waiting: no IPv6 address on eth0: no router";

fn late(bench: &Bench, facts: &mut Facts) -> Result<()> {
    let mut node = bench.full()?;
    furnish(&mut node, 4)?;
    by_ipv6_only(&mut node);
    node.ask(&["/etc/munge/munge.key"]);
    ask_system(&mut node, &UNITS);
    let handlers = network_handlers(node.initramfs())?;
    facts.equal("the initramfs has systemd-networkd", handlers, vec!["systemd-networkd"]);
    let unplugged = bench.unplug()?;
    let mut power = node.switch_on(|_| {})?;
    let waits = hears(&mut power, NO_ADDRESS)?;
    facts.holds("the console says what it waits for", waits, power.running.console.text());
    drop(unplugged);
    let ending = power.running.wait(node.limit, gave_up)?;
    let boot = node.finish(power, ending)?;
    judge_addresses(&node, &boot, facts)?;
    let answer = boot.answer()?;
    judge_system(answer, &UNITS, facts);
    let key = String::from_utf8_lossy(MUNGE_KEY);
    facts.equal("the munge key is the secret", answer.text("/etc/munge/munge.key"), &key);
    Ok(())
}

/// An address, and no way from there to the server.
fn no_route(bench: &Bench, facts: &mut Facts) -> Result<()> {
    let mut node = bench.tiny()?;
    node.flavour = Flavour::Systemd;
    node.server_ip = SERVER6.into();
    node.argue("rsinit.uri", "http://[fd88::7]:9873/provision/");
    node.argue("ip", "[fd77::250]:::64:node:eth0:none");
    node.argue("rsinit.deadline", "10");
    // A router would name itself as the way to everywhere.
    let _unplugged = bench.unplug()?;
    let boot = node.boot(|_| {})?;
    fails_with(&boot, "rsinit: network: ", &["no route to fd88::7 from eth0"], facts);
    Ok(())
}

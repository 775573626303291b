//! NetworkManager in the initramfs, which dracut takes by itself on a root that has it.

use anyhow::{Context as _, Result};
use witness::Answer;

use super::furnished::{ask_system, furnish, judge_system};
use super::{Bench, Case, Size, fails_with};
use crate::boot::Boot;
use crate::debian::Release;
use crate::facts::Facts;
use crate::image::full::HOOK_NAME;
use crate::initramfs::{Flavour, names, network_handlers};
use crate::network::{NAME, SERVER};
use crate::nfs::MUNGE_KEY;
use crate::node::Node;

/// The case.
pub const CASE: Case = Case {
    name: "network-manager",
    about: "dracut 059 with NetworkManager: a server known by its name, the root's NetworkManager goes on; no DHCP: it says so",
    size: Size::Full(Release::BookwormManaged),
    run: |bench, facts| run(bench, Release::BookwormManaged, facts),
};

/// With a newer dracut and NetworkManager.
pub const TRIXIE: Case = Case {
    name: "network-manager-trixie",
    about: "Debian 13, dracut 106 with NetworkManager 1.52: as network-manager",
    size: Size::Full(Release::TrixieManaged),
    run: |bench, facts| run(bench, Release::TrixieManaged, facts),
};

/// With an older dracut, which runs NetworkManager by itself.
pub const BULLSEYE: Case = Case {
    name: "network-manager-bullseye",
    about: "Debian 11, dracut 051 without systemd, NetworkManager 1.30 run by the initqueue: as network-manager",
    size: Size::Full(Release::BullseyeManaged),
    run: |bench, facts| run(bench, Release::BullseyeManaged, facts),
};

fn run(bench: &Bench, release: Release, facts: &mut Facts) -> Result<()> {
    comes_up(bench, release, facts)?;
    without_dhcp(bench, release, facts).context("booting without DHCP")
}

/// What must be active.
const UNITS: [&str; 4] = ["multi-user.target", "NetworkManager", "ssh", "munge"];

/// The connection that was made from the kernel's arguments.
const CONNECTION: &str = "/run/NetworkManager/system-connections/eth0.nmconnection";

/// What NetworkManager said in the initramfs, where alone its unit is called so: the journal of the
/// initramfs has a machine of its own.
const JOURNAL: [&str; 6] =
    ["journalctl", "--merge", "--no-pager", "--output=cat", "--unit", "nm-initrd.service"];

/// Name, state and file of each connection that is up.
const ACTIVE: [&str; 7] =
    ["nmcli", "--terse", "--fields", "DEVICE,STATE,FILENAME", "connection", "show", "--active"];

fn comes_up(bench: &Bench, release: Release, facts: &mut Facts) -> Result<()> {
    let mut node = Node::full(bench.stand(), release)?;
    furnish(&mut node, 4)?;
    let (port, mac) = (node.number.port(), node.number.mac());
    node.argue("rsinit.uri", &format!("http://{NAME}:{port}/provision/{mac}"));
    node.argue("nameserver", &SERVER.to_string());
    node.argue("rsinit.preboot", &format!("/{HOOK_NAME}"));
    node.ask(&["/etc/munge/munge.key", CONNECTION]);
    ask_system(&mut node, &UNITS);
    node.ask_command(&JOURNAL);
    node.ask_command(&ACTIVE);
    node.ask_command(&["ip", "-4", "-oneline", "address", "show", "dev", "eth0"]);
    let handlers = network_handlers(node.initramfs())?;
    facts.equal("the initramfs has NetworkManager alone", handlers, vec!["network-manager"]);
    let has_systemd =
        names(node.initramfs())?.iter().any(|name| name.ends_with("/systemd/systemd"));
    let flavour = if has_systemd { Flavour::Systemd } else { Flavour::Plain };
    facts.equal("and systemd where dracut needs it for that", flavour, Flavour::of(release));
    let boot = node.boot(|_| {})?;
    let answer = boot.answer()?;
    judge_system(answer, &UNITS, facts);
    judge_network(&node, &boot, answer, facts);
    let key = String::from_utf8_lossy(MUNGE_KEY);
    facts.equal("the munge key is the secret", answer.text("/etc/munge/munge.key"), &key);
    facts.equal("/secrets is gone", answer.path("/secrets"), None);
    for place in ["/system", "/scratch"] {
        let kind = answer.mount(place).map(|mount| mount.kind);
        facts.equal(&format!("{place} is ext4"), kind, Some("ext4"));
    }
    Ok(())
}

/// Who gave the node its address, in the initramfs and after it.
fn judge_network(node: &Node, boot: &Boot, answer: &Answer, facts: &mut Facts) {
    let ip = node.number.ip();
    // Without systemd nobody hears what it says there.
    if node.flavour == Flavour::Systemd {
        let lease = format!("dhcp4 (eth0): state changed new lease, address={ip}\n");
        let parts = [lease.as_str(), "device (eth0): Activation: successful", "startup complete"];
        let said = answer.said(&JOURNAL);
        facts.contains("in the initramfs, NetworkManager got the address", &said, &parts);
    }
    let stages = answer.stages();
    let network = stages.iter().find(|stage| stage.name == "network");
    let note = network.map_or("", |stage| stage.note.as_str());
    let found = format!("{SERVER} from {ip} ({})", node.number.mac());
    facts.equal("from which the agent found the server, by its name", note, &found);
    let peers = boot.requests.iter().filter(|served| served.peer.ip() == ip).count();
    facts.equal("and asked it for everything", peers, boot.requests.len());
    let origin = match node.flavour {
        Flavour::Systemd => {
            "org.freedesktop.NetworkManager.origin=nm-initrd-generator\n".to_owned()
        }
        // 1.30 does not say so: it is known by a name server that the kernel's arguments alone give.
        Flavour::Plain => format!("dns={SERVER};"),
    };
    let connection = answer.text(CONNECTION);
    facts.contains("its connection is of the initramfs", connection, &[&origin]);
    let active = answer.said(&ACTIVE);
    let line = format!("eth0:activated:{CONNECTION}\n");
    facts.contains("the root's NetworkManager goes on with it", &active, &[&line]);
    let address = answer.said(&["ip", "-4"]);
    facts.contains("and keeps the address", &address, &[&format!("inet {ip}/24 ")]);
}

/// A wire on which nobody answers: NetworkManager gives up, and the agent says what is missing.
fn without_dhcp(bench: &Bench, release: Release, facts: &mut Facts) -> Result<()> {
    let mut node = Node::full(bench.stand(), release)?;
    node.argue("rd.net.timeout.dhcp", "5");
    node.argue("rsinit.deadline", "5");
    let _unplugged = bench.unplug()?;
    let boot = node.boot(|_| {})?;
    let words = ["no IPv4 address on eth0", "DHCP has not answered"];
    fails_with(&boot, "rsinit: network: ", &words, facts);
    facts.equal("the server was not asked", boot.requests.len(), 0);
    Ok(())
}

//! How a node gets onto the network: a cable that is plugged in late, a server known by its name.

use anyhow::{Context as _, Result};

use super::hooks::{furnish, judge_traces, saw};
use super::secrets::hears;
use super::{Bench, Case, Size, fails_with};
use crate::facts::Facts;
use crate::initramfs::{Flavour, names, network_handlers};
use crate::network::{NAME, SERVER, name_server_for};
use crate::node::{Node, gave_up};

/// A card without a signal.
pub const NO_CARRIER: Case = Case {
    name: "no-carrier",
    about: "a card without a signal: the console says so; with one the boot goes on",
    size: Size::Tiny,
    run: no_carrier,
};

/// A server known by its name, in an initramfs with systemd-networkd.
pub const BY_NAME: Case = Case {
    name: "server-by-name",
    about: "boot and secrets' server by a name, by the name server that DHCP named to networkd; without one it says so",
    size: Size::Tiny,
    run: |bench, facts| {
        by_name(bench, facts)?;
        without_names(bench, facts).context("booting without a name server")
    },
};

/// How the agent says that the card has no signal.
const SAID: &str = "rsinit: network: still waiting: no carrier on eth0: cable or switch port";

/// What has systemd start it: a card whose driver is built in, as Ubuntu's virtio_net, gives no
/// sign. A kernel with such a driver boots in `ubuntu-24.04`.
const STARTED: &str = "/initrd.target.wants/systemd-networkd.service";

fn no_carrier(bench: &Bench, facts: &mut Facts) -> Result<()> {
    let mut node = networkd_node(bench, facts)?;
    node.signal = false;
    let mut power = node.switch_on(|_| {})?;
    let waits = hears(&mut power, SAID)?;
    facts.holds("the console says what it waits for", waits, power.running.console.text());
    facts.equal("and nobody was asked anything", power.server.requests().len(), 0);
    power.give_signal()?;
    let ending = power.running.wait(node.limit, gave_up)?;
    let boot = node.finish(power, ending)?;
    let hostname = boot.answer()?.text("/etc/hostname").trim();
    facts.equal("with a signal the node comes up", hostname, &node.number.name());
    Ok(())
}

/// A node whose network is systemd-networkd's: it holds up no boot, and writes no resolv.conf.
fn networkd_node<'a>(bench: &Bench<'a>, facts: &mut Facts) -> Result<Node<'a>> {
    let mut node = furnish(bench, "/hook-ok", &[])?;
    node.flavour = Flavour::Systemd;
    let handlers = network_handlers(node.initramfs())?;
    facts.equal("the initramfs has systemd-networkd", handlers, vec!["systemd-networkd"]);
    let all = names(node.initramfs())?;
    let wants = all.iter().any(|name| name.ends_with(STARTED));
    facts.holds("which starts without a message of the kernel's", wants, "nothing wants it");
    Ok(node)
}

/// The node's server, by name.
fn name_server_of(node: &mut Node) {
    let (port, mac) = (node.number.port(), node.number.mac());
    node.argue("rsinit.uri", &format!("http://{NAME}:{port}/provision/{mac}"));
    node.argue("rsinit.secrets", &format!("nfs://{NAME}/warewulf/secrets"));
}

fn by_name(bench: &Bench, facts: &mut Facts) -> Result<()> {
    let mut node = networkd_node(bench, facts)?;
    name_server_of(&mut node);
    name_server_for(node.number, &bench.cluster.scratch)?;
    let boot = node.boot(|_| {})?;
    judge_traces(&boot, facts)?;
    let answer = boot.answer()?;
    let stages = answer.stages();
    let network = stages.iter().find(|stage| stage.name == "network");
    let note = network.map_or("", |stage| stage.note.as_str());
    facts.contains("the agent found the server", note, &[&format!("{SERVER} from ")]);
    let saw = saw(answer)?;
    let mount = saw.get("mount").and_then(serde_json::Value::as_str).unwrap_or("");
    facts.contains("the secrets come from it", mount, &[&format!("addr={SERVER}")]);
    Ok(())
}

fn without_names(bench: &Bench, facts: &mut Facts) -> Result<()> {
    let mut node = networkd_node(bench, facts)?;
    name_server_of(&mut node);
    // Enough for a card and an address on a machine that is busy with other things.
    node.argue("rsinit.deadline", "20");
    let boot = node.boot(|_| {})?;
    let words = [&format!("no name server for {NAME}: "), "nameserver="];
    fails_with(&boot, "rsinit: network: ", &words, facts);
    Ok(())
}

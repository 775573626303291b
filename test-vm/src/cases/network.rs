//! How a node gets onto the network: a cable that is plugged in late.

use anyhow::Result;

use super::hooks::furnish;
use super::secrets::hears;
use super::{Bench, Case, Size};
use crate::facts::Facts;
use crate::initramfs::{Flavour, network_handlers};
use crate::node::{Node, gave_up};

/// A card without a signal.
pub const NO_CARRIER: Case = Case {
    name: "no-carrier",
    about: "a card without a signal: the console says so; with one the boot goes on",
    size: Size::Tiny,
    run: no_carrier,
};

/// How the agent says that the card has no signal.
const SAID: &str =
    "rsinit: network: still waiting: no carrier on eth0: cable, switch port, or the interface";

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
    Ok(node)
}

//! What is tried, one file a case or a family of cases, and how a case is run.

mod ansible;
mod arguments;
mod client;
mod diskless;
mod disks;
mod emergency;
mod emptied;
mod failures;
mod frozen;
mod full_node;
mod furnished;
mod hooks;
mod images;
mod ipv6;
mod killed;
mod managed;
mod network;
mod pxe;
mod releases;
mod secrets;
mod server;
mod slurm;
mod status;
mod storm;
mod two_images;
mod wire;

use std::path::Path;

use anyhow::Result;

use crate::boot::Boot;
use crate::cluster::Cluster;
use crate::debian::Release;
use crate::facts::Facts;
use crate::listener::Heard;
use crate::network::Unplugged;
use crate::node::{Node, Stand};
use crate::qemu::Ending;

pub use furnished::furnish;

/// How much of the machine a case wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// One processor, 1 GiB.
    Tiny,
    /// A real node of this release: two processors, of which it keeps little more than one busy,
    /// 3 GiB.
    Full(Release),
    /// All of it: more than one real node of this release at a time, or limits that count seconds.
    Whole(Release),
}

/// One case.
#[derive(Clone, Copy)]
pub struct Case {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it shows, in one line.
    pub about: &'static str,
    /// What it wants.
    pub size: Size,
    /// Boots what it needs and checks the facts.
    pub run: fn(&Bench, &mut Facts) -> Result<()>,
}

/// Where a case is carried out.
#[derive(Debug, Clone, Copy)]
pub struct Bench<'a> {
    /// The cluster.
    pub cluster: &'a Cluster,
    /// Which tap its nodes are plugged into.
    pub place: usize,
    /// Where its files go.
    pub folder: &'a Path,
}

impl<'a> Bench<'a> {
    /// Takes its node off the wire.
    ///
    /// # Errors
    /// The network cannot be changed.
    fn unplug(&self) -> Result<Unplugged> {
        Unplugged::new(self.place)
    }

    fn stand(&self) -> Stand<'a> {
        Stand { cluster: self.cluster, place: self.place, folder: self.folder }
    }

    /// A node with the tiny image.
    ///
    /// # Errors
    /// Its folders cannot be made.
    pub fn tiny(&self) -> Result<Node<'a>> {
        Node::tiny(self.stand())
    }

    /// A real node, of bookworm.
    ///
    /// # Errors
    /// Its folders cannot be made.
    pub fn full(&self) -> Result<Node<'a>> {
        Node::full(self.stand(), Release::Bookworm)
    }
}

/// The cases that every change must pass, in the order in which they are run: the longest first.
pub const CASES: &[Case] = &[
    slurm::CASE,
    storm::CASE,
    full_node::CASE,
    disks::power::CASE,
    disks::lives::CASE,
    releases::TRIXIE,
    failures::CASE,
    client::CASE,
    emergency::CASE,
    disks::eight::CASE,
    disks::sizes::CASE,
    disks::failing::CASE,
    disks::settings::KEPT,
    server::UNREACHABLE,
    diskless::VERSIONS,
    pxe::BIOS,
    pxe::UEFI,
    wire::FLOOR,
    wire::TLS_BY_IPV6,
    ipv6::ONLY,
    wire::TOO_LARGE,
    disks::settings::BRAKES,
    disks::settings::FOREIGN,
    emptied::CASE,
    disks::settings::BAD_PROFILE,
    hooks::PASSES,
    hooks::FAILS,
    hooks::HANGS,
    hooks::FATAL,
    killed::CASE,
    secrets::HELD,
    secrets::PLANTED,
    secrets::LATE,
    frozen::FROZEN,
    secrets::NO_EXPORT,
    secrets::OVER_IPV6,
    secrets::VERSIONS,
    network::BY_NAME,
    network::NO_CARRIER,
    server::CUT,
    images::NO_INIT,
    arguments::NO_URI,
    diskless::CASE,
];

/// What takes too long for every change, waits on limits that a busy machine stretches, or differs
/// from a case of every change, or from a test without a VM, in little.
pub const LONG: &[Case] = &[
    ansible::CASE,
    releases::BULLSEYE,
    releases::JAMMY,
    releases::NOBLE,
    managed::CASE,
    managed::TRIXIE,
    managed::BULLSEYE,
    ipv6::LATE,
    ipv6::DHCP6,
    emergency::BULLSEYE,
    emergency::TRIXIE,
    pxe::VERSIONS_BIOS,
    pxe::VERSIONS_UEFI,
    pxe::TRIES,
    two_images::CASE,
    frozen::STOPPED,
    frozen::SILENT,
    server::REFUSED,
    images::DAMAGED,
    images::HOSTILE,
    secrets::VERSION_3,
    frozen::WITHDRAWN,
    server::LATE,
    hooks::MISSING,
    hooks::FOLDER,
    disks::settings::BAD_SETTINGS,
    arguments::UNKNOWN,
    disks::sizes::LARGE,
    disks::killed::CASE,
    disks::killed::EVERY,
];

/// The facts of a boot that fails as it should, and of which the head node hears.
fn ends_with(boot: &Boot, begin: &str, words: &[&str], facts: &mut Facts) {
    fails_with(boot, begin, words, facts);
    head_node_heard(boot, boot.last_line().trim_start_matches("rsinit: "), facts);
}

/// The facts of a boot that fails as it should: the agent's last line begins with `begin`, names
/// each of `words`, and no root was handed over.
fn fails_with(boot: &Boot, begin: &str, words: &[&str], facts: &mut Facts) {
    let last = boot.last_line();
    facts.holds(&format!("the last line begins with {begin:?}"), last.starts_with(begin), last);
    facts.contains("it names object and cause", last, words);
    facts.holds("no root was handed over", boot.answer.is_none(), "an answer");
    facts.equal("the node switched itself off", &boot.ending, &Ending::Off(Some(0)));
    facts.holds("nothing panicked", !boot.console.contains("panicked"), "a panic");
}

/// The head node was told the cause that stands on the console, and what to do.
fn head_node_heard(boot: &Boot, cause: &str, facts: &mut Facts) {
    let Heard { line, report } = &boot.heard;
    let text = |name: &str| {
        let field = report.as_ref().and_then(|report| report.get(name));
        field.and_then(serde_json::Value::as_str).unwrap_or("nothing")
    };
    facts.equal("the head node has the report of a failed boot", text("outcome"), "failed");
    // A long line is cut on the console.
    let begins = text("error").starts_with(cause);
    facts.holds("and in it the console's cause", begins, text("error"));
    let step = text("next_step");
    facts.contains("the console says the next step too", &boot.lines().join("\n"), &[step]);
    // A POST has no line.
    if !line.is_empty() {
        facts.contains("its syslog has cause and next step", line, &["boot failed: ", cause, step]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_case_has_a_name_of_its_own() {
        let mut names: Vec<_> = CASES.iter().chain(LONG).map(|case| case.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), CASES.len() + LONG.len());
    }
}

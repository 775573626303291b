//! From the firmware to a job: two nodes from their records, booted together, run one job of Slurm.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result};
use witness::{Then, find};

use super::{Bench, Case, Size};
use crate::boot::Boot;
use crate::chain::WHOLE;
use crate::debian::Release;
use crate::facts::Facts;
use crate::node::{Node, Power, Stand, gave_up};
use crate::qemu::{Ending, Firmware};
use crate::records::Records;
use crate::records::render::{Keys, Site};
use crate::server::{Owner, Template};
use crate::slurm::{self, Head};

/// The case.
pub const CASE: Case = Case {
    name: "slurm",
    about: "two nodes from their records, by PXE: other tags, other disks; ssh between them; srun -N2 hostname",
    size: Size::Whole(Release::Bookworm),
    run,
};

/// What all nodes have, and what tells the two apart.
const PROFILES: &str = "\
nodeprofiles:
  default:
    image name: full
    system overlay:
    - wwinit
    - wwclient
    - fstab
    - hostname
    - ssh.host_keys
    - issue
    - resolv
    - udev.netname
    - NetworkManager
    - mkdisk
    runtime overlay:
    - hosts
    - ssh.authorized_keys
    network devices:
      default:
        device: eth0
        netmask: 255.255.255.0
        gateway: 10.77.0.1
        mtu: \"1500\"
    tags:
      mkdisk_wipeonboot: \"true\"
      mkdisk_profile: mirror-two
  scratch:
    tags:
      mkdisk_profile: all-scratch
";

/// What Slurm runs on each node now and then, and first of all: a node on which it fails is drained.
const HEALTH: &str = "#!/bin/sh
if said=$(/usr/sbin/rsinit status); then
    echo \"$said\" > /run/node-health
    exit 0
fi
bad=$(echo \"$said\" | grep -v '^ok' | tr -s ' ' | head -n 1)
scontrol update nodename=\"$(hostname)\" state=drain reason=\"rsinit: $bad\"
exit 1
";

/// Where it lies.
const HEALTH_PATH: &str = "/usr/local/sbin/node-health";

/// Bytes of each disk.
const DISK: u64 = 2 << 30;

/// How long two nodes may take to boot beside each other.
const BOOT: Duration = Duration::from_secs(1500);

/// How long Slurm may take to notice something.
const NOTICE: Duration = Duration::from_secs(300);

fn run(bench: &Bench, facts: &mut Facts) -> Result<()> {
    let mut left = bench.full()?;
    // The case has the machine to itself: the other place is free.
    let stand = Stand { cluster: bench.cluster, place: bench.place + 1, folder: bench.folder };
    let mut right = Node::full(stand, Release::Bookworm)?;
    let settings = slurm::settings(&[left.number, right.number], HEALTH_PATH)?;
    let records = records(&left, &right);
    let keys = Keys::make(bench.folder.join("keys"))?;
    for node in [&mut left, &mut right] {
        furnish(node, &records, &keys, &settings)?;
    }
    let mut head = Head::start(&bench.folder.join("head"), &settings)?;
    let mut powers = [left.switch_on(|_| {})?, right.switch_on(|_| {})?];
    for (node, power) in [&left, &right].into_iter().zip(&mut powers) {
        wait_until_up(node, power)?;
    }
    let done = work(&mut head, &left, &right, facts);
    facts.succeeds("the nodes do their job", done);
    let [one, other] = powers;
    let disks = [("/scratch", "raid0"), ("/system", "raid1")];
    for ((node, power), disks) in [(&left, one), (&right, other)].into_iter().zip(disks) {
        let boot = node.finish(power, Ending::Stopped("the case is over".to_owned()))?;
        judge(node, &boot, disks, facts)?;
    }
    Ok(())
}

/// `nodes.conf` of two nodes.
fn records(left: &Node, right: &Node) -> String {
    let node = |node: &Node, profiles: &str| {
        let (name, mac, ip) = (node.number.name(), node.number.mac(), node.number.ip());
        format!(
            "  {name}:\n    profiles: [{profiles}]\n    network devices:\n      default:\n        \
             hwaddr: {mac}\n        ipaddr: {ip}\n"
        )
    };
    format!("{PROFILES}nodes:\n{}{}", node(left, "default, scratch"), node(right, "default"))
}

/// A node with the overlays of its record, and what a site lays beside them for Slurm.
fn furnish(node: &mut Node, records: &str, keys: &Keys, settings: &str) -> Result<()> {
    let records = Records::parse(records)?;
    let profiles = node.project().join("mkdisk-profiles");
    let server = node.server_address();
    let site = Site { records: &records, keys: Some(keys), server, profiles: &profiles };
    node.system.remove("etc/hostname")?;
    node.runtime.remove("etc/hosts")?;
    node.rendered = site.render(&node.number.name(), &node.folder().join("overlays"))?;
    let owner = |mode| Owner { uid: 0, gid: 0, mode: Some(mode) };
    let agent = fs::read(node.agent()).context("reading the agent")?;
    node.system.owned("usr/sbin/rsinit", agent, owner(0o755))?;
    node.system.owned(HEALTH_PATH.trim_start_matches('/'), HEALTH, owner(0o755))?;
    node.system.file("etc/slurm/slurm.conf", settings)?;
    node.system.file("etc/ssh/ssh_known_hosts", format!("* {}", keys.read("ed25519.pub")?))?;
    node.system.owned("root/.ssh/id_ed25519", keys.read("root")?, owner(0o600))?;
    node.system
        .file("etc/machine-id", format!("{:032x}\n", 0x7e57_0000 + u32::from(node.number.0)))?;
    for _ in 0..2 {
        node.add_disk(DISK)?;
    }
    node.boot_by(Firmware::Bios, Template::Warewulf);
    // Ansible beside another node: how long it may take is another case's business.
    node.argue("rsinit.preboot.timeout", "800");
    node.limit = BOOT;
    node.question.then = Then::Stay;
    node.ask(&[
        "/etc/hostname",
        "/etc/hosts",
        "/etc/issue",
        "/etc/munge/munge.key",
        "/etc/NetworkManager/system-connections/eth0.nmconnection",
        "/etc/ssh/ssh_host_ed25519_key",
        "/etc/udev/rules.d/70-persistent-net.rules",
        "/init",
        "/run/systemd/system/rsinit-client.service",
    ]);
    node.ask_command(&["systemctl", "is-active", "munge", "slurmd", "ssh", "chrony", "wwclient"]);
    node.ask_command(&["rsinit", "status"]);
    Ok(())
}

/// Waits until the node has answered; it stays on.
fn wait_until_up(node: &Node, power: &mut Power) -> Result<()> {
    let port = power.witness.clone();
    let said = || String::from_utf8_lossy(&fs::read(&port).unwrap_or_default()).replace('\r', "");
    let is_up = || matches!(find(&said(), &node.question.word), Ok(Some(_)));
    let ending = power
        .running
        .wait_asking(node.limit, |text| gave_up(text).or_else(|| is_up().then(String::new)))?;
    anyhow::ensure!(is_up(), "{} does not come up: {ending:?}", node.number.name());
    Ok(())
}

/// What the head does with the two nodes.
fn work(head: &mut Head, left: &Node, right: &Node, facts: &mut Facts) -> Result<()> {
    let names = [left, right].map(|node| node.number.name());
    let [one, other] = [&names[0], &names[1]];
    let idle = |states: &[(String, String)]| {
        states.len() == 2 && states.iter().all(|(_, state)| state == "idle")
    };
    head.wait_for_nodes(NOTICE, idle).context("waiting for two idle nodes")?;
    let mut ran: Vec<String> =
        head.run("srun", &["-N2", "hostname"])?.lines().map(str::to_owned).collect();
    ran.sort();
    facts.equal("srun -N2 hostname prints both names", ran, names.to_vec());
    let health = head.run("srun", &["-N2", "cat", "/run/node-health"])?;
    let green = health.lines().filter(|line| line.starts_with("ok       secrets ")).count();
    facts.equal("the health check of both found all well", green, 2);
    for (from, to) in [(one, other), (other, one)] {
        let ssh = ["ssh", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes"];
        let words = [&["-w", from.as_str()][..], &ssh, &[to.as_str(), "hostname"]].concat();
        let said = head.run("srun", &words)?;
        facts.equal(&format!("ssh leads from {from} to {to}"), said.trim(), to.as_str());
    }
    head.wait_for_nodes(NOTICE, idle).context("waiting for two idle nodes after the jobs")?;
    // What must never be on a running node: the check finds it, and Slurm gives the node no more work.
    head.run("srun", &["-w", one, "mkdir", "/secrets"])?;
    let drained = |states: &[(String, String)]| {
        states.iter().any(|(name, state)| name == one && state.starts_with("drain"))
    };
    let states = head.wait_for_nodes(NOTICE, drained).context("waiting for a drained node")?;
    facts.holds(
        "the other node is not drained",
        states.iter().any(|(name, state)| name == other && state.starts_with("idle")),
        format!("{states:?}"),
    );
    let why = head.run("sinfo", &["--noheader", "--list-reasons", "--format=%E %N"])?;
    facts.contains("the reason is the check's", &why, &["rsinit:", "/secrets", one]);
    Ok(())
}

fn judge(node: &Node, boot: &Boot, (at, level): (&str, &str), facts: &mut Facts) -> Result<()> {
    let name = node.number.name();
    let links = boot.links();
    let passed: Vec<&str> = links.iter().map(|link| link.name).collect();
    facts.equal(&format!("{name}: every link of the chain was passed"), passed, WHOLE.to_vec());
    let answer = boot.answer()?;
    facts.equal("the record names the node", answer.text("/etc/hostname").trim(), &name);
    facts.contains("and its issue", answer.text("/etc/issue"), &[&name]);
    facts.contains("hosts has all nodes", answer.text("/etc/hosts"), &[&name, "warewulf"]);
    for (path, look) in [
        ("/etc/NetworkManager/system-connections/eth0.nmconnection", "file 0600 0:0"),
        ("/etc/ssh/ssh_host_ed25519_key", "file 0600 0:0"),
        ("/init", "file 0755 0:0"),
    ] {
        facts.equal(path, answer.look(path).as_str(), look);
    }
    let rule = answer.text("/etc/udev/rules.d/70-persistent-net.rules");
    facts.contains("udev names the device by its MAC", rule, &[&node.number.mac(), "eth0"]);
    let active = answer.said(&["systemctl", "is-active"]);
    let want = "active\n".repeat(5);
    facts.equal("munge, slurmd, ssh, chrony, wwclient are active", active, want);
    let client = answer.path("/run/systemd/system/rsinit-client.service");
    facts.equal("where wwclient is, rsinit's client keeps away", client, None);
    let key = answer.look("/etc/munge/munge.key");
    facts.contains("the munge key came with the secrets", &key, &["file 0400 "]);
    let status = answer.commands(&["rsinit", "status"]).next().and_then(|ran| ran.status);
    facts.equal("rsinit status is well", status, Some(0));
    let mount = answer.mount(at);
    let source = mount.as_ref().map_or("", |mount| mount.source).trim_start_matches("/dev/");
    let array = answer.arrays.get(source).cloned().unwrap_or_default();
    let fact = |file: &str| array.get(file).map_or("nothing", String::as_str);
    facts.equal(
        &format!("{name}: its tags made {at} of its disks"),
        (fact("level"), fact("slaves")),
        (level, "nvme0n1 nvme1n1"),
    );
    facts.equal("and no other array", answer.arrays.len(), 1);
    Ok(())
}

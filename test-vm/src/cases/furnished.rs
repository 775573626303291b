//! A node with everything that a real one has, booted twice: what must be true of it whatever its
//! release, of its overlays, its systemd, and its disks.

use std::fs;

use anyhow::{Context as _, Result, bail};
use witness::Answer;

use crate::boot::Boot;
use crate::disk::{Disk, check_ext4};
use crate::facts::Facts;
use crate::node::Node;
use crate::server::Owner;

/// Numbers count from one.
const PROFILE: &str = "disk_config[1]=\"\"\n\
                       disk_config[2]=\"raid1:ext4:/system\"\n\
                       disk_config[4]=\"raid0:ext4:/scratch\"\n";

/// What else mkdisk.conf says.
const SETTINGS: &str =
    "FSCACHE_DIR=/scratch/fscache\nMOVE_DIRS=/var/log:/system/log,/tmp:/system/tmp\n";

/// The key of ssh: each node's own, so it comes with the system overlay.
const HOST_KEY: &str = "/etc/ssh/ssh_host_ed25519_key";

/// Bytes of each disk.
const DISK: u64 = 4 << 30;

/// Gives a node everything that a real one has: overlays, disks, settings. `make demo` boots it too.
/// Of the disks the first is nobody's business, the next two mirror each other, the rest is scratch.
///
/// # Errors
/// Files cannot be written.
pub fn furnish(node: &mut Node, disks: usize) -> Result<()> {
    for _ in 0..disks {
        node.add_disk(DISK)?;
    }
    node.mkdisk(true, SETTINGS, PROFILE)?;
    let name = node.number.name();
    node.system
        .file("etc/machine-id", format!("{:032x}\n", 0x7e57_0000 + u32::from(node.number.0)))?;
    node.system.file("etc/issue", format!("{name}, booted by rsinit\n"))?;
    let owner = |uid, gid, mode| Owner { uid, gid, mode: Some(mode) };
    let name = HOST_KEY.trim_start_matches('/');
    let key = fs::read(node.debian.root.join(name)).context("reading a host key")?;
    node.system.owned(name, key, owner(0, 0, 0o600))?;
    node.system.owned("etc/site/key", "of the system overlay\n", owner(0, 42, 0o640))?;
    node.system.folder_owned("etc/site/drop", owner(1234, 4321, 0o1770))?;
    node.system.link("etc/site/link", "../hostname")?;
    let agent = fs::read(node.agent()).context("reading the agent")?;
    node.system.owned("usr/sbin/rsinit", agent, owner(0, 0, 0o755))?;
    node.runtime.owned(
        "root/.ssh/authorized_keys",
        "ssh-ed25519 AAAA test\n",
        owner(0, 0, 0o600),
    )?;
    node.runtime.owned("usr/local/bin/tool", "#!/bin/sh\n", owner(0, 0, 0o4755))
}

/// Boots a furnished node, judges it together with `judge`, and boots it again: the arrays are the
/// same then, and so are the files on them. Each boot must have `units` active.
///
/// # Errors
/// The node does not come up, or has fewer than four disks.
pub fn boot_twice(
    node: &mut Node,
    units: &[&str],
    facts: &mut Facts,
    judge: impl FnOnce(&Boot, &Answer, &mut Facts),
) -> Result<()> {
    ask(node, units);
    let disks = node.disks.clone();
    let [unused, left, right, scratch @ ..] = disks.as_slice() else { bail!("too few disks") };
    unused.make_foreign()?;
    // Somebody's data on a disk that WIPE_ON_BOOT gives away.
    right.make_foreign()?;
    let before = unused.digest()?;
    node.question.writes.push(("/system/kept".to_owned(), "by the first boot".to_owned()));
    node.question.writes.push(("/scratch/kept".to_owned(), "on the stripe".to_owned()));
    node.question.writes.push(("/var/log/kept".to_owned(), "in the log".to_owned()));
    let boot = node.boot(|_| {})?;
    let answer = boot.answer()?;
    judge_system(answer, units, facts);
    judge_overlays(node, answer, facts);
    judge_disks(node, answer, facts);
    judge(&boot, answer, facts);
    facts.equal("disk 1 is untouched", unused.digest()?, before.clone());
    let first = check_offline(node, left, right, scratch, facts)?;

    node.mkdisk(false, SETTINGS, PROFILE)?;
    node.question.writes.clear();
    node.question.needles.clear();
    node.ask(&["/system/kept", "/scratch/kept", "/var/log/kept"]);
    let boot = node.boot(|_| {}).context("booting again")?;
    let answer = boot.answer().context("booting again")?;
    for (path, text) in [
        ("/system/kept", "by the first boot"),
        ("/scratch/kept", "on the stripe"),
        ("/var/log/kept", "in the log"),
    ] {
        facts.equal(&format!("{path} is found again"), answer.text(path), text);
    }
    judge_system(answer, units, facts);
    judge_disks(node, answer, facts);
    facts.equal("disk 1 is still untouched", unused.digest()?, before);
    let second = check_offline(node, left, right, scratch, facts)?;
    facts.equal("the arrays are the same", second, first);
    Ok(())
}

fn ask(node: &mut Node, units: &[&str]) {
    node.ask(&[
        "/var/log/image.log",
        "/mkdisk.log",
        "/system",
        "/scratch",
        "/scratch/fscache",
        "/system/log",
        "/system/tmp",
        "/var/log",
        "/tmp",
        HOST_KEY,
        "/etc/site/key",
        "/etc/site/drop",
        "/etc/site/link",
        "/root/.ssh/authorized_keys",
        "/usr/local/bin/tool",
    ]);
    for number in 0..node.disks.len() {
        node.ask(&[serial_path(&format!("nvme{number}n1")).as_str()]);
    }
    ask_system(node, units);
    node.ask_command(&["mdadm", "--detail", "{md}"]);
}

/// Asks for what [`judge_system`] wants to know.
pub fn ask_system(node: &mut Node, units: &[&str]) {
    node.ask_command(&["systemctl", "is-system-running", "--wait"]);
    node.ask_command(&["systemctl", "--failed", "--no-legend", "--plain"]);
    node.ask_command(&[&["systemctl", "is-active"], units].concat());
}

/// systemd is up, and `units` are active; [`ask_system`] must have asked.
pub fn judge_system(answer: &Answer, units: &[&str], facts: &mut Facts) {
    let failed = answer.said(&["systemctl", "--failed"]);
    facts.holds(
        "systemd is up",
        answer.said(&["systemctl", "is-system-running"]).trim() == "running",
        failed,
    );
    let active = answer.said(&["systemctl", "is-active"]);
    let fact = format!("active: {units:?}");
    facts.equal(&fact, active.as_str(), "active\n".repeat(units.len()).as_str());
}

fn judge_overlays(node: &Node, answer: &Answer, facts: &mut Facts) {
    facts.equal(
        "the system overlay names the node",
        answer.text("/etc/hostname").trim(),
        &node.number.name(),
    );
    facts.equal(
        "a file keeps its owner and mode",
        answer.look("/etc/site/key").as_str(),
        "file 0640 0:42",
    );
    facts.equal(
        "a folder keeps its own",
        answer.look("/etc/site/drop").as_str(),
        "folder 1770 1234:4321",
    );
    facts.equal("a link stays a link", answer.text("/etc/site/link"), "../hostname");
    let keys = answer.look("/root/.ssh/authorized_keys");
    facts.equal("the runtime overlay is there", keys.as_str(), "file 0600 0:0");
    facts.equal("the host key is root's alone", answer.look(HOST_KEY).as_str(), "file 0600 0:0");
    facts.equal("setuid stays", answer.look("/usr/local/bin/tool").as_str(), "file 4755 0:0");
}

/// Two arrays, and what lies on them.
fn judge_disks(node: &Node, answer: &Answer, facts: &mut Facts) {
    let (mirror, stripe) = node.disks.get(1..).unwrap_or_default().split_at(2);
    for (at, level, disks) in [("/system", "raid1", mirror), ("/scratch", "raid0", stripe)] {
        let Some(mount) = answer.mount(at) else {
            facts.holds(&format!("{at} is mounted"), false, &answer.mountinfo);
            continue;
        };
        facts.equal(&format!("{at} is ext4"), mount.kind, "ext4");
        let name = mount.source.trim_start_matches("/dev/");
        let array = answer.arrays.get(name).cloned().unwrap_or_default();
        let fact = |file: &str| array.get(file).map_or("nothing", String::as_str);
        facts.equal(&format!("{at} lies on a {level}"), fact("level"), level);
        let want: Vec<_> = disks.iter().map(|disk| disk.serial.as_str()).collect();
        facts.equal(&format!("{at} has its members"), serials(answer, fact("slaves")), want);
        let detail = answer.said(&["mdadm", "--detail", mount.source]);
        let count = disks.len();
        let devices = format!("Raid Devices : {count}");
        let working = format!("Working Devices : {count}");
        let level = format!("Raid Level : {level}");
        let parts = [level.as_str(), &devices, &working, "Version : 1.2", "State : "];
        facts.contains(&format!("mdadm agrees about {at}"), &detail, &parts);
        let bad = ["degraded", "resyncing", "recovering", "FAILED"];
        facts.holds(
            &format!("{at} is in sync"),
            !bad.iter().any(|word| detail.contains(word)),
            &detail,
        );
    }
    facts.equal("there are two arrays", answer.arrays.len(), 2);
    let system = answer.mount("/system").map(|mount| mount.device.to_owned());
    for (at, root) in [("/var/log", "/log"), ("/tmp", "/tmp")] {
        let mount = answer.mount(at);
        let place = mount.as_ref().map(|mount| (mount.device.to_owned(), mount.root));
        facts.equal(
            &format!("{at} lies on /system"),
            place,
            system.clone().map(|device| (device, root)),
        );
    }
    facts.equal("/tmp keeps its mode", answer.look("/tmp").as_str(), "folder 1777 0:0");
    facts.holds(
        "the image's logs were moved",
        answer.path("/var/log/image.log").is_some(),
        "no image.log",
    );
    facts.equal("FSCACHE_DIR is made", answer.look("/scratch/fscache").as_str(), "folder 0700 0:0");
    facts.holds("there is /mkdisk.log", answer.path("/mkdisk.log").is_some(), "none");
}

/// Where the kernel says the serial number of the disk called `name`.
fn serial_path(name: &str) -> String {
    format!("/sys/block/{name}/device/serial")
}

/// The serial numbers of these disks, in order. Since Linux 6.5 a disk's name says nothing: NVMe
/// controllers are numbered as they answer.
fn serials<'a>(answer: &'a Answer, names: &str) -> Vec<&'a str> {
    let serial = |name: &str| answer.text(&serial_path(name)).trim();
    let mut serials: Vec<_> = names.split(' ').map(serial).collect();
    serials.sort_unstable();
    serials
}

/// The disks by themselves, after power-off; the arrays' names and uuids.
fn check_offline(
    node: &Node,
    left: &Disk,
    right: &Disk,
    scratch: &[Disk],
    facts: &mut Facts,
) -> Result<Vec<(String, [u8; 16])>> {
    for (what, members) in [
        ("the first mirror is clean ext4", vec![left]),
        ("the second mirror is clean ext4", vec![right]),
        ("the scratch is clean ext4", scratch.iter().collect()),
    ] {
        facts.succeeds(what, check_ext4(&members, node.folder(), node.debian));
    }
    let mut arrays = Vec::new();
    let mirror = [(left, 1, 0), (right, 1, 1)];
    for (disk, level, role) in
        mirror.into_iter().chain((0..).zip(scratch).map(|(role, disk)| (disk, 0, role)))
    {
        let member =
            disk.member()?.with_context(|| format!("{} has no superblock", disk.serial))?;
        facts.equal("a member has its level and role", (member.level, member.role), (level, role));
        arrays.push((member.name, member.uuid));
    }
    Ok(arrays)
}

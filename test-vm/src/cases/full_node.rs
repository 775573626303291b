//! The main job: a real node with four disks, from the server to systemd, twice.

use std::fs;

use anyhow::{Context as _, Result};

use super::{Bench, Case, Size};
use crate::disk::{Disk, check_ext4};
use crate::facts::Facts;
use crate::nfs::{MUNGE_KEY, Secrets};
use crate::node::Node;
use crate::server::Owner;
use crate::witness::Answer;
use crate::witness::search::disguise;

/// The case.
pub const CASE: Case = Case {
    name: "full-node",
    about: "Debian with systemd, RAID1, RAID0, secrets, moved folders; its data is there again after a reboot",
    size: Size::Full,
    run,
};

/// Disk 1 is nobody's business, 2 and 3 mirror each other, the rest is scratch.
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
///
/// # Errors
/// Files cannot be written.
pub fn furnish(node: &mut Node) -> Result<()> {
    for _ in 0..4 {
        node.add_disk(DISK)?;
    }
    node.mkdisk(true, SETTINGS, PROFILE)?;
    let name = node.number.name();
    node.system
        .file("etc/machine-id", format!("{:032x}\n", 0x7e57_0000 + u32::from(node.number.0)))?;
    node.system.file("etc/issue", format!("{name}, booted by rsinit\n"))?;
    let owner = |uid, gid, mode| Owner { uid, gid, mode: Some(mode) };
    let name = HOST_KEY.trim_start_matches('/');
    let key = fs::read(node.image_root().join(name)).context("reading a host key")?;
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

fn run(bench: &Bench, facts: &mut Facts) -> Result<()> {
    let mut node = bench.full()?;
    furnish(&mut node)?;
    ask(&mut node);
    let token = disguise(bench.cluster.secrets.monitor_token.as_bytes());
    node.question.needles.insert("token".to_owned(), token);
    let disks = node.disks.clone();
    let [unused, left, right, scratch] = disks.as_slice() else { anyhow::bail!("four disks") };
    unused.make_foreign()?;
    // Somebody's data on a disk that WIPE_ON_BOOT gives away.
    right.make_foreign()?;
    let before = unused.digest()?;
    node.question.writes.push(("/system/kept".to_owned(), "by the first boot".to_owned()));
    node.question.writes.push(("/var/log/kept".to_owned(), "in the log".to_owned()));
    let boot = node.boot(|_| {})?;
    let answer = boot.answer()?;
    judge_system(answer, facts);
    judge_overlays(&node, answer, facts);
    judge_secrets(&bench.cluster.secrets, answer, facts);
    let token = &bench.cluster.secrets.monitor_token;
    facts.holds("the console never showed a secret", !boot.console.contains(token), "a token");
    judge_disks(answer, facts);
    judge_report(answer, facts);
    judge_status(answer, facts);
    facts.equal("disk 1 is untouched", unused.digest()?, before.clone());
    let first = check_offline(&node, left, right, scratch, facts)?;

    node.mkdisk(false, SETTINGS, PROFILE)?;
    node.question.writes.clear();
    node.question.needles.clear();
    node.ask(&["/system/kept", "/var/log/kept"]);
    let boot = node.boot(|_| {}).context("booting again")?;
    let answer = boot.answer().context("booting again")?;
    facts.equal(
        "a file on /system is found again",
        answer.text("/system/kept"),
        "by the first boot",
    );
    facts.equal("a log is found again", answer.text("/var/log/kept"), "in the log");
    judge_system(answer, facts);
    judge_disks(answer, facts);
    facts.equal("disk 1 is still untouched", unused.digest()?, before);
    let second = check_offline(&node, left, right, scratch, facts)?;
    facts.equal("the arrays are the same", second, first);
    Ok(())
}

fn ask(node: &mut Node) {
    node.ask(&[
        "/etc/munge/munge.key",
        "/etc/ssl/certs/node.pem",
        "/etc/site-build",
        "/etc/site-monitor.conf",
        "/run/site-monitor",
        "/var/log/dracut-preboot.log",
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
    node.ask_command(&["systemctl", "is-system-running", "--wait"]);
    node.ask_command(&["systemctl", "--failed", "--no-legend", "--plain"]);
    node.ask_command(&[
        "systemctl",
        "is-active",
        "multi-user.target",
        "ssh",
        "munge",
        "site-monitor",
    ]);
    node.ask_command(&["openssl", "x509", "-in", "/etc/ssl/certs/node.pem", "-noout", "-pubkey"]);
    node.ask_command(&["openssl", "pkey", "-in", "/etc/ssl/private/node.key", "-pubout"]);
    node.ask_command(&["id", "-u", "munge"]);
    node.ask_command(&["mdadm", "--detail", "{md}"]);
    node.ask_command(&["mdadm", "--examine", "--scan"]);
    node.ask_command(&["rsinit", "status"]);
    node.ask_command(&["rsinit", "status", "--prometheus"]);
    node.ask_command(&["mkdir", "/secrets"]);
    node.ask_command(&["rsinit", "status", "--json"]);
    node.ask_command(&["rmdir", "/secrets"]);
}

fn judge_system(answer: &Answer, facts: &mut Facts) {
    let failed = answer.said(&["systemctl", "--failed"]);
    facts.holds(
        "systemd is up",
        answer.said(&["systemctl", "is-system-running"]).trim() == "running",
        failed,
    );
    let active = answer.said(&["systemctl", "is-active"]);
    facts.equal(
        "multi-user, ssh, munge and the site's agent are active",
        active.as_str(),
        "active\nactive\nactive\nactive\n",
    );
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

fn judge_secrets(secrets: &Secrets, answer: &Answer, facts: &mut Facts) {
    let munge = answer.said(&["id", "-u", "munge"]).trim().to_owned();
    let key = answer.look("/etc/munge/munge.key");
    facts.holds(
        "the munge key is munge's, 0400",
        key.starts_with(&format!("file 0400 {munge}:")),
        &key,
    );
    let text = String::from_utf8_lossy(MUNGE_KEY);
    facts.equal("the munge key is the secret", answer.text("/etc/munge/munge.key"), &text);
    let certificate = answer.text("/etc/ssl/certs/node.pem");
    facts.equal("the certificate is the secret one", certificate, &secrets.certificate);
    let public = answer.said(&["openssl", "pkey"]);
    facts.contains("the key is one", &public, &["BEGIN PUBLIC KEY"]);
    facts.equal("and the certificate's", answer.said(&["openssl", "x509"]), public);
    let conf = answer.look("/etc/site-monitor.conf");
    facts.equal("the agent's settings are root's alone", conf.as_str(), "file 0600 0:0");
    let found = answer.found.get("token").map(|places| places.join(" "));
    let found = found.unwrap_or_default();
    facts.equal("its token is there and nowhere else", found.as_str(), "/etc/site-monitor.conf");
    let watches = answer.text("/run/site-monitor");
    facts.contains("the agent runs with them", watches, &["watching for http://10.77.0.1:"]);
    let built = answer.text("/etc/site-build");
    facts.equal("the image was made by the same playbook", built, "built by the tag build\n");
    facts.equal("/secrets is gone", answer.path("/secrets"), None);
    facts.holds("no NFS is mounted", !answer.mountinfo.contains(" - nfs"), &answer.mountinfo);
    let log = answer.text("/var/log/dracut-preboot.log");
    let tasks = ["PLAY RECAP", "failed=0", "write the munge key", "configure the monitoring agent"];
    facts.contains("the playbook ran", log, &tasks);
    facts.holds("its build tasks did not", !log.contains("install the monitoring agent"), log);
}

fn judge_disks(answer: &Answer, facts: &mut Facts) {
    for (at, level, members) in
        [("/system", "raid1", "nvme1n1 nvme2n1"), ("/scratch", "raid0", "nvme3n1")]
    {
        let Some(mount) = answer.mount(at) else {
            facts.holds(&format!("{at} is mounted"), false, &answer.mountinfo);
            continue;
        };
        facts.equal(&format!("{at} is ext4"), mount.kind, "ext4");
        let name = mount.source.trim_start_matches("/dev/");
        let array = answer.arrays.get(name).cloned().unwrap_or_default();
        let fact = |file: &str| array.get(file).map_or("nothing", String::as_str);
        facts.equal(&format!("{at} lies on a {level}"), fact("level"), level);
        facts.equal(&format!("{at} has its members"), fact("slaves"), members);
        let detail = answer.said(&["mdadm", "--detail", mount.source]);
        let count = members.split(' ').count();
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

fn judge_report(answer: &Answer, facts: &mut Facts) {
    let stages = answer.stages();
    let names: Vec<&str> = stages.iter().map(|stage| stage.name.as_str()).collect();
    for name in ["network", "image", "secrets", "preboot", "disks"] {
        facts.holds(
            &format!("the report has the stage {name}"),
            names.contains(&name),
            format!("{names:?}"),
        );
    }
    let image = stages.iter().find(|stage| stage.name == "image").and_then(|stage| stage.bytes);
    facts.holds(
        "the report counts the image's bytes",
        image > Some(50 << 20),
        format!("{image:?}"),
    );
}

/// `rsinit status`: well, and then with a `/secrets` that was left behind.
fn judge_status(answer: &Answer, facts: &mut Facts) {
    let status = |words: &[&str]| answer.commands(words).next().and_then(|ran| ran.status);
    let said = answer.said(&["rsinit", "status"]);
    let lines = [
        "ok       boot ",
        "ok       arrays ",
        "ok       mounts    /system /scratch\n",
        "ok       hook      ansible-playbook ",
        "ok       secrets   gone\n",
    ];
    facts.contains("rsinit status finds all well", &said, &lines);
    facts.equal("and says so by its exit status", status(&["rsinit", "status"]), Some(0));
    let metrics = answer.said(&["rsinit", "status", "--prometheus"]);
    let samples = ["rsinit_check_ok{check=\"arrays\"} 1\n", "level=\"raid1\"} 0\n"];
    facts.contains("the metrics say it too", &metrics, &samples);
    let json = ["rsinit", "status", "--json"];
    facts.contains("a /secrets is found", &answer.said(&json), &["/secrets is still there"]);
    facts.equal("by the exit status too", status(&json), Some(1));
}

/// The disks by themselves, after power-off; the arrays' names and uuids.
fn check_offline(
    node: &Node,
    left: &Disk,
    right: &Disk,
    scratch: &Disk,
    facts: &mut Facts,
) -> Result<Vec<(String, [u8; 16])>> {
    for (what, members) in [
        ("the first mirror is clean ext4", vec![left]),
        ("the second mirror is clean ext4", vec![right]),
        ("the scratch is clean ext4", vec![scratch]),
    ] {
        facts.succeeds(what, check_ext4(&members, node.folder()));
    }
    let mut arrays = Vec::new();
    for (disk, level, role) in [(left, 1, 0), (right, 1, 1), (scratch, 0, 0)] {
        let member =
            disk.member()?.with_context(|| format!("{} has no superblock", disk.serial))?;
        facts.equal("a member has its level and role", (member.level, member.role), (level, role));
        arrays.push((member.name, member.uuid));
    }
    Ok(arrays)
}

//! The real node on the releases before and after bookworm, and on Ubuntu's: another kernel, another dracut that
//! builds the initramfs, another systemd that boots the root, and their own mdadm and e2fsck as
//! judges of what the agent makes.

use anyhow::Result;
use witness::Answer;

use super::furnished::{boot_twice, furnish};
use super::{Bench, Case, Size};
use crate::boot::Boot;
use crate::debian::Release;
use crate::facts::Facts;
use crate::image::full::HOOK_NAME;
use crate::nfs::MUNGE_KEY;
use crate::node::Node;

/// The release before.
pub const BULLSEYE: Case = Case {
    name: "bullseye",
    about: "Debian 11: Linux 5.10, dracut 051, systemd 247; eight disks, secrets; its data is there again",
    size: Size::Full(Release::Bullseye),
    run: |bench, facts| run(bench, &OLDER, facts),
};

/// The release after.
pub const TRIXIE: Case = Case {
    name: "trixie",
    about: "Debian 13: Linux 6.12, dracut 106, systemd 257; eight disks, secrets; its data is there again",
    size: Size::Full(Release::Trixie),
    run: |bench, facts| run(bench, &NEWER, facts),
};

/// Ubuntu's.
pub const JAMMY: Case = Case {
    name: "ubuntu-22.04",
    about: "Ubuntu 22.04: Linux 5.15, dracut 051, systemd 249; eight disks, secrets; its data is there again",
    size: Size::Full(Release::Jammy),
    run: |bench, facts| run(bench, &UBUNTU_22, facts),
};

/// Ubuntu's next.
pub const NOBLE: Case = Case {
    name: "ubuntu-24.04",
    about: "Ubuntu 24.04: Linux 6.8, dracut 060, systemd 255; eight disks, secrets; its data is there again",
    size: Size::Full(Release::Noble),
    run: |bench, facts| run(bench, &UBUNTU_24, facts),
};

/// A release, and how the versions of what is in it begin.
struct Versions {
    release: Release,
    kernel: &'static str,
    dracut: &'static str,
    /// How systemd greets in its initramfs: 051 leaves its version out, 106 the distribution.
    greeting: &'static str,
    systemd: &'static str,
    mdadm: &'static str,
    /// What listens for ssh: Ubuntu starts the daemon with the first who comes.
    ssh: &'static str,
}

const OLDER: Versions = Versions {
    release: Release::Bullseye,
    kernel: "5.10.",
    dracut: "051-",
    greeting: "(bullseye) dracut-",
    systemd: "systemd 247",
    mdadm: "mdadm - v4.1 ",
    ssh: "ssh",
};

const NEWER: Versions = Versions {
    release: Release::Trixie,
    kernel: "6.12.",
    dracut: "106-",
    greeting: "Booting initrd of ",
    systemd: "systemd 257",
    mdadm: "mdadm - v4.4 ",
    ssh: "ssh",
};

const UBUNTU_22: Versions = Versions {
    release: Release::Jammy,
    kernel: "5.15.",
    dracut: "051-",
    greeting: "LTS dracut- (Initramfs)",
    systemd: "systemd 249",
    mdadm: "mdadm - v4.2 ",
    ssh: "ssh",
};

const UBUNTU_24: Versions = Versions {
    release: Release::Noble,
    kernel: "6.8.",
    dracut: "060",
    greeting: "LTS dracut-060",
    systemd: "systemd 255",
    mdadm: "mdadm - v4.3 ",
    ssh: "ssh.socket",
};

fn run(bench: &Bench, versions: &Versions, facts: &mut Facts) -> Result<()> {
    let mut node = Node::full(bench.stand(), versions.release)?;
    furnish(&mut node, 8)?;
    node.argue("rsinit.preboot", &format!("/{HOOK_NAME}"));
    node.ask(&["/etc/munge/munge.key"]);
    node.ask_command(&["uname", "-r"]);
    node.ask_command(&["systemctl", "--version"]);
    node.ask_command(&["mdadm", "--version"]);
    node.ask_command(&["dpkg-query", "--show", "--showformat=${Version}", "dracut-core"]);
    node.ask_command(&["mdadm", "--examine", "--scan"]);
    node.ask_command(&["rsinit", "status"]);
    let units = ["multi-user.target", versions.ssh, "munge"];
    boot_twice(&mut node, &units, facts, |boot, answer, facts| {
        judge_versions(versions, boot, answer, facts);
        judge_secrets(answer, facts);
        let arrays = answer.said(&["mdadm", "--examine"]);
        facts.contains("mdadm finds both arrays by their members", &arrays, &["system", "scratch"]);
        let status = answer.commands(&["rsinit", "status"]).next();
        let said = format!("{status:?}");
        let is_well = status.is_some_and(|ran| ran.status == Some(0));
        facts.holds("rsinit status finds all well", is_well, said);
    })
}

/// It is that release, in the initramfs and after it.
fn judge_versions(versions: &Versions, boot: &Boot, answer: &Answer, facts: &mut Facts) {
    for (fact, said, begin) in [
        ("the kernel is the release's", answer.said(&["uname"]), versions.kernel),
        ("systemd is", answer.said(&["systemctl", "--version"]), versions.systemd),
        ("mdadm is", answer.said(&["mdadm", "--version"]), versions.mdadm),
        ("dracut is", answer.said(&["dpkg-query"]), versions.dracut),
    ] {
        facts.holds(fact, said.starts_with(begin), &said);
    }
    let initramfs = boot.console.split("rsinit: ").next().unwrap_or_default();
    let words = [versions.systemd, versions.greeting];
    facts.contains("the initramfs is dracut's, with the same systemd", initramfs, &words);
}

fn judge_secrets(answer: &Answer, facts: &mut Facts) {
    let text = String::from_utf8_lossy(MUNGE_KEY);
    facts.equal("the munge key is the secret", answer.text("/etc/munge/munge.key"), &text);
    facts.equal("/secrets is gone", answer.path("/secrets"), None);
    facts.holds("no NFS is mounted", !answer.mountinfo.contains(" - nfs"), &answer.mountinfo);
}

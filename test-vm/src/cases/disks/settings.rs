//! Disks that are kept, refused, spared, and settings that cannot be read. Tiny nodes.

use anyhow::{Context as _, Result};

use crate::boot::Boot;
use crate::cases::{Bench, Case, Size};
use crate::disk::{Disk, check_ext4};
use crate::facts::Facts;
use crate::initramfs::Flavour;
use crate::node::Node;

/// A second boot.
pub const KEPT: Case = Case {
    name: "kept-data",
    about: "blank disks are made ready without WIPE_ON_BOOT; the next boots find the data, also with disk=keep and by a link",
    size: Size::Tiny,
    run: kept,
};

/// Somebody's data.
pub const FOREIGN: Case = Case {
    name: "foreign-disk",
    about: "without WIPE_ON_BOOT a disk with somebody's data is refused by name and untouched",
    size: Size::Tiny,
    run: foreign,
};

/// The operator's brake.
pub const BRAKES: Case = Case {
    name: "disk-plan-off",
    about: "rsinit.disk=plan prints and rsinit.disk=off is silent; neither touches a disk",
    size: Size::Tiny,
    run: brakes,
};

/// A profile that does not parse.
pub const BAD_PROFILE: Case = Case {
    name: "bad-profile",
    about: "a profile with a bad line: its number on the console, no disk written, node up",
    size: Size::Tiny,
    run: bad_profile,
};

/// Settings that do not parse, or name a profile that is not there.
pub const BAD_SETTINGS: Case = Case {
    name: "bad-settings",
    about: "mkdisk.conf with a bad line, or naming no profile there is: said, no disk written, node up",
    size: Size::Tiny,
    run: bad_settings,
};

const PROFILE: &str = "# test\n\
                       disk_config[1]=\"\"\n\
                       disk_config[2]=\"raid1:ext4:/system\"\n\
                       disk_config[4]=\"raid0:ext4:/scratch\"\n";

/// Bytes of each disk.
const DISK: u64 = 1 << 30;

fn kept(bench: &Bench, facts: &mut Facts) -> Result<()> {
    let mut node = bench.tiny()?;
    node.flavour = Flavour::Systemd;
    for _ in 0..6 {
        node.add_disk(DISK)?;
    }
    let disks = node.disks.clone();
    let [unused, left, right, one, two, three] = disks.as_slice() else {
        anyhow::bail!("six disks")
    };
    unused.make_foreign()?;
    let before = unused.digest()?;
    node.ask(&["/system/kept", "/scratch/kept", "/var/log/image.log", "/var/log/kept"]);
    let settings = "MOVE_DIRS=/var/log:/system/log\n";

    node.mkdisk(false, settings, PROFILE)?;
    for folder in ["system", "scratch", "var/log"] {
        node.question.writes.push((format!("/{folder}/kept"), folder.to_owned()));
    }
    let boot = node.boot(|_| {})?;
    let answer = boot.answer()?;
    facts.equal("/system is ext4", answer.mount("/system").map(|mount| mount.kind), Some("ext4"));
    facts.equal("/scratch is ext4", answer.mount("/scratch").map(|mount| mount.kind), Some("ext4"));
    let written = answer.commands.iter().map(|ran| ran.text.as_str()).collect::<Vec<_>>();
    facts.equal("files were written", written, Vec::new());
    let first = uuids(&disks, facts)?;
    node.question.writes.clear();

    node.ask(&["/var/log"]);
    for (wipe, brake, place) in [(false, "auto", "bind"), (true, "keep", "symlink")] {
        node.mkdisk(wipe, &format!("{settings}MKDISK_MOVE={place}\n"), PROFILE)?;
        node.argue("rsinit.disk", brake);
        let boot = node.boot(|_| {}).with_context(|| format!("booting again with disk={brake}"))?;
        let answer = boot.answer().with_context(|| format!("booting again with disk={brake}"))?;
        for (path, text) in
            [("/system/kept", "system"), ("/scratch/kept", "scratch"), ("/var/log/kept", "var/log")]
        {
            facts.equal(
                &format!("{path} is there with WIPE_ON_BOOT={wipe} disk={brake}"),
                answer.text(path),
                text,
            );
        }
        let log = answer.text("/var/log/image.log");
        facts.equal("a moved folder still has the image's file", log, "written by the image\n");
        let is_link = answer.look("/var/log").starts_with("link ");
        let is_mounted = answer.mount("/var/log").is_some();
        let wanted = (place == "symlink", place == "bind");
        facts.equal(&format!("in its place is a {place}"), (is_link, is_mounted), wanted);
        let again = uuids(&disks, facts)?;
        facts.equal("the arrays are the same", &again, &first);
    }
    facts.equal("disk 1 is untouched", unused.digest()?, before);
    for (what, members) in [
        ("the first mirror is clean", vec![left]),
        ("the second mirror is clean", vec![right]),
        ("the stripes over three disks are clean", vec![one, two, three]),
    ] {
        facts.succeeds(what, check_ext4(&members, node.folder(), node.debian));
    }
    Ok(())
}

/// The uuid that each member carries.
fn uuids(disks: &[Disk], facts: &mut Facts) -> Result<Vec<[u8; 16]>> {
    let mut uuids = Vec::new();
    for disk in disks.iter().skip(1) {
        let member =
            disk.member()?.with_context(|| format!("{} has no superblock", disk.serial))?;
        facts.equal("a member is in sync", member.resync_offset, u64::MAX);
        uuids.push(member.uuid);
    }
    Ok(uuids)
}

fn foreign(bench: &Bench, facts: &mut Facts) -> Result<()> {
    let mut node = bench.tiny()?;
    for _ in 0..4 {
        node.add_disk(DISK)?;
    }
    let disks = node.disks.clone();
    let [unused, left, right, scratch] = disks.as_slice() else { anyhow::bail!("four disks") };
    right.make_foreign()?;
    let before = right.digest()?;
    node.mkdisk(false, "MOVE_DIRS=/var/log:/system/log\n", PROFILE)?;
    node.ask(&["/var/log/image.log", "/mkdisk.log"]);
    let boot = node.boot(|_| {})?;
    let answer = boot.answer()?;
    facts.equal("the foreign disk is untouched", right.digest()?, before);
    facts.holds("its blank companion is untouched", left.is_blank()?, "data");
    facts.holds("the unused disk is untouched", unused.is_blank()?, "data");
    facts.equal("/system is not mounted", answer.mount("/system"), None);
    facts.equal(
        "/scratch, on a blank disk, is",
        answer.mount("/scratch").map(|mount| mount.kind),
        Some("ext4"),
    );
    facts.equal(
        "/var/log stays where it was",
        answer.text("/var/log/image.log"),
        "written by the image\n",
    );
    facts.succeeds("the scratch is clean", check_ext4(&[scratch], node.folder(), node.debian));
    let said = boot.lines().join("\n");
    facts.contains("the console names the disk and why", &said, &["nvme2n1", "ext4"]);
    let told = answer.report_text();
    facts.contains("the report has the refusal as a warning", &told, &["nvme2n1"]);
    facts.contains("/mkdisk.log names it too", answer.text("/mkdisk.log"), &["nvme2n1"]);
    Ok(())
}

fn brakes(bench: &Bench, facts: &mut Facts) -> Result<()> {
    let mut node = bench.tiny()?;
    for _ in 0..4 {
        node.add_disk(DISK)?;
    }
    let disks = node.disks.clone();
    disks.iter().take(2).try_for_each(Disk::make_foreign)?;
    let before = disks.iter().map(Disk::digest).collect::<Result<Vec<_>>>()?;
    node.mkdisk(true, "", PROFILE)?;
    for brake in ["plan", "off"] {
        node.argue("rsinit.disk", brake);
        let boot = node.boot(|_| {}).with_context(|| format!("booting with disk={brake}"))?;
        let answer = boot.answer().with_context(|| format!("booting with disk={brake}"))?;
        let after = disks.iter().map(Disk::digest).collect::<Result<Vec<_>>>()?;
        facts.equal(&format!("no disk is touched with disk={brake}"), &after, &before);
        facts.equal(&format!("no array is made with disk={brake}"), answer.arrays.len(), 0);
        if brake == "plan" {
            facts.contains(
                "the plan is printed",
                &boot.lines().join("\n"),
                &["nvme1n1", "/system", "raid1"],
            );
        }
    }
    Ok(())
}

fn bad_profile(bench: &Bench, facts: &mut Facts) -> Result<()> {
    let profile = "disk_config[1]=\"\"\n\
                   disk_config[2]=\"raid1:ext4:/system\"\n\
                   # a level that nobody knows:\n\
                   disk_config[4]=\"raid7:ext4:/scratch\"\n";
    let mut node = bench.tiny()?;
    node.mkdisk(true, "", profile)?;
    let boot = stays_blank(&mut node, facts)?;
    facts.contains("the console has the line", &boot.lines().join("\n"), &["line 4", "raid7"]);
    facts.contains("and the report", &boot.answer()?.report_text(), &["line 4"]);
    Ok(())
}

fn bad_settings(bench: &Bench, facts: &mut Facts) -> Result<()> {
    let mut node = bench.tiny()?;
    node.mkdisk(true, "MOVE_DIRS=/var/log:/../outside\n", PROFILE)?;
    let boot = stays_blank(&mut node, facts)?;
    facts.contains("the console has the line", &boot.lines().join("\n"), &["line 3", "MOVE_DIRS"]);

    let mut node = bench.tiny()?;
    node.system.file("etc/mkdisk/mkdisk.conf", "WIPE_ON_BOOT=true\nMKDISK_PROFILE=nowhere\n")?;
    let boot = stays_blank(&mut node, facts)?;
    facts.contains("the console names the profile", &boot.lines().join("\n"), &["nowhere"]);
    Ok(())
}

/// Boots a node with four blank disks: it comes up, and they stay blank.
fn stays_blank(node: &mut Node, facts: &mut Facts) -> Result<Boot> {
    for _ in 0..4 {
        node.add_disk(DISK)?;
    }
    let boot = node.boot(|_| {})?;
    let answer = boot.answer()?;
    facts.equal("no array is made", answer.arrays.len(), 0);
    for disk in &node.disks {
        facts.holds(&format!("{} is blank", disk.serial), disk.is_blank()?, "data");
    }
    Ok(boot)
}

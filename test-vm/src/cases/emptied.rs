//! Swap, discard and erase: what only a real kernel and a real controller can show.

use anyhow::{Result, bail};

use super::{Bench, Case, Size};
use crate::disk::Disk;
use crate::facts::Facts;
use crate::tool::{command, output};

/// Two boots of one node.
pub const CASE: Case = Case {
    name: "swap-discard-erase",
    about: "swap is made and used; a discarded disk has zeroed inode tables; an erase that the controller cannot do is refused",
    size: Size::Tiny,
    run,
};

const PROFILE: &str = "disk_config[1]=\"raid0:swap\"\n\
                       disk_config[3]=\"none:swap::label=page\"\n\
                       disk_config[4]=\"raid0:ext4:/scratch:discard=120\"\n\
                       disk_config[5]=\"raid0:ext4:/secret:crypto_erase\"\n";

/// Bytes of each disk.
const DISK: u64 = 1 << 30;

fn run(bench: &Bench, facts: &mut Facts) -> Result<()> {
    let mut node = bench.tiny()?;
    for _ in 0..5 {
        node.add_disk(DISK)?;
    }
    let disks = node.disks.clone();
    let [_, _, _, scratch, secret] = disks.as_slice() else { bail!("five disks") };
    scratch.make_foreign()?;
    secret.make_foreign()?;
    let before = secret.digest()?;
    node.ask(&["/proc/swaps"]);
    node.mkdisk(true, "", PROFILE)?;
    let boot = node.boot(|_| {})?;
    let answer = boot.answer()?;
    let said = boot.lines().join("\n");
    let swaps = answer.text("/proc/swaps");
    facts.contains(
        "the kernel swaps to the array and the disk",
        swaps,
        &["/dev/md", "/dev/nvme2n1"],
    );
    facts.contains(
        "the erase is refused, as the controller has no such format",
        &said,
        &["nvme4n1", "crypto_erase refused"],
    );
    facts.equal("the disk that cannot be erased is untouched", secret.digest()?, before);
    let mount = answer.mount("/scratch");
    facts.equal("/scratch is ext4", mount.map(|mount| mount.kind), Some("ext4"));
    facts.contains(
        "the plan says that tables are zero",
        &said,
        &["inode tables zero if discarded"],
    );
    facts.holds("and so they were", !said.contains("inode tables zeroed later"), &said);
    facts.equal("all groups are marked as zeroed", groups_to_zero(scratch)?, Vec::new());

    node.mkdisk(false, "", PROFILE)?;
    let boot = node.boot(|_| {})?;
    let answer = boot.answer()?;
    let swaps = answer.text("/proc/swaps");
    facts.contains("the next boot swaps to the same areas", swaps, &["/dev/md", "/dev/nvme2n1"]);
    facts.holds(
        "which it finds",
        !boot.lines().iter().any(|line| line.contains("make swap")),
        "swap was made again",
    );
    Ok(())
}

/// The groups of the ext4 on a member whose inode tables the kernel would have to zero.
fn groups_to_zero(disk: &Disk) -> Result<Vec<String>> {
    let Some(member) = disk.member()? else { bail!("{} is no member", disk.serial) };
    let what = format!("{}?offset={}", disk.path.display(), member.data_offset);
    let found = output(command("dumpe2fs").arg(&what))?;
    let text = String::from_utf8_lossy(&found.stdout).into_owned();
    let groups: Vec<&str> = text.lines().filter(|line| line.contains(": (Blocks ")).collect();
    if groups.is_empty() {
        bail!("dumpe2fs shows no groups: {text}");
    }
    let bare = groups.into_iter().filter(|line| !line.contains("ITABLE_ZEROED"));
    Ok(bare.map(str::to_owned).collect())
}

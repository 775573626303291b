//! Disks that fail: while they are read, and in the middle of being written.

use anyhow::{Context as _, Result};

use super::hands::Hands;
use crate::cases::{Bench, Case, Size, ends_with};
use crate::facts::Facts;

/// The case.
pub const CASE: Case = Case {
    name: "failing-disk",
    about: "disks that fail in the middle of a plan: their ranges are named, the others made; required, it fails the boot",
    size: Size::Tiny,
    run: fail,
};

const PROFILE: &str = "disk_config[1]=\"\"
disk_config[2]=\"raid1:ext4:/system\"
disk_config[4]=\"raid0:ext4:/scratch\"
disk_config[6]=\"none:ext4:/data\"
disk_config[7]=\"none:ext4:/other\"
";

/// Bytes of each disk.
const DISK: u64 = 256 << 20;

const LOOK: &str = "rsinit disks status
cat /proc/mdstat
check
stop
";

/// Rules by which the write number `at` (from 1) fails, and each after it.
fn fails_from(at: usize) -> String {
    let step = |state| {
        let next = state + 1;
        format!("[set-state]\nevent = \"write_aio\"\nstate = \"{state}\"\nnew_state = \"{next}\"\n")
    };
    let steps: String = (1..at).map(step).collect();
    format!(
        "{steps}[inject-error]\nevent = \"write_aio\"\nstate = \"{at}\"\nerrno = \"5\"\n\
         once = \"off\"\n"
    )
}

const UNREADABLE: &str = "[inject-error]\nevent = \"read_aio\"\nerrno = \"5\"\nonce = \"off\"\n";

fn fail(bench: &Bench, facts: &mut Facts) -> Result<()> {
    let mut hands = Hands::new(bench)?;
    hands.node.drop_argument("rsinit.disk");
    for _ in 0..7 {
        hands.node.add_disk(DISK)?;
    }
    let canary = hands.node.disks.first().context("the first disk")?.clone();
    canary.make_foreign()?;
    let before = canary.digest()?;
    // The mark and the superblocks are written, then something of the file system is not.
    for (index, faults) in [(2, fails_from(7)), (3, fails_from(4)), (6, UNREADABLE.to_owned())] {
        hands.node.disks.get_mut(index).context("a disk that fails")?.faults = faults;
    }
    hands.node.mkdisk(false, "", PROFILE)?;
    hands.node.ask(&["/run/rsinit/disk.json", "/mkdisk.log"]);
    hands.script("the node", LOOK);
    let (said, boot) = hands.run_all(facts)?;

    let told = said.of("the node")?;
    let clean = ["/system is clean", "/data is clean", "missing: /scratch", "missing: /other"];
    facts.contains("what does not need the disk is made", told, &clean);
    facts.contains("the mirror goes on", told, &["raid1", "1 of 2 members missing"]);
    facts.holds("no array is left half started", !told.contains("inactive"), told);
    let lines = boot.lines();
    let of = |volume: &str| {
        let found = lines.iter().filter(|line| line.contains(volume)).copied();
        found.collect::<Vec<_>>()
    };
    let scratch = of("raid0 /scratch");
    facts.equal("one line tells of the stripe", scratch.len(), 1);
    let words = ["(disks 4-5, line 3)", "nvme3n1", "I/O error"];
    facts.contains("and names line, disk and cause", &scratch.concat(), &words);
    let words = ["(disk 7, line 5)", "nvme6n1", "cannot be read"];
    facts.contains("one that cannot be read is named", &of("none /other").concat(), &words);
    let words = ["(disks 2-3, line 2)", "warning", "without nvme2n1"];
    facts.contains("a leg that is put aside is named", &of("raid1 /system").concat(), &words);
    let answer = boot.answer()?;
    let record: serde_json::Value = serde_json::from_str(answer.text("/run/rsinit/disk.json"))
        .context("reading /run/rsinit/disk.json")?;
    let missing = record.get("missing").map(ToString::to_string).unwrap_or_default();
    facts.equal("disk.json has what is missing", missing.as_str(), "[\"/scratch\",\"/other\"]");
    let log = answer.text("/mkdisk.log");
    facts.contains("/mkdisk.log has the cause", log, &["I/O error", "nvme3n1"]);

    let mut node = hands.node;
    node.question.commands.clear();
    node.mkdisk(false, "MKDISK_REQUIRED=true\n", PROFILE)?;
    let boot = node.boot(|_| {}).context("booting with MKDISK_REQUIRED=true")?;
    let words = ["required disks are missing", "/scratch", "line 3", "nvme3n1"];
    ends_with(&boot, "rsinit: disks: ", &words, facts);
    facts.equal("the unused disk keeps every byte", canary.digest()?, before);
    Ok(())
}

//! Arrays over several boots: disks go missing and come back, and something else than the agent
//! assembles them.

use anyhow::{Context as _, Result, ensure};

use super::hands::Hands;
use crate::boot::Boot;
use crate::cases::{Bench, Case, Size};
use crate::facts::Facts;

/// The case.
pub const CASE: Case = Case {
    name: "array-lives",
    about: "a mirror without a leg starts, the leg comes back and recovers; a stripe waits; what others assembled is used",
    size: Size::Tiny,
    run: lives,
};

const PROFILE: &str = "disk_config[1]=\"\"
disk_config[2]=\"raid1:ext4:/system\"
disk_config[4]=\"raid0:ext4:/scratch\"
";

/// Bytes of each disk.
const DISK: u64 = 2 << 30;

const FIRST: &str = "echo before > /system/before
echo stripe > /scratch/kept
rsinit disks status
mounts > /tmp/mounts
while read device at; do
    uuid=$(dumpe2fs -h $device 2> /tmp/said | sed -n 's/^Filesystem UUID: *//p')
    grep \"^UUID=$uuid $at ext4 nofail 0 0\" /etc/fstab || echo \"fault: $at in /etc/fstab\"
done < /tmp/mounts";

/// A leg of each array is away.
const WITHOUT: &str = "rsinit disks status
cat /proc/mdstat
cat /system/before
cp -a /usr/sbin /system/tree && echo later > /system/later || echo 'fault: writing'
(cd /system && sha256sum tree/* > sums)
mdadm --detail $(mirror) | grep -E 'State :|Raid Devices|Working Devices'";

/// `mdadm --wait` returns when the kernel says that it is done; both legs are compared then.
const AGAIN: &str = "mdadm --wait $(mirror)
array=$(mirror | cut -d/ -f3)
md=/sys/block/$array/md
rsinit disks status
echo \"degraded $(cat $md/degraded)\"
for leg in $(ls /sys/block/$array/slaves); do
    echo \"written $leg $(cat /sys/block/$leg/stat | tr -s ' ' | sed 's/^ //' | cut -d' ' -f7)\"
done
cat /system/before /system/later /scratch/kept
(cd /system && sha256sum -c sums > /tmp/said) || echo 'fault: sums'
sync
echo check > $md/sync_action
mdadm --wait $(mirror)
echo \"mismatches $(cat $md/mismatch_cnt)\"
mdadm --detail $(mirror) | grep 'State :'
undo
mkdir -p /lab/etc && cp -a /etc/mkdisk /lab/etc/";

/// Whole arrays that mdadm has started.
const ADOPTED: &str = "mdadm --assemble --scan || echo 'fault: assemble --scan'
arrays
apply
rsinit disks status
cat /lab/system/later /lab/scratch/kept
check
stop";

/// Arrays that udev's rules would have left half assembled.
const STOPPED: &str = "for disk in nvme1n1 nvme3n1; do
    mdadm --incremental /dev/$disk || echo \"fault: incremental $disk\"
done
cat /proc/mdstat
apply
rsinit disks status
cat /lab/system/later /lab/scratch/kept
check
stop";

/// A mirror that was started without a leg that is there.
const ONE_LEG: &str = "mdadm --assemble --run /dev/md9 /dev/nvme1n1 || echo 'fault: assemble'
apply
mdadm --wait /dev/md9
rsinit disks status
cat /lab/system/later
check
stop";

/// What udev's rules would have left of the stripe without its third disk.
const HALF: &str = "away nvme5
for disk in nvme3n1 nvme4n1; do
    mdadm --incremental /dev/$disk || echo \"fault: incremental $disk\"
done
cat /proc/mdstat
apply
echo 'afterwards:'
arrays
undo";

/// A leg fails for which a disk waits; stopped and started, the array is whole.
const SPARE: &str = "blank_ends nvme1n1 nvme2n1 nvme3n1
conf false << END
disk_config[2]=\"raid1:ext4:/system:spare\"
disk_config[5]=\"\"
END
apply
mdadm --detail /dev/md0 | grep 'Spare Devices'
echo spared > /lab/system/file
undo
apply
mdadm --detail /dev/md0 | grep 'Spare Devices'
mdadm /dev/md0 --fail /dev/nvme1n1 || echo 'fault: fail'
mdadm --wait /dev/md0
mdadm --detail /dev/md0 | grep 'Active Devices'
check
stop
mdadm --assemble /dev/md0 /dev/nvme2n1 /dev/nvme3n1 || echo 'fault: assemble'
mkdir -p /mnt
mount -o ro -t ext4 /dev/md0 /mnt && cat /mnt/file
undo";

/// What the kernel's own autodetection leaves, which only knows arrays of metadata 0.90 on partitions
/// of type fd, and only where md is built in: mdadm starts the like here.
const AUTODETECTED: &str = "blank_ends nvme1n1 nvme2n1 nvme3n1
for disk in nvme1n1 nvme2n1; do
    printf '\\0\\0\\0\\0\\375\\0\\0\\0\\0\\010\\0\\0\\0\\0\\040\\0' > /tmp/partition
    { dd if=/dev/zero bs=446 count=1; cat /tmp/partition; dd if=/dev/zero bs=48 count=1
      printf '\\125\\252'; } 2> /tmp/said > /tmp/table
    dd if=/tmp/table of=/dev/$disk conv=fsync 2> /tmp/said && blockdev --rereadpt /dev/$disk ||
        { echo \"fault: partitioning $disk\"; cat /tmp/said; }
done
mdadm --create /dev/md0 --run --metadata=0.90 --level=1 --raid-devices=2 --assume-clean \
    /dev/nvme1n1p1 /dev/nvme2n1p1 || echo 'fault: create'
mke2fs -q -t ext4 /dev/md0 && mkdir -p /mnt && mount -t ext4 /dev/md0 /mnt || echo 'fault: mounting'
echo somebody > /mnt/file
cat > /tmp/profile << END
disk_config[1]=\"\"
disk_config[2]=\"raid1:ext4:/system\"
disk_config[4]=\"\"
END
conf true < /tmp/profile
echo 'in use:'
apply
umount /mnt
conf false < /tmp/profile
echo 'without wiping:'
apply
mount -t ext4 /dev/md0 /mnt && cat /mnt/file && umount /mnt || echo 'fault: mounting again'
conf true < /tmp/profile
echo 'wiping:'
apply
if [ -e /dev/nvme1n1p1 ]; then echo 'fault: a partition is left'; fi
rsinit disks status
check
stop";

fn lives(bench: &Bench, facts: &mut Facts) -> Result<()> {
    let mut hands = Hands::new(bench)?;
    hands.node.drop_argument("rsinit.disk");
    for _ in 0..6 {
        hands.node.add_disk(DISK)?;
    }
    let all = hands.node.disks.clone();
    let canary = all.first().context("the first disk")?;
    canary.make_foreign()?;
    let before = canary.digest()?;
    hands.node.mkdisk(false, "MKDISK_FSTAB=true\n", PROFILE)?;
    hands.script("the first boot", FIRST);
    let said = hands.run(facts)?;
    said.contains("the first boot", "both are made", &["on /system", "on /scratch"], facts)?;

    // The second leg of the mirror and the third disk of the stripe: what is left is numbered anew.
    let is_here = |index: &usize| ![2, 5].contains(index);
    let here = all.iter().enumerate().filter(|(index, _)| is_here(index));
    hands.node.disks = here.map(|(_, disk)| disk.clone()).collect();
    hands.node.ask(&["/run/rsinit/disk.json"]);
    hands.script("without two disks", WITHOUT);
    let (said, boot) = hands.run_all(facts)?;
    missing_two(said.of("without two disks")?, &boot, facts)?;

    hands.node.disks.clone_from(&all);
    hands.script("with all disks", AGAIN);
    hands.script("arrays that mdadm started", ADOPTED);
    hands.script("arrays that are not complete", STOPPED);
    hands.script("a mirror started on one leg", ONE_LEG);
    hands.script("half a stripe", HALF);
    hands.script("a mirror with a spare", SPARE);
    hands.script("an array that the kernel found", AUTODETECTED);
    let (said, boot) = hands.run_all(facts)?;
    let lines = boot.lines().join("\n");
    facts.contains(
        "the console says that the leg comes back",
        &lines,
        &["add returned disk 3 (nvme2n1) to md"],
    );
    recovered(said.of("with all disks")?, facts)?;
    let used = ["as it runs", "apply ended with 0", "later\nstripe\n", "/scratch is clean"];
    said.contains("arrays that mdadm started", "they are used", &used, facts)?;
    let made = ["inactive", "stop md", "apply ended with 0", "later\nstripe\n", "/system is clean"];
    said.contains("arrays that are not complete", "they are stopped and started", &made, facts)?;
    let whole = ["apply ended with 0", "md9 raid1", "nvme1n1 nvme2n1, on ", "later\n"];
    said.contains("a mirror started on one leg", "it gets its other leg", &whole, facts)?;
    let half = said.of("half a stripe")?;
    let words = ["inactive", "1 of its 3 members are missing", "stop md", "apply ended with 1"];
    facts.contains("half a stripe is refused and stopped", half, &words);
    let left = half.split_once("afterwards:\n").map(|(_, arrays)| arrays);
    facts.equal("and only the mirror is left", left, Some("md0\n"));
    let spared = said.of("a mirror with a spare")?;
    let kept = spared.matches("Spare Devices : 1").count();
    facts.equal("mdadm sees the spare, also when the array is started again", kept, 2);
    let taken = ["the last a spare", "Active Devices : 2", "spared\n", "/lab/system is clean"];
    facts.contains("it takes the place of a leg that fails", spared, &taken);
    autodetected(said.of("an array that the kernel found")?, facts)?;
    facts.equal("the unused disk keeps every byte", canary.digest()?, before);
    Ok(())
}

/// An array on partitions is nobody's but its owner's, until he gives its disks away and it is idle.
fn autodetected(said: &str, facts: &mut Facts) -> Result<()> {
    let part =
        |from: &str| said.split_once(from).map(|(_, rest)| rest).context("a part is missing");
    let (used, kept) = part("in use:\n")?.split_once("without wiping:\n").context("no more")?;
    let words = ["md0 is mounted on /mnt: not even WIPE_ON_BOOT=true touches it"];
    facts.contains("an array on partitions that is mounted is refused", used, &words);
    facts.equal("and stays", used.contains("stop md0"), false);
    let kept = kept.split_once("wiping:\n").map_or(kept, |(kept, _)| kept);
    let words = ["WIPE_ON_BOOT is not true", "nvme1n1", "somebody\n"];
    facts.contains("idle, it is refused without wiping, and has its data", kept, &words);
    facts.equal("and stays too", kept.contains("stop md0"), false);
    let words = ["stop md0: its disks are wiped", "apply ended with 0", "/lab/system is clean"];
    facts.contains(
        "with wiping it is stopped and its disks are used",
        part("\nwiping:\n")?,
        &words,
    );
    Ok(())
}

/// What a boot without a leg of each array says and has.
fn missing_two(said: &str, boot: &Boot, facts: &mut Facts) -> Result<()> {
    let lines = boot.lines();
    let of = |volume: &str| {
        let found = lines.iter().filter(|line| line.contains(volume)).copied();
        found.collect::<Vec<_>>()
    };
    let words = ["warning: ", "line 2): 1 of 2 mirror legs are missing"];
    facts.contains("the console says what the mirror lacks", &of("raid1 /system").concat(), &words);
    let scratch = of("raid0 /scratch");
    facts.equal("one line tells of the stripe", scratch.len(), 1);
    facts.contains(
        "and says why",
        &scratch.concat(),
        &["line 3", "1 of its 3 members are missing"],
    );
    let status = ["1 of 2 members missing", "on /system", "missing: /scratch", "refused: raid0"];
    facts.contains("disks status says it", said, &status);
    facts.contains("the mirror has its file", said, &["\nbefore\n", ", degraded"]);
    facts.holds("the stripe is not left half started", !said.contains("raid0 inactive"), said);
    facts.holds("nor any array", !said.contains(": inactive"), said);
    let record = boot.answer()?.text("/run/rsinit/disk.json");
    let record: serde_json::Value = serde_json::from_str(record).context("reading disk.json")?;
    let missing = record.get("missing").map(ToString::to_string).unwrap_or_default();
    facts.equal("disk.json has what is missing", missing.as_str(), "[\"/scratch\"]");
    let plan = record.get("plan").map(ToString::to_string).unwrap_or_default();
    facts.contains("and what the mirror lacks", &plan, &["1 of 2 mirror legs are missing"]);
    Ok(())
}

/// The leg is whole again, and only what differed was written to it.
fn recovered(said: &str, facts: &mut Facts) -> Result<()> {
    let whole = ["before\nlater\nstripe\n", "degraded 0\n", "mismatches 0\n", "State : clean"];
    facts.contains("the leg has recovered", said, &whole);
    let written = |leg: &str| -> Result<u64> {
        let line = said.lines().find_map(|line| line.strip_prefix(&format!("written {leg} ")));
        line.with_context(|| format!("no sectors of {leg}"))?.parse().context("counting sectors")
    };
    let bytes = written("nvme2n1")? * 512;
    ensure!(bytes > 0, "nothing was written to the leg");
    println!("        the leg got {} of {} MiB", bytes >> 20, DISK >> 20);
    let is_little = bytes < DISK / 3;
    facts.holds("only what differed was written to it", is_little, format!("{bytes} bytes"));
    Ok(())
}

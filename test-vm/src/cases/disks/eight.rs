//! A site's own profile on eight disks: what mdadm, e2fsck and the kernel say of
//! what the agent made; and mkdisk by name on the running node.

use anyhow::{Context as _, Result};

use super::hands::Hands;
use crate::cases::{Bench, Case, Size};
use crate::facts::Facts;

/// The case.
pub const CASE: Case = Case {
    name: "eight-disks",
    about: "a site's profile on eight disks, read by mdadm, e2fsck and the kernel; mkdisk -c and -r",
    size: Size::Tiny,
    run: eight,
};

const PROFILE: &str = "disk_config[1]=\"\"\n\
                       disk_config[2]=\"raid1:ext4:/system\"\n\
                       disk_config[4]=\"raid0:ext4:/scratch\"\n";

/// Bytes of each disk.
const DISK: u64 = 256 << 20;

const READ: &str = "mounts
for array in $(arrays); do mdadm --detail /dev/$array; done
for n in 1 2 3 4 5 6 7; do mdadm --examine /dev/nvme${n}n1; done
cat /proc/mdstat";

/// The same tree, on arrays as mdadm finds them, without a configuration.
const AGAIN: &str = "for at in /system /scratch; do
    cp -a /usr/sbin $at/tree && echo kept > $at/kept || echo 'fault: copying'
    (cd $at && sha256sum tree/* > sums)
done
check
stop
mdadm --assemble --scan || echo 'fault: assemble --scan'
mkdir -p /mnt
for array in $(arrays); do
    mount -o ro -t ext4 /dev/$array /mnt || echo \"fault: $array is not mounted\"
    (cd /mnt && sha256sum -c sums > /tmp/said && cat kept) || { echo 'fault: sums'; cat /tmp/said; }
    umount /mnt
    mdadm --detail /dev/$array | grep 'State :'
done";

const CHECKED: &str = "mkdisk -c 2>&1; echo \"ended with $?\"
rsinit disks status
cat /system/kept /scratch/kept";

const MOUNTED: &str = "mkdisk -r 2>&1; echo \"ended with $?\"
cat /system/kept /scratch/kept";

const ANEW: &str = "check
mkdisk -r 2>&1; echo \"ended with $?\"
rsinit disks status
ls /system /scratch
check
stop";

fn eight(bench: &Bench, facts: &mut Facts) -> Result<()> {
    let mut hands = Hands::new(bench)?;
    hands.node.drop_argument("rsinit.disk");
    for _ in 0..8 {
        hands.node.add_disk(DISK)?;
    }
    let disks = hands.node.disks.clone();
    let canary = disks.first().context("the first disk")?;
    canary.make_foreign()?;
    let before = canary.digest()?;
    hands.node.mkdisk(true, "", PROFILE)?;
    hands.script("the arrays", READ);
    hands.script("planning", "rsinit disks plan");
    hands.script("assembling by mdadm", AGAIN);
    hands.script("mkdisk -c", CHECKED);
    hands.script("mkdisk -r while mounted", MOUNTED);
    hands.script("mkdisk -r", ANEW);
    let said = hands.run(facts)?;

    let read = said.of("the arrays")?;
    facts.contains("the boot has mounted both", read, &["/dev/md1 /scratch\n/dev/md0 /system\n"]);
    let count = |text: &str| read.matches(text).count();
    facts.equal("seven checksums are correct", count("- correct"), 7);
    // A mounted mirror is written to now and then: until it has been idle it is `active`.
    let states = read.lines().filter_map(|line| line.trim().strip_prefix("State : "));
    let is_whole = |state: &&str| ["clean", "active"].contains(&state.trim());
    facts.equal("two arrays and seven members are whole", states.filter(is_whole).count(), 9);
    facts.equal("all are of version 1.2", count("Version : 1.2"), 9);
    facts.contains("names", read, &["rsinit:system", "rsinit:scratch"]);
    facts.contains("levels", read, &["Raid Level : raid1", "Raid Level : raid0"]);
    let is_synced = ["resync =", "recovery =", "resyncing"].iter().all(|word| !read.contains(word));
    facts.holds("nothing is resynced", is_synced, read);
    said.contains("planning", "it names disks and reasons", &["nvme0n1", "left alone"], facts)?;
    let again = said.of("assembling by mdadm")?;
    facts.equal("both volumes keep their files", again.matches("kept\n").count(), 2);
    facts.contains("both are clean", again, &["/system is clean", "/scratch is clean"]);
    let used = ["ended with 0", "as it runs", "kept\nkept\n", "raid1", "on /system", "on /scratch"];
    said.contains("mkdisk -c", "arrays that run are used", &used, facts)?;
    let refused = ["ended with 1", "is mounted on /system", "is mounted on /scratch", "kept\nkept"];
    said.contains("mkdisk -r while mounted", "it refuses and harms nothing", &refused, facts)?;
    let anew = ["ended with 0", "lost+found", "/system is clean", "/scratch is clean"];
    said.contains("mkdisk -r", "everything is made anew", &anew, facts)?;
    facts.holds("and empty", !said.of("mkdisk -r")?.contains("kept"), said.of("mkdisk -r")?);
    facts.equal("the unused disk keeps every byte", canary.digest()?, before);
    Ok(())
}

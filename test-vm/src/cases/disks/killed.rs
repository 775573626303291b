//! The agent is killed at points of a plan and started again, many times in one boot.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::hands::{Hands, Said};
use crate::cases::{Bench, Case, Size};
use crate::facts::Facts;

/// Some points.
pub const CASE: Case = Case {
    name: "disks-killed",
    about: "the agent is killed at every 13th point of making arrays: the next run ends in the same state, one more writes nothing",
    size: Size::Tiny,
    run: |bench, facts| killed(bench, facts, 13),
};

/// All.
pub const EVERY: Case = Case {
    name: "disks-killed-everywhere",
    about: "the agent is killed at every point of making arrays: the next run ends in the same state, one more writes nothing",
    size: Size::Tiny,
    run: |bench, facts| killed(bench, facts, 1),
};

/// Bytes of each disk.
const DISK: u64 = 32 << 20;

const PROFILE: &str = "disk_config[1]=\"\"
disk_config[2]=\"raid1:ext4:/system\"
disk_config[4]=\"raid0:ext4:/scratch\"
disk_config[6]=\"none:ext4:/data\"
";

/// `written`: what the kernel was given to write to each member.
const WORDS: &str = "members='nvme1n1 nvme2n1 nvme3n1 nvme4n1 nvme5n1'
anew() { undo; blank $members; sync; }
written() {
    for disk in $members; do
        echo $disk $(tr -s ' ' < /sys/block/$disk/stat | sed 's/^ //' | cut -d' ' -f7) sectors
    done
}
";

/// What an undisturbed run comes to, and by how many calls.
const COUNT: &str = "mkdir -p /lab/etc && cp -a /etc/mkdisk /lab/etc/
anew
killed - rsinit disks apply --root /lab 2> /tmp/said > /tmp/points
cat /tmp/points
state > /tmp/wanted
check
grep -c . /tmp/wanted";

/// What is written where arrays are started again, and nothing else is done.
const IDLE: &str = "undo
keep $members
written > /tmp/from
killed mount rsinit disks apply --root /lab
written > /tmp/to
stop
same $members
paste -d' ' /tmp/from /tmp/to | while read disk from word disk to word; do
    echo \"$disk was given $((to - from)) sectors\"
done";

/// From point number FIRST on, every STEPth.
const KILL: &str = "points=$(sed -n 's/^ran through \\([0-9]*\\) points.*/\\1/p' /tmp/points)
for n in $(seq 0 STEP $((points - 1))); do
    anew
    killed $n rsinit disks apply --root /lab > /tmp/out 2>&1
    echo \"point $n: $(grep -E '^(killed|ran)' /tmp/out)\"
    rsinit disks apply --root /lab > /tmp/out 2>&1 || { echo \"fault: point $n\"; cat /tmp/out; }
    state > /tmp/state
    if ! cmp /tmp/wanted /tmp/state; then echo \"fault: point $n\"; cat /tmp/state /tmp/out; fi
    check > /tmp/checked
    if [ $(grep -c ' is clean' /tmp/checked) != 3 ]; then echo \"fault: point $n\"; cat /tmp/checked; fi
    stop
    echo \"then $(again $members | tr '\\n' ' ')\"
    rsinit disks apply --root /lab > /tmp/out 2>&1 || { echo \"fault: again $n\"; cat /tmp/out; }
    if grep -E '[:,] (create|make|wipe|add) ' /tmp/out; then echo \"fault: again $n makes\"; fi
done
echo 'all points'";

fn killed(bench: &Bench, facts: &mut Facts, step: usize) -> Result<()> {
    let mut hands = Hands::new(bench)?;
    hands.node.limit = Duration::from_secs(3600);
    for _ in 0..6 {
        hands.node.add_disk(DISK)?;
    }
    let canary = hands.node.disks.first().context("the first disk")?.clone();
    canary.make_foreign()?;
    let before = canary.digest()?;
    hands.node.mkdisk(false, "", PROFILE)?;
    hands.script("an undisturbed run", &format!("{WORDS}{COUNT}"));
    hands.script("a run on disks that are ready", &format!("{WORDS}{IDLE}"));
    hands.script("killed", &format!("{WORDS}{}", KILL.replace("STEP", &step.to_string())));
    let said = hands.run(facts)?;
    judge(&said, step, facts)?;
    facts.equal("the unused disk keeps every byte", canary.digest()?, before);
    Ok(())
}

fn judge(said: &Said, step: usize, facts: &mut Facts) -> Result<()> {
    let first = said.of("an undisturbed run")?;
    let points = first.split_once("ran through ").and_then(|(_, rest)| rest.split_once(" points"));
    let points: usize = points.context("counting points")?.0.parse().context("counting points")?;
    ensure!(points >= 40, "only {points} points");
    let clean = ["/system is clean", "/scratch is clean", "/data is clean"];
    facts.contains("an undisturbed run makes all three", first, &clean);
    let idle = said.of("a run on disks that are ready")?;
    facts.contains(
        "arrays start without a change",
        idle,
        &["killed before mount", "5 members are the same"],
    );
    // The kernel writes the header of a mirror's bitmap again, as it is, when it starts it.
    for disk in ["nvme1n1", "nvme2n1"] {
        let few = [0, 1, 8].map(|count| format!("{disk} was given {count} sectors\n"));
        let is_one = few.iter().any(|line| idle.contains(line));
        facts.holds(&format!("{disk} is given one block at most"), is_one, idle);
    }
    let none =
        ["nvme3n1", "nvme4n1", "nvme5n1"].map(|disk| format!("{disk} was given 0 sectors\n"));
    let none = none.each_ref().map(String::as_str);
    facts.contains("stripes and single disks are not written to", idle, &none);
    let told = said.of("killed")?;
    let killed = told.lines().filter(|line| line.contains(": killed before ")).count();
    println!("        killed at {killed} of {points} points");
    facts.holds("at each point it was killed", killed + 2 >= points.div_ceil(step), told);
    facts.contains("every point was tried", told, &["all points"]);
    let same = told.matches("then killed before mount 2 5 members are the same").count();
    facts.equal("after each the next run leaves every byte", same, points.div_ceil(step));
    Ok(())
}

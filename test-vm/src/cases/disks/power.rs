//! The power goes while the agent makes arrays: what the kernel had not yet written is lost. The
//! next boot finishes the work.

use std::fs;

use anyhow::{Context as _, Result, bail, ensure};
use witness::HELD;

use super::hands::Hands;
use crate::cases::{Bench, Case, Size};
use crate::facts::Facts;
use crate::node::{Node, gave_up};
use crate::qemu::Ending;

/// The case.
pub const CASE: Case = Case {
    name: "power-cut",
    about: "the power goes at 2 points of making arrays: the next boot ends in the same state, one more run writes nothing",
    size: Size::Tiny,
    run: |bench, facts| cut(bench, facts, 2),
};

/// Bytes of each disk.
const DISK: u64 = 32 << 20;

const PROFILE: &str = "disk_config[1]=\"\"
disk_config[2]=\"raid1:ext4:/system\"
disk_config[4]=\"raid0:ext4:/scratch\"
disk_config[6]=\"none:ext4:/data\"
";

/// What this boot came to, on the second serial port: the power may go before the witness tells.
///
/// One more run without wiping then leaves every byte of every member.
const LOOK: &str = "{ echo '== state'; state; check; echo '== end'; } > /dev/ttyS1
stop
mkdir -p /lab/etc && cp -a /etc/mkdisk /lab/etc/
members='nvme1n1 nvme2n1 nvme3n1 nvme4n1 nvme5n1'
{ echo '== again'; again $members; echo '== over'; } > /dev/ttyS1
anew() { undo; blank $members; sync; }
";

/// How many points there are.
const COUNT: &str = "anew
killed - rsinit disks apply --root /lab 2> /tmp/said > /dev/ttyS1
";

fn cut(bench: &Bench, facts: &mut Facts, count: usize) -> Result<()> {
    let mut node = Hands::new(bench)?.node;
    node.drop_argument("rsinit.disk");
    for _ in 0..6 {
        node.add_disk(DISK)?;
    }
    let canary = node.disks.first().context("the first disk")?.clone();
    canary.make_foreign()?;
    let before = canary.digest()?;
    node.mkdisk(false, "", PROFILE)?;

    let counted = boot(&mut node, &format!("{LOOK}{COUNT}anew\n"))?;
    let points = between(&counted, "ran through ", " points")?;
    let points: usize = points.parse().context("counting points")?;
    ensure!(points >= 40, "only {points} points");
    let wanted = between(&counted, "== state", "== end")?;
    for at in ["/system", "/scratch", "/data"] {
        facts.contains("an undisturbed boot", wanted, &[&format!("{at} is clean")]);
    }
    // Each boot begins with what the cut before it has left; the first with blank disks.
    let mut point = "nothing".to_owned();
    for turn in 0..=count {
        let at = (turn * 2 + 1) * points / (count * 2);
        let hold = format!("anew\nheld {at} rsinit disks apply --root /lab\n");
        let script = if turn < count { format!("{LOOK}{hold}") } else { LOOK.to_owned() };
        let said = boot(&mut node, &script)
            .with_context(|| format!("booting after a cut before {point}"))?;
        let state = between(&said, "== state", "== end")?;
        let differs = state.lines().zip(wanted.lines()).find(|(a, b)| a != b);
        let saw = format!("{differs:?}");
        facts.holds(&format!("cut before {point}: the same state"), state == wanted, saw);
        facts.holds("every tool is content", !said.contains("fault:"), &said);
        let again = between(&said, "== again\n", "== over")?;
        let wanted = "killed before mount\n2\n5 members are the same\n";
        facts.equal("one more run leaves every byte", again, wanted);
        facts.equal("the unused disk keeps every byte", &canary.digest()?, &before);
        if turn < count {
            point = format!("{} ({at} of {points})", between(&said, HELD, "\n")?.trim());
            println!("        the power goes before {point}");
        }
    }
    Ok(())
}

/// Boots the node until it is off, or until a program is held and the power is cut; what came over
/// the second serial port.
fn boot(node: &mut Node<'_>, script: &str) -> Result<String> {
    node.question.commands.clear();
    node.ask_command(&["/bin/sh", "-c", &format!(". /{}\n{script}", super::hands::AT)]);
    let mut power = node.switch_on(|_| {})?;
    let port = power.witness.clone();
    let read = || fs::read(&port).map(|bytes| String::from_utf8_lossy(&bytes).replace('\r', ""));
    let is_held = || read().is_ok_and(|text| text.contains(HELD));
    let ending = power.running.wait_asking(node.limit, |text| {
        if is_held() { Some(HELD.to_owned()) } else { gave_up(text) }
    })?;
    // From here on the machine is dead: killed, not shut down.
    node.finish(power, ending.clone())?;
    match ending {
        Ending::Stopped(reason) if reason == HELD => {}
        Ending::Off(Some(0)) => {}
        other => bail!("the node ended with {other:?}"),
    }
    read().with_context(|| format!("reading {}", port.display()))
}

/// What stands between two words of a text.
fn between<'a>(text: &'a str, begin: &str, end: &str) -> Result<&'a str> {
    let part = text.split_once(begin).and_then(|(_, rest)| rest.split_once(end));
    part.map(|(part, _)| part).with_context(|| format!("no {begin:?} … {end:?} in {text:?}"))
}

//! The agent is killed while the hook runs: as by the kernel for want of memory, or by the hook.

use anyhow::Result;
use witness::search::disguise;

use super::emergency::{ask_for_shell, fall};
use super::hooks::{furnish, judge_traces, saw};
use super::{Bench, Case, Size, ends_with};
use crate::facts::Facts;
use crate::initramfs::Flavour;
use crate::qemu::Ending;
use crate::shell::Shell;

/// The case.
pub const CASE: Case = Case {
    name: "agent-killed",
    about: "a hook kills the agent: no shell unasked, cause on console and head node, secrets gone; leaving a shell that was asked for boots",
    size: Size::Tiny,
    run,
};

/// The cause, behind the stage.
const CAUSE: &str = "the agent was killed in this stage";
/// Who held the secrets, one outside the new root.
const ENDED: &str = "rsinit: secrets-gone: unmounted, after ending hook-holder, hook-holder, /sysroot/secrets removed";

fn run(bench: &Bench, facts: &mut Facts) -> Result<()> {
    unasked(bench, facts)?;
    asked(bench, facts)
}

/// systemd in the initramfs: the agent is not a child of the first process.
fn unasked(bench: &Bench, facts: &mut Facts) -> Result<()> {
    let mut node = furnish(bench, "/hook-kill", &[])?;
    node.flavour = Flavour::Systemd;
    let boot = node.boot(|_| {})?;
    ends_with(&boot, "rsinit: preboot: ", &[CAUSE], facts);
    facts.contains("what it left is taken away", &boot.lines().join("\n"), &[ENDED]);
    let key = &bench.cluster.secrets.planted;
    facts.holds("the console never showed the key", !boot.console.contains(key), "the key");
    let heard = format!("{:?}", boot.heard);
    facts.holds("nor did the head node hear it", !heard.contains(key), "the key");
    Ok(())
}

/// Nothing of the killed boot is there in the shell, nor in the node that boots when it is left.
fn asked(bench: &Bench, facts: &mut Facts) -> Result<()> {
    let mut node = furnish(bench, "/hook-kill", &[])?;
    let needle = disguise(bench.cluster.secrets.planted.as_bytes());
    node.question.needles.insert("key".to_owned(), needle);
    ask_for_shell(&mut node);
    let mut power = node.switch_on(|_| {})?;
    let mut keyboard = fall(&node, &mut power, "rsinit: preboot: ", &[CAUSE], facts)?;

    let mut shell = Shell::open(&mut power.running, &mut keyboard)?;
    for (what, command) in [
        ("an NFS mount", "grep ' - nfs' /proc/self/mountinfo"),
        ("an NFS file system in the kernel", "grep '^v[34] ' /proc/fs/nfsfs/volumes"),
        ("a process of the hook", "grep ^hook- /proc/[0-9]*/comm"),
        ("a root, or its secrets", "ls -A /sysroot | grep ."),
    ] {
        let said = shell.run(command)?;
        facts.holds(&format!("there is no {what}"), said.status != 0, said.text);
    }
    let said = shell.run("rsinit report")?;
    let parts = [CAUSE, "unmounted, after ending hook-holder", "next step: look for who killed it"];
    facts.contains("the report has stage, cause and next step", &said.text, &parts);

    let ending = shell.leave(node.limit)?;
    let boot = node.finish(power, ending)?;
    facts.equal("who leaves the shell boots the node", &boot.ending, &Ending::Off(Some(0)));
    judge_traces(&boot, facts)?;
    let answer = boot.answer()?;
    facts.succeeds("with its hook", saw(answer));
    let found = answer.found.get("key").map(|places| places.join(" "));
    facts.equal("the key of the first boot is nowhere", found.as_deref(), Some(""));
    Ok(())
}

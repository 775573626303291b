//! The preboot hook: it runs in the new root with the secrets, and whatever becomes of it, the
//! secrets go and the node comes up.

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::{Bench, Case, Size};
use crate::facts::Facts;
use crate::initramfs::Flavour;
use crate::listener::Wire;
use crate::nfs::CERTIFICATE;
use crate::node::Boot;
use crate::qemu::Nic;
use crate::witness::Answer;

/// A hook that passes.
pub const PASSES: Case = Case {
    name: "hook-passes",
    about: "a hook runs in the new root and sees the secrets, read-only; afterwards they are gone",
    size: Size::Tiny,
    run: passes,
};

/// A hook that exits 1.
pub const FAILS: Case = Case {
    name: "hook-fails",
    about: "a hook that exits 1: said, in the report, secrets gone, node up",
    size: Size::Tiny,
    run: fails,
};

/// A hook that is not there.
pub const MISSING: Case = Case {
    name: "hook-missing",
    about: "a hook that is not in the image: named, secrets gone, node up",
    size: Size::Tiny,
    run: missing,
};

/// A hook that does not end.
pub const HANGS: Case = Case {
    name: "hook-hangs",
    about: "a hook that hangs is ended after its time, secrets gone, node up",
    size: Size::Tiny,
    run: hangs,
};

/// A failing hook where the site wants that to end the boot.
pub const FATAL: Case = Case {
    name: "hook-fatal",
    about: "with rsinit.preboot.onfail=fail a failing hook ends the boot with its cause as the last line",
    size: Size::Tiny,
    run: fatal,
};

/// Boots a tiny node with `hook`; the facts that hold for every hook are checked here.
fn boot(bench: &Bench, hook: &str, more: &[(&str, &str)], facts: &mut Facts) -> Result<Boot> {
    let mut node = bench.tiny()?;
    node.argue("rsinit.preboot", hook);
    for (name, value) in more {
        node.argue(name, value);
    }
    node.ask(&["/hook.json", "/var/log/dracut-preboot.log"]);
    if hook == "/hook-ok" {
        node.flavour = Flavour::Systemd;
        node.nic = Nic::E1000;
    }
    let boot = node.boot(|_| {})?;
    let answer = boot.answer()?;
    facts.equal("/secrets is gone", answer.path("/secrets"), None);
    facts.holds("no NFS is mounted", !answer.mountinfo.contains(" - nfs"), &answer.mountinfo);
    for left in ["/proc", "/dev", "/sys", "/run"] {
        let mounts = answer.mountinfo.lines().filter(|line| line.split(' ').nth(4) == Some(left));
        facts.equal(&format!("{left} is mounted once"), mounts.count(), 1);
    }
    Ok(boot)
}

/// What the hook wrote down.
fn saw(answer: &Answer) -> Result<Value> {
    serde_json::from_str(answer.text("/hook.json")).context("reading /hook.json")
}

fn passes(bench: &Bench, facts: &mut Facts) -> Result<()> {
    let boot = boot(bench, "/hook-ok", &[], facts)?;
    let answer = boot.answer()?;
    let saw = saw(answer)?;
    let text = saw.get("secrets.yml").and_then(Value::as_str).unwrap_or("");
    facts.contains("the hook reads the secrets", text, &[CERTIFICATE]);
    facts.equal(
        "it sees both",
        saw.get("secrets"),
        Some(&serde_json::json!(["munge.key", "secrets.yml"])),
    );
    facts.equal("it cannot write to them", saw.get("writable"), Some(&Value::Bool(false)));
    facts.equal("it has /proc", saw.get("proc"), Some(&Value::Bool(true)));
    facts.equal("it has /dev/null", saw.get("null"), Some(&Value::Bool(true)));
    let log = answer.text("/var/log/dracut-preboot.log");
    facts.contains("its output is in the log", log, &["the hook says hello", "the hook complains"]);
    let stages = answer.stages();
    let preboot = stages.iter().find(|stage| stage.name == "preboot");
    facts.equal("the report says ok", preboot.map(|stage| stage.outcome.as_str()), Some("ok"));
    Ok(())
}

/// The report and the console agree that the hook failed.
fn told(boot: &Boot, words: &[&str], facts: &mut Facts) -> Result<()> {
    facts.contains("the console says so", &boot.lines().join("\n"), words);
    let answer = boot.answer()?;
    facts.contains("the report says so", &answer.report_text(), words);
    let stages = answer.stages();
    let preboot = stages.iter().find(|stage| stage.name == "preboot");
    let outcome = preboot.map_or("nothing", |stage| stage.outcome.as_str());
    facts.holds("its stage is not ok", !["ok", "nothing"].contains(&outcome), outcome);
    Ok(())
}

fn fails(bench: &Bench, facts: &mut Facts) -> Result<()> {
    let boot = boot(bench, "/hook-fail", &[], facts)?;
    facts.succeeds("the hook did run", saw(boot.answer()?));
    told(&boot, &["/hook-fail", "status 1"], facts)
}

fn missing(bench: &Bench, facts: &mut Facts) -> Result<()> {
    let boot = boot(bench, "/no/such/hook", &[], facts)?;
    told(&boot, &["/no/such/hook"], facts)
}

fn hangs(bench: &Bench, facts: &mut Facts) -> Result<()> {
    let boot = boot(bench, "/hook-hang", &[("rsinit.preboot.timeout", "5")], facts)?;
    facts.succeeds("the hook did run", saw(boot.answer()?));
    told(&boot, &["/hook-hang", "5 s"], facts)
}

fn fatal(bench: &Bench, facts: &mut Facts) -> Result<()> {
    let mut node = bench.tiny()?;
    node.argue("rsinit.preboot", "/hook-fail");
    node.argue("rsinit.preboot.onfail", "fail");
    node.wire = Wire::Post;
    let boot = node.boot(|_| {})?;
    super::ends_with(&boot, "rsinit: preboot: ", &["/hook-fail", "status 1"], facts);
    Ok(())
}

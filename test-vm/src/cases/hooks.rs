//! The preboot hook: it runs in the new root with the secrets, and whatever becomes of it, the
//! secrets go and the node comes up.

use anyhow::{Context as _, Result};
use serde_json::Value;
use witness::Answer;
use witness::hook::{ORDER, SAW};

use super::{Bench, Case, Size};
use crate::boot::Boot;
use crate::facts::Facts;
use crate::initramfs::Flavour;
use crate::listener::Wire;
use crate::nfs::PLANTED;
use crate::node::Node;
use crate::qemu::Nic;

/// The hook's log.
const LOG: &str = "/var/log/dracut-preboot.log";

/// The NFS file systems that the kernel has, mounted or not.
const VOLUMES: &str = "/proc/fs/nfsfs/volumes";

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

/// Hooks in a folder.
pub const FOLDER: Case = Case {
    name: "hook-folder",
    about: "the executables of a folder run by name until one fails; its last lines are on the console",
    size: Size::Tiny,
    run: folder,
};

/// A failing hook where the site wants that to end the boot.
pub const FATAL: Case = Case {
    name: "hook-fatal",
    about: "with rsinit.preboot.onfail=fail a failing hook ends the boot with its cause as the last line",
    size: Size::Tiny,
    run: fatal,
};

/// A tiny node with `hook`.
pub(super) fn furnish<'a>(
    bench: &Bench<'a>,
    hook: &str,
    more: &[(&str, &str)],
) -> Result<Node<'a>> {
    let mut node = bench.tiny()?;
    node.argue("rsinit.preboot", hook);
    for (name, value) in more {
        node.argue(name, value);
    }
    node.ask(&[SAW, ORDER, LOG, VOLUMES, "/dev/shm/of-the-hook"]);
    Ok(node)
}

/// What holds for every hook, whatever became of it.
pub(super) fn judge_traces(boot: &Boot, facts: &mut Facts) -> Result<()> {
    let answer = boot.answer()?;
    facts.equal("/secrets is gone", answer.path("/secrets"), None);
    facts.holds("no NFS is mounted", !answer.mountinfo.contains(" - nfs"), &answer.mountinfo);
    // One line of headings: the kernel itself has no NFS file system left.
    let volumes = answer.text(VOLUMES).lines().count();
    facts.holds("the kernel has let go of it", volumes <= 1, answer.text(VOLUMES));
    let gone = answer.stages().into_iter().find(|stage| stage.name == "secrets-gone");
    let outcome = gone.as_ref().map(|stage| stage.outcome.as_str());
    facts.equal("the report says that they are gone", outcome, Some("ok"));
    facts.equal("its scratch space is gone", answer.path("/dev/shm/of-the-hook"), None);
    facts.equal("only root reads its log", answer.look(LOG).as_str(), "file 0600 0:0");
    let holder = answer.processes.iter().find(|name| name.starts_with("hook-"));
    facts.equal("no process of it is left", holder, None);
    facts.holds("there are processes", !answer.processes.is_empty(), "none");
    for left in ["/proc", "/dev", "/sys", "/run"] {
        let mounts = answer.mountinfo.lines().filter(|line| line.split(' ').nth(4) == Some(left));
        facts.equal(&format!("{left} is mounted once"), mounts.count(), 1);
    }
    Ok(())
}

fn boot(bench: &Bench, hook: &str, more: &[(&str, &str)], facts: &mut Facts) -> Result<Boot> {
    let mut node = furnish(bench, hook, more)?;
    if hook == "/hook-ok" {
        node.flavour = Flavour::Systemd;
        node.nic = Nic::E1000;
    }
    let boot = node.boot(|_| {})?;
    judge_traces(&boot, facts)?;
    Ok(boot)
}

/// What the hook wrote down.
pub(super) fn saw(answer: &Answer) -> Result<Value> {
    serde_json::from_str(answer.text(SAW)).with_context(|| format!("reading {SAW}"))
}

fn passes(bench: &Bench, facts: &mut Facts) -> Result<()> {
    let boot = boot(bench, "/hook-ok", &[], facts)?;
    let answer = boot.answer()?;
    let saw = saw(answer)?;
    let text = saw.get("secrets.yml").and_then(Value::as_str).unwrap_or("");
    facts.contains("the hook reads the secrets", text, &[&bench.cluster.secrets.monitor_token]);
    facts.equal(
        "it sees all of them",
        saw.get("secrets"),
        Some(&serde_json::json!(["munge.key", PLANTED, "secrets.yml"])),
    );
    let mount = saw.get("mount").and_then(Value::as_str).unwrap_or("");
    let options = ["ro,nosuid,nodev,noexec", " - nfs4 ", "vers=4.1", "soft", "sec=sys"];
    facts.contains("they are mounted as they should be", mount, &options);
    facts.equal("it cannot write to them", saw.get("writable"), Some(&Value::Bool(false)));
    for (what, name) in [
        ("/proc", "proc"),
        ("/sys", "sys"),
        ("/run", "run"),
        ("/dev/null", "null"),
        ("/dev/pts", "pts"),
        ("/dev/shm", "shm"),
    ] {
        facts.equal(&format!("it has {what}"), saw.get(name), Some(&Value::Bool(true)));
    }
    for (whose, name, wanted) in
        [("it", "oom_score_adj", "0"), ("the agent", "oom_score_adj of the agent", "-999")]
    {
        let is = saw.get(name).and_then(Value::as_str);
        facts.equal(&format!("for want of memory {whose} is ended at {wanted}"), is, Some(wanted));
    }
    judge_environment(&saw, facts);
    let log = answer.text(LOG);
    facts.contains("its output is in the log", log, &["the hook says hello", "the hook complains"]);
    let stages = answer.stages();
    let preboot = stages.iter().find(|stage| stage.name == "preboot");
    facts.equal("the report says ok", preboot.map(|stage| stage.outcome.as_str()), Some("ok"));
    Ok(())
}

fn judge_environment(saw: &Value, facts: &mut Facts) {
    let environment = saw.get("environment").map(Value::to_string).unwrap_or_default();
    let words = [
        "\"NEWROOT=/\"",
        "\"wwinit_uri=http://10.77.0.1:",
        "/provision/52:54:00:77:00:",
        "\"RSINIT_MAC=52:54:00:77:00:",
        "\"RSINIT_SERVER=http://10.77.0.1:",
        "\"RSINIT_SECRETS=/secrets\"",
        "\"RSINIT_TIMEOUT=300\"",
    ];
    facts.contains("it is told about the boot", &environment, &words);
    facts.holds("it is told no asset key", !environment.contains("assetkey"), &environment);
}

fn folder(bench: &Bench, facts: &mut Facts) -> Result<()> {
    let boot = boot(bench, "/fails.d", &[], facts)?;
    let order = boot.answer()?.text(ORDER);
    facts.equal("they run by name until one fails", order, "10-first\n30-fails\n");
    told(&boot, &["/fails.d/30-fails", "status 98"], facts)?;
    let console = boot.lines().join("\n");
    let shown = ["rsinit: preboot: | 30-fails fails, as its name says"];
    facts.contains("its last lines are on the console", &console, &shown);
    let kernel = boot.answer()?.dmesg.join("\n");
    facts.contains("the kernel's log has the failure", &kernel, &["30-fails ended"]);
    facts.holds("and no output of a hook", !kernel.contains("as its name says"), &kernel);

    let boot = self::boot(bench, "/hooks.d", &[], facts)?;
    let order = boot.answer()?.text(ORDER);
    facts.equal("all of a folder run", order, "10-first\n20-second\n");
    let skipped = ["skipping /hooks.d/.hidden: hidden", "skipping /hooks.d/README: not an exec"];
    facts.contains("what is skipped is said", &boot.lines().join("\n"), &skipped);
    Ok(())
}

/// The report and the console agree that the hook failed.
pub(super) fn told(boot: &Boot, words: &[&str], facts: &mut Facts) -> Result<()> {
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

//! An NFS server that stops answering, or says no, while the hook reads: how long that can hold a
//! boot, and how it ends.

use anyhow::Result;

use super::hooks::{judge_traces, told};
use super::secrets::{elsewhere, hears, serve};
use super::{Bench, Case, Size};
use crate::boot::Boot;
use crate::facts::Facts;
use crate::network::Number;
use crate::nfs::{Export, Nfs};
use crate::node::gave_up;
use crate::tool::{command, run};

/// A server that hangs in the middle.
pub const FROZEN: Case = Case {
    name: "secrets-frozen",
    about: "an NFS server that hangs while the hook reads, its connection alive: ended at the hook's limit, no trace",
    size: Size::Tiny,
    run: frozen,
};

/// A server that is killed in the middle.
pub const STOPPED: Case = Case {
    name: "secrets-stopped",
    about: "an NFS server that is killed while the hook reads: the hook gets an error, no trace",
    size: Size::Tiny,
    run: stopped,
};

/// A server whose machine is gone in the middle.
pub const SILENT: Case = Case {
    name: "secrets-silent",
    about: "no packet comes from the NFS server's machine any more while the hook reads: an error, no trace",
    size: Size::Tiny,
    run: silent,
};

/// A server that exports to somebody else in the middle.
pub const WITHDRAWN: Case = Case {
    name: "secrets-withdrawn",
    about: "the export is taken back while the hook reads: the hook gets an error, no trace",
    size: Size::Tiny,
    run: withdrawn,
};

/// What `rsinit.preboot.timeout=` gives the hook, in seconds.
const LIMIT: &str = "20";
/// How long taking away the secrets of a dead server may take: the limits of
/// `plan/secrets.rs` together, doubled for a slow machine.
const GONE_WITHIN_MS: f64 = 60_000.0;
/// How long a hook may wait for a server that is gone; the limit of its own is longer.
const HELD_WITHIN_MS: f64 = 200_000.0;

fn frozen(bench: &Bench, facts: &mut Facts) -> Result<()> {
    let (mut node, port) = elsewhere(bench, "/hook-reader")?;
    node.argue("rsinit.preboot.timeout", LIMIT);
    let server = serve(bench, port, Export::Everybody)?;
    let mut power = node.switch_on(|_| {})?;
    let reads = hears(&mut power, "hook-reader: reads")?;
    facts.holds("the hook reads", reads, power.running.console.text());
    server.freeze()?;
    let ending = power.running.wait(node.limit, gave_up)?;
    let boot = node.finish(power, ending)?;
    judge_traces(&boot, facts)?;
    told(&boot, &["/hook-reader was still running after 20 s, ended"], facts)?;
    let meanwhile = ["rsinit: preboot: /hook-reader still runs after 15 s"];
    facts.contains("and said before that it runs", &boot.lines().join("\n"), &meanwhile);
    judge_time(&boot, facts)
}

fn stopped(bench: &Bench, facts: &mut Facts) -> Result<()> {
    broken(bench, &["timed out", "I/O error"], facts, |server, _, _| {
        drop(server);
        Ok(())
    })
}

fn silent(bench: &Bench, facts: &mut Facts) -> Result<()> {
    broken(bench, &["timed out", "I/O error"], facts, |server, node, _| {
        Ok((Silence::of(node)?, server))
    })
}

fn withdrawn(bench: &Bench, facts: &mut Facts) -> Result<()> {
    let causes = ["Stale file handle", "Permission denied", "I/O error"];
    broken(bench, &causes, facts, |server, _, port| {
        drop(server);
        serve(bench, port, Export::SomebodyElse)
    })
}

/// A hook that reads while `harm` comes over its server; what that returns lives until the node
/// is up. The hook must see one of `causes`, and the secrets go as always.
fn broken<T>(
    bench: &Bench,
    causes: &[&str],
    facts: &mut Facts,
    harm: impl FnOnce(Nfs, Number, u16) -> Result<T>,
) -> Result<()> {
    let (mut node, port) = elsewhere(bench, "/hook-reader")?;
    let server = serve(bench, port, Export::Everybody)?;
    let mut power = node.switch_on(|_| {})?;
    let reads = hears(&mut power, "hook-reader: reads")?;
    facts.holds("the hook reads", reads, power.running.console.text());
    let harmed = harm(server, node.number, port)?;
    let ending = power.running.wait(node.limit, gave_up)?;
    let boot = node.finish(power, ending)?;
    drop(harmed);
    judge_traces(&boot, facts)?;
    told(&boot, &["/hook-reader ended with exit status 98"], facts)?;
    let log = boot.answer()?.text("/var/log/dracut-preboot.log");
    let known = causes.iter().any(|cause| log.contains(cause));
    facts.holds("the hook was told why", known, log);
    took_at_most(&boot, "preboot", HELD_WITHIN_MS, facts)?;
    judge_time(&boot, facts)
}

/// Nothing goes to a node any more, as long as this lives.
struct Silence(String);

impl Silence {
    fn of(node: Number) -> Result<Self> {
        let address = node.ip().to_string();
        route("add", &address)?;
        Ok(Self(address))
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        if let Err(cause) = route("del", &self.0) {
            eprintln!("{cause:#}");
        }
    }
}

fn route(verb: &str, address: &str) -> Result<()> {
    run(command("ip").args(["route", verb, "blackhole", address])).map(drop)
}

fn judge_time(boot: &Boot, facts: &mut Facts) -> Result<()> {
    took_at_most(boot, "secrets-gone", GONE_WITHIN_MS, facts)
}

fn took_at_most(boot: &Boot, name: &str, limit_ms: f64, facts: &mut Facts) -> Result<()> {
    let stages = boot.answer()?.stages();
    let took = stages.iter().find(|stage| stage.name == name).map(|stage| stage.took_ms);
    let bounded = took.is_some_and(|took| took <= limit_ms);
    facts.holds(&format!("{name} takes bounded time"), bounded, format!("{took:?} ms"));
    Ok(())
}

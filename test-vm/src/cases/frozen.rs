//! An NFS server that stops answering: how long it can hold a boot, and how that ends.

use anyhow::Result;

use super::hooks::{judge_traces, told};
use super::secrets::{elsewhere, hears, serve};
use super::{Bench, Case, Size};
use crate::boot::Boot;
use crate::facts::Facts;
use crate::nfs::Export;
use crate::node::gave_up;

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

/// What `rsinit.preboot.timeout=` gives the hook, in seconds.
const LIMIT: &str = "20";
/// How long taking away the secrets of a dead server may take: the limits of
/// `plan/secrets.rs` together, doubled for a slow machine.
const GONE_WITHIN_MS: f64 = 60_000.0;

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
    judge_time(&boot, facts)
}

fn stopped(bench: &Bench, facts: &mut Facts) -> Result<()> {
    let (mut node, port) = elsewhere(bench, "/hook-reader")?;
    let server = serve(bench, port, Export::Everybody)?;
    let mut power = node.switch_on(|_| {})?;
    let reads = hears(&mut power, "hook-reader: reads")?;
    facts.holds("the hook reads", reads, power.running.console.text());
    drop(server);
    let ending = power.running.wait(node.limit, gave_up)?;
    let boot = node.finish(power, ending)?;
    judge_traces(&boot, facts)?;
    told(&boot, &["/hook-reader ended with exit status 98"], facts)?;
    let log = boot.answer()?.text("/var/log/dracut-preboot.log");
    let known = ["timed out", "I/O error"].iter().any(|cause| log.contains(cause));
    facts.holds("the hook was told why", known, log);
    judge_time(&boot, facts)
}

fn judge_time(boot: &Boot, facts: &mut Facts) -> Result<()> {
    let stages = boot.answer()?.stages();
    let gone = stages.iter().find(|stage| stage.name == "secrets-gone");
    let took = gone.map(|stage| stage.took_ms);
    let bounded = took.is_some_and(|took| took <= GONE_WITHIN_MS);
    facts.holds("they are gone in bounded time", bounded, format!("{took:?} ms"));
    Ok(())
}

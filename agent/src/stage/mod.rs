//! The boot, from top to bottom.
//!
//! [`run`] is what the dracut hook calls; [`boot`] is the order of the stages. Each
//! stage is one file beside this one. What they decide by is planned in
//! [`crate::plan`], and what they do to the machine goes through [`crate::sys`].

pub mod check;
pub mod chroot;
pub mod client;
pub mod context;
pub mod disks;
pub mod failure;
pub mod fetch;
pub mod handover;
pub mod identity;
pub mod image;
pub mod killed;
pub mod mkdisk;
pub mod mkfs;
pub mod network;
pub mod overlay;
pub mod preboot;
pub mod progress;
pub mod record;
pub mod root;
pub mod secrets;
pub mod source;
pub mod status;
pub mod tell;
pub mod tries;
pub mod unpack;
pub mod wwinit_d;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::channel;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, anyhow};

use crate::config::cmdline::{Complaint, Params, PrebootOnFail};
use crate::layout::Layout;
use crate::log;
use crate::plan::boot::{BootPlan, DEADLINE, plan};
use crate::plan::fetch::What;
use crate::report::{Outcome, Report};
use crate::sys::Kernel;
use context::{Context, Done};
use network::Reached;
use secrets::Secrets;
use source::Source;

/// Time beyond the deadline after which a boot that still runs is stuck.
const GRACE: Duration = Duration::from_secs(60);

/// Boots the node, writes and sends the report, and, where the boot failed, does what the
/// operator wants done with a node that has no root. Where the boot before this one was killed,
/// that is the one that failed.
///
/// # Errors
/// Why the node has no root; `/sysroot` is empty then.
pub fn run(kernel: &dyn Kernel, layout: &Layout, cmdline: &str) -> anyhow::Result<()> {
    run_with(kernel, layout, cmdline, GRACE)
}

/// The same, where a boot is stuck that runs for `grace` beyond its deadline.
///
/// # Errors
/// As [`run`].
pub fn run_with(
    kernel: &dyn Kernel,
    layout: &Layout,
    cmdline: &str,
    grace: Duration,
) -> anyhow::Result<()> {
    let (params, complaints) = Params::parse(cmdline);
    let limit = params.deadline.unwrap_or(DEADLINE);
    let report = Mutex::new(Report::new(kernel.release()));
    let ctx = Context::new(kernel, layout, limit, &report).recorded();
    let before = record::read(layout).filter(|before| before.outcome == Outcome::Running);
    let (over, when_over) = channel();
    let end = |error: Option<&anyhow::Error>| conclude(kernel, layout, &params, &report, error);
    let result = thread::scope(|scope| {
        let (ctx, end) = (&ctx, &end);
        scope.spawn(move || {
            failure::watch(limit + grace, &when_over, |stuck| {
                end(Some(stuck));
                killed::clean_up(ctx);
            });
        });
        let result = catch_unwind(AssertUnwindSafe(|| match &before {
            Some(before) => Err(killed::conclude(ctx, before)),
            None => boot(ctx, &params, &complaints),
        }));
        drop(over);
        result.unwrap_or_else(|panic| Err(anyhow!("panicked: {}", context::panic_text(&*panic))))
    });
    if result.is_err() {
        root::discard(&ctx);
    }
    end(result.as_ref().err());
    result
}

/// The end of every boot: the report is written and sent, and a failure is said and acted upon.
fn conclude(
    kernel: &dyn Kernel,
    layout: &Layout,
    params: &Params,
    report: &Mutex<Report>,
    error: Option<&anyhow::Error>,
) {
    let report = {
        let mut report = report.lock().unwrap_or_else(PoisonError::into_inner);
        report.next_step = error.map(|error| failure::advice(error).to_owned());
        report.finish(error.map(|error| format!("{error:#}")));
        report.clone()
    };
    if let Err(error) = record::write(layout, &report) {
        log::line("report", format_args!("{error:#}"));
    }
    if let Some(to) = &params.report_to {
        tell::tell(layout, to, &report);
    }
    match error {
        Some(error) => failure::end(kernel, layout, params, error),
        // Without EFI nothing was counted either.
        None => _ = tries::forget(kernel, layout),
    }
}

/// The order of the boot.
fn boot(ctx: &Context<'_>, params: &Params, complaints: &[Complaint]) -> anyhow::Result<()> {
    let plan = ctx.step("arguments", "reading the kernel command line", || {
        read_arguments(ctx, params, complaints)
    })?;
    let server = &plan.server;
    let reached = ctx.step(network::NAME, &format!("waiting for a route to {server}"), || {
        network::wait(ctx, server, &plan.mac)
    })?;
    ctx.record(|report| {
        report.node.mac = Some(reached.mac.clone());
        report.node.address = Some(reached.local.to_string());
    });
    let source = Source::named(ctx, &plan, &reached.mac, &ctx.layout.certificate());
    let source = source.context("arguments")?;

    let system = ctx.step("system-overlay", &format!("fetching from {server}"), || {
        overlay::fetch(ctx, &source, What::System)
    })?;
    ctx.record(|report| report.node.hostname = identity::hostname(&system));
    let scripts = wwinit_d::scripts(&system).context(wwinit_d::NAME)?;
    if !scripts.is_empty() {
        let what = format!("running {} scripts of the system overlay", scripts.len());
        ctx.step(wwinit_d::NAME, &what, || wwinit_d::run(ctx, &system, &scripts))?;
    }
    ctx.step(root::NAME, "mounting the root", || {
        let raw = image::raw_size(ctx, &source);
        let size = root::size(ctx, plan.tmpfs_size.as_deref(), raw)?;
        root::mount(ctx, size.as_deref())
    })?;

    // The disks are made ready beside the image, where the overlay says how.
    let early = mkdisk::in_overlay(&system).context(mkdisk::NAME)?;
    let (image, disks) = thread::scope(|scope| {
        let disks = early.as_ref().map(|from| scope.spawn(|| mkdisk::prepare(ctx, &plan, from)));
        let image = ctx.step(image::NAME, &format!("fetching from {server}"), || {
            image::fetch(ctx, &source, plan.sha256)
        });
        (image, disks.map(thread::ScopedJoinHandle::join))
    });
    image?;
    ctx.step("system-overlay", "unpacking over the image", || {
        let applied = overlay::apply(ctx, "system-overlay", &system)?;
        wwinit_d::carry_over(ctx)?;
        Ok(applied)
    })?;
    let disks = match disks {
        Some(prepared) => prepared.map_err(|panic| anyhow!(context::panic_text(&*panic)))?,
        None => mkdisk::prepare(ctx, &plan, &disks::read_sources(&ctx.layout.sysroot)),
    };

    let source = source.for_runtime(&system, server).context("runtime-overlay")?;
    let what = format!("fetching from {}", source.provision.base);
    let runtime =
        ctx.step("runtime-overlay", &what, || overlay::fetch(ctx, &source, What::Runtime))?;
    ctx.step("runtime-overlay", "unpacking over the image", || {
        overlay::apply(ctx, "runtime-overlay", &runtime)
    })?;

    ctx.record(|report| {
        let name = &mut report.node.hostname;
        *name = name.take().or_else(|| identity::hostname_in_root(ctx));
    });
    run_hook(ctx, &plan, &reached)?;
    mkdisk::finish(ctx, disks)?;
    client::install(ctx, &plan);
    ctx.step(handover::NAME, &format!("checking {}", plan.init), || {
        handover::check(ctx, &plan.init)
    })
}

/// The kernel arguments, resolved; what is wrong with one is said, and stops the
/// boot where it decides what the root is.
fn read_arguments(
    ctx: &Context<'_>,
    params: &Params,
    complaints: &[Complaint],
) -> anyhow::Result<Done<BootPlan>> {
    for complaint in complaints {
        if complaint.fatal {
            return Err(anyhow!("{complaint}"));
        }
        ctx.warn("arguments", &complaint.to_string());
    }
    let plan = plan(params)?;
    ctx.record(|report| report.node.server = Some(plan.server.to_string()));
    let note = format!("booting from {}", plan.server);
    Ok(Done::new(plan, note))
}

/// The preboot hook, with the secrets mounted around it: they are gone before
/// anything else happens, whatever became of the hook.
fn run_hook(ctx: &Context<'_>, plan: &BootPlan, reached: &Reached) -> anyhow::Result<()> {
    let tolerate = |error: anyhow::Error| match plan.preboot_onfail {
        PrebootOnFail::Warn => {
            ctx.warn_failed(&error);
            Ok(())
        }
        PrebootOnFail::Fail => Err(error),
    };
    let hooks = match preboot::choose(ctx, plan) {
        Ok(hooks) if hooks.run.is_empty() => return Ok(()),
        Ok(hooks) => hooks,
        Err(error) => return tolerate(error.context(preboot::NAME)),
    };
    let mut mounted = None;
    if let Some(source) = &plan.secrets {
        let what = format!("mounting {}:{}", source.host, source.path);
        match ctx.step(secrets::NAME, &what, || secrets::mount(ctx, source, reached)) {
            Ok(secrets) => mounted = Some(secrets),
            Err(error) => return tolerate(error),
        }
    }
    let words = mounted.as_ref().map(Secrets::words);
    let ran = ctx.step(preboot::NAME, &format!("running {}", hooks.name()), || {
        preboot::run(ctx, plan, reached, &hooks, words)
    });
    if let Some(secrets) = mounted {
        ctx.step(secrets::GONE, "unmounting the secrets", || secrets.close())?;
    }
    ran.or_else(tolerate)
}

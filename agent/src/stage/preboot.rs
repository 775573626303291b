//! The preboot hook: a program of the site, run in the new root.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use anyhow::{Context as _, bail};

use super::chroot::furnish;
use super::context::{Context, Done};
use crate::config::buildinfo::parse_playbook;
use crate::log::open_private_log;
use crate::plan::boot::BootPlan;
use crate::plan::preboot::{Hook, LOG, environment, plan};
use crate::report::{HookReport, Outcome};
use crate::sys::process::{Exit, RootCommand};
use crate::sys::root::resolve;

/// The stage's name.
pub const NAME: &str = "preboot";

/// Which hook runs, from the kernel arguments and the image's `/.buildinfo`.
///
/// # Errors
/// A `/.buildinfo` that cannot be read, or names no playbook where one was asked for.
pub fn choose(ctx: &Context<'_>, boot: &BootPlan) -> anyhow::Result<Option<Hook>> {
    let path = resolve(&ctx.layout.sysroot, Path::new(".buildinfo"))?;
    let text = match fs::read(&path) {
        Ok(text) => String::from_utf8_lossy(&text).into_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error).with_context(|| format!("reading {}", path.display())),
    };
    Ok(plan(&boot.preboot, parse_playbook(&text))?)
}

/// Runs the hook and ends everything that it left behind.
///
/// # Errors
/// A hook that cannot be started, does not end in time, or ends with another
/// status than 0; and whatever of its surroundings could not be taken away.
pub fn run(ctx: &Context<'_>, boot: &BootPlan, hook: &Hook) -> anyhow::Result<Done<()>> {
    let sysroot = &ctx.layout.sysroot;
    let log = open_log(sysroot)?;
    let furnished = furnish(ctx)?;
    let command = RootCommand {
        root: sysroot.clone(),
        program: hook.program.clone(),
        args: hook.args.clone(),
        env: environment(&boot.server.to_string()),
        cwd: hook.cwd.clone(),
        timeout: boot.preboot_timeout.min(ctx.time_left()),
    };
    let exit = ctx.kernel.run_in_root(&command, log);
    let left = ctx
        .kernel
        .end_all_in_root(&ctx.layout.proc, sysroot)
        .with_context(|| format!("ending what {} left running", hook.name))?;
    furnished.close()?;
    if left > 0 {
        ctx.warn(NAME, &format!("{} left {left} processes running; ended", hook.name));
    }
    ctx.record(|report| report.hooks.push(hook_report(hook, &exit)));
    let failed = match exit.with_context(|| format!("starting {} in the image", hook.program))? {
        Exit::Status(0) => return Ok(Done::new((), format!("{} passed", hook.name))),
        Exit::Status(status) => format!("ended with exit status {status}"),
        Exit::Signal(signal) => format!("was ended by signal {signal}"),
        Exit::TimedOut => format!("was still running after {} s, ended", command.timeout.as_secs()),
    };
    bail!("{} {failed}; its output is in {LOG}", hook.name)
}

fn hook_report(hook: &Hook, exit: &io::Result<Exit>) -> HookReport {
    let status = match exit {
        Ok(Exit::Status(status)) => Some(*status),
        _ => None,
    };
    let outcome = if status == Some(0) { Outcome::Ok } else { Outcome::Failed };
    HookReport { name: hook.name.clone(), outcome, status }
}

/// Only root reads the log: a hook may say what it should not.
fn open_log(sysroot: &Path) -> anyhow::Result<File> {
    open_private_log(&resolve(sysroot, Path::new(LOG))?)
}

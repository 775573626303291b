//! The preboot hook: programs of the site, run in the new root.

mod journal;

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use super::chroot::furnish;
use super::context::{Context, Done};
use super::network::Reached;
use crate::config::buildinfo::parse_playbook;
use crate::config::cmdline::PrebootParam;
use crate::config::secret_words::SecretWords;
use crate::log::{self, open_private_log};
use crate::plan::boot::BootPlan;
use crate::plan::preboot::{Hook, Hooks, LOG, Listed, Told, environment, plan};
use crate::report::{HookReport, Outcome};
use crate::sys::holders::Sought;
use crate::sys::process::{Exit, Heard, RootCommand};
use crate::sys::root::resolve;
use journal::Journal;

/// The stage's name.
pub const NAME: &str = "preboot";

/// Which hooks run, from the kernel arguments and the image's `/.buildinfo`.
///
/// # Errors
/// What cannot be read of the image, or has nothing to run where that was asked for.
pub fn choose(ctx: &Context<'_>, boot: &BootPlan) -> anyhow::Result<Hooks> {
    let path = resolve(&ctx.layout.sysroot, Path::new(".buildinfo"))?;
    let text = match fs::read(&path) {
        Ok(text) => String::from_utf8_lossy(&text).into_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error).with_context(|| format!("reading {}", path.display())),
    };
    let folder = match &boot.preboot {
        PrebootParam::Executable(path) => list(&ctx.layout.sysroot, Path::new(path))?,
        _ => None,
    };
    Ok(plan(&boot.preboot, parse_playbook(&text), folder.as_deref())?)
}

/// What lies in the folder `path` of the root; none where it is no folder.
fn list(sysroot: &Path, path: &Path) -> anyhow::Result<Option<Vec<Listed>>> {
    let folder = resolve(sysroot, path)?;
    if !folder.is_dir() {
        return Ok(None);
    }
    let reading = || format!("reading {}", folder.display());
    let mut listed = Vec::new();
    for entry in fs::read_dir(&folder).with_context(reading)? {
        let name = entry.with_context(reading)?.file_name();
        let file = resolve(sysroot, &path.join(&name))?;
        let executable = fs::symlink_metadata(&file)
            .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0);
        listed.push(Listed { name: name.to_string_lossy().into_owned(), executable });
    }
    Ok(Some(listed))
}

/// Runs the hooks one by one and ends everything that they left behind.
///
/// # Errors
/// The first hook that cannot be started, does not end in time, or ends with another
/// status than 0; and whatever of their surroundings could not be taken away.
pub fn run(
    ctx: &Context<'_>,
    boot: &BootPlan,
    reached: &Reached,
    hooks: &Hooks,
    words: Option<&SecretWords>,
) -> anyhow::Result<Done<()>> {
    for skipped in &hooks.skipped {
        log::line(NAME, format_args!("skipping {skipped}"));
    }
    let sysroot = &ctx.layout.sysroot;
    // Only root reads the log: a hook may say what it should not.
    let file = open_private_log(&resolve(sysroot, Path::new(LOG))?)?;
    let mut journal = Journal::new(file, words);
    let furnished = furnish(ctx)?;
    let timeout = boot.preboot_timeout.min(ctx.time_left());
    let told = Told {
        server: boot.server.to_string(),
        mac: reached.mac.clone(),
        secrets: words.is_some(),
        timeout,
    };
    let ran = run_all(ctx, hooks, &told, &mut journal);
    let sought = Sought { root: Some(sysroot.clone()), ..Sought::default() };
    let left = ctx
        .kernel
        .end_all(&ctx.layout.proc, &sought)
        .with_context(|| format!("ending what {} left running", hooks.name()))?;
    furnished.close()?;
    journal.close();
    if !left.is_empty() {
        let names = left.join(", ");
        ctx.warn(NAME, &format!("{} left processes running, ended now: {names}", hooks.name()));
    }
    if let Some(complaint) = journal.complaint() {
        ctx.warn(NAME, &complaint);
    }
    if ran.is_err() {
        journal.show_end();
    }
    ran.map(|()| Done::new((), format!("{} passed", hooks.name())))
}

/// One after the other, within the time that they have together.
fn run_all(
    ctx: &Context<'_>,
    hooks: &Hooks,
    told: &Told,
    journal: &mut Journal<'_>,
) -> anyhow::Result<()> {
    let until = Instant::now() + told.timeout;
    for hook in &hooks.run {
        if hooks.run.len() > 1 {
            log::line(NAME, format_args!("running {}", hook.name));
        }
        let left = until.saturating_duration_since(Instant::now());
        run_one(ctx, hook, told, left, journal)?;
    }
    Ok(())
}

fn run_one(
    ctx: &Context<'_>,
    hook: &Hook,
    told: &Told,
    timeout: Duration,
    journal: &mut Journal<'_>,
) -> anyhow::Result<()> {
    let command = RootCommand {
        root: ctx.layout.sysroot.clone(),
        program: hook.program.clone(),
        args: hook.args.clone(),
        env: environment(told),
        cwd: hook.cwd.clone(),
        timeout,
    };
    let exit = ctx.kernel.run_in_root(&command, &mut |heard| match heard {
        Heard::Output(bytes) => journal.take(bytes),
        Heard::StillRuns(time) => {
            let doing = journal.task().map(|task| format!(": {task}")).unwrap_or_default();
            let seconds = time.as_secs();
            log::line(NAME, format_args!("{} still runs after {seconds} s{doing}", hook.name));
        }
    });
    ctx.record(|report| report.hooks.push(hook_report(hook, &exit)));
    let failed = match exit.with_context(|| format!("starting {} in the image", hook.program))? {
        Exit::Status(0) => return Ok(()),
        Exit::Status(status) => format!("ended with exit status {status}"),
        Exit::Signal(signal) => format!("was ended by signal {signal}"),
        Exit::TimedOut => {
            format!("was still running after {} s, ended", told.timeout.as_secs())
        }
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

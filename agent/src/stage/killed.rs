//! A boot that was killed: what it left is taken away, and its end is told as if it had failed.
//!
//! The kernel ends a process for want of memory, and a hook may end any. Such a boot says nothing
//! any more; what it had mounted is there, and so is what its hook had started. Its report, which
//! is still that of a running boot, gives it away to the next `rsinit boot`.

use std::fs;

use anyhow::Error;

use super::context::Context;
use super::{root, secrets};
use crate::log;
use crate::plan::failure::parse_oom_kills;
use crate::report::{Outcome, Report};

/// Why it failed.
#[derive(Debug, thiserror::Error)]
#[error("the agent was killed in this stage{}", of_memory(*.oom_kills))]
pub struct Killed {
    /// How many processes the kernel has ended for want of memory since it started.
    oom_kills: u64,
}

fn of_memory(oom_kills: u64) -> String {
    match oom_kills {
        0 => String::new(),
        1 => ", and the kernel has ended 1 process for want of memory".to_owned(),
        _ => format!(", and the kernel has ended {oom_kills} processes for want of memory"),
    }
}

/// Takes away the secrets that the boot of the report `before` had mounted, and whoever holds
/// them; its report is this boot's now. Why it failed: it was killed, or they are still there.
pub fn conclude(ctx: &Context<'_>, before: &Report) -> Error {
    let oom_kills = fs::read_to_string(ctx.layout.vmstat()).ok();
    let oom_kills = oom_kills.as_deref().and_then(parse_oom_kills).unwrap_or(0);
    let killed = Error::new(Killed { oom_kills }).context(stage(before));
    ctx.take_over(before, &format!("{killed:#}"));
    let what = "a boot was killed: taking away what it left";
    match ctx.step(secrets::GONE, what, || secrets::take_away(ctx)) {
        Ok(()) => killed,
        Err(error) => {
            ctx.warn_failed(&killed);
            error
        }
    }
}

/// The same for a boot that is stuck: where a shell is opened, it is one without secrets.
pub fn clean_up(ctx: &Context<'_>) {
    if let Err(error) = secrets::take_away(ctx) {
        log::line(secrets::GONE, format_args!("{error:#}"));
    }
    root::discard(ctx);
}

/// The last stage that was not over, or the last one.
fn stage(report: &Report) -> String {
    let mut stages = report.stages.iter().rev();
    let running = stages.clone().find(|stage| stage.outcome == Outcome::Running);
    running.or(stages.next()).map_or("boot", |stage| stage.name.as_str()).to_owned()
}

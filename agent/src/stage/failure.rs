//! The end of a boot that failed: what is said, and what the operator wants done with the node.

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use rustix::io::Errno;

use super::fetch::net_error;
use super::killed::Killed;
use super::tries;
use crate::config::cmdline::{OnFail, Params};
use crate::layout::Layout;
use crate::log;
use crate::net::Cause;
use crate::plan::boot::{FailurePlan, plan_failure};
use crate::plan::failure::{Kind, commands, next_step, wait};
use crate::sys::Kernel;

/// The stage's name.
pub const NAME: &str = "failed";

/// What is to be done about `error`, in one line.
pub fn advice(error: &anyhow::Error) -> &'static str {
    next_step(&stage(error), kind(error))
}

/// The outermost context of an error is its stage.
fn stage(error: &anyhow::Error) -> String {
    error.to_string()
}

fn kind(error: &anyhow::Error) -> Kind {
    if error.chain().any(|cause| cause.is::<Killed>()) {
        return Kind::Killed;
    }
    if let Some(error) = net_error(error) {
        return match &error.cause {
            Cause::Connect(_) | Cause::Timeout { .. } | Cause::Short { .. } | Cause::Broken(_) => {
                Kind::Silent
            }
            Cause::Status { code, .. } => Kind::Status(*code),
            Cause::Protocol(_) => Kind::Foreign,
            Cause::Changed(_) | Cause::TooLong(_) | Cause::Cancelled => Kind::Other,
        };
    }
    let full = [Errno::NOSPC, Errno::DQUOT, Errno::NOMEM];
    let errnos = error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>());
    match errnos.filter_map(Errno::from_io_error).any(|errno| full.contains(&errno)) {
        true => Kind::Full,
        false => Kind::Other,
    }
}

/// Says what will happen, what to do, and, as the console's last line, why it failed. Then
/// does it; comes back where a shell was asked for, or the kernel refused.
pub fn end(kernel: &dyn Kernel, layout: &Layout, params: &Params, error: &anyhow::Error) {
    let mut plan = plan_failure(params);
    let mut tried = String::new();
    if plan.action == OnFail::Reboot {
        let counted = match params.tries {
            Some(tries) => Ok(tries),
            None => tries::count(kernel, layout),
        };
        match counted {
            Ok(tries) => {
                plan.wait = wait(plan.wait, tries);
                tried = format!(", after try {tries} in a row");
            }
            Err(error) => {
                log::line(NAME, format_args!("tries in a row are not counted: {error:#}"));
            }
        }
    }
    log::failure(format_args!("{NAME}: next step: {}", advice(error)));
    if plan.action == OnFail::Shell {
        let commands = commands(&stage(error)).join("; ");
        log::failure(format_args!("{NAME}: worth running in the shell: {commands}"));
    }
    announce(plan, &tried);
    log::failure(format_args!("{error:#}"));
    act(kernel, plan);
}

fn announce(plan: FailurePlan, tried: &str) {
    let then = match plan.action {
        OnFail::Reboot => "rebooting",
        OnFail::Poweroff => "powering off",
        OnFail::Shell => "a shell",
    };
    let when = match plan.wait {
        Duration::ZERO => "now".to_owned(),
        wait => format!("in {} s", wait.as_secs()),
    };
    log::failure(format_args!("{NAME}: no root to hand over; {then} {when}{tried}, because:"));
}

fn act(kernel: &dyn Kernel, plan: FailurePlan) {
    std::thread::sleep(plan.wait);
    let done = match plan.action {
        OnFail::Reboot => kernel.reboot(),
        OnFail::Poweroff => kernel.power_off(),
        OnFail::Shell => return,
    };
    if let Err(error) = done {
        log::line(NAME, format_args!("reboot(2): {error}"));
    }
}

/// Waits for the end of the boot. One that is stuck where no time limit reaches it, for
/// example in a system call on a disk that does not answer, is ended by `conclude` after
/// `limit`, and this process with it.
pub fn watch(limit: Duration, over: &Receiver<()>, conclude: impl FnOnce(&anyhow::Error)) {
    if let Err(RecvTimeoutError::Timeout) = over.recv_timeout(limit) {
        let stuck = "the deadline is long over and the boot still hangs in the stage above";
        conclude(&anyhow::anyhow!(stuck).context(NAME));
        std::process::exit(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net;

    fn failed(stage: &'static str, cause: Cause) -> anyhow::Error {
        let url = "http://h/provision/m".to_owned();
        let error = net::Error { url, cause, tries: 3, out_of_time: false };
        // As it comes through a reader: inside an io::Error.
        anyhow::Error::new(io::Error::from(error)).context("reading").context(stage)
    }

    #[test]
    fn the_next_step_follows_from_the_typed_cause_however_deep_it_lies() {
        let status = |code| Cause::Status { code, meaning: None };
        assert!(advice(&failed("image", status(404))).contains("wwctl image build"));
        assert!(advice(&failed("runtime-overlay", status(403))).contains("certificate"));
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        assert!(advice(&failed("image", Cause::Connect(refused))).contains("warewulfd"));
        let full = anyhow::Error::new(io::Error::from_raw_os_error(28)).context("writing");
        assert!(advice(&full.context("image")).contains("rsinit.tmpfs.size="));
        let damaged = anyhow::anyhow!("corrupt deflate stream").context("image");
        assert!(advice(&damaged).contains("--force"));
        let hook = anyhow::anyhow!("exit status 1").context("preboot");
        assert!(advice(&hook).contains("/var/log/dracut-preboot.log"));
    }
}

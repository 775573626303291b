//! The end of a boot that failed: what the operator wants done with the node.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use crate::config::cmdline::OnFail;
use crate::log;
use crate::plan::boot::FailurePlan;
use crate::sys::Kernel;

/// The stage's name.
pub const NAME: &str = "failed";

/// Says what will happen. The cause is said after it, as the console's last line.
pub fn announce(plan: FailurePlan) {
    let then = match plan.action {
        OnFail::Reboot => "rebooting",
        OnFail::Poweroff => "powering off",
        OnFail::Shell => "a shell",
    };
    let when = match plan.wait {
        Duration::ZERO => "now".to_owned(),
        wait => format!("in {} s", wait.as_secs()),
    };
    log::failure(format_args!("{NAME}: no root to hand over; {then} {when}, because:"));
}

/// Does it; comes back where a shell was asked for, or the kernel refused.
pub fn act(kernel: &dyn Kernel, plan: FailurePlan) {
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

/// Ends a boot that is stuck where no time limit reaches it, for example in a
/// system call on a disk that does not answer: `limit` after the start, unless
/// `over` hears before that the boot has ended.
pub fn watch(kernel: &dyn Kernel, plan: FailurePlan, limit: Duration, over: &Receiver<()>) {
    if let Err(RecvTimeoutError::Timeout) = over.recv_timeout(limit) {
        announce(plan);
        let stuck = "the deadline is long over and the boot still hangs in the stage above";
        log::failure(format_args!("{NAME}: {stuck}"));
        act(kernel, plan);
        std::process::exit(1);
    }
}

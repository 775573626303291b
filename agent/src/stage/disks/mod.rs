//! Local disks: inventory, arrays, file systems, mounts, moved directories.
//!
//! [`prepare`] runs beside the download of the image and touches no root; [`mount`]
//! and [`move_dirs`] follow once the image is there. None of them fails the boot: a
//! range that could not be made is left out and said, and [`Prepared::failure`] tells
//! whether the node must not start without it.

mod apply;
mod array;
mod cli;
mod contents;
mod copy;
mod device;
mod discard;
mod driver;
mod faulty;
mod fstab;
mod inventory;
mod moving;
mod nvme;
mod place;
mod ranges;
mod record;
mod settings;
mod settle;
mod status;
mod swap;

use std::time::{Duration, Instant};

use crate::layout::Layout;
use crate::plan::disks::inventory::Inventory;
use crate::plan::disks::{Brake, DiskPlan, Request, Step, plan_disks};
use crate::sys::Kernel;

pub use cli::{run_command, run_mkdisk};
pub use copy::{Copied, copy_tree};
pub(super) use inventory::read_mounts;
pub use record::{Outcome, Prepared};
pub(super) use settings::{CONF, PROFILES};
pub use settings::{Sources, read_sources};
pub(super) use status::read_status;

/// The longest wait for disks that have not announced themselves.
const SETTLE_DEADLINE: Duration = Duration::from_secs(10);

/// One line a call, without prefix.
pub type Log<'a> = &'a mut (dyn FnMut(&str) + Send);

/// Plans the disks and makes what the plan says; touches nothing outside of them.
pub fn prepare(
    kernel: &dyn Kernel,
    layout: &Layout,
    sources: &Sources,
    brake: Brake,
    log: Log<'_>,
) -> Prepared {
    prepare_with(kernel, layout, sources, Order { brake, wipe: None }, log)
}

/// What the operator says beside the settings.
#[derive(Debug, Clone, Copy, Default)]
struct Order {
    brake: Brake,
    /// In place of `WIPE_ON_BOOT`: `mkdisk -r` and `mkdisk -c`.
    wipe: Option<bool>,
}

fn prepare_with(
    kernel: &dyn Kernel,
    layout: &Layout,
    sources: &Sources,
    order: Order,
    log: Log<'_>,
) -> Prepared {
    let mut prepared = Prepared::default();
    let brake = order.brake;
    let Some((inventory, plan)) = plan(kernel, layout, sources, order, &mut prepared, log) else {
        return prepared;
    };
    for refusal in &plan.refusals {
        prepared.say(log, refusal);
    }
    for warning in &plan.warnings {
        prepared.say(log, &format!("warning: {warning}"));
    }
    prepared.is_required_missing |= plan.is_required_missing;
    if brake == Brake::Plan {
        for line in plan.to_string().lines() {
            prepared.say(log, line);
        }
    } else {
        ranges::make_all(kernel, layout, &inventory, &plan, &mut prepared, log);
    }
    prepared.plan = Some(plan);
    prepared
}

/// The plan that [`prepare`] would carry out. `None`, with a line that says why,
/// where there is nothing to plan.
fn plan(
    kernel: &dyn Kernel,
    layout: &Layout,
    sources: &Sources,
    order: Order,
    prepared: &mut Prepared,
    log: Log<'_>,
) -> Option<(Inventory, DiskPlan)> {
    let brake = order.brake;
    if brake == Brake::Off {
        prepared.say(log, "off by rsinit.disk=off");
        return None;
    }
    let mut settings = match settings::read_settings(sources) {
        Ok(Some(settings)) => settings,
        Ok(None) => return None,
        Err(failure) => {
            prepared.is_required_missing |= failure.is_required;
            prepared.say(log, &failure.text);
            return None;
        }
    };
    settings.conf.wipe_on_boot = order.wipe.unwrap_or(settings.conf.wipe_on_boot);
    prepared.is_required = settings.conf.required;
    if let Err(missing) = settle::wait_for_disks(kernel, layout, SETTLE_DEADLINE) {
        prepared.say(log, &format!("warning: not all disks are there: {missing}"));
    }
    let inventory = inventory::read_inventory(kernel, layout, settings.profile.empties_disks());
    let request =
        Request { conf: &settings.conf, profile: &settings.profile, brake, inventory: &inventory };
    let plan = plan_disks(&request);
    Some((inventory, plan))
}

/// Mounts what [`prepare`] made below the new root.
pub fn mount(kernel: &dyn Kernel, layout: &Layout, prepared: &mut Prepared, log: Log<'_>) {
    let mut mounts = std::mem::take(&mut prepared.ready);
    mounts.sort_by_key(|(step, _)| match step {
        Step::Mount { target, .. } => target.split('/').count(),
        _ => 0,
    });
    for (step, is_required) in &mounts {
        let start = Instant::now();
        let result = match step {
            Step::Mount { device, target, options } => {
                moving::mount_volume(kernel, layout, device, target, options)
            }
            Step::SwapOn { device } => swap::swap_on(kernel, layout, device),
            _ => continue,
        };
        if prepared.close(log, step, start, result) {
            match step {
                Step::Mount { target, .. } => prepared.mounted.push(target.clone()),
                Step::SwapOn { device } => prepared.swaps.push(device.clone()),
                _ => {}
            }
        } else {
            prepared.is_required_missing |= *is_required;
        }
    }
    prepared.missing = prepared.find_missing();
}

/// Moves the folders that the settings name onto mounted volumes, makes the cache's
/// folder and lists the volumes in fstab.
pub fn move_dirs(kernel: &dyn Kernel, layout: &Layout, prepared: &mut Prepared, log: Log<'_>) {
    let after = prepared.plan.as_ref().map(|plan| plan.after.clone()).unwrap_or_default();
    if prepared.plan.as_ref().is_none_or(|plan| plan.brake == Brake::Plan) {
        return;
    }
    for step in &after {
        let start = Instant::now();
        let needs_mount = |path: &str| moving::is_mounted_on(path, &prepared.mounted);
        let result = match step {
            // That it is not mounted is said already.
            Step::ListInFstab { target, .. } if !prepared.mounted.contains(target) => continue,
            Step::ListInFstab { device, target, options } => {
                fstab::list_volume(kernel, layout, device, target, options)
            }
            Step::MoveDir { to, .. } if !needs_mount(to) => {
                Err(anyhow::anyhow!("{to} is not mounted"))
            }
            Step::MakeFscache { path } if !needs_mount(path) => {
                Err(anyhow::anyhow!("{path} is not on a mounted volume"))
            }
            Step::MoveDir { from, to, replace_by } => {
                moving::move_folder(kernel, layout, from, to, *replace_by).map(|moved| {
                    prepared.copied.push((from.clone(), moved.copied));
                    if let Some(error) = moved.left {
                        prepared.say(log, &format!("warning: {error:#}"));
                    }
                })
            }
            Step::MakeFscache { path } => moving::make_fscache(layout, path),
            _ => continue,
        };
        prepared.close(log, step, start, result);
    }
}

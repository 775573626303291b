//! What follows once the volumes exist: mounts from the outermost in, lines of fstab,
//! moved directories, the cache's folder.

use crate::config::mkdisk_conf::MkdiskConf;
use crate::config::node_path::is_within;

use super::{DiskPlan, Step};

/// Adds the steps that need mounted volumes; refuses those whose volume is missing,
/// as they would otherwise fill the node's memory.
pub(super) fn plan_after(conf: &MkdiskConf, plan: &mut DiskPlan) {
    let mut mounts: Vec<Step> = plan.ranges.iter().flat_map(|range| range.mounts.clone()).collect();
    // Swap areas, which have no target, come first.
    mounts.sort_by_key(|step| target(step).map(depth));
    let targets: Vec<String> = mounts.iter().filter_map(target).map(str::to_owned).collect();
    let is_provisioned = |path: &str| targets.iter().any(|target| is_within(path, target));
    let lines: Vec<Step> = mounts.iter().filter_map(list_in_fstab).collect();
    plan.after = mounts;
    if conf.fstab {
        plan.after.extend(lines);
    }
    for dir in &conf.move_dirs {
        if targets.iter().any(|target| is_within(target, &dir.from)) {
            let text = format!("MOVE_DIRS: {}: a volume is mounted below it", dir.from);
            refuse(conf, plan, text);
        } else if is_provisioned(&dir.to) {
            let (from, to) = (dir.from.clone(), dir.to.clone());
            plan.after.push(Step::MoveDir { from, to, replace_by: conf.replace_by });
        } else {
            let text =
                format!("MOVE_DIRS: {} is not on a mounted volume, {} stays", dir.to, dir.from);
            refuse(conf, plan, text);
        }
    }
    if let Some(path) = &conf.fscache_dir {
        if is_provisioned(path) {
            plan.after.push(Step::MakeFscache { path: path.clone() });
        } else {
            refuse(conf, plan, format!("FSCACHE_DIR: {path} is not on a mounted volume"));
        }
    }
}

fn refuse(conf: &MkdiskConf, plan: &mut DiskPlan, text: String) {
    plan.refusals.push(text);
    plan.is_required_missing |= conf.required;
}

fn list_in_fstab(mount: &Step) -> Option<Step> {
    let Step::Mount { device, target, options } = mount else { return None };
    let (device, target, options) = (device.clone(), target.clone(), options.clone());
    Some(Step::ListInFstab { device, target, options })
}

fn target(step: &Step) -> Option<&str> {
    match step {
        Step::Mount { target, .. } => Some(target),
        _ => None,
    }
}

fn depth(path: &str) -> usize {
    path.split('/').count()
}

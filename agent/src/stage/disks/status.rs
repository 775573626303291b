//! `rsinit disks status`: the arrays and mounts as the kernel has them now.

use std::fmt;

use serde_json::Value;

use crate::layout::Layout;

use super::inventory::read_mounts;
use super::place::{list_names, read_attribute};

/// All arrays of the node.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub(in crate::stage) struct Status {
    pub arrays: Vec<ArrayStatus>,
    /// Where the profile wanted volumes that the last run could not mount.
    pub missing: Vec<String>,
    /// Why not, and what else the last run has refused.
    pub refusals: Vec<String>,
}

/// One array.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub(in crate::stage) struct ArrayStatus {
    pub name: String,
    pub level: String,
    /// `clean`, `active`, `inactive`, …
    pub state: String,
    pub slots: u32,
    /// Slots without a working member.
    pub degraded: u32,
    /// `idle`, `recover`, `resync`, `check`; empty for a stripe.
    pub sync_action: String,
    pub members: Vec<String>,
    pub mounted: Vec<String>,
}

/// Reads what sysfs says of each array.
pub(in crate::stage) fn read_status(layout: &Layout) -> Status {
    let mounts = read_mounts(layout);
    let block = layout.sys.join("block");
    let arrays = list_names(&block).into_iter().filter(|name| block.join(name).join("md").is_dir());
    let arrays = arrays.map(|name| {
        let folder = block.join(&name);
        let md = |attribute: &str| read_attribute(&folder.join("md"), attribute);
        let device = read_attribute(&folder, "dev");
        let is_here = |number: &crate::plan::disks::inventory::DeviceNumber| {
            format!("{}:{}", number.major, number.minor) == device
        };
        let mounted = mounts.iter().filter(|(number, _)| is_here(number));
        ArrayStatus {
            level: md("level"),
            state: md("array_state"),
            slots: md("raid_disks").parse().unwrap_or(0),
            degraded: md("degraded").parse().unwrap_or(0),
            sync_action: md("sync_action"),
            members: list_names(&folder.join("slaves")),
            mounted: mounted.map(|(_, target)| target.clone()).collect(),
            name,
        }
    });
    let record = read_record(layout).unwrap_or_default();
    let list = |value: Option<&Value>| -> Vec<String> {
        let items = value.and_then(Value::as_array).into_iter().flatten();
        items.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let refusals = record.get("plan").and_then(|plan| plan.get("refusals"));
    Status {
        arrays: arrays.collect(),
        missing: list(record.get("missing")),
        refusals: list(refusals),
    }
}

/// What the last run left; none on a node whose disks nobody has prepared.
fn read_record(layout: &Layout) -> Option<Value> {
    serde_json::from_slice(&std::fs::read(layout.state().join("disk.json")).ok()?).ok()
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.arrays.is_empty() {
            writeln!(f, "no arrays")?;
        }
        for array in &self.arrays {
            write!(f, "{} {} {}", array.name, array.level, array.state)?;
            if array.degraded > 0 {
                write!(f, ", {} of {} members missing", array.degraded, array.slots)?;
            }
            if !matches!(array.sync_action.as_str(), "" | "idle") {
                write!(f, ", {}", array.sync_action)?;
            }
            write!(f, ": {}", array.members.join(" "))?;
            if !array.mounted.is_empty() {
                write!(f, ", on {}", array.mounted.join(" "))?;
            }
            writeln!(f)?;
        }
        for target in &self.missing {
            writeln!(f, "missing: {target}")?;
        }
        for refusal in &self.refusals {
            writeln!(f, "refused: {refusal}")?;
        }
        Ok(())
    }
}

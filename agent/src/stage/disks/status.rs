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

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A mirror that has lost one of its two legs, and a stripe, as the kernel shows them.
    fn node() -> (tempfile::TempDir, Layout) {
        let temp = tempfile::tempdir().unwrap();
        let layout = Layout::under(temp.path());
        let array = |name: &str, device: &str, md: &[(&str, &str)], members: &[&str]| {
            let folder = layout.sys.join("block").join(name);
            fs::create_dir_all(folder.join("md")).unwrap();
            fs::write(folder.join("dev"), format!("{device}\n")).unwrap();
            for (attribute, value) in md {
                fs::write(folder.join("md").join(attribute), format!("{value}\n")).unwrap();
            }
            for member in members {
                fs::create_dir_all(folder.join("slaves").join(member)).unwrap();
            }
        };
        let mirror = [
            ("level", "raid1"),
            ("array_state", "clean"),
            ("raid_disks", "2"),
            ("degraded", "1"),
            ("sync_action", "recover"),
        ];
        array("md0", "9:0", &mirror, &["nvme1n1"]);
        // A stripe has neither `degraded` nor `sync_action`.
        let stripe = [("level", "raid0"), ("array_state", "active"), ("raid_disks", "2")];
        array("md1", "9:1", &stripe, &["nvme2n1", "nvme3n1"]);
        fs::create_dir_all(layout.sys.join("block/nvme0n1")).unwrap();
        let mounts = layout.proc.join("self");
        fs::create_dir_all(&mounts).unwrap();
        let line =
            "40 1 9:1 / /scratch rw - ext4 /dev/md1 rw\n41 1 8:1 / /other rw - ext4 /dev/sda1 rw\n";
        fs::write(mounts.join("mountinfo"), line).unwrap();
        (temp, layout)
    }

    #[test]
    fn each_array_is_shown_with_what_it_lacks_and_where_it_is_mounted() {
        let (_temp, layout) = node();
        let text = read_status(&layout).to_string();
        assert_eq!(
            text,
            "md0 raid1 clean, 1 of 2 members missing, recover: nvme1n1\n\
             md1 raid0 active: nvme2n1 nvme3n1, on /scratch\n"
        );
    }

    #[test]
    fn what_the_last_run_could_not_give_is_listed() {
        let (_temp, layout) = node();
        fs::create_dir_all(layout.state()).unwrap();
        let record =
            r#"{"missing":["/system"],"plan":{"refusals":["raid1 /system: disk 2 is mounted"]}}"#;
        fs::write(layout.state().join("disk.json"), record).unwrap();
        let status = read_status(&layout);
        assert_eq!(status.missing, ["/system"]);
        assert_eq!(status.refusals, ["raid1 /system: disk 2 is mounted"]);
        let text = status.to_string();
        assert!(
            text.ends_with("missing: /system\nrefused: raid1 /system: disk 2 is mounted\n"),
            "{text}"
        );
    }

    #[test]
    fn a_node_without_arrays_or_with_half_a_record_says_only_what_is_known() {
        let temp = tempfile::tempdir().unwrap();
        let layout = Layout::under(temp.path());
        assert_eq!(read_status(&layout).to_string(), "no arrays\n");
        fs::create_dir_all(layout.state()).unwrap();
        for record in ["{\"missing\":[\"/sys", "[]", "{\"missing\":7,\"plan\":[1]}"] {
            fs::write(layout.state().join("disk.json"), record).unwrap();
            assert_eq!(read_status(&layout).to_string(), "no arrays\n", "{record}");
        }
    }
}

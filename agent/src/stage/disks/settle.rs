//! Waits until the set of disks no longer changes.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use crate::layout::Layout;
use crate::sys::Kernel;
use crate::sys::block::{Events, made_at};

use super::driver::load_module;
use super::inventory::device_node;
use super::place::{list_names, read_attribute};

/// How long nothing may have happened where every disk has announced itself.
const QUIET: Duration = Duration::from_millis(250);
/// The same where SCSI hosts are still looking at their ports: a spinning disk may
/// take this long to answer.
const QUIET_SCSI: Duration = Duration::from_millis(1500);

/// Waits for the disks, at most until `deadline` has passed; says what was still
/// missing then.
pub(super) fn wait_for_disks(
    kernel: &dyn Kernel,
    layout: &Layout,
    deadline: Duration,
) -> Result<(), String> {
    let start = Instant::now();
    // Without the kernel's events (a container) the state is polled instead.
    let events = kernel.watch_devices().unwrap_or_else(|_| Events::silent());
    if !load_drivers(kernel, layout) && is_still(layout, deadline) {
        return Ok(());
    }
    let mut seen = list_names(&layout.sys.join("block"));
    loop {
        let waiting = find_unready(layout);
        let left = deadline.saturating_sub(start.elapsed());
        if left.is_zero() {
            return waiting.map_or(Ok(()), Err);
        }
        let quiet = if has_scsi_without_disk(layout) { QUIET_SCSI } else { QUIET };
        let has_event = kernel.wait_event(&events, quiet.min(left)).unwrap_or(false);
        let now = list_names(&layout.sys.join("block"));
        if !has_event && now == seen && waiting.is_none() {
            return Ok(());
        }
        seen = now;
    }
}

/// Whether every disk and NVMe controller has been there for as long as would be waited at
/// most, so that there is nothing to wait for: a command on a node that has long booted.
fn is_still(layout: &Layout, age: Duration) -> bool {
    if find_unready(layout).is_some() || has_scsi_without_disk(layout) {
        return false;
    }
    let uptime = std::fs::read_to_string(layout.proc.join("uptime")).unwrap_or_default();
    let uptime = uptime.split(' ').next().and_then(|seconds| seconds.parse().ok());
    let Some(Ok(uptime)) = uptime.map(Duration::try_from_secs_f64) else { return false };
    let now = SystemTime::now();
    let is_old = |name: &String| {
        let made = made_at(&device_node(layout, name));
        let since = made.ok().and_then(|made| now.duration_since(made).ok());
        // Older than the node itself: the clock has been set since.
        since.is_some_and(|since| age <= since && since <= uptime)
    };
    let blocks = layout.sys.join("block");
    let is_real = |name: &String| blocks.join(name).join("device").exists();
    let disks: Vec<String> = list_names(&blocks).into_iter().filter(is_real).collect();
    let controllers = list_names(&layout.sys.join("class/nvme"));
    !disks.is_empty() && disks.iter().chain(&controllers).all(is_old)
}

/// Loads what nobody has loaded: udev does so where there is one, by device; here the
/// class of the device is enough. Says whether any was missing.
fn load_drivers(kernel: &dyn Kernel, layout: &Layout) -> bool {
    let devices = layout.sys.join("bus/pci/devices");
    let mut is_missing = false;
    for name in list_names(&devices) {
        let folder = devices.join(name);
        if folder.join("driver").exists() {
            continue;
        }
        // PCI class 01; subclass 08 is non-volatile memory, 06 SATA.
        let class = read_attribute(&folder, "class");
        let module = match class.get(..6) {
            Some("0x0108") => "nvme",
            Some("0x0106") => "ahci",
            _ => continue,
        };
        // A driver that cannot be loaded leaves its disks missing, which is said.
        load_module(kernel, layout, module);
        is_missing = true;
    }
    is_missing
}

/// A storage controller that has no driver yet, or an NVMe controller that is being
/// set up.
fn find_unready(layout: &Layout) -> Option<String> {
    let controllers = layout.sys.join("class/nvme");
    for name in list_names(&controllers) {
        let state = read_attribute(&controllers.join(&name), "state");
        if matches!(state.as_str(), "new" | "connecting" | "resetting") {
            return Some(format!("{name} is {state}"));
        }
    }
    let devices = layout.sys.join("bus/pci/devices");
    list_names(&devices).into_iter().find_map(|name| {
        let folder = devices.join(&name);
        // PCI class 01, subclass 08: non-volatile memory.
        let is_nvme = read_attribute(&folder, "class").starts_with("0x0108");
        let has_driver = folder.join("driver").exists();
        (is_nvme && !has_driver).then(|| format!("no driver has taken {name} (NVMe)"))
    })
}

fn has_scsi_without_disk(layout: &Layout) -> bool {
    let hosts = layout.sys.join("class/scsi_host");
    let is_disk_host = |host: &String| has_device(&hosts.join(host).join("device"));
    let hosts = list_names(&hosts);
    !hosts.is_empty() && !hosts.iter().all(is_disk_host)
}

/// Whether a SCSI host has found a target.
fn has_device(host: &Path) -> bool {
    list_names(host).iter().any(|name| name.starts_with("target") || name.starts_with("port-"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// A disk `sda` that was found just now, on a node that has been up for a minute.
    fn node() -> (tempfile::TempDir, Layout) {
        let temp = tempfile::tempdir().unwrap();
        let layout = Layout::under(temp.path());
        fs::create_dir_all(layout.sys.join("block/sda/device")).unwrap();
        fs::create_dir_all(layout.sys.join("block/loop0")).unwrap();
        fs::create_dir_all(&layout.dev).unwrap();
        fs::create_dir_all(&layout.proc).unwrap();
        fs::write(layout.dev.join("sda"), "").unwrap();
        fs::write(layout.proc.join("uptime"), "60.00 100.00\n").unwrap();
        (temp, layout)
    }

    #[test]
    fn only_disks_that_are_older_than_the_longest_wait_are_not_waited_for() {
        let (_temp, layout) = node();
        assert!(!is_still(&layout, Duration::from_secs(10)), "found just now");
        if made_at(&layout.dev.join("sda")).is_err() {
            eprintln!("skipped in part: this file system does not know when a file was made");
            return;
        }
        assert!(is_still(&layout, Duration::ZERO));
        fs::write(layout.proc.join("uptime"), "0.00 0.00\n").unwrap();
        assert!(!is_still(&layout, Duration::ZERO), "older than the node: the clock was set");
    }

    #[test]
    fn a_controller_that_is_being_set_up_is_waited_for() {
        let (_temp, layout) = node();
        let controller = layout.sys.join("class/nvme/nvme0");
        fs::create_dir_all(&controller).unwrap();
        fs::write(controller.join("state"), "connecting\n").unwrap();
        assert!(!is_still(&layout, Duration::ZERO));
        fs::write(controller.join("state"), "live\n").unwrap();
        assert!(!is_still(&layout, Duration::ZERO), "it has no node, so its age is not known");
    }

    #[test]
    fn a_node_without_disks_is_waited_for() {
        let (_temp, layout) = node();
        fs::remove_dir_all(layout.sys.join("block/sda")).unwrap();
        assert!(!is_still(&layout, Duration::ZERO));
    }
}

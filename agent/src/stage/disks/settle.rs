//! Waits until the set of disks no longer changes.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::layout::Layout;
use crate::sys::Kernel;
use crate::sys::block::Events;

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
    load_drivers(kernel, layout);
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

/// Loads what nobody has loaded: udev does so where there is one, by device; here the
/// class of the device is enough.
fn load_drivers(kernel: &dyn Kernel, layout: &Layout) {
    let devices = layout.sys.join("bus/pci/devices");
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
        let _ = kernel.load_module(&layout.modules, module);
    }
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

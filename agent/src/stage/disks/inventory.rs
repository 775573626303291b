//! The disks and arrays that sysfs and procfs show.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use crate::layout::Layout;
use crate::plan::disks::inventory::{DeviceNumber, Disk, Inventory, RunningArray, Transport};
use crate::sys::Kernel;

use super::contents::{expect_contents, read_contents, read_inner};
use super::nvme::read_nvme_facts;
use super::place::{list_names, read_attribute, read_place};

/// Where file systems are mounted, by device, and what is swapped to, by name.
struct Usage {
    mounts: Vec<(DeviceNumber, String)>,
    swaps: BTreeSet<String>,
}

/// Reads everything that a plan is made from. Disks are opened for reading only; NVMe
/// disks are asked what they can do where `asks_nvme`.
pub(super) fn read_inventory(kernel: &dyn Kernel, layout: &Layout, asks_nvme: bool) -> Inventory {
    let usage = read_usage(layout);
    let mut inventory = Inventory::default();
    for name in list_names(&layout.sys.join("block")) {
        let link = layout.sys.join("block").join(&name);
        let folder = std::fs::canonicalize(&link).unwrap_or(link);
        if folder.join("md").is_dir() {
            inventory.arrays.push(read_array(&folder, name, &usage));
        } else if is_disk(&folder) {
            inventory.disks.push(read_disk(layout, &folder, name, &usage));
        }
    }
    read_all_contents(kernel, layout, &mut inventory.disks, asks_nvme);
    inventory
}

/// Looks at what the disks hold. All are asked before the first is waited for: two ends of
/// a spinning disk take it tens of milliseconds.
fn read_all_contents(kernel: &dyn Kernel, layout: &Layout, disks: &mut [Disk], asks_nvme: bool) {
    let open = |disk: &Disk| {
        let device = kernel.open_readable(&device_node(layout, &disk.name))?;
        expect_contents(kernel, &device, disk.size_bytes);
        Ok(device)
    };
    let readable: Vec<&mut Disk> = disks.iter_mut().filter(|disk| is_readable(disk)).collect();
    let opened: Vec<io::Result<File>> = readable.iter().map(|disk| open(disk)).collect();
    for (disk, device) in readable.into_iter().zip(opened) {
        read_disk_contents(kernel, disk, device);
        if asks_nvme && disk.transport == Transport::Nvme {
            disk.nvme = read_nvme_facts(kernel, layout, &disk.name);
        }
    }
}

/// Whether a disk is worth a look at its contents.
fn is_readable(disk: &Disk) -> bool {
    disk.transport.is_usable() && !disk.is_removable && disk.size_bytes > 0
}

/// Whole disks with a device of their own: no loop, ram, dm or zram devices, no
/// optical drives, no hidden paths of a multipath namespace.
fn is_disk(folder: &Path) -> bool {
    let is_virtual = folder.parent().is_some_and(|parent| parent.ends_with("virtual/block"));
    let is_hidden = read_attribute(folder, "hidden") == "1";
    // SCSI type 5 and "sr": CD-ROM.
    let is_optical = read_attribute(folder, "device/type") == "5";
    let is_floppy = folder.file_name().is_some_and(|name| name.to_string_lossy().starts_with("fd"));
    !is_virtual && !is_hidden && !is_optical && !is_floppy
}

fn read_disk(layout: &Layout, folder: &Path, name: String, usage: &Usage) -> Disk {
    let (transport, place) = read_place(folder);
    // The kernel names partitions after their disk.
    let partitions: Vec<String> = list_names(folder)
        .into_iter()
        .filter(|part| part.starts_with(&name))
        .filter(|part| folder.join(part).join("partition").is_file())
        .collect();
    let folders: Vec<PathBuf> = std::iter::once(folder.to_owned())
        .chain(partitions.iter().map(|part| folder.join(part)))
        .collect();
    let all_holders: Vec<String> =
        folders.iter().flat_map(|folder| list_names(&folder.join("holders"))).collect();
    let is_array = |name: &str| layout.sys.join("block").join(name).join("md").is_dir();
    let is_multipath = |name: &String| {
        read_attribute(&layout.sys.join("block").join(name), "dm/uuid").starts_with("mpath-")
    };
    let number = |folder: &PathBuf| parse_device(&read_attribute(folder, "dev"));
    let devices: Vec<DeviceNumber> = folders.iter().filter_map(number).collect();
    let mut names = std::iter::once(&name).chain(&partitions);
    Disk {
        device: devices.first().copied().unwrap_or_default(),
        model: first_attribute(folder, &["device/model"]),
        serial: read_serial(folder),
        wwid: first_attribute(folder, &["wwid", "device/wwid"]),
        // Sectors of 512 bytes, whatever the disk's own block is.
        size_bytes: parse::<u64>(folder, "size").saturating_mul(512),
        logical_block_bytes: parse::<u32>(folder, "queue/logical_block_size").max(512),
        is_read_only: read_attribute(folder, "ro") == "1",
        is_removable: read_attribute(folder, "removable") == "1",
        is_multipath_leg: all_holders.iter().any(is_multipath),
        holders: all_holders.into_iter().filter(|holder| !is_array(holder)).collect(),
        mounted: usage.mounted(&devices),
        is_swap: names.any(|name| usage.swaps.contains(name)),
        partitions,
        transport,
        place,
        discard_bytes: parse(folder, "queue/discard_max_bytes"),
        nvme: None,
        contents: Err("not looked at".to_owned()),
        inner: None,
        name,
    }
}

fn read_disk_contents(kernel: &dyn Kernel, disk: &mut Disk, device: io::Result<File>) {
    let read = || {
        let device = device?;
        let contents = read_contents(kernel, &device, disk.size_bytes)?;
        let inner = read_inner(kernel, &device, disk.size_bytes, &contents)?;
        Ok::<_, io::Error>((contents, inner))
    };
    match read() {
        Ok((contents, inner)) => {
            disk.contents = Ok(contents);
            disk.inner = inner;
        }
        Err(error) => disk.contents = Err(error.to_string()),
    }
}

fn read_array(folder: &Path, name: String, usage: &Usage) -> RunningArray {
    let mut disks = BTreeSet::new();
    let mut has_partitions = false;
    for member in list_names(&folder.join("slaves")) {
        let member = folder.join("slaves").join(member);
        let member = std::fs::canonicalize(&member).unwrap_or(member);
        let is_partition = member.join("partition").is_file();
        has_partitions |= is_partition;
        let disk = if is_partition { member.parent().unwrap_or(&member) } else { &member };
        disks.extend(disk.file_name().map(|name| name.to_string_lossy().into_owned()));
    }
    let partitions = list_names(folder).into_iter().map(|part| folder.join(part));
    let partitions = partitions.filter(|part| part.join("partition").is_file());
    let folders: Vec<PathBuf> = std::iter::once(folder.to_owned()).chain(partitions).collect();
    let devices: Vec<DeviceNumber> =
        folders.iter().filter_map(|folder| parse_device(&read_attribute(folder, "dev"))).collect();
    let holder = folders.iter().find_map(|folder| list_names(&folder.join("holders")).pop());
    let mounted = usage.mounted(&devices).into_iter().next();
    let busy = mounted.map(|target| format!("mounted on {target}"));
    let busy = busy.or_else(|| holder.map(|holder| format!("held by {holder}")));
    let busy = busy.or_else(|| usage.swaps.contains(&name).then(|| "used as swap".to_owned()));
    let state = read_attribute(folder, "md/array_state");
    let is_active = !matches!(state.as_str(), "" | "clear" | "inactive");
    RunningArray { name, disks, has_partitions, is_active, busy }
}

impl Usage {
    fn mounted(&self, devices: &[DeviceNumber]) -> Vec<String> {
        let mounts = self.mounts.iter().filter(|(device, _)| devices.contains(device));
        mounts.map(|(_, target)| target.clone()).collect()
    }
}

fn read_usage(layout: &Layout) -> Usage {
    Usage { mounts: read_mounts(layout), swaps: read_swaps(layout) }
}

/// The names of the devices in `/proc/swaps`.
pub(super) fn read_swaps(layout: &Layout) -> BTreeSet<String> {
    let swaps = std::fs::read_to_string(layout.proc.join("swaps")).unwrap_or_default();
    let paths = swaps.lines().skip(1).filter_map(|line| line.split_whitespace().next());
    paths.filter_map(|path| path.rsplit('/').next()).map(str::to_owned).collect()
}

/// Device and target of each line of `/proc/self/mountinfo`: the third and the fifth
/// field (`proc(5)`).
pub(in crate::stage) fn read_mounts(layout: &Layout) -> Vec<(DeviceNumber, String)> {
    let path = layout.proc.join("self/mountinfo");
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let parse = |line: &str| {
        let mut fields = line.split(' ').skip(2);
        let device = parse_device(fields.next()?)?;
        Some((device, fields.nth(1)?.to_owned()))
    };
    text.lines().filter_map(parse).collect()
}

/// The device's node. The kernel writes `/` in names as `!`.
pub(super) fn device_node(layout: &Layout, name: &str) -> PathBuf {
    layout.dev.join(name.replace('!', "/"))
}

fn parse_device(text: &str) -> Option<DeviceNumber> {
    let (major, minor) = text.split_once(':')?;
    Some(DeviceNumber { major: major.parse().ok()?, minor: minor.parse().ok()? })
}

fn parse<T: std::str::FromStr + Default>(folder: &Path, name: &str) -> T {
    read_attribute(folder, name).parse().unwrap_or_default()
}

fn first_attribute(folder: &Path, names: &[&str]) -> String {
    let mut values = names.iter().map(|name| read_attribute(folder, name));
    values.find(|value| !value.is_empty()).unwrap_or_default()
}

/// NVMe and virtio have an attribute; SCSI disks answer with the vital product data
/// page 0x80, four bytes of header before the serial number.
fn read_serial(folder: &Path) -> String {
    let serial = first_attribute(folder, &["device/serial", "serial"]);
    if !serial.is_empty() {
        return serial;
    }
    let page = std::fs::read(folder.join("device/vpd_pg80")).unwrap_or_default();
    let serial = page.get(4..).unwrap_or_default();
    String::from_utf8_lossy(serial).trim_matches(['\0', ' ']).to_owned()
}

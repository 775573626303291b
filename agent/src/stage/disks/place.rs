//! Where a disk is plugged in, read from its path in sysfs:
//! `/sys/devices/pci0000:00/0000:00:1d.0/0000:01:00.0/nvme/nvme0/nvme0n1`.

use std::path::{Path, PathBuf};

use crate::plan::disks::inventory::{Place, Transport};

/// An attribute of sysfs as text, empty where there is none.
pub(super) fn read_attribute(folder: &Path, name: &str) -> String {
    let bytes = std::fs::read(folder.join(name)).unwrap_or_default();
    String::from_utf8_lossy(&bytes).trim_matches(['\0', ' ', '\n', '\t']).to_owned()
}

/// The names of a folder's entries, sorted.
pub(super) fn list_names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// How and where the disk is attached that sysfs has at `folder` (resolved: no link).
pub(super) fn read_place(folder: &Path) -> (Transport, Place) {
    let parts: Vec<String> =
        folder.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    let name = parts.last().map(String::as_str).unwrap_or_default();
    if name.starts_with("nvme") {
        return read_nvme(folder, &parts, name);
    }
    let has = |prefix: &str| find_numbered(&parts, prefix).is_some();
    let is_scsi = has("host");
    let transport = if has("usb") {
        Transport::Usb
    } else if has("session") {
        Transport::Iscsi
    } else if parts.iter().any(|part| part.starts_with("rport-")) {
        Transport::FibreChannel
    } else if has("virtio") {
        if is_scsi { Transport::VirtioScsi } else { Transport::VirtioBlk }
    } else if has("ata") {
        Transport::Sata
    } else if parts.iter().any(|part| part.starts_with("end_device-")) {
        Transport::Sas
    } else {
        Transport::Other
    };
    let (word, unit) = match transport {
        Transport::Sata => ("port", read_sata_unit(folder, &parts)),
        Transport::Sas => ("bay", read_sas_unit(folder, &parts)),
        _ => ("target", scsi_target(&parts)),
    };
    (transport, place(&parts, word, unit))
}

/// A namespace hangs on its controller or, where the kernel does multipath itself, on
/// a subsystem that links to its controllers.
fn read_nvme(folder: &Path, parts: &[String], name: &str) -> (Transport, Place) {
    let from_name = name.rsplit_once('n').and_then(|(_, number)| number.parse().ok());
    let nsid = read_attribute(folder, "nsid").parse().ok().or(from_name).unwrap_or(0);
    let parent = folder.parent().unwrap_or(folder);
    let is_head = parts.iter().any(|part| part == "nvme-subsystem");
    let controllers: Vec<PathBuf> = if is_head {
        let is_controller = |name: &String| {
            name.strip_prefix("nvme").is_some_and(|rest| rest.parse::<u32>().is_ok())
        };
        let names = list_names(parent).into_iter().filter(is_controller);
        names.filter_map(|name| std::fs::canonicalize(parent.join(name)).ok()).collect()
    } else {
        vec![parent.to_owned()]
    };
    let is_local = !controllers.is_empty()
        && controllers.iter().all(|folder| read_attribute(folder, "transport") == "pcie");
    let places = controllers.iter().map(|folder| {
        let parts: Vec<String> =
            folder.iter().map(|part| part.to_string_lossy().into_owned()).collect();
        place(&parts, "ns", vec![nsid])
    });
    let place = places.min().unwrap_or_default();
    (if is_local { Transport::Nvme } else { Transport::NvmeFabrics }, place)
}

/// The port on its controller, not the kernel's running number.
fn read_sata_unit(folder: &Path, parts: &[String]) -> Vec<u64> {
    let number = find_numbered(parts, "ata").unwrap_or(0);
    let ata = folder.ancestors().find(|path| path.ends_with(format!("ata{number}")));
    let class = format!("ata_port/ata{number}");
    let port = ata.map(|ata| read_attribute(&ata.join(class), "port_no"));
    let port = port.and_then(|port| port.parse().ok()).unwrap_or(number);
    std::iter::once(port).chain(scsi_target(parts)).collect()
}

/// The bay where the enclosure tells it, else the disk's address: SAS targets are
/// numbered in the order in which they are found.
fn read_sas_unit(folder: &Path, parts: &[String]) -> Vec<u64> {
    let end = parts.iter().find(|part| part.starts_with("end_device-"));
    let class = end.and_then(|end| {
        let device = folder.ancestors().find(|path| path.ends_with(end))?;
        Some(device.join("sas_device").join(end))
    });
    let attribute = |name: &str| class.as_ref().map(|class| read_attribute(class, name));
    let bay = attribute("bay_identifier").and_then(|bay| bay.parse().ok());
    let address = attribute("sas_address").unwrap_or_default();
    let address = u64::from_str_radix(address.trim_start_matches("0x"), 16).unwrap_or(u64::MAX);
    vec![bay.unwrap_or(u64::MAX), address]
}

/// Channel, target and logical unit of `host:channel:target:lun`.
fn scsi_target(parts: &[String]) -> Vec<u64> {
    let address = parts.iter().find_map(|part| {
        let numbers: Vec<u64> = part.split(':').map_while(|n| n.parse().ok()).collect();
        (numbers.len() == 4 && part.split(':').count() == 4).then_some(numbers)
    });
    address.map(|numbers| numbers.into_iter().skip(1).collect()).unwrap_or_default()
}

/// The number of the last part that is `prefix` and a number.
fn find_numbered(parts: &[String], prefix: &str) -> Option<u64> {
    parts.iter().rev().find_map(|part| part.strip_prefix(prefix)?.parse().ok())
}

/// The path through PCI, then the unit; `word` says what the unit is.
fn place(parts: &[String], word: &str, unit: Vec<u64>) -> Place {
    let mut pci = Vec::new();
    let mut last = String::from("-");
    for part in parts {
        let root = part.strip_prefix("pci").and_then(|root| root.split_once(':'));
        if let Some((domain, bus)) = root {
            if pci.is_empty() {
                pci.extend([domain, bus].map(|hex| u32::from_str_radix(hex, 16).unwrap_or(0)));
            }
        } else if let Some(function) = parse_function(part) {
            pci.push(function);
            last.clone_from(part);
        }
    }
    let numbers: Vec<String> = unit.iter().map(u64::to_string).collect();
    let text =
        if numbers.is_empty() { last } else { format!("{last} {word} {}", numbers.join(":")) };
    Place { pci, unit, text }
}

/// Device and function of `0000:01:00.0`, as one number.
fn parse_function(part: &str) -> Option<u32> {
    let mut fields = part.split([':', '.']);
    let domain = fields.next().filter(|domain| domain.len() >= 4)?;
    let mut hex = || u32::from_str_radix(fields.next()?, 16).ok();
    u32::from_str_radix(domain, 16).ok()?;
    let (_bus, device, function) = (hex()?, hex()?, hex()?);
    (fields.next().is_none() && part.contains('.')).then_some(device << 3 | function)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: &str) -> (Transport, Place) {
        read_place(Path::new(path))
    }

    #[test]
    fn each_transport_is_told_by_the_path() {
        for (path, transport) in [
            (
                "/sys/devices/pci0000:00/0000:00:1f.2/ata3/host2/target2:0:0/2:0:0:0/block/sda",
                Transport::Sata,
            ),
            (
                "/sys/devices/pci0000:00/0000:00:14.0/usb2/2-1/2-1:1.0/host6/target6:0:0/6:0:0:0/block/sdb",
                Transport::Usb,
            ),
            (
                "/sys/devices/platform/host3/session1/target3:0:0/3:0:0:1/block/sdc",
                Transport::Iscsi,
            ),
            (
                "/sys/devices/pci0000:3a/0000:3a:00.0/host1/rport-1:0-2/target1:0:0/1:0:0:0/block/sdd",
                Transport::FibreChannel,
            ),
            ("/sys/devices/pci0000:00/0000:00:05.0/virtio2/block/vda", Transport::VirtioBlk),
            (
                "/sys/devices/pci0000:00/0000:00:05.0/virtio2/host2/target2:0:3/2:0:3:0/block/sda",
                Transport::VirtioScsi,
            ),
            (
                "/sys/devices/pci0000:17/0000:17:00.0/0000:18:00.0/host0/port-0:0/end_device-0:0/target0:0:0/0:0:0:0/block/sda",
                Transport::Sas,
            ),
            (
                "/sys/devices/pci0000:17/0000:17:00.0/host0/target0:2:0/0:2:0:0/block/sda",
                Transport::Other,
            ),
        ] {
            assert_eq!(read(path).0, transport, "{path}");
        }
    }

    #[test]
    fn bus_numbers_behind_bridges_do_not_count() {
        let (_, first) =
            read("/sys/devices/pci0000:00/0000:00:1d.0/0000:01:00.0/virtio0/block/vda");
        let (_, moved) =
            read("/sys/devices/pci0000:00/0000:00:1d.0/0000:07:00.0/virtio3/block/vdb");
        assert_eq!(first.pci, [0, 0, 0x1d << 3, 0]);
        assert_eq!(first.pci, moved.pci);
        assert_eq!(first.text, "0000:01:00.0");
    }

    #[test]
    fn scsi_targets_are_units() {
        let (_, place) = read(
            "/sys/devices/pci0000:00/0000:00:05.0/virtio2/host2/target2:0:3/2:0:3:1/block/sda",
        );
        assert_eq!(place.unit, [0, 3, 1]);
    }

    #[test]
    fn strange_paths_are_other_and_nothing_worse() {
        for path in ["", "/", "/sys/devices/pci:/x", "/sys/devices/::::/....", "/a/ata/host/x"] {
            assert_eq!(read(path).0, Transport::Other, "{path}");
        }
    }
}

//! Which disks count, and the numbers they have.
//!
//! The numbers of a profile are places, not names: the same disks in the same slots
//! have the same numbers on every boot, whatever the kernel calls them.

use std::cmp::Ordering;

use crate::config::mkdisk_conf::{DiskOrder, MkdiskConf};

use super::inventory::Disk;

/// Why a disk has no number: it is not written to, whatever the profile says.
fn find_exclusion(disk: &Disk, all: &[Disk], uses_virtual: bool) -> Option<String> {
    let transport = disk.transport.name();
    if disk.transport.group().is_none() {
        return Some(format!("attached by {transport}"));
    }
    if disk.transport.is_virtual() && !uses_virtual {
        return Some(format!("attached by {transport}, and MKDISK_VIRTUAL is not true"));
    }
    if disk.is_removable {
        return Some("removable".to_owned());
    }
    if disk.is_read_only {
        return Some("read-only".to_owned());
    }
    if disk.size_bytes == 0 {
        return Some("no capacity".to_owned());
    }
    if disk.is_multipath_leg {
        return Some("a leg of a multipath disk".to_owned());
    }
    let twin = all
        .iter()
        .find(|other| !disk.wwid.is_empty() && other.wwid == disk.wwid && other.name != disk.name);
    twin.map(|twin| format!("the same disk as {}: a leg of a multipath disk", twin.name))
}

/// A disk with its number, or with the reason why it has none.
pub(super) struct Numbered<'a> {
    pub disk: &'a Disk,
    pub number: Result<u32, String>,
}

/// Numbers the disks from 1; those that do not count come last.
pub(super) fn number_disks<'a>(disks: &'a [Disk], conf: &MkdiskConf) -> Vec<Numbered<'a>> {
    let mut counted: Vec<&Disk> = Vec::new();
    let mut excluded: Vec<Numbered<'a>> = Vec::new();
    for disk in disks {
        match find_exclusion(disk, disks, conf.uses_virtual) {
            None => counted.push(disk),
            Some(reason) => excluded.push(Numbered { disk, number: Err(reason) }),
        }
    }
    counted.sort_by(|a, b| compare(a, b, conf.order));
    excluded.sort_by(|a, b| by_place(a.disk, b.disk));
    let numbered =
        (1u32..).zip(counted).map(|(number, disk)| Numbered { disk, number: Ok(number) });
    numbered.chain(excluded).collect()
}

fn compare(a: &Disk, b: &Disk, order: DiskOrder) -> Ordering {
    match order {
        DiskOrder::Path => by_place(a, b),
        DiskOrder::Size => a.size_bytes.cmp(&b.size_bytes).then_with(|| by_place(a, b)),
        DiskOrder::Serial => a.serial.cmp(&b.serial).then_with(|| by_place(a, b)),
    }
}

/// Never by the kernel's name: two disks in one place are told apart by what they
/// say of themselves.
fn by_place(a: &Disk, b: &Disk) -> Ordering {
    let key = |disk: &Disk| disk.transport.group().unwrap_or(u8::MAX);
    key(a)
        .cmp(&key(b))
        .then_with(|| a.place.cmp(&b.place))
        .then_with(|| a.wwid.cmp(&b.wwid))
        .then_with(|| a.serial.cmp(&b.serial))
}

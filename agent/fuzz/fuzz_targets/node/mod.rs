//! A node to plan for.

use rsinit::format::md::{self, Superblock};
use rsinit::format::signature::{Contents, Signature, What, Windows, encode_marker, identify};
use rsinit::plan::disks::inventory::{DeviceNumber, Disk, Inventory, Place, Transport};

/// Eight blank disks.
pub fn blank() -> Inventory {
    Inventory { disks: (1..=8).map(disk).collect(), arrays: Vec::new() }
}

/// The same with a mirror, half a mirror, a foreign file system, something mounted, an
/// unreadable disk and one that is small.
pub fn used() -> Inventory {
    let mut inventory = blank();
    let [one, two, three, four, five, six, seven, ..] = inventory.disks.as_mut_slice() else {
        return inventory;
    };
    for (slot, disk) in [(0, one), (1, two)] {
        disk.contents = Ok(member("rsinit:system", slot));
        disk.inner = Some(holding(&encode_marker("system")));
    }
    three.contents = Ok(member("rsinit:scratch", 1));
    four.contents = Ok(Contents { found: vec![Signature { offset: 0, what: What::Known("xfs") }] });
    five.mounted = vec!["/x".to_owned()];
    six.contents = Err("input/output error".to_owned());
    seven.size_bytes = 1 << 20;
    inventory
}

/// Whether the disk belongs to an array of ours that nothing was ever stored on.
pub fn is_unfinished(disk: &Disk) -> bool {
    disk.inner.as_ref().is_some_and(|inner| inner.formatting().is_some())
}

fn disk(slot: u32) -> Disk {
    Disk {
        name: format!("nvme{slot}n1"),
        device: DeviceNumber { major: 259, minor: slot },
        transport: if slot < 6 { Transport::Nvme } else { Transport::Sata },
        place: Place { pci: vec![0, 0, slot], unit: vec![1], text: format!("slot {slot}") },
        model: "M".to_owned(),
        serial: format!("S{slot}"),
        wwid: format!("nvme.S{slot}"),
        size_bytes: u64::from(slot) << 30,
        logical_block_bytes: if slot.is_multiple_of(2) { 512 } else { 4096 },
        is_read_only: false,
        is_removable: false,
        holders: Vec::new(),
        is_multipath_leg: false,
        partitions: Vec::new(),
        mounted: Vec::new(),
        is_swap: false,
        discard_bytes: if slot.is_multiple_of(3) { 0 } else { 1 << 31 },
        nvme: None,
        contents: Ok(Contents::default()),
        inner: None,
    }
}

fn holding(head: &[u8]) -> Contents {
    identify(Windows { size_bytes: 1 << 20, head, tail: &[] })
}

fn member(name: &str, slot: u16) -> Contents {
    let superblock = Superblock {
        feature_map: 0,
        set_uuid: [7; 16],
        set_name: name.to_owned(),
        ctime_s: 1,
        utime_s: 1,
        level: 1,
        layout: 0,
        size_sectors: 1000,
        chunk_sectors: 0,
        raid_disks: 2,
        bitmap_offset_sectors: 0,
        data_offset_sectors: 2048,
        data_size_sectors: 1000,
        super_offset_sectors: 8,
        dev_number: u32::from(slot),
        device_uuid: [0; 16],
        events: 5,
        resync_offset: md::RESYNC_DONE,
        roles: vec![0, 1],
    };
    let what = What::Md { minor: 2, superblock: Box::new(superblock) };
    Contents { found: vec![Signature { offset: md::SUPER_OFFSET_1_2, what }] }
}

//! The cases of the plan: what is written to, what is not, and why.

mod general;
mod hostile;
mod keep;
mod lanes;
mod wipe;

use super::inventory::*;
use super::*;
use crate::config::{mkdisk_conf, profile};
use crate::format::md::{self, Superblock};
use crate::format::signature::{Contents, Signature, What};

const GIB: u64 = 1 << 30;
const SITE: &str = "disk_config[1]=\"\"\ndisk_config[2]=\"raid1:ext4:/system\"\n\
                    disk_config[4]=\"raid0:ext4:/scratch\"\n";

fn disk(slot: u32) -> Disk {
    Disk {
        name: format!("nvme{slot}n1"),
        device: DeviceNumber { major: 259, minor: slot },
        transport: Transport::Nvme,
        place: Place { pci: vec![0, 0, slot], unit: vec![1], text: format!("slot {slot}") },
        model: "M".into(),
        serial: format!("S{slot}"),
        wwid: format!("nvme.S{slot}"),
        size_bytes: GIB,
        logical_block_bytes: 512,
        is_read_only: false,
        is_removable: false,
        holders: Vec::new(),
        is_multipath_leg: false,
        partitions: Vec::new(),
        mounted: Vec::new(),
        is_swap: false,
        discard_bytes: 0,
        nvme: None,
        contents: Ok(Contents::default()),
        inner: None,
    }
}

fn node(count: u32) -> Inventory {
    Inventory { disks: (1..=count).map(disk).collect(), arrays: Vec::new() }
}

fn contents(what: What) -> Contents {
    Contents { found: vec![Signature { offset: 0, what }] }
}

fn holding(name: &'static str) -> Result<Contents, String> {
    Ok(contents(What::Known(name)))
}

fn ext4() -> Contents {
    let mut head = vec![0u8; 4096];
    head[1024 + 0x38..1024 + 0x3a].copy_from_slice(&[0x53, 0xef]);
    head[1024 + 0x60] = 0x40;
    let windows = crate::format::signature::Windows { size_bytes: 1 << 20, head: &head, tail: &[] };
    crate::format::signature::identify(windows)
}

struct Leg {
    level: i32,
    slot: u16,
    of: u32,
    events: u64,
    name: &'static str,
}

fn superblock(leg: &Leg) -> Superblock {
    // More members than slots are spares.
    let slots = u16::try_from(leg.of).unwrap();
    let role = |number| if number < slots { number } else { md::ROLE_SPARE };
    let roles = (0..slots.max(leg.slot + 1)).map(role).collect();
    Superblock {
        feature_map: 0,
        set_uuid: [u8::try_from(leg.name.len()).unwrap(); 16],
        set_name: leg.name.into(),
        ctime_s: 1,
        utime_s: 1,
        level: leg.level,
        layout: 0,
        size_sectors: 1000,
        chunk_sectors: 1024,
        raid_disks: leg.of,
        bitmap_offset_sectors: 0,
        data_offset_sectors: 2048,
        data_size_sectors: 1000,
        super_offset_sectors: 8,
        dev_number: u32::from(leg.slot),
        device_uuid: [0; 16],
        events: leg.events,
        resync_offset: md::RESYNC_DONE,
        roles,
    }
}

/// Makes a disk a member of an array that holds an ext4.
fn join(disk: &mut Disk, leg: Leg) {
    let superblock = Box::new(superblock(&leg));
    disk.contents = Ok(contents(What::Md { minor: 2, superblock }));
    disk.inner = (leg.level == 1 || leg.slot == 0).then(ext4);
}

fn mirror(inventory: &mut Inventory, slots: &[(usize, u64)], name: &'static str) {
    for (slot, &(index, events)) in (0u16..).zip(slots) {
        join(&mut inventory.disks[index], Leg { level: 1, slot, of: 2, events, name });
    }
}

fn plan_with(conf: &str, profile: &str, inventory: &Inventory, brake: Brake) -> DiskPlan {
    let text = format!("MKDISK_PROFILE=p\n{conf}");
    let conf = mkdisk_conf::parse(text.as_bytes()).unwrap();
    let profile = profile::parse(profile.as_bytes()).unwrap();
    plan_disks(&Request { conf: &conf, profile: &profile, brake, inventory })
}

fn plan(conf: &str, inventory: &Inventory) -> DiskPlan {
    plan_with(conf, SITE, inventory, Brake::Auto)
}

fn steps(plan: &DiskPlan) -> Vec<String> {
    plan.steps().map(ToString::to_string).collect()
}

fn wiped(plan: &DiskPlan) -> Vec<u32> {
    plan.steps()
        .filter_map(|step| match step {
            Step::Wipe { disk, .. } => Some(disk.number),
            _ => None,
        })
        .collect()
}

/// Numbers of all disks that any step writes to.
fn written(plan: &DiskPlan) -> Vec<u32> {
    let mut numbers: Vec<u32> = plan
        .steps()
        .flat_map(|step| match step {
            Step::Wipe { disk, .. }
            | Step::AddMember { disk, .. }
            | Step::MarkFormatting { disk, .. } => vec![disk.number],
            Step::CreateArray { members, .. } | Step::AssembleArray { members, .. } => {
                members.iter().map(|member| member.number).collect()
            }
            _ => Vec::new(),
        })
        .collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}

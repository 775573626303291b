//! The cases of the plan: what is written to, what is not, and why.

use proptest::prelude::*;

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
    let roles = (0..u16::try_from(leg.of).unwrap()).collect();
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

#[test]
fn the_site_profile_on_blank_disks_makes_a_mirror_and_a_stripe() {
    let conf = "MOVE_DIRS=/var/log:/system/log,/tmp:/system/tmp\nFSCACHE_DIR=/scratch/fscache";
    let plan = plan(conf, &node(6));
    assert_eq!(
        steps(&plan),
        [
            "create md0 raid1 \"rsinit:system\" of nvme2n1 nvme3n1",
            "make ext4 \"system\" on md0",
            "create md1 raid0 \"rsinit:scratch\" of nvme4n1 nvme5n1 nvme6n1",
            "make ext4 \"scratch\" on md1",
            "mount md0 on /system",
            "mount md1 on /scratch",
            "move /var/log to /system/log",
            "move /tmp to /system/tmp",
            "make /scratch/fscache for the file-system cache",
        ]
    );
    assert_eq!((plan.refusals, plan.warnings), (Vec::<String>::new(), Vec::new()));
}

#[test]
fn the_stripe_is_told_to_ext4() {
    let plan = plan("", &node(7));
    let widths: Vec<_> = plan
        .steps()
        .filter_map(|step| match step {
            Step::MakeFilesystem { stride_blocks, stripe_width_blocks, .. } => {
                Some((*stride_blocks, *stripe_width_blocks))
            }
            _ => None,
        })
        .collect();
    assert_eq!(widths, [(0, 0), (128, 512)]);
}

#[test]
fn wiping_names_what_is_lost_and_leaves_disk_one_alone() {
    let mut inventory = node(5);
    inventory.disks[0].contents = holding("LVM");
    inventory.disks[1].contents = holding("LUKS");
    inventory.disks[4].contents = holding("xfs");
    let plan = plan("WIPE_ON_BOOT=true", &inventory);
    assert_eq!(wiped(&plan), [2, 5]);
    assert_eq!(written(&plan), [2, 3, 4, 5]);
    assert_eq!(
        steps(&plan)[0],
        "wipe disk 2 (nvme2n1): holds LUKS; WIPE_ON_BOOT=true covers line 2"
    );
}

#[test]
fn foreign_content_is_refused_without_wiping_and_the_other_range_goes_on() {
    let mut inventory = node(5);
    inventory.disks[2].contents = holding("LVM");
    let plan = plan("", &inventory);
    assert_eq!(written(&plan), [4, 5]);
    assert_eq!(
        plan.refusals,
        ["raid1 /system (disks 2-3, line 2): disk 3 (nvme3n1 serial S3) holds LVM; \
          WIPE_ON_BOOT is not true"]
    );
}

#[test]
fn a_disk_in_use_is_refused_even_when_wiping() {
    let mut inventory = node(5);
    inventory.disks[1].mounted = vec!["/data".into()];
    inventory.disks[3].holders = vec!["dm-0".into()];
    let plan = plan("WIPE_ON_BOOT=true", &inventory);
    assert_eq!(written(&plan), Vec::<u32>::new());
    assert!(plan.refusals[0].contains("is mounted on /data: not even WIPE_ON_BOOT=true"));
    assert!(plan.refusals[1].contains("is held by dm-0"));
    inventory.disks[1].mounted.clear();
    inventory.disks[1].is_swap = true;
    assert!(
        plan_with("WIPE_ON_BOOT=true", SITE, &inventory, Brake::Auto).refusals[0].contains("swap")
    );
}

#[test]
fn a_disk_that_cannot_be_read_is_refused() {
    let mut inventory = node(3);
    inventory.disks[2].contents = Err("Input/output error".into());
    for conf in ["", "WIPE_ON_BOOT=true"] {
        let plan = plan(conf, &inventory);
        assert_eq!(written(&plan), Vec::<u32>::new(), "{conf}");
        assert!(plan.refusals[0].contains("cannot be read: Input/output error"));
    }
}

#[test]
fn the_brakes_hold() {
    let mut inventory = node(5);
    inventory.disks[3].contents = holding("xfs");
    let keep = plan_with("WIPE_ON_BOOT=true", SITE, &inventory, Brake::Keep);
    assert_eq!(written(&keep), Vec::<u32>::new());
    assert!(keep.refusals[0].contains("rsinit.disk=keep makes nothing"));
    mirror(&mut inventory, &[(1, 5), (2, 5)], "rsinit:system");
    let keep = plan_with("WIPE_ON_BOOT=true", SITE, &inventory, Brake::Keep);
    assert_eq!(steps(&keep), ["assemble md0 of nvme2n1 nvme3n1", "mount md0 on /system"]);
}

#[test]
fn our_arrays_are_started_and_mounted() {
    let mut inventory = node(5);
    mirror(&mut inventory, &[(1, 5), (2, 5)], "rsinit:system");
    for slot in [0u16, 1] {
        let leg = Leg { level: 0, slot, of: 2, events: 0, name: "rsinit:scratch" };
        join(&mut inventory.disks[3 + usize::from(slot)], leg);
    }
    let plan = plan("", &inventory);
    assert_eq!(
        steps(&plan),
        [
            "assemble md0 of nvme2n1 nvme3n1",
            "assemble md1 of nvme4n1 nvme5n1",
            "mount md0 on /system",
            "mount md1 on /scratch",
        ]
    );
}

#[test]
fn an_array_that_mdadm_made_of_exactly_these_disks_is_ours() {
    let mut inventory = node(3);
    mirror(&mut inventory, &[(1, 9), (2, 9)], "node1:0");
    assert_eq!(
        steps(&plan("", &inventory)),
        ["assemble md0 of nvme2n1 nvme3n1", "mount md0 on /system"]
    );
    // One more disk in the range, or another level: not exactly these.
    let wide = "disk_config[1]=\"\"\ndisk_config[2]=\"raid1:ext4:/system\"";
    let mut more = node(4);
    mirror(&mut more, &[(1, 9), (2, 9)], "node1:0");
    assert!(plan_with("", wide, &more, Brake::Auto).is_idle());
    let striped = "disk_config[1]=\"\"\ndisk_config[2]=\"raid0:ext4:/system\"";
    let other = plan_with("", striped, &inventory, Brake::Auto);
    assert!(other.is_idle() && other.refusals[0].contains("of level 1, not raid0"), "{other}");
}

#[test]
fn arrays_of_another_volume_are_not_taken_for_this_one() {
    let mut inventory = node(3);
    mirror(&mut inventory, &[(1, 9), (2, 9)], "rsinit:other");
    let plan = plan("", &inventory);
    assert!(plan.is_idle());
    assert!(plan.refusals[0].contains("rsinit:other"), "{plan}");
}

#[test]
fn a_mirror_with_one_leg_starts_and_says_so() {
    let mut inventory = node(3);
    mirror(&mut inventory, &[(1, 9), (2, 9)], "rsinit:system");
    inventory.disks.remove(2);
    let plan = plan("", &inventory);
    assert_eq!(steps(&plan)[0], "assemble md0 of nvme2n1, 1 missing");
    assert!(plan.warnings[0].contains("1 of 2 mirror legs are missing"));
}

#[test]
fn a_returned_leg_is_added_back() {
    let mut inventory = node(3);
    mirror(&mut inventory, &[(1, 20), (2, 9)], "rsinit:system");
    let plan = plan("", &inventory);
    assert_eq!(
        steps(&plan)[..2],
        ["assemble md0 of nvme2n1, 1 missing", "add returned disk 3 (nvme3n1) to md0"]
    );
}

#[test]
fn legs_that_went_on_without_each_other_are_not_joined() {
    let mut inventory = node(3);
    mirror(&mut inventory, &[(1, 20), (2, 9)], "rsinit:system");
    let Ok(contents) = &mut inventory.disks[2].contents else { panic!() };
    let What::Md { superblock, .. } = &mut contents.found[0].what else { panic!() };
    superblock.roles[0] = md::ROLE_FAULTY;
    let plan = plan("", &inventory);
    assert_eq!(written(&plan), [2]);
    assert!(plan.warnings.iter().any(|text| text.contains("its data differ")), "{plan}");
}

#[test]
fn a_blank_disk_takes_the_place_of_a_dead_leg() {
    let mut inventory = node(3);
    mirror(&mut inventory, &[(1, 20)], "rsinit:system");
    let steps = steps(&plan("", &inventory));
    assert_eq!(steps[1], "add blank disk 3 (nvme3n1) to md0");
    let keep = plan_with("", SITE, &inventory, Brake::Keep);
    assert_eq!(written(&keep), [2]);
}

#[test]
fn a_stripe_with_a_leg_missing_is_refused() {
    let mut inventory = node(5);
    join(
        &mut inventory.disks[3],
        Leg { level: 0, slot: 0, of: 2, events: 0, name: "rsinit:scratch" },
    );
    let plan = plan("", &inventory);
    assert!(plan.refusals[0].ends_with("1 of its 2 members are missing"), "{plan}");
    assert_eq!(written(&plan), [2, 3]);
}

#[test]
fn a_missing_disk_shifts_numbers_but_not_arrays() {
    // Disk 3 has died: what was disk 4 has its number now.
    let mut inventory = node(5);
    mirror(&mut inventory, &[(1, 9), (2, 9)], "rsinit:system");
    for slot in [0u16, 1] {
        let leg = Leg { level: 0, slot, of: 2, events: 0, name: "rsinit:scratch" };
        join(&mut inventory.disks[3 + usize::from(slot)], leg);
    }
    inventory.disks.remove(2);
    let plan = plan("", &inventory);
    assert_eq!(
        steps(&plan)[..2],
        ["assemble md0 of nvme2n1, 1 missing", "assemble md1 of nvme4n1 nvme5n1"]
    );
}

#[test]
fn a_member_that_slid_into_an_empty_entry_is_not_opened() {
    let mut inventory = node(3);
    mirror(&mut inventory, &[(1, 9), (2, 9)], "rsinit:system");
    inventory.disks.remove(0);
    let plan = plan("", &inventory);
    assert!(plan.is_idle());
    assert!(plan.refusals[0].contains("the profile leaves it alone"), "{plan}");
}

#[test]
fn what_is_kept_survives_wiping_even_under_another_number() {
    let kept = "disk_config[1]=\"raid0:ext4:/scratch\"\ndisk_config[3]=\"raid1:ext4:/system:keep\"";
    let mut inventory = node(4);
    mirror(&mut inventory, &[(2, 9), (3, 9)], "rsinit:system");
    let all = plan_with("WIPE_ON_BOOT=true", kept, &inventory, Brake::Auto);
    assert_eq!(steps(&all)[2], "assemble md1 of nvme3n1 nvme4n1");
    inventory.disks.remove(0);
    let shifted = plan_with("WIPE_ON_BOOT=true", kept, &inventory, Brake::Auto);
    assert_eq!(wiped(&shifted), Vec::<u32>::new());
    assert!(shifted.refusals[0].contains("which line 2 keeps"), "{shifted}");
}

#[test]
fn an_unfinished_array_is_made_again_first_member_last() {
    let mut inventory = node(5);
    for slot in [0u16, 1] {
        let leg = Leg { level: 0, slot, of: 2, events: 0, name: "rsinit:scratch" };
        join(&mut inventory.disks[3 + usize::from(slot)], leg);
    }
    inventory.disks[3].inner = Some(contents(What::Formatting("scratch".into())));
    let plan = plan("", &inventory);
    assert_eq!(wiped(&plan), [5, 4]);
    // The last superblocks were not written any more.
    inventory.disks[4].contents = Ok(Contents::default());
    assert_eq!(wiped(&plan_with("", SITE, &inventory, Brake::Auto)), [4]);
    // A disk of somebody else is in the range: nothing is wiped.
    inventory.disks[4].contents = holding("LVM");
    assert!(wiped(&plan_with("", SITE, &inventory, Brake::Auto)).is_empty());
}

#[test]
fn an_array_with_something_else_on_it_is_not_touched() {
    let mut inventory = node(3);
    mirror(&mut inventory, &[(1, 9), (2, 9)], "rsinit:system");
    for disk in &mut inventory.disks[1..] {
        disk.inner = Some(contents(What::Known("xfs")));
    }
    let plan = plan("", &inventory);
    assert!(
        plan.is_idle() && plan.refusals[0].ends_with("its array holds xfs, not ext4"),
        "{plan}"
    );
}

fn running(name: &str, disks: &[u32], busy: Option<&str>) -> RunningArray {
    RunningArray {
        name: name.into(),
        disks: disks.iter().map(|slot| format!("nvme{slot}n1")).collect(),
        has_partitions: false,
        is_active: true,
        busy: busy.map(str::to_owned),
    }
}

#[test]
fn an_array_that_runs_already_is_adopted_or_stopped() {
    let mut inventory = node(3);
    mirror(&mut inventory, &[(1, 9), (2, 9)], "rsinit:system");
    inventory.arrays = vec![running("md127", &[2, 3], None)];
    assert_eq!(steps(&plan("", &inventory)), ["use md127 as it runs", "mount md127 on /system"]);
    let wipe = plan("WIPE_ON_BOOT=true", &inventory);
    assert_eq!(steps(&wipe)[0], "stop md127: its disks are wiped");
    inventory.arrays[0].is_active = false;
    assert_eq!(steps(&plan("", &inventory))[0], "stop md127: it is not complete");
}

#[test]
fn an_array_that_is_used_or_shared_is_not_stopped() {
    let mut inventory = node(3);
    mirror(&mut inventory, &[(1, 9), (2, 9)], "rsinit:system");
    inventory.arrays = vec![running("md127", &[2, 3], Some("mounted on /data"))];
    let mounted = plan("WIPE_ON_BOOT=true", &inventory);
    assert!(mounted.is_idle() && mounted.refusals[0].contains("md127 is mounted on /data"));
    inventory.arrays = vec![running("md127", &[1, 2, 3], None)];
    let shared = plan("WIPE_ON_BOOT=true", &inventory);
    assert!(shared.is_idle() && shared.refusals[0].contains("nvme1n1, which is not to be wiped"));
}

#[test]
fn disks_that_must_not_be_used_have_no_number() {
    let mut inventory = node(8);
    inventory.disks[0].transport = Transport::Usb;
    inventory.disks[1].is_removable = true;
    inventory.disks[2].is_read_only = true;
    inventory.disks[3].size_bytes = 0;
    inventory.disks[4].is_multipath_leg = true;
    inventory.disks[5].wwid = inventory.disks[6].wwid.clone();
    inventory.disks[7].transport = Transport::NvmeFabrics;
    let plan =
        plan_with("WIPE_ON_BOOT=true", "disk_config[1]=raid0:ext4:/s", &inventory, Brake::Auto);
    assert!(plan.is_idle());
    assert_eq!(plan.disks.iter().filter(|row| row.number.is_some()).count(), 0);
    let reasons: Vec<&str> = plan.disks.iter().map(|row| row.reason.as_str()).collect();
    assert!(reasons.contains(&"attached by USB") && reasons.contains(&"read-only"), "{reasons:?}");
}

#[test]
fn ranges_without_disks_and_required_ones_are_told() {
    let plan = plan("MKDISK_REQUIRED=true", &node(1));
    assert_eq!(plan.refusals[0], "raid1 /system (disk 2, line 2): the node has no disk 2");
    assert!(plan.is_required_missing);
    let optional = plan_with("", SITE, &node(1), Brake::Auto);
    assert!(!optional.is_required_missing);
    let entry = "disk_config[1]=raid0:ext4:/a\ndisk_config[2]=raid0:ext4:/b:required";
    assert!(plan_with("", entry, &node(1), Brake::Auto).is_required_missing);
}

#[test]
fn one_disk_for_a_mirror_makes_one_that_waits_for_its_second_leg() {
    let plan = plan("", &node(2));
    assert_eq!(steps(&plan)[0], "create md0 raid1 \"rsinit:system\" of nvme2n1, 1 missing");
    assert!(plan.warnings[0].contains("waits for its second leg"));
}

#[test]
fn folders_move_only_to_volumes_that_will_be_mounted() {
    let conf = "MOVE_DIRS=/tmp:/elsewhere/tmp,/var/log:/system/log\nFSCACHE_DIR=/nowhere/x";
    let plan = plan(conf, &node(1));
    assert!(plan.is_idle());
    assert_eq!(plan.refusals.len(), 5, "{plan}");
    assert!(
        plan.refusals
            .iter()
            .any(|text| text == "FSCACHE_DIR: /nowhere/x is not on a mounted volume")
    );
}

#[test]
fn single_disks_are_made_mounted_and_told_apart() {
    let profile = "disk_config[1]=none:ext4:/data";
    let plan = plan_with("", profile, &node(2), Brake::Auto);
    assert_eq!(
        steps(&plan)[..2],
        ["mark disk 1 (nvme1n1) for data", "make ext4 \"data\" on nvme1n1"]
    );
    assert_eq!(steps(&plan)[4], "mount nvme1n1 on /data/disk1");
    let mut inventory = node(1);
    inventory.disks[0].contents = Ok(ext4());
    let foreign = plan_with("", profile, &inventory, Brake::Auto);
    assert!(foreign.is_idle() && foreign.refusals[0].contains("not an ext4 labelled \"data\""));
    inventory.disks[0].contents = Ok(contents(What::Formatting("data".into())));
    assert_eq!(wiped(&plan_with("", profile, &inventory, Brake::Auto)), [1]);
}

#[test]
fn unequal_and_mixed_disks_are_warned_about() {
    let mut inventory = node(5);
    inventory.disks[4].size_bytes = 4 * GIB;
    inventory.disks[4].logical_block_bytes = 4096;
    let plan = plan("", &inventory);
    assert!(plan.warnings.iter().any(|text| text.contains("60 % of the capacity")), "{plan}");
    assert!(plan.warnings.iter().any(|text| text.contains("512 and 4096 bytes")));
}

#[test]
fn the_table_and_the_json_say_the_same() {
    let plan = plan("", &node(3));
    let table = plan.to_string();
    assert!(table.contains("2  nvme2n1  M      S2      1.0 GiB  slot 2"), "{table}");
    let json = serde_json::to_value(&plan).unwrap();
    assert_eq!(json["disks"][1]["action"], "create");
    assert_eq!(json["ranges"][1]["steps"][0]["do"], "create_array");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// The kernel names disks in the order in which they answer.
    #[test]
    fn shuffled_names_give_the_same_assignment(order in Just((0u32..12).collect::<Vec<u32>>()).prop_shuffle()) {
        let mut inventory = node(12);
        for (disk, name) in inventory.disks.iter_mut().zip(&order) {
            disk.name = format!("nvme{name}n1");
        }
        inventory.disks.sort_by(|a, b| a.name.cmp(&b.name));
        let serials: Vec<String> = plan("", &inventory).disks.into_iter().map(|row| row.serial).collect();
        let expected: Vec<String> = (1..=12).map(|slot| format!("S{slot}")).collect();
        prop_assert_eq!(serials, expected);
    }

    /// Whatever the disks hold, no plan writes to disk 1, to one that is in use, or,
    /// without WIPE_ON_BOOT, to one with foreign content.
    #[test]
    fn no_plan_writes_where_it_must_not(kinds in proptest::collection::vec(0u8..6, 5), wipe in any::<bool>()) {
        let mut inventory = node(5);
        for (index, kind) in kinds.iter().enumerate() {
            let slot = u16::from(*kind % 2);
            match kind {
                1 => inventory.disks[index].contents = holding("LVM"),
                2 => inventory.disks[index].mounted = vec!["/x".into()],
                3 => join(&mut inventory.disks[index], Leg { level: 1, slot, of: 2, events: 3, name: "rsinit:system" }),
                4 => join(&mut inventory.disks[index], Leg { level: 0, slot, of: 2, events: 3, name: "rsinit:scratch" }),
                5 => inventory.disks[index].contents = Err("EIO".into()),
                _ => {}
            }
        }
        let conf = if wipe { "WIPE_ON_BOOT=true" } else { "" };
        for number in written(&plan(conf, &inventory)) {
            let kind = kinds[usize::try_from(number - 1).unwrap()];
            prop_assert!(number != 1);
            prop_assert!(kind != 2 && kind != 5);
            prop_assert!(wipe || kind != 1);
        }
    }
}

//! Ranges, numbers, mounts, and what holds for every plan.

use proptest::prelude::*;

use super::*;

#[test]
fn the_site_profile_on_blank_disks_makes_a_mirror_and_a_stripe() {
    let conf = "MOVE_DIRS=/var/log:/system/log,/tmp:/system/tmp\nFSCACHE_DIR=/scratch/fscache";
    let plan = plan(conf, &node(6));
    assert_eq!(
        steps(&plan),
        [
            "create md0 raid1 \"rsinit:system\" of nvme2n1 nvme3n1",
            "make ext4 \"system\" on md0 (inode tables zeroed later: no discard is asked for)",
            "create md1 raid0 \"rsinit:scratch\" of nvme4n1 nvme5n1 nvme6n1",
            "make ext4 \"scratch\" on md1 (inode tables zeroed later: no discard is asked for)",
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
fn an_array_without_a_file_system_bears_a_mark_until_it_runs() {
    let profile = "disk_config[1]=raid0";
    let plan = plan_with("", profile, &node(2), Brake::Auto);
    assert_eq!(
        steps(&plan),
        ["create md0 raid0 \"rsinit:disk1\" of nvme1n1 nvme2n1", "leave md0 bare"]
    );
    let mut inventory = node(2);
    join(
        &mut inventory.disks[0],
        Leg { level: 0, slot: 0, of: 2, events: 0, name: "rsinit:disk1" },
    );
    inventory.disks[0].inner = Some(contents(What::Formatting("disk1".into())));
    assert_eq!(wiped(&plan_with("", profile, &inventory, Brake::Auto)), [1]);
    // Without the mark it is a stripe that lost a member.
    inventory.disks[0].inner = Some(Contents::default());
    assert!(plan_with("", profile, &inventory, Brake::Auto).is_idle());
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
fn disks_are_numbered_by_kind_and_place_or_as_the_settings_say() {
    let mut inventory = node(5);
    let kinds = [Transport::VirtioBlk, Transport::Sas, Transport::Sata, Transport::Nvme];
    for ((disk, kind), (size, serial)) in
        inventory.disks.iter_mut().zip(kinds).zip([(5, "C"), (1, "E"), (4, "A"), (2, "D")])
    {
        disk.transport = kind;
        (disk.size_bytes, disk.serial) = (size * GIB, serial.into());
    }
    (inventory.disks[4].size_bytes, inventory.disks[4].serial) = (2 * GIB, "B".into());
    let plan = |conf: &str| {
        let conf = format!("MKDISK_VIRTUAL=true\n{conf}");
        plan_with(&conf, SITE, &inventory, Brake::Auto)
    };
    let numbered = |conf: &str| {
        let rows = plan(conf).disks.into_iter().filter(|row| row.number.is_some());
        rows.map(|row| row.name).collect::<Vec<_>>().join(" ")
    };
    let by_place = "nvme4n1 nvme5n1 nvme2n1 nvme3n1 nvme1n1";
    assert_eq!(numbered(""), by_place, "NVMe, then SATA and SAS, then virtual disks");
    assert_eq!(numbered("MKDISK_VIRTUAL=false"), "nvme4n1 nvme5n1 nvme2n1 nvme3n1");
    assert_eq!(numbered("MKDISK_ORDER=path"), by_place);
    // Equal sizes by place.
    assert_eq!(numbered("MKDISK_ORDER=size"), "nvme2n1 nvme4n1 nvme5n1 nvme3n1 nvme1n1");
    assert_eq!(numbered("MKDISK_ORDER=serial"), "nvme3n1 nvme5n1 nvme1n1 nvme4n1 nvme2n1");
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
    inventory.disks.extend(node(9).disks.pop());
    inventory.disks[8].transport = Transport::VirtioBlk;
    let plan =
        plan_with("WIPE_ON_BOOT=true", "disk_config[1]=raid0:ext4:/s", &inventory, Brake::Auto);
    assert!(plan.is_idle());
    assert_eq!(plan.disks.iter().filter(|row| row.number.is_some()).count(), 0);
    let reasons: Vec<&str> = plan.disks.iter().map(|row| row.reason.as_str()).collect();
    for reason in
        ["attached by USB", "read-only", "attached by virtio-blk, and MKDISK_VIRTUAL is not true"]
    {
        assert!(reasons.contains(&reason), "{reason}: {reasons:?}");
    }
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
    assert_eq!(steps(&plan)[0], "mark disk 1 (nvme1n1) for data");
    assert!(steps(&plan)[1].starts_with("make ext4 \"data\" on nvme1n1 (inode tables"));
    assert_eq!(steps(&plan)[4], "mount nvme1n1 on /data/disk1");
    let mut inventory = node(1);
    inventory.disks[0].contents = Ok(ext4());
    let foreign = plan_with("", profile, &inventory, Brake::Auto);
    assert!(foreign.is_idle() && foreign.refusals[0].contains("not ext4 labelled \"data\""));
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

#[test]
fn what_ext4_does_not_fit_on_is_refused_before_anything_is_made() {
    const MIB: u64 = 1 << 20;
    let refusal = |profile: &str, sizes: &[u64]| {
        let mut inventory = node(u32::try_from(sizes.len()).unwrap());
        for (disk, size) in inventory.disks.iter_mut().zip(sizes) {
            disk.size_bytes = *size;
        }
        let plan = plan_with("WIPE_ON_BOOT=true", profile, &inventory, Brake::Auto);
        assert_eq!(plan.is_idle(), !plan.refusals.is_empty(), "{plan}");
        plan.refusals.concat()
    };
    let small = "bytes are too few for ext4 with a journal: at least 16777216";
    let mirror = "disk_config[1]=raid1:ext4:/system";
    assert_eq!(
        refusal(mirror, &[17 * MIB - 512, 64 * MIB]),
        format!("raid1 /system (disks 1-2, line 1): 16773120 {small}")
    );
    assert_eq!(refusal(mirror, &[17 * MIB, 64 * MIB]), "");
    // Two shares of a stripe are room enough.
    let stripe = "disk_config[1]=raid0:ext4:/scratch";
    assert_eq!(refusal(stripe, &[16 * MIB, 16 * MIB]), "");
    assert!(refusal(stripe, &[16 * MIB]).ends_with(small));
    let plain = "disk_config[1]=none:ext4:/data";
    let found = refusal(plain, &[16 * MIB, 15 * MIB]);
    assert!(found.contains("disk 2 (nvme2n1") && found.ends_with(small), "{found}");
    assert_eq!(refusal("disk_config[1]=none:swap", &[15 * MIB]), "");
    // The profile's reader takes any ratio that some ext4 has.
    let many = refusal("disk_config[1]=none:ext4:/data:inode_ratio=4096", &[32 << 40]);
    assert!(many.contains("inodes: at most 4294967295"), "{many}");
    let few = refusal("disk_config[1]=none:ext4:/data:inode_ratio=67108864", &[GIB]);
    assert!(few.contains("67108864 bytes per inode"), "{few}");
}

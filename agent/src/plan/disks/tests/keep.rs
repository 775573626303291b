//! Without wiping: what is ours, and what is not.

use super::*;

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

#[test]
fn the_last_disks_of_a_mirror_can_be_spares() {
    let profile = "disk_config[1]=raid1:ext4:/system:spare=2";
    let made = |count| {
        let plan = plan_with("", profile, &node(count), Brake::Auto);
        (steps(&plan)[0].clone(), plan.warnings.concat())
    };
    let create = "create md0 raid1 \"rsinit:system\" of nvme1n1 nvme2n1";
    assert_eq!(made(4), (format!("{create} nvme3n1 nvme4n1, the last 2 spares"), String::new()));
    let few = |spares| {
        format!(
            "raid1 /system (disks 1-{}, line 1): {spares} of 2 spares: its disks are too few",
            spares + 2
        )
    };
    assert_eq!(made(3), (format!("{create} nvme3n1, the last a spare"), few(1)));
    assert_eq!(made(2), (create.to_owned(), few(0)));
}

#[test]
fn a_spare_is_started_with_its_mirror_however_old_it_is() {
    let mut inventory = node(4);
    mirror(&mut inventory, &[(1, 9), (2, 9), (3, 2)], "rsinit:system");
    let profile = "disk_config[2]=raid1:ext4:/system:spare";
    let plan = plan_with("", profile, &inventory, Brake::Auto);
    let wanted = ["assemble md0 of nvme2n1 nvme3n1 nvme4n1", "mount md0 on /system"];
    assert_eq!(
        (steps(&plan).as_slice(), plan.warnings.len()),
        (wanted.map(String::from).as_slice(), 0)
    );
}

#[test]
fn what_udev_left_of_a_stripe_that_lacks_a_disk_is_stopped_and_nothing_else() {
    let mut inventory = node(4);
    for (index, slot) in [(2, 0), (3, 1)] {
        let leg = Leg { level: 0, slot, of: 3, events: 4, name: "rsinit:scratch" };
        join(&mut inventory.disks[index], leg);
    }
    let left = |disks: &[&str], is_active, busy: Option<&str>| RunningArray {
        name: "md127".into(),
        disks: disks.iter().map(|&name| name.to_owned()).collect(),
        is_active,
        has_partitions: false,
        busy: busy.map(str::to_owned),
    };
    let (ours, more) = (["nvme3n1", "nvme4n1"], ["nvme3n1", "nvme2n1"]);
    for (array, expected) in [
        (left(&ours, false, None), &["stop md127: it is not complete"][..]),
        (left(&ours, false, Some("held")), &[]),
        (left(&ours, true, None), &[]),
        (left(&more, false, None), &[]),
    ] {
        inventory.arrays = vec![array];
        let profile = "disk_config[3]=raid0:ext4:/scratch";
        let plan = plan_with("", profile, &inventory, Brake::Auto);
        assert_eq!(steps(&plan), expected);
        let reason = "raid0 /scratch (disks 3-4, line 1): 1 of its 3 members are missing";
        assert_eq!((plan.refusals, plan.ranges[0].mounts.len()), (vec![reason.to_owned()], 0));
    }
}

//! What may be wiped or stopped, and what never is.

use super::*;

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
fn a_leg_that_a_running_mirror_was_started_without_is_added() {
    let mut inventory = node(3);
    mirror(&mut inventory, &[(1, 9), (2, 9)], "rsinit:system");
    inventory.arrays = vec![running("md9", &[2], None)];
    let plan = plan("", &inventory);
    let wanted =
        ["use md9 as it runs", "add returned disk 3 (nvme3n1) to md9", "mount md9 on /system"];
    assert_eq!(steps(&plan), wanted);
    assert!(plan.warnings[0].ends_with("1 of 2 mirror legs are missing"), "{plan}");
}

#[test]
fn a_leg_that_a_running_mirror_has_taken_in_is_not_added_again() {
    let mut inventory = node(3);
    mirror(&mut inventory, &[(1, 9), (2, 2)], "rsinit:system");
    inventory.arrays = vec![running("md9", &[2, 3], None)];
    assert_eq!(steps(&plan("", &inventory)), ["use md9 as it runs", "mount md9 on /system"]);
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

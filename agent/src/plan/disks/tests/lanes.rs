//! What may be made side by side.

use super::*;

#[test]
fn ranges_with_nothing_in_common_are_lanes_of_their_own() {
    let profile = "disk_config[1]=raid0:ext4:/a\ndisk_config[3]=none:ext4:/b\n\
                   disk_config[4]=\"\"\ndisk_config[5]=raid1:swap";
    let plan = plan_with("WIPE_ON_BOOT=true", profile, &node(6), Brake::Auto);
    assert_eq!(plan.lanes(), [vec![0], vec![1], vec![2], vec![3]]);
}

#[test]
fn ranges_that_stop_the_same_array_are_made_one_after_the_other() {
    let profile = "disk_config[1]=raid0:ext4:/a\ndisk_config[2]=raid0:ext4:/b\n\
                   disk_config[3]=raid0:ext4:/c";
    let mut inventory = node(3);
    inventory.arrays = vec![RunningArray {
        name: "md127".into(),
        disks: ["nvme1n1", "nvme3n1"].map(str::to_owned).into(),
        has_partitions: false,
        is_active: true,
        busy: None,
    }];
    let plan = plan_with("WIPE_ON_BOOT=true", profile, &inventory, Brake::Auto);
    assert_eq!(plan.lanes(), [vec![0, 2], vec![1]]);
}

proptest::proptest! {
    /// Whatever the disks hold, no device is in two lanes.
    #[test]
    fn no_device_is_in_two_lanes(kinds in proptest::collection::vec(0u8..4, 6), wipe in proptest::prelude::any::<bool>()) {
        let mut inventory = node(6);
        for (index, kind) in kinds.iter().enumerate() {
            let slot = u16::from(*kind % 2);
            match kind {
                1 => inventory.disks[index].contents = holding("LVM"),
                2 => join(&mut inventory.disks[index], Leg { level: 1, slot, of: 2, events: 3, name: "rsinit:system" }),
                3 => join(&mut inventory.disks[index], Leg { level: 0, slot, of: 2, events: 3, name: "rsinit:scratch" }),
                _ => {}
            }
        }
        let plan = plan(if wipe { "WIPE_ON_BOOT=true" } else { "" }, &inventory);
        let lanes = plan.lanes();
        let json = |lane: &Vec<usize>| -> String {
            lane.iter().map(|index| serde_json::to_string(&plan.ranges[*index].steps).unwrap()).collect()
        };
        let names = inventory.disks.iter().map(|disk| disk.name.clone()).chain(["md0", "md1"].map(str::to_owned));
        for name in names {
            let users = lanes.iter().filter(|lane| json(lane).contains(&format!("\"{name}\""))).count();
            proptest::prop_assert!(users <= 1, "{} is in {} lanes", name, users);
        }
        let mut all: Vec<usize> = lanes.concat();
        all.sort_unstable();
        proptest::prop_assert_eq!(all, (0..plan.ranges.len()).collect::<Vec<_>>());
    }
}

//! What sysfs and procfs say of a disk decides whether it is touched.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use rsinit::plan::disks::{Brake, DiskPlan};

use crate::fake::{MIB, Node};

const PROFILE: &str = "disk_config[1]=raid0:ext4:/scratch";

fn plan(node: &Node) -> DiskPlan {
    let prepared = node.boot_with(&node.kernel(), Brake::Plan);
    prepared.plan.expect("there is something to plan")
}

/// The real folder of a disk in sysfs.
fn folder(node: &Node, slot: usize) -> PathBuf {
    std::fs::canonicalize(node.layout.sys.join("block").join(&node.names[slot - 1])).unwrap()
}

fn put(path: impl AsRef<Path>, text: &str) {
    std::fs::create_dir_all(path.as_ref().parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

fn wiping(count: u32) -> Node {
    let mut node = Node::new(count, 32 * MIB);
    node.set("WIPE_ON_BOOT=true", PROFILE);
    node
}

#[test]
fn a_mounted_partition_keeps_its_disk() {
    let node = wiping(1);
    let partition = folder(&node, 1).join("nvme0n1p1");
    put(partition.join("partition"), "1\n");
    put(partition.join("dev"), "259:77\n");
    let line = "36 35 259:77 / /mnt/data rw,noatime master:1 - ext3 /dev/x rw\n";
    std::fs::write(node.layout.proc.join("self/mountinfo"), line).unwrap();
    let plan = plan(&node);
    assert!(plan.refusals[0].contains("is mounted on /mnt/data"), "{plan}");
}

#[test]
fn swap_and_holders_keep_their_disk() {
    let node = wiping(1);
    let swaps = "Filename Type Size Used Priority\n/dev/nvme0n1 partition 1 0 -2\n";
    std::fs::write(node.layout.proc.join("swaps"), swaps).unwrap();
    assert!(plan(&node).refusals[0].contains("is used as swap"));
    std::fs::remove_file(node.layout.proc.join("swaps")).unwrap();
    std::fs::create_dir_all(folder(&node, 1).join("holders/dm-3")).unwrap();
    assert!(plan(&node).refusals[0].contains("is held by dm-3"));
}

#[test]
fn a_leg_of_a_multipath_map_has_no_number() {
    let node = wiping(1);
    std::fs::create_dir_all(folder(&node, 1).join("holders/dm-0")).unwrap();
    let map = node.layout.sys.join("devices/virtual/block/dm-0");
    put(map.join("dm/uuid"), "mpath-3600\n");
    symlink(&map, node.layout.sys.join("block/dm-0")).unwrap();
    let plan = plan(&node);
    assert_eq!(plan.disks[0].reason, "a leg of a multipath disk");
    assert!(plan.is_idle());
}

#[test]
fn an_array_that_runs_on_a_partition_is_stopped_only_when_it_is_idle() {
    let node = wiping(2);
    let array = node.layout.sys.join("devices/virtual/block/md127");
    put(array.join("md/array_state"), "clean\n");
    put(array.join("dev"), "9:127\n");
    for slot in [1, 2] {
        let member = folder(&node, slot).join("p1");
        put(member.join("partition"), "1\n");
        put(member.join("dev"), &format!("259:{}\n", 80 + slot));
        std::fs::create_dir_all(member.join("holders")).unwrap();
        symlink(&array, member.join("holders/md127")).unwrap();
        std::fs::create_dir_all(array.join("slaves")).unwrap();
        symlink(&member, array.join(format!("slaves/d{slot}p1"))).unwrap();
    }
    symlink(&array, node.layout.sys.join("block/md127")).unwrap();
    let idle = plan(&node);
    assert_eq!(idle.steps().next().unwrap().to_string(), "stop md127: its disks are wiped");
    let line = "36 35 9:127 / /data rw - ext4 /dev/md127 rw\n";
    std::fs::write(node.layout.proc.join("self/mountinfo"), line).unwrap();
    let used = plan(&node);
    assert!(used.is_idle() && used.refusals[0].contains("md127 is mounted on /data"), "{used}");
}

#[test]
fn read_only_removable_and_remote_disks_are_not_used() {
    let node = wiping(3);
    put(folder(&node, 1).join("ro"), "1\n");
    put(folder(&node, 2).join("removable"), "1\n");
    put(folder(&node, 3).parent().unwrap().join("transport"), "tcp\n");
    let plan = plan(&node);
    let reasons: Vec<&str> = plan.disks.iter().map(|disk| disk.reason.as_str()).collect();
    assert_eq!(reasons, ["read-only", "removable", "attached by NVMe over a network"]);
    assert!(plan.is_idle());
}

#[test]
fn a_namespace_of_a_subsystem_is_where_its_controller_is() {
    let node = wiping(2);
    // The first disk becomes a head: its controller moves below a subsystem by link.
    let old = folder(&node, 1);
    let controller = old.parent().unwrap().to_owned();
    let subsystem = node.layout.sys.join("devices/virtual/nvme-subsystem/nvme-subsys0");
    std::fs::create_dir_all(&subsystem).unwrap();
    let name = node.names[0].clone();
    std::fs::rename(&old, subsystem.join(&name)).unwrap();
    symlink(&controller, subsystem.join(controller.file_name().unwrap())).unwrap();
    let link = node.layout.sys.join("block").join(&name);
    std::fs::remove_file(&link).unwrap();
    symlink(subsystem.join(&name), &link).unwrap();
    let plan = plan(&node);
    assert_eq!((plan.disks[0].number, plan.disks[0].name.as_str()), (Some(1), name.as_str()));
    assert_eq!(plan.disks[0].place, "0000:00:01.0 ns 1");
}

#[test]
fn a_disk_without_a_device_node_is_refused() {
    let node = wiping(1);
    std::fs::remove_file(node.disk(1)).unwrap();
    let plan = plan(&node);
    assert!(plan.refusals[0].contains("cannot be read: No such file"), "{plan}");
}

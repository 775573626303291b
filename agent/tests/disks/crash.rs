//! Power goes at every call that changes something: the next boot ends where an
//! undisturbed one would have.

use crate::fake::{MIB, Node};

/// Small disks: there are many boots here.
const DISK: u64 = 18 * MIB;
const PROFILE: &str = "disk_config[1]=\"\"\ndisk_config[2]=\"raid1:ext4:/system\"\n\
                       disk_config[4]=\"raid0:ext4:/scratch\"\ndisk_config[6]=\"none:ext4:/data\"\n";

fn node(conf: &str) -> Node {
    let mut node = Node::new(6, DISK);
    node.set(conf, PROFILE);
    node.write(1, 12345, b"canary");
    node
}

/// Cuts the power after each call in turn; returns how many points there were.
fn cut_everywhere(first: &str, second: &str, prepare: impl Fn(&Node)) -> usize {
    for point in 0.. {
        let mut node = node(first);
        prepare(&node);
        let canary = node.digest(1);
        let cut = node.kernel().with_fuse(point);
        let prepared = node.boot(&cut);
        let is_whole = prepared.mounted.len() == 3;
        cut.power_off();
        node.set(second, PROFILE);
        let again = node.kernel();
        let prepared = node.boot(&again);
        assert_eq!(
            prepared.mounted,
            ["/system", "/scratch", "/data"],
            "cut after {point}: {:#?}",
            prepared.lines
        );
        assert_eq!(canary, node.digest(1), "cut after {point}");
        if is_whole {
            return point;
        }
    }
    0
}

#[test]
fn making_arrays_on_blank_disks_can_be_cut_anywhere() {
    let points = cut_everywhere("WIPE_ON_BOOT=false", "WIPE_ON_BOOT=false", |_| {});
    assert!(points >= 30, "{points}");
}

#[test]
fn wiping_and_making_anew_can_be_cut_anywhere() {
    let dirty = |node: &Node| {
        node.write(2, 0, b"XFSB");
        node.write(5, 512, b"LABELONE");
        node.write(6, DISK - 512, b"EFI PART");
    };
    let points = cut_everywhere("WIPE_ON_BOOT=true", "WIPE_ON_BOOT=true", dirty);
    assert!(points >= 36, "{points}");
}

#[test]
fn a_boot_that_was_cut_while_wiping_is_finished_without_wiping_where_only_ours_is_left() {
    let points = cut_everywhere("WIPE_ON_BOOT=true", "WIPE_ON_BOOT=false", |_| {});
    assert!(points >= 30, "{points}");
}

/// Power goes twice: while the array is made, and while it is made again.
#[test]
fn making_an_unfinished_array_again_can_be_cut_too() {
    for first in [3, 4, 5, 8, 11] {
        for second in (0..20).step_by(3) {
            let mut node = Node::new(2, DISK);
            node.set("", "disk_config[1]=raid0:ext4:/scratch");
            for point in [first, second] {
                let cut = node.kernel().with_fuse(point);
                node.boot(&cut);
                cut.power_off();
            }
            let again = node.kernel();
            let prepared = node.boot(&again);
            assert_eq!(prepared.mounted, ["/scratch"], "{first}, {second}: {:#?}", prepared.lines);
        }
    }
}

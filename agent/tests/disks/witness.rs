//! mdadm reads what the agent wrote: it examines plain files.

use std::process::Command;

use crate::fake::{MIB, Node};

/// What `mdadm` says of a member, one `key : value` a line.
fn examine(node: &Node, slot: usize) -> String {
    let output = Command::new("mdadm").arg("--examine").arg(node.disk(slot)).output();
    let output = output.expect("running mdadm, the witness: apt-get install mdadm");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn value<'a>(text: &'a str, key: &str) -> &'a str {
    let line =
        text.lines().find_map(|line| line.trim().strip_prefix(key)?.trim().strip_prefix(':'));
    line.unwrap_or_else(|| panic!("no {key} in {text}")).trim()
}

#[test]
fn mdadm_finds_every_member_of_a_stripe_in_order() {
    let mut node = Node::new(3, 32 * MIB);
    node.set("WIPE_ON_BOOT=true", "disk_config[1]=raid0:ext4:/scratch");
    node.boot(&node.kernel());
    for slot in 1..=3 {
        let text = examine(&node, slot);
        assert!(value(&text, "Checksum").ends_with("- correct"), "{text}");
        assert_eq!(value(&text, "Name"), "rsinit:scratch");
        assert_eq!((value(&text, "Version"), value(&text, "Raid Level")), ("1.2", "raid0"));
        assert_eq!((value(&text, "Raid Devices"), value(&text, "Chunk Size")), ("3", "512K"));
        assert_eq!(value(&text, "Device Role"), format!("Active device {}", slot - 1));
        assert!(value(&text, "Array State").starts_with("AAA "), "{text}");
        assert_eq!(value(&text, "State"), "clean");
    }
}

#[test]
fn mdadm_finds_the_bitmap_of_a_mirror_that_is_kept() {
    let mut node = Node::new(2, 200 * MIB);
    node.set("", "disk_config[1]=raid1:ext4:/system");
    node.boot(&node.kernel());
    for slot in 1..=2 {
        let text = examine(&node, slot);
        assert!(value(&text, "Checksum").ends_with("- correct"), "{text}");
        assert_eq!(value(&text, "Internal Bitmap"), "8 sectors from superblock");
    }
}

#[test]
fn mdadm_sees_a_mirror_that_waits_for_its_second_leg() {
    let mut node = Node::new(1, 32 * MIB);
    node.set("WIPE_ON_BOOT=true", "disk_config[1]=raid1:ext4:/system");
    node.boot(&node.kernel());
    let text = examine(&node, 1);
    assert_eq!(value(&text, "Raid Devices"), "2");
    assert!(value(&text, "Array State").starts_with("A. "), "{text}");
}

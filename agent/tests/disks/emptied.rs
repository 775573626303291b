//! Discarding and erasing: only where asked for, only what is made anew, and what
//! follows for the inode tables.

use std::process::Command;

use rsinit::plan::disks::Brake;

use crate::fake::{Call, FakeKernel, MIB, Node, Nvme};

const GIB: u64 = 1 << 30;
/// A controller that discards to zeros and has one namespace.
const ZEROS: Nvme = Nvme {
    oacs: 0x2,
    fna: 0x4,
    dlfeat: 1,
    namespaces: 1,
    discard_ms: 0,
    is_deaf: false,
    fails: false,
};

fn node(conf: &str, profile: &str, bytes: u64) -> Node {
    let mut node = Node::new(2, bytes);
    node.set(conf, profile);
    node.can_discard(1 << 31);
    node
}

fn discards(kernel: &FakeKernel) -> Vec<(String, u64, u64)> {
    let discard = |call| match call {
        Call::Discard { device, offset, length } => Some((device, offset, length)),
        _ => None,
    };
    let mut all: Vec<_> = kernel.calls().into_iter().filter_map(discard).collect();
    all.sort();
    all
}

fn formats(kernel: &FakeKernel) -> Vec<(String, u32)> {
    let format = |call| match call {
        Call::Format { device, cdw10 } => Some((device, cdw10)),
        _ => None,
    };
    kernel.calls().into_iter().filter_map(format).collect()
}

/// Whether all groups of the ext4 on `md0` are marked as zeroed.
fn tables_are_zero(node: &Node) -> bool {
    let device = node.layout.dev.join("md0");
    let output = Command::new("/sbin/dumpe2fs").arg(device).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let groups: Vec<&str> = text.lines().filter(|line| line.contains(": (Blocks ")).collect();
    assert!(!groups.is_empty());
    groups.iter().all(|line| line.contains("ITABLE_ZEROED"))
}

#[test]
fn nothing_is_discarded_or_erased_unless_it_is_asked_for() {
    let node = node("WIPE_ON_BOOT=true", "disk_config[1]=raid0:ext4:/s", 32 * MIB);
    let kernel = node.kernel().with_nvme(ZEROS);
    node.boot(&kernel);
    assert!(discards(&kernel).is_empty() && formats(&kernel).is_empty());
    assert!(!tables_are_zero(&node));
}

#[test]
fn disks_are_discarded_between_their_ends_before_the_array_is_made() {
    let profile = "disk_config[1]=raid0:ext4:/s:discard";
    let node = node("WIPE_ON_BOOT=true", profile, 2 * GIB);
    node.write(1, 100 * MIB, b"old data");
    let kernel = node.kernel().with_nvme(ZEROS);
    let prepared = node.boot(&kernel);
    assert_eq!(prepared.mounted, ["/s"], "{:#?}", prepared.lines);
    let all = discards(&kernel);
    let parts = |device: &str| -> Vec<(u64, u64)> {
        all.iter().filter(|one| one.0 == device).map(|one| (one.1, one.2)).collect()
    };
    let expected = [(MIB, GIB), (GIB + MIB, GIB - 2 * MIB)];
    assert_eq!((parts("nvme0n1"), parts("nvme1n1")), (expected.to_vec(), expected.to_vec()));
    let calls = kernel.calls();
    let last = calls.iter().rposition(|call| matches!(call, Call::Discard { .. })).unwrap();
    let first = calls.iter().position(|call| matches!(call, Call::Write { .. })).unwrap();
    assert!(last < first, "{calls:?}");
    assert!(tables_are_zero(&node));
    let log = prepared.log_text();
    assert!(log.contains("inode tables zero if discarded to the end: the disks say"), "{log}");
}

#[test]
fn a_disk_that_does_not_follow_a_discard_proves_nothing() {
    let profile = "disk_config[1]=raid0:ext4:/s:discard";
    for (nvme, why) in [
        (Nvme { dlfeat: 0, ..ZEROS }, "does not say that emptied blocks read as zeros"),
        (Nvme { is_deaf: true, ..ZEROS }, "md0: not all of its disks were emptied"),
        (Nvme { fails: true, ..ZEROS }, "discarding: Remote I/O error"),
        (Nvme { discard_ms: 1500, ..ZEROS }, "2 s were over with "),
    ] {
        let node = node("", profile, 2 * GIB);
        // Where one of the samples is taken.
        node.write(2, GIB - 4096, &[1; 8192]);
        let kernel = node.kernel().with_nvme(nvme);
        let prepared = node.boot(&kernel);
        assert_eq!(prepared.mounted, ["/s"], "{:#?}", prepared.lines);
        assert!(!tables_are_zero(&node), "{nvme:?}");
        assert!(prepared.log_text().contains(why), "{why}: {:#?}", prepared.lines);
    }
}

#[test]
fn disks_that_are_found_again_or_spared_are_not_discarded() {
    let profile = "disk_config[1]=raid0:ext4:/s:discard\ndisk_config[2]=\"\"";
    let node = node("", profile, 32 * MIB);
    let kernel = node.kernel().with_nvme(ZEROS);
    node.boot(&kernel);
    assert!(discards(&kernel).iter().all(|(device, ..)| device == "nvme1n1"));
    kernel.power_off();
    let again = node.kernel().with_nvme(ZEROS);
    assert_eq!(node.boot(&again).mounted, ["/s"]);
    assert!(discards(&again).is_empty());
}

#[test]
fn a_disk_that_cannot_discard_is_named_and_used_all_the_same() {
    let mut node = Node::new(2, 32 * MIB);
    node.set("", "disk_config[1]=raid0:ext4:/s:discard");
    let prepared = node.boot(&node.kernel().with_nvme(ZEROS));
    assert_eq!(prepared.mounted, ["/s"]);
    assert!(
        prepared
            .lines
            .iter()
            .any(|line| line.contains("disk 1 (nvme1n1 serial S1) cannot discard"))
    );
}

const ERASE: &str = "disk_config[1]=raid0:ext4:/s:crypto_erase";

#[test]
fn a_new_key_is_asked_for_only_where_disks_are_wiped() {
    let node = node("WIPE_ON_BOOT=true", ERASE, 32 * MIB);
    node.write(1, 512, b"LABELONE");
    let kernel = node.kernel().with_nvme(ZEROS);
    let prepared = node.boot(&kernel);
    assert_eq!(prepared.mounted, ["/s"], "{:#?}", prepared.lines);
    assert_eq!(formats(&kernel), [("nvme1n1".into(), 0x400), ("nvme0n1".into(), 0x400)]);
    assert!(prepared.lines[0].starts_with("erase disk 1 (nvme1n1) by NVMe Format"));
    assert!(prepared.lines[0].ends_with("holds LVM; WIPE_ON_BOOT=true covers line 1"));
    assert!(tables_are_zero(&node));
    kernel.power_off();
    let mut node = node;
    node.set("WIPE_ON_BOOT=false", ERASE);
    let again = node.kernel().with_nvme(ZEROS);
    assert_eq!(node.boot(&again).mounted, ["/s"]);
    assert!(formats(&again).is_empty());
}

#[test]
fn an_erase_that_a_disk_cannot_do_or_that_hits_more_is_refused_before_any_write() {
    for (nvme, why) in [
        (Nvme { oacs: 0, ..ZEROS }, "has no Format NVM with a new key: crypto_erase refused"),
        (Nvme { fna: 0, ..ZEROS }, "has no Format NVM with a new key: crypto_erase refused"),
        (Nvme { fna: 0x5, namespaces: 2, ..ZEROS }, "is one of 2 namespaces, all of which"),
        (Nvme { fna: 0x6, namespaces: 3, ..ZEROS }, "is one of 3 namespaces, all of which"),
        (Nvme { namespaces: 0, fna: 0x6, ..ZEROS }, "is one of 0 namespaces, all of which"),
    ] {
        let node = node("WIPE_ON_BOOT=true", ERASE, 32 * MIB);
        node.write(1, 512, b"LABELONE");
        let before = node.digests();
        let kernel = node.kernel().with_nvme(nvme);
        let prepared = node.boot(&kernel);
        assert!(kernel.calls().is_empty(), "{nvme:?}: {:?}", kernel.calls());
        assert_eq!(before, node.digests());
        assert!(prepared.lines[0].contains(why), "{why}: {:#?}", prepared.lines);
    }
    let both = Nvme { fna: 0x4, namespaces: 4, ..ZEROS };
    let node = node("WIPE_ON_BOOT=true", ERASE, 32 * MIB);
    let kernel = node.kernel().with_nvme(both);
    assert_eq!(node.boot(&kernel).mounted, ["/s"], "Format hits its own namespace only");
    kernel.power_off();
    let plan = node.boot_with(&node.kernel().with_nvme(ZEROS), Brake::Plan);
    assert!(plan.log_text().contains("erase disk 2"));
}

#[test]
fn a_node_with_another_number_of_disks_wipes_nothing_of_a_volume_that_counts_them() {
    let profile = "disk_config[1]=raid0:ext4:/s:expect=3";
    let node = node("WIPE_ON_BOOT=true", profile, 32 * MIB);
    node.write(1, 512, b"LABELONE");
    let kernel = node.kernel();
    let prepared = node.boot(&kernel);
    assert!(kernel.calls().is_empty());
    let line = "raid0 /s (disks 1-2, line 1): the node has 2 disks, line 1 expects 3: \
                nothing is wiped";
    assert_eq!(prepared.lines, [line]);
    assert_eq!(prepared.missing, ["/s"]);
}

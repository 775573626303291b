//! Not a byte to a disk that the plan does not own.

use rsinit::plan::disks::Brake;

use crate::fake::{MIB, Node};

const PROFILE: &str = "disk_config[1]=\"\"\ndisk_config[2]=\"raid0:ext4:/scratch\"\n";

/// A node of three disks; the first and the last hold somebody's data.
fn node_with_data() -> Node {
    let node = Node::new(3, 32 * MIB);
    node.write(1, 700, b"somebody's data");
    node.write(3, 512, b"LABELONE");
    node
}

#[test]
fn without_wiping_foreign_data_stay_and_the_boot_goes_on() {
    let mut node = node_with_data();
    node.set("WIPE_ON_BOOT=false", PROFILE);
    let before = node.digests();
    let kernel = node.kernel();
    let prepared = node.boot(&kernel);
    assert_eq!(before, node.digests());
    assert!(kernel.calls().is_empty(), "{:?}", kernel.calls());
    assert_eq!(prepared.failure(), None);
    let line = "raid0 /scratch (disks 2-3, line 2): disk 3 (nvme0n1 serial S3) holds LVM; \
                WIPE_ON_BOOT is not true";
    assert_eq!(prepared.lines, [line]);
}

#[test]
fn wiping_covers_its_range_and_no_other_disk() {
    let mut node = node_with_data();
    node.set("WIPE_ON_BOOT=true", PROFILE);
    let before = node.digest(1);
    let kernel = node.kernel();
    let prepared = node.boot(&kernel);
    assert_eq!(prepared.mounted, ["/scratch"], "{:?}", prepared.lines);
    assert_eq!(before, node.digest(1));
    assert!(!kernel.written().contains("nvme2n1"));
    assert!(prepared.lines[0].contains("wipe disk 3 (nvme0n1): holds LVM"));
}

#[test]
fn a_bad_profile_names_its_line_and_nothing_is_written() {
    for profile in ["# x\n\ndisk_config[2]=raid7:ext4:/a", "\n\ndisk_config[1]=$(id)", ""] {
        let mut node = node_with_data();
        node.set("WIPE_ON_BOOT=true", profile);
        let before = node.digests();
        let kernel = node.kernel();
        let prepared = node.boot(&kernel);
        assert_eq!(before, node.digests());
        assert!(kernel.calls().is_empty());
        let line =
            if profile.is_empty() { "profile p no disk_config" } else { "profile p line 3: " };
        assert!(prepared.lines[0].starts_with(line), "{:?}", prepared.lines);
        assert_eq!(prepared.failure(), None);
    }
}

#[test]
fn required_disks_that_are_missing_are_a_failure() {
    let mut node = node_with_data();
    node.set("MKDISK_REQUIRED=true", PROFILE);
    let prepared = node.boot(&node.kernel());
    let failure = prepared.failure().unwrap();
    assert!(failure.starts_with("required disks are missing: raid0 /scratch"), "{failure}");
}

#[test]
fn the_brakes_touch_nothing() {
    for brake in [Brake::Plan, Brake::Off, Brake::Keep] {
        let mut node = node_with_data();
        node.set("WIPE_ON_BOOT=true", PROFILE);
        let before = node.digests();
        let kernel = node.kernel();
        let prepared = node.boot_with(&kernel, brake);
        assert_eq!(before, node.digests(), "{brake:?}");
        assert!(kernel.calls().is_empty(), "{brake:?}: {:?}", kernel.calls());
        assert!(prepared.mounted.is_empty());
    }
}

#[test]
fn a_disk_that_changes_after_the_plan_is_not_written_to() {
    let mut node = Node::new(2, 32 * MIB);
    node.set("WIPE_ON_BOOT=true", "disk_config[1]=raid0:ext4:/a");
    node.write(1, 512, b"LABELONE");
    let kernel = node.kernel();
    let (sysroot, other) = (node.layout.sysroot.clone(), node.disk(2));
    let mut lines: Vec<String> = Vec::new();
    // The first line is said before the first write: the second disk changes then.
    let mut log = |line: &str| {
        if lines.is_empty() {
            let file = std::fs::OpenOptions::new().write(true).open(&other).unwrap();
            std::os::unix::fs::FileExt::write_all_at(&file, b"XFSB", 0).unwrap();
        }
        lines.push(line.to_owned());
    };
    let prepared =
        rsinit::stage::disks::prepare(&kernel, &node.layout, &node.sources, Brake::Auto, &mut log);
    assert!(sysroot.exists());
    assert!(!kernel.written().contains("nvme0n1"));
    let error = prepared.outcomes[0].error.clone().unwrap();
    assert!(
        error.contains("nvme0n1 holds xfs now, the plan found blank: not written to"),
        "{error}"
    );
}

#[test]
fn a_disk_that_fails_takes_its_own_range_with_it_and_no_other() {
    let mut node = Node::new(4, 32 * MIB);
    node.set(
        "",
        "disk_config[1]=raid0:ext4:/a\ndisk_config[2]=raid0:ext4:/b\n\
                  disk_config[3]=raid1:ext4:/c",
    );
    // What was disk 2 when it was looked at is gone when it is opened.
    let kernel = node.kernel().with_broken("nvme2n1");
    let prepared = node.boot(&kernel);
    assert_eq!(prepared.mounted, ["/a", "/c"], "{:#?}", prepared.lines);
    assert_eq!(prepared.missing, ["/b"]);
    let error = prepared.outcomes[1].error.clone().unwrap();
    assert!(error.starts_with("raid0 /b (disk 2, line 2): create md1"), "{error}");
    assert!(error.ends_with("marking nvme2n1: Input/output error (os error 5)"), "{error}");
    assert_eq!(prepared.lines[1], error, "lines are kept in the order of the ranges");
    assert_eq!(prepared.failure(), None);
}

#[test]
fn a_disk_that_is_swapped_for_another_is_not_written_to() {
    let mut node = Node::new(1, 32 * MIB);
    node.set("WIPE_ON_BOOT=true", "disk_config[1]=raid0:ext4:/a");
    node.write(1, 0, b"XFSB");
    let kernel = node.kernel();
    let dev = node.layout.sys.join("block").join(&node.names[0]).join("dev");
    let mut log = |_: &str| std::fs::write(&dev, "259:99\n").unwrap();
    let prepared =
        rsinit::stage::disks::prepare(&kernel, &node.layout, &node.sources, Brake::Auto, &mut log);
    assert!(kernel.written().is_empty());
    let error = prepared.outcomes[0].error.clone().unwrap();
    assert!(error.ends_with("nvme0n1 is not the disk that the plan saw"), "{error}");
}

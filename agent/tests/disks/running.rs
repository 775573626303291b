//! `mkdisk -c` and `mkdisk -r` on a node that is up: its root is the root.

use crate::fake::{Call, MIB, Node};

const PROFILE: &str = "disk_config[1]=\"raid1:ext4:/system\"\n\
                       disk_config[3]=\"none:ext4:/data/a\"\ndisk_config[4]=\"raid0:swap\"\n";

fn node() -> Node {
    let mut node = Node::new(5, 32 * MIB);
    node.layout.sysroot = node.layout.dev.parent().unwrap().to_owned();
    node.set("WIPE_ON_BOOT=false", PROFILE);
    node
}

#[test]
fn volumes_are_mounted_at_the_root_and_once() {
    let node = node();
    let kernel = node.kernel();
    let prepared = node.boot(&kernel);
    assert_eq!(prepared.mounted, ["/system", "/data/a"], "{:#?}", prepared.lines);
    let target = node.layout.sysroot.join("data/a");
    let mountinfo = std::fs::read_to_string(node.layout.proc.join("self/mountinfo")).unwrap();
    assert!(mountinfo.contains(&format!(" {} ", target.display())), "{mountinfo}");
    prepared.write(&node.layout).unwrap();
    assert!(node.layout.sysroot.join("mkdisk.log").exists());
    kernel.mend();
    let again = node.boot(&kernel);
    assert_eq!(again.mounted, ["/system", "/data/a"], "{:#?}", again.lines);
    assert!(again.missing.is_empty() && kernel.calls().is_empty(), "{:?}", kernel.calls());
}

#[test]
fn what_is_mounted_or_swapped_to_is_not_wiped() {
    let mut node = node();
    let kernel = node.kernel();
    node.boot(&kernel);
    kernel.mend();
    node.set("WIPE_ON_BOOT=true", PROFILE);
    let prepared = node.boot(&kernel);
    assert!(kernel.calls().is_empty(), "{:?}", kernel.calls());
    assert_eq!(prepared.plan.as_ref().unwrap().refusals.len(), 3);
    let root = node.layout.sysroot.display();
    for why in [
        format!("md0 is mounted on {root}/system: not even WIPE_ON_BOOT=true touches it"),
        format!("disk 3 (nvme2n1 serial S3) is mounted on {root}/data/a"),
        "md1 is used as swap: not even WIPE_ON_BOOT=true touches it".to_owned(),
    ] {
        assert!(prepared.lines.iter().any(|line| line.contains(&why)), "{:#?}", prepared.lines);
    }
    assert!(!kernel.calls().iter().any(|call| matches!(call, Call::Stop(_))));
}

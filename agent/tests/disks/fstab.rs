//! `MKDISK_FSTAB=true`: lines of the node's fstab.

use crate::fake::{MIB, Node};

const PROFILE: &str = "disk_config[1]=raid0:ext4:/scratch:noatime,nodev\n\
                       disk_config[2]=none:swap\ndisk_config[3]=none:ext4:/data";

#[test]
fn mounted_volumes_are_listed_once_by_uuid_and_without_them_the_node_boots() {
    let mut node = Node::new(3, 32 * MIB);
    let etc = node.layout.sysroot.join("etc");
    std::fs::create_dir_all(&etc).unwrap();
    // The last line has no end, and one place is spoken for.
    std::fs::write(etc.join("fstab"), "# of the image\nproc /data none ro 0 0").unwrap();
    node.set("MKDISK_FSTAB=true", PROFILE);
    let read = || std::fs::read_to_string(etc.join("fstab")).unwrap();
    let kernel = node.kernel();
    let prepared = node.boot(&kernel);
    assert!(prepared.outcomes.iter().all(|outcome| outcome.error.is_none()), "{prepared:#?}");
    let text = read();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[..2], ["# of the image", "proc /data none ro 0 0"]);
    let (uuid, rest) = lines[2].split_once(' ').unwrap();
    assert_eq!(rest, "/scratch ext4 nofail,noatime,nodev 0 0");
    let uuid = uuid.strip_prefix("UUID=").unwrap();
    let lengths: Vec<usize> = uuid.split('-').map(str::len).collect();
    assert_eq!((lengths.as_slice(), lines.len()), ([8, 4, 4, 4, 12].as_slice(), 3), "{text}");
    kernel.power_off();
    node.boot(&node.kernel());
    assert_eq!(read(), text);
}

#[test]
fn fstab_is_left_alone_unless_it_is_asked_for() {
    let mut node = Node::new(3, 32 * MIB);
    node.set("", PROFILE);
    node.boot(&node.kernel());
    assert!(!node.layout.sysroot.join("etc/fstab").exists());
}

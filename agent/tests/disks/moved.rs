//! Folders of the image that move onto volumes, and what is left in their places.

use std::path::Path;

use rustix::mount::UnmountFlags;

use crate::fake::{Binds, MIB, Node};

#[test]
fn folders_move_with_their_contents_and_the_cache_has_its_folder() {
    let mut node = Node::new(1, 64 * MIB);
    node.set(
        "MOVE_DIRS=/var/log:/system/log,/tmp:/system/tmp\nFSCACHE_DIR=/system/fscache",
        "disk_config[1]=raid0:ext4:/system",
    );
    let root = node.layout.sysroot.clone();
    std::fs::create_dir_all(root.join("var/log/journal")).unwrap();
    std::fs::write(root.join("var/log/dracut-preboot.log"), "hook").unwrap();
    std::fs::create_dir(root.join("tmp")).unwrap();
    set_mode(&root.join("tmp"), 0o1777);
    let kernel = node.kernel();
    let prepared = node.boot(&kernel);
    assert_eq!(
        std::fs::read_to_string(root.join("system/log/dracut-preboot.log")).unwrap(),
        "hook"
    );
    assert!(std::fs::read_dir(root.join("var/log")).unwrap().next().is_none(), "memory is free");
    assert_eq!(mode(&root.join("system/tmp")), 0o1777);
    assert_eq!(mode(&root.join("system/fscache")), 0o700);
    assert_eq!(kernel.mounts()[1], ("/system/log".into(), "/var/log".into()));
    assert_eq!(prepared.copied[0].1.entries, 2);
    prepared.write(&node.layout).unwrap();
    let json = std::fs::read(node.layout.run.join("rsinit/disk.json")).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(json["mounted"][0], "/system");
    assert!(std::fs::read_to_string(root.join("mkdisk.log")).unwrap().contains("create md0"));
}

#[test]
fn a_folder_whose_volume_did_not_mount_stays_in_the_image() {
    let mut node = Node::new(1, 64 * MIB);
    node.set("MOVE_DIRS=/var/log:/system/log", "disk_config[1]=raid0:ext4:/system");
    let root = node.layout.sysroot.clone();
    std::fs::create_dir_all(root.join("var/log")).unwrap();
    std::fs::write(root.join("var/log/x"), "").unwrap();
    let kernel = node.kernel().with_fuse(3);
    let prepared = node.boot(&kernel);
    assert!(prepared.mounted.is_empty());
    assert!(root.join("var/log/x").exists() && !root.join("system").exists());
    assert!(prepared.lines.iter().any(|line| line.contains("/system/log is not mounted")));
}

/// A node whose image has a log and a volume to move it to.
fn node_with_log() -> Node {
    let mut node = Node::new(1, 64 * MIB);
    node.set("MOVE_DIRS=/var/log:/system/log", "disk_config[1]=raid0:ext4:/system");
    std::fs::create_dir_all(node.layout.sysroot.join("var/log/journal")).unwrap();
    std::fs::write(node.layout.sysroot.join("var/log/journal/x"), "image").unwrap();
    node
}

#[test]
fn a_folder_that_cannot_be_bound_keeps_what_it_has_in_memory() {
    let node = node_with_log();
    let kernel = node.kernel().with_binds(Binds::Refused);
    let prepared = node.boot(&kernel);
    let text = std::fs::read_to_string(node.layout.sysroot.join("var/log/journal/x"));
    assert_eq!(text.unwrap(), "image");
    let error = prepared.outcomes.last().unwrap().error.clone().unwrap();
    assert!(error.starts_with("binding /system/log to /var/log: Invalid argument"), "{error}");
}

#[test]
fn the_memory_under_a_bound_folder_is_freed_and_the_disk_is_not() {
    assert!(rustix::process::geteuid().is_root(), "this test needs root: it mounts");
    let node = node_with_log();
    let root = node.layout.sysroot.clone();
    let kernel = node.kernel().with_binds(Binds::Made);
    let prepared = node.boot(&kernel);
    let bound = std::fs::read_to_string(root.join("var/log/journal/x"));
    rustix::mount::unmount(root.join("var/log"), UnmountFlags::empty()).unwrap();
    assert_eq!(bound.unwrap(), "image");
    assert!(std::fs::read_dir(root.join("var/log")).unwrap().next().is_none(), "memory is free");
    assert!(root.join("system/log/journal/x").exists());
    assert!(prepared.outcomes.iter().all(|outcome| outcome.error.is_none()));
}

#[test]
fn a_link_takes_the_place_of_a_folder_where_the_settings_ask_for_it() {
    let mut node = Node::new(1, 64 * MIB);
    let settings = "MKDISK_MOVE=symlink\nMOVE_DIRS=/var/log:/system/log,/tmp:/system/tmp";
    node.set(settings, "disk_config[1]=raid0:ext4:/system");
    let root = node.layout.sysroot.clone();
    std::fs::create_dir_all(root.join("var/log/journal")).unwrap();
    std::fs::write(root.join("var/log/journal/x"), "image").unwrap();
    std::fs::create_dir(root.join("tmp")).unwrap();
    set_mode(&root.join("tmp"), 0o1777);
    let kernel = node.kernel();
    let prepared = node.boot(&kernel);
    assert!(prepared.outcomes.iter().all(|outcome| outcome.error.is_none()), "{prepared:#?}");
    for (from, to) in [("var/log", "/system/log"), ("tmp", "/system/tmp")] {
        assert_eq!(std::fs::read_link(root.join(from)).unwrap(), Path::new(to));
    }
    assert_eq!(kernel.mounts().len(), 1, "nothing is bound: {:?}", kernel.mounts());
    let text = std::fs::read_to_string(root.join("system/log/journal/x")).unwrap();
    assert_eq!((text.as_str(), mode(&root.join("system/tmp"))), ("image", 0o1777));
    assert_eq!(names(&root.join("var")), ["log"], "memory is free");
    assert_eq!(names(&root), ["system", "tmp", "var"]);
    let line = "move /var/log to /system/log and leave a link in ";
    assert!(prepared.lines.iter().any(|one| one.starts_with(line)), "{:#?}", prepared.lines);

    // mkdisk -c on the node that is up.
    kernel.mend();
    let again = node.boot(&kernel);
    assert!(again.outcomes.iter().all(|outcome| outcome.error.is_none()), "{again:#?}");
    assert!(kernel.calls().is_empty(), "{:?}", kernel.calls());
    assert_eq!(std::fs::read_link(root.join("tmp")).unwrap(), Path::new("/system/tmp"));
    assert!(root.join("system/log/journal/x").exists());
}

#[test]
fn a_link_leads_where_the_node_sees_the_volume() {
    let mut node = Node::new(1, 64 * MIB);
    let settings = "MKDISK_MOVE=symlink\nMOVE_DIRS=/log:/data/log";
    node.set(settings, "disk_config[1]=raid0:ext4:/data");
    let root = node.layout.sysroot.clone();
    std::fs::create_dir_all(root.join("var/log")).unwrap();
    std::fs::create_dir(root.join("srv")).unwrap();
    std::os::unix::fs::symlink("var/log", root.join("log")).unwrap();
    std::os::unix::fs::symlink("/srv", root.join("data")).unwrap();
    let prepared = node.boot(&node.kernel());
    assert!(prepared.outcomes.iter().all(|outcome| outcome.error.is_none()), "{prepared:#?}");
    assert_eq!(std::fs::read_link(root.join("log")).unwrap(), Path::new("var/log"));
    assert_eq!(std::fs::read_link(root.join("var/log")).unwrap(), Path::new("/srv/log"));
}

#[test]
fn a_folder_with_a_mount_below_gets_no_link_and_keeps_what_it_has() {
    let mut node = node_with_log();
    node.set(
        "MKDISK_MOVE=symlink\nMOVE_DIRS=/var/log:/system/log",
        "disk_config[1]=raid0:ext4:/system",
    );
    let log = node.layout.sysroot.join("var/log");
    let line = format!("1 1 0:99 / {}/journal rw - tmpfs x rw\n", log.display());
    std::fs::write(node.layout.proc.join("self/mountinfo"), line).unwrap();
    let prepared = node.boot(&node.kernel());
    let error = prepared.outcomes.last().unwrap().error.clone().unwrap();
    assert!(error.starts_with("linking /var/log to /system/log: something is mounted"), "{error}");
    assert_eq!(std::fs::read_to_string(log.join("journal/x")).unwrap(), "image");
    assert!(log.is_dir() && !log.is_symlink());
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap().flatten();
    let mut names: Vec<String> =
        entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn mode(path: &Path) -> u32 {
    std::os::unix::fs::MetadataExt::mode(&path.metadata().unwrap()) & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
    std::fs::set_permissions(path, mode).unwrap();
}

//! Archives over a root that is in use.

use std::fs;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use rsinit::net::Stop;
use rsinit::stage::client::{Applied, apply};
use tempfile::{TempDir, tempdir};

use super::common::{entry, file, folder, link, need_root, whole};
use super::traces;

/// Applies one archive that must be taken.
fn put(root: &Path, entries: &[Vec<u8>]) -> Applied {
    apply(root, &[whole(entries)], &Stop::default()).unwrap()
}

/// A root with what `entries` hold, and beside it a file that nothing may touch.
fn root_with(entries: &[Vec<u8>]) -> (TempDir, std::path::PathBuf) {
    let temp = tempdir().unwrap();
    let root = temp.path().join("root");
    fs::create_dir(&root).unwrap();
    fs::write(temp.path().join("precious"), "kept").unwrap();
    let applied = put(&root, entries);
    assert_eq!(applied.failed, [] as [String; 0]);
    (temp, root)
}

fn assert_untouched(temp: &TempDir) {
    assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 2);
    assert_eq!(fs::read(temp.path().join("precious")).unwrap(), b"kept");
}

#[test]
fn what_is_the_same_is_not_touched_whatever_its_time() {
    need_root();
    let odd = |mtime| {
        [
            folder("etc", 0o755, 0),
            folder("etc/drop", 0o1770, 5),
            entry("etc/hosts", [1, 0o100_644, 0, 0, 1, mtime], (0, 0), b"hosts"),
            entry("etc/empty", [1, 0o104_755, 7, 8, 1, mtime], (0, 0), b""),
            entry("etc/link", [1, 0o120_777, 0, 0, 1, mtime], (0, 0), b"hosts"),
            entry("etc/null", [1, 0o020_666, 0, 3, 1, mtime], (1, 3), b""),
            entry("etc/pipe", [1, 0o010_600, 0, 0, 1, mtime], (0, 0), b""),
        ]
    };
    let (_temp, root) = root_with(&odd(5));
    let before = traces(&root);
    assert_eq!(put(&root, &odd(6)), Applied::default());
    assert_eq!(traces(&root), before);
    assert_eq!(fs::metadata(root.join("etc/hosts")).unwrap().mtime(), 5);
}

#[test]
fn only_what_differs_is_replaced_in_content_mode_or_owner() {
    need_root();
    let plain = |name, mode, uid, data: &[u8]| entry(name, [1, mode, uid, 0, 1, 9], (0, 0), data);
    let same = plain("etc/same", 0o100_644, 0, b"same");
    let (_temp, root) = root_with(&[
        same.clone(),
        plain("etc/content", 0o100_644, 0, b"one"),
        plain("etc/mode", 0o100_644, 0, b"m"),
        plain("etc/owner", 0o100_644, 0, b"o"),
        link("etc/link", "one"),
    ]);
    let before = traces(&root);
    let applied = put(
        &root,
        &[
            same,
            plain("etc/content", 0o100_644, 0, b"two"),
            plain("etc/mode", 0o104_750, 0, b"m"),
            plain("etc/owner", 0o100_644, 33, b"o"),
            link("etc/link", "two"),
            plain("etc/new/deep", 0o100_600, 0, b"new"),
        ],
    );
    let names = ["/etc/content", "/etc/link", "/etc/mode", "/etc/new/deep", "/etc/owner"];
    assert_eq!(applied.changed, names);
    let after = traces(&root);
    let kept: Vec<_> = after.iter().filter(|trace| before.contains(trace)).collect();
    assert_eq!(kept.len(), 1, "{kept:?}");
    assert_eq!(kept[0].0, Path::new("etc/same"));
    let look = |name: &str| {
        let meta = fs::symlink_metadata(root.join(name)).unwrap();
        (meta.mode() & 0o7777, meta.uid(), meta.mtime())
    };
    assert_eq!(look("etc/mode"), (0o4750, 0, 9));
    assert_eq!(look("etc/owner"), (0o644, 33, 9));
    assert_eq!(fs::read_link(root.join("etc/link")).unwrap(), Path::new("two"));
    assert_eq!(fs::read_to_string(root.join("etc/content")).unwrap(), "two");
    // Nothing half-made is left.
    assert_eq!(fs::read_dir(root.join("etc")).unwrap().count(), 6);
}

#[test]
fn a_reader_in_a_loop_never_misses_the_file_and_never_sees_half_of_it() {
    need_root();
    let content = |round: u8| vec![b'a' + round % 2; 300_000];
    let version = |round: u8| {
        let target = if round.is_multiple_of(2) { "even" } else { "odd" };
        [file("etc/hosts", &content(round)), link("etc/current", target)]
    };
    let (_temp, root) = root_with(&version(0));
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut reads = 0;
            while !over.load(Ordering::SeqCst) {
                let text = fs::read(root.join("etc/hosts")).expect("the file was missing");
                assert!(text == content(0) || text == content(1), "half a file");
                let target = fs::read_link(root.join("etc/current")).expect("the link was missing");
                assert!(["even", "odd"].map(Path::new).contains(&target.as_path()));
                reads += 1;
            }
            reads
        });
        for round in 1..=200 {
            assert_eq!(put(&root, &version(round)).changed.len(), 2);
        }
        over.store(true, Ordering::SeqCst);
        assert!(reader.join().unwrap() > 10);
    });
}

#[test]
fn a_hostile_archive_is_refused_whole() {
    let (temp, root) = root_with(&[file("etc/hosts", b"old")]);
    for name in ["../precious", "etc/../../precious", "/precious"] {
        let bytes = whole(&[file("etc/hosts", b"new"), file(name, b"x")]);
        let error = apply(&root, &[bytes], &Stop::default()).unwrap_err().to_string();
        assert!(error.starts_with(name), "{error}");
    }
    let cut = [file("etc/hosts", b"new"), file("etc/b", b"b")].concat();
    assert!(apply(&root, &[cut], &Stop::default()).is_err());
    assert_eq!(fs::read(root.join("etc/hosts")).unwrap(), b"old");
    assert_untouched(&temp);
}

#[test]
fn no_link_leads_out_of_the_root_or_where_a_user_wants() {
    need_root();
    let (temp, root) = root_with(&[folder("home/user", 0o700, 1000)]);
    symlink("../..", root.join("up")).unwrap();
    symlink("/../../precious", root.join("far")).unwrap();
    fs::create_dir(root.join("etc")).unwrap();
    symlink("/etc", root.join("home/user/.ssh")).unwrap();
    std::os::unix::fs::lchown(root.join("home/user/.ssh"), Some(1000), Some(1000)).unwrap();
    symlink("/etc", root.join("settings")).unwrap();
    let applied = put(
        &root,
        &[
            file("up/precious", b"x"),
            file("far/x", b"x"),
            file("home/user/.ssh/authorized_keys", b"x"),
            file("settings/hosts", b"followed"),
        ],
    );
    assert_eq!(applied.changed, ["/settings/hosts"]);
    let failed = applied.failed.join("\n");
    assert!(failed.contains("/up/precious: a symbolic link on its way leads out of the root"));
    assert!(failed.contains("/far/x: a symbolic link on its way leads"), "{failed}");
    let other =
        "/home/user/.ssh/authorized_keys: a symbolic link on its way belongs to another user";
    assert!(failed.contains(other), "{failed}");
    let names: Vec<_> =
        fs::read_dir(root.join("etc")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, ["hosts"]);
    assert_untouched(&temp);
}

#[test]
fn a_link_to_a_folder_stays_where_the_archive_has_a_folder() {
    let (_temp, root) = root_with(&[file("usr/lib/a", b"a"), link("lib", "usr/lib")]);
    let applied = put(&root, &[folder("lib", 0o755, 0), file("lib/b", b"b")]);
    assert_eq!(applied.changed, ["/lib/b"]);
    assert!(fs::symlink_metadata(root.join("lib")).unwrap().is_symlink());
    assert_eq!(fs::read(root.join("usr/lib/b")).unwrap(), b"b");
}

#[test]
fn a_folder_that_is_there_keeps_its_owner_mode_and_time_unless_the_archive_says_otherwise() {
    need_root();
    let (_temp, root) = root_with(&[folder("a", 0o700, 9), folder("b", 0o700, 9)]);
    let time = fs::metadata(root.join("b")).unwrap().mtime();
    let applied = put(&root, &[folder("a", 0o755, 0), folder("b", 0o750, 0)]);
    assert_eq!(applied.changed, ["/b"]);
    let look = |name: &str| {
        let meta = fs::metadata(root.join(name)).unwrap();
        (meta.mode() & 0o7777, meta.uid())
    };
    assert_eq!((look("a"), look("b")), ((0o700, 9), (0o750, 0)));
    assert_eq!(fs::metadata(root.join("b")).unwrap().mtime(), time);
}

#[test]
fn what_cannot_be_replaced_is_named_and_does_not_keep_the_rest() {
    let (_temp, root) = root_with(&[file("etc/full/x", b"x"), folder("etc/empty", 0o755, 0)]);
    let applied = put(
        &root,
        &[
            file("etc/empty", b"now a file"),
            file("etc/full", b"x"),
            file("etc/full/x/y", b"y"),
            file("etc/z", b"z"),
        ],
    );
    assert_eq!(applied.changed, ["/etc/empty", "/etc/z"]);
    assert_eq!(applied.failed.len(), 2, "{:?}", applied.failed);
    assert!(applied.failed[0].contains("/etc/full/x/y: a file stands on its way"));
    assert!(applied.failed[1].contains("/etc/full: a folder is in its place that is not empty"));
    let left = fs::read_dir(root.join("etc")).unwrap().count();
    assert_eq!(left, 3, "nothing half-made is left");
}

#[test]
fn the_draft_of_an_update_that_was_killed_is_no_trouble() {
    let (_temp, root) = root_with(&[file("etc/hosts", b"old")]);
    fs::write(root.join("etc/.hosts.rsinit~"), "half").unwrap();
    let long = "x".repeat(255);
    let name = format!("etc/{long}");
    let applied = put(&root, &[file("etc/hosts", b"new"), file(&name, b"long")]);
    assert_eq!(applied.changed.len(), 2, "{:?}", applied.failed);
    assert_eq!(fs::read(root.join("etc/hosts")).unwrap(), b"new");
    assert_eq!(fs::read_dir(root.join("etc")).unwrap().count(), 2);
}

#[test]
fn a_replaced_file_keeps_its_security_label() {
    need_root();
    let (_temp, root) = root_with(&[file("etc/hosts", b"old"), file("etc/plain", b"old")]);
    let label = b"system_u:object_r:net_conf_t:s0\0";
    let path = root.join("etc/hosts");
    let name = "security.selinux";
    rustix::fs::lsetxattr(&path, name, label, rustix::fs::XattrFlags::empty()).unwrap();
    put(&root, &[file("etc/hosts", b"new"), file("etc/plain", b"new")]);
    let mut found = vec![0u8; 100];
    let length = rustix::fs::lgetxattr(&path, name, found.as_mut_slice()).unwrap();
    assert_eq!(&found[..length], label);
    assert_eq!(fs::read(&path).unwrap(), b"new");
    let none = rustix::fs::lgetxattr(root.join("etc/plain"), name, found.as_mut_slice());
    assert_eq!(none, Err(rustix::io::Errno::NODATA));
}

#[test]
fn devices_and_pipes_are_replaced_like_files() {
    need_root();
    let device = |number| entry("dev/x", [1, 0o020_600, 0, 0, 1, 1], (1, number), b"");
    let pipe = entry("dev/y", [1, 0o010_600, 0, 0, 1, 1], (0, 0), b"");
    let (_temp, root) = root_with(&[device(3), file("dev/y", b"a file")]);
    assert_eq!(put(&root, &[device(5), pipe]).changed, ["/dev/x", "/dev/y"]);
    let meta = fs::symlink_metadata(root.join("dev/x")).unwrap();
    assert_eq!(meta.rdev(), rustix::fs::makedev(1, 5));
    assert!(fs::symlink_metadata(root.join("dev/y")).unwrap().file_type().is_fifo());
}

#[test]
fn of_several_overlays_the_last_wins_in_one_step() {
    let (_temp, root) = root_with(&[file("etc/both", b"second")]);
    let before = traces(&root);
    let one = whole(&[file("etc/both", b"first")]);
    let two = whole(&[file("etc/both", b"second")]);
    let applied = apply(&root, &[one, two], &Stop::default()).unwrap();
    assert_eq!(applied, Applied::default());
    assert_eq!(traces(&root), before);
}

#[test]
fn names_of_one_file_become_files_and_a_name_without_data_is_left_alone() {
    let name = |name, data: &[u8]| entry(name, [7, 0o100_644, 0, 0, 2, 1], (0, 0), data);
    let (_temp, root) = root_with(&[name("a", b""), name("b", b"data"), file("c", b"old")]);
    assert_eq!(fs::read(root.join("a")).unwrap(), b"data");
    let applied = put(&root, &[name("c", b"")]);
    assert_eq!(applied.warnings, ["/c: left as it is: the archive has no data for it"]);
    assert_eq!(fs::read(root.join("c")).unwrap(), b"old");
}

#[test]
fn what_is_on_another_file_system_is_replaced_there() {
    need_root();
    let (_temp, root) = root_with(&[file("etc/hosts", b"old")]);
    // Any other file system than that of the temporary folder will do.
    let other = tempfile::tempdir_in("/dev/shm").unwrap();
    fs::write(other.path().join("log.conf"), "old").unwrap();
    // A bind mount, as a folder that was moved to a disk has.
    let mounted = root.join("moved");
    fs::create_dir(&mounted).unwrap();
    rustix::mount::mount_bind(other.path(), &mounted).unwrap();
    let applied = put(&root, &[file("moved/log.conf", b"new"), file("etc/hosts", b"new")]);
    rustix::mount::unmount(&mounted, rustix::mount::UnmountFlags::DETACH).unwrap();
    assert_eq!(applied.changed, ["/etc/hosts", "/moved/log.conf"], "{:?}", applied.failed);
    assert_eq!(fs::read(other.path().join("log.conf")).unwrap(), b"new");
}

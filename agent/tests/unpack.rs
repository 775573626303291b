//! Unpacking: equal to GNU cpio, better where that breaks nodes, and safe from hostile archives.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail by panicking")]

mod common;

use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::Path;

use common::{
    Random, Small, archive, assert_equal_to_gnu, assert_equal_trees, entry, file, folder, gzip,
    link, make_tree, need_root, unpack_by_cpio, whole,
};
use rsinit::stage::progress::Progress;
use rsinit::stage::unpack::{Unpacked, unpack};
use tempfile::{TempDir, tempdir};

fn into(root: &Path, bytes: &[u8]) -> anyhow::Result<Unpacked> {
    unpack(root, bytes, &Progress::default())
}

fn refusal(root: &Path, bytes: &[u8]) -> String {
    format!("{:#}", into(root, bytes).unwrap_err())
}

/// A root, and beside it a file that nothing may touch.
fn guarded() -> (TempDir, std::path::PathBuf) {
    let temp = tempdir().unwrap();
    let root = temp.path().join("root");
    fs::create_dir(&root).unwrap();
    fs::write(temp.path().join("precious"), "kept").unwrap();
    (temp, root)
}

fn assert_untouched(temp: &TempDir) {
    let names: Vec<_> =
        fs::read_dir(temp.path()).unwrap().map(|item| item.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2, "{names:?}");
    assert_eq!(fs::read(temp.path().join("precious")).unwrap(), b"kept");
}

#[test]
fn trees_equal_those_of_gnu_cpio() {
    need_root();
    let mut random = Random::new();
    for (round, format) in ["newc", "crc", "newc", "newc"].into_iter().enumerate() {
        let temp = tempdir().unwrap();
        let dirs = ["source", "gnu", "ours"].map(|name| temp.path().join(name));
        for dir in &dirs {
            fs::create_dir(dir).unwrap();
        }
        make_tree(&dirs[0], 40 + 150 * round as u64, &mut random);
        let bytes = archive(&dirs[0], format);
        unpack_by_cpio(&bytes, &dirs[1]);
        let compressed = if round % 2 == 0 { bytes.clone() } else { gzip(&bytes) };
        let unpacked = into(&dirs[2], &compressed).unwrap();
        assert_eq!(unpacked.warnings, [] as [String; 0]);
        assert_equal_to_gnu(&dirs[1], &dirs[2]);
        assert_equal_trees(&dirs[0], &dirs[2]);
        // Once more over what is there: everything is overwritten.
        into(&dirs[2], &bytes).unwrap();
        assert_equal_trees(&dirs[0], &dirs[2]);
    }
}

#[test]
fn an_overlay_over_an_image_equals_gnu_cpio() {
    need_root();
    let temp = tempdir().unwrap();
    let dirs = ["gnu", "ours"].map(|name| temp.path().join(name));
    let image = whole(&[
        folder("etc", 0o755, 0),
        file("etc/motd", b"a long text of the image"),
        folder("home", 0o2775, 9),
        link("etc/link", "motd"),
        folder("empty", 0o755, 0),
    ]);
    let overlay = whole(&[
        file("etc/motd", b"short"),
        link("empty", "etc"),
        folder("etc/link", 0o750, 3),
        file("etc/link/in", b""),
        entry("home/his", [9, 0o106_711, 4, 5, 1, 77], (0, 0), b"x"),
        folder("home/sub", 0o700, 0),
    ]);
    for dir in &dirs {
        fs::create_dir(dir).unwrap();
    }
    for bytes in [&image, &overlay] {
        unpack_by_cpio(bytes, &dirs[0]);
        into(&dirs[1], bytes).unwrap();
    }
    assert_equal_to_gnu(&dirs[0], &dirs[1]);
}

#[test]
fn folder_entries_keep_merged_usr_and_existing_owners() {
    let temp = tempdir().unwrap();
    let root = temp.path();
    let own = fs::metadata(root).unwrap().uid();
    into(root, &whole(&[folder("usr/lib", 0o755, 0), link("lib", "usr/lib")])).unwrap();
    into(root, &whole(&[folder("srv", 0o2711, own)])).unwrap();
    let overlay = whole(&[
        folder("lib", 0o755, 0),
        file("lib/x", b"1"),
        folder("srv", 0o755, 0),
        file("srv/y", b"2"),
    ]);
    into(root, &overlay).unwrap();
    assert!(fs::symlink_metadata(root.join("lib")).unwrap().is_symlink());
    assert_eq!(fs::read(root.join("usr/lib/x")).unwrap(), b"1");
    assert_eq!(fs::metadata(root.join("srv")).unwrap().mode() & 0o7777, 0o2711);
    into(root, &whole(&[folder("srv", 0o700, 0)])).unwrap();
    assert_eq!(fs::metadata(root.join("srv")).unwrap().mode() & 0o7777, 0o700);
}

#[test]
fn several_archives_and_members_are_one_stream() {
    let temp = tempdir().unwrap();
    let mut bytes = gzip(&whole(&[file("a", b"1")]));
    bytes.extend(gzip(&[vec![0; 512], whole(&[file("b", b"2")])].concat()));
    let unpacked = into(temp.path(), &bytes).unwrap();
    assert_eq!(unpacked.entries, 2);
    assert_eq!(fs::read(temp.path().join("b")).unwrap(), b"2");
}

#[test]
fn hard_links_that_cannot_be_are_kept_apart_and_named() {
    let temp = tempdir().unwrap();
    let shared =
        |name: &str, mtime, data: &[u8]| entry(name, [77, 0o100_644, 0, 0, 2, mtime], (0, 0), data);
    let bytes = whole(&[
        shared("bin/a1", 1, b""),
        shared("bin/b1", 2, b"of b"),
        shared("bin/a2", 1, b""),
        shared("bin/b2", 2, b"of b"),
    ]);
    let unpacked = into(temp.path(), &bytes).unwrap();
    assert_eq!(unpacked.warnings.len(), 2, "{:?}", unpacked.warnings);
    assert!(unpacked.warnings[0].starts_with("bin/a1: empty: "), "{:?}", unpacked.warnings);
    let inode = |name: &str| fs::metadata(temp.path().join(name)).unwrap().ino();
    assert_eq!(inode("bin/b1"), inode("bin/b2"));
    assert_eq!(inode("bin/a1"), inode("bin/a2"));
    assert_eq!(fs::read(temp.path().join("bin/a1")).unwrap(), b"");
    assert_eq!(fs::read(temp.path().join("bin/b2")).unwrap(), b"of b");
}

#[test]
fn names_that_lead_out_are_refused_by_name() {
    for (name, cause) in [
        ("../precious", "its name has a component \"..\""),
        ("a/../../precious", "its name has a component \"..\""),
        ("/precious", "the archive names it by an absolute path"),
    ] {
        let (temp, root) = guarded();
        let error = refusal(&root, &whole(&[file(name, b"evil")]));
        assert_eq!(error, format!("unpacking {name}: {cause}"));
        assert_untouched(&temp);
    }
}

#[test]
fn links_that_lead_out_are_not_written_through() {
    for target in ["..", "../", "/..", "./x/../.."] {
        let (temp, root) = guarded();
        let bytes =
            whole(&[folder("x", 0o755, 0), link("out", target), file("out/precious", b"evil")]);
        let error = refusal(&root, &bytes);
        assert!(
            error.starts_with(
                "unpacking out/precious: a symbolic link on its way leads out of the root"
            ),
            "{error}"
        );
        assert_untouched(&temp);
    }
}

#[test]
fn links_of_an_earlier_overlay_stay_inside_as_in_a_chroot() {
    let (temp, root) = guarded();
    // Seen from the host these lead to a folder that exists.
    symlink(temp.path(), root.join("host")).unwrap();
    symlink("/etc", root.join("conf")).unwrap();
    fs::create_dir(root.join("etc")).unwrap();
    let error = refusal(&root, &whole(&[file("host/precious", b"evil")]));
    assert!(error.contains("leads nowhere"), "{error}");
    into(&root, &whole(&[file("conf/rsinit-test", b"inside")])).unwrap();
    assert_eq!(fs::read(root.join("etc/rsinit-test")).unwrap(), b"inside");
    assert_untouched(&temp);
}

#[test]
fn a_file_replaces_a_link_and_never_writes_through_it() {
    let (temp, root) = guarded();
    let bytes = whole(&[link("evil", "../precious"), file("evil", b"here")]);
    into(&root, &bytes).unwrap();
    assert_eq!(fs::read(root.join("evil")).unwrap(), b"here");
    assert_untouched(&temp);
    // Nor does a folder, a time or a mode go through one.
    into(&root, &whole(&[link("dir", "../precious"), folder("x", 0o700, 0)])).unwrap();
    let error = refusal(&root, &whole(&[folder("dir", 0o777, 0)]));
    assert!(error.contains("leads out of the root"), "{error}");
    assert_untouched(&temp);
}

#[test]
fn hard_links_reach_only_what_the_archive_made() {
    let (temp, root) = guarded();
    let shared = |name: &str, data: &[u8]| entry(name, [7, 0o100_644, 0, 0, 2, 1], (0, 0), data);
    let bytes = whole(&[shared("a", b"x"), shared("../b", b"")]);
    assert!(refusal(&root, &bytes).contains("\"..\""));
    assert_untouched(&temp);
}

#[test]
fn loops_and_files_in_the_way_are_refused() {
    let (temp, root) = guarded();
    let looped = whole(&[link("a", "b"), link("b", "a"), file("a/x", b"")]);
    assert!(refusal(&root, &looped).contains("too many symbolic links"));
    let blocked = whole(&[file("f", b""), file("f/x", b"")]);
    assert!(refusal(&root, &blocked).contains("a file stands on its way"));
    let full = whole(&[file("d/x", b""), file("d", b"")]);
    assert!(refusal(&root, &full).contains("a folder is in its place that is not empty"));
    assert_untouched(&temp);
}

#[test]
fn odd_entries_are_errors_not_panics() {
    let (temp, root) = guarded();
    let long = "x".repeat(300);
    for bytes in [
        whole(&[file(&long, b"")]),
        whole(&[link("l", "")]),
        whole(&[link("l", &"y".repeat(5000))]),
        whole(&[link("l", "a\0b")]),
        whole(&[file(".", b"")]),
        whole(&[entry("d", [1, 0o020_600, 0, 0, 1, 1], (u32::MAX, u32::MAX), b"")]),
        b"not an archive at all".to_vec(),
        Vec::new(),
        gzip(b"nor is this one"),
    ] {
        assert!(!refusal(&root, &bytes).is_empty());
    }
    assert_untouched(&temp);
}

#[test]
fn an_owner_of_minus_one_is_refused() {
    need_root();
    let (_temp, root) = guarded();
    let bytes = whole(&[entry("f", [1, 0o100_644, u32::MAX, 0, 1, 1], (0, 0), b"")]);
    assert_eq!(refusal(&root, &bytes), "unpacking f: Invalid argument (os error 22)");
}

#[test]
fn a_wrong_gzip_sum_is_found_after_the_trailer() {
    let temp = tempdir().unwrap();
    let mut bytes = gzip(&whole(&[file("a", b"content")]));
    let crc = bytes.len() - 8;
    bytes[crc] ^= 1;
    let error = refusal(temp.path(), &bytes);
    assert!(error.contains("corrupt gzip stream"), "{error}");
    bytes[crc] ^= 1;
    for cut in [1, 4, 8, 9, 20] {
        assert!(into(temp.path(), &bytes[..bytes.len() - cut]).is_err(), "cut {cut}");
    }
}

#[test]
fn a_full_root_names_the_file_and_the_sizes() {
    need_root();
    let small = Small::mount("size=1m");
    let bytes = whole(&[file("a", b"x"), file("usr/lib/large", &vec![7; 3 << 20])]);
    let error = refusal(small.0.path(), &bytes);
    assert!(error.starts_with("unpacking usr/lib/large: the root is full: "), "{error}");
    assert!(
        error.contains("of the file's 3145728 bytes written, 1 MiB in all, 0 MiB free"),
        "{error}"
    );
    assert!(error.ends_with("No space left on device (os error 28)"), "{error}");
}

#[test]
fn a_root_out_of_inodes_is_an_error_too() {
    need_root();
    let small = Small::mount("nr_inodes=5");
    let files: Vec<_> = (0..9).map(|number| file(&format!("f{number}"), b"")).collect();
    let error = refusal(small.0.path(), &whole(&files));
    assert!(
        error.contains(": the root has no inodes left: ") && error.contains("unpacking f"),
        "{error}"
    );
}

#[test]
fn anybody_but_root_keeps_what_is_possible() {
    need_root();
    let temp = tempdir().unwrap();
    std::os::unix::fs::chown(temp.path(), Some(1234), Some(1234)).unwrap();
    let bytes = whole(&[
        folder("d", 0o555, 0),
        file("d/f", b"in a folder that is read-only in the end"),
        entry("null", [1, 0o020_666, 0, 0, 2, 1], (1, 3), b""),
        entry("dev/null", [1, 0o020_666, 0, 0, 2, 1], (1, 3), b""),
        file("last", b""),
    ]);
    let root = temp.path().to_owned();
    // The effective user of one thread only, by the bare system call, as the whole process must
    // stay root for the other tests; threads inherit it.
    let unpacked = std::thread::spawn(move || {
        rustix::thread::set_thread_res_uid(
            rustix::process::Uid::from_raw(0),
            rustix::process::Uid::from_raw(1234),
            rustix::process::Uid::from_raw(0),
        )
        .unwrap();
        into(&root, &bytes).unwrap()
    })
    .join()
    .unwrap();
    let left_out = |name| format!("{name}: not made: only root makes devices");
    assert_eq!(unpacked.warnings, ["null", "dev/null"].map(left_out));
    let meta = |name: &str| fs::metadata(temp.path().join(name)).unwrap();
    assert_eq!((meta("d/f").uid(), meta("d").mode() & 0o7777), (1234, 0o555));
    assert_eq!(meta("d").mtime(), 6);
}

#[test]
fn a_new_folder_that_hands_down_its_group_does_not_hand_down_the_bit() {
    need_root();
    let (_temp, root) = guarded();
    let bytes = whole(&[folder("a", 0o2775, 7), folder("a/b", 0o755, 0), file("a/b/c", b"c")]);
    into(&root, &bytes).unwrap();
    let mode = |name: &str| fs::metadata(root.join(name)).unwrap().mode() & 0o7777;
    assert_eq!((mode("a"), mode("a/b"), mode("a/b/c")), (0o2775, 0o755, 0o644));
}

#[test]
fn what_replaces_a_folder_keeps_its_own_time() {
    let (_temp, root) = guarded();
    let later =
        |name: &str, mode: u32, data: &[u8]| entry(name, [9, mode, 0, 0, 1, 9], (0, 0), data);
    let bytes = whole(&[
        folder("kept", 0o755, 0),
        folder("file", 0o755, 0),
        folder("link", 0o755, 0),
        folder("again", 0o755, 0),
        later("file", 0o100_644, b"in place of a folder"),
        later("link", 0o120_777, b"kept"),
        later("again", 0o040_755, b""),
        file("kept/x", b""),
    ]);
    into(&root, &bytes).unwrap();
    let time = |name: &str| fs::symlink_metadata(root.join(name)).unwrap().mtime();
    assert_eq!(["kept", "file", "link", "again"].map(time), [6, 9, 9, 9]);
    // Where nothing was replaced, the last entry of a folder counts, too.
    let bytes = whole(&[folder("a", 0o755, 0), later("a", 0o040_755, b""), file("a/b", b"")]);
    into(&root, &bytes).unwrap();
    assert_eq!(["a", "a/b"].map(time), [9, 5]);
}

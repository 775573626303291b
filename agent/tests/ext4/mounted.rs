//! What the running kernel makes of it. Needs root.

use crate::image::*;
use rsinit::format::ext4::Options;
use std::path::Path;
use std::time::{Duration, Instant};

/// Files of all sizes, links and folders, which every machine has that builds this.
const TREE: &str = "/usr/include";

fn copy_tree(mount: &Mount) {
    output("cp", &["-a", TREE], mount.path());
    compare_tree(mount);
}

fn compare_tree(mount: &Mount) {
    output("diff", &["-r", "--no-dereference", TREE], &mount.path().join("include"));
}

#[test]
fn a_tree_copied_in_is_whole_and_clean_over_random_bytes() {
    let image = random(700 * MIB + 77_777);
    make(&image, &options());
    let mount = Mount::new(image.path(), "loop");
    copy_tree(&mount);
    mount.close();
    check(image.path(), "after the copy");
    let again = Mount::new(image.path(), "loop");
    compare_tree(&again);
    std::fs::remove_dir_all(again.path().join("include")).unwrap();
    again.close();
    check(image.path(), "after the removal");
}

#[test]
fn a_tree_copied_into_tebibytes_is_whole_and_clean() {
    for bytes in [TIB, 32 * TIB] {
        let image = sparse(bytes);
        make(&image, &Options { zeroed: true, ..options() });
        let start = Instant::now();
        let mount = Mount::new(image.path(), "loop");
        println!("{} TiB: mounted in {:?}", bytes / TIB, start.elapsed());
        copy_tree(&mount);
        mount.close();
        check(image.path(), "after the copy");
    }
}

#[test]
fn many_files_reach_into_groups_that_were_not_initialised() {
    let image = sparse(GIB);
    make(&image, &Options { bytes_per_inode: Some(65_536), ..options() });
    let mount = Mount::new(image.path(), "loop");
    // 16384 inodes in 8 groups: nearly all of them, and so every group.
    for folder in 0..16 {
        let path = mount.path().join(folder.to_string());
        std::fs::create_dir(&path).unwrap();
        for file in 0..1000 {
            std::fs::write(path.join(file.to_string()), [7; 5000]).unwrap();
        }
    }
    mount.close();
    check(image.path(), "with 16,000 files");
}

#[test]
fn a_file_fills_it_to_the_last_block() {
    let image = sparse(200 * MIB + 4096);
    make(&image, &options());
    let mount = Mount::new(image.path(), "loop");
    let file = std::fs::File::create(mount.path().join("all")).unwrap();
    let copied = std::io::copy(&mut std::io::repeat(0xa5), &mut &file);
    assert_eq!(copied.unwrap_err().kind(), std::io::ErrorKind::StorageFull);
    file.sync_all().unwrap();
    drop(file);
    let free = rustix::fs::statvfs(mount.path()).unwrap().f_bavail;
    mount.close();
    assert_eq!(free, 0);
    check(image.path(), "when full");
}

#[test]
fn statfs_counts_the_same_when_the_kernel_counts_the_overhead_itself() {
    for bytes in [16 * MIB, 3 * GIB + 12_345, 300 * GIB, TIB] {
        let image = sparse(bytes);
        make(&image, &options());
        let total = || {
            let mount = Mount::new(image.path(), "loop,noinit_itable");
            let total = rustix::fs::statvfs(mount.path()).unwrap().f_blocks;
            mount.close();
            total
        };
        let given = total();
        let forget = ["-w", "-R", "set_super_value overhead_clusters 0"];
        output("debugfs", &forget, image.path());
        assert_eq!(given, total(), "{bytes} bytes");
    }
}

#[test]
fn a_crash_after_reuse_replays_only_its_own_journal() {
    let image = sparse(2 * GIB);
    make(&image, &options());
    let mount = Mount::new(image.path(), "loop");
    copy_tree(&mount);
    mount.close();

    // The same UUID, as where a caller pins it: sequence and seed alone are new.
    let renewed = Options { journal_sequence: 0x0bad_cafe, hash_seed: [0x5a; 16], ..options() };
    make(&image, &renewed);
    let mount = Mount::new(image.path(), "loop");
    for file in 0..500 {
        std::fs::write(mount.path().join(file.to_string()), file.to_string()).unwrap();
    }
    output("sync", &["-f"], mount.path());
    let crashed = sparse(0);
    output("cp", &["--sparse=always", image.path().to_str().unwrap()], crashed.path());
    mount.close();

    let header = output("dumpe2fs", &["-h"], crashed.path());
    assert!(header.contains("needs_recovery"), "nothing to replay:\n{header}");
    let mount = Mount::new(crashed.path(), "loop");
    let mut names: Vec<_> = names_in(mount.path());
    names.sort();
    assert_eq!(names.len(), 501, "{names:?}");
    for file in 0..500 {
        let text = std::fs::read_to_string(mount.path().join(file.to_string())).unwrap();
        assert_eq!(text, file.to_string());
    }
    mount.close();
    check(crashed.path(), "after the replay");
}

fn names_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// Mounts for a while with no pause between the groups of lazy initialisation; gives the
/// number of groups that are marked as zeroed afterwards.
fn initialise_lazily(image: &Path) -> usize {
    let mount = Mount::new(image, "loop,init_itable=0");
    std::thread::sleep(Duration::from_secs(3));
    mount.close();
    check(image, "after lazy initialisation");
    let groups = output("dumpe2fs", &[], image);
    groups.lines().filter(|line| line.contains("ITABLE_ZEROED")).count()
}

#[test]
fn lazy_initialisation_writes_nothing_where_the_medium_was_zeroed() {
    let image = sparse(8 * GIB);
    make(&image, &Options { zeroed: true, ..options() });
    let before = allocated(image.path());
    assert_eq!(initialise_lazily(image.path()), 64);
    let bytes = allocated(image.path()) - before;
    assert!(bytes < MIB, "{bytes} bytes were written to a zeroed medium");

    // The control: without the mark the kernel does go through the groups.
    make(&image, &options());
    assert!(!output("dumpe2fs", &[], image.path()).contains("ITABLE_ZEROED"));
    let marked = (0..20).map(|_| initialise_lazily(image.path())).find(|groups| *groups > 0);
    assert!(marked.is_some(), "the kernel initialised no group: what was measured above?");
}

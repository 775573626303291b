//! Devices: sectors of 4096 bytes, one that is in use, one that fails. Needs root.

use crate::image::*;
use rsinit::format::signature::encode_marker;
use rsinit::stage::mkfs;
use rsinit::sys::Linux;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// A loop device over an image; detached when dropped.
struct Loop(PathBuf);

impl Loop {
    #[track_caller]
    fn new(image: &Path, sector_bytes: &str) -> Self {
        assert!(rustix::process::geteuid().is_root(), "this test needs root: it makes devices");
        let arguments = ["--find", "--show", "--sector-size", sector_bytes];
        Self(output("losetup", &arguments, image).trim().into())
    }

    fn open(&self) -> File {
        OpenOptions::new().read(true).write(true).open(&self.0).unwrap()
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        tool("losetup", &["--detach"], &self.0);
    }
}

fn mkfs(arguments: &[&str]) -> Result<(), String> {
    let parser = lexopt::Parser::from_args(arguments);
    mkfs::run(parser).map_err(|error| format!("{error:#}"))
}

#[test]
fn a_device_with_sectors_of_4096_bytes_is_clean_and_mounts() {
    let image = sparse(3 * GIB + 8192);
    let device = Loop::new(image.path(), "4096");
    mkfs(&["-L", "wide", device.path()]).unwrap();
    check(&device.0, "sectors of 4096 bytes");
    let mount = Mount::new(&device.0, "defaults");
    std::fs::write(mount.path().join("file"), "text").unwrap();
    mount.close();
    check(&device.0, "after the mount");
}

#[test]
fn a_mounted_device_is_refused_even_by_force() {
    let image = sparse(64 * MIB);
    let device = Loop::new(image.path(), "512");
    mkfs(&[device.path()]).unwrap();
    let mount = Mount::new(&device.0, "defaults");
    let error = mkfs(&["-F", device.path()]).unwrap_err();
    let expected = format!("opening {}: it is mounted, or part of an array", device.path());
    assert!(error.starts_with(&expected), "{error}");
    let error = mkfs(&["-F", image.path().to_str().unwrap()]).unwrap_err();
    assert!(error.contains("is in use by loop"), "{error}");
    mount.close();
    check(&device.0, "after the refusals");
}

/// Makes 1 TiB on a tmpfs that has room for 2 MiB, where `block` was at the start of an
/// older file system. Gives the error, what the medium holds afterwards, and its first block.
fn fail_half_way(block: Option<[u8; 4096]>) -> (String, Option<i32>, Vec<u8>) {
    assert!(rustix::process::geteuid().is_root(), "this test needs root: it mounts");
    let folder = tempfile::tempdir().unwrap();
    output("mount", &["-t", "tmpfs", "-o", "size=2m", "tmpfs"], folder.path());
    let path = folder.path().join("image");
    let outcome = std::panic::catch_unwind(|| {
        let mut how = OpenOptions::new();
        let file = how.read(true).write(true).create_new(true).open(&path).unwrap();
        file.set_len(16 * MIB).unwrap();
        mkfs::make_ext4(&Linux, &file, 16 * MIB, &options()).unwrap();
        assert!(output("blkid", &["-p"], &path).contains("ext4"));
        if let Some(block) = block {
            file.write_all_at(&block, 0).unwrap();
        }
        file.set_len(TIB).unwrap();
        let error = mkfs::make_ext4(&Linux, &file, TIB, &options()).unwrap_err();
        let mut first = vec![0; 4096];
        file.read_exact_at(&mut first, 0).unwrap();
        (format!("{error:#}"), tool("blkid", &["-p"], &path).status.code(), first)
    });
    output("umount", &[], folder.path());
    outcome.unwrap()
}

#[test]
fn a_medium_that_fails_half_way_holds_no_file_system() {
    let (error, probe, first) = fail_half_way(None);
    assert!(error.contains("writing") && error.contains("No space left"), "{error}");
    assert_eq!(probe, Some(2), "blkid recognises something");
    assert!(first == [0; 4096]);
}

#[test]
fn a_medium_that_fails_half_way_keeps_the_mark() {
    let (error, probe, first) = fail_half_way(Some(encode_marker("scratch")));
    assert!(error.contains("No space left"), "{error}");
    assert_eq!(probe, Some(2), "blkid recognises something");
    assert!(first == encode_marker("scratch"));
}

#[test]
fn the_mark_of_an_unfinished_file_system_is_named_and_then_replaced() {
    let image = sparse(GIB);
    let device = Loop::new(image.path(), "512");
    let file = device.open();
    file.write_all_at(&encode_marker("scratch"), 0).unwrap();
    let error = mkfs(&[device.path()]).unwrap_err();
    assert!(error.contains("it holds unfinished scratch"), "{error}");
    let mut block = [0; 4096];
    file.read_exact_at(&mut block, 0).unwrap();
    assert!(block == encode_marker("scratch"));
    mkfs::make_ext4(&Linux, &file, GIB, &options()).unwrap();
    drop(file);
    check(&device.0, "over the mark");
}

//! Images to make file systems on, and the tools that judge them.

use rsinit::format::ext4::Options;
use rsinit::stage::mkfs::{Written, make_ext4};
use rsinit::sys::Linux;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Output};
use tempfile::NamedTempFile;

pub const MIB: u64 = 1 << 20;
pub const GIB: u64 = 1 << 30;
pub const TIB: u64 = 1 << 40;

/// Fixed, so that a failure repeats itself.
pub fn options() -> Options {
    Options {
        uuid: *b"\x6d\x0c\x5e\x1f\x94\x0b\x4f\x3a\x8e\x21\x5c\x70\xb3\x62\x19\xd4",
        hash_seed: *b"\x11\x29\x4d\xd2\x06\x5e\x4a\x7b\x9c\x88\xf0\x2a\x33\x75\xe4\x60",
        journal_sequence: 0x5eed_1234,
        created_s: 1_700_000_000,
        label: "scratch".parse().unwrap(),
        stride_blocks: 128,
        stripe_width_blocks: 1024,
        reserved_percent: 0,
        bytes_per_inode: None,
        zeroed: false,
    }
}

/// A sparse file. On memory, as its metadata are few and a disk's files may end at 16 TiB.
pub fn sparse(bytes: u64) -> NamedTempFile {
    let file = NamedTempFile::new_in("/dev/shm").expect("a tmpfs on /dev/shm");
    file.as_file().set_len(bytes).unwrap();
    file
}

/// A file with nothing in it that reads as zeros.
pub fn random(bytes: u64) -> NamedTempFile {
    let mut file = NamedTempFile::new_in("/dev/shm").expect("a tmpfs on /dev/shm");
    let urandom = File::open("/dev/urandom").unwrap();
    let copied = std::io::copy(&mut std::io::Read::take(urandom, bytes), &mut file).unwrap();
    assert_eq!(copied, bytes);
    file
}

pub fn make(file: &NamedTempFile, options: &Options) -> Written {
    make_ext4(&Linux, file.as_file(), file.as_file().metadata().unwrap().len(), options).unwrap()
}

/// Bytes that a sparse file takes.
pub fn allocated(path: &Path) -> u64 {
    std::fs::metadata(path).unwrap().blocks() * 512
}

/// Runs a tool; its absence is a failure, never a skip.
pub fn tool(name: &str, arguments: &[&str], path: &Path) -> Output {
    let mut command = Command::new(name);
    command.args(arguments).arg(path).env("LC_ALL", "C");
    let sbin = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    command.env("PATH", sbin).output().unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Standard output of a tool that must succeed.
pub fn output(name: &str, arguments: &[&str], path: &Path) -> String {
    let done = tool(name, arguments, path);
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    let errors = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{name} {arguments:?}: {}\n{text}{errors}", done.status);
    text
}

/// `e2fsck -fn` ends with 0 and says nothing beyond its passes and its summary.
#[track_caller]
pub fn check(path: &Path, what: &str) {
    let done = tool("e2fsck", &["-fn"], path);
    let text = String::from_utf8_lossy(&done.stdout);
    let errors = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{what}: {}\n{text}{errors}", done.status);
    let is_expected = |line: &str| {
        let is_summary = line.contains(" files (") && line.ends_with(" blocks");
        line.starts_with("Pass ") || is_summary || line.is_empty()
    };
    assert!(text.lines().all(is_expected), "{what}:\n{text}{errors}");
    assert_eq!(errors.lines().count(), 1, "{what}: more than e2fsck's version:\n{errors}");
}

/// A file system that the kernel has mounted; unmounted when dropped.
pub struct Mount {
    folder: tempfile::TempDir,
    is_mounted: bool,
}

impl Mount {
    /// Mounts a file by a loop device, or a device.
    #[track_caller]
    pub fn new(source: &Path, options: &str) -> Self {
        assert!(rustix::process::geteuid().is_root(), "this test needs root: it mounts");
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().to_str().unwrap();
        let source = source.to_str().unwrap();
        output("mount", &["-t", "ext4", "-o", options, source], Path::new(target));
        Self { folder, is_mounted: true }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Unmounts, which must succeed.
    #[track_caller]
    pub fn close(mut self) {
        self.is_mounted = false;
        output("umount", &[], self.folder.path());
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        if self.is_mounted {
            tool("umount", &[], self.folder.path());
        }
    }
}

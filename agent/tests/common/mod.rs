//! Trees: made at random, archived and unpacked by GNU cpio, and compared.

#![allow(dead_code, reason = "each test file uses its part")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a test may fail by panicking"
)]

use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, Timespec, Timestamps, Uid};

/// Small numbers at random, the same for the same seed.
pub struct Random(pub u64);

impl Random {
    /// A seed from the clock, printed so that a failure can be repeated.
    pub fn new() -> Self {
        let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = seed.unwrap_or_else(|| {
            let now = std::time::SystemTime::now();
            now.duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as u64
        });
        println!("SEED={seed}");
        Self(seed | 1)
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) % limit.max(1)
    }
}

/// All that can be told of a file from outside.
#[derive(Debug, PartialEq, Eq, Clone)]
pub struct Facts {
    pub mode: u32,
    pub owner: (u32, u32),
    pub mtime: i64,
    pub rdev: u64,
    /// Content or link target.
    pub data: Vec<u8>,
    /// First path (in order) that is the same file.
    pub same_as: Option<PathBuf>,
}

/// Every file below `root`, by relative path; the root itself is not among them.
pub fn survey(root: &Path) -> BTreeMap<PathBuf, Facts> {
    let mut paths = Vec::new();
    collect(root, &mut paths);
    paths.sort();
    let mut seen = HashMap::new();
    let mut all = BTreeMap::new();
    for path in paths {
        let meta = fs::symlink_metadata(&path).unwrap();
        let name = path.strip_prefix(root).unwrap().to_owned();
        let kind = meta.file_type();
        let data = if kind.is_file() {
            fs::read(&path).unwrap()
        } else if kind.is_symlink() {
            fs::read_link(&path).unwrap().into_os_string().into_vec()
        } else {
            Vec::new()
        };
        let device = kind.is_block_device() || kind.is_char_device();
        let same_as = if kind.is_dir() { None } else { seen.get(&meta.ino()).cloned() };
        seen.entry(meta.ino()).or_insert_with(|| name.clone());
        let facts = Facts {
            mode: meta.mode(),
            owner: (meta.uid(), meta.gid()),
            mtime: meta.mtime(),
            rdev: if device { meta.rdev() } else { 0 },
            data,
            same_as,
        };
        all.insert(name, facts);
    }
    all
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) {
    for item in fs::read_dir(folder).unwrap() {
        let item = item.unwrap();
        paths.push(item.path());
        if item.file_type().unwrap().is_dir() {
            collect(&item.path(), paths);
        }
    }
}

/// Panics with the first difference.
pub fn assert_equal_trees(expected: &Path, found: &Path) {
    compare(&survey(expected), &survey(found));
}

/// As [`assert_equal_trees`], but for times that GNU cpio 2.13 does not keep: those of symbolic
/// links, and of folders that something is put in later.
pub fn assert_equal_to_gnu(gnu: &Path, found: &Path) {
    let timeless = |root| {
        let mut tree = survey(root);
        for facts in tree.values_mut() {
            if matches!(facts.mode & 0o170_000, 0o040_000 | 0o120_000) {
                facts.mtime = 0;
            }
        }
        tree
    };
    compare(&timeless(gnu), &timeless(found));
}

fn compare(expected: &BTreeMap<PathBuf, Facts>, found: &BTreeMap<PathBuf, Facts>) {
    let names = |tree: &BTreeMap<PathBuf, Facts>| tree.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(expected), names(found));
    for (name, facts) in expected {
        let short = |facts: &Facts| {
            let data = facts.data.get(..40.min(facts.data.len())).unwrap().to_vec();
            (facts.data.len(), Facts { data, ..facts.clone() })
        };
        let other = &found[name];
        assert!(facts == other, "{}: {:?}\n{:?}", name.display(), short(facts), short(other));
    }
}

/// Asks for root: owners and devices cannot be tested without.
pub fn need_root() {
    assert!(rustix::process::geteuid().is_root(), "this test makes devices: run it as root");
}

const KINDS: u64 = 14;

/// Makes about `count` files of every kind below `root`.
pub fn make_tree(root: &Path, count: u64, random: &mut Random) {
    let mut folders = vec![root.to_owned()];
    let mut files: Vec<PathBuf> = Vec::new();
    for number in 0..count {
        let folder = folders[random.below(folders.len() as u64) as usize].clone();
        let path = folder.join(name(number, random));
        // Each kind once, then at random.
        let kind = if number < KINDS { number } else { random.below(KINDS) };
        match kind {
            0 | 1 => {
                fs::create_dir(&path).unwrap();
                folders.push(path.clone());
            }
            2 => {
                let targets = ["/etc/passwd", "nowhere", "..", "a/b/c", "/"];
                let target = targets[random.below(5) as usize];
                std::os::unix::fs::symlink(target, &path).unwrap();
            }
            3 => node(&path, FileType::Fifo, 0),
            4 => node(&path, FileType::CharacterDevice, rustix::fs::makedev(1, 3)),
            5 => node(&path, FileType::BlockDevice, rustix::fs::makedev(259, 70_000)),
            6 => node(&path, FileType::Socket, 0),
            7 | 8 if !files.is_empty() => {
                let other = &files[random.below(files.len() as u64) as usize];
                fs::hard_link(other, &path).unwrap();
            }
            _ => {
                write_file(&path, random);
                files.push(path.clone());
            }
        }
    }
    let mut paths = Vec::new();
    collect(root, &mut paths);
    // The innermost first: a folder's time is set after what is in it.
    paths.sort_by_key(|path| std::cmp::Reverse(path.components().count()));
    for path in &paths {
        dress(path, random);
    }
}

fn name(number: u64, random: &mut Random) -> OsString {
    let odd: [&[u8]; 6] = [b"", b"\xff\xfe", b" sp ace", "ü".as_bytes(), b"\nline", b"'\"\\"];
    let mut bytes = format!("f{number}").into_bytes();
    bytes.extend_from_slice(odd[random.below(6) as usize]);
    if random.below(20) == 0 {
        bytes.resize(255, b'x');
    }
    OsString::from_vec(bytes)
}

fn write_file(path: &Path, random: &mut Random) {
    let sizes = [0, 0, 1, 3, 4, 5, 4096, 70_000, 700_000];
    let size = sizes[random.below(9) as usize] + random.below(3);
    let mut file = File::create(path).unwrap();
    let block: Vec<u8> = (0..size).map(|_| random.below(256) as u8).collect();
    file.write_all(&block).unwrap();
}

fn node(path: &Path, kind: FileType, device: u64) {
    rustix::fs::mknodat(CWD, path, kind, Mode::from_raw_mode(0o600), device).unwrap();
}

/// Gives a file an owner, a mode and a time.
fn dress(path: &Path, random: &mut Random) {
    let owners = [0, 0, 0, 7, 1000, 65_534, 4_000_000_000];
    let mut owner = || owners[random.below(7) as usize];
    let (uid, gid) = (Uid::from_raw(owner()), Gid::from_raw(owner()));
    rustix::fs::chownat(CWD, path, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW).unwrap();
    let modes = [0o755, 0o644, 0o600, 0, 0o4755, 0o2755, 0o1777, 0o7777, 0o555, 0o2070];
    let mode = modes[random.below(10) as usize];
    if !fs::symlink_metadata(path).unwrap().is_symlink() {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    let seconds = [0, 1, 86_400, 1_700_000_000, 2_147_483_648, 4_294_967_295];
    let time = Timespec { tv_sec: seconds[random.below(6) as usize], tv_nsec: 0 };
    let times = Timestamps { last_access: time, last_modification: time };
    rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

/// All below `root` as GNU cpio archives it; `format` is `newc` or `crc`.
pub fn archive(root: &Path, format: &str) -> Vec<u8> {
    let mut paths = Vec::new();
    collect(root, &mut paths);
    paths.sort();
    let mut list = Vec::new();
    for path in paths {
        list.extend_from_slice(path.strip_prefix(root).unwrap().as_os_str().as_bytes());
        list.push(0);
    }
    run("cpio", &["-o", "-0", "--quiet", "-H", format], root, &list)
}

/// Unpacks as Warewulf's dracut module does, with `-d` as well.
pub fn unpack_by_cpio(archive: &[u8], root: &Path) {
    run("cpio", &["-idum", "--quiet", "--no-absolute-filenames"], root, archive);
}

/// Runs a program in `folder`; its standard output.
pub fn run(program: &str, args: &[&str], folder: &Path, input: &[u8]) -> Vec<u8> {
    let mut child = Command::new(program)
        .args(args)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let feeding = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    // A program that needs no more input is judged by its status.
    let _ = feeding.join().unwrap();
    assert!(output.status.success(), "{program} {args:?}: {}", output.status);
    output.stdout
}

/// `bytes` as gzip.
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// One newc entry as bytes: `fields` are inode, mode, uid, gid, nlink, mtime.
pub fn entry(name: impl AsRef<OsStr>, fields: [u32; 6], rdev: (u32, u32), data: &[u8]) -> Vec<u8> {
    let name = name.as_ref().as_bytes();
    let [inode, mode, uid, gid, nlink, mtime] = fields;
    let (size, name_size) = (data.len() as u32, name.len() as u32 + 1);
    let mut out = b"070701".to_vec();
    for field in [inode, mode, uid, gid, nlink, mtime, size, 8, 1, rdev.0, rdev.1, name_size, 0] {
        out.extend_from_slice(format!("{field:08x}").as_bytes());
    }
    out.extend_from_slice(name);
    out.push(0);
    out.resize(out.len().next_multiple_of(4), 0);
    out.extend_from_slice(data);
    out.resize(out.len().next_multiple_of(4), 0);
    out
}

/// A plain file of root's.
pub fn file(name: &str, data: &[u8]) -> Vec<u8> {
    entry(name, [1, 0o100_644, 0, 0, 1, 5], (0, 0), data)
}

/// A folder.
pub fn folder(name: &str, mode: u32, uid: u32) -> Vec<u8> {
    entry(name, [2, 0o040_000 | mode, uid, 0, 2, 6], (0, 0), b"")
}

/// A symbolic link.
pub fn link(name: &str, target: &str) -> Vec<u8> {
    entry(name, [3, 0o120_777, 0, 0, 1, 7], (0, 0), target.as_bytes())
}

/// Entries and a trailer.
pub fn whole(entries: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = entries.concat();
    bytes.extend(entry("TRAILER!!!", [0, 0, 0, 0, 1, 0], (0, 0), b""));
    bytes
}

/// A small tmpfs, unmounted at the end.
pub struct Small(pub tempfile::TempDir);

impl Small {
    pub fn mount(options: &str) -> Self {
        let temp = tempfile::tempdir().unwrap();
        let flags = rustix::mount::MountFlags::empty();
        let data = std::ffi::CString::new(options).unwrap();
        rustix::mount::mount("small", temp.path(), "tmpfs", flags, Some(data.as_c_str())).unwrap();
        Self(temp)
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        rustix::mount::unmount(self.0.path(), rustix::mount::UnmountFlags::DETACH).unwrap();
    }
}

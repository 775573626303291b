//! Copies a tree into a folder that may already have contents: what is there wins.

use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::sys::attributes::{copy_attributes, copy_bytes, make_special};

/// The name of a file that is being written: a copy that was cut short is never taken
/// for the file.
const PART: &str = ".rsinit-part";

/// What copying has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Copied {
    /// Files and folders that were made.
    pub entries: u64,
    /// Entries that the target already had.
    pub kept: u64,
    /// Bytes of the files that were made, holes included.
    pub bytes: u64,
}

/// One run over a tree.
struct Run {
    /// File system of the source: what is mounted below it is not copied.
    device: u64,
    /// Files with several names, and the first of them in the target.
    links: BTreeMap<u64, PathBuf>,
    copied: Copied,
}

/// Copies what `from` holds into `to`; both exist.
///
/// # Errors
/// The first entry that could not be copied; what was copied stays.
pub fn copy_tree(from: &Path, to: &Path) -> anyhow::Result<Copied> {
    let device = from.symlink_metadata().with_context(|| at("looking at", from))?.dev();
    let mut run = Run { device, links: BTreeMap::new(), copied: Copied::default() };
    run.copy_folder(from, to)?;
    Ok(run.copied)
}

impl Run {
    fn copy_folder(&mut self, from: &Path, to: &Path) -> anyhow::Result<()> {
        for name in list(from).with_context(|| at("listing", from))? {
            let (source, target) = (from.join(&name), to.join(&name));
            let metadata = source.symlink_metadata().with_context(|| at("looking at", &source))?;
            if metadata.dev() != self.device {
                continue;
            }
            self.copy_entry(&source, &metadata, &target)?;
        }
        Ok(())
    }

    fn copy_entry(&mut self, from: &Path, metadata: &Metadata, to: &Path) -> anyhow::Result<()> {
        match to.symlink_metadata() {
            Ok(there) if there.is_dir() && metadata.is_dir() => {
                self.copied.kept = self.copied.kept.saturating_add(1);
                return self.copy_folder(from, to);
            }
            Ok(_) => {
                self.copied.kept = self.copied.kept.saturating_add(1);
                if metadata.nlink() > 1 {
                    self.links.entry(metadata.ino()).or_insert_with(|| to.to_owned());
                }
                return Ok(());
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| at("looking at", to)),
        }
        self.copied.entries = self.copied.entries.saturating_add(1);
        if metadata.is_dir() {
            std::fs::create_dir(to).with_context(|| at("making", to))?;
            self.copy_folder(from, to)?;
        } else if let Some(first) = self.links.get(&metadata.ino()).filter(|_| metadata.nlink() > 1)
        {
            return std::fs::hard_link(first, to).with_context(|| at("linking", to));
        } else if metadata.is_file() {
            return self.copy_file(from, metadata, to).with_context(|| at("copying", from));
        } else if metadata.is_symlink() {
            let link = || std::os::unix::fs::symlink(std::fs::read_link(from)?, to);
            link().with_context(|| at("linking", to))?;
        } else {
            make_special(metadata, to).with_context(|| at("making", to))?;
        }
        copy_attributes(from, metadata, to).with_context(|| at("setting attributes of", to))
    }

    fn copy_file(&mut self, from: &Path, metadata: &Metadata, to: &Path) -> io::Result<()> {
        let mut name = to.file_name().unwrap_or_default().to_owned();
        name.push(PART);
        let mut part = to.with_file_name(&name);
        if name.len() > 255 {
            // The longest names leave no room for the ending.
            part = to.with_file_name(format!("{PART}{}", metadata.ino()));
        }
        let mut target = File::create(&part)?;
        copy_bytes(&mut File::open(from)?, &mut target)?;
        drop(target);
        copy_attributes(from, metadata, &part)?;
        std::fs::rename(&part, to)?;
        if metadata.nlink() > 1 {
            self.links.insert(metadata.ino(), to.to_owned());
        }
        self.copied.bytes = self.copied.bytes.saturating_add(metadata.len());
        Ok(())
    }
}

fn list(folder: &Path) -> io::Result<Vec<std::ffi::OsString>> {
    std::fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name())).collect()
}

fn at(doing: &str, path: &Path) -> String {
    format!("{doing} {}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn tree() -> (tempfile::TempDir, PathBuf, PathBuf) {
        let temp = tempfile::tempdir().unwrap();
        let (from, to) = (temp.path().join("from"), temp.path().join("to"));
        std::fs::create_dir(&from).unwrap();
        std::fs::create_dir(&to).unwrap();
        (temp, from, to)
    }

    #[test]
    fn modes_links_holes_and_times_arrive() {
        let (_temp, from, to) = tree();
        std::fs::create_dir(from.join("d")).unwrap();
        std::fs::write(from.join("d/a"), "hello").unwrap();
        std::fs::set_permissions(from.join("d/a"), PermissionsExt::from_mode(0o4755)).unwrap();
        std::fs::set_permissions(from.join("d"), PermissionsExt::from_mode(0o1777)).unwrap();
        std::fs::hard_link(from.join("d/a"), from.join("b")).unwrap();
        symlink("d/a", from.join("s")).unwrap();
        let hole = File::create(from.join("hole")).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&hole, b"x", 8 << 20).unwrap();
        let copied = copy_tree(&from, &to).unwrap();
        assert_eq!((copied.entries, copied.kept), (5, 0));
        let meta = |path: &str| {
            (from.join(path).symlink_metadata().unwrap(), to.join(path).symlink_metadata().unwrap())
        };
        for path in ["d", "d/a", "b", "s", "hole"] {
            let (old, new) = meta(path);
            assert_eq!(
                (old.mode(), old.mtime(), old.mtime_nsec(), old.len() * u64::from(!old.is_dir())),
                (new.mode(), new.mtime(), new.mtime_nsec(), new.len() * u64::from(!new.is_dir())),
                "{path}"
            );
        }
        assert_eq!(
            to.join("d/a").metadata().unwrap().ino(),
            to.join("b").metadata().unwrap().ino()
        );
        assert!(to.join("hole").metadata().unwrap().blocks() < 100);
        assert_eq!(std::fs::read_link(to.join("s")).unwrap(), Path::new("d/a"));
    }

    /// `system.posix_acl_access` of user 1000 with rw: version 2, then tag, permission and
    /// id of each entry. Source: `linux/posix_acl_xattr.h`.
    fn acl() -> Vec<u8> {
        let none = u32::MAX;
        let entries =
            [(1u16, 6u16, none), (2, 6, 1000), (4, 4, none), (16, 6, none), (32, 0, none)];
        let entry = |(tag, permission, id): (u16, u16, u32)| {
            [&tag.to_le_bytes()[..], &permission.to_le_bytes(), &id.to_le_bytes()].concat()
        };
        [2u32.to_le_bytes().to_vec(), entries.map(entry).concat()].concat()
    }

    #[test]
    fn attributes_acls_owners_and_special_files_arrive() {
        assert!(rustix::process::geteuid().is_root(), "this test needs root: it changes owners");
        use rustix::fs::{XattrFlags, lgetxattr, lsetxattr};
        let (_temp, from, to) = tree();
        std::fs::create_dir(from.join("d")).unwrap();
        std::fs::write(from.join("d/file"), "x").unwrap();
        let path = from.join("d/file");
        std::os::unix::fs::chown(&path, Some(1234), Some(4321)).unwrap();
        std::os::unix::fs::lchown(from.join("d"), Some(7), Some(8)).unwrap();
        let set = |path: &Path, name: &str, value: &[u8]| {
            lsetxattr(path, name, value, XattrFlags::empty()).unwrap();
        };
        set(&path, "trusted.rsinit", b"value");
        set(&path, "system.posix_acl_access", &acl());
        set(&from.join("d"), "system.posix_acl_default", &acl());
        rustix::fs::mkfifoat(rustix::fs::CWD, from.join("pipe"), rustix::fs::Mode::RWXU).unwrap();
        let copied = copy_tree(&from, &to).unwrap();
        assert_eq!((copied.entries, copied.kept), (3, 0));
        let read = |path: &str, name: &str| {
            let mut value = vec![0; 256];
            let count = lgetxattr(to.join(path), name, value.as_mut_slice()).unwrap();
            value.truncate(count);
            value
        };
        assert_eq!(read("d/file", "trusted.rsinit"), b"value");
        assert_eq!(read("d/file", "system.posix_acl_access"), acl());
        assert_eq!(read("d", "system.posix_acl_default"), acl());
        let meta = |path: &str| to.join(path).symlink_metadata().unwrap();
        assert_eq!((meta("d/file").uid(), meta("d/file").gid()), (1234, 4321));
        assert_eq!((meta("d").uid(), meta("d").gid()), (7, 8));
        assert!(std::os::unix::fs::FileTypeExt::is_fifo(&meta("pipe").file_type()));
    }

    #[test]
    fn what_the_disk_already_has_wins() {
        let (_temp, from, to) = tree();
        std::fs::write(from.join("log"), "image").unwrap();
        std::fs::write(to.join("log"), "disk").unwrap();
        std::fs::create_dir(from.join("x")).unwrap();
        std::fs::write(from.join("x/new"), "image").unwrap();
        std::fs::write(to.join("x"), "a file where the image has a folder").unwrap();
        let copied = copy_tree(&from, &to).unwrap();
        assert_eq!((copied.entries, copied.kept), (0, 2));
        assert_eq!(std::fs::read_to_string(to.join("log")).unwrap(), "disk");
    }

    #[test]
    fn a_copy_that_was_cut_short_is_made_again() {
        let (_temp, from, to) = tree();
        std::fs::write(from.join("log"), "whole").unwrap();
        std::fs::write(to.join(format!("log{PART}")), "wh").unwrap();
        copy_tree(&from, &to).unwrap();
        assert_eq!(std::fs::read_to_string(to.join("log")).unwrap(), "whole");
        assert_eq!(list(&to).unwrap().len(), 1);
    }
}

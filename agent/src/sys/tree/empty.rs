//! A directory emptied, the directory itself kept.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, Dir as Listing, FileType, Mode, OFlags, open, openat, unlinkat};
use rustix::io::Errno;

const FLAGS: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// One folder of the way down.
struct Level {
    dir: OwnedFd,
    name: Vec<u8>,
    /// Entries that something is mounted on, or below.
    kept: BTreeSet<Vec<u8>>,
}

/// Removes everything below `root`, links not followed.
///
/// # Errors
/// Those of the calls; `EBUSY` where something is mounted below.
pub fn empty(root: &Path) -> io::Result<()> {
    remove_below(open(root, FLAGS.difference(OFlags::NOFOLLOW), Mode::empty())?, false)
}

/// Opens a folder as it is now: what is mounted over it later does not hide it from
/// [`empty_folder`].
///
/// # Errors
/// Those of openat(2).
pub fn open_folder(path: &Path) -> io::Result<OwnedFd> {
    Ok(open(path, FLAGS, Mode::empty())?)
}

/// Removes everything below an open folder, but what is mounted there and the way to it.
///
/// # Errors
/// Those of the calls; what was removed until then is gone.
pub fn empty_folder(folder: OwnedFd) -> io::Result<()> {
    remove_below(folder, true)
}

fn remove_below(root: OwnedFd, keeps_mounts: bool) -> io::Result<()> {
    // Descriptors of the way down, deepest last: a loop, so that depth costs no stack.
    let mut way = vec![Level { dir: root, name: Vec::new(), kept: BTreeSet::new() }];
    while let Some(level) = way.last_mut() {
        if let Some(name) = remove_plain(level, keeps_mounts)? {
            let dir = openat(&level.dir, name.as_slice(), FLAGS, Mode::empty())?;
            way.push(Level { dir, name, kept: BTreeSet::new() });
            continue;
        }
        let done = way.pop();
        if let (Some(parent), Some(done)) = (way.last_mut(), done) {
            match unlinkat(&parent.dir, done.name.as_slice(), AtFlags::REMOVEDIR) {
                Err(Errno::NOTEMPTY) if !done.kept.is_empty() => {
                    parent.kept.insert(done.name);
                }
                other => other?,
            }
        }
    }
    Ok(())
}

/// Removes what is no directory; returns the name of one that is and is not empty.
fn remove_plain(level: &mut Level, keeps_mounts: bool) -> rustix::io::Result<Option<Vec<u8>>> {
    for item in Listing::read_from(level.dir.as_fd())? {
        let item = item?;
        let name = item.file_name().to_bytes();
        if name == b"." || name == b".." || level.kept.contains(name) {
            continue;
        }
        let is_directory = item.file_type() == FileType::Directory;
        let flags = if is_directory { AtFlags::REMOVEDIR } else { AtFlags::empty() };
        match unlinkat(&level.dir, name, flags) {
            Err(Errno::NOTEMPTY) if is_directory => return Ok(Some(name.to_vec())),
            // A file system that does not tell the kind in its listing.
            Err(Errno::ISDIR) => return Ok(Some(name.to_vec())),
            Err(Errno::BUSY) if keeps_mounts => {
                level.kept.insert(name.to_vec());
            }
            other => other?,
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn everything_below_goes_and_what_links_lead_to_stays() {
        let temp = tempfile::tempdir().unwrap();
        let (root, outside) = (temp.path().join("root"), temp.path().join("outside"));
        fs::create_dir_all(root.join("a/b/c/d")).unwrap();
        fs::create_dir_all(root.join("a/b2/e")).unwrap();
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("kept"), "").unwrap();
        fs::write(root.join("a/b/c/file"), "").unwrap();
        std::os::unix::fs::symlink(&outside, root.join("a/link")).unwrap();
        empty(&root).unwrap();
        assert_eq!(fs::read_dir(&root).unwrap().count(), 0);
        assert!(outside.join("kept").exists());
    }

    #[test]
    fn what_is_mounted_below_stays_with_the_way_to_it() {
        assert!(rustix::process::geteuid().is_root(), "this test needs root: it mounts");
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path();
        fs::create_dir_all(root.join("a/b/mounted")).unwrap();
        fs::create_dir_all(root.join("a/gone")).unwrap();
        fs::write(root.join("file"), "").unwrap();
        let target = root.join("a/b/mounted");
        rustix::mount::mount("tmpfs", &target, "tmpfs", rustix::mount::MountFlags::empty(), None)
            .unwrap();
        fs::write(target.join("kept"), "").unwrap();
        let emptied = empty_folder(open_folder(root).unwrap());
        let left = target.join("kept").exists();
        let names: Vec<_> = fs::read_dir(root.join("a")).unwrap().flatten().collect();
        rustix::mount::unmount(&target, rustix::mount::UnmountFlags::empty()).unwrap();
        emptied.unwrap();
        assert!(left && !root.join("file").exists());
        assert_eq!(names.len(), 1, "{names:?}");
    }
}

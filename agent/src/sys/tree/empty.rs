//! A directory emptied, the directory itself kept.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, Dir as Listing, FileType, Mode, OFlags, open, openat, unlinkat};
use rustix::io::Errno;

const FLAGS: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Removes everything below `root`, links not followed.
///
/// # Errors
/// Those of the calls; `EBUSY` where something is mounted below.
pub fn empty(root: &Path) -> io::Result<()> {
    // Descriptors of the way down, deepest last: a loop, so that depth costs no stack.
    let mut way =
        vec![(open(root, FLAGS.difference(OFlags::NOFOLLOW), Mode::empty())?, Vec::new())];
    while let Some((dir, _)) = way.last() {
        if let Some(child) = remove_plain(dir)? {
            let fd = openat(dir, child.as_slice(), FLAGS, Mode::empty())?;
            way.push((fd, child));
            continue;
        }
        let done = way.pop();
        if let (Some((parent, _)), Some((_, name))) = (way.last(), done) {
            unlinkat(parent, name.as_slice(), AtFlags::REMOVEDIR)?;
        }
    }
    Ok(())
}

/// Removes what is no directory; returns the name of one that is and is not empty.
fn remove_plain(dir: &OwnedFd) -> rustix::io::Result<Option<Vec<u8>>> {
    for item in Listing::read_from(dir.as_fd())? {
        let item = item?;
        let name = item.file_name().to_bytes();
        if name == b"." || name == b".." {
            continue;
        }
        if item.file_type() == FileType::Directory {
            match unlinkat(dir, name, AtFlags::REMOVEDIR) {
                Err(Errno::NOTEMPTY) => return Ok(Some(name.to_vec())),
                other => other?,
            }
            continue;
        }
        match unlinkat(dir, name, AtFlags::empty()) {
            // A file system that does not tell the kind in its listing.
            Err(Errno::ISDIR) => return Ok(Some(name.to_vec())),
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
}

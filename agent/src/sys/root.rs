//! Paths in a root that is not the running one, with symbolic links taken as a
//! process in that root would take them.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Component, Path, PathBuf};

/// Most symbolic links in one path. Source: `MAXSYMLINKS`, `linux/namei.h`.
const MAX_LINKS: usize = 40;

/// Where `path` is when `root` is the root folder: an absolute link leads to a
/// place in `root`, and `..` at the top stays at the top. Parts that do not exist
/// are kept as they are. For trees that nobody else changes meanwhile.
///
/// # Errors
/// `ELOOP` after 40 links, and what readlink(2) says of anything that is there.
pub fn resolve(root: &Path, path: &Path) -> io::Result<PathBuf> {
    let mut inside = PathBuf::new();
    let mut left: Vec<PathBuf> = components(path);
    let mut links = 0;
    while let Some(part) = left.pop() {
        if part == Path::new("..") {
            inside.pop();
            continue;
        }
        let there = root.join(&inside).join(&part);
        match std::fs::read_link(&there) {
            Ok(target) => {
                links += 1;
                if links > MAX_LINKS {
                    return Err(rustix::io::Errno::LOOP.into());
                }
                if target.is_absolute() {
                    inside = PathBuf::new();
                }
                left.extend(components(&target));
            }
            // EINVAL: it is there and no link.
            Err(error)
                if error.kind() == io::ErrorKind::InvalidInput
                    || error.kind() == io::ErrorKind::NotFound =>
            {
                inside.push(part);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(root.join(inside))
}

/// [`resolve`], and what does not exist of it made as folders with mode 755.
///
/// # Errors
/// Those of [`resolve`] and mkdir(2); `ENOTDIR` where something else than a folder is there.
pub fn make_folder(root: &Path, path: &Path) -> io::Result<PathBuf> {
    let place = resolve(root, path)?;
    DirBuilder::new().recursive(true).mode(0o755).create(&place)?;
    Ok(place)
}

/// The names and `..`s of a path, last first.
fn components(path: &Path) -> Vec<PathBuf> {
    path.components()
        .rev()
        .filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir))
        .map(|part| PathBuf::from(part.as_os_str()))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn resolved(root: &Path, path: &str) -> PathBuf {
        resolve(root, Path::new(path)).unwrap().strip_prefix(root).unwrap().to_owned()
    }

    #[test]
    fn links_lead_to_places_in_the_root() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        std::fs::create_dir_all(root.join("usr/sbin")).unwrap();
        symlink("usr/sbin", root.join("sbin")).unwrap();
        symlink("/run/log", root.join("usr/log")).unwrap();
        symlink("../../../../etc", root.join("usr/up")).unwrap();
        assert_eq!(resolved(root, "/sbin/init"), Path::new("usr/sbin/init"));
        assert_eq!(resolved(root, "/usr/log/a"), Path::new("run/log/a"));
        assert_eq!(resolved(root, "/usr/up/passwd"), Path::new("etc/passwd"));
        assert_eq!(resolved(root, "../../usr/./sbin"), Path::new("usr/sbin"));
    }

    #[test]
    fn folders_are_made_where_links_lead_and_not_over_files() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        std::fs::create_dir(root.join("real")).unwrap();
        symlink("/real", root.join("link")).unwrap();
        std::fs::write(root.join("file"), "").unwrap();
        assert_eq!(make_folder(root, Path::new("/link/x/y")).unwrap(), root.join("real/x/y"));
        assert!(root.join("real/x/y").is_dir());
        assert!(make_folder(root, Path::new("/file/x")).is_err());
        assert!(make_folder(root, Path::new("/file")).is_err());
    }

    #[test]
    fn a_loop_of_links_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        symlink("b", dir.path().join("a")).unwrap();
        symlink("a", dir.path().join("b")).unwrap();
        let error = resolve(dir.path(), Path::new("/a/x")).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(40));
    }
}

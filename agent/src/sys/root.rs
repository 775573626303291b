//! Paths in a root that is not the running one, with symbolic links taken as a
//! process in that root would take them.

use std::io;
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
    fn a_loop_of_links_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        symlink("b", dir.path().join("a")).unwrap();
        symlink("a", dir.path().join("b")).unwrap();
        let error = resolve(dir.path(), Path::new("/a/x")).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(40));
    }
}

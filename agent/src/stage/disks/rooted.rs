//! Paths of the node below its new root, while the running root is another.
//!
//! A link of the image that begins with `/` means the image's root: the kernel would
//! follow it into the initramfs.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Component, Path, PathBuf};

/// As many links as the kernel follows.
const MAX_LINKS: u32 = 40;

/// The real place of `path` below `root`, every link followed inside the root. What
/// does not exist is made as folders with mode 755.
///
/// # Errors
/// `ELOOP`, `ENOTDIR`, and those of making folders.
pub(super) fn make_folder(root: &Path, path: &str) -> io::Result<PathBuf> {
    let mut todo: VecDeque<OsString> = split(Path::new(path));
    let mut done: Vec<OsString> = Vec::new();
    let mut links = 0u32;
    while let Some(part) = todo.pop_front() {
        if part == ".." {
            done.pop();
            continue;
        }
        let here = root.join(done.iter().collect::<PathBuf>()).join(&part);
        match std::fs::symlink_metadata(&here) {
            Ok(metadata) if metadata.is_symlink() => {
                links = links.saturating_add(1);
                if links > MAX_LINKS {
                    return Err(rustix::io::Errno::LOOP.into());
                }
                let target = std::fs::read_link(&here)?;
                if target.is_absolute() {
                    done.clear();
                }
                for part in split(&target).into_iter().rev() {
                    todo.push_front(part);
                }
            }
            Ok(metadata) if metadata.is_dir() => done.push(part),
            Ok(_) => return Err(rustix::io::Errno::NOTDIR.into()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                std::fs::DirBuilder::new().mode(0o755).create(&here)?;
                done.push(part);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(root.join(done.iter().collect::<PathBuf>()))
}

fn split(path: &Path) -> VecDeque<OsString> {
    path.components()
        .filter_map(|part| match part {
            Component::Normal(name) => Some(name.to_owned()),
            Component::ParentDir => Some("..".into()),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_stay_inside_the_root() {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path();
        std::fs::create_dir(root.join("real")).unwrap();
        symlink("/real", root.join("absolute")).unwrap();
        symlink("../../../../real", root.join("up")).unwrap();
        assert_eq!(make_folder(root, "/absolute/x/y").unwrap(), root.join("real/x/y"));
        assert_eq!(make_folder(root, "/up/z").unwrap(), root.join("real/z"));
        assert!(root.join("real/z").is_dir());
    }

    #[test]
    fn loops_and_files_are_errors() {
        let temp = tempfile::tempdir().unwrap();
        symlink("b", temp.path().join("a")).unwrap();
        symlink("a", temp.path().join("b")).unwrap();
        std::fs::write(temp.path().join("file"), "").unwrap();
        assert!(make_folder(temp.path(), "/a/x").is_err());
        assert!(make_folder(temp.path(), "/file/x").is_err());
    }
}

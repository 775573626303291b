//! Root images, packed as Warewulf packs them: one newc archive, gzip beside it.

pub mod full;
pub mod removed;
pub mod tiny;
pub mod tools;

use std::fs;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};

use crate::tool::{command, run, start};

/// Writes a file below `root`, replacing it: never through a link into the cache.
///
/// # Errors
/// It, or a folder above it, cannot be made.
pub fn write_file(root: &Path, name: &str, content: &[u8], mode: u32) -> Result<()> {
    let path = root.join(name);
    let parent = path.parent().context("naming a file")?;
    fs::create_dir_all(parent).with_context(|| format!("making {}", parent.display()))?;
    crate::workshop::remove(&path)?;
    fs::write(&path, content).with_context(|| format!("writing {}", path.display()))?;
    fs::set_permissions(&path, fs::Permissions::from_mode(mode))
        .with_context(|| format!("setting the mode of {}", path.display()))
}

/// Makes the symbolic link `name` below `root`.
///
/// # Errors
/// It, or a folder above it, cannot be made.
pub fn write_link(root: &Path, name: &str, target: &str) -> Result<()> {
    let path = root.join(name);
    let parent = path.parent().context("naming a link")?;
    fs::create_dir_all(parent).with_context(|| format!("making {}", parent.display()))?;
    crate::workshop::remove(&path)?;
    std::os::unix::fs::symlink(target, &path).with_context(|| format!("linking {}", path.display()))
}

/// A copy of a folder whose files are hard links: cheap, and safe as long as files are replaced
/// and never written in place.
///
/// # Errors
/// `cp` fails.
pub fn link_tree(from: &Path, to: &Path) -> Result<()> {
    run(command("cp").arg("-al").arg(from).arg(to)).map(drop)
}

/// Packs `root` into `archive`, without what `leave_out` begins: as `wwctl image build` does, names
/// without `./` and no entry for the root itself.
///
/// # Errors
/// The folder cannot be read, or cpio fails.
pub fn pack(root: &Path, leave_out: &[&str], archive: &Path) -> Result<()> {
    let mut names = Vec::new();
    list(root, Path::new(""), leave_out, &mut names)?;
    let mut cpio = command("cpio");
    cpio.args(["--quiet", "--create", "--format", "newc", "--directory"]).arg(root);
    cpio.arg("--file").arg(archive).stdin(Stdio::piped());
    let mut child = start(&mut cpio)?;
    let mut input = child.stdin.take().context("feeding cpio")?;
    for name in names {
        input.write_all(name.as_os_str().as_bytes())?;
        input.write_all(b"\n")?;
    }
    drop(input);
    ensure!(child.wait()?.success(), "cpio failed on {}", root.display());
    Ok(())
}

/// Compresses `archive` beside itself, as `<archive>.gz`.
///
/// # Errors
/// pigz fails.
pub fn compress(archive: &Path) -> Result<()> {
    run(command("pigz").args(["--keep", "--force", "-6"]).arg(archive)).map(drop)
}

/// Every name below `root`, folders before what they hold.
fn list(root: &Path, below: &Path, leave_out: &[&str], names: &mut Vec<PathBuf>) -> Result<()> {
    let folder = root.join(below);
    let mut entries: Vec<_> = fs::read_dir(&folder)
        .and_then(Iterator::collect)
        .with_context(|| format!("reading {}", folder.display()))?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = below.join(entry.file_name());
        if leave_out.iter().any(|begin| name.starts_with(begin)) {
            continue;
        }
        let folder = entry.file_type()?.is_dir();
        names.push(name.clone());
        if folder {
            list(root, &name, leave_out, names)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packed_folder_has_plain_names_and_no_root_entry() {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path().join("root");
        write_file(&root, "etc/motd", b"hello", 0o644).unwrap();
        write_file(&root, "var/cache/big", b"x", 0o644).unwrap();
        let archive = temp.path().join("a.img");
        pack(&root, &["var/cache"], &archive).unwrap();
        let names = run(command("cpio").args(["-t", "--quiet", "-F"]).arg(&archive)).unwrap();
        assert_eq!(names, "etc\netc/motd\nvar\n");
    }
}

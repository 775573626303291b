//! Folders to one newc archive, as the server merges the overlays of a node.
//!
//! The double's own writer: the agent's reader is tested against it, so the two share nothing.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

/// Owner and mode that an entry gets instead of the file's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// The twelve permission bits; `None` keeps the file's.
    pub mode: Option<u32>,
}

/// Owners by path. What has no entry belongs to root, with the file's own mode.
#[derive(Debug, Clone, Default)]
pub struct Owners {
    by_path: BTreeMap<PathBuf, Owner>,
}

impl Owners {
    /// Says whose `path` (relative to the root, as in `etc/munge/munge.key`) is.
    pub fn set(&mut self, path: impl Into<PathBuf>, owner: Owner) {
        self.by_path.insert(path.into(), owner);
    }

    fn find(&self, path: &Path) -> Owner {
        self.by_path.get(path).copied().unwrap_or(Owner { uid: 0, gid: 0, mode: None })
    }
}

/// Writes `folders`, merged (the later wins), as one newc archive, sorted by name.
///
/// The folders' own roots are not entries, and there is no leading `./`: as `wwctl` writes them.
///
/// # Errors
/// A folder cannot be read, or `out` not written.
pub fn write_archive(folders: &[PathBuf], owners: &Owners, out: &mut impl Write) -> io::Result<()> {
    let mut files = BTreeMap::new();
    for folder in folders {
        collect(folder, Path::new(""), &mut files)?;
    }
    for (inode, (name, source)) in (1..).zip(&files) {
        write_entry(name, source, owners.find(name), inode, out)?;
    }
    write_header(&Header { nlink: 1, ..Header::default() }, OsStr::new("TRAILER!!!"), out)
}

/// Every file below `folder`, by its name in the archive.
fn collect(folder: &Path, below: &Path, files: &mut BTreeMap<PathBuf, PathBuf>) -> io::Result<()> {
    for item in fs::read_dir(folder)? {
        let item = item?;
        let name = below.join(item.file_name());
        if item.file_type()?.is_dir() {
            collect(&item.path(), &name, files)?;
        }
        files.insert(name, item.path());
    }
    Ok(())
}

#[derive(Default)]
struct Header {
    inode: u32,
    mode: u32,
    uid: u32,
    gid: u32,
    nlink: u32,
    mtime: u32,
    size: u32,
    rdev: (u32, u32),
}

fn write_entry(
    name: &Path,
    source: &Path,
    owner: Owner,
    inode: u32,
    out: &mut impl Write,
) -> io::Result<()> {
    let meta = fs::symlink_metadata(source)?;
    let kind = meta.file_type();
    let data = if kind.is_symlink() {
        fs::read_link(source)?.as_os_str().as_bytes().to_vec()
    } else if kind.is_file() {
        fs::read(source)?
    } else {
        Vec::new()
    };
    let too_big = |_| io::Error::other(format!("{} is too large for cpio", source.display()));
    let rdev = if kind.is_block_device() || kind.is_char_device() {
        (rustix::fs::major(meta.rdev()), rustix::fs::minor(meta.rdev()))
    } else {
        (0, 0)
    };
    let header = Header {
        inode,
        mode: owner.mode.map_or(meta.mode(), |mode| meta.mode() & !0o7777 | mode & 0o7777),
        uid: owner.uid,
        gid: owner.gid,
        nlink: if kind.is_dir() { 2 } else { 1 },
        mtime: u32::try_from(meta.mtime()).unwrap_or(0),
        size: u32::try_from(data.len()).map_err(too_big)?,
        rdev,
    };
    write_header(&header, name.as_os_str(), out)?;
    out.write_all(&data)?;
    pad(data.len(), out)
}

fn write_header(header: &Header, name: &OsStr, out: &mut impl Write) -> io::Result<()> {
    let name_size = u32::try_from(name.len() + 1).map_err(io::Error::other)?;
    out.write_all(b"070701")?;
    for field in [
        header.inode,
        header.mode,
        header.uid,
        header.gid,
        header.nlink,
        header.mtime,
        header.size,
        0,
        0,
        header.rdev.0,
        header.rdev.1,
        name_size,
        0,
    ] {
        write!(out, "{field:08X}")?;
    }
    out.write_all(name.as_bytes())?;
    out.write_all(&[0])?;
    pad(110 + name.len() + 1, out)
}

/// Zeros up to a multiple of four.
fn pad(length: usize, out: &mut impl Write) -> io::Result<()> {
    out.write_all([0; 3].get(..length.wrapping_neg() % 4).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_later_folder_wins_and_owners_are_as_told() {
        let temp = tempfile::tempdir().unwrap();
        let (one, two) = (temp.path().join("one"), temp.path().join("two"));
        for (folder, text) in [(&one, "first"), (&two, "second")] {
            fs::create_dir_all(folder.join("etc")).unwrap();
            fs::write(folder.join("etc/motd"), text).unwrap();
        }
        let mut owners = Owners::default();
        owners.set("etc/motd", Owner { uid: 7, gid: 8, mode: Some(0o640) });
        let mut bytes = Vec::new();
        write_archive(&[one, two], &owners, &mut bytes).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        assert!(text.contains("second") && !text.contains("first"));
        let at = text.find("etc/motd").unwrap();
        assert_eq!(&text[at - 110 + 14..at - 110 + 38], "000081A00000000700000008");
        assert_eq!(bytes.len() % 4, 0);
    }
}

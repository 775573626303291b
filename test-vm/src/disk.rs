//! Disks of a test node: sparse raw files, read back on the host after the node is off.

mod array;

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use rustix::fs::SeekFrom;
use sha2::{Digest as _, Sha256};

use crate::debian::Debian;
use crate::space::inside_root;
use crate::tool::{command, output, run};

pub use array::Member;

/// Bytes compared at a time; all-zero blocks count as holes.
const BLOCK: usize = 64 * 1024;

/// One NVMe disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// The raw file.
    pub path: PathBuf,
    /// Its serial number.
    pub serial: String,
    /// Bytes.
    pub size: u64,
    /// Bytes of a logical block: 512, or 4096 for 4Kn.
    pub block: u32,
    /// Rules of QEMU's blkdebug, by which it fails; empty where it does not.
    pub faults: String,
}

impl Disk {
    /// A blank disk of `size` bytes in `folder`; the serial is its name.
    ///
    /// # Errors
    /// The file cannot be made.
    pub fn blank(folder: &Path, serial: &str, size: u64) -> Result<Self> {
        let path = folder.join(format!("{serial}.raw"));
        let file = File::create_new(&path).with_context(|| format!("making {}", path.display()))?;
        file.set_len(size).with_context(|| format!("sizing {}", path.display()))?;
        Ok(Self { path, serial: serial.to_owned(), size, block: 512, faults: String::new() })
    }

    /// QEMU's arguments for it as drive number `index`.
    ///
    /// # Errors
    /// The rules of its faults cannot be written.
    pub fn arguments(&self, index: usize) -> Result<[String; 4]> {
        let image = self.path.display();
        let file = if self.faults.is_empty() {
            format!("file={image}")
        } else {
            let rules = self.path.with_extension("faults");
            fs::write(&rules, &self.faults).context("writing a disk's faults")?;
            let rules = rules.display();
            format!(
                "file.driver=blkdebug,file.config={rules},file.image.driver=file,\
                 file.image.filename={image}"
            )
        };
        let drive = format!("if=none,id=disk{index},{file},format=raw,cache=unsafe,discard=unmap");
        let Self { serial, block, .. } = self;
        let device = format!(
            "nvme,drive=disk{index},serial={serial},logical_block_size={block},\
             physical_block_size={block}"
        );
        Ok(["-drive".to_owned(), drive, "-device".to_owned(), device])
    }

    /// Puts somebody's ext4 with a file in it on the disk, made by mke2fs, and a pattern at its end.
    ///
    /// # Errors
    /// mke2fs fails.
    pub fn make_foreign(&self) -> Result<()> {
        let folder = tempfile::tempdir().context("making a scratch folder")?;
        fs::write(folder.path().join("precious"), "somebody's only copy").context("writing")?;
        let mut tool = command("mke2fs");
        tool.args(["-q", "-F", "-t", "ext4", "-L", "precious", "-E", "nodiscard", "-d"]);
        run(tool.arg(folder.path()).arg(&self.path))?;
        let pattern: Vec<u8> = (0..=u8::MAX).cycle().take(1 << 20).collect();
        let file = OpenOptions::new().write(true).open(&self.path).context("opening a disk")?;
        file.write_all_at(&pattern, self.size - (1 << 20)).context("writing a pattern")
    }

    /// A digest of every byte, cheap for sparse files: where data lies, and what it is.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn digest(&self) -> Result<String> {
        let file =
            File::open(&self.path).with_context(|| format!("opening {}", self.path.display()))?;
        let mut hash = Sha256::new();
        each_block(&file, self.size, |at, block| {
            hash.update(at.to_le_bytes());
            hash.update(block);
            Ok(())
        })?;
        Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// Whether no byte was ever set.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn is_blank(&self) -> Result<bool> {
        let file =
            File::open(&self.path).with_context(|| format!("opening {}", self.path.display()))?;
        let mut blank = true;
        each_block(&file, self.size, |_, _| {
            blank = false;
            Ok(())
        })?;
        Ok(blank)
    }

    /// The md superblock of the disk, if there is one.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn member(&self) -> Result<Option<Member>> {
        let file =
            File::open(&self.path).with_context(|| format!("opening {}", self.path.display()))?;
        Member::read(&file)
    }
}

/// Calls `visit` with the offset and bytes of every block that is not all zero.
fn each_block(
    file: &File,
    size: u64,
    mut visit: impl FnMut(u64, &[u8]) -> Result<()>,
) -> Result<()> {
    let step = BLOCK as u64;
    let mut at = 0;
    while at < size {
        let data = match rustix::fs::seek(file, SeekFrom::Data(at)) {
            Ok(data) => data,
            Err(rustix::io::Errno::NXIO) => return Ok(()),
            Err(errno) => return Err(errno).context("looking for data"),
        };
        let end = rustix::fs::seek(file, SeekFrom::Hole(data)).unwrap_or(size);
        at = data / step * step;
        while at < end.min(size) {
            let mut block = vec![0; BLOCK];
            let length = read_at(file, &mut block, at)?;
            block.truncate(length);
            if block.iter().any(|byte| *byte != 0) {
                visit(at, &block)?;
            }
            at += step;
        }
    }
    Ok(())
}

fn read_at(file: &File, block: &mut [u8], at: u64) -> io::Result<usize> {
    let mut length = 0;
    while let Some(rest) = block.get_mut(length..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, at + length as u64)? {
            0 => break,
            more => length += more,
        }
    }
    Ok(length)
}

/// Checks the ext4 that lies on an array, given all its members in the order of their roles, by
/// the e2fsck of `debian`.
///
/// # Errors
/// A member has no superblock, or `e2fsck -fn` finds anything; the error carries what it said.
pub fn check_ext4(members: &[&Disk], scratch: &Path, debian: &Debian) -> Result<()> {
    let e2fsck = |argv: &[&str]| inside_root(&debian.root, argv);
    let mut parts = Vec::new();
    for disk in members {
        let member = disk.member()?;
        parts.push((*disk, member.with_context(|| format!("{} is no md member", disk.serial))?));
    }
    let (first, member) = parts.first().context("checking an array without members")?;
    if member.level == 1 || parts.len() == 1 {
        return check_at(&first.path, member.data_offset, e2fsck);
    }
    let image = scratch.join("assembled.raw");
    array::assemble_raid0(&parts, &image)?;
    let checked = check_at(&image, 0, e2fsck);
    fs::remove_file(&image).context("removing the copy of an array")?;
    checked
}

/// Checks the ext4 that begins at `offset` of `path`; `start` makes a command of e2fsck's words.
/// The file goes along as its standard input, as it has no name in another root.
fn check_at(
    path: &Path,
    offset: u64,
    start: impl FnOnce(&[&str]) -> Result<Command>,
) -> Result<()> {
    let file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
    let mut e2fsck = start(&["e2fsck", "-f", "-n", &format!("/dev/stdin?offset={offset}")])?;
    let found = output(e2fsck.stdin(file))?;
    ensure!(
        found.status.success(),
        "e2fsck -fn {} at {offset}: {}: {}",
        path.display(),
        found.status,
        String::from_utf8_lossy(&found.stdout)
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_sees_one_byte_anywhere_and_not_the_holes() {
        let temp = tempfile::tempdir().unwrap();
        let disk = Disk::blank(temp.path(), "a", 8 << 20).unwrap();
        let blank = disk.digest().unwrap();
        assert!(disk.is_blank().unwrap());
        let file = OpenOptions::new().write(true).open(&disk.path).unwrap();
        file.write_all_at(&[0; 4096], 1 << 20).unwrap();
        assert_eq!(disk.digest().unwrap(), blank, "zeros are holes");
        for at in [0, 5_000_000, (8 << 20) - 1] {
            file.write_all_at(&[1], at).unwrap();
            assert_ne!(disk.digest().unwrap(), blank, "byte {at}");
            file.write_all_at(&[0], at).unwrap();
        }
        assert_eq!(disk.digest().unwrap(), blank);
    }

    #[test]
    fn a_foreign_file_system_is_clean_and_no_member() {
        let temp = tempfile::tempdir().unwrap();
        let disk = Disk::blank(temp.path(), "a", 64 << 20).unwrap();
        disk.make_foreign().unwrap();
        assert!(!disk.is_blank().unwrap());
        assert_eq!(disk.member().unwrap(), None);
        let e2fsck = |argv: &[&str]| {
            let mut e2fsck = command(argv[0]);
            e2fsck.args(&argv[1..]);
            Ok(e2fsck)
        };
        check_at(&disk.path, 0, e2fsck).unwrap();
        assert!(check_at(&disk.path, 4096, e2fsck).is_err());
    }
}

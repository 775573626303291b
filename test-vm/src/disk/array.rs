//! md's 1.2 superblock, as far as the host needs it to read an array back. An own reader: what the
//! agent wrote is not judged by the agent's code. Source: `linux/raid/md_p.h`, `mdp_superblock_1`.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use super::{Disk, each_block};

/// Where a 1.2 superblock begins, in bytes.
const AT: u64 = 4096;

/// `MD_SB_MAGIC`.
const MAGIC: u32 = 0xa92b_4efc;

/// Bytes per sector.
const SECTOR: u64 = 512;

/// What a superblock says, in bytes where it counts sectors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// `set_uuid`.
    pub uuid: [u8; 16],
    /// `set_name`, up to its first zero.
    pub name: String,
    /// `level`: 0 or 1.
    pub level: i32,
    /// `chunksize`, in bytes.
    pub chunk: u64,
    /// `raid_disks`.
    pub raid_disks: u32,
    /// `data_offset`, in bytes.
    pub data_offset: u64,
    /// `data_size`, in bytes.
    pub data_size: u64,
    /// The role of this member: its slot in the array.
    pub role: u16,
    /// `resync_offset`: all ones where the array is in sync.
    pub resync_offset: u64,
}

impl Member {
    /// Reads the superblock of a disk; none where its magic is not there.
    ///
    /// # Errors
    /// The disk cannot be read, or its superblock is no version 1.
    pub fn read(disk: &File) -> Result<Option<Self>> {
        let mut block = [0; 4096];
        disk.read_exact_at(&mut block, AT).context("reading a superblock")?;
        let fields = Fields(&block);
        if u32::from_le_bytes(fields.at(0)?) != MAGIC {
            return Ok(None);
        }
        ensure!(u32::from_le_bytes(fields.at(4)?) == 1, "the superblock is no version 1");
        let number = u32::from_le_bytes(fields.at(160)?);
        let role = usize::try_from(number)?.checked_mul(2).and_then(|at| at.checked_add(256));
        let name: [u8; 32] = fields.at(32)?;
        let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
        Ok(Some(Self {
            uuid: fields.at(16)?,
            name: String::from_utf8_lossy(name).into_owned(),
            level: i32::from_le_bytes(fields.at(72)?),
            chunk: u64::from(u32::from_le_bytes(fields.at(88)?)) * SECTOR,
            raid_disks: u32::from_le_bytes(fields.at(92)?),
            data_offset: u64::from_le_bytes(fields.at(128)?) * SECTOR,
            data_size: u64::from_le_bytes(fields.at(136)?) * SECTOR,
            resync_offset: u64::from_le_bytes(fields.at(208)?),
            role: u16::from_le_bytes(fields.at(role.context("reading a role")?)?),
        }))
    }
}

struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn at<const N: usize>(&self, at: usize) -> Result<[u8; N]> {
        let bytes = self.0.get(at..).and_then(<[u8]>::first_chunk);
        bytes.copied().with_context(|| format!("reading byte {at} of a superblock"))
    }
}

/// Copies the data of a one-zone RAID0 into a sparse file.
///
/// # Errors
/// The members do not fit together, or a file cannot be read or written.
pub fn assemble_raid0(parts: &[(&Disk, Member)], image: &Path) -> Result<()> {
    let count = parts.len() as u64;
    let out = File::create(image).with_context(|| format!("making {}", image.display()))?;
    for (disk, member) in parts {
        let (chunk, role) = (member.chunk, u64::from(member.role));
        ensure!(member.level == 0 && chunk > 0 && role < count, "{} fits no RAID0", disk.serial);
        ensure!(u64::from(member.raid_disks) == count, "{} wants other members", disk.serial);
        let end = member.data_offset + member.data_size / chunk * chunk;
        let file =
            File::open(&disk.path).with_context(|| format!("opening {}", disk.path.display()))?;
        each_block(&file, end, |at, block| {
            for (index, sector) in block.chunks(512).enumerate() {
                let at = at + index as u64 * SECTOR;
                let Some(inside) = at.checked_sub(member.data_offset) else { continue };
                let to = (inside / chunk * count + role) * chunk + inside % chunk;
                out.write_all_at(sector, to).context("copying an array")?;
            }
            Ok(())
        })?;
    }
    let smallest =
        parts.iter().map(|(_, member)| member.data_size / member.chunk * member.chunk).min();
    out.set_len(smallest.unwrap_or(0) * count).context("sizing the copy of an array")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_without_the_magic_is_no_member() {
        let temp = tempfile::tempdir().unwrap();
        let disk = Disk::blank(temp.path(), "a", 1 << 20).unwrap();
        assert_eq!(disk.member().unwrap(), None);
    }

    #[test]
    fn a_disk_that_is_too_short_is_an_error() {
        let temp = tempfile::tempdir().unwrap();
        let disk = Disk::blank(temp.path(), "a", 4096).unwrap();
        assert!(disk.member().is_err());
    }

    #[test]
    fn stripes_come_back_in_order() {
        let temp = tempfile::tempdir().unwrap();
        let mut parts = Vec::new();
        for role in 0..2_u16 {
            let disk = Disk::blank(temp.path(), &role.to_string(), 1 << 20).unwrap();
            let file = std::fs::OpenOptions::new().write(true).open(&disk.path).unwrap();
            for chunk in 0..2_u64 {
                let mark = [b'1' + u8::try_from(chunk * 2).unwrap() + u8::try_from(role).unwrap()];
                file.write_all_at(&mark, 8192 + chunk * 4096).unwrap();
            }
            let member = Member {
                uuid: [0; 16],
                name: String::new(),
                level: 0,
                chunk: 4096,
                raid_disks: 2,
                data_offset: 8192,
                data_size: 8192,
                role,
                resync_offset: 0,
            };
            parts.push((disk, member));
        }
        let parts: Vec<_> = parts.iter().map(|(disk, member)| (disk, member.clone())).collect();
        let image = temp.path().join("image");
        assemble_raid0(&parts, &image).unwrap();
        let bytes = std::fs::read(image).unwrap();
        assert_eq!(bytes.len(), 16384);
        let marks: Vec<u8> = bytes.chunks(4096).map(|chunk| chunk[0]).collect();
        assert_eq!(marks, b"1234");
    }
}

//! The header of one entry: numbers as text.

use super::Error;

/// Bytes of a header: magic and thirteen fields of eight hexadecimal digits.
pub(super) const HEADER: usize = 110;

/// Bits of a mode that say what kind of file it is. Source: `S_IFMT`, `linux/stat.h`.
const KIND_MASK: u32 = 0o170_000;

/// What kind of file an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Named pipe.
    Fifo,
    /// Character device.
    CharDevice,
    /// Folder.
    Directory,
    /// Block device.
    BlockDevice,
    /// Regular file, or one more name of it.
    Regular,
    /// Symbolic link; its target is the entry's data.
    Symlink,
    /// Local socket.
    Socket,
}

impl Kind {
    /// The bits of a mode that say so. Source: `S_IFMT`, `linux/stat.h`.
    pub fn bits(self) -> u32 {
        match self {
            Self::Fifo => 0o010_000,
            Self::CharDevice => 0o020_000,
            Self::Directory => 0o040_000,
            Self::BlockDevice => 0o060_000,
            Self::Regular => 0o100_000,
            Self::Symlink => 0o120_000,
            Self::Socket => 0o140_000,
        }
    }

    fn from_bits(bits: u32) -> Option<Self> {
        let all = [
            Self::Fifo,
            Self::CharDevice,
            Self::Directory,
            Self::BlockDevice,
            Self::Regular,
            Self::Symlink,
            Self::Socket,
        ];
        all.into_iter().find(|kind| kind.bits() == bits)
    }
}

/// One entry's header and name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The path as the archive has it: any bytes but NUL, not empty.
    pub name: Vec<u8>,
    /// What it is.
    pub kind: Kind,
    /// The twelve permission bits, `0o7777`.
    pub permissions: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Names that this file had when it was archived.
    pub nlink: u32,
    /// Seconds since 1970, unsigned.
    pub mtime: u32,
    /// Bytes of data that follow in the archive.
    pub size: u32,
    /// Inode number, 32 bits of it.
    pub inode: u32,
    /// Device that held it: major, minor.
    pub device: (u32, u32),
    /// Device that it stands for: major, minor.
    pub rdev: (u32, u32),
    /// Which archive of the stream it is in, from 0.
    pub archive: u32,
}

/// The thirteen numbers of a header.
pub(super) struct Fields {
    offset: u64,
    inode: u32,
    mode: u32,
    uid: u32,
    gid: u32,
    nlink: u32,
    mtime: u32,
    pub(super) size: u32,
    device: (u32, u32),
    rdev: (u32, u32),
    pub(super) name_size: u32,
    pub(super) check: u32,
}

impl Fields {
    pub(super) fn parse(header: &[u8; HEADER], offset: u64) -> Result<Self, Error> {
        let mut numbers = header.get(6..).unwrap_or_default().chunks_exact(8);
        let mut next = |field| {
            let digits = numbers.next().unwrap_or_default();
            parse_hex(digits).ok_or_else(|| Error::BadField {
                offset,
                field,
                text: digits.to_vec(),
            })
        };
        Ok(Self {
            offset,
            inode: next("inode")?,
            mode: next("mode")?,
            uid: next("owner")?,
            gid: next("group")?,
            nlink: next("link count")?,
            mtime: next("time")?,
            size: next("size")?,
            device: (next("device major")?, next("device minor")?),
            rdev: (next("rdev major")?, next("rdev minor")?),
            name_size: next("name size")?,
            check: next("checksum")?,
        })
    }

    pub(super) fn is_regular(&self) -> bool {
        self.mode & KIND_MASK == 0o100_000
    }

    pub(super) fn entry(self, name: &[u8], archive: u32) -> Result<Entry, Error> {
        let Some(kind) = Kind::from_bits(self.mode & KIND_MASK) else {
            let (name, offset) = (name.to_vec(), self.offset);
            return Err(Error::BadKind { name, offset, mode: self.mode });
        };
        Ok(Entry {
            name: name.to_vec(),
            kind,
            permissions: self.mode & 0o7777,
            uid: self.uid,
            gid: self.gid,
            nlink: self.nlink,
            mtime: self.mtime,
            size: self.size,
            inode: self.inode,
            device: self.device,
            rdev: self.rdev,
            archive,
        })
    }
}

/// Exactly eight hexadecimal digits; no sign, no space.
fn parse_hex(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0u32, |value, digit| {
        let digit = char::from(*digit).to_digit(16)?;
        Some(value << 4 | digit)
    })
}

//! One open directory, and what can be made in it by name.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::rc::Rc;

use rustix::fs::{
    self, AtFlags, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid, linkat, makedev,
    mkdirat, mknodat, openat, readlinkat, statat, symlinkat, unlinkat, utimensat,
};
use rustix::io::Errno;

/// How directories are opened: never through a link.
const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Set-group-ID, on a directory: what is made in it gets its group. Source: `S_ISGID`.
const SET_GROUP: u32 = 0o2000;

/// Device numbers have 12 bits of major and 20 of minor. Source: `linux/kdev_t.h`.
const MAJORS: u32 = 1 << 12;
const MINORS: u32 = 1 << 20;

/// A special file to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Node {
    /// Named pipe.
    Fifo,
    /// Local socket.
    Socket,
    /// Character device: major, minor.
    CharDevice(u32, u32),
    /// Block device: major, minor.
    BlockDevice(u32, u32),
}

/// What is known of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// It is a directory.
    pub is_directory: bool,
    /// It is a symbolic link.
    pub is_link: bool,
}

/// An open directory below a root.
#[derive(Debug)]
pub struct Dir {
    fd: OwnedFd,
    parent: Option<Rc<Dir>>,
    sets_group: bool,
}

impl Dir {
    pub(super) fn open_root(path: &Path) -> io::Result<Self> {
        let flags = DIRECTORY.difference(OFlags::NOFOLLOW);
        Ok(Self::new(fs::open(path, flags, Mode::empty())?, None)?)
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    pub(super) fn open_in(parent: &Rc<Self>, name: &[u8]) -> rustix::io::Result<Self> {
        let fd = openat(&parent.fd, name, DIRECTORY, Mode::empty())?;
        Self::new(fd, Some(Rc::clone(parent)))
    }

    fn new(fd: OwnedFd, parent: Option<Rc<Self>>) -> rustix::io::Result<Self> {
        let sets_group = fs::fstat(&fd)?.st_mode & SET_GROUP != 0;
        Ok(Self { fd, parent, sets_group })
    }

    /// The directory it was reached from; `None` for the root.
    pub fn parent(&self) -> Option<Rc<Self>> {
        self.parent.clone()
    }

    /// Whether what is made here gets the directory's group instead of the process's.
    pub fn inherits_group(&self) -> bool {
        self.sets_group
    }

    /// What `name` is, links not followed.
    ///
    /// # Errors
    /// Those of fstatat(2).
    pub fn status(&self, name: &[u8]) -> io::Result<Status> {
        let stat = statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        Ok(Status { is_directory: kind == FileType::Directory, is_link: kind == FileType::Symlink })
    }

    /// Makes a file that must not exist yet, open for writing.
    ///
    /// # Errors
    /// Those of openat(2); `EEXIST` for any `name` that is there.
    pub fn create_file(&self, name: &[u8], mode: u32) -> io::Result<File> {
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(File::from(openat(&self.fd, name, flags, Mode::from_raw_mode(mode))?))
    }

    /// mkdirat(2).
    ///
    /// # Errors
    /// Those of the call.
    pub fn make_directory(&self, name: &[u8], mode: u32) -> io::Result<()> {
        Ok(mkdirat(&self.fd, name, Mode::from_raw_mode(mode))?)
    }

    /// symlinkat(2).
    ///
    /// # Errors
    /// Those of the call.
    pub fn make_link(&self, name: &[u8], target: &[u8]) -> io::Result<()> {
        Ok(symlinkat(target, &self.fd, name)?)
    }

    /// mknodat(2).
    ///
    /// # Errors
    /// Those of the call; `EPERM` for devices where the process may not make any; `EINVAL` for
    /// numbers that Linux does not have, which the call would cut.
    pub fn make_node(&self, name: &[u8], node: Node, mode: u32) -> io::Result<()> {
        if let Node::CharDevice(major, minor) | Node::BlockDevice(major, minor) = node
            && (major >= MAJORS || minor >= MINORS)
        {
            return Err(Errno::INVAL.into());
        }
        let (kind, device) = match node {
            Node::Fifo => (FileType::Fifo, 0),
            Node::Socket => (FileType::Socket, 0),
            Node::CharDevice(major, minor) => (FileType::CharacterDevice, makedev(major, minor)),
            Node::BlockDevice(major, minor) => (FileType::BlockDevice, makedev(major, minor)),
        };
        Ok(mknodat(&self.fd, name, kind, Mode::from_raw_mode(mode), device)?)
    }

    /// linkat(2): `name` becomes one more name of `other_name` in `other`.
    ///
    /// # Errors
    /// Those of the call.
    pub fn make_hard_link(&self, name: &[u8], other: &Self, other_name: &[u8]) -> io::Result<()> {
        Ok(linkat(&other.fd, other_name, &self.fd, name, AtFlags::empty())?)
    }

    /// readlinkat(2).
    ///
    /// # Errors
    /// Those of the call; `EINVAL` where `name` is no link.
    pub fn read_link(&self, name: &[u8]) -> rustix::io::Result<Vec<u8>> {
        Ok(readlinkat(&self.fd, name, Vec::new())?.into_bytes())
    }

    /// As [`read_link`](Self::read_link), of a link that is root's or the process's own.
    ///
    /// # Errors
    /// Those of the calls; `EPERM` where it belongs to another user.
    pub fn read_own_link(&self, name: &[u8]) -> rustix::io::Result<Vec<u8>> {
        // Held open, so that what is looked at is what is read.
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let link = openat(&self.fd, name, flags, Mode::empty())?;
        let stat = fs::fstat(&link)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::Symlink {
            return Err(Errno::INVAL);
        }
        if stat.st_uid != 0 && stat.st_uid != rustix::process::geteuid().as_raw() {
            return Err(Errno::PERM);
        }
        Ok(readlinkat(&link, "", Vec::new())?.into_bytes())
    }

    /// Removes a name; a directory only if it is empty.
    ///
    /// # Errors
    /// Those of unlinkat(2); `ENOTEMPTY` for a directory with something in it.
    pub fn remove(&self, name: &[u8], is_directory: bool) -> io::Result<()> {
        let flags = if is_directory { AtFlags::REMOVEDIR } else { AtFlags::empty() };
        Ok(unlinkat(&self.fd, name, flags)?)
    }

    /// fchownat(2), links not followed.
    ///
    /// # Errors
    /// Those of the call; `EINVAL` for 4294967295, which the kernel would take as "leave it".
    pub fn set_owner(&self, name: &[u8], uid: u32, gid: u32) -> io::Result<()> {
        let (uid, gid) = owner(uid, gid)?;
        Ok(fs::chownat(&self.fd, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?)
    }

    /// fchmodat(2). It follows links (Linux before 6.6 cannot help it): `name` must be none.
    ///
    /// # Errors
    /// Those of the call.
    pub fn set_mode(&self, name: &[u8], mode: u32) -> io::Result<()> {
        Ok(fs::chmodat(&self.fd, name, Mode::from_raw_mode(mode), AtFlags::empty())?)
    }

    /// Sets both times of `name`, links not followed, to `seconds` since 1970.
    ///
    /// # Errors
    /// Those of utimensat(2).
    pub fn set_time(&self, name: &[u8], seconds: u32) -> io::Result<()> {
        Ok(utimensat(&self.fd, name, &times(seconds), AtFlags::SYMLINK_NOFOLLOW)?)
    }

    /// Owner of the directory itself.
    ///
    /// # Errors
    /// As [`set_owner`](Self::set_owner).
    pub fn set_own_owner(&self, uid: u32, gid: u32) -> io::Result<()> {
        let (uid, gid) = owner(uid, gid)?;
        Ok(fs::fchown(&self.fd, Some(uid), Some(gid))?)
    }

    /// Mode of the directory itself.
    ///
    /// # Errors
    /// Those of fchmod(2).
    pub fn set_own_mode(&self, mode: u32) -> io::Result<()> {
        Ok(fs::fchmod(&self.fd, Mode::from_raw_mode(mode))?)
    }

    /// Times of the directory itself.
    ///
    /// # Errors
    /// Those of futimens(3).
    pub fn set_own_time(&self, seconds: u32) -> io::Result<()> {
        Ok(fs::futimens(&self.fd, &times(seconds))?)
    }

    /// What there is and what is left in the file system that holds it.
    ///
    /// # Errors
    /// Those of fstatvfs(3).
    pub fn space(&self) -> io::Result<Space> {
        space_around(&self.fd)
    }
}

/// What there is and what is left in the file system that holds an open file.
///
/// # Errors
/// Those of fstatvfs(3).
pub fn space_around(file: &impl AsFd) -> io::Result<Space> {
    let stat = fs::fstatvfs(file)?;
    let bytes = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
    Ok(Space { size: bytes(stat.f_blocks), free: bytes(stat.f_bavail), free_inodes: stat.f_favail })
}

/// Room in a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Bytes in all.
    pub size: u64,
    /// Bytes free to others than root.
    pub free: u64,
    /// Files that can still be made.
    pub free_inodes: u64,
}

/// Owner, mode beyond the nine plain bits, and times of an open file.
///
/// # Errors
/// Those of fchown(2), fchmod(2) and futimens(3).
pub fn finish_file(
    file: &File,
    new_owner: Option<(u32, u32)>,
    mode: Option<u32>,
    seconds: u32,
) -> io::Result<()> {
    if let Some((uid, gid)) = new_owner {
        let (uid, gid) = owner(uid, gid)?;
        fs::fchown(file, Some(uid), Some(gid))?;
    }
    // After fchown(2), which takes set-user-ID and set-group-ID away.
    if let Some(mode) = mode {
        fs::fchmod(file, Mode::from_raw_mode(mode))?;
    }
    Ok(fs::futimens(file, &times(seconds))?)
}

fn owner(uid: u32, gid: u32) -> rustix::io::Result<(Uid, Gid)> {
    if uid == u32::MAX || gid == u32::MAX {
        return Err(Errno::INVAL);
    }
    Ok((Uid::from_raw(uid), Gid::from_raw(gid)))
}

fn times(seconds: u32) -> Timestamps {
    let time = Timespec { tv_sec: i64::from(seconds), tv_nsec: 0 };
    Timestamps { last_access: time, last_modification: time }
}

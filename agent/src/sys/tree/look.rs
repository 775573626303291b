//! What a name is, to be compared with what it should be; its security label; another name.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, Stat, XattrFlags, fstat, lgetxattr, lsetxattr, openat,
    renameat, statat,
};
use rustix::io::Errno;

use super::dir::Dir;

/// Where SELinux keeps its label. Source: `XATTR_NAME_SELINUX`, `linux/xattr.h`.
const LABEL: &str = "security.selinux";

/// Longest label that is kept, in bytes: they have some dozens.
const LABEL_MAX: usize = 4096;

/// Bits of a mode: kind, and the twelve permissions. Source: `linux/stat.h`.
const KIND: u32 = 0o170_000;
const PERMISSIONS: u32 = 0o7777;

/// What a name is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// The bits of the mode that say what kind of file it is.
    pub kind: u32,
    /// The twelve permission bits.
    pub permissions: u32,
    /// User and group.
    pub owner: (u32, u32),
    /// Bytes.
    pub size: u64,
    /// Device that it stands for: major, minor.
    pub rdev: (u32, u32),
}

impl Look {
    fn of(stat: &Stat) -> Self {
        Self {
            kind: stat.st_mode & KIND,
            permissions: stat.st_mode & PERMISSIONS,
            owner: (stat.st_uid, stat.st_gid),
            size: u64::try_from(stat.st_size).unwrap_or(0),
            rdev: (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev)),
        }
    }
}

impl Dir {
    /// What `name` is, links not followed.
    ///
    /// # Errors
    /// Those of fstatat(2).
    pub fn look(&self, name: &[u8]) -> io::Result<Look> {
        Ok(Look::of(&statat(self.fd(), name, AtFlags::SYMLINK_NOFOLLOW)?))
    }

    /// What the directory itself is.
    ///
    /// # Errors
    /// Those of fstat(2).
    pub fn own_look(&self) -> io::Result<Look> {
        Ok(Look::of(&fstat(self.fd())?))
    }

    /// Opens a file for reading.
    ///
    /// # Errors
    /// Those of openat(2); `ELOOP` where `name` is a link; `EINVAL` where it is no regular file.
    pub fn open_file(&self, name: &[u8]) -> io::Result<File> {
        // A pipe in its place must not hold us up.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = openat(self.fd(), name, flags, Mode::empty())?;
        match FileType::from_raw_mode(fstat(&file)?.st_mode) {
            FileType::RegularFile => Ok(File::from(file)),
            _ => Err(Errno::INVAL.into()),
        }
    }

    /// renameat(2): `from` replaces `to`, if that is there, in one moment.
    ///
    /// # Errors
    /// Those of the call; `EBUSY` where something is mounted on `to`.
    pub fn rename(&self, from: &[u8], to: &[u8]) -> io::Result<()> {
        Ok(renameat(self.fd(), from, self.fd(), to)?)
    }

    /// The SELinux label of `name`, a link's own; `None` where it has none.
    ///
    /// # Errors
    /// Those of lgetxattr(2).
    pub fn label(&self, name: &[u8]) -> io::Result<Option<Vec<u8>>> {
        let mut label = vec![0u8; LABEL_MAX];
        match lgetxattr(self.path_of(name), LABEL, label.as_mut_slice()) {
            Ok(length) => {
                label.truncate(length);
                Ok(Some(label))
            }
            // ENOENT: no /proc, or no such name.
            Err(Errno::NODATA | Errno::NOTSUP | Errno::NOENT) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Gives `name` a label. A file system that carries none goes without.
    ///
    /// # Errors
    /// Those of lsetxattr(2).
    pub fn set_label(&self, name: &[u8], label: &[u8]) -> io::Result<()> {
        match lsetxattr(self.path_of(name), LABEL, label, XattrFlags::empty()) {
            Err(Errno::NOTSUP) => Ok(()),
            other => Ok(other?),
        }
    }

    /// A path to `name` that goes through the open directory: there is no lgetxattrat(2) before
    /// Linux 6.13.
    fn path_of(&self, name: &[u8]) -> Vec<u8> {
        [format!("/proc/self/fd/{}/", self.fd().as_raw_fd()).as_bytes(), name].concat()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use super::super::Tree;
    use super::*;

    fn with(make: impl FnOnce(&Path)) -> (tempfile::TempDir, std::rc::Rc<Dir>) {
        let temp = tempfile::tempdir().unwrap();
        make(temp.path());
        let root = Tree::open(temp.path()).unwrap().root();
        (temp, root)
    }

    #[test]
    fn a_rename_replaces_a_link_itself() {
        let (temp, dir) = with(|root| {
            fs::write(root.join("target"), "kept").unwrap();
            symlink("target", root.join("name")).unwrap();
            fs::write(root.join("new"), "new").unwrap();
        });
        dir.rename(b"new", b"name").unwrap();
        assert_eq!(fs::read_to_string(temp.path().join("name")).unwrap(), "new");
        assert_eq!(fs::read_to_string(temp.path().join("target")).unwrap(), "kept");
        assert!(!temp.path().join("new").exists());
    }

    #[test]
    fn only_regular_files_are_opened_and_nothing_waits_for_a_pipe() {
        let (_temp, dir) = with(|root| {
            let mode = Mode::from_raw_mode(0o600);
            rustix::fs::mknodat(rustix::fs::CWD, root.join("pipe"), FileType::Fifo, mode, 0)
                .unwrap();
            symlink("pipe", root.join("link")).unwrap();
            fs::write(root.join("file"), "").unwrap();
        });
        assert!(dir.open_file(b"pipe").is_err());
        assert!(dir.open_file(b"link").is_err());
        assert!(dir.open_file(b"file").is_ok());
        assert_eq!(dir.look(b"link").unwrap().kind, 0o120_000);
    }

    // This needs CAP_SYS_ADMIN and a file system with extended attributes.
    #[test]
    fn labels_are_those_of_the_name_itself() {
        let (_temp, dir) = with(|root| {
            fs::write(root.join("file"), "").unwrap();
            symlink("file", root.join("link")).unwrap();
        });
        let label = b"system_u:object_r:net_conf_t:s0\0";
        dir.set_label(b"file", label).unwrap();
        assert_eq!(dir.label(b"file").unwrap().as_deref(), Some(&label[..]));
        assert_eq!(dir.label(b"link").unwrap(), None);
        assert_eq!(dir.label(b"absent").unwrap(), None);
    }
}

//! What a file is besides its name and bytes: owner, mode, times, extended
//! attributes (POSIX ACLs are among them), holes.

use std::ffi::CStr;
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode, SeekFrom, Timespec, Timestamps, Uid, XattrFlags,
};
use rustix::io::Errno;

/// Gives `to` the owner, extended attributes, mode and times of `from`, in the order
/// in which none undoes another: a new owner clears setuid and capabilities.
///
/// # Errors
/// The errno of the first call that failed.
pub fn copy_attributes(from: &Path, metadata: &Metadata, to: &Path) -> io::Result<()> {
    let owner = (Some(Uid::from_raw(metadata.uid())), Some(Gid::from_raw(metadata.gid())));
    rustix::fs::chownat(CWD, to, owner.0, owner.1, AtFlags::SYMLINK_NOFOLLOW)?;
    copy_xattrs(from, to)?;
    if !metadata.is_symlink() {
        let mode = Mode::from_raw_mode(metadata.mode() & 0o7777);
        rustix::fs::chmodat(CWD, to, mode, AtFlags::empty())?;
    }
    let times = Timestamps {
        last_access: Timespec { tv_sec: metadata.atime(), tv_nsec: metadata.atime_nsec() },
        last_modification: Timespec { tv_sec: metadata.mtime(), tv_nsec: metadata.mtime_nsec() },
    };
    rustix::fs::utimensat(CWD, to, &times, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(())
}

fn copy_xattrs(from: &Path, to: &Path) -> io::Result<()> {
    let size = match rustix::fs::llistxattr_query(from) {
        Ok(0) | Err(Errno::NOTSUP) => return Ok(()),
        Ok(size) => size,
        Err(error) => return Err(error.into()),
    };
    let mut names = vec![0u8; size];
    let count = rustix::fs::llistxattr(from, names.as_mut_slice())?;
    let names = names.get(..count).unwrap_or_default();
    for name in names.split_inclusive(|&byte| byte == 0) {
        let Ok(name) = CStr::from_bytes_with_nul(name) else { continue };
        let size = rustix::fs::lgetxattr_query(from, name)?;
        let mut value = vec![0u8; size];
        let count = rustix::fs::lgetxattr(from, name, value.as_mut_slice())?;
        let value = value.get(..count).unwrap_or_default();
        match rustix::fs::lsetxattr(to, name, value, XattrFlags::empty()) {
            // A label of a security module that is not there, or that the file
            // system does not carry, is no reason to lose the file.
            Err(Errno::NOTSUP) if name.to_bytes().starts_with(b"security.selinux") => {}
            other => other?,
        }
    }
    Ok(())
}

/// Copies the bytes of a file; holes stay holes.
///
/// # Errors
/// The errno of the first call that failed.
pub fn copy_bytes(from: &mut File, to: &mut File) -> io::Result<()> {
    let size = from.metadata()?.len();
    let mut offset = 0;
    while offset < size {
        let data = match rustix::fs::seek(&*from, SeekFrom::Data(offset)) {
            Ok(data) => data,
            Err(Errno::NXIO) => break,
            // A file system that does not know holes: all of it is data.
            Err(Errno::INVAL) => offset,
            Err(error) => return Err(error.into()),
        };
        let end = rustix::fs::seek(&*from, SeekFrom::Hole(data)).unwrap_or(size);
        rustix::fs::seek(&*from, SeekFrom::Start(data))?;
        rustix::fs::seek(&*to, SeekFrom::Start(data))?;
        let wanted = end.saturating_sub(data);
        let copied = io::copy(&mut io::Read::take(&mut *from, wanted), to)?;
        if copied < wanted {
            break; // Cut while it was read.
        }
        offset = end;
    }
    to.set_len(size)
}

/// Makes a device node, pipe or socket like `metadata`; its attributes are copied apart.
///
/// # Errors
/// `EEXIST`; `EPERM` without the right to make devices.
pub fn make_special(metadata: &Metadata, to: &Path) -> io::Result<()> {
    let kind = metadata.file_type();
    let kind = if kind.is_block_device() {
        FileType::BlockDevice
    } else if kind.is_char_device() {
        FileType::CharacterDevice
    } else if kind.is_socket() {
        FileType::Socket
    } else {
        FileType::Fifo
    };
    rustix::fs::mknodat(CWD, to, kind, Mode::RUSR | Mode::WUSR, metadata.rdev())?;
    Ok(())
}

/// Waits until everything written to the file system of `folder` is on its medium.
///
/// # Errors
/// `EIO` when it is not.
pub fn sync_filesystem(folder: &Path) -> io::Result<()> {
    rustix::fs::syncfs(File::open(folder)?)?;
    Ok(())
}

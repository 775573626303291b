//! mount(2) and umount2(2), as 4.18 has them.
#![allow(unsafe_code, reason = "a call that may wait for ever is made in a child")]

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};

use super::Linux;
use super::within::within;

/// One call of mount(2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Device, server path, folder to bind, or a name for the mount table.
    pub source: String,
    /// Where it appears.
    pub target: PathBuf,
    /// Type of file system; empty for a bind mount.
    pub fstype: String,
    /// `MS_*` flags.
    pub flags: MountFlags,
    /// The file system's own options, comma-separated.
    pub data: String,
}

impl Mount {
    /// A bind mount of `source` on `target`.
    pub fn bind(source: &Path, target: &Path) -> Self {
        Self {
            source: source.display().to_string(),
            target: target.to_owned(),
            fstype: String::new(),
            flags: MountFlags::BIND,
            data: String::new(),
        }
    }
}

/// Mounting, as a stage asks for it.
pub trait Mounts {
    /// `mount(2)`.
    ///
    /// # Errors
    /// The errno of the call.
    fn mount(&self, mount: &Mount) -> io::Result<()>;

    /// `mount(2)` with `MS_PRIVATE`: what is mounted below `target` stays there.
    ///
    /// # Errors
    /// `EINVAL` where `target` is not a mount.
    fn make_private(&self, target: &Path) -> io::Result<()>;

    /// `umount2(2)`.
    ///
    /// # Errors
    /// `EBUSY` while something below `target` is open; `EINVAL` where nothing is mounted.
    fn unmount(&self, target: &Path, flags: UnmountFlags) -> io::Result<()>;

    /// `mount(2)` of a file system whose server may not answer.
    ///
    /// # Errors
    /// The errno of the call; `TimedOut` after `limit`, mounted or not.
    fn mount_within(&self, mount: &Mount, _limit: Duration) -> io::Result<()> {
        self.mount(mount)
    }

    /// `umount2(2)` of such a file system.
    ///
    /// # Errors
    /// The errno of the call; `TimedOut` after `limit`, unmounted or not.
    fn unmount_within(
        &self,
        target: &Path,
        flags: UnmountFlags,
        _limit: Duration,
    ) -> io::Result<()> {
        self.unmount(target, flags)
    }
}

impl Mounts for Linux {
    fn mount(&self, mount: &Mount) -> io::Result<()> {
        let data = std::ffi::CString::new(mount.data.as_bytes())?;
        rustix::mount::mount(
            mount.source.as_str(),
            &mount.target,
            mount.fstype.as_str(),
            mount.flags,
            Some(data.as_c_str()),
        )?;
        Ok(())
    }

    fn make_private(&self, target: &Path) -> io::Result<()> {
        Ok(rustix::mount::mount_change(target, MountPropagationFlags::PRIVATE)?)
    }

    fn unmount(&self, target: &Path, flags: UnmountFlags) -> io::Result<()> {
        Ok(rustix::mount::unmount(target, flags)?)
    }

    fn mount_within(&self, mount: &Mount, limit: Duration) -> io::Result<()> {
        let source = CString::new(mount.source.as_bytes())?;
        let target = CString::new(mount.target.as_os_str().as_bytes())?;
        let fstype = CString::new(mount.fstype.as_bytes())?;
        let data = CString::new(mount.data.as_bytes())?;
        let call = || {
            let (source, target) = (source.as_c_str(), target.as_c_str());
            rustix::mount::mount(source, target, fstype.as_c_str(), mount.flags, data.as_c_str())
        };
        // SAFETY: one system call, on C strings that were allocated before.
        unsafe { within(limit, call) }
    }

    fn unmount_within(
        &self,
        target: &Path,
        flags: UnmountFlags,
        limit: Duration,
    ) -> io::Result<()> {
        let target = CString::new(target.as_os_str().as_bytes())?;
        // SAFETY: one system call, on a C string that was allocated before.
        unsafe { within(limit, || rustix::mount::unmount(target.as_c_str(), flags)) }
    }
}

//! A mount that is taken away again, whatever happens in between.

use std::io;
use std::path::{Path, PathBuf};

use rustix::mount::UnmountFlags;

use super::Kernel;
use super::mount::Mount;

/// Unmounts when it is closed, which tells of an error, or dropped, which cannot.
#[must_use]
pub struct MountGuard<'a> {
    kernel: &'a dyn Kernel,
    target: PathBuf,
    mounted: bool,
}

impl<'a> MountGuard<'a> {
    /// Mounts, and guards the mount.
    ///
    /// # Errors
    /// The errno of mount(2).
    pub fn mount(kernel: &'a dyn Kernel, mount: &Mount) -> io::Result<Self> {
        kernel.mount(mount)?;
        Ok(Self { kernel, target: mount.target.clone(), mounted: true })
    }

    /// Where it is mounted.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// Unmounts; after an error the mount is still guarded.
    ///
    /// # Errors
    /// `EBUSY` while something below it is open.
    pub fn close(&mut self) -> io::Result<()> {
        if self.mounted {
            self.kernel.unmount(&self.target, UnmountFlags::empty())?;
            self.mounted = false;
        }
        Ok(())
    }
}

impl Drop for MountGuard<'_> {
    fn drop(&mut self) {
        if self.mounted {
            // Nobody is left to tell; detached, it is gone from the tree at once.
            let _ = self.kernel.unmount(&self.target, UnmountFlags::DETACH);
        }
    }
}

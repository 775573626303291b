//! The secrets' end: nobody has them, nothing of them is mounted.

use std::fs;
use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail};
use rustix::io::Errno;
use rustix::mount::UnmountFlags;

use super::{Secrets, remove_folder};
use crate::config::mountinfo::{Device, Mounted, parse_mountinfo};
use crate::plan::secrets::{RELEASE_LIMIT, UNMOUNT_LIMIT};
use crate::sys::holders::Sought;

/// How long the kernel may take to let go of a file system that nobody has mounted.
const LET_GO_LIMIT: Duration = Duration::from_secs(5);
/// How often something is looked at for which there is no event.
const LOOK_EVERY: Duration = Duration::from_millis(50);

impl Secrets<'_> {
    /// Notes the numbers of the mounts at and below the secrets' folder. An export
    /// below the first is mounted by the kernel when somebody walks into it.
    ///
    /// # Errors
    /// The table of mounts cannot be read, or the secrets are not in it.
    pub(super) fn find(&mut self) -> anyhow::Result<()> {
        self.note_mounts()?;
        if self.devices.is_empty() {
            bail!("{} is mounted and not in the table of mounts", self.target.display());
        }
        Ok(())
    }

    /// The mounts that have something of the secrets, or hide them, in the order of mounting.
    fn note_mounts(&mut self) -> anyhow::Result<Vec<Mounted>> {
        let mut mounts = self.note_nfs_below(&self.target.clone())?;
        let ours = |mount: &Mounted| {
            mount.at.starts_with(&self.target) || self.devices.contains(&mount.device)
        };
        mounts.retain(ours);
        Ok(mounts)
    }

    /// Takes every NFS at and below `folder` for the secrets'; all mounts that there are.
    pub(super) fn note_nfs_below(&mut self, folder: &Path) -> anyhow::Result<Vec<Mounted>> {
        let path = self.layout.proc.join("self/mountinfo");
        let text =
            fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        let mounts = parse_mountinfo(&text);
        for mount in &mounts {
            // Only NFS: a device that the hook bound here is not the secrets'.
            if mount.at.starts_with(folder) && mount.is_nfs() {
                self.mounts.push(mount.id);
                self.devices.push(mount.device);
            }
        }
        self.mounts.sort_unstable();
        self.mounts.dedup();
        self.devices.sort_unstable();
        self.devices.dedup();
        Ok(mounts)
    }

    /// Ends who holds on to them, and unmounts them, wherever they were bound to; the names
    /// of the processes.
    ///
    /// # Errors
    /// They are still there after [`RELEASE_LIMIT`].
    pub(super) fn release(&mut self) -> anyhow::Result<Vec<String>> {
        let mut ended = self.unmount_all()?;
        // Now that they are unmounted wherever that is passed on, who still has them
        // has taken them into a namespace of its own.
        let elsewhere = self.devices();
        ended.extend(self.end(Sought { mounted_elsewhere: elsewhere, ..Sought::default() })?);
        ended.extend(self.end(self.holders())?);
        self.require_gone()?;
        remove_folder(&self.target)?;
        self.released = true;
        Ok(ended)
    }

    /// Round by round: the next one finds what a process did between the look at it and its end.
    fn unmount_all(&mut self) -> anyhow::Result<Vec<String>> {
        let mut names = Vec::new();
        let mut until = None;
        loop {
            let ended = self.end(self.holders());
            let failed = ended.map(|ended| names.extend(ended)).err();
            let mounts = self.note_mounts()?;
            if mounts.is_empty() && failed.is_none() {
                return Ok(names);
            }
            let failed = self.unmount_each(&mounts).err().or(failed);
            if failed.is_none() && self.note_mounts()?.is_empty() {
                return Ok(names);
            }
            let until = *until.get_or_insert_with(|| Instant::now() + RELEASE_LIMIT);
            if Instant::now() >= until {
                let busy = || anyhow!("{} is mounted again and again", self.target.display());
                return Err(failed.unwrap_or_else(busy));
            }
            if failed.is_some() {
                thread::sleep(LOOK_EVERY);
            }
        }
    }

    /// The last one first; the error of the last one that did not go.
    ///
    /// By force: it ends the requests to a server that is gone, and so those who wait for it.
    /// The CLOSE of a process that was killed needs nobody who waits, and keeps the superblock,
    /// which nothing ends any more once it has no mount. Source: `nfs_umount_begin`,
    /// `fs/nfs/super.c`, and `nfs4_do_close`, `fs/nfs/nfs4proc.c`.
    fn unmount_each(&self, mounts: &[Mounted]) -> anyhow::Result<()> {
        let mut result = Ok(());
        for mount in mounts.iter().rev() {
            match self.kernel.unmount_within(&mount.at, UnmountFlags::FORCE, UNMOUNT_LIMIT) {
                // It is out of the table, and the server was not told.
                Err(error) if error.kind() == io::ErrorKind::TimedOut => {}
                // EINVAL: it went together with another.
                Err(error) if Errno::from_io_error(&error) != Some(Errno::INVAL) => {
                    let at = mount.at.display();
                    result = Err(error).with_context(|| format!("unmounting {at}"));
                }
                _ => {}
            }
        }
        result
    }

    fn end(&self, sought: Sought) -> anyhow::Result<Vec<String>> {
        let ended = self.kernel.end_all(&self.layout.proc, &sought);
        ended.with_context(|| format!("ending what holds {}", self.target.display()))
    }

    /// Everybody in the new root, and who has something of the secrets open.
    fn holders(&self) -> Sought {
        Sought {
            root: Some(self.layout.sysroot.clone()),
            below: vec![self.target.clone()],
            mounts: self.mounts.clone(),
            devices: self.devices(),
            mounted_elsewhere: Vec::new(),
        }
    }

    fn devices(&self) -> Vec<rustix::fs::Dev> {
        self.devices.iter().map(|one| rustix::fs::makedev(one.major, one.minor)).collect()
    }

    /// The kernel itself has let go of them: no loop device and no overlay keeps the
    /// superblock. The one of a namespace that ended goes a moment later.
    fn require_gone(&self) -> anyhow::Result<()> {
        let until = Instant::now() + LET_GO_LIMIT;
        while let Some(device) = self.used_device() {
            if Instant::now() >= until {
                bail!(
                    "the secrets are unmounted and the kernel still uses their file system {device}"
                );
            }
            thread::sleep(LOOK_EVERY);
        }
        Ok(())
    }

    /// Source: `nfs_volume_list_show`, `fs/nfs/client.c`: `version server port device …`.
    fn used_device(&self) -> Option<Device> {
        // Absent where the kernel has unloaded NFS, or never had it.
        let volumes = fs::read_to_string(self.layout.proc.join("fs/nfsfs/volumes"));
        let volumes = volumes.unwrap_or_default();
        let listed = |device: &Device| {
            let device = device.to_string();
            volumes.lines().any(|line| line.split_whitespace().nth(3) == Some(&device))
        };
        self.devices.iter().copied().find(listed)
    }
}

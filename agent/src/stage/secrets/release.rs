//! The secrets' end: nobody has them, nothing of them is mounted.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rustix::io::Errno;
use rustix::mount::UnmountFlags;

use super::{Secrets, remove_folder};
use crate::config::mountinfo::{Device, Mounted, parse_mountinfo};
use crate::sys::holders::Sought;

/// How often the holders are ended and the mounts unmounted. The second round finds
/// what a process did between the look at it and its end.
const ROUNDS: usize = 4;
/// How long the kernel may take to let go of a file system that nobody has mounted.
const LET_GO_LIMIT: Duration = Duration::from_secs(5);
/// How often it is looked at meanwhile: there is no event for it.
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
        let path = self.layout.proc.join("self/mountinfo");
        let text =
            fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        let mut mounts = parse_mountinfo(&text);
        for mount in &mounts {
            // Only NFS: a device that the hook bound here is not the secrets'.
            if mount.at.starts_with(&self.target) && mount.is_nfs() {
                self.mounts.push(mount.id);
                self.devices.push(mount.device);
            }
        }
        self.mounts.sort_unstable();
        self.mounts.dedup();
        self.devices.sort_unstable();
        self.devices.dedup();
        let ours = |mount: &Mounted| {
            mount.at.starts_with(&self.target) || self.devices.contains(&mount.device)
        };
        mounts.retain(ours);
        Ok(mounts)
    }

    /// Ends who holds on to them, and unmounts them, wherever they were bound to; the names
    /// of the processes.
    ///
    /// # Errors
    /// They are still there after all rounds.
    pub(super) fn release(&mut self) -> anyhow::Result<Vec<String>> {
        let mut ended = self.end(self.holders())?;
        for round in 0..ROUNDS {
            let mounts = self.note_mounts()?;
            if mounts.is_empty() {
                break;
            }
            // By force only what would not go: it ends the requests to a server that is gone.
            let flags = if round == 0 { UnmountFlags::empty() } else { UnmountFlags::FORCE };
            for mount in mounts.iter().rev() {
                match self.kernel.unmount(&mount.at, flags) {
                    Ok(()) => {}
                    // EINVAL: it went together with another.
                    Err(error) if Errno::from_io_error(&error) == Some(Errno::INVAL) => {}
                    Err(error) if round + 1 == ROUNDS => {
                        return Err(error)
                            .with_context(|| format!("unmounting {}", mount.at.display()));
                    }
                    Err(_) => ended.extend(self.end(self.holders())?),
                }
            }
        }
        let left = self.note_mounts()?;
        if let Some(mount) = left.last() {
            bail!("unmounting {}: it is mounted again and again", mount.at.display());
        }
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
            std::thread::sleep(LOOK_EVERY);
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

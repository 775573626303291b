//! Huge pages for the files of a tmpfs while it is filled: fewer pages to be taken, charged and
//! listed, which is most of what writing costs. None is larger than its file (`within_size`).
//!
//! Source: tmpfs's `huge=` in the kernel's `Documentation/admin-guide/mm/transhuge.rst`.

use std::fs;
use std::io;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};

use rustix::fs::{StatVfsMountFlags, fstatfs, fstatvfs};
use rustix::mount::{MountFlags, mount_remount};

use super::Tree;

/// Source: `TMPFS_MAGIC`, `linux/magic.h`.
const TMPFS_MAGIC: u64 = 0x0102_1994;

/// A tmpfs that uses huge pages until this value goes.
#[derive(Debug)]
pub struct HugePages {
    root: PathBuf,
    flags: MountFlags,
}

impl HugePages {
    /// Turns them on for the tmpfs mounted at `root`, whose tree is `tree`. `None` where its
    /// mount says itself what it wants, or where `root` is no mounted tmpfs.
    ///
    /// # Errors
    /// Those of the calls: `EPERM` for anybody but root, `EINVAL` where the kernel has none.
    pub fn turn_on(root: &Path, tree: &Tree) -> io::Result<Option<Self>> {
        let fd = tree.root.fd();
        if u64::try_from(fstatfs(fd)?.f_type) != Ok(TMPFS_MAGIC) {
            return Ok(None);
        }
        let mounts = fs::read_to_string("/proc/self/mountinfo")?;
        let own = fs::read_to_string(format!("/proc/self/fdinfo/{}", fd.as_raw_fd()))?;
        let Some(options) = mount_id(&own).and_then(|id| super_options(&mounts, id)) else {
            return Ok(None);
        };
        if options.split(',').any(|option| option.starts_with("huge=")) {
            return Ok(None);
        }
        let huge = Self { root: root.to_owned(), flags: kept(fstatvfs(fd)?.f_flag) };
        // EINVAL also where `root` is a folder inside a tmpfs, not its mount.
        huge.remount(c"huge=within_size")?;
        Ok(Some(huge))
    }

    fn remount(&self, options: &std::ffi::CStr) -> io::Result<()> {
        Ok(mount_remount(&self.root, self.flags, options)?)
    }
}

impl Drop for HugePages {
    /// What is in huge pages stays there.
    fn drop(&mut self) {
        // Where it cannot be turned off, files made later may use them too: no harm.
        let _ = self.remount(c"huge=never");
    }
}

/// The flags that a remount would take away unless it repeats them.
fn kept(flags: StatVfsMountFlags) -> MountFlags {
    let pairs = [
        (StatVfsMountFlags::RDONLY, MountFlags::RDONLY),
        (StatVfsMountFlags::NOSUID, MountFlags::NOSUID),
        (StatVfsMountFlags::NODEV, MountFlags::NODEV),
        (StatVfsMountFlags::NOEXEC, MountFlags::NOEXEC),
    ];
    let set = pairs.into_iter().filter(|(status, _)| flags.contains(*status));
    set.map(|(_, mount)| mount).collect()
}

/// Which mount an open file is on. Source: `mnt_id` in `proc_pid_fdinfo(5)`.
fn mount_id(fdinfo: &str) -> Option<&str> {
    fdinfo.lines().find_map(|line| line.strip_prefix("mnt_id:")).map(str::trim)
}

/// The file system's own options of the mount `id`. Source: `proc_pid_mountinfo(5)`: the first
/// field is the mount's number, the last the options.
fn super_options<'a>(mountinfo: &'a str, id: &str) -> Option<&'a str> {
    let line = mountinfo.lines().find(|line| line.split(' ').next() == Some(id))?;
    line.rsplit(' ').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_options_of_the_right_mount_are_found() {
        let mountinfo = "29 1 0:26 / /run rw,nosuid shared:3 - tmpfs tmpfs rw,size=4k\n\
                         9 1 0:27 / /r rw - tmpfs tmpfs rw,huge=always\n";
        assert_eq!(mount_id("pos:\t0\nflags:\t02\nmnt_id:\t9\nino:\t1\n"), Some("9"));
        assert_eq!(super_options(mountinfo, "9"), Some("rw,huge=always"));
        assert_eq!(super_options(mountinfo, "29"), Some("rw,size=4k"));
        assert_eq!(super_options(mountinfo, "2"), None);
    }

    #[test]
    fn what_is_no_tmpfs_is_left_alone() {
        let root = Path::new("/proc/self");
        assert!(HugePages::turn_on(root, &Tree::open(root).unwrap()).unwrap().is_none());
    }

    #[test]
    fn flags_that_a_remount_would_take_away_are_repeated() {
        let flags = kept(StatVfsMountFlags::NOSUID | StatVfsMountFlags::RELATIME);
        assert_eq!(flags, MountFlags::NOSUID);
    }
}

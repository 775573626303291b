//! What a program in the new root expects to find there while it runs.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use rustix::mount::MountFlags;

use super::context::Context;
use super::network::learn_name_servers;
use crate::sys::guard::MountGuard;
use crate::sys::mount::Mount;
use crate::sys::root::resolve;

/// `/proc`, `/sys`, `/dev` with its `pts` and `shm`, `/run` and a resolv.conf,
/// below the new root; all gone again when this is closed or dropped.
pub struct Furnished<'a> {
    /// In the order in which they were made; taken away from the last on.
    parts: Vec<Part<'a>>,
}

enum Part<'a> {
    Mount(MountGuard<'a>),
    /// Taken away when it is dropped.
    File(#[allow(dead_code, reason = "held until it goes")] MadeFile),
}

/// Furnishes the new root.
///
/// # Errors
/// The mount that could not be made.
pub fn furnish<'a>(ctx: &Context<'a>) -> anyhow::Result<Furnished<'a>> {
    let mut furnished = Furnished { parts: Vec::new() };
    let layout = ctx.layout;
    furnished.add(ctx, fresh("proc", MountFlags::NOEXEC, ""), "proc")?;
    furnished.add(ctx, fresh("sysfs", MountFlags::NOEXEC, ""), "sys")?;
    furnished.add_bind(ctx, &layout.dev, "dev")?;
    let pts = fresh("devpts", MountFlags::NOEXEC, "gid=5,mode=620,ptmxmode=666");
    furnished.add(ctx, pts, "dev/pts")?;
    // Also the hook's scratch space, where Ansible's `script` starts what it copied there.
    furnished.add(ctx, fresh("tmpfs", MountFlags::NODEV, "mode=1777"), "dev/shm")?;
    furnished.add_bind(ctx, &layout.run, "run")?;
    furnished.add_resolv_conf(ctx)?;
    Ok(furnished)
}

impl Furnished<'_> {
    /// Takes everything away again, and tells of what did not go.
    ///
    /// # Errors
    /// The first mount that is busy; the rest is detached.
    pub fn close(mut self) -> anyhow::Result<()> {
        while let Some(part) = self.parts.pop() {
            if let Part::Mount(mut mount) = part {
                mount
                    .close()
                    .with_context(|| format!("unmounting {}", mount.target().display()))?;
            }
        }
        Ok(())
    }
}

impl Drop for Furnished<'_> {
    /// From the last on: a `Vec` alone would begin with the first.
    fn drop(&mut self) {
        while self.parts.pop().is_some() {}
    }
}

impl<'a> Furnished<'a> {
    fn add(&mut self, ctx: &Context<'a>, mut mount: Mount, name: &str) -> anyhow::Result<()> {
        mount.target = resolve(&ctx.layout.sysroot, Path::new(name))?;
        let path = mount.target.display().to_string();
        create_folder(&mount.target).with_context(|| format!("creating {path}"))?;
        let guard = MountGuard::mount(ctx.kernel, &mount)
            .with_context(|| format!("mounting {} on {path}", mount.source))?;
        self.parts.push(Part::Mount(guard));
        Ok(())
    }

    /// A bind mount is made private: what is mounted or unmounted below it must not
    /// happen to the initramfs too.
    fn add_bind(&mut self, ctx: &Context<'a>, source: &Path, name: &str) -> anyhow::Result<()> {
        self.add(ctx, Mount::bind(source, Path::new("")), name)?;
        let target = resolve(&ctx.layout.sysroot, Path::new(name))?;
        ctx.kernel
            .make_private(&target)
            .with_context(|| format!("making {} private", target.display()))
    }

    /// The initramfs's resolv.conf, where DHCP brought one and the image has none, an empty one, or a
    /// link to one that a service writes when the node is up.
    fn add_resolv_conf(&mut self, ctx: &Context<'a>) -> anyhow::Result<()> {
        learn_name_servers(ctx.layout);
        let ours = ctx.layout.resolv_conf();
        if !fs::metadata(&ours).is_ok_and(|at| at.is_file() && at.len() > 0) {
            return Ok(());
        }
        let theirs = resolve(&ctx.layout.sysroot, Path::new("etc/resolv.conf"))?;
        match fs::symlink_metadata(&theirs) {
            Ok(at) if at.is_file() && at.len() == 0 => {}
            Ok(_) => return Ok(()),
            Err(_) => {
                let made = MadeFile::make(&theirs)
                    .with_context(|| format!("creating {}", theirs.display()))?;
                self.parts.push(Part::File(made));
            }
        }
        let guard = MountGuard::mount(ctx.kernel, &Mount::bind(&ours, &theirs))
            .with_context(|| format!("mounting {} on {}", ours.display(), theirs.display()))?;
        self.parts.push(Part::Mount(guard));
        Ok(())
    }
}

/// An empty file to mount on, and the folders that were made for it.
struct MadeFile {
    /// From the outermost on; the file is the last.
    made: Vec<PathBuf>,
}

impl MadeFile {
    /// # Errors
    /// That of the folder or file that cannot be made. What was made is gone again.
    fn make(path: &Path) -> io::Result<Self> {
        let mut new = Self { made: Vec::new() };
        let mut missing: Vec<_> = path.ancestors().skip(1).take_while(|at| !at.exists()).collect();
        while let Some(folder) = missing.pop() {
            fs::create_dir(folder)?;
            new.made.push(folder.to_owned());
        }
        fs::File::create_new(path)?;
        new.made.push(path.to_owned());
        Ok(new)
    }
}

impl Drop for MadeFile {
    /// A folder in which something else was made meanwhile stays.
    fn drop(&mut self) {
        let Some(file) = self.made.pop() else { return };
        let _ = fs::remove_file(&file).or_else(|_| fs::remove_dir(&file));
        while let Some(folder) = self.made.pop() {
            let _ = fs::remove_dir(folder);
        }
    }
}

fn fresh(fstype: &str, flags: MountFlags, data: &str) -> Mount {
    Mount {
        source: fstype.to_owned(),
        target: Default::default(),
        fstype: fstype.to_owned(),
        flags: MountFlags::NOSUID | flags,
        data: data.to_owned(),
    }
}

fn create_folder(path: &Path) -> io::Result<()> {
    match fs::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_to_mount_on_goes_with_the_folders_made_for_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("systemd/resolve/stub-resolv.conf");
        let made = MadeFile::make(&path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"");
        drop(made);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        let made = MadeFile::make(&path).unwrap();
        fs::write(dir.path().join("systemd/other"), "").unwrap();
        drop(made);
        assert!(dir.path().join("systemd/other").exists());
        assert!(!path.parent().unwrap().exists());
        assert!(MadeFile::make(&dir.path().join("systemd/other/below")).is_err());
    }
}

//! What a program in the new root expects to find there while it runs.

use std::fs;
use std::io;
use std::path::Path;

use anyhow::Context as _;
use rustix::mount::MountFlags;

use super::context::Context;
use crate::sys::guard::MountGuard;
use crate::sys::mount::Mount;
use crate::sys::root::resolve;

/// `/proc`, `/sys`, `/dev` with its `pts` and `shm`, `/run` and a resolv.conf,
/// below the new root; all gone again when this is closed or dropped.
pub struct Furnished<'a> {
    /// In the order of mounting; taken away from the last on.
    mounts: Vec<MountGuard<'a>>,
}

/// Furnishes the new root.
///
/// # Errors
/// The mount that could not be made.
pub fn furnish<'a>(ctx: &Context<'a>) -> anyhow::Result<Furnished<'a>> {
    let mut furnished = Furnished { mounts: Vec::new() };
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
        while let Some(mut mount) = self.mounts.pop() {
            mount.close().with_context(|| format!("unmounting {}", mount.target().display()))?;
        }
        Ok(())
    }
}

impl Drop for Furnished<'_> {
    /// From the last on: a `Vec` alone would begin with the first.
    fn drop(&mut self) {
        while self.mounts.pop().is_some() {}
    }
}

impl<'a> Furnished<'a> {
    fn add(&mut self, ctx: &Context<'a>, mut mount: Mount, name: &str) -> anyhow::Result<()> {
        mount.target = resolve(&ctx.layout.sysroot, Path::new(name))?;
        let path = mount.target.display().to_string();
        create_folder(&mount.target).with_context(|| format!("creating {path}"))?;
        let guard = MountGuard::mount(ctx.kernel, &mount)
            .with_context(|| format!("mounting {} on {path}", mount.source))?;
        self.mounts.push(guard);
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

    /// The initramfs's resolv.conf, where DHCP wrote one and the image's is empty.
    fn add_resolv_conf(&mut self, ctx: &Context<'a>) -> anyhow::Result<()> {
        let ours = ctx.layout.etc.join("resolv.conf");
        let theirs = ctx.layout.sysroot.join("etc/resolv.conf");
        let empty =
            |path: &Path| fs::symlink_metadata(path).map(|at| at.is_file() && at.len() == 0);
        if matches!(empty(&ours), Ok(false)) && matches!(empty(&theirs), Ok(true)) {
            let guard = MountGuard::mount(ctx.kernel, &Mount::bind(&ours, &theirs))
                .with_context(|| format!("mounting {} on {}", ours.display(), theirs.display()))?;
            self.mounts.push(guard);
        }
        Ok(())
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

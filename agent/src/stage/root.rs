//! The root: a tmpfs at `/sysroot`, as Warewulf's own module mounts it.

use std::fs;

use anyhow::Context as _;
use rustix::mount::{MountFlags, UnmountFlags};

use super::context::{Context, Done};
use crate::log;
use crate::sys::mount::Mount;

/// The stage's name.
pub const NAME: &str = "root";

/// Mounts the tmpfs: its source is not `rootfs` (SELinux relabels nothing on that),
/// its pages are spread over the NUMA nodes, and `/` is 0755.
///
/// # Errors
/// mount(2)'s, for example for a size that tmpfs cannot read.
pub fn mount(ctx: &Context<'_>, size: Option<&str>) -> anyhow::Result<Done<()>> {
    let target = &ctx.layout.sysroot;
    fs::create_dir_all(target).with_context(|| format!("creating {}", target.display()))?;
    let size = size.map_or_else(String::new, |size| format!(",size={size}"));
    let tmpfs = |options: String| Mount {
        source: "tmpfs".to_owned(),
        target: target.clone(),
        fstype: "tmpfs".to_owned(),
        flags: MountFlags::empty(),
        data: options,
    };
    let mounted = ctx.kernel.mount(&tmpfs(format!("mode=0755,mpol=interleave{size}")));
    // A kernel without CONFIG_NUMA does not know mpol.
    let mounted = mounted.or_else(|_| ctx.kernel.mount(&tmpfs(format!("mode=0755{size}"))));
    mounted.with_context(|| {
        format!("mounting a tmpfs with options mode=0755{size} on {}", target.display())
    })?;
    Ok(Done::new((), format!("tmpfs on {}", target.display())))
}

/// Takes a half-built root away, so that nobody switches to it.
pub fn discard(ctx: &Context<'_>) {
    if let Err(error) = ctx.kernel.unmount(&ctx.layout.sysroot, UnmountFlags::DETACH) {
        // EINVAL: it had not been mounted yet.
        if error.kind() != std::io::ErrorKind::InvalidInput {
            log::line(NAME, format_args!("unmounting {}: {error}", ctx.layout.sysroot.display()));
        }
    }
}

//! The root: a tmpfs at `/sysroot`, as Warewulf's own module mounts it.

use std::fs;

use anyhow::Context as _;
use rustix::mount::{MountFlags, UnmountFlags};

use super::context::{Context, Done};
use crate::log;
use crate::plan::root::{check_size, parse_meminfo, parse_size, plan_size};
use crate::sys::mount::Mount;

/// The stage's name.
pub const NAME: &str = "root";

/// The size option for an image that is `raw` bytes uncompressed, where the server says
/// so: what was asked for, or what the image and the memory ask for.
///
/// # Errors
/// The image cannot fit: better said now than after most of it has been fetched.
pub fn size(
    ctx: &Context<'_>,
    asked: Option<&str>,
    raw: Option<u64>,
) -> anyhow::Result<Option<String>> {
    let meminfo = fs::read_to_string(ctx.layout.meminfo()).unwrap_or_default();
    let (Some(raw), Some(memory)) = (raw, parse_meminfo(&meminfo)) else {
        return Ok(asked.map(str::to_owned));
    };
    match asked {
        None => Ok(plan_size(raw, memory)?.map(|bytes| bytes.to_string())),
        Some(asked) => {
            // What tmpfs cannot read, it says itself when it is mounted.
            if let Some(size) = parse_size(asked, memory) {
                check_size(raw, size, memory)?;
            }
            Ok(Some(asked.to_owned()))
        }
    }
}

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

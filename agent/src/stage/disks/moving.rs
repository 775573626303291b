//! Mounts the volumes below the new root, moves folders onto them and makes the
//! cache's folder.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use rustix::mount::MountFlags;

use crate::config::mkdisk_conf::ReplaceBy;
use crate::config::node_path::is_within;
use crate::layout::Layout;
use crate::plan::disks::inventory::DeviceNumber;
use crate::sys::Kernel;
use crate::sys::attributes::{copy_attributes, sync_filesystem};
use crate::sys::link::exchange_for_link;
use crate::sys::mount::Mount;
use crate::sys::root::make_folder;
use crate::sys::tree::{empty_folder, open_folder};

use super::copy::{Copied, copy_tree};
use super::driver::load_module;
use super::inventory::{device_node, read_mounts};

/// Mounts a volume below the new root. One that is there already is left.
pub(super) fn mount_volume(
    kernel: &dyn Kernel,
    layout: &Layout,
    device: &str,
    target: &str,
    options: &[String],
) -> anyhow::Result<()> {
    let folder = make_folder(&layout.sysroot, Path::new(target))
        .with_context(|| format!("making {target}"))?;
    let node = device_node(layout, device);
    let here = kernel.open_readable(&node).and_then(|device| kernel.device_number(&device));
    let here = here.with_context(|| format!("opening {}", node.display()))?;
    let is_there = |(number, place): &(DeviceNumber, String)| {
        Path::new(place) == folder && (number.major, number.minor) == here
    };
    if read_mounts(layout).iter().any(is_there) {
        return Ok(());
    }
    // ext4 asks the kernel's crypto for crc32c by an alias, which without modprobe
    // nobody resolves; a module that cannot be loaded is told by the mount that fails.
    for module in ["crc32c_intel", "crc32c_generic", "ext4"] {
        load_module(kernel, layout, module);
    }
    let mount = Mount {
        source: node.display().to_string(),
        target: folder,
        fstype: "ext4".to_owned(),
        flags: mount_flags(options),
        data: String::new(),
    };
    kernel.mount(&mount).with_context(|| format!("mounting {device} on {target}"))
}

/// The words that a profile allows, as mount(2) takes them.
fn mount_flags(options: &[String]) -> MountFlags {
    let flag = |word: &str| match word {
        "noatime" => MountFlags::NOATIME,
        "nodiratime" => MountFlags::NODIRATIME,
        "relatime" => MountFlags::RELATIME,
        "strictatime" => MountFlags::STRICTATIME,
        "lazytime" => MountFlags::LAZYTIME,
        "nodev" => MountFlags::NODEV,
        "nosuid" => MountFlags::NOSUID,
        "noexec" => MountFlags::NOEXEC,
        _ => MountFlags::empty(),
    };
    options.iter().map(|word| flag(word)).fold(MountFlags::empty(), MountFlags::union)
}

/// A folder that was moved.
#[derive(Debug, Default)]
pub(super) struct Moved {
    pub copied: Copied,
    /// Why the memory that it took is not free, where it is not.
    pub left: Option<anyhow::Error>,
}

/// Moves a folder of the image onto a volume and puts a bind mount or a link in its place;
/// only then, when it is seen nowhere, is the memory freed that it took.
///
/// # Errors
/// Whatever could not be copied or replaced: the folder then stays as it was.
pub(super) fn move_folder(
    kernel: &dyn Kernel,
    layout: &Layout,
    from: &str,
    to: &str,
    replace_by: ReplaceBy,
) -> anyhow::Result<Moved> {
    let source =
        make_folder(&layout.sysroot, Path::new(from)).with_context(|| format!("finding {from}"))?;
    let target =
        make_folder(&layout.sysroot, Path::new(to)).with_context(|| format!("making {to}"))?;
    let old = source.symlink_metadata().with_context(|| format!("looking at {from}"))?;
    let new = target.symlink_metadata().with_context(|| format!("looking at {to}"))?;
    if (old.dev(), old.ino()) == (new.dev(), new.ino()) {
        return Ok(Moved::default());
    }
    ensure!(!target.starts_with(&source), "{to} lies in {from}");
    let copied = copy_tree(&source, &target)?;
    // The folder itself is as the image has it, /tmp with its 1777, even where the
    // disk had one before.
    copy_attributes(&source, &old, &target).with_context(|| format!("setting mode of {to}"))?;
    sync_filesystem(&target).with_context(|| format!("writing {to} to its disk"))?;
    // Opened before it is hidden.
    let memory = open_folder(&source).with_context(|| format!("opening {from}"))?;
    let aside = match replace_by {
        ReplaceBy::Bind => {
            let bound = kernel.mount(&Mount::bind(&target, &source));
            bound.with_context(|| format!("binding {to} to {from}"))?;
            None
        }
        ReplaceBy::Symlink => Some(
            link(layout, &source, &target).with_context(|| format!("linking {from} to {to}"))?,
        ),
    };
    let freed = empty_folder(memory).and_then(|()| aside.map_or(Ok(()), std::fs::remove_dir));
    let freed = freed.with_context(|| format!("freeing the memory of {from}"));
    Ok(Moved { copied, left: freed.err() })
}

/// Puts a link to `target` where `source` is; where that is afterwards.
fn link(layout: &Layout, source: &Path, target: &Path) -> anyhow::Result<PathBuf> {
    let is_below = |(_, place): &(DeviceNumber, String)| Path::new(place).starts_with(source);
    if let Some((_, place)) = read_mounts(layout).iter().find(|mount| is_below(mount)) {
        bail!("something is mounted on {place}, which a link would hide");
    }
    // As the node itself will see it.
    let leads_to = Path::new("/").join(target.strip_prefix(&layout.sysroot)?);
    Ok(exchange_for_link(source, &leads_to)?)
}

/// Makes the folder of the file-system cache, for root alone.
pub(super) fn make_fscache(layout: &Layout, path: &str) -> anyhow::Result<()> {
    let folder =
        make_folder(&layout.sysroot, Path::new(path)).with_context(|| format!("making {path}"))?;
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o700))
        .with_context(|| format!("setting mode of {path}"))
}

/// Whether a path lies on one of the mounted targets.
pub(super) fn is_mounted_on(path: &str, targets: &[String]) -> bool {
    targets.iter().any(|target| is_within(path, target))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_that_a_profile_may_have_is_a_flag() {
        for word in crate::config::profile::MOUNT_WORDS {
            assert!(!mount_flags(&[word.to_owned()]).is_empty(), "{word}");
        }
    }
}

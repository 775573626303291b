//! A release's kernel, from its package: unpacked into the cache, never installed.

mod vmlinux;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::debian::Release;
use crate::image::link_tree;
use crate::package;
use crate::tool::{command, run};
use crate::workshop::{Workshop, cached, key, remove};

/// A kernel and its modules.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Kernel {
    /// As `uname -r` says it: `6.1.0-56-amd64`.
    pub release: String,
    /// The unpacked package.
    pub folder: PathBuf,
    /// What QEMU starts by itself: the image below, unpacked.
    pub vmlinux: PathBuf,
}

impl Kernel {
    /// The bootable image, as servers have it.
    pub fn image(&self) -> PathBuf {
        image(&self.folder, &self.release)
    }

    /// Its modules, `…/lib/modules/<release>`.
    pub fn modules(&self) -> PathBuf {
        self.folder.join("lib/modules").join(&self.release)
    }

    /// Copies these of its modules, files or folders of them, into `root`, and what finds them
    /// there. Those that this kernel has under another name, or built in, are left out.
    ///
    /// # Errors
    /// It has none of them, or they cannot be copied.
    pub fn copy_modules(&self, names: &[&str], root: &Path) -> Result<()> {
        let to = root.join("lib/modules").join(&self.release);
        let mut copied = 0;
        for name in names {
            let endings =
                ["", ".ko", ".ko.xz", ".ko.zst"].map(|ending| format!("kernel/{name}{ending}"));
            let found = endings.iter().find(|path| self.modules().join(path).exists());
            let Some(path) = found else { continue };
            let parent = to.join(path);
            let parent = parent.parent().context("naming a module")?;
            fs::create_dir_all(parent).with_context(|| format!("making {}", parent.display()))?;
            link_tree(&self.modules().join(path), &to.join(path))?;
            copied += 1;
        }
        ensure!(copied > 0, "{} has no modules", self.release);
        for name in ["modules.builtin", "modules.builtin.modinfo", "modules.order"] {
            link_tree(&self.modules().join(name), &to.join(name))?;
        }
        run(command("depmod").arg("-b").arg(root).arg(&self.release)).map(drop)
    }
}

/// Downloads and unpacks the newest kernel of `release`, unless the cache has it.
///
/// # Errors
/// apt knows no kernel (its lists are missing), or the package cannot be fetched or unpacked.
pub fn prepare(workshop: &Workshop, release: Release) -> Result<Kernel> {
    let (name, folder) = match release {
        Release::Bookworm | Release::BookwormManaged => prepare_by_apt(workshop)?,
        other => prepare_by_mmdebstrap(workshop, other)?,
    };
    let family = format!("vmlinux_{}", release.suite());
    let key = key([folder.as_os_str().as_encoded_bytes()]);
    let vmlinux = cached(&workshop.cache(), &family, &key, |file| {
        vmlinux::extract(&image(&folder, &name), file)
    })?;
    Ok(Kernel { release: name, folder, vmlinux })
}

fn image(folder: &Path, release: &str) -> PathBuf {
    folder.join("boot").join(format!("vmlinuz-{release}"))
}

/// By the apt of the machine, which runs the same release: the kernel's release and its folder.
fn prepare_by_apt(workshop: &Workshop) -> Result<(String, PathBuf)> {
    let depends = run(command("apt-cache").args(["depends", Release::Bookworm.newest_kernel()]))?;
    let package = newest(&depends).context("apt knows no kernel: run apt-get update")?;
    let release = package.trim_start_matches("linux-image-").to_owned();
    let key = key([package::address(package)?.as_bytes()]);
    let folder =
        cached(&workshop.cache(), "kernel", &key, |folder| unpack(package, &release, folder))?;
    Ok((release, folder))
}

fn unpack(package: &str, release: &str, folder: &Path) -> Result<()> {
    package::unpack(package, folder)?;
    remove(&folder.join("usr"))?;
    run(command("depmod").arg("-b").arg(folder).arg(release))?;
    Ok(())
}

/// By mmdebstrap, as the machine's apt knows nothing of `release`.
fn prepare_by_mmdebstrap(workshop: &Workshop, release: Release) -> Result<(String, PathBuf)> {
    let family = format!("kernel_{}", release.suite());
    let key = key([include_bytes!("kernel.rs").as_slice(), include_bytes!("debian/archive.rs")]);
    let folder =
        cached(&workshop.cache(), &family, &key, |folder| extract(workshop, release, folder))?;
    Ok((installed(&folder)?, folder))
}

/// Extracts the kernel with all that it depends on, and keeps the kernel alone.
fn extract(workshop: &Workshop, release: Release, folder: &Path) -> Result<()> {
    let all = folder.join("all");
    fs::create_dir_all(folder.join("lib"))?;
    let include = format!("--include={}", release.newest_kernel());
    release.unpack(workshop, &["--variant=extract", &include], &all)?;
    for (from, to) in [("boot", "boot"), ("usr/lib/modules", "lib/modules")] {
        fs::rename(all.join(from), folder.join(to)).with_context(|| format!("taking /{from}"))?;
    }
    remove(&all)?;
    run(command("depmod").arg("-b").arg(folder).arg(installed(folder)?)).map(drop)
}

/// The kernel that lies in `folder`, as `uname -r` says it.
fn installed(folder: &Path) -> Result<String> {
    let modules = folder.join("lib/modules");
    let mut names = fs::read_dir(&modules)
        .with_context(|| format!("reading {}", modules.display()))?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<Result<Vec<_>>>()?;
    let name = names.pop().filter(|_| names.is_empty());
    name.with_context(|| format!("{} is not of one kernel", modules.display()))
}

/// The kernel package in the answer of `apt-cache depends linux-image-amd64`.
fn newest(depends: &str) -> Option<&str> {
    let mut lines = depends.lines().filter_map(|line| line.trim().strip_prefix("Depends: "));
    lines.find(|package| package.starts_with("linux-image-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_kernel_is_what_the_metapackage_depends_on() {
        let text = "linux-image-amd64\n  Depends: linux-image-6.1.0-56-amd64\n";
        assert_eq!(newest(text), Some("linux-image-6.1.0-56-amd64"));
        assert_eq!(newest("linux-image-amd64\n"), None);
    }
}

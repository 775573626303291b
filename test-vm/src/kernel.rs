//! Debian's kernel, from its package: unpacked into the cache, never installed.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::tool::{command, run};
use crate::workshop::{Workshop, cached, key, remove};

/// The package that always depends on the newest kernel of the release.
const NEWEST: &str = "linux-image-amd64";

/// A kernel and its modules.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Kernel {
    /// As `uname -r` says it: `6.1.0-56-amd64`.
    pub release: String,
    /// The unpacked package.
    pub folder: PathBuf,
}

impl Kernel {
    /// The bootable image.
    pub fn image(&self) -> PathBuf {
        self.folder.join("boot").join(format!("vmlinuz-{}", self.release))
    }

    /// Its modules, `…/lib/modules/<release>`.
    pub fn modules(&self) -> PathBuf {
        self.folder.join("lib/modules").join(&self.release)
    }
}

/// Downloads and unpacks the newest kernel of the release, unless the cache has it.
///
/// # Errors
/// apt knows no kernel (its lists are missing), or the package cannot be fetched or unpacked.
pub fn prepare(workshop: &Workshop) -> Result<Kernel> {
    let depends = run(command("apt-cache").args(["depends", NEWEST]))?;
    let package = newest(&depends)
        .with_context(|| format!("apt knows no dependency of {NEWEST}: run apt-get update"))?;
    let release = package.trim_start_matches("linux-image-").to_owned();
    let address = run(command("apt-get").args(["download", "--print-uris", package]))?;
    let key = key([address.as_bytes()]);
    let folder =
        cached(&workshop.cache(), "kernel", &key, |folder| unpack(package, &release, folder))?;
    Ok(Kernel { release, folder })
}

fn unpack(package: &str, release: &str, folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    run(command("apt-get").args(["download", "-q", package]).current_dir(folder))?;
    let deb = std::fs::read_dir(folder)?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .find(|path| path.extension().is_some_and(|kind| kind == "deb"))
        .with_context(|| format!("finding the package of {package}"))?;
    run(command("dpkg").arg("-x").arg(&deb).arg(folder))?;
    remove(&deb)?;
    remove(&folder.join("usr"))?;
    run(command("depmod").arg("-b").arg(folder).arg(release))?;
    Ok(())
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

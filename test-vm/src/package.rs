//! One Debian package of the machine's own release: unpacked into the cache, never installed.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::tool::{command, run};
use crate::workshop::{Workshop, cached, key, remove};

/// Where `package` comes from, and so which version of it: a key for the cache.
///
/// # Errors
/// apt does not know it: its lists are missing.
pub fn address(package: &str) -> Result<String> {
    run(command("apt-get").args(["download", "--print-uris", package]))
}

/// Downloads `package` and unpacks it into `folder`.
///
/// # Errors
/// It cannot be fetched or unpacked.
pub fn unpack(package: &str, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    run(command("apt-get").args(["download", "-q", package]).current_dir(folder))?;
    let deb = fs::read_dir(folder)?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .find(|path| path.extension().is_some_and(|kind| kind == "deb"))
        .with_context(|| format!("finding the package of {package}"))?;
    run(command("dpkg").arg("-x").arg(&deb).arg(folder))?;
    remove(&deb)
}

/// The one program `name` of `package`, which would start a service where it is installed.
///
/// # Errors
/// As [`unpack`], and where it has no such program.
pub fn program(workshop: &Workshop, package: &str, name: &str) -> Result<PathBuf> {
    let key = key([address(package)?.as_bytes(), name.as_bytes()]);
    cached(&workshop.cache(), name, &key, |file| {
        let folder = file.with_extension("package");
        remove(&folder)?;
        unpack(package, &folder)?;
        let program = folder.join("usr/bin").join(name);
        fs::rename(&program, file).with_context(|| format!("taking {}", program.display()))?;
        remove(&folder)
    })
}

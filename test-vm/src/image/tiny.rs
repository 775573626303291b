//! An image of a few MB for the failure cases: the witness as its init and as its hooks.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::{compress, pack, write_file, write_link};
use crate::digest::sha256;
use crate::workshop::{Workshop, cached, key};

/// What the hooks of the tiny image are called; the witness acts by its name.
pub const HOOKS: [&str; 14] = [
    "hook-ok",
    "hook-fail",
    "hook-hang",
    "hook-daemon",
    "hook-holder",
    "hook-kill",
    "hook-leak",
    "hook-reader",
    "hooks.d/.hidden",
    "hooks.d/10-first",
    "hooks.d/20-second",
    "fails.d/10-first",
    "fails.d/30-fails",
    "fails.d/40-never",
];

/// Folders that a root needs to be handed over to.
const FOLDERS: [&str; 9] =
    ["dev", "etc", "proc", "root", "run", "sys", "tmp", "var/log", "var/tmp"];

/// Makes the image; returns the raw archive, with its `.gz` beside it.
///
/// # Errors
/// The witness is not built, or the image cannot be written.
pub fn prepare(workshop: &Workshop) -> Result<PathBuf> {
    let witness = workshop.binary("witness")?;
    let program =
        std::fs::read(&witness).with_context(|| format!("reading {}", witness.display()))?;
    let key = key([program.as_slice(), include_bytes!("tiny.rs")]);
    let folder = cached(&workshop.cache(), "image_tiny", &key, |folder| {
        let root = folder.join("root");
        fill(&root, &program)?;
        let archive = folder.join("tiny.img");
        pack(&root, &[], &archive)?;
        compress(&archive)?;
        crate::workshop::remove(&root)
    })?;
    Ok(folder.join("tiny.img"))
}

/// The files of the tiny root.
///
/// # Errors
/// They cannot be written.
pub fn fill(root: &Path, witness: &[u8]) -> Result<()> {
    for folder in FOLDERS {
        std::fs::create_dir_all(root.join(folder)).with_context(|| format!("making /{folder}"))?;
    }
    write_file(root, "sbin/init", witness, 0o755)?;
    for hook in HOOKS {
        write_link(root, hook, "/sbin/init")?;
    }
    write_file(root, "hooks.d/README", b"no program\n", 0o644)?;
    write_file(root, "etc/os-release", b"ID=tiny\nPRETTY_NAME=\"tiny test root\"\n", 0o644)?;
    write_file(root, "etc/hostname", b"from-the-image\n", 0o644)?;
    write_file(root, "var/log/image.log", b"written by the image\n", 0o640)?;
    write_file(root, "usr/share/ballast", &ballast(), 0o644)
}

/// Four MiB that do not compress: something to download, cut and slow down.
fn ballast() -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    (0..(4 << 20) / 8).flat_map(|_| next()).collect()
}

/// The digest of `/usr/share/ballast`.
pub fn ballast_sha256() -> String {
    sha256(&ballast())
}

//! The initramfs of the machine: this program, rsinit, Debian's tools with their libraries,
//! and the kernel modules of the disks. No udev, no shell.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use super::job::{self, Job};
use crate::image::write_file;
use crate::initramfs::append;
use crate::kernel::Kernel;
use crate::tool::{command, run};

/// What is measured against, and what empties disks in between.
const TOOLS: [&str; 3] = ["mdadm", "mke2fs", "blkdiscard"];

/// Where they may be.
const FOLDERS: [&str; 4] = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"];

/// Modules of the disks; what they need comes before them.
const MODULES: [&str; 5] = ["crc32c_generic", "nvme", "raid0", "raid1", "ext4"];

/// The settings, and the profile, of each folder.
const SETTINGS: [(&str, &str); 3] = [
    (job::STRIPE, "disk_config[1]=\"raid0:ext4\"\n"),
    (job::BARE, "disk_config[1]=\"raid0\"\n"),
    (job::PLAIN, "disk_config[1]=\"none:ext4\"\ndisk_config[2]=\"\"\n"),
];

/// Packs the initramfs into `file`; `job` is handed on with its modules filled in.
///
/// # Errors
/// A program, a library or a module is not there.
pub fn pack(scratch: &Path, rsinit: &Path, kernel: &Kernel, mut job: Job) -> Result<PathBuf> {
    let root = scratch.join("root");
    for folder in ["dev", "proc", "sys", "run", "tmp", "mnt"] {
        let path = root.join(folder);
        fs::create_dir_all(&path).with_context(|| format!("making {}", path.display()))?;
    }
    let program = std::env::current_exe().context("finding this program")?;
    copy(&program, &root, "init")?;
    copy(rsinit, &root, "usr/sbin/rsinit")?;
    for tool in TOOLS {
        add_tool(&root, tool)?;
    }
    copy(Path::new("/etc/mke2fs.conf"), &root, "etc/mke2fs.conf")?;
    for (folder, profile) in SETTINGS {
        let conf = b"WIPE_ON_BOOT=false\nMKDISK_PROFILE=bench\n";
        write_file(&root, &format!("{folder}/etc/mkdisk/mkdisk.conf"), conf, 0o644)?;
        let name = format!("{folder}/etc/mkdisk/profiles.d/bench");
        write_file(&root, &name, profile.as_bytes(), 0o644)?;
    }
    job.modules = add_modules(&root, kernel)?;
    write_file(&root, job::JOB, &serde_json::to_vec(&job)?, 0o644)?;
    let file = scratch.join("initramfs.img");
    File::create(&file).with_context(|| format!("making {}", file.display()))?;
    append(&root, &file)?;
    Ok(file)
}

fn copy(from: &Path, root: &Path, name: &str) -> Result<()> {
    let bytes = fs::read(from).with_context(|| format!("reading {}", from.display()))?;
    write_file(root, name, &bytes, 0o755)
}

/// Copies a program, and each library that the loader would give it, to the same paths.
fn add_tool(root: &Path, name: &str) -> Result<()> {
    let mut places = FOLDERS.iter().map(|folder| Path::new(folder).join(name));
    let path = places.find(|path| path.is_file());
    let path = path.with_context(|| format!("{name} is missing: test-vm/setup.sh installs it"))?;
    copy(&path, root, &format!("usr/sbin/{name}"))?;
    let listing = run(command("ldd").arg(&path))?;
    let libraries = listed_libraries(&listing);
    ensure!(!libraries.is_empty(), "ldd {} names no library", path.display());
    for library in libraries {
        copy(Path::new(library), root, library.trim_start_matches('/'))?;
    }
    Ok(())
}

/// The absolute paths in what ldd says: `name => /path (0x…)` and, of the loader, `/path (0x…)`.
fn listed_libraries(listing: &str) -> Vec<&str> {
    listing
        .lines()
        .filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')))
        .collect()
}

/// Copies the modules; their paths in the order in which they are to be loaded.
fn add_modules(root: &Path, kernel: &Kernel) -> Result<Vec<String>> {
    let folder = kernel.modules();
    let read = |name: &str| {
        let path = folder.join(name);
        fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
    };
    let table = read("modules.dep")?;
    let builtin = read("modules.builtin")?;
    let below = format!("lib/modules/{}", kernel.release);
    write_file(root, &format!("{below}/modules.dep"), table.as_bytes(), 0o644)?;
    write_file(root, &format!("{below}/modules.builtin"), builtin.as_bytes(), 0o644)?;
    let mut order: Vec<String> = Vec::new();
    for name in MODULES {
        if builtin.lines().any(|path| is_module(path, name)) {
            continue;
        }
        for path in files_of(&table, name).with_context(|| format!("finding module {name}"))? {
            if !order.iter().any(|known| known == path) {
                copy(&folder.join(path), root, &format!("{below}/{path}"))?;
                order.push(path.to_owned());
            }
        }
    }
    Ok(order)
}

/// The files of a module in `modules.dep`, what it needs first.
fn files_of<'a>(table: &'a str, name: &str) -> Option<Vec<&'a str>> {
    let mut lines = table.lines().filter_map(|line| line.split_once(':'));
    let (path, needs) = lines.find(|(path, _)| is_module(path, name))?;
    Some(needs.split_whitespace().rev().chain([path]).collect())
}

fn is_module(path: &str, name: &str) -> bool {
    let file = path.rsplit('/').next().unwrap_or(path);
    let stem = file.split_once(".ko").map_or(file, |(stem, _)| stem);
    stem.replace('-', "_") == name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_the_paths_that_ldd_names() {
        let listing = "\tlinux-vdso.so.1 (0x00007f7e17af4000)\n\
                       \tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f7e17825000)\n\
                       \t/lib64/ld-linux-x86-64.so.2 (0x00007f7e17af6000)\n";
        let paths = ["/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2"];
        assert_eq!(listed_libraries(listing), paths);
        assert!(listed_libraries("\tnot a dynamic executable\n").is_empty());
    }

    #[test]
    fn what_a_module_needs_is_loaded_before_it() {
        let table = "kernel/fs/mbcache.ko:\nkernel/fs/ext4/ext4.ko: kernel/fs/jbd2/jbd2.ko kernel/fs/mbcache.ko\n";
        let files = files_of(table, "ext4").unwrap();
        let order = ["kernel/fs/mbcache.ko", "kernel/fs/jbd2/jbd2.ko", "kernel/fs/ext4/ext4.ko"];
        assert_eq!(files, order);
        assert_eq!(files_of(table, "xfs"), None);
    }
}

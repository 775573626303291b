//! The tiny image with the agent, its kernel's modules for disks, a shell and the witnesses mdadm
//! and e2fsprogs: for nodes whose disks are handled step by step while they run.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::{compress, pack, tiny, write_file, write_link};
use crate::debian::Debian;
use crate::space::inside_root;
use crate::tool::run;
use crate::workshop::{Workshop, cached, key, remove};

/// Programs of the real root that come along, with their libraries.
const PROGRAMS: &str = "blkdiscard blockdev cat cmp cp cut dd debugfs df dumpe2fs e2fsck grep head \
    ls mdadm mkdir mke2fs modprobe mount paste rm sed seq sh sha256sum sort stat sync tail tr umount wc";

/// Prints where each program and each of its libraries lies, and the file that this leads to.
const LIST: &str = "for program in $PROGRAMS; do
    path=$(command -v $program) || { echo \"no $program\" >&2; exit 1; }
    echo $path
    ldd $path | grep -o '/[^ ]*'
done | sort -u | while read path; do echo $path $(readlink -f $path); done";

/// Kernel modules of the disks.
const MODULES: [&str; 10] = [
    "arch/x86/crypto",
    "crypto",
    "drivers/md/md-mod",
    "drivers/md/raid0",
    "drivers/md/raid1",
    "drivers/nvme",
    "fs/ext4",
    "fs/jbd2",
    "fs/mbcache",
    "lib",
];

/// Makes the image; returns the raw archive, with its `.gz` beside it.
///
/// # Errors
/// Agent or witness are not built, a program is not in the root, or the image cannot be written.
pub fn prepare(workshop: &Workshop, debian: &Debian) -> Result<PathBuf> {
    let read = |name: &str| {
        let path = workshop.binary(name)?;
        fs::read(&path).with_context(|| format!("reading {}", path.display()))
    };
    let (agent, witness) = (read("rsinit")?, read("witness")?);
    let mut parts = vec![agent.as_slice(), &witness, include_bytes!("tools.rs")];
    parts.extend(debian.names());
    let folder = cached(&workshop.cache(), "image_tools", &key(parts), |folder| {
        let stage = folder.join("root");
        tiny::fill(&stage, &witness)?;
        write_file(&stage, "usr/sbin/rsinit", &agent, 0o755)?;
        write_link(&stage, "usr/sbin/mkdisk", "rsinit")?;
        for name in ["killed", "held"] {
            write_link(&stage, &format!("usr/sbin/{name}"), "/sbin/init")?;
        }
        write_link(&stage, "bin", "usr/bin")?;
        copy_programs(&debian.root, &stage)?;
        debian.kernel.copy_modules(&MODULES, &stage)?;
        let archive = folder.join("tools.img");
        pack(&stage, &[], &archive)?;
        compress(&archive)?;
        remove(&stage)
    })?;
    Ok(folder.join("tools.img"))
}

fn copy_programs(root: &Path, stage: &Path) -> Result<()> {
    let script = format!("PROGRAMS='{PROGRAMS}'\n{LIST}");
    let list = run(&mut inside_root(root, &["sh", "-euc", &script])?)?;
    for line in list.lines() {
        let (name, file) = line.split_once(' ').with_context(|| format!("reading {line:?}"))?;
        let from = root.join(file.trim_start_matches('/'));
        let content = fs::read(&from).with_context(|| format!("reading {}", from.display()))?;
        write_file(stage, name.trim_start_matches('/'), &content, 0o755)?;
    }
    Ok(())
}

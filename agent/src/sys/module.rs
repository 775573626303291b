//! Kernel modules: `finit_module(2)` with what `modules.dep` says they need.
//!
//! Debian 12 has `.ko`, Rocky `.ko.xz`, trixie `.ko.xz` too: a kernel that does not
//! unpack them itself (before 5.17) needs `modprobe`, which dracut brings.

use std::fs::File;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::io::Errno;

/// `MODULE_INIT_COMPRESSED_FILE`, Linux 5.17.
const COMPRESSED: u32 = 4;
/// Where a path in `modules.dep` ends and what it needs begins.
const NEEDS: char = ':';

/// Loads a module and what it needs. One that is loaded or built in is no error.
///
/// # Errors
/// `NotFound` when no module of the running kernel has that name; the errno of the
/// first that the kernel refuses.
pub(super) fn load(modules: &Path, name: &str) -> io::Result<()> {
    let uname = rustix::system::uname();
    let folder = modules.join(uname.release().to_string_lossy().as_ref());
    let table = std::fs::read_to_string(folder.join("modules.dep"))?;
    let Some(paths) = find_paths(&table, name) else {
        let builtin = std::fs::read_to_string(folder.join("modules.builtin")).unwrap_or_default();
        let is_builtin = builtin.lines().any(|path| is_module(path, name));
        return if is_builtin { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) };
    };
    match paths.iter().try_for_each(|path| insert(&folder.join(path))) {
        Ok(()) => Ok(()),
        Err(error) => modprobe(name).map_err(|_| error),
    }
}

/// The files of a module in the order in which they are inserted: `modules.dep` lists
/// the last dependency first needed.
fn find_paths<'a>(table: &'a str, name: &str) -> Option<Vec<&'a str>> {
    let (path, needs) = table
        .lines()
        .filter_map(|line| line.split_once(NEEDS))
        .find(|(path, _)| is_module(path, name))?;
    Some(needs.split_whitespace().rev().chain(std::iter::once(path)).collect())
}

/// Whether a path is that of the module: `-` and `_` are the same in their names.
fn is_module(path: &str, name: &str) -> bool {
    let file = path.rsplit('/').next().unwrap_or(path);
    let stem = file.split_once(".ko").map_or(file, |(stem, _)| stem);
    let same = |c: char| if c == '-' { '_' } else { c };
    stem.chars().map(same).eq(name.chars().map(same))
}

fn insert(path: &Path) -> io::Result<()> {
    let is_packed = path.extension().is_some_and(|extension| extension != "ko");
    let flags = if is_packed { COMPRESSED } else { 0 };
    let file = File::open(path)?;
    match rustix::system::finit_module(&file, c"", flags.cast_signed()) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn modprobe(name: &str) -> io::Result<()> {
    let mut command = Command::new("modprobe");
    command.arg("-q").arg(name).stdin(Stdio::null());
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status()?;
    if status.success() { Ok(()) } else { Err(io::Error::other("modprobe did not load it")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "kernel/lib/crc16.ko:\n\
        kernel/drivers/md/md-mod.ko:\n\
        kernel/drivers/md/raid1.ko.xz: kernel/drivers/md/md-mod.ko.xz\n\
        kernel/fs/ext4/ext4.ko: kernel/fs/jbd2/jbd2.ko kernel/lib/crc16.ko kernel/fs/mbcache.ko\n";

    #[test]
    fn what_a_module_needs_comes_before_it() {
        let paths = find_paths(TABLE, "ext4").unwrap();
        assert_eq!(
            paths,
            [
                "kernel/fs/mbcache.ko",
                "kernel/lib/crc16.ko",
                "kernel/fs/jbd2/jbd2.ko",
                "kernel/fs/ext4/ext4.ko"
            ]
        );
    }

    #[test]
    fn names_match_whatever_dash_and_packing() {
        assert_eq!(find_paths(TABLE, "md_mod").unwrap(), ["kernel/drivers/md/md-mod.ko"]);
        assert_eq!(find_paths(TABLE, "raid1").unwrap().len(), 2);
        assert_eq!(find_paths(TABLE, "raid"), None);
        assert_eq!(find_paths("no colon here\n:\n", "x"), None);
    }
}

//! What a site takes out of its Rocky 8 images, and what an image has of it all the same.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use crate::tool::{command, run};

/// What is taken out, and the programs that would be there with it, in whichever folder.
pub const REMOVED: [(&str, &[&str]); 4] = [
    ("udev", &["systemd-udevd", "udevd", "udevadm"]),
    ("NetworkManager", &["NetworkManager", "nmcli", "nm-online"]),
    ("rpcbind", &["rpcbind", "rpc.statd"]),
    ("autofs", &["automount"]),
];

/// The programs of [`REMOVED`] that the raw archive of an image has.
///
/// # Errors
/// The archive cannot be read, or is empty.
pub fn programs_in(archive: &Path) -> Result<Vec<String>> {
    let input =
        std::fs::File::open(archive).with_context(|| format!("opening {}", archive.display()))?;
    let names = run(command("cpio").args(["--quiet", "--list"]).stdin(input))?;
    ensure!(names.lines().any(|name| name.ends_with("sbin/init")), "{names:?} is no root");
    Ok(names.lines().filter(|name| is_removed(name)).map(str::to_owned).collect())
}

/// Whether `name`, a path or a process, is a program of [`REMOVED`].
pub fn is_removed(name: &str) -> bool {
    let program = name.rsplit('/').next().unwrap_or_default();
    REMOVED.iter().any(|(_, programs)| programs.contains(&program))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{pack, write_file};

    #[test]
    fn a_program_is_found_wherever_it_lies_in_an_image() {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path().join("root");
        let there = ["sbin/init", "usr/lib/systemd/systemd-udevd", "usr/sbin/automount"];
        for name in there.into_iter().chain(["etc/udev/udev.conf", "usr/bin/nmclient"]) {
            write_file(&root, name, b"", 0o755).unwrap();
        }
        let archive = temp.path().join("a.img");
        pack(&root, &[], &archive).unwrap();
        assert_eq!(programs_in(&archive).unwrap(), &there[1..]);
    }

    #[test]
    fn an_archive_that_is_no_root_is_no_proof() {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path().join("root");
        write_file(&root, "etc/motd", b"hello", 0o644).unwrap();
        let archive = temp.path().join("a.img");
        pack(&root, &[], &archive).unwrap();
        assert!(programs_in(&archive).is_err());
    }
}

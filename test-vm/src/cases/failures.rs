//! The ways to fail that no other case has; each is told to the head node.

use anyhow::{Context as _, Result};

use super::{Bench, Case, Size, ends_with};
use crate::facts::Facts;
use crate::initramfs::Flavour;

/// The case.
pub const CASE: Case = Case {
    name: "failure-classes",
    about: "no memory, required disks missing, an address that is none: console and head node have stage, cause and next step",
    size: Size::Tiny,
    run,
};

fn run(bench: &Bench, facts: &mut Facts) -> Result<()> {
    let mut small = bench.tiny()?;
    small.argue("rsinit.tmpfs.size", "1m");
    let boot = small.boot(|_| {}).context("booting without memory")?;
    ends_with(&boot, "rsinit: root: ", &["the image takes", "1 MiB are available"], facts);

    let mut bare = bench.tiny()?;
    bare.mkdisk(true, "MKDISK_REQUIRED=true\n", "disk_config[1]=\"raid0:ext4:/scratch\"\n")?;
    let boot = bare.boot(|_| {}).context("booting without the required disk")?;
    ends_with(&boot, "rsinit: disks: ", &["required disks are missing"], facts);

    // With systemd the network may come only after the arguments have been read.
    let mut nowhere = bench.tiny()?;
    nowhere.flavour = Flavour::Systemd;
    nowhere.argue("rsinit.uri", "ftp://10.77.0.1/provision/");
    let boot = nowhere.boot(|_| {}).context("booting from nowhere")?;
    ends_with(&boot, "rsinit: arguments: ", &["rsinit.uri", "ftp://"], facts);
    Ok(())
}

//! The ways to fail that no other case has; each is told to the head node.

use anyhow::{Context as _, Result};

use super::{Bench, Case, Size, ends_with};
use crate::facts::Facts;
use crate::initramfs::Flavour;
use crate::qemu::Ending;

/// The case.
pub const CASE: Case = Case {
    name: "failure-classes",
    about: "no memory, required disks missing, a URI that is none: console and head node have stage, cause and next step; no network card: the console has",
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

    // dracut waits for a card that never comes, and would open a shell in the end.
    let mut cardless = bench.tiny()?;
    cardless.argue("ifname", "eth9:52:54:00:ff:ff:ff");
    cardless.argue("ip", "eth9:dhcp");
    cardless.argue("rd.retry", "6");
    cardless.argue("rsinit.deadline", "10");
    let boot = cardless.boot(|_| {}).context("booting without the network card")?;
    let waited = ["rsinit: dracut has waited long enough for: ", "net.eth9.did-setup"];
    facts.contains("the console says what dracut waited for", &boot.console, &waited);
    let last = boot.last_line();
    facts.holds("and the agent what is missing", last.starts_with("rsinit: network: "), last);
    facts.equal("the node switched itself off", &boot.ending, &Ending::Off(Some(0)));
    Ok(())
}

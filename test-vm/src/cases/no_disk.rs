//! A node without any disk, though its settings name a profile: it comes up, and says so.

use anyhow::Result;

use super::{Bench, Case, Size};
use crate::facts::Facts;

/// The case.
pub const CASE: Case = Case {
    name: "no-disk",
    about: "a node without a disk comes up, its overlays applied in order",
    size: Size::Tiny,
    run,
};

fn run(bench: &Bench, facts: &mut Facts) -> Result<()> {
    let mut node = bench.tiny()?;
    node.mkdisk(true, "", "disk_config[1]=\"raid0:ext4:/scratch\"\n")?;
    node.system.file("etc/order", "system")?;
    node.runtime.file("etc/order", "runtime")?;
    node.ask(&["/etc/order", "/var/log/image.log", "/mkdisk.log", "/scratch"]);
    let boot = node.boot(|_| {})?;
    let answer = boot.answer()?;
    facts.equal(
        "the system overlay lies over the image",
        answer.text("/etc/hostname").trim(),
        &node.number.name(),
    );
    facts.equal(
        "the runtime overlay lies over the system overlay",
        answer.text("/etc/order"),
        "runtime",
    );
    facts.equal("the image is there", answer.text("/var/log/image.log"), "written by the image\n");
    let root = answer.mount("/");
    facts.equal("the root is a tmpfs", root.as_ref().map(|root| root.kind), Some("tmpfs"));
    facts.holds(
        "its source is not rootfs",
        root.is_some_and(|root| root.source != "rootfs"),
        "rootfs",
    );
    facts.equal("no array was made", answer.arrays.len(), 0);
    facts.equal("there is no /scratch mount", answer.mount("/scratch"), None);
    facts.holds("there is a report", answer.report.is_some(), "none");
    facts.holds("the report names stages", !answer.stages().is_empty(), answer.report_text());
    facts.equal("/secrets is not there", answer.path("/secrets"), None);
    Ok(())
}

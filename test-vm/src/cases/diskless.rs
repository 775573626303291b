//! Nodes without any disk: from each version of the server, and with settings that name a profile.

use anyhow::{Context as _, Result};

use super::{Bench, Case, Size};
use crate::facts::Facts;
use crate::server::Version;

/// Every Warewulf there is.
pub const VERSIONS: Case = Case {
    name: "server-versions",
    about: "the same node boots from a Warewulf 4.5.8, 4.6.5 and 4.7.0",
    size: Size::Tiny,
    run: versions,
};

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
    let words = ["boot warned: handed over ", "the node has no disk 1"];
    facts.contains(
        "the head node hears that it is up, and what is amiss",
        &boot.heard.line,
        &words,
    );
    let told = boot.heard.report.as_ref().and_then(|report| report.get("archives"));
    let kept = answer.report.as_ref().and_then(|report| report.get("archives"));
    facts.holds("and from what, with digests", told.is_some() && told == kept, format!("{told:?}"));
    facts.equal("/secrets is not there", answer.path("/secrets"), None);
    Ok(())
}

fn versions(bench: &Bench, facts: &mut Facts) -> Result<()> {
    for version in [Version::V4_5_8, Version::V4_6_5, Version::V4_7_0] {
        let mut node = bench.tiny()?;
        node.version = version;
        if version == Version::V4_7_0 {
            // As its templates write it: the server beside the address, `wwid=` names the node.
            node.drop_argument("rsinit.uri");
            node.argue("wwinit.server", &format!("http://{}", node.server_address()));
            node.argue("root", "wwinit:tmpfs");
        }
        let boot = node.boot(|_| {})?;
        let answer = boot.answer().with_context(|| format!("booting from {version:?}"))?;
        let name = answer.text("/etc/hostname").trim();
        facts.equal(&format!("{version:?} boots it"), name, &node.number.name());
        let runtime = answer.text("/etc/hosts");
        facts.contains(&format!("{version:?} gives it the runtime overlay"), runtime, &["server"]);
        let port = boot.requests.iter().filter(|served| {
            served.query("stage") == Some("runtime") || served.head.path.starts_with("/runtime")
        });
        let ports: Vec<u16> = port.map(|served| served.peer.port()).collect();
        facts.holds(
            "from a port below 1024",
            ports.iter().any(|port| *port < 1024),
            format!("{ports:?}"),
        );
    }
    Ok(())
}

//! One field of a node's record says which image it runs: no installation, no state of its own.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::{Bench, Case, Size};
use crate::digest::sha256_of;
use crate::facts::Facts;
use crate::image::{compress, pack, tiny, write_file};
use crate::node::Node;
use crate::records::Records;
use crate::records::render::Site;
use crate::workshop::remove;

/// The case.
pub const CASE: Case = Case {
    name: "two-images",
    about: "a node moves from one image to another and back by one field of its record; the report has both digests",
    size: Size::Tiny,
    run,
};

/// A file in which the two images differ.
const RELEASE: &str = "/etc/os-release";

fn run(bench: &Bench, facts: &mut Facts) -> Result<()> {
    let mut node = bench.tiny()?;
    node.ask(&[RELEASE]);
    let images: BTreeMap<&str, PathBuf> = [
        ("old", node.image.clone()),
        ("new", new_image(&bench.cluster.artifacts.witness, bench.folder)?),
    ]
    .into();
    let mut digests = Vec::new();
    for (image, release) in [("old", "ID=tiny\n"), ("new", "ID=new\n"), ("old", "ID=tiny\n")] {
        node.image = record(&mut node, image, &images)?;
        let boot = node.boot(|_| {})?;
        let answer = boot.answer().with_context(|| format!("booting the {image} image"))?;
        facts.contains(&format!("it runs the {image} image"), answer.text(RELEASE), &[release]);
        let told = digest(answer.report.as_ref());
        let served = sha256_of(&node.image.with_extension("img.gz"))?;
        facts.equal("the report has the digest of what was served", told, Some(served.as_str()));
        facts.equal("and so has the head node's", digest(boot.heard.report.as_ref()), told);
        digests.push(served);
    }
    facts.holds("the images differ", digests.first() != digests.get(1), "the same digest");
    facts.equal("the way back leads to the first", digests.last(), digests.first());
    Ok(())
}

/// Gives the node the overlays of its record, in which `image` is named; where that image lies.
fn record(node: &mut Node, image: &str, images: &BTreeMap<&str, PathBuf>) -> Result<PathBuf> {
    let (name, mac, ip) = (node.number.name(), node.number.mac(), node.number.ip());
    let text = format!(
        "nodeprofiles:\n  default:\n    system overlay: [hostname, issue]\n    \
         runtime overlay: [hosts]\nnodes:\n  {name}:\n    profiles: [default]\n    \
         image name: {image}\n    network devices:\n      default: {{device: eth0, \
         hwaddr: \"{mac}\", ipaddr: {ip}}}\n"
    );
    let records = Records::parse(&text)?;
    let (server, profiles) = (node.server_address(), node.project().join("mkdisk-profiles"));
    let site = Site { records: &records, keys: None, server, profiles: &profiles };
    node.rendered = site.render(&name, &node.folder().join("overlays"))?;
    let image = records.node(&name)?.image.context("the record has no image")?;
    images.get(image.as_str()).cloned().with_context(|| format!("there is no image {image}"))
}

/// Another image than the usual tiny one.
fn new_image(witness: &Path, folder: &Path) -> Result<PathBuf> {
    let root = folder.join("new-root");
    let program = fs::read(witness).with_context(|| format!("reading {}", witness.display()))?;
    tiny::fill(&root, &program)?;
    write_file(&root, RELEASE.trim_start_matches('/'), b"ID=new\n", 0o644)?;
    let archive = folder.join("new.img");
    pack(&root, &[], &archive)?;
    compress(&archive)?;
    remove(&root)?;
    Ok(archive)
}

/// The digest of the image in a report.
fn digest(report: Option<&Value>) -> Option<&str> {
    let archives = report?.get("archives")?.as_array()?;
    let is_image = |one: &&Value| one.get("stage").and_then(Value::as_str) == Some("image");
    archives.iter().find(is_image)?.get("sha256")?.as_str()
}

//! Images that are damaged or hostile: refused with stage and cause, nothing outside the root.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use flate2::Compression;
use flate2::write::GzEncoder;

use super::{Bench, Case, Size, ends_with};
use crate::boot::Boot;
use crate::facts::Facts;
use crate::image::{pack, write_file};
use crate::initramfs::append;
use crate::listener::Wire;
use crate::node::Node;
use crate::server::{Fault, Rule};

/// Archives that name files outside.
pub const HOSTILE: Case = Case {
    name: "hostile-archives",
    about: "`../`, an absolute name, a way out through a symlink: refused by name, nothing written outside",
    size: Size::Tiny,
    run: hostile,
};

/// Bytes that are no image.
pub const DAMAGED: Case = Case {
    name: "damaged-images",
    about: "not gzip, not cpio, short for ever, wrong checksum: one line each, no half-built root",
    size: Size::Tiny,
    run: damaged,
};

/// An image without an init.
pub const NO_INIT: Case = Case {
    name: "no-init",
    about: "an image that has no init is not handed over to",
    size: Size::Tiny,
    run: no_init,
};

/// Where the hostile archives want to write.
const TARGETS: [&str; 4] = ["/escaped", "/sysroot/../escaped-up", "/run/escaped", "/etc/escaped"];

/// Sourced by dracut before it would start a shell: looks for what escaped, and switches off.
const LOOK: &str = "#!/bin/sh
for f in /escaped /escaped-up /run/escaped /etc/escaped; do
    if [ -e $f ]; then echo \"look: $f is there\"; else echo \"look: $f is not there\"; fi
done > /dev/console
mountpoint -q /sysroot && echo 'look: /sysroot is mounted' > /dev/console
echo 'look: done' > /dev/console
poweroff -f
";

/// One entry of a newc archive.
fn entry(name: &str, mode: u32, data: &[u8]) -> Vec<u8> {
    let mut bytes = b"070701".to_vec();
    let sizes = (data.len(), name.len() + 1);
    for field in [1, mode as usize, 0, 0, 1, 0, sizes.0, 0, 0, 0, 0, sizes.1, 0] {
        bytes.extend(format!("{field:08X}").into_bytes());
    }
    bytes.extend(name.as_bytes());
    bytes.push(0);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes.extend(data);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// An archive that ends as it should.
fn archive(entries: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = entries.concat();
    bytes.extend(entry("TRAILER!!!", 0, b""));
    bytes
}

/// Gives the node `bytes` as its image, and compressed as the `.gz` of it.
fn serve(node: &mut Node, bytes: &[u8]) -> Result<()> {
    let mut gz = GzEncoder::new(Vec::new(), Compression::fast());
    gz.write_all(bytes)?;
    serve_as(node, bytes, &gz.finish()?)
}

fn serve_as(node: &mut Node, raw: &[u8], gz: &[u8]) -> Result<()> {
    let path: PathBuf = node.folder().join("own.img");
    fs::write(&path, raw).context("writing an image")?;
    fs::write(path.with_extension("img.gz"), gz).context("writing an image")?;
    node.image = path;
    Ok(())
}

/// A node that, instead of a shell, looks for what escaped.
fn watched(bench: &Bench, bytes: &[u8]) -> Result<Boot> {
    let mut node = bench.tiny()?;
    serve(&mut node, bytes)?;
    node.argue("rsinit.onfail", "shell");
    let extra = node.folder().join("extra");
    write_file(&extra, "usr/lib/dracut/hooks/emergency/00-look.sh", LOOK.as_bytes(), 0o755)?;
    let initramfs = node.folder().join("initramfs");
    fs::copy(&bench.cluster.artifacts.plain, &initramfs).context("copying the initramfs")?;
    append(&extra, &initramfs)?;
    node.initramfs = Some(initramfs.clone());
    let boot = node.boot(|_| {});
    fs::remove_file(&initramfs).context("removing an initramfs")?;
    boot
}

fn hostile(bench: &Bench, facts: &mut Facts) -> Result<()> {
    const FILE: u32 = 0o100_644;
    const LINK: u32 = 0o120_777;
    let archives = [
        ("../escaped-up", vec![entry("../escaped-up", FILE, b"x")]),
        (
            "etc/../../escaped",
            vec![entry("etc", 0o40_755, b""), entry("etc/../../escaped", FILE, b"x")],
        ),
        ("/etc/escaped", vec![entry("/etc/escaped", FILE, b"x")]),
        ("out/escaped", vec![entry("out", LINK, b"/run"), entry("out/escaped", FILE, b"x")]),
        ("up/escaped", vec![entry("up", LINK, b".."), entry("up/escaped", FILE, b"x")]),
    ];
    for (name, entries) in archives {
        let boot = watched(bench, &archive(&entries)).with_context(|| format!("serving {name}"))?;
        let lines = boot.lines();
        let cause = lines.iter().rev().find(|line| line.starts_with("rsinit: image: "));
        facts.contains(
            &format!("{name} is refused by name"),
            cause.unwrap_or(&"no such line"),
            &[name],
        );
        facts.contains("the node itself looked", &boot.console, &["look: done"]);
        for target in TARGETS.map(|target| target.replace("/sysroot/..", "")) {
            let there = format!("look: {target} is not there");
            facts.contains(&format!("{name} left no {target}"), &boot.console, &[&there]);
        }
        facts.holds("no root was handed over", boot.answer.is_none(), "an answer");
    }
    Ok(())
}

fn damaged(bench: &Bench, facts: &mut Facts) -> Result<()> {
    let page = b"<html><body>It works!</body></html>\n".repeat(400);
    let mut cases: Vec<(&str, Vec<u8>, Vec<u8>)> = vec![("no gzip", page.clone(), page.clone())];
    let mut gz = GzEncoder::new(Vec::new(), Compression::fast());
    gz.write_all(&page)?;
    cases.push(("no cpio", page, gz.finish()?));
    for (what, raw, gz) in cases {
        let mut node = bench.tiny()?;
        node.argue("rsinit.deadline", "40");
        serve_as(&mut node, &raw, &gz)?;
        let boot = node.boot(|_| {}).with_context(|| format!("serving {what}"))?;
        ends_with(&boot, "rsinit: image: ", &["/provision/", "cpio"], facts);
    }
    for (rule, words) in [
        (Fault::Shortened { length: 1_000_000 }, &["/provision/"][..]),
        (Fault::WrongCrc, &["/provision/"][..]),
    ] {
        let mut node = bench.tiny()?;
        node.argue("rsinit.deadline", "40");
        let boot = node.boot(|faults| faults.add(Rule::always(rule).stage("image")))?;
        ends_with(&boot, "rsinit: image: ", words, facts);
    }
    Ok(())
}

fn no_init(bench: &Bench, facts: &mut Facts) -> Result<()> {
    let mut node = bench.tiny()?;
    let root = node.folder().join("root");
    write_file(&root, "etc/os-release", b"ID=empty\n", 0o644)?;
    fs::create_dir_all(root.join("sbin"))?;
    let path = node.folder().join("empty.img");
    pack(&root, &[], &path)?;
    crate::image::compress(&path)?;
    node.image = path;
    node.wire = Wire::Stream;
    let boot = node.boot(|_| {})?;
    ends_with(&boot, "rsinit: hand-over: ", &["/sbin/init"], facts);
    Ok(())
}

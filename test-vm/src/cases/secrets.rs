//! The secrets, with a server that is late, gone, or says no, and hooks that would keep them.

use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::Value;
use witness::hook::PLANTED_AT;
use witness::search::disguise;

use super::hooks::{furnish, judge_traces, saw, told};
use super::wire::add_to_initramfs;
use super::{Bench, Case, Size};
use crate::boot::Boot;
use crate::facts::Facts;
use crate::initramfs::{Flavour, names};
use crate::network::{SERVER, SERVER6};
use crate::nfs::{Export, Nfs};
use crate::node::{Node, gave_up};
use crate::qemu::Ending;

/// A hook that leaves daemons.
pub const HELD: Case = Case {
    name: "secrets-held",
    about: "daemons that hold the secrets, one outside the new root, are ended by name; the node comes up",
    size: Size::Tiny,
    run: held,
};

/// A hook that prints a key and dumps core.
pub const PLANTED: Case = Case {
    name: "secrets-planted",
    about: "a key that a hook prints, keeps and dumps, and the asset key, are nowhere but where they must be",
    size: Size::Tiny,
    run: planted,
};

/// A server that comes up later.
pub const LATE: Case = Case {
    name: "secrets-late",
    about: "an NFS server that is not up yet is waited for, with the cause on the console",
    size: Size::Tiny,
    run: late,
};

/// A server that exports to somebody else.
pub const NO_EXPORT: Case = Case {
    name: "secrets-no-export",
    about: "an export that is taken back: the second boot says so, runs no hook and comes up",
    size: Size::Tiny,
    run: no_export,
};

/// NFS version 3.
pub const VERSION_3: Case = Case {
    name: "secrets-version-3",
    about: "NFS 3, its ports by the server's rpcbind",
    size: Size::Tiny,
    run: version_3,
};

/// A server with an IPv6 address.
pub const OVER_IPV6: Case = Case {
    name: "secrets-ipv6",
    about: "secrets from an IPv6 address while the node boots over IPv4",
    size: Size::Tiny,
    run: over_ipv6,
};

/// The other versions.
pub const VERSIONS: Case = Case {
    name: "secrets-versions",
    about: "NFS 4.0, 4.1 and 4.2, and 3 with its ports given and the server by its name",
    size: Size::Tiny,
    run: versions,
};

/// What else mounts NFS: programs of nfs-common and rpcbind.
const HELPERS: [&str; 11] = [
    "mount.nfs",
    "mount.nfs4",
    "nfsidmap",
    "rpc.gssd",
    "rpc.idmapd",
    "rpc.statd",
    "rpcbind",
    "sm-notify",
    "start-statd",
    "umount.nfs",
    "umount.nfs4",
];

/// A name that the initramfs's `/etc/hosts` has for the cluster's server.
const NAME: &str = "keys.test";

/// Where the kernel shows the firmware's asset tag, to root.
const ASSET_TAG: &str = "/sys/class/dmi/id/chassis_asset_tag";

/// How long the console may take to say what a case waits for.
const PATIENCE: Duration = Duration::from_secs(240);

fn held(bench: &Bench, facts: &mut Facts) -> Result<()> {
    let boot = furnish(bench, "/hook-daemon", &[])?.boot(|_| {})?;
    judge_traces(&boot, facts)?;
    let answer = boot.answer()?;
    facts.equal("the hook left both behind", saw(answer)?, serde_json::json!({}));
    let warned = ["left processes running, ended now: hook-holder"];
    facts.contains("who lived in the root is warned about", &answer.report_text(), &warned);
    let stages = answer.stages();
    let gone = stages.iter().find(|stage| stage.name == "secrets-gone");
    let note = gone.map_or("", |stage| stage.note.as_str());
    facts.contains("who held on from outside is named", note, &["after ending hook-holder"]);
    Ok(())
}

fn planted(bench: &Bench, facts: &mut Facts) -> Result<()> {
    let key = bench.cluster.secrets.planted.as_str();
    let asset = bench.cluster.secrets.asset_key.as_str();
    let mut node = furnish(bench, "/hook-leak", &[])?;
    node.asset_key = Some(asset.to_owned());
    node.asset_tag = Some(asset.to_owned());
    node.ask(&[ASSET_TAG]);
    let hex: String = key.bytes().map(|byte| format!("{byte:02x}")).collect();
    let needles = [("key", key.as_bytes()), ("hex", hex.as_bytes()), ("asset", asset.as_bytes())];
    for (name, needle) in needles {
        node.question.needles.insert(name.to_owned(), disguise(needle));
    }
    let boot = node.boot(|_| {})?;
    judge_traces(&boot, facts)?;
    let answer = boot.answer()?;
    let found = |name: &str| answer.found.get(name).cloned().unwrap_or_default();
    facts.equal(
        "the key is where the hook put it, and nowhere else",
        found("key").join(" "),
        PLANTED_AT.to_owned(),
    );
    facts.equal("nor is it there in digits", found("hex").join(" "), String::new());
    let firmware = answer.text(ASSET_TAG).trim();
    facts.equal("the asset key is in the firmware, and opened the server", firmware, asset);
    facts.equal("and nowhere else", found("asset").join(" "), String::new());
    let heard = format!("{:?}", boot.heard);
    facts.contains("the head node heard of the boot", &heard, &["boot warned: "]);
    for (what, key) in [("the key", key), ("the asset key", asset)] {
        let seen = [boot.console.as_str(), &heard].iter().any(|text| text.contains(key));
        facts.holds(&format!("console and head node never saw {what}"), !seen, what);
    }
    let log = answer.text("/var/log/dracut-preboot.log");
    let withheld = "[rsinit: a line with a secret in it is left out]";
    let expected = format!("before the key\n{withheld}\n{withheld}\nafter the key\n");
    facts.equal("the log has everything else", log, expected.as_str());
    told(&boot, &["/hook-leak", "was ended by signal 6"], facts)?;
    let words = ["the hook printed secrets: 2 lines are left out"];
    facts.contains("the report says that lines are missing", &answer.report_text(), &words);
    Ok(())
}

/// A node that gets its secrets from another server than the cluster's.
pub(super) fn elsewhere<'a>(bench: &Bench<'a>, hook: &str) -> Result<(Node<'a>, u16)> {
    let mut node = furnish(bench, hook, &[])?;
    let port = 20_000 + u16::from(node.number.0);
    node.argue("rsinit.secrets", &format!("nfs://{SERVER}:{port}/warewulf/secrets"));
    Ok((node, port))
}

pub(super) fn serve(bench: &Bench, port: u16, export: Export) -> Result<Nfs> {
    let folder = bench.folder.join(format!("nfs-{port}-{export:?}"));
    std::fs::create_dir_all(&folder)?;
    Nfs::another(&folder, &bench.cluster.secrets, port, export).context("starting another server")
}

/// Waits until the console says `word`; whether it did.
pub(super) fn hears(power: &mut crate::node::Power, word: &'static str) -> Result<bool> {
    let heard = |text: &str| {
        let found = text.contains(word).then(|| word.to_owned());
        found.or_else(|| gave_up(text))
    };
    let ending = power.running.wait(PATIENCE, heard)?;
    Ok(ending == Ending::Stopped(word.to_owned()))
}

fn late(bench: &Bench, facts: &mut Facts) -> Result<()> {
    let (mut node, port) = elsewhere(bench, "/hook-ok")?;
    let mut power = node.switch_on(|_| {})?;
    let waits = hears(&mut power, "no NFS server runs there (yet)")?;
    facts.holds("the console says what it waits for", waits, power.running.console.text());
    let _server = serve(bench, port, Export::Everybody)?;
    let ending = power.running.wait(node.limit, gave_up)?;
    let boot = node.finish(power, ending)?;
    judge_traces(&boot, facts)?;
    let answer = boot.answer()?;
    facts.equal(
        "the hook wrote what it saw",
        saw(answer)?.get("writable"),
        Some(&Value::Bool(false)),
    );
    let stages = answer.stages();
    let secrets = stages.iter().find(|stage| stage.name == "secrets");
    let retries = secrets.map_or(0, |stage| stage.retries);
    facts.holds("the report counts the tries", retries > 0, format!("{secrets:?}"));
    Ok(())
}

fn no_export(bench: &Bench, facts: &mut Facts) -> Result<()> {
    let (mut node, port) = elsewhere(bench, "/hook-ok")?;
    let server = serve(bench, port, Export::Everybody)?;
    let boot = node.boot(|_| {})?;
    judge_traces(&boot, facts)?;
    facts.succeeds("the hook runs while it is exported", saw(boot.answer()?));
    drop(server);

    let _server = serve(bench, port, Export::SomebodyElse)?;
    let boot = node.boot(|_| {}).context("booting again")?;
    let answer = boot.answer()?;
    let words =
        [format!("{SERVER}:/warewulf/secrets"), "the server".to_owned(), "export".to_owned()];
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    facts.contains("the console says so", &boot.lines().join("\n"), &words);
    facts.contains("the report says so", &answer.report_text(), &words);
    let names: Vec<String> = answer.stages().into_iter().map(|stage| stage.name).collect();
    facts.holds(
        "no hook ran without them",
        !names.contains(&"preboot".to_owned()),
        names.join(" "),
    );
    facts.equal("nor wrote anything", answer.path("/hook.json"), None);
    facts.equal("/secrets is gone", answer.path("/secrets"), None);
    Ok(())
}

/// Boots a node with `source`; the hook must have seen the secrets mounted with `options`.
fn mounts(bench: &Bench, source: &str, options: &[&str], facts: &mut Facts) -> Result<Boot> {
    let mut node = furnish(bench, "/hook-ok", &[("rsinit.secrets", source)])?;
    if source.contains(NAME) {
        let hosts = format!("127.0.0.1 localhost\n{SERVER} {NAME}\n");
        add_to_initramfs(bench, &mut node, &[("etc/hosts", hosts.into_bytes())])?;
    }
    let boot = node.boot(|_| {})?;
    judge_traces(&boot, facts)?;
    let saw = saw(boot.answer()?)?;
    let mount = saw.get("mount").and_then(Value::as_str).unwrap_or("");
    let always = ["/secrets ro,nosuid,nodev,noexec"];
    facts.contains(
        &format!("{source} is mounted so"),
        mount,
        &[always.as_slice(), options].concat(),
    );
    let text = saw.get("secrets.yml").and_then(Value::as_str).unwrap_or("");
    facts.contains("the hook reads them", text, &[&bench.cluster.secrets.monitor_token]);
    facts.equal("it cannot write to them", saw.get("writable"), Some(&Value::Bool(false)));
    Ok(boot)
}

fn version_3(bench: &Bench, facts: &mut Facts) -> Result<()> {
    let source = format!("nfs://{SERVER}/warewulf/secrets?vers=3");
    mounts(bench, &source, &[" - nfs ", "vers=3", "mountvers=3"], facts).map(drop)
}

fn over_ipv6(bench: &Bench, facts: &mut Facts) -> Result<()> {
    let source = format!("nfs://[{SERVER6}]/warewulf/secrets");
    let options = [" - nfs4 ", "vers=4.1", "proto=tcp6", "addr=fd77::1"];
    mounts(bench, &source, &options, facts).map(drop)
}

fn versions(bench: &Bench, facts: &mut Facts) -> Result<()> {
    no_helpers(bench, facts)?;
    for version in ["4.0", "4.1", "4.2"] {
        let source = format!("nfs://{SERVER}/warewulf/secrets?vers={version}&sec=sys");
        let option = format!("vers={version},");
        let boot = mounts(bench, &source, &[" - nfs4 ", &option, "sec=sys"], facts)?;
        let stages = boot.answer()?.stages();
        let note = stages.into_iter().find(|stage| stage.name == "secrets").map(|stage| stage.note);
        facts.contains(
            "the report names it",
            &note.unwrap_or_default(),
            &[&format!("({version})")],
        );
    }
    let source = format!("nfs://{NAME}:2049/warewulf/secrets?vers=3&mountport=20048");
    let (named, address) = (format!(" - nfs {NAME}:/"), format!("addr={SERVER}"));
    let options = [named.as_str(), "vers=3", "mountport=20048", &address];
    mounts(bench, &source, &options, facts).map(drop)
}

/// What follows is mount(2)'s work alone.
fn no_helpers(bench: &Bench, facts: &mut Facts) -> Result<()> {
    for flavour in [Flavour::Plain, Flavour::Systemd] {
        let files = names(bench.cluster.artifacts.initramfs(flavour))?;
        let of = |path: &str| path.rsplit('/').next().map(str::to_owned).unwrap_or_default();
        let files: Vec<String> = files.iter().map(|path| of(path)).collect();
        let helper = files.iter().find(|name| HELPERS.contains(&name.as_str()));
        let initramfs = format!("the initramfs ({})", flavour.name());
        facts.equal(&format!("{initramfs} has no program that mounts NFS"), helper, None);
        let is_there = |begin: &str| files.iter().any(|name| name.starts_with(begin));
        let expected = ["nfsv4.ko", "nfsv3.ko", "rsinit"].map(is_there);
        facts.equal(
            &format!("{initramfs} has the agent and the kernel's NFS"),
            expected,
            [true; 3],
        );
    }
    Ok(())
}

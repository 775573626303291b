//! Kernels and servers at the edges of what is promised: Linux 4.18, Warewulf 4.7 in TLS by IPv6,
//! an image that does not fit. Tiny nodes.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use witness::Answer;
use witness::floor::REAL_AGENT;

use super::{Bench, Case, Size, ends_with};
use crate::disk::check_ext4;
use crate::facts::Facts;
use crate::image::removed::{REMOVED, is_removed, programs_in};
use crate::image::write_file;
use crate::initramfs::append;
use crate::network::SERVER6;
use crate::node::Node;
use crate::server::{Certificate, Version};

/// No system call newer than Linux 4.18.
pub const FLOOR: Case = Case {
    name: "floor-4.18",
    about: "every system call newer than Linux 4.18 is ENOSYS, no udev, NetworkManager, rpcbind or autofs in the image: image, disks, NFS secrets and hook all the same",
    size: Size::Tiny,
    run: floor,
};

/// The newest server, in its newest ways.
pub const TLS_BY_IPV6: Case = Case {
    name: "tls-ipv6-4.7",
    about: "a Warewulf 4.7 in TLS, reached by IPv6: wwinit.d runs, its /warewulf/run is carried over, no secret is said",
    size: Size::Tiny,
    run: tls_by_ipv6,
};

/// More image than memory.
pub const TOO_LARGE: Case = Case {
    name: "image-too-large",
    about: "an image larger than the memory is refused with both numbers before it is asked for",
    size: Size::Tiny,
    run: too_large,
};

/// Appends files, by name and content, to the initramfs of `node`.
pub(super) fn add_to_initramfs(
    bench: &Bench,
    node: &mut Node,
    files: &[(&str, Vec<u8>)],
) -> Result<()> {
    let extra = node.folder().join("extra");
    for (name, content) in files {
        write_file(&extra, name, content, 0o755)?;
    }
    let initramfs = node.folder().join("initramfs");
    let whole = bench.cluster.artifacts.initramfs(node.flavour);
    fs::copy(whole, &initramfs).context("copying the initramfs")?;
    append(&extra, &initramfs)?;
    node.initramfs = Some(initramfs);
    Ok(())
}

/// Puts something between dracut and the agent that takes the newer calls away.
fn lower_the_floor(bench: &Bench, node: &mut Node) -> Result<()> {
    let witness = &bench.cluster.artifacts.witness;
    let read = |path: &Path| fs::read(path).with_context(|| format!("reading {}", path.display()));
    let agent = read(&witness.with_file_name("rsinit"))?;
    let real = REAL_AGENT.trim_start_matches('/');
    add_to_initramfs(bench, node, &[("usr/sbin/rsinit", read(witness)?), (real, agent)])
}

fn floor(bench: &Bench, facts: &mut Facts) -> Result<()> {
    let mut node = bench.tiny()?;
    lower_the_floor(bench, &mut node)?;
    for _ in 0..4 {
        node.add_disk(1 << 30)?;
    }
    let profile = "disk_config[1]=\"raid1:ext4:/system\"\ndisk_config[3]=\"raid0:ext4:/scratch\"\n";
    node.mkdisk(true, "MOVE_DIRS=/var/log:/system/log\n", profile)?;
    node.argue("rsinit.preboot", "/hook-ok");
    node.ask(&["/hook.json", "/var/log/image.log", "/usr/share/ballast"]);
    let boot = node.boot(|_| {})?;
    let answer = boot.answer()?;
    let hook = answer.text("/hook.json");
    facts.contains("what the agent started knows no openat2", hook, &["\"openat2\":false"]);
    facts.contains("the hook had the secrets", hook, &["secrets.yml", "munge.key"]);
    facts.equal("the secrets are gone", answer.path("/secrets"), None);
    let ballast = answer.path("/usr/share/ballast").and_then(|entry| entry.sha256.clone());
    facts.equal("the image is whole", ballast, Some(crate::image::tiny::ballast_sha256()));
    for place in ["/system", "/scratch"] {
        let kind = answer.mount(place).map(|mount| mount.kind);
        facts.equal(&format!("{place} is ext4"), kind, Some("ext4"));
    }
    facts.equal("a folder was moved", answer.text("/var/log/image.log"), "written by the image\n");
    let disks: Vec<_> = node.disks.iter().collect();
    for (what, members) in [("mirror", disks.get(..1)), ("stripes", disks.get(2..))] {
        let members = members.unwrap_or_default();
        facts.succeeds(
            &format!("the {what} are clean"),
            check_ext4(members, node.folder(), node.debian),
        );
    }
    judge_removed(&node, answer, facts)?;
    facts.holds("nothing is missed", !boot.console.contains("Function not implemented"), "ENOSYS");
    Ok(())
}

/// What the site's images are without, this one is without too, and no such program runs.
fn judge_removed(node: &Node, answer: &Answer, facts: &mut Facts) -> Result<()> {
    let names = REMOVED.map(|(name, _)| name).join(", ");
    let there = programs_in(&node.image)?;
    facts.equal(&format!("the image has none of {names}"), there, vec![]);
    let running: Vec<_> = answer.processes.iter().filter(|name| is_removed(name)).collect();
    facts.equal("and none of them runs", running, vec![]);
    facts.holds("there are processes", !answer.processes.is_empty(), "none");
    Ok(())
}

/// The password of a BMC, as `/warewulf/config` carries it.
const PASSWORD: &str = "bmc-s3cret";

/// A script that leaves a line where the next one finds it.
const SCRIPT: &str =
    "mkdir -p \"$PREFIX/warewulf/run\"\necho \"$0\" >> \"$PREFIX/warewulf/run/ran\"\n";

fn tls_by_ipv6(bench: &Bench, facts: &mut Facts) -> Result<()> {
    let mut node = bench.tiny()?;
    let certificate = Certificate::new().context("making a certificate")?;
    node.version = Version::V4_7_0;
    node.server_ip = SERVER6.into();
    node.drop_argument("rsinit.uri");
    node.argue("wwinit.server", &format!("http://{}", node.server_address()));
    node.argue("wwinit.uri", &node.uri());
    node.argue("root", "wwinit:tmpfs");
    // Beside DHCP's address, which leads to no server: dracut 059 waits long for one of IPv6.
    let address = format!("fd77::{:x}/64", 100 + u32::from(node.number.0));
    let hook = format!("ip -6 addr add {address} dev eth0 nodad\n").into_bytes();
    let name = "usr/lib/dracut/hooks/pre-mount/10-ipv6.sh";
    add_to_initramfs(bench, &mut node, &[(name, hook)])?;
    let port = node.tls_port();
    let config = format!(
        "WWIMAGE=tiny\nWWIPMI_PASSWORD=\"{PASSWORD}\"\nWWTLS=true\nWWTLSPORT={port}\nWWIPADDR={SERVER6}\n"
    );
    node.system.file("warewulf/config", config)?;
    node.system.file("warewulf/tls/warewulf.crt", certificate.pem())?;
    node.system.file("warewulf/wwinit.d/20-second.sh", SCRIPT)?;
    node.system.file("warewulf/wwinit.d/10-first.sh", SCRIPT)?;
    node.certificate = Some(certificate);
    node.ask(&["/", "/warewulf/run/ran", "/tmp/wwinit"]);
    let boot = node.boot(|_| {})?;
    let answer = boot.answer()?;
    let folder = "/tmp/wwinit/warewulf/wwinit.d";
    let ran = format!("{folder}/10-first.sh\n{folder}/20-second.sh\n");
    facts.equal(
        "the scripts ran in order, and what they left is carried over",
        answer.text("/warewulf/run/ran"),
        &ran,
    );
    facts.equal("the place where they ran is gone", answer.path("/tmp/wwinit"), None);
    facts.contains("the runtime overlay is there", answer.text("/etc/hosts"), &["server"]);
    let asked = |begin: &str| {
        let served = boot.requests.iter().filter(|served| served.head.path.starts_with(begin));
        served
            .map(|served| (served.status, served.peer.ip().is_ipv6(), served.peer.port() < 1024))
            .collect::<Vec<_>>()
    };
    facts.equal(
        "the runtime overlay was asked for once, from a low port",
        asked("/runtime/"),
        vec![(200, true, true)],
    );
    facts.equal("the system overlay was asked for once", asked("/system/").len(), 1);
    facts.equal("/ is 0755", answer.look("/"), "folder 0755 0:0".to_owned());
    let root = answer.mount("/").map(|root| (root.kind, root.source != "rootfs", root.options));
    let interleaved = root.is_some_and(|(kind, named, options)| {
        kind == "tmpfs" && named && options.contains("mpol=interleave")
    });
    facts.holds("the root is a tmpfs, interleaved, and no rootfs", interleaved, &answer.mountinfo);
    for (place, text) in [
        ("console", boot.console.clone()),
        ("report", answer.report_text()),
        ("dmesg", answer.dmesg.join("\n")),
    ] {
        facts.holds(&format!("no password in the {place}"), !text.contains(PASSWORD), PASSWORD);
    }

    node.system.file("warewulf/wwinit.d/10-first.sh", "exit 7\n")?;
    let boot = node.boot(|_| {})?;
    ends_with(&boot, "rsinit: wwinit.d: ", &["10-first.sh", "exit status 7"], facts);
    Ok(())
}

fn too_large(bench: &Bench, facts: &mut Facts) -> Result<()> {
    let mut node = bench.tiny()?;
    let image = node.folder().join("large.img");
    let gz = |image: &Path| image.with_extension("img.gz");
    fs::copy(gz(&node.image), gz(&image)).context("copying an image")?;
    // Sparse: it is never sent.
    let raw = fs::File::create(&image).context("making an image")?;
    raw.set_len(3 << 30).context("making a large image")?;
    node.image = image;
    let boot = node.boot(|_| {})?;
    let words = ["the image takes 3072 MiB", "MiB are available"];
    ends_with(&boot, "rsinit: root: ", &words, facts);
    let fetched = boot
        .requests
        .iter()
        .filter(|served| served.query("stage") == Some("image") && served.head.method == "GET");
    facts.equal("the image was not asked for", fetched.count(), 0);
    Ok(())
}

//! A server that is late, cuts the image short, says no or is not there.

use std::time::Duration;

use anyhow::Result;
use witness::answer::stages_of;

use super::{Bench, Case, Size, ends_with};
use crate::boot::Boot;
use crate::facts::Facts;
use crate::initramfs::Flavour;
use crate::node::{Node, gave_up};
use crate::server::{Fault, Rule};

/// How long the server stays away where nobody asks.
const AWAY: Duration = Duration::from_secs(3600);

/// A server that comes late.
pub const LATE: Case = Case {
    name: "server-late",
    about: "the server is down when the node asks: it says so, waits, and comes up",
    size: Size::Tiny,
    run: late,
};

/// A connection cut in the middle of the image.
pub const CUT: Case = Case {
    name: "image-cut",
    about: "the image is cut short once: the rest is asked for, the root is whole",
    size: Size::Tiny,
    run: cut,
};

/// Refusals that will not change.
pub const REFUSED: Case = Case {
    name: "server-refuses",
    about: "404, 503 for ever, 400 and 401 each end with one line: stage, URL, status, what it means",
    size: Size::Tiny,
    run: refused,
};

/// Nobody there.
pub const UNREACHABLE: Case = Case {
    name: "server-unreachable",
    about: "an address where nobody answers ends at rsinit.deadline with one line that names it",
    size: Size::Tiny,
    run: unreachable,
};

fn whole(boot: &Boot, facts: &mut Facts) -> Result<()> {
    let answer = boot.answer()?;
    let ballast = answer.path("/usr/share/ballast").and_then(|entry| entry.sha256.clone());
    facts.equal("the image is whole", ballast, Some(crate::image::tiny::ballast_sha256()));
    Ok(())
}

fn late(bench: &Bench, facts: &mut Facts) -> Result<()> {
    let mut node = bench.tiny()?;
    node.ask(&["/usr/share/ballast"]);
    let mut power = node.switch_on(|faults| faults.stop_listening(AWAY))?;
    let faults = power.server.faults();
    let ending = power.running.wait(node.limit, |text| {
        // The node has asked in vain: from now on it is answered.
        if text.contains("refused") {
            faults.stop_listening(Duration::ZERO);
        }
        gave_up(text)
    })?;
    let boot = node.finish(power, ending)?;
    whole(&boot, facts)?;
    let said = boot.lines().join("\n");
    facts.contains("the console says why it waits", &said, &["refused"]);
    let retries: u64 = boot.answer()?.stages().iter().map(|stage| stage.retries).sum();
    facts.holds("the report counts retries", retries > 0, retries);
    Ok(())
}

fn cut(bench: &Bench, facts: &mut Facts) -> Result<()> {
    let mut node = bench.tiny()?;
    node.ask(&["/usr/share/ballast"]);
    let boot =
        node.boot(|faults| faults.add(Rule::once(Fault::Cut { at: 1 << 20 }).stage("image")))?;
    whole(&boot, facts)?;
    let images: Vec<_> =
        boot.requests.iter().filter(|served| served.query("stage") == Some("image")).collect();
    facts.equal(
        "the fault struck once",
        images.iter().filter(|served| served.fault.is_some()).count(),
        1,
    );
    facts.holds(
        "the image was asked for again",
        images.len() >= 2,
        format!("{} requests", images.len()),
    );
    let range =
        images.iter().any(|served| served.header("range").is_some() && served.status == 206);
    facts.holds("from where it broke off", range, format!("{images:?}"));
    let sent: u64 = images.iter().map(|served| served.sent).sum();
    let size = std::fs::metadata(node.image.with_extension("img.gz"))?.len();
    facts.holds(
        "nothing was sent twice",
        sent < size + (1 << 20),
        format!("{sent} of {size} bytes"),
    );
    Ok(())
}

fn refused(bench: &Bench, facts: &mut Facts) -> Result<()> {
    let node = |deadline: &str| -> Result<Node> {
        let mut node = bench.tiny()?;
        node.argue("rsinit.deadline", deadline);
        Ok(node)
    };
    let boot =
        node("40")?.boot(|faults| faults.add(Rule::always(Fault::Status(404)).stage("image")))?;
    ends_with(&boot, "rsinit: image: ", &["/provision/", "404"], facts);

    let mut systemd = node("60")?;
    systemd.flavour = Flavour::Systemd;
    let boot = systemd.boot(|faults| faults.add(Rule::always(Fault::Status(503))))?;
    ends_with(&boot, "rsinit: system-overlay: ", &["/provision/", "503"], facts);
    let asked = boot.requests.len();
    facts.holds("a busy server is asked again, not hammered", (2..100).contains(&asked), asked);

    let mut unknown = node("40")?;
    let uri = unknown.uri().replace("52:54:00", "52:54:99");
    unknown.argue("rsinit.uri", &uri);
    let boot = unknown.boot(|_| {})?;
    ends_with(&boot, "rsinit: system-overlay: ", &["/provision/52:54:99", "400"], facts);

    let mut keyed = node("40")?;
    keyed.asset_key = Some("S3CRET".to_owned());
    keyed.asset_tag = Some("An0therSecret".to_owned());
    let boot = keyed.boot(|_| {})?;
    ends_with(&boot, "rsinit: system-overlay: ", &["/provision/", "401"], facts);
    let told = format!("{}{:?}", boot.console, boot.heard);
    for key in ["assetkey=", "An0therSecret"] {
        facts.holds("console and head node never see the key", !told.contains(key), key);
    }
    Ok(())
}

fn unreachable(bench: &Bench, facts: &mut Facts) -> Result<()> {
    let mut node = bench.tiny()?;
    node.argue("rsinit.uri", "http://10.77.0.99:9873/provision/");
    node.argue("rsinit.deadline", "25");
    let boot = node.boot(|_| {})?;
    ends_with(&boot, "rsinit: system-overlay: ", &["http://10.77.0.99:9873/provision/"], facts);
    // By the node's own clock: how long firmware and kernel take is the test machine's business.
    let stages = stages_of(boot.heard.report.as_ref());
    let begin = stages.first().map_or(0.0, |stage| stage.start_ms);
    let end = stages.last().map_or(f64::MAX, |stage| stage.start_ms + stage.took_ms);
    facts.holds("it kept to its deadline", end - begin < 40_000.0, end - begin);

    let mut node = bench.tiny()?;
    node.argue("rsinit.uri", "http://192.0.2.7:9873/provision/");
    node.drop_argument("ip");
    node.argue("ip", "10.77.0.250:::255.255.255.0:node:eth0:none");
    node.argue("rsinit.deadline", "25");
    let boot = node.boot(|_| {})?;
    ends_with(&boot, "rsinit: network: ", &["no route to", "192.0.2.7"], facts);
    Ok(())
}

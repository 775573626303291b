//! One real node, watched: its console live, then what each stage of its boot took.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ChildStdin;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use roxmltree::Document;
use witness::answer::Stage;
use witness::{Answer, Then, find, markers};

use crate::boot::Boot;
use crate::cases::furnish;
use crate::chain::{Link, WHOLE};
use crate::cluster::Cluster;
use crate::debian::{ROOT_PASSWORD, Release};
use crate::node::{Node, Power, Stand, gave_up};
use crate::qemu::{Ending, Firmware};
use crate::server::Template;
use crate::tool;
use crate::workshop::Workshop;

/// Boots the node; whether it came up. With `keep` it stays on, and the terminal is its console.
///
/// # Errors
/// The harness fails.
pub fn run(workshop: &Workshop, scratch: &Path, keep: bool) -> Result<bool> {
    let cluster = Cluster::start(scratch)?;
    let folder = scratch.join("demo");
    let stand = Stand { cluster: &cluster, place: 0, folder: &folder };
    let mut node = Node::full(stand, Release::Bookworm)?;
    furnish(&mut node, 4)?;
    node.boot_by(Firmware::Bios, Template::Warewulf);
    node.link_init()?;
    node.live = true;
    // The kernel's own chatter would drown the boot.
    node.argue("loglevel", "4");
    node.ask_command(&["systemctl", "is-system-running", "--wait"]);
    if keep {
        node.question.then = Then::Stay;
    }
    introduce(&node);
    let mut power = node.switch_on(|_| {})?;
    let (answer, ending) = watch(&mut power, &node)?;
    let up = answer.is_some();
    tell_links(&node.links(&power));
    if let Some(answer) = &answer {
        tell(answer, &node);
        draw(answer, &node, workshop)?;
    }
    if keep && up {
        hand_keyboard(power)?;
        return Ok(true);
    }
    let log = folder.join(node.number.name()).join("boot1.console.log");
    let kept = workshop.base.join("demo-console.log");
    let boot = node.finish(power, ending)?;
    fs::copy(&log, &kept).with_context(|| format!("copying {}", log.display()))?;
    if up {
        println!("The whole console is in {}.", kept.display());
        println!(
            "To log in, run `make harness && target/harness/test-vm demo --keep`: root, password {ROOT_PASSWORD}."
        );
        println!(
            "Then look at /run/rsinit/report.json, /mkdisk.log, /var/log/dracut-preboot.log and mdadm --detail /dev/md*."
        );
    } else {
        explain(&boot, &kept);
    }
    Ok(up)
}

fn introduce(node: &Node) {
    println!(
        "\nA node without a system disk boots now: {} MiB of memory, {} NVMe disks.",
        node.memory_mib,
        node.disks.len()
    );
    println!(
        "Its server is a double of Warewulf 4.6.1 at http://{}, its secrets come over NFS.",
        node.server_address()
    );
    println!(
        "BIOS, PXE, iPXE by TFTP, then kernel and initramfs by HTTP, with the kernel line of Warewulf's template."
    );
    println!("Under emulation this takes some minutes. The agent's lines begin with `rsinit:`.\n");
}

/// Follows the boot until the node has answered and, unless it stays on, switched itself off.
fn watch(power: &mut Power, node: &Node) -> Result<(Option<Answer>, Ending)> {
    let word = &node.question.word;
    let (_, end) = markers(word);
    let port = power.witness.clone();
    let said = || String::from_utf8_lossy(&fs::read(&port).unwrap_or_default()).replace('\r', "");
    let stay = node.question.then == Then::Stay;
    let ending = power.running.wait_asking(node.limit, |text| {
        gave_up(text).or_else(|| (stay && said().contains(&end)).then(|| "up".to_owned()))
    })?;
    Ok((find(&said(), word)?, ending))
}

/// The links of the chain, each with when it was passed.
fn tell_links(links: &[Link]) {
    println!("\nThe chain, from power-on:");
    for link in links {
        println!("{:>7.1} s  {}", link.at.as_secs_f64(), link.name);
    }
    if links.len() < WHOLE.len() {
        println!("It broke before: {}.", WHOLE.get(links.len()).copied().unwrap_or_default());
    }
}

/// The stages and times, and what the node says of itself.
fn tell(answer: &Answer, node: &Node) {
    let stages = answer.stages();
    println!("\n{:<18} {:>9} {:>9} {:>10}  what it did", "stage", "began", "took", "MB");
    for stage in &stages {
        let Stage { name, start_ms, took_ms, bytes, note, outcome, .. } = stage;
        #[allow(clippy::cast_precision_loss, reason = "megabytes for a reader")]
        let megabytes = bytes.map_or(String::new(), |bytes| format!("{:.1}", bytes as f64 / 1e6));
        let mark = if outcome == "ok" { String::new() } else { format!("{outcome}: ") };
        let (start, took) = (start_ms / 1e3, took_ms / 1e3);
        println!("{name:<18} {start:>7.1} s {took:>7.2} s {megabytes:>10}  {mark}{note}");
    }
    let system = answer.said(&["systemctl", "is-system-running"]);
    println!(
        "\n{} is up: systemd says {}, {:.0} s after its kernel started.",
        node.number.name(),
        system.trim(),
        answer.uptime
    );
}

/// The boot as a picture, drawn by the agent from the node's own report.
fn draw(answer: &Answer, node: &Node, workshop: &Workshop) -> Result<()> {
    let report = workshop.base.join("demo-report.json");
    let picture = workshop.base.join("demo-boot.svg");
    let json = serde_json::to_vec_pretty(&answer.report).context("writing the report")?;
    fs::write(&report, json).with_context(|| format!("writing {}", report.display()))?;
    let agent = node.agent();
    let agent = agent.to_str().context("naming the agent")?;
    let drawn = tool::run(tool::command(agent).args(["report", "--svg"]).arg(&report))?;
    fs::write(&picture, drawn).with_context(|| format!("writing {}", picture.display()))?;
    let kept =
        fs::read_to_string(&picture).with_context(|| format!("reading {}", picture.display()))?;
    let stages: Vec<String> = answer.stages().into_iter().map(|stage| stage.name).collect();
    check_picture(&kept, &stages).with_context(|| format!("looking at {}", picture.display()))?;
    println!("Its boot as a picture, for a browser: {}.", picture.display());
    Ok(())
}

/// It is an SVG document with a row for each stage.
fn check_picture(picture: &str, stages: &[String]) -> Result<()> {
    let document = Document::parse(picture).context("reading XML")?;
    let root = document.root_element().tag_name();
    ensure!(root == ("http://www.w3.org/2000/svg", "svg").into(), "no SVG but {root:?}");
    let is_text = |node: &roxmltree::Node<'_, '_>| node.has_tag_name("text");
    let texts: Vec<&str> =
        document.descendants().filter(is_text).filter_map(|node| node.text()).collect();
    ensure!(!stages.is_empty(), "the report has no stages");
    for stage in stages {
        ensure!(texts.contains(&stage.as_str()), "it has no row for the stage {stage}");
    }
    Ok(())
}

/// What to look at where the node did not come up.
fn explain(boot: &Boot, log: &Path) {
    println!("\nThe node did not come up ({:?}).", boot.ending);
    println!("The agent's last line: {}", boot.last_line());
    println!("The whole console is in {}.", log.display());
}

/// Makes this terminal the node's console until it is switched off.
fn hand_keyboard(mut power: Power) -> Result<()> {
    println!(
        "This terminal is its console: log in as root, password {ROOT_PASSWORD}; `poweroff` ends it, as does Ctrl-C.\n"
    );
    if let Some(keyboard) = power.running.keyboard() {
        std::thread::spawn(move || type_on(keyboard));
    }
    power.running.wait(Duration::from_secs(24 * 3600), |_| None)?;
    Ok(())
}

/// Copies what is typed here to the node, line by line.
fn type_on(mut keyboard: ChildStdin) {
    for line in io::stdin().lines().map_while(Result::ok) {
        // The node may be off by now.
        if writeln!(keyboard, "{line}").and_then(|()| keyboard.flush()).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The one that the README shows.
    const SHOWN: &str = include_str!("../assets/boot.svg");

    fn check(picture: &str, stages: &[&str]) -> Result<()> {
        let stages: Vec<String> = stages.iter().map(|name| (*name).to_owned()).collect();
        check_picture(picture, &stages)
    }

    #[test]
    fn the_readmes_picture_is_whole_and_one_that_is_not_is_refused() {
        check(SHOWN, &["network", "image", "disks", "secrets-gone", "hand-over"]).unwrap();
        let no_row = check(SHOWN, &["image", "lunch"]).unwrap_err();
        assert!(no_row.to_string().contains("lunch"), "{no_row:#}");
        assert!(check(SHOWN, &[]).is_err());
        for broken in [SHOWN.replace("</svg>", ""), SHOWN.replace("<svg ", "<div "), String::new()]
        {
            assert!(check(&broken, &["image"]).is_err());
        }
        let other = SHOWN.replace("www.w3.org/2000/svg", "www.example.org");
        assert!(check(&other, &["image"]).unwrap_err().to_string().contains("no SVG"));
    }
}

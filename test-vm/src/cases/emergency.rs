//! The shell that a failed boot opens where somebody sits at the console, and what an
//! administrator who types what the console proposes gets to see.

use std::io::Write as _;
use std::process::ChildStdin;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::{Bench, Case, Size};
use crate::console::agent_lines;
use crate::debian::Release;
use crate::facts::Facts;
use crate::initramfs::Flavour;
use crate::node::{Node, Power, gave_up};
use crate::qemu::Ending;
use crate::server::{Fault, Rule};
use crate::shell::Shell;

/// The case.
pub const CASE: Case = Case {
    name: "emergency-shell",
    about: "a failed boot with rsinit.onfail=shell: the commands that the console proposes, typed there, help; leaving it boots",
    size: Size::Tiny,
    run,
};

/// With an older dracut and systemd in the initramfs.
pub const BULLSEYE: Case = Case {
    name: "emergency-bullseye",
    about: "Debian 11's initramfs, dracut 051: the shell that rsinit.onfail=shell asks for; leaving it boots",
    size: Size::Full(Release::Bullseye),
    run: |bench, facts| of_release(bench, Release::Bullseye, &[], facts),
};

/// With a newer dracut and systemd in the initramfs.
pub const TRIXIE: Case = Case {
    name: "emergency-trixie",
    about: "Debian 13's initramfs, dracut 106: the shell of rsinit.onfail=shell, with root unlocked by SYSTEMD_SULOGIN_FORCE=1 and without; leaving it boots",
    size: Size::Full(Release::Trixie),
    run: |bench, facts| {
        of_release(bench, Release::Trixie, &[("SYSTEMD_SULOGIN_FORCE", "1")], facts)?;
        locked(release_node(bench, Release::Trixie)?, facts).context("with root locked")
    },
};

/// How long sulogin may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// How the console introduces the commands.
const PROPOSED: &str = "rsinit: failed: worth running in the shell: ";

fn run(bench: &Bench, facts: &mut Facts) -> Result<()> {
    // dracut's own init.
    no_image(bench.tiny()?, facts).context("booting without an image")?;
    no_disk(bench, facts).context("booting without the required disk")?;
    no_route(bench, facts).context("booting without a route")
}

/// A node with the release's kernel and initramfs; of its image nothing is needed.
fn release_node<'a>(bench: &Bench<'a>, release: Release) -> Result<Node<'a>> {
    let mut node = Node::full(bench.stand(), release)?;
    node.image.clone_from(&bench.cluster.artifacts.tiny);
    Ok(node)
}

fn of_release(
    bench: &Bench,
    release: Release,
    more: &[(&str, &str)],
    facts: &mut Facts,
) -> Result<()> {
    let mut node = release_node(bench, release)?;
    for (name, value) in more {
        node.argue(name, value);
    }
    no_image(node, facts)
}

/// Root is locked in the initramfs, and sulogin opens no shell: the cause stands on the console,
/// and Enter tries the boot again.
fn locked(mut node: Node, facts: &mut Facts) -> Result<()> {
    ask_for_shell(&mut node);
    node.argue("rsinit.deadline", "20");
    let mut power =
        node.switch_on(|faults| faults.add(Rule::always(Fault::Status(404)).stage("image")))?;
    let mut keyboard = fall(&node, &mut power, "rsinit: image: ", &["404"], facts)?;
    let waits = |text: &str| text.contains("Press Enter to continue").then(String::new);
    let ending = power.running.wait(PATIENCE, waits)?;
    facts.holds("sulogin waits for Enter", opened(&ending), format!("{ending:?}"));
    let why = "the root account is locked";
    facts.contains("and says why it opens no shell", &power.running.console.text(), &[why]);
    power.server.faults().clear();
    writeln!(keyboard).and_then(|()| keyboard.flush()).context("pressing Enter")?;
    let ending = power.running.wait(node.limit, |_| None)?;
    let boot = node.finish(power, ending)?;
    facts.equal("Enter boots the node", &boot.ending, &Ending::Off(Some(0)));
    let hostname = boot.answer()?.text("/etc/hostname").trim();
    facts.equal("whole", hostname, &node.number.name());
    Ok(())
}

/// The image is built while the administrator looks.
fn no_image(mut node: Node, facts: &mut Facts) -> Result<()> {
    ask_for_shell(&mut node);
    node.argue("rsinit.deadline", "20");
    let mut power =
        node.switch_on(|faults| faults.add(Rule::always(Fault::Status(404)).stage("image")))?;
    let mut keyboard = fall(&node, &mut power, "rsinit: image: ", &["404"], facts)?;
    let [report, plan, check] = proposed(&power)?;

    let mut shell = Shell::open(&mut power.running, &mut keyboard)?;
    let said = shell.run(&report)?;
    let parts = ["system-overlay", "given up at", "failed: image: ", "404", "wwctl image build"];
    facts.contains("the report has stages, cause and next step", &said.text, &parts);
    facts.equal("and is one", said.status, 0);
    let said = shell.run(&plan)?;
    let server = format!("server     http://{}", node.server_address());
    let parts = [server.as_str(), "image      the node's own", "init       /sbin/init"];
    facts.contains("the plan says what the kernel arguments mean", &said.text, &parts);
    let said = shell.run(&check)?;
    let parts = ["ok       system-overlay", "problem  image", "404", "a boot would fail"];
    facts.contains("the check says what is there and what is not", &said.text, &parts);
    facts.equal("and that a boot would fail", said.status, 1);

    power.server.faults().clear();
    let said = shell.run(&check)?;
    facts.contains("the check sees what was mended", &said.text, &["a boot would work"]);
    facts.equal("and says so to scripts", said.status, 0);
    let ending = shell.leave(node.limit)?;
    let boot = node.finish(power, ending)?;
    facts.equal("who leaves the shell boots the node", &boot.ending, &Ending::Off(Some(0)));
    let hostname = boot.answer()?.text("/etc/hostname").trim();
    facts.equal("whole", hostname, &node.number.name());
    Ok(())
}

/// systemd in the initramfs. Nothing is mended: the shell is left to no avail.
fn no_disk(bench: &Bench, facts: &mut Facts) -> Result<()> {
    let mut node = bench.tiny()?;
    node.flavour = Flavour::Systemd;
    ask_for_shell(&mut node);
    node.mkdisk(true, "MKDISK_REQUIRED=true\n", "disk_config[2]=\"none:ext4:/scratch\"\n")?;
    let disk = node.add_disk(256 << 20)?;
    let mut power = node.switch_on(|_| {})?;
    let mut keyboard = fall(&node, &mut power, "rsinit: disks: ", &["required"], facts)?;
    let [plan, status, report] = proposed(&power)?;

    let mut shell = Shell::open(&mut power.running, &mut keyboard)?;
    let said = shell.run(&plan)?;
    let parts = ["profile test", &disk.serial, "refused: ", "/scratch"];
    facts.contains("the plan lists the disks and what is refused", &said.text, &parts);
    let said = shell.run(&status)?;
    let parts = ["no arrays", "missing: /scratch", "refused: "];
    facts.contains("the status says what is missing and why", &said.text, &parts);
    let said = shell.run(&report)?;
    let parts = ["system-overlay", "failed: disks: required disks are missing", "next step: "];
    facts.contains("the report has stages, cause and next step", &said.text, &parts);

    let ending = shell.leave(node.limit)?;
    facts.holds("a boot that fails again opens it again", opened(&ending), format!("{ending:?}"));
    let boot = node.finish(power, ending)?;
    let causes = boot.console.matches("rsinit: disks: required disks are missing").count();
    facts.holds("and says why again", causes >= 2, causes);
    Ok(())
}

/// An address, and no way from there to the server.
fn no_route(bench: &Bench, facts: &mut Facts) -> Result<()> {
    let mut node = bench.tiny()?;
    ask_for_shell(&mut node);
    node.argue("rsinit.uri", "http://192.0.2.7:9873/provision/");
    node.argue("ip", "10.77.0.250:::255.255.255.0:node:eth0:none");
    node.argue("rsinit.deadline", "5");
    let mut power = node.switch_on(|_| {})?;
    let mut keyboard = fall(&node, &mut power, "rsinit: network: ", &["no route to"], facts)?;
    let [address, check, kernel] = proposed(&power)?;

    let mut shell = Shell::open(&mut power.running, &mut keyboard)?;
    let said = shell.run(&address)?;
    let mac = node.number.mac();
    let parts = ["eth0", "state UP", mac.as_str(), "inet 10.77.0.250/24"];
    facts.contains("the interface is there, and its address", &said.text, &parts);
    let said = shell.run(&check)?;
    let parts = ["problem  system-overlay", "no route to 192.0.2.7", "a boot would fail"];
    facts.contains("the check says what is still missing", &said.text, &parts);
    let said = shell.run(&kernel)?;
    facts.contains("the kernel's log has it too", &said.text, &["rsinit: network: "]);
    let ending = power.running.wait(Duration::ZERO, |_| None)?;
    node.finish(power, ending)?;
    Ok(())
}

pub(super) fn ask_for_shell(node: &mut Node) {
    node.argue("rsinit.onfail", "shell");
    node.drop_argument("rsinit.onfail.wait");
}

/// Waits for the shell; the cause on the console begins with `begin` and has `words`.
pub(super) fn fall(
    node: &Node,
    power: &mut Power,
    begin: &str,
    words: &[&str],
    facts: &mut Facts,
) -> Result<ChildStdin> {
    let ending = power.running.wait(node.limit, gave_up)?;
    let console = power.running.console.text();
    if !opened(&ending) {
        bail!("no shell was opened: {ending:?}; {:?}", agent_lines(&console).last());
    }
    let lines = agent_lines(&console);
    let cause = lines.iter().rfind(|line| line.starts_with(begin)).copied().unwrap_or_default();
    facts.contains("the console says why", cause, words);
    power.running.keyboard().context("taking the keyboard")
}

fn opened(ending: &Ending) -> bool {
    matches!(ending, Ending::Stopped(_))
}

/// The commands that the console proposes.
fn proposed(power: &Power) -> Result<[String; 3]> {
    let console = power.running.console.text();
    let lines = agent_lines(&console);
    let line = lines.iter().find_map(|line| line.strip_prefix(PROPOSED));
    let commands: Vec<String> =
        line.context("no command is proposed")?.split("; ").map(str::to_owned).collect();
    commands.try_into().map_err(|other| anyhow::anyhow!("not three commands: {other:?}"))
}

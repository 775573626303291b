//! A node that is up: what changes on the server arrives without a reboot, and a server that is
//! away for a while is missed by nobody.

use std::cell::Cell;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::Value;
use witness::watch::Watch;
use witness::{Answer, watching};

use super::{Bench, Case, Size};
use crate::boot::Boot;
use crate::debian::Release;
use crate::facts::Facts;
use crate::node::gave_up;
use crate::server::Owner;

/// The case.
pub const CASE: Case = Case {
    name: "client",
    about: "hosts and keys change on the server and arrive on the running node; no reader misses them, and a server that is away is waited for",
    size: Size::Full(Release::Bookworm),
    run,
};

/// The files that change, below the root.
const HOSTS: &str = "etc/hosts";
const KEYS: &str = "root/.ssh/authorized_keys";
/// Where the interval comes from.
const CONF: &str = "etc/warewulf/warewulf.conf";

/// The client's state, once it knows of the fourth file: a file is there before the state says so.
const STATE: &str = "until grep -q '\"applied\": *4' /run/rsinit/client.json; do sleep 0.1; done
                     cat /run/rsinit/client.json";

/// How long the server is away: several intervals.
const AWAY: Duration = Duration::from_secs(30);
/// How often the client must have asked meanwhile, at the least.
const IN_VAIN: u64 = 4;
/// What is looked at again and again while the server is away, and where it is kept.
const LOOK: &str = "systemctl show rsinit-client -p MainPID,StatusText >> /run/client-alone";
const LOOKED: &str = "/run/client-alone";

/// What they hold afterwards.
const NEW_HOSTS: &str = "127.0.0.1 localhost\n10.9.9.9 changed-while-it-ran\n";
const LATER_HOSTS: &str = "127.0.0.1 localhost\n10.9.9.10 changed-while-the-server-was-away\n";
const NEW_KEYS: &str = "ssh-ed25519 AAAA test\nssh-ed25519 BBBB new\n";

fn conf(seconds: u32) -> String {
    format!("warewulf:\n  port: 9873\n  update interval: {seconds}\n")
}

/// First the server changes `/etc/hosts`: that arrives by itself. It changes it again, sets the
/// interval from seconds to an hour, and is away for a while: that arrives when it is back. Then it
/// changes the keys: those can only come by SIGHUP.
fn run(bench: &Bench, facts: &mut Facts) -> Result<()> {
    let mut node = bench.full()?;
    for (name, value) in [
        ("rsinit.preboot", "none"),
        ("rsinit.secrets", "none"),
        // There is no machine-id: to systemd each boot is the first. Nobody is there to be asked.
        ("systemd.firstboot", "off"),
    ] {
        node.argue(name, value);
    }
    // Without the hook chrony has no server: its wait would hold up the start for three minutes.
    node.mask("chrony-wait.service");
    let private = Owner { uid: 0, gid: 0, mode: Some(0o600) };
    node.runtime.owned(KEYS, "ssh-ed25519 AAAA test\n", private)?;
    node.runtime.file(CONF, conf(5))?;
    let reload = ["systemctl", "reload", "rsinit-client"].map(str::to_owned).to_vec();
    let look = ["sh", "-c", LOOK].map(str::to_owned).to_vec();
    let watch = |path: &str, until: &str, nudge| Watch {
        path: format!("/{path}"),
        until: until.to_owned(),
        nudge,
        limit_s: 240,
    };
    node.question.watches = vec![
        watch(HOSTS, NEW_HOSTS, Vec::new()),
        watch(HOSTS, LATER_HOSTS, look),
        watch(KEYS, NEW_KEYS, reload),
    ];
    node.ask(&["/etc/systemd/system/rsinit-client.service", &format!("/{KEYS}"), LOOKED]);
    node.ask_command(&["timeout", "60", "sh", "-c", STATE]);
    node.ask_command(&["systemctl", "is-active", "rsinit-client"]);
    node.ask_command(&[
        "systemctl",
        "show",
        "rsinit-client",
        "-p",
        "FragmentPath,NRestarts,MainPID",
    ]);
    node.ask_command(&["journalctl", "-u", "rsinit-client", "-o", "cat", "--no-pager"]);

    let mut power = node.switch_on(|_| {})?;
    let (overlay, port, changed) =
        (node.runtime.folder().to_owned(), power.witness.clone(), Cell::new(0));
    let server = &power.server;
    let ending = power.running.wait_asking(node.limit, |text| {
        let next = changed.get() + 1;
        let said = String::from_utf8_lossy(&fs::read(&port).unwrap_or_default()).into_owned();
        // Not before the client has learnt that nothing is newer.
        let is_known = server.requests().iter().any(|one| one.status == 304);
        if is_known && said.contains(&watching(&node.question.word, next)) {
            changed.set(next);
            if next == 2 {
                server.faults().stop_listening(AWAY);
            }
            if let Err(cause) = change(&overlay, next) {
                return Some(format!("{cause:#}"));
            }
            server.rebuild_overlays();
        }
        gave_up(text)
    })?;
    let boot = node.finish(power, ending)?;
    judge(&boot, facts)
}

/// What the server changes once the watch `number` has begun.
fn change(overlay: &Path, number: usize) -> Result<()> {
    let write = |name: &str, text: &str| {
        fs::write(overlay.join(name), text).with_context(|| format!("changing {name}"))
    };
    match number {
        1 => write(HOSTS, NEW_HOSTS),
        2 => {
            write(HOSTS, LATER_HOSTS)?;
            write(CONF, &conf(3600))
        }
        _ => write(KEYS, NEW_KEYS),
    }
}

fn judge(boot: &Boot, facts: &mut Facts) -> Result<()> {
    let answer = boot.answer()?;
    for (name, saw) in [HOSTS, HOSTS, KEYS].iter().zip(&answer.watched) {
        facts.holds(&format!("/{name} arrives"), saw.arrived, format!("{saw:?}"));
        facts.equal(
            &format!("a reader of /{name} never misses it or sees half of it"),
            (saw.missed, saw.strange),
            (0, 0),
        );
        facts.holds(&format!("/{name} was read in a loop"), saw.reads > 100, format!("{saw:?}"));
    }
    facts.equal("each change was watched", answer.watched.len(), 3);
    let keys = answer.look(&format!("/{KEYS}"));
    facts.equal("the keys are root's alone", keys.as_str(), "file 0600 0:0");

    let active = answer.said(&["systemctl", "is-active"]);
    facts.equal("the client is active", active.trim(), "active");
    let unit = answer.said(&["systemctl", "show"]);
    let parts = ["FragmentPath=/run/systemd/system/rsinit-client.service", "NRestarts=0"];
    facts.contains("its unit is in /run and has not failed", &unit, &parts);
    let in_etc = answer.path("/etc/systemd/system/rsinit-client.service");
    facts.equal("the root's own units are untouched", in_etc, None);
    let journal = answer.said(&["journalctl"]);
    let parts = [
        "1 file changed: /etc/hosts",
        "2 files changed: /etc/hosts, /etc/warewulf/warewulf.conf",
        "1 file changed: /root/.ssh/authorized_keys",
    ];
    facts.contains("the journal names what changed", &journal, &parts);
    judge_outage(answer, &journal, &unit, facts);

    let state: Value =
        serde_json::from_str(&answer.said(&["timeout"])).context("client.json of four changes")?;
    let number = |name: &str| state.get(name).and_then(Value::as_u64);
    facts.equal("four files were changed in all", number("applied"), Some(4));
    facts.equal("the interval is the new one", number("interval_s"), Some(3600));
    facts.equal("the last question was answered", state.get("error"), Some(&Value::Null));

    let runtime: Vec<_> =
        boot.requests.iter().filter(|one| one.query("stage") == Some("runtime")).collect();
    let statuses: Vec<u16> = runtime.iter().map(|one| one.status).collect();
    facts.holds("it asked by date", statuses.contains(&304), format!("{statuses:?}"));
    let ports: Vec<u16> = runtime.iter().map(|one| one.peer.port()).collect();
    facts.holds(
        "it asked from low ports",
        ports.iter().all(|port| *port < 1024),
        format!("{ports:?}"),
    );
    Ok(())
}

/// The server was away: the client said so once, waited, and is the same process as before.
fn judge_outage(answer: &Answer, journal: &str, unit: &str, facts: &mut Facts) {
    let waited = answer.watched.get(1).map_or(0.0, |saw| saw.seconds);
    facts.holds("the server was away", waited > AWAY.as_secs_f64() / 2.0, waited);
    facts.equal("the journal says so once", journal.matches("refused").count(), 1);
    let asked = failures(journal).is_some_and(|count| count >= IN_VAIN);
    facts.holds("it asked again and again, and says when it was well", asked, journal);
    facts.equal("it was started once", journal.matches("client: asking http").count(), 1);

    let looked = answer.text(LOOKED);
    let parts = ["refused", "asking again in"];
    facts.contains("systemctl status says what it waits for", looked, &parts);
    let process = unit.lines().find(|line| line.starts_with("MainPID=")).unwrap_or_default();
    let mut processes = looked.lines().filter(|line| line.starts_with("MainPID="));
    let same =
        !process.is_empty() && processes.clone().count() > 1 && processes.all(|one| one == process);
    facts.holds("it is the same process all the time", same, format!("{process}; {looked}"));
}

/// How often the client asked in vain while the server was away. The root's own network may have
/// cost it a question before, while its addresses changed.
fn failures(journal: &str) -> Option<u64> {
    let (_, since) = journal.split_once("refused")?;
    let (_, count) = since.split_once("well again; failures before: ")?;
    count.lines().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::failures;

    #[test]
    fn failures_are_those_of_the_outage() {
        let before =
            "no IPv4 address on eth0; asking again in 3 s\nwell again; failures before: 1\n";
        let outage = "Connection refused; asking again in 3 s\nwell again; failures before: 7\n";
        assert_eq!(failures(before), None);
        assert_eq!(failures(&format!("{before}{outage}1 file changed\n")), Some(7));
    }
}

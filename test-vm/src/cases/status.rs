//! What others make of `rsinit status` on a node that is up: Node Health Check by the line in the
//! README, and Prometheus.

use std::fs::{self, File};
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use witness::Answer;

use super::Bench;
use crate::facts::Facts;
use crate::node::Node;
use crate::tool::{command, run};

/// Where the line for `/etc/nhc/nhc.conf` stands.
const README: &str = include_str!("../../../README.md");

/// The metrics.
const METRICS: [&str; 3] = ["rsinit", "status", "--prometheus"];

/// What Node Health Check runs, and the exit status that it wants.
pub struct Status {
    /// As `check_cmd_status` runs it: without a shell, and for so long. Source: mej/nhc,
    /// `scripts/lbnl_cmd.nhc`.
    nhc: Vec<String>,
    wanted: i32,
}

impl Status {
    /// Asks the node for its status as others do: as it is, and with a `/secrets` left behind.
    ///
    /// # Errors
    /// The README has no line for Node Health Check that can be understood.
    pub fn ask(node: &mut Node) -> Result<Self> {
        let check = "* || check_cmd_status ";
        let line = README.lines().find_map(|line| line.trim().strip_prefix(check));
        let words: Vec<&str> =
            line.context("the README has no line for nhc.conf")?.split(' ').collect();
        let ["-t", limit, "-r", wanted, argv @ ..] = words.as_slice() else {
            bail!("the README's line for nhc.conf has other options: {words:?}")
        };
        let nhc: Vec<&str> = [&["timeout", *limit], argv].concat();
        node.ask_command(&nhc);
        node.ask_command(&METRICS);
        node.ask_command(&["mkdir", "/secrets"]);
        node.ask_command(&nhc);
        node.ask_command(&["rsinit", "status", "--json"]);
        node.ask_command(&["rmdir", "/secrets"]);
        let wanted = wanted.parse().context("reading the exit status that nhc.conf wants")?;
        Ok(Self { nhc: nhc.into_iter().map(str::to_owned).collect(), wanted })
    }

    /// They find all well, and then a `/secrets`.
    pub fn judge(&self, bench: &Bench, answer: &Answer, facts: &mut Facts) {
        let nhc: Vec<&str> = self.nhc.iter().map(String::as_str).collect();
        let lines = [
            "ok       boot ",
            "ok       arrays ",
            "ok       mounts    /system /scratch\n",
            "ok       hook      ansible-playbook ",
            "ok       secrets   gone\n",
        ];
        facts.contains("rsinit status finds all well", &answer.said(&nhc), &lines);
        let statuses: Vec<_> = answer.commands(&nhc).map(|ran| ran.status).collect();
        let wanted = vec![Some(self.wanted), Some(1)];
        facts.equal("Node Health Check passes the node, and then fails it", statuses, wanted);
        let json = ["rsinit", "status", "--json"];
        facts.contains("a /secrets is found", &answer.said(&json), &["/secrets is still there"]);

        let metrics = answer.said(&METRICS);
        let samples = ["rsinit_check_ok{check=\"arrays\"} 1\n", "level=\"raid1\"} 0\n"];
        facts.contains("the metrics say it too", &metrics, &samples);
        let checked = check_metrics(&bench.cluster.artifacts.promtool, bench.folder, &metrics);
        facts.succeeds("Prometheus finds nothing wrong with them", checked);
    }
}

/// promtool's exit status is 3 where it would have them otherwise.
fn check_metrics(promtool: &Path, folder: &Path, metrics: &str) -> Result<()> {
    let path = folder.join("rsinit.prom");
    fs::write(&path, metrics).with_context(|| format!("writing {}", path.display()))?;
    let file = File::open(&path).with_context(|| format!("opening {}", path.display()))?;
    let promtool = promtool.to_str().context("naming promtool")?;
    run(command(promtool).args(["check", "metrics"]).stdin(file)).map(drop)
}

//! The main job: a real node with four disks, from the server to systemd, twice.

use anyhow::Result;
use witness::Answer;
use witness::search::disguise;

use super::furnished::{boot_twice, furnish};
use super::status::Status;
use super::{Bench, Case, Size};
use crate::boot::Boot;
use crate::debian::Release;
use crate::facts::Facts;
use crate::nfs::{MUNGE_KEY, Secrets};
use crate::node::Node;

/// The case.
pub const CASE: Case = Case {
    name: "full-node",
    about: "Debian with systemd, RAID1, RAID0, secrets, moved folders; its data is there again after a reboot",
    size: Size::Full(Release::Bookworm),
    run,
};

/// What must be active.
const UNITS: [&str; 4] = ["multi-user.target", "ssh", "munge", "site-monitor"];

/// Processors of the node.
const PROCESSORS: u32 = 4;

fn run(bench: &Bench, facts: &mut Facts) -> Result<()> {
    let secrets = &bench.cluster.secrets;
    let mut node = bench.full()?;
    // As many as let helpers inflate the image, as on every real node.
    node.cpus = PROCESSORS;
    furnish(&mut node, 4)?;
    // Ansible beside another node: how long it may take is another case's business.
    node.argue("rsinit.preboot.timeout", "800");
    ask(&mut node);
    let status = Status::ask(&mut node)?;
    let token = disguise(secrets.monitor_token.as_bytes());
    node.question.needles.insert("token".to_owned(), token);
    boot_twice(&mut node, &UNITS, facts, |boot, answer, facts| {
        judge_secrets(secrets, boot, answer, facts);
        judge_report(answer, facts);
        facts.equal("its processors", answer.said(&["nproc"]).trim(), &PROCESSORS.to_string());
        status.judge(bench, answer, facts);
    })
}

fn ask(node: &mut Node) {
    node.ask(&[
        "/etc/munge/munge.key",
        "/etc/ssl/certs/node.pem",
        "/etc/site-build",
        "/etc/site-monitor.conf",
        "/run/site-monitor",
        "/var/log/dracut-preboot.log",
        "/system/log/dracut-preboot.log",
    ]);
    node.ask_command(&["openssl", "x509", "-in", "/etc/ssl/certs/node.pem", "-noout", "-pubkey"]);
    node.ask_command(&["openssl", "pkey", "-in", "/etc/ssl/private/node.key", "-pubout"]);
    node.ask_command(&["id", "-u", "munge"]);
    node.ask_command(&["nproc"]);
}

fn judge_secrets(secrets: &Secrets, boot: &Boot, answer: &Answer, facts: &mut Facts) {
    let munge = answer.said(&["id", "-u", "munge"]).trim().to_owned();
    let key = answer.look("/etc/munge/munge.key");
    facts.holds(
        "the munge key is munge's, 0400",
        key.starts_with(&format!("file 0400 {munge}:")),
        &key,
    );
    let text = String::from_utf8_lossy(MUNGE_KEY);
    facts.equal("the munge key is the secret", answer.text("/etc/munge/munge.key"), &text);
    let certificate = answer.text("/etc/ssl/certs/node.pem");
    facts.equal("the certificate is the secret one", certificate, &secrets.certificate);
    let public = answer.said(&["openssl", "pkey"]);
    facts.contains("the key is one", &public, &["BEGIN PUBLIC KEY"]);
    facts.equal("and the certificate's", answer.said(&["openssl", "x509"]), public);
    let conf = answer.look("/etc/site-monitor.conf");
    facts.equal("the agent's settings are root's alone", conf.as_str(), "file 0600 0:0");
    let found = answer.found.get("token").map(|places| places.join(" "));
    let found = found.unwrap_or_default();
    facts.equal("its token is there and nowhere else", found.as_str(), "/etc/site-monitor.conf");
    let token = &secrets.monitor_token;
    facts.holds("the console never showed a secret", !boot.console.contains(token), "a token");
    let watches = answer.text("/run/site-monitor");
    facts.contains("the agent runs with them", watches, &["watching for http://10.77.0.1:"]);
    let built = answer.text("/etc/site-build");
    facts.equal("the image was made by the same playbook", built, "built by the tag build\n");
    facts.equal("/secrets is gone", answer.path("/secrets"), None);
    facts.holds("no NFS is mounted", !answer.mountinfo.contains(" - nfs"), &answer.mountinfo);
    let log = answer.text("/var/log/dracut-preboot.log");
    let tasks = ["PLAY RECAP", "failed=0", "write the munge key", "configure the monitoring agent"];
    facts.contains("the playbook ran", log, &tasks);
    facts.holds("its build tasks did not", !log.contains("install the monitoring agent"), log);
    let carried = "/system/log/dracut-preboot.log";
    facts.equal("its log was carried to the disk", answer.text(carried), log);
    facts.equal("for root alone", answer.look(carried).as_str(), "file 0600 0:0");
}

fn judge_report(answer: &Answer, facts: &mut Facts) {
    let stages = answer.stages();
    let names: Vec<&str> = stages.iter().map(|stage| stage.name.as_str()).collect();
    for name in ["network", "image", "secrets", "preboot", "disks"] {
        facts.holds(
            &format!("the report has the stage {name}"),
            names.contains(&name),
            format!("{names:?}"),
        );
    }
    let mut order: Vec<&str> = names;
    order.retain(|name| ["preboot", "secrets-gone", "mounts"].contains(name));
    let wanted = ["preboot", "secrets-gone", "mounts"];
    facts.equal("folders move after the hook", order.as_slice(), &wanted[..]);
    let image = stages.iter().find(|stage| stage.name == "image").and_then(|stage| stage.bytes);
    facts.holds(
        "the report counts the image's bytes",
        image > Some(50 << 20),
        format!("{image:?}"),
    );
}

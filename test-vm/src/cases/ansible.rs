//! A site's playbook, run by the real Ansible, that does not do what it should. The node is
//! looked at right after the hand-over: what systemd makes of it is another case's business.

use anyhow::{Context as _, Result};

use super::hooks::told;
use super::{Bench, Case, Size};
use crate::boot::Boot;
use crate::debian::Release;
use crate::facts::Facts;

/// The case.
pub const CASE: Case = Case {
    name: "ansible-fails",
    about: "real playbooks that fail, hang past their limit, and leave a daemon with the secrets open",
    size: Size::Whole(Release::Bookworm),
    run,
};

/// The log of the hook.
const LOG: &str = "/var/log/dracut-preboot.log";

/// A play with one task before the one that matters.
fn playbook(task: &str) -> String {
    format!(
        "- hosts: all
  gather_facts: false
  tasks:
    - name: note that it began
      ansible.builtin.copy: {{content: \"{{{{ monitor_token | length }}}}\", dest: /etc/began}}
      tags: secret
{task}      tags: preboot
"
    )
}

const FAILS: &str = "    - name: install what nobody has
      ansible.builtin.command: /bin/sh -c 'echo no such licence >&2; exit 3'
";

const HANGS: &str = "    - name: wait for what never comes
      ansible.builtin.command: sleep 3600
";

const LEAVES: &str = "    - name: start a watcher
      ansible.builtin.shell: setsid tail -f /secrets/munge.key > /dev/null 2>&1 &
";

/// Boots the real image with `task` in its playbook.
fn boot(bench: &Bench, task: &str, timeout: &str, facts: &mut Facts) -> Result<Boot> {
    let mut node = bench.full()?;
    node.system.file("container_repo/ansible/other.yml", playbook(task))?;
    node.system.file(".buildinfo", "Image: rsinit-test\nPlaybook: other.yml\n")?;
    node.argue("init", "/usr/local/sbin/witness");
    node.argue("rsinit.preboot.timeout", timeout);
    node.ask(&["/etc/began", LOG]);
    let boot = node.boot(|_| {})?;
    let answer = boot.answer()?;
    facts.equal("it read the secrets", answer.text("/etc/began"), "40");
    facts.equal("/secrets is gone", answer.path("/secrets"), None);
    facts.holds("no NFS is mounted", !answer.mountinfo.contains(" - nfs"), &answer.mountinfo);
    let left =
        |name: &&String| name.contains("ansible") || ["sleep", "tail"].contains(&name.as_str());
    facts.equal("no process of it is left", answer.processes.iter().find(left), None);
    facts.holds("there are processes", !answer.processes.is_empty(), "none");
    facts.equal("only root reads its log", answer.look(LOG).as_str(), "file 0600 0:0");
    Ok(boot)
}

fn run(bench: &Bench, facts: &mut Facts) -> Result<()> {
    let failed = boot(bench, FAILS, "300", facts).context("with a task that fails")?;
    told(&failed, &["ansible-playbook other.yml ended with exit status 2"], facts)?;
    let words = ["| TASK [install what nobody has]", "no such licence", "failed=1"];
    facts.contains("its last lines are on the console", &failed.lines().join("\n"), &words);

    let hung = boot(bench, HANGS, "180", facts).context("with a task that hangs")?;
    told(&hung, &["ansible-playbook other.yml was still running after 180 s, ended"], facts)?;
    let doing = ["still runs after ", ": TASK [wait for what never comes]"];
    facts.contains("the console says what it is at", &hung.lines().join("\n"), &doing);

    let left = boot(bench, LEAVES, "300", facts).context("with a daemon")?;
    let report = left.answer()?.report_text();
    facts.contains(
        "the daemon is named",
        &report,
        &["left processes running, ended now: ", "tail"],
    );
    let stages = left.answer()?.stages();
    let preboot = stages.iter().find(|stage| stage.name == "preboot");
    facts.equal(
        "its stage is warned about, and not failed",
        preboot.map(|one| one.outcome.as_str()),
        Some("warned"),
    );
    Ok(())
}

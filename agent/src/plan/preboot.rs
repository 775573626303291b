//! The preboot hook: which program, with what, and where it writes.

use crate::config::cmdline::PrebootParam;

/// Where the hook's output goes, in the new root.
pub const LOG: &str = "/var/log/dracut-preboot.log";

/// Where the site's image build keeps its playbooks, in the new root.
const PLAYBOOKS: &str = "/container_repo/ansible";
/// Where the image build installed Ansible, in the new root.
const ANSIBLE: &str = "/opt/ansible";

/// A program to run in the new root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook {
    /// Its path in the new root.
    pub program: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// Its working folder in the new root.
    pub cwd: String,
    /// What it does, for the log.
    pub name: String,
}

/// Why the hook that was asked for cannot be run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("rsinit.preboot=ansible, but the image's /.buildinfo names no playbook")]
pub struct NoPlaybook;

/// Which hook runs; `playbook` is what `/.buildinfo` names.
///
/// # Errors
/// [`NoPlaybook`] where Ansible was asked for by name and there is none to run.
pub fn plan(param: &PrebootParam, playbook: Option<&str>) -> Result<Option<Hook>, NoPlaybook> {
    match (param, playbook) {
        (PrebootParam::None, _) | (PrebootParam::Auto, None) => Ok(None),
        (PrebootParam::Executable(path), _) => Ok(Some(Hook {
            program: path.clone(),
            args: Vec::new(),
            cwd: "/".to_owned(),
            name: path.clone(),
        })),
        (PrebootParam::Auto | PrebootParam::Ansible, Some(playbook)) => Ok(Some(ansible(playbook))),
        (PrebootParam::Ansible, None) => Err(NoPlaybook),
    }
}

/// The site's form: the playbook that built the image configures the node too.
/// Without its `-vvv`, which would write the secrets into the log.
fn ansible(playbook: &str) -> Hook {
    let args = [
        "-e",
        "@/secrets/secrets.yml",
        "-i",
        "localhost,",
        "-c",
        "local",
        "-l",
        "localhost",
        "--tags",
        "secret,preboot",
        playbook,
    ];
    Hook {
        program: format!("{ANSIBLE}/bin/ansible-playbook"),
        args: args.map(str::to_owned).to_vec(),
        cwd: PLAYBOOKS.to_owned(),
        name: format!("ansible-playbook {playbook}"),
    }
}

/// The hook's whole environment: what activating `/opt/ansible` would set, and
/// what the boot knows.
pub fn environment(boot_uri: &str) -> Vec<(String, String)> {
    let path =
        format!("{ANSIBLE}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    [
        ("PATH", path.as_str()),
        ("VIRTUAL_ENV", ANSIBLE),
        ("HOME", "/root"),
        ("LANG", "C.UTF-8"),
        // The hook runs with the new root as its own.
        ("NEWROOT", "/"),
        // The variable that Warewulf's own dracut module exports.
        ("wwinit_uri", boot_uri),
        ("RSINIT_URI", boot_uri),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_playbook_runs_as_the_site_runs_it() {
        let hook = plan(&PrebootParam::Auto, Some("rocky.yml")).unwrap().unwrap();
        assert_eq!(hook.program, "/opt/ansible/bin/ansible-playbook");
        assert_eq!(
            hook.args.join(" "),
            "-e @/secrets/secrets.yml -i localhost, -c local -l localhost \
             --tags secret,preboot rocky.yml"
        );
        assert_eq!(hook.cwd, "/container_repo/ansible");
    }

    #[test]
    fn an_executable_that_was_named_wins_over_a_playbook() {
        let param = PrebootParam::Executable("/etc/preboot".to_owned());
        assert_eq!(plan(&param, Some("rocky.yml")).unwrap().unwrap().program, "/etc/preboot");
    }

    #[test]
    fn no_playbook_is_no_hook_unless_ansible_was_asked_for() {
        assert_eq!(plan(&PrebootParam::Auto, None), Ok(None));
        assert_eq!(plan(&PrebootParam::None, Some("rocky.yml")), Ok(None));
        assert_eq!(plan(&PrebootParam::Ansible, None), Err(NoPlaybook));
    }
}

//! The preboot hook: which programs, with what, and where they write.

use std::time::Duration;

use crate::config::cmdline::PrebootParam;

/// Where the hook's output goes, in the new root.
pub const LOG: &str = "/var/log/dracut-preboot.log";

/// Where the site's image build keeps its playbooks, in the new root.
const PLAYBOOKS: &str = "/container_repo/ansible";
/// Where the image build installed Ansible, in the new root.
const ANSIBLE: &str = "/opt/ansible";
/// A tmpfs that goes when the hook has ended: its temporary files, which may hold
/// secrets when it is killed, go with it.
const SCRATCH: &str = "/dev/shm";

/// What tools leave beside a file that they replace: run-parts would not run it either.
const LEFTOVERS: [&str; 7] = ["~", ".bak", ".orig", ".rpmnew", ".rpmorig", ".rpmsave", ".dpkg-old"];

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
pub enum NoHook {
    /// Ansible was asked for by name.
    #[error("rsinit.preboot=ansible, but the image's /.buildinfo names no playbook")]
    Playbook,
    /// A folder in which nothing can be run.
    #[error("rsinit.preboot={0} is a folder without an executable file")]
    Empty(String),
}

/// One name in a folder of hooks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The name.
    pub name: String,
    /// Whether it is a file that may be executed, links followed.
    pub executable: bool,
}

/// What runs, in this order; the first that fails is the last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hooks {
    /// The programs; none where there is nothing to do.
    pub run: Vec<Hook>,
    /// What lies beside them in their folder, and why it is not run.
    pub skipped: Vec<String>,
}

impl Hooks {
    /// What they are together, for the log.
    pub fn name(&self) -> String {
        match self.run.as_slice() {
            [hook] => hook.name.clone(),
            hooks => format!("{} hooks", hooks.len()),
        }
    }
}

/// Which hooks run; `playbook` is what `/.buildinfo` names, `folder` what lies in the
/// path that was given, where that is a folder.
///
/// # Errors
/// [`NoHook`] where there is nothing to run of what was asked for by name.
pub fn plan(
    param: &PrebootParam,
    playbook: Option<&str>,
    folder: Option<&[Listed]>,
) -> Result<Hooks, NoHook> {
    let one = |hook| Hooks { run: vec![hook], skipped: Vec::new() };
    match (param, playbook) {
        (PrebootParam::None, _) | (PrebootParam::Auto, None) => Ok(Hooks::default()),
        (PrebootParam::Executable(path), _) => match folder {
            None => Ok(one(executable(path))),
            Some(listed) => of_folder(path, listed),
        },
        (PrebootParam::Auto | PrebootParam::Ansible, Some(playbook)) => Ok(one(ansible(playbook))),
        (PrebootParam::Ansible, None) => Err(NoHook::Playbook),
    }
}

fn executable(path: &str) -> Hook {
    Hook { program: path.to_owned(), args: Vec::new(), cwd: "/".to_owned(), name: path.to_owned() }
}

/// The executable files of a folder by name, byte by byte, so that `10-` comes before `20-`.
fn of_folder(path: &str, listed: &[Listed]) -> Result<Hooks, NoHook> {
    let path = path.trim_end_matches('/');
    let mut listed: Vec<&Listed> = listed.iter().collect();
    listed.sort_by(|a, b| a.name.cmp(&b.name));
    let mut hooks = Hooks::default();
    for entry in listed {
        let whole = format!("{path}/{}", entry.name);
        let leftover = LEFTOVERS.iter().any(|end| entry.name.ends_with(end));
        match () {
            () if entry.name.starts_with('.') => hooks.skipped.push(format!("{whole}: hidden")),
            () if leftover => hooks.skipped.push(format!("{whole}: a left-over by its name")),
            () if !entry.executable => {
                hooks.skipped.push(format!("{whole}: not an executable file"));
            }
            () => hooks.run.push(executable(&whole)),
        }
    }
    if hooks.run.is_empty() { Err(NoHook::Empty(path.to_owned())) } else { Ok(hooks) }
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

/// What the boot tells a hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// `http(s)://host:port` of the boot server.
    pub server: String,
    /// The node's MAC address, as the server knows it.
    pub mac: String,
    /// Whether `/secrets` is mounted.
    pub secrets: bool,
    /// How long all hooks together may take.
    pub timeout: Duration,
}

/// The hook's whole environment: what activating `/opt/ansible` would set, and
/// what the boot knows. Nothing in it is secret.
pub fn environment(told: &Told) -> Vec<(String, String)> {
    let path =
        format!("{ANSIBLE}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    let uri = format!("{}/provision/{}", told.server, told.mac);
    let seconds = told.timeout.as_secs().to_string();
    [
        ("PATH", path.as_str()),
        ("VIRTUAL_ENV", ANSIBLE),
        ("HOME", "/root"),
        ("LANG", "C.UTF-8"),
        ("TMPDIR", SCRATCH),
        ("ANSIBLE_LOCAL_TEMP", SCRATCH),
        ("ANSIBLE_REMOTE_TMP", SCRATCH),
        // A module's arguments are none of the journal's business.
        ("ANSIBLE_NO_TARGET_SYSLOG", "True"),
        // The hook runs with the new root as its own.
        ("NEWROOT", "/"),
        // The variable of Warewulf's own dracut module, as its templates write it.
        ("wwinit_uri", uri.as_str()),
        ("RSINIT_SERVER", told.server.as_str()),
        ("RSINIT_URI", uri.as_str()),
        ("RSINIT_MAC", told.mac.as_str()),
        ("RSINIT_SECRETS", if told.secrets { "/secrets" } else { "" }),
        ("RSINIT_TIMEOUT", seconds.as_str()),
        ("RSINIT_VERSION", env!("CARGO_PKG_VERSION")),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(hooks: Hooks) -> Hook {
        let [hook] = hooks.run.try_into().unwrap();
        hook
    }

    #[test]
    fn a_playbook_runs_as_the_site_runs_it() {
        let hook = only(plan(&PrebootParam::Auto, Some("rocky.yml"), None).unwrap());
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
        assert_eq!(only(plan(&param, Some("rocky.yml"), None).unwrap()).program, "/etc/preboot");
    }

    #[test]
    fn no_playbook_is_no_hook_unless_ansible_was_asked_for() {
        assert_eq!(plan(&PrebootParam::Auto, None, None), Ok(Hooks::default()));
        assert_eq!(plan(&PrebootParam::None, Some("rocky.yml"), None), Ok(Hooks::default()));
        assert_eq!(plan(&PrebootParam::Ansible, None, None), Err(NoHook::Playbook));
    }

    #[test]
    fn a_folder_is_run_by_name_and_what_is_skipped_is_told() {
        let param = PrebootParam::Executable("/etc/preboot.d/".to_owned());
        let entry = |name: &str, executable| Listed { name: name.to_owned(), executable };
        let listed = [
            entry("20-munge", true),
            entry("README", false),
            entry(".swp", true),
            entry("10-certs", true),
            entry("10-certs~", true),
            entry("9-early", true),
        ];
        let hooks = plan(&param, None, Some(&listed)).unwrap();
        let programs: Vec<&str> = hooks.run.iter().map(|hook| hook.program.as_str()).collect();
        let expected =
            ["/etc/preboot.d/10-certs", "/etc/preboot.d/20-munge", "/etc/preboot.d/9-early"];
        assert_eq!(programs, expected);
        assert_eq!(
            hooks.skipped,
            [
                "/etc/preboot.d/.swp: hidden",
                "/etc/preboot.d/10-certs~: a left-over by its name",
                "/etc/preboot.d/README: not an executable file",
            ]
        );
        assert_eq!(hooks.name(), "3 hooks");
        let empty = plan(&param, None, Some(&listed[1..2]));
        assert_eq!(empty, Err(NoHook::Empty("/etc/preboot.d".to_owned())));
    }

    #[test]
    fn a_hook_is_told_where_the_node_boots_from_and_no_asset_key() {
        let told = Told {
            server: "http://10.0.0.1:9873".to_owned(),
            mac: "02:00:00:00:00:01".to_owned(),
            secrets: true,
            timeout: Duration::from_secs(300),
        };
        let environment = environment(&told);
        let value = |name: &str| {
            environment.iter().find(|(one, _)| one == name).map(|(_, value)| value.as_str())
        };
        let uri = "http://10.0.0.1:9873/provision/02:00:00:00:00:01";
        assert_eq!(value("wwinit_uri"), Some(uri));
        assert_eq!(value("NEWROOT"), Some("/"));
        assert_eq!(value("RSINIT_SECRETS"), Some("/secrets"));
        assert_eq!(value("RSINIT_TIMEOUT"), Some("300"));
    }
}

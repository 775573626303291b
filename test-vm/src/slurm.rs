//! The head side of a Slurm cluster: munged and slurmctld, and the tools of its users.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use crate::network::{Number, SERVER};
use crate::nfs::MUNGE_KEY;
use crate::tool::{Service, command, output, run};

/// How long a user's tool may take: a message to an emulated node takes its time.
const PATIENCE_S: &str = "240";

/// Munge's socket, where Slurm looks for it.
const SOCKET: &str = "/run/munge/munge.socket.2";

/// The settings that head and nodes share. No node is compared with its own description
/// (`config_overrides`), nor its file with the head's (`NO_CONF_HASH`).
///
/// # Errors
/// The machine has no name.
pub fn settings(nodes: &[Number], health: &str) -> Result<String> {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").context("reading our own name")?;
    let name = name.trim().split('.').next().unwrap_or_default().to_owned();
    let mut text = format!(
        "ClusterName=test\nSlurmctldHost={name}({SERVER})\nAuthType=auth/munge\n\
         SlurmUser=root\nSlurmdUser=root\nSlurmdSpoolDir=/var/spool/slurmd\n\
         SlurmctldPidFile=/run/slurmctld.pid\nSlurmdPidFile=/run/slurmd.pid\n\
         ProctrackType=proctrack/linuxproc\nTaskPlugin=task/none\nMpiDefault=none\n\
         JobAcctGatherType=jobacct_gather/none\nReturnToService=2\n\
         SlurmdParameters=config_overrides\nDebugFlags=NO_CONF_HASH\n\
         MessageTimeout=60\nTCPTimeout=30\nSlurmdTimeout=600\n\
         HealthCheckProgram={health}\nHealthCheckInterval=10\nHealthCheckNodeState=ANY\n"
    );
    for node in nodes {
        let (name, ip) = (node.name(), node.ip());
        writeln!(text, "NodeName={name} NodeAddr={ip} CPUs=2 RealMemory=1000")?;
    }
    text.push_str("PartitionName=all Nodes=ALL Default=YES State=UP\n");
    Ok(text)
}

/// The running services.
#[derive(Debug)]
pub struct Head {
    conf: PathBuf,
    munged: Service,
    slurmctld: Service,
}

impl Head {
    /// Starts them, with their files in `folder`.
    ///
    /// # Errors
    /// One does not start; its log is in `folder`.
    pub fn start(folder: &Path, settings: &str) -> Result<Self> {
        let state = folder.join("state");
        for made in [&state, Path::new("/run/munge")] {
            fs::create_dir_all(made).with_context(|| format!("making {}", made.display()))?;
        }
        let mut munged = munged(folder)?;
        wait_for("munged", &mut munged, || Ok(Path::new(SOCKET).exists()))?;
        let conf = folder.join("slurm.conf");
        let text = format!("{settings}StateSaveLocation={}\n", state.display());
        fs::write(&conf, text).context("writing slurm.conf")?;
        let log = fs::File::create(folder.join("boot-slurmctld.log")).context("making a log")?;
        let mut tool = command("slurmctld");
        tool.arg("-D").arg("-f").arg(&conf).stdout(Stdio::null()).stderr(log);
        let mut slurmctld = Service::start("slurmctld", &mut tool)?;
        let ask = || Ok(output(user("sinfo", &conf).arg("-h"))?.status.success());
        wait_for("slurmctld", &mut slurmctld, ask)?;
        Ok(Self { conf, munged, slurmctld })
    }

    /// Runs a user's tool: `srun`, `sinfo`, `scontrol`.
    ///
    /// # Errors
    /// It fails, or takes more than [`PATIENCE_S`].
    pub fn run(&mut self, tool: &str, words: &[&str]) -> Result<String> {
        self.munged.check()?;
        self.slurmctld.check()?;
        run(user(tool, &self.conf).args(words))
    }

    /// Waits until `sinfo` says of every node what `is` wants.
    ///
    /// # Errors
    /// It does not within `limit`; the error has what it said last.
    pub fn wait_for_nodes(
        &mut self,
        limit: Duration,
        is: impl Fn(&[(String, String)]) -> bool,
    ) -> Result<Vec<(String, String)>> {
        let end = Instant::now() + limit;
        loop {
            let said = self.run("sinfo", &["--noheader", "--Node", "--format=%N %T"])?;
            let states: Vec<(String, String)> = said
                .lines()
                .filter_map(|line| line.trim().split_once(' '))
                .map(|(name, state)| (name.to_owned(), state.to_owned()))
                .collect();
            if is(&states) {
                return Ok(states);
            }
            if Instant::now() > end {
                bail!("sinfo says {states:?}");
            }
            std::thread::sleep(Duration::from_millis(500));
        }
    }
}

fn user(tool: &str, conf: &Path) -> std::process::Command {
    let mut command = command("timeout");
    command.args([PATIENCE_S, tool]).env("SLURM_CONF", conf);
    command
}

/// munged with the key that the nodes get as a secret.
fn munged(folder: &Path) -> Result<Service> {
    let key = folder.join("munge.key");
    fs::write(&key, MUNGE_KEY).context("writing the munge key")?;
    fs::set_permissions(&key, fs::Permissions::from_mode(0o400)).context("guarding the key")?;
    let mut tool = command("munged");
    tool.args(["--foreground", "--force", "--socket", SOCKET, "--pid-file", "/run/munge/pid"]);
    tool.arg("--key-file").arg(&key).arg("--seed-file").arg(folder.join("seed"));
    tool.arg("--log-file").arg(folder.join("boot-munged.log"));
    tool.stdout(Stdio::null()).stderr(Stdio::null());
    Service::start("munged", &mut tool)
}

fn wait_for(name: &str, service: &mut Service, is_there: impl Fn() -> Result<bool>) -> Result<()> {
    let patience = Instant::now() + Duration::from_secs(60);
    while !is_there()? {
        service.check()?;
        ensure!(Instant::now() < patience, "{name} does not answer");
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

//! The cluster's secrets over NFS: nfs-ganesha, from user space, read-only.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::mount::MountFlags;

use crate::tool::{Service, command};

/// The port of NFS.
const PORT: u16 = 2049;

/// The secret that the playbook puts into `/etc/munge/munge.key`.
pub const MUNGE_KEY: &[u8] = b"a munge key of the test cluster, 32 bytes at least, not a secret";

/// The secret in `secrets.yml` that ends up in the node's certificate.
pub const CERTIFICATE: &str = "certificate-of-the-test-cluster";

/// A running NFS server, exporting `/warewulf/secrets`.
#[derive(Debug)]
pub struct Nfs {
    service: Service,
}

impl Nfs {
    /// Starts it in this namespace, its files in `scratch`.
    ///
    /// The secrets lie in a tmpfs, as on a real server; it vanishes with the namespace.
    ///
    /// # Errors
    /// ganesha does not start; its log is `ganesha.log` in `scratch`.
    pub fn start(scratch: &Path) -> Result<Self> {
        let secrets = scratch.join("secrets");
        let recovery = scratch.join("recovery");
        for folder in [&secrets, &recovery] {
            fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        }
        rustix::mount::mount("tmpfs", &secrets, "tmpfs", MountFlags::empty(), None)
            .context("mounting a tmpfs for the secrets")?;
        let yaml = format!("node_certificate: {CERTIFICATE}\n");
        fs::write(secrets.join("secrets.yml"), yaml).context("writing secrets.yml")?;
        fs::write(secrets.join("munge.key"), MUNGE_KEY).context("writing munge.key")?;
        let conf = scratch.join("ganesha.conf");
        fs::write(&conf, configuration(&secrets, &recovery)).context("writing ganesha.conf")?;
        let mut tool = command("ganesha.nfsd");
        tool.arg("-F").arg("-f").arg(&conf).arg("-L").arg(scratch.join("ganesha.log"));
        tool.args(["-p", "/run/ganesha/ganesha.pid"]).stdout(Stdio::null()).stderr(Stdio::null());
        let mut service = Service::start("ganesha.nfsd", &mut tool)?;
        wait_until_open(&mut service)?;
        Ok(Self { service })
    }

    /// Checks that it lives.
    ///
    /// # Errors
    /// It has ended.
    pub fn check(&mut self) -> Result<()> {
        self.service.check()
    }
}

/// NFSv4 alone: version 3 would want rpcbind beside it. No grace period: no client can hold
/// state from before, and Linux waits it out at the first open.
fn configuration(secrets: &Path, recovery: &Path) -> String {
    format!(
        r"NFS_CORE_PARAM {{ Protocols = 4; NFS_Port = {PORT}; Enable_NLM = false; Enable_RQUOTA = false; }}
NFSv4 {{
  Graceless = true; Minor_Versions = 0, 1, 2;
  RecoveryBackend = fs; RecoveryRoot = {recovery};
  Only_Numeric_Owners = true;
}}
EXPORT {{
  Export_Id = 1; Path = {secrets}; Pseudo = /warewulf/secrets;
  Protocols = 4; Transports = TCP; Access_Type = RO; Squash = No_Root_Squash; SecType = sys;
  FSAL {{ Name = VFS; }}
}}
LOG {{ Default_Log_Level = EVENT; }}
",
        secrets = secrets.display(),
        recovery = recovery.display(),
    )
}

fn wait_until_open(service: &mut Service) -> Result<()> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, PORT));
    let patience = Instant::now() + Duration::from_secs(30);
    while TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_err() {
        service.check()?;
        if Instant::now() > patience {
            bail!("ganesha does not listen on port {PORT}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

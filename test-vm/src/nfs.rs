//! The cluster's secrets over NFS: nfs-ganesha, from user space, read-only.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, Result};
use rustix::mount::MountFlags;

use crate::tool::{Service, command, run, wait_until_open};

/// The port of NFS.
const PORT: u16 = 2049;

/// The port of version 3's mountd.
const MOUNT_PORT: u16 = 20048;

/// The secret that the playbook puts into `/etc/munge/munge.key`.
pub const MUNGE_KEY: &[u8] = b"a munge key of the test cluster, 32 bytes at least, not a secret";

/// The file with [`Secrets::planted`].
pub const PLANTED: &str = "planted.key";

/// The secrets' folder.
#[derive(Debug, Clone)]
pub struct Secrets {
    folder: PathBuf,
    /// A key that no other run has: nobody wrote it down before.
    pub planted: String,
    /// The key of a node's chassis, by which its server knows it; no other run has it.
    pub asset_key: String,
    /// In `secrets.yml`: what the monitoring agent shows to its server; no other run has it.
    pub monitor_token: String,
    /// In `secrets.yml`: the certificate of the node.
    pub certificate: String,
}

impl Secrets {
    /// Makes them in a tmpfs in `scratch`, as on a real server; it vanishes with the namespace.
    ///
    /// # Errors
    /// The tmpfs cannot be mounted, or a file not be written.
    pub fn make(scratch: &Path) -> Result<Self> {
        let folder = scratch.join("secrets");
        fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        rustix::mount::mount("tmpfs", &folder, "tmpfs", MountFlags::empty(), None)
            .context("mounting a tmpfs for the secrets")?;
        let (planted, asset_key) = (random_word()?, random_word()?);
        let monitor_token = random_word()?;
        let names = vec!["node.test".to_owned()];
        let rcgen::CertifiedKey { cert, signing_key } =
            rcgen::generate_simple_self_signed(names).context("making a certificate")?;
        let certificate = cert.pem().replace("\r\n", "\n");
        let private = signing_key.serialize_pem().replace("\r\n", "\n");
        let (certificate_block, key_block) = (block(&certificate), block(&private));
        let yaml = format!(
            "---\nmonitor_token: \"{monitor_token}\"\nnode_certificate: |\n{certificate_block}node_key: |\n{key_block}"
        );
        let key = format!("{planted}\n");
        let files =
            [("secrets.yml", yaml.as_bytes()), ("munge.key", MUNGE_KEY), (PLANTED, key.as_bytes())];
        for (name, content) in files {
            fs::write(folder.join(name), content).with_context(|| format!("writing {name}"))?;
        }
        Ok(Self { folder, planted, asset_key, monitor_token, certificate })
    }
}

/// Lines as a block of YAML.
fn block(text: &str) -> String {
    text.lines().map(|line| format!("  {line}\n")).collect()
}

/// 40 hexadecimal digits, drawn for this run.
fn random_word() -> Result<String> {
    let mut bytes = [0; 20];
    fs::File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut bytes))
        .context("reading /dev/urandom")?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// What a server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Versions {
    /// 4.0, 4.1 and 4.2.
    Four,
    /// Version 3 too, with mountd and the rpcbind beside it.
    All,
}

/// What a server exports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Export {
    /// `/warewulf/secrets`, read-only, to everybody.
    Everybody,
    /// The same to another node than ours.
    SomebodyElse,
}

/// A running NFS server.
#[derive(Debug)]
pub struct Nfs {
    service: Service,
    /// Where version 3 is registered.
    rpcbind: Option<Service>,
}

impl Nfs {
    /// Starts the cluster's own in this namespace, its files in `scratch`: all versions,
    /// on the usual ports.
    ///
    /// # Errors
    /// rpcbind or ganesha does not start; the latter's log is `ganesha.log` in `scratch`.
    pub fn start(scratch: &Path, secrets: &Secrets) -> Result<Self> {
        let mut tool = command("rpcbind");
        tool.args(["-f", "-w"]).stdout(Stdio::null()).stderr(Stdio::null());
        let mut rpcbind = Service::start("rpcbind", &mut tool)?;
        wait_until_open(&mut rpcbind, 111)?;
        let mut nfs = Self::start_at(scratch, secrets, PORT, Versions::All, Export::Everybody)?;
        nfs.rpcbind = Some(rpcbind);
        Ok(nfs)
    }

    /// Starts another on `port`, for a case that does something to it: NFSv4 alone.
    ///
    /// # Errors
    /// ganesha does not start.
    pub fn another(scratch: &Path, secrets: &Secrets, port: u16, export: Export) -> Result<Self> {
        Self::start_at(scratch, secrets, port, Versions::Four, export)
    }

    fn start_at(
        scratch: &Path,
        secrets: &Secrets,
        port: u16,
        versions: Versions,
        export: Export,
    ) -> Result<Self> {
        let recovery = scratch.join("recovery");
        fs::create_dir_all(&recovery).with_context(|| format!("making {}", recovery.display()))?;
        let conf = scratch.join("ganesha.conf");
        let text = configuration(&secrets.folder, &recovery, port, versions, export);
        fs::write(&conf, text).context("writing ganesha.conf")?;
        let mut tool = command("ganesha.nfsd");
        tool.arg("-F").arg("-f").arg(&conf).arg("-L").arg(scratch.join("ganesha.log"));
        tool.arg("-p").arg(scratch.join("ganesha.pid"));
        tool.stdout(Stdio::null()).stderr(Stdio::null());
        let mut service = Service::start("ganesha.nfsd", &mut tool)?;
        wait_until_open(&mut service, port)?;
        Ok(Self { service, rpcbind: None })
    }

    /// Checks that it lives.
    ///
    /// # Errors
    /// It has ended.
    pub fn check(&mut self) -> Result<()> {
        self.rpcbind.as_mut().map_or(Ok(()), Service::check)?;
        self.service.check()
    }

    /// Leaves it without a sign of life, its connections open.
    ///
    /// # Errors
    /// `kill` fails.
    pub fn freeze(&self) -> Result<()> {
        run(command("kill").args(["-STOP", &self.service.pid().to_string()])).map(drop)
    }
}

/// No grace period: no client can hold state from before, and Linux waits it out at the
/// first open.
fn configuration(
    secrets: &Path,
    recovery: &Path,
    port: u16,
    versions: Versions,
    export: Export,
) -> String {
    let (protocols, mount_port) = match versions {
        Versions::All => ("3, 4", format!("MNT_Port = {MOUNT_PORT}; Mount_Path_Pseudo = true;")),
        Versions::Four => ("4", String::new()),
    };
    let access = match export {
        Export::Everybody => "Access_Type = RO;",
        Export::SomebodyElse => {
            "Access_Type = None; CLIENT { Clients = 192.0.2.1; Access_Type = RO; }"
        }
    };
    format!(
        r"NFS_CORE_PARAM {{
  Protocols = {protocols}; NFS_Port = {port}; {mount_port}
  Enable_NLM = false; Enable_RQUOTA = false;
}}
NFSv4 {{
  Graceless = true; Minor_Versions = 0, 1, 2;
  RecoveryBackend = fs; RecoveryRoot = {recovery};
  Only_Numeric_Owners = true;
}}
EXPORT {{
  Export_Id = 1; Path = {secrets}; Pseudo = /warewulf/secrets; Tag = warewulf;
  Protocols = {protocols}; Transports = TCP; {access}
  Squash = No_Root_Squash; SecType = sys;
  FSAL {{ Name = VFS; }}
}}
LOG {{ Default_Log_Level = EVENT; }}
",
        secrets = secrets.display(),
        recovery = recovery.display(),
    )
}

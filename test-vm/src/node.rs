//! One node of a case: its disks, overlays and kernel arguments, and its boots.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::boot::Boot;
use crate::cluster::Cluster;
use crate::disk::Disk;
use crate::initramfs::Flavour;
use crate::listener::{Listener, Wire};
use crate::network::{Number, SERVER, tap};
use crate::overlay::Overlay;
use crate::qemu::{Ending, Firmware, Machine, Nic, Running, Start};
use crate::server::{self, Certificate, Faults, Script, Server, Template, Version};
use crate::times;
use crate::witness::{self, QUESTION, Question};

/// The same for TLS.
const FIRST_TLS_PORT: u16 = 19_873;

/// A node that can be switched on.
pub struct Node<'a> {
    cluster: &'a Cluster,
    /// Its number.
    pub number: Number,
    place: usize,
    folder: PathBuf,
    /// What runs in its initramfs.
    pub flavour: Flavour,
    /// An initramfs of its own, instead of the flavour's.
    pub initramfs: Option<PathBuf>,
    /// The raw archive that the server has for it (`.gz` beside it).
    pub image: PathBuf,
    /// Memory in MiB.
    pub memory_mib: u32,
    /// Processors.
    pub cpus: u32,
    /// What boots it over the network, by which template of the server; none where QEMU gives it
    /// kernel and initramfs.
    pub firmware: Option<(Firmware, Template)>,
    /// Its network card.
    pub nic: Nic,
    /// Its disks, in PCI order.
    pub disks: Vec<Disk>,
    /// Its system overlay.
    pub system: Overlay,
    /// Its runtime overlay.
    pub runtime: Overlay,
    /// What its witness is asked.
    pub question: Question,
    /// The asset key that the server wants to hear.
    pub asset_key: Option<String>,
    /// The asset tag of its firmware: the key that it has.
    pub asset_tag: Option<String>,
    /// Which Warewulf its server is.
    pub version: Version,
    /// The address that its server listens on.
    pub server_ip: IpAddr,
    /// The certificate by which its server speaks TLS too, on [`Self::tls_port`].
    pub certificate: Option<Certificate>,
    /// How long a boot may take.
    pub limit: Duration,
    /// Whether its console is shown.
    pub live: bool,
    /// How it reports to the head node.
    pub wire: Wire,
    arguments: Vec<String>,
    boots: u32,
}

/// Where a node stands.
#[derive(Debug, Clone, Copy)]
pub struct Stand<'a> {
    /// The cluster.
    pub cluster: &'a Cluster,
    /// Which tap it is plugged into.
    pub place: usize,
    /// Where its files go.
    pub folder: &'a Path,
}

impl<'a> Node<'a> {
    /// A node with the tiny image, no disks, the plain initramfs.
    ///
    /// # Errors
    /// Its folders cannot be made.
    pub fn tiny(stand: Stand<'a>) -> Result<Self> {
        let Stand { cluster, place, folder } = stand;
        let number = cluster.next_number();
        let folder = folder.join(number.name());
        let mut node = Self {
            cluster,
            number,
            place,
            flavour: Flavour::Plain,
            initramfs: None,
            image: cluster.artifacts.tiny.clone(),
            memory_mib: 1024,
            cpus: 1,
            firmware: None,
            nic: Nic::Virtio,
            disks: Vec::new(),
            system: Overlay::new(folder.join("system"))?,
            runtime: Overlay::new(folder.join("runtime"))?,
            question: Question::default(),
            asset_key: None,
            asset_tag: None,
            version: Version::default(),
            server_ip: SERVER.into(),
            certificate: None,
            limit: Duration::from_secs(240),
            live: false,
            wire: Wire::Datagrams,
            arguments: Vec::new(),
            boots: 0,
            folder,
        };
        node.arguments = node.usual_arguments();
        node.system.file("etc/hostname", format!("{}\n", number.name()))?;
        node.runtime.file("etc/hosts", format!("127.0.0.1 localhost\n{SERVER} server\n"))?;
        node.ask(&["/etc/hostname", "/etc/hosts", "/secrets"]);
        Ok(node)
    }

    /// A node with the real image and the systemd initramfs.
    ///
    /// # Errors
    /// Its folders cannot be made.
    pub fn full(stand: Stand<'a>) -> Result<Self> {
        let mut node = Self::tiny(stand)?;
        node.flavour = Flavour::Systemd;
        node.image = stand.cluster.artifacts.full.clone();
        node.memory_mib = 3072;
        node.cpus = 2;
        node.limit = Duration::from_secs(900);
        Ok(node)
    }

    /// A node whose image has a shell, mdadm and e2fsprogs.
    ///
    /// # Errors
    /// Its folders cannot be made.
    pub fn with_tools(stand: Stand<'a>) -> Result<Self> {
        let mut node = Self::tiny(stand)?;
        node.image = stand.cluster.artifacts.tools.clone();
        Ok(node)
    }

    /// The command line that Warewulf 4.6.1's iPXE template writes, and what tests add: a console,
    /// memory that is not cleared when it is given out (an emulated processor takes long for it),
    /// and the power off soon after a failure. Not at once: what a hook says on standard error
    /// reaches the console through systemd's journal, a little later.
    fn usual_arguments(&self) -> Vec<String> {
        let mac = self.number.mac();
        let uri = self.uri();
        [
            "rd.neednet=1".to_owned(),
            format!("ifname=eth0:{mac}"),
            "ip=eth0:dhcp".to_owned(),
            "root=wwinit".to_owned(),
            format!("rsinit.uri={uri}"),
            "init=/sbin/init".to_owned(),
            format!("wwid={mac}"),
            "net.ifnames=0".to_owned(),
            "console=ttyS0".to_owned(),
            "panic=-1".to_owned(),
            "init_on_alloc=0".to_owned(),
            "rsinit.onfail=poweroff".to_owned(),
            "rsinit.onfail.wait=2".to_owned(),
        ]
        .into()
    }

    /// Makes it boot over the network, with the kernel line of the server's template. What starts its
    /// root is a link to `/sbin/init`, where the overlay `wwinit` has its script.
    ///
    /// # Errors
    /// The links cannot be written.
    pub fn boot_by(&mut self, firmware: Firmware, template: Template) -> Result<()> {
        for name in ["rd.neednet", "ifname", "ip", "root", "rsinit.uri", "init", "wwid"] {
            self.drop_argument(name);
        }
        self.firmware = Some((firmware, template));
        self.system.link("init", "/sbin/init")?;
        self.system.link("warewulf/run-init", "/sbin/init")
    }

    /// Where its server listens.
    pub fn server_address(&self) -> SocketAddr {
        SocketAddr::from((self.server_ip, self.number.port()))
    }

    /// Where it listens in TLS.
    pub fn tls_port(&self) -> u16 {
        FIRST_TLS_PORT + u16::from(self.number.0)
    }

    /// `http://server/provision/<mac>`.
    pub fn uri(&self) -> String {
        format!("http://{}/provision/{}", self.server_address(), self.number.mac())
    }

    /// Sets the kernel argument `name`, replacing it; a name with an empty value stands alone.
    pub fn argue(&mut self, name: &str, value: &str) {
        self.drop_argument(name);
        let word = if value.is_empty() { name.to_owned() } else { format!("{name}={value}") };
        self.arguments.push(word);
    }

    /// Takes the kernel argument `name` away.
    pub fn drop_argument(&mut self, name: &str) {
        let is = |word: &String| word.split('=').next() == Some(name);
        self.arguments.retain(|word| !is(word));
    }

    /// Asks the witness for these paths too.
    pub fn ask(&mut self, paths: &[&str]) {
        self.question.paths.extend(paths.iter().map(|path| (*path).to_owned()));
    }

    /// Asks the witness to run a command.
    pub fn ask_command(&mut self, argv: &[&str]) {
        self.question.commands.push(argv.iter().map(|word| (*word).to_owned()).collect());
    }

    /// Adds a blank NVMe disk and returns a copy of what describes it.
    ///
    /// # Errors
    /// Its file cannot be made.
    pub fn add_disk(&mut self, size: u64) -> Result<Disk> {
        let serial = format!("{}D{}", self.number.name(), self.disks.len() + 1);
        let disk = Disk::blank(&self.folder, &serial, size)?;
        self.disks.push(disk.clone());
        Ok(disk)
    }

    /// Puts mkdisk's settings and the profile `test` into the system overlay.
    ///
    /// # Errors
    /// They cannot be written.
    pub fn mkdisk(&mut self, wipe: bool, more: &str, profile: &str) -> Result<()> {
        let conf = format!("WIPE_ON_BOOT={wipe}\nMKDISK_PROFILE=test\n{more}");
        self.system.file("etc/mkdisk/mkdisk.conf", conf)?;
        self.system.file("etc/mkdisk/profiles.d/test", profile)
    }

    /// The root that the real image was packed from.
    pub fn image_root(&self) -> &Path {
        &self.cluster.artifacts.root
    }

    /// The agent's binary, as it is in the initramfs.
    pub fn agent(&self) -> PathBuf {
        self.cluster.artifacts.witness.with_file_name("rsinit")
    }

    /// Where files of this node go.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Boots it once, with a server of its own on which `faults` has its way, and waits for its end.
    ///
    /// # Errors
    /// The harness fails; what becomes of the node is in the [`Boot`].
    pub fn boot(&mut self, faults: impl FnOnce(&Faults)) -> Result<Boot> {
        let mut power = self.switch_on(faults)?;
        let ending = power.running.wait(self.limit, gave_up)?;
        self.finish(power, ending)
    }

    /// Switches it on.
    ///
    /// # Errors
    /// The server or QEMU cannot be started.
    pub fn switch_on(&mut self, faults: impl FnOnce(&Faults)) -> Result<Power> {
        self.cluster.check()?;
        self.boots += 1;
        self.question.word = format!("{}-{}", self.number.name(), self.boots);
        let question = serde_json::to_string(&self.question).context("writing the question")?;
        self.system.file(QUESTION.trim_start_matches('/'), question)?;
        let listener = Listener::start(SERVER.into(), self.wire)?;
        self.argue("rsinit.report", &listener.target(self.wire)?);
        let server = Server::start(self.server_address(), self.site())
            .with_context(|| format!("listening on {}", self.server_address()))?;
        faults(server.faults());
        let path = |end: &str| self.folder.join(format!("boot{}.{end}", self.boots));
        let (log, witness) = (path("console.log"), path("witness.log"));
        let machine = Machine {
            accelerator: self.cluster.artifacts.accelerator,
            start: match &self.firmware {
                Some((firmware, _)) => Start::Network(firmware.clone()),
                None => Start::Direct {
                    kernel: self.cluster.artifacts.kernel.image(),
                    initramfs: self.initramfs(),
                    cmdline: self.arguments.join(" "),
                },
            },
            memory_mib: self.memory_mib,
            cpus: self.cpus,
            tap: tap(self.place),
            mac: self.number.mac(),
            nic: self.nic,
            disks: &self.disks,
            asset_tag: self.asset_tag.as_deref(),
            witness: &witness,
        };
        let running = machine.start(&log, self.live)?;
        Ok(Power { running, server, listener, witness, log, since: Instant::now() })
    }

    /// What its iPXE is given; none where it does not boot over the network.
    pub fn script(&self) -> Option<Script> {
        let (_, template) = self.firmware.as_ref()?;
        Some(Script {
            template: *template,
            authority: self.server_address(),
            device: "eth0".to_owned(),
            arguments: self.arguments.join(" "),
        })
    }

    fn initramfs(&self) -> &Path {
        let usual = || self.cluster.artifacts.initramfs(self.flavour);
        self.initramfs.as_deref().unwrap_or_else(usual)
    }

    /// The same as the server has it.
    fn initramfs_on_the_wire(&self) -> &Path {
        let usual = || self.cluster.artifacts.initramfs_on_the_wire(self.flavour);
        self.initramfs.as_deref().unwrap_or_else(usual)
    }

    fn site(&self) -> server::Site {
        let mut owners = server::Owners::default();
        self.system.give_owners(&mut owners);
        self.runtime.give_owners(&mut owners);
        let node = server::Node {
            mac: self.number.mac(),
            kernel: Some(self.cluster.artifacts.kernel.image()),
            initramfs: Some(self.initramfs_on_the_wire().to_owned()),
            ipxe: self.script(),
            image: self.image.clone(),
            system: vec![self.system.folder().to_owned()],
            runtime: vec![self.runtime.folder().to_owned()],
            asset_key: self.asset_key.clone(),
        };
        server::Site {
            version: self.version,
            secure: true,
            tls: self.certificate.clone(),
            tls_port: self.tls_port(),
            nodes: vec![node],
            owners,
        }
    }

    /// Gathers what came of a boot; the machine is off afterwards.
    ///
    /// # Errors
    /// The witness's answer is there and cannot be read, or QEMU itself failed.
    pub fn finish(&self, power: Power, ending: Ending) -> Result<Boot> {
        let Power { running, server, listener, witness, log, since } = power;
        let console = running.console.text();
        drop(running);
        let broken = fs::read_to_string(log.with_extension("qemu")).unwrap_or_default();
        if console.is_empty() && !broken.trim().is_empty() {
            anyhow::bail!("QEMU: {}", broken.trim());
        }
        let port = fs::read(&witness).with_context(|| format!("reading {}", witness.display()))?;
        let port = String::from_utf8_lossy(&port).replace('\r', "");
        let boot = Boot {
            number: self.number,
            answer: witness::find(&port, &self.question.word)?,
            console,
            ending,
            requests: server.requests(),
            heard: listener.heard(),
            wire: self.cluster.dnsmasq_said(since),
            took: since.elapsed(),
        };
        let path = log.with_extension("times");
        fs::write(&path, times::describe(&boot))
            .with_context(|| format!("writing {}", path.display()))?;
        Ok(boot)
    }
}

/// What dracut or systemd says where it waits for somebody at the keyboard.
pub fn gave_up(text: &str) -> Option<String> {
    let shells =
        ["Dropping to debug shell", "You are in emergency mode", "Entering emergency mode"];
    shells.iter().find(|shell| text.contains(**shell)).map(|shell| (*shell).to_owned())
}

/// A node that is on, and the server it boots from.
pub struct Power {
    /// The machine.
    pub running: Running,
    /// Its server.
    pub server: Server,
    /// Who hears its report.
    pub listener: Listener,
    /// What comes over the second serial port.
    pub witness: PathBuf,
    log: PathBuf,
    since: Instant,
}

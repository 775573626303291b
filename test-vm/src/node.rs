//! One node of a case: its disks, overlays and kernel arguments, and its boots.

mod power;

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use witness::Question;

use crate::cluster::Cluster;
use crate::debian::{Debian, Release};
use crate::disk::Disk;
use crate::initramfs::Flavour;
use crate::listener::Wire;
use crate::network::{Number, SERVER};
use crate::overlay::Overlay;
use crate::qemu::{CHEAP, Firmware, Nic};
use crate::records::render::Rendered;
use crate::server::{Certificate, Template, Version};

pub use power::{Power, gave_up};

/// The port for TLS of the first node's server, less one.
const FIRST_TLS_PORT: u16 = 19_873;

/// A node that can be switched on.
pub struct Node<'a> {
    cluster: &'a Cluster,
    /// Its number.
    pub number: Number,
    place: usize,
    folder: PathBuf,
    /// Its kernel, and what its images were made of.
    pub debian: &'a Debian,
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
    /// Whether the card has a signal when the node is switched on.
    pub signal: bool,
    /// Its disks, in PCI order.
    pub disks: Vec<Disk>,
    /// Its system overlay.
    pub system: Overlay,
    /// Its runtime overlay.
    pub runtime: Overlay,
    /// Overlays made from its record: under the two above.
    pub rendered: Rendered,
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
            debian: &cluster.artifacts.bookworm.debian,
            flavour: Flavour::Plain,
            initramfs: None,
            image: cluster.artifacts.tiny.clone(),
            memory_mib: 1024,
            cpus: 1,
            firmware: None,
            nic: Nic::Virtio,
            signal: true,
            disks: Vec::new(),
            system: Overlay::new(folder.join("system"))?,
            runtime: Overlay::new(folder.join("runtime"))?,
            rendered: Rendered::default(),
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

    /// A node with the real image of `release`, and its initramfs.
    ///
    /// # Errors
    /// Its folders cannot be made, or the release was not prepared.
    pub fn full(stand: Stand<'a>, release: Release) -> Result<Self> {
        let bootable = stand.cluster.artifacts.of(release)?;
        let mut node = Self::tiny(stand)?;
        node.debian = &bootable.debian;
        node.flavour = Flavour::of(release);
        if release != Release::Bookworm {
            node.initramfs = Some(bootable.initramfs.clone());
        }
        node.image = bootable.image.clone();
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
            CHEAP.to_owned(),
            "rsinit.onfail=poweroff".to_owned(),
            "rsinit.onfail.wait=2".to_owned(),
        ]
        .into()
    }

    /// Links what Warewulf's kernel lines start the root by to `/sbin/init`: for a root without the
    /// overlay `wwinit`.
    ///
    /// # Errors
    /// The links cannot be written.
    pub fn link_init(&mut self) -> Result<()> {
        self.system.link("init", "/sbin/init")?;
        self.system.link("warewulf/run-init", "/sbin/init")
    }

    /// Makes it boot over the network, with the kernel line of the server's template. Firmware and
    /// iPXE take their time.
    pub fn boot_by(&mut self, firmware: Firmware, template: Template) {
        self.limit += Duration::from_secs(360);
        for name in ["rd.neednet", "ifname", "ip", "root", "rsinit.uri", "init", "wwid"] {
            self.drop_argument(name);
        }
        self.firmware = Some((firmware, template));
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

    /// Keeps the root's systemd from starting `unit`.
    pub fn mask(&mut self, unit: &str) {
        self.arguments.push(format!("systemd.mask={unit}"));
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

    /// The agent's binary, as it is in the initramfs.
    pub fn agent(&self) -> PathBuf {
        self.cluster.artifacts.witness.with_file_name("rsinit")
    }

    /// The project's own folder.
    pub fn project(&self) -> &Path {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
        manifest.parent().unwrap_or(manifest)
    }

    /// Where files of this node go.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

//! A node switched on: its server, its machine, and what came of the boot.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result};
use witness::QUESTION;

use super::Node;
use crate::boot::Boot;
use crate::chain::{self, Link};
use crate::listener::Listener;
use crate::monitor::set_link;
use crate::network::tap;
use crate::overlay::Overlay;
use crate::qemu::{Ending, Machine, Running, Start, WIRE};
use crate::server::{self, Faults, Script, Server};
use crate::times;

impl Node<'_> {
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
        let listener = Listener::start(self.server_ip, self.wire)?;
        self.argue("rsinit.report", &listener.target(self.wire)?);
        let server = Server::start(self.server_address(), self.site())
            .with_context(|| format!("listening on {}", self.server_address()))?;
        faults(server.faults());
        let path = |end: &str| self.folder.join(format!("boot{}.{end}", self.boots));
        let (log, witness) = (path("console.log"), path("witness.log"));
        // A short name: the address of a socket has room for 107 bytes.
        let monitor = self.folder.join("qmp");
        let machine = Machine {
            accelerator: self.cluster.artifacts.accelerator,
            start: match &self.firmware {
                Some((firmware, _)) => Start::Network(firmware.clone()),
                None => Start::Direct {
                    kernel: self.debian.kernel.vmlinux.clone(),
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
            monitor: (!self.signal).then_some(monitor.as_path()),
        };
        let running = machine.start(&log, self.live)?;
        let power =
            Power { running, server, listener, witness, monitor, log, since: Instant::now() };
        if !self.signal {
            set_link(&power.monitor, WIRE, false).context("taking the signal away")?;
        }
        Ok(power)
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

    /// What QEMU gives it.
    pub fn initramfs(&self) -> &Path {
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
        let system: Vec<_> = self.rendered.system.iter().chain([&self.system]).collect();
        let runtime: Vec<_> = self.rendered.runtime.iter().chain([&self.runtime]).collect();
        for overlay in system.iter().chain(&runtime) {
            overlay.give_owners(&mut owners);
        }
        let folders = |overlays: &[&Overlay]| {
            overlays.iter().map(|overlay| overlay.folder().to_owned()).collect()
        };
        let node = server::Node {
            mac: self.number.mac(),
            kernel: Some(self.debian.kernel.image()),
            initramfs: Some(self.initramfs_on_the_wire().to_owned()),
            ipxe: self.script(),
            image: self.image.clone(),
            system: folders(&system),
            runtime: folders(&runtime),
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

    /// The links of the chain that the node has passed by now.
    pub fn links(&self, power: &Power) -> Vec<Link> {
        let wire = self.cluster.dnsmasq_said(power.since);
        chain::links(self.number, &wire, &power.server.requests())
    }

    /// Gathers what came of a boot; the machine is off afterwards.
    ///
    /// # Errors
    /// The witness's answer is there and cannot be read, or QEMU itself failed.
    pub fn finish(&self, power: Power, ending: Ending) -> Result<Boot> {
        let Power { running, server, listener, witness, log, since, .. } = power;
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
    monitor: PathBuf,
    log: PathBuf,
    since: Instant,
}

impl Power {
    /// Gives the card of a node that was switched on without one a signal.
    ///
    /// # Errors
    /// QEMU does not do it.
    pub fn give_signal(&self) -> Result<()> {
        set_link(&self.monitor, WIRE, true).context("giving a signal")
    }
}

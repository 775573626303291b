//! The overlays of a node, by name, from its record.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use super::{Record, Records, files, template};
use crate::overlay::Overlay;
use crate::server::Owner;
use crate::tool::{command, run};

/// The kinds of host keys.
const KINDS: [&str; 3] = ["rsa", "ecdsa", "ed25519"];

/// The cluster's keys: one set of host keys for all nodes, as Warewulf has it, and root's own.
#[derive(Debug, Clone)]
pub struct Keys {
    folder: PathBuf,
}

impl Keys {
    /// Makes them in `folder`.
    ///
    /// # Errors
    /// ssh-keygen fails.
    pub fn make(folder: PathBuf) -> Result<Self> {
        fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        for (kind, name) in KINDS.map(|kind| (kind, kind)).into_iter().chain([("ed25519", "root")])
        {
            let mut tool = command("ssh-keygen");
            tool.args(["-q", "-N", "", "-C", "test", "-t", kind, "-f"]).arg(folder.join(name));
            run(&mut tool)?;
        }
        Ok(Self { folder })
    }

    /// The file `name` of them: `ed25519`, `root.pub`.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn read(&self, name: &str) -> Result<String> {
        let path = self.folder.join(name);
        fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
    }
}

/// What overlays are made from, beside a node's record.
#[derive(Debug)]
pub struct Site<'a> {
    /// All nodes.
    pub records: &'a Records,
    /// The cluster's keys, for the overlays that have some.
    pub keys: Option<&'a Keys>,
    /// Where the node's server listens.
    pub server: SocketAddr,
    /// The repository's `mkdisk-profiles`.
    pub profiles: &'a Path,
}

/// A node's overlays, in the order of its record.
#[derive(Debug, Clone, Default)]
pub struct Rendered {
    /// Those of the boot.
    pub system: Vec<Overlay>,
    /// Those that are kept current.
    pub runtime: Vec<Overlay>,
}

impl Site<'_> {
    /// Renders the overlays of the node `name` below `folder`.
    ///
    /// # Errors
    /// An overlay is not known, the record lacks what it needs, or a file cannot be written.
    pub fn render(&self, name: &str, folder: &Path) -> Result<Rendered> {
        let node = self.records.node(name)?;
        let all = |names: &[String]| -> Result<Vec<Overlay>> {
            names.iter().map(|overlay| self.overlay(overlay, name, &node, folder)).collect()
        };
        Ok(Rendered { system: all(&node.system)?, runtime: all(&node.runtime)? })
    }

    fn overlay(&self, overlay: &str, name: &str, node: &Record, below: &Path) -> Result<Overlay> {
        let mut into = Overlay::new(below.join(overlay))?;
        let device = node.primary()?;
        match overlay {
            "wwinit" => self.wwinit(name, node, &mut into)?,
            "wwclient" => wwclient(&mut into)?,
            "fstab" => into.file("etc/fstab", files::FSTAB)?,
            "hostname" => into.file("etc/hostname", format!("{name}\n"))?,
            "ssh.host_keys" => self.host_keys(&mut into)?,
            "issue" => into.file("etc/issue", format!("{name}, from its record\n"))?,
            "resolv" => {
                into.file("etc/resolv.conf", format!("nameserver {}\n", self.server.ip()))?
            }
            "udev.netname" => {
                into.file("etc/udev/rules.d/70-persistent-net.rules", files::netname(device)?)?
            }
            "NetworkManager" => {
                let name = device.device.as_deref().unwrap_or_default();
                let file = format!("etc/NetworkManager/system-connections/{name}.nmconnection");
                into.owned(&file, files::connection(device)?, mode(0o600))?;
            }
            "mkdisk" => self.mkdisk(name, node, &mut into)?,
            "hosts" => into.file("etc/hosts", files::hosts(self.records, self.server)?)?,
            "ssh.authorized_keys" => {
                let key = self.keys()?.read("root.pub")?;
                into.owned("root/.ssh/authorized_keys", key, mode(0o600))?;
                into.folder_owned("root/.ssh", mode(0o700))?;
            }
            other => bail!("there is no overlay {other}"),
        }
        Ok(into)
    }

    fn keys(&self) -> Result<&Keys> {
        self.keys.context("the cluster has no keys")
    }

    fn wwinit(&self, name: &str, node: &Record, into: &mut Overlay) -> Result<()> {
        let image = node.image.as_deref().context("the node has no image")?;
        into.owned("init", files::RUN_INIT, mode(0o755))?;
        into.owned("warewulf/run-init", files::RUN_INIT, mode(0o755))?;
        into.file("warewulf/init.d/20-loopback", files::LOOPBACK)?;
        into.owned("warewulf/config", files::config(name, image), mode(0o600))?;
        into.file("etc/warewulf/warewulf.conf", files::warewulf_conf(self.server))
    }

    fn host_keys(&self, into: &mut Overlay) -> Result<()> {
        for kind in KINDS {
            let name = format!("etc/ssh/ssh_host_{kind}_key");
            into.owned(&name, self.keys()?.read(kind)?, mode(0o600))?;
            into.file(&format!("{name}.pub"), self.keys()?.read(&format!("{kind}.pub"))?)?;
        }
        Ok(())
    }

    /// The overlay that `mkdisk-profiles/README.md` describes, with every profile.
    fn mkdisk(&self, name: &str, node: &Record, into: &mut Overlay) -> Result<()> {
        let folder = self.profiles;
        for entry in
            fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?
        {
            let path = entry?.path();
            let file = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let text =
                fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
            if file == "mkdisk.conf.ww" {
                if let Some(text) = template::render(&text, name, &node.tags)? {
                    into.file("etc/mkdisk/mkdisk.conf", text)?;
                }
            } else if !file.contains('.') {
                into.file(&format!("etc/mkdisk/profiles.d/{file}"), text)?;
            }
        }
        Ok(())
    }
}

fn wwclient(into: &mut Overlay) -> Result<()> {
    into.owned("warewulf/wwclient", files::WWCLIENT, mode(0o755))?;
    let unit = "etc/systemd/system/wwclient.service";
    into.file(unit, files::WWCLIENT_UNIT)?;
    into.link("etc/systemd/system/multi-user.target.wants/wwclient.service", &format!("/{unit}"))
}

fn mode(mode: u32) -> Owner {
    Owner { uid: 0, gid: 0, mode: Some(mode) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
nodeprofiles:
  all:
    image name: debian
    system overlay: [wwinit, hostname, mkdisk]
    runtime overlay: [hosts]
    network devices: {default: {device: eth0}}
nodes:
  n1:
    profiles: [all]
    network devices: {default: {ipaddr: 10.0.0.1}}
    tags: {mkdisk_profile: all-scratch, mkdisk_wipeonboot: \"true\"}
  n2:
    profiles: [all]
    system overlay: [none]
    network devices: {default: {ipaddr: 10.0.0.2}}
  n3:
    profiles: [all]
";

    #[test]
    fn a_node_gets_the_overlays_of_its_record_in_their_order() {
        let temp = tempfile::tempdir().unwrap();
        let records = Records::parse(TEXT).unwrap();
        let profiles = Path::new(env!("CARGO_MANIFEST_DIR")).join("../mkdisk-profiles");
        let server = "10.0.0.9:9873".parse().unwrap();
        let site = Site { records: &records, keys: None, server, profiles: &profiles };
        let made = site.render("n1", &temp.path().join("n1")).unwrap();
        let names: Vec<_> =
            made.system.iter().map(|overlay| overlay.folder().file_name().unwrap()).collect();
        assert_eq!(names, ["wwinit", "hostname", "mkdisk"]);
        let read = |path: &str| fs::read_to_string(temp.path().join(path)).unwrap();
        let conf = read("n1/mkdisk/etc/mkdisk/mkdisk.conf");
        assert!(conf.contains("WIPE_ON_BOOT=true\nMKDISK_PROFILE=all-scratch\n"), "{conf}");
        assert!(read("n1/mkdisk/etc/mkdisk/profiles.d/all-scratch").contains("raid0"));
        assert!(read("n1/hosts/etc/hosts").contains("10.0.0.2 n2 n2-eth0\n"));
        let error = site.render("n2", &temp.path().join("n2")).unwrap_err();
        assert_eq!(error.to_string(), "there is no overlay none");
        site.render("n3", &temp.path().join("n3")).unwrap();
        assert!(!temp.path().join("n3/mkdisk/etc/mkdisk/mkdisk.conf").exists(), "no tag, no file");
    }
}

//! Node records, as Warewulf keeps them in `nodes.conf`, and what the server makes of them.
//!
//! Source: the format that `wwctl` 4.6 writes. [`render`] makes overlays of a merged record; its
//! files are our own, made from what is known of those that Warewulf's templates make.

mod files;
mod merge;
pub mod render;
mod template;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use anyhow::{Context as _, Result};
use serde::Deserialize;

/// `nodes.conf`.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Records {
    /// What nodes have in common.
    #[serde(rename = "nodeprofiles", default)]
    pub profiles: BTreeMap<String, Record>,
    /// The nodes by name.
    #[serde(default)]
    pub nodes: BTreeMap<String, Record>,
}

/// A node or a profile.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Record {
    /// For a person.
    pub comment: Option<String>,
    /// The profiles it has, each over the ones before.
    pub profiles: Vec<String>,
    /// Its image.
    #[serde(rename = "image name", alias = "container name")]
    pub image: Option<String>,
    /// The overlays of its boot.
    #[serde(rename = "system overlay")]
    pub system: Vec<String>,
    /// The overlays that are kept current.
    #[serde(rename = "runtime overlay")]
    pub runtime: Vec<String>,
    /// Its network devices, by a name for each.
    #[serde(rename = "network devices")]
    pub devices: BTreeMap<String, Device>,
    /// Which of them it is known by.
    #[serde(rename = "primary network")]
    pub primary: Option<String>,
    /// What a site writes down for its own templates.
    pub tags: BTreeMap<String, String>,
}

/// A network device.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Device {
    /// The kernel's name for it: `eth0`.
    pub device: Option<String>,
    /// Its MAC.
    pub hwaddr: Option<String>,
    /// Its address.
    pub ipaddr: Option<Ipv4Addr>,
    /// The network's mask.
    pub netmask: Option<Ipv4Addr>,
    /// The way out.
    pub gateway: Option<Ipv4Addr>,
    /// Bytes of a packet; Warewulf writes it as text.
    pub mtu: Option<String>,
}

impl Records {
    /// Reads the text of `nodes.conf`.
    ///
    /// # Errors
    /// It is no YAML, or a field is unknown; the error names the line.
    pub fn parse(text: &str) -> Result<Self> {
        serde_saphyr::from_str(text).context("reading nodes.conf")
    }

    /// The node `name` with all that its profiles give it.
    ///
    /// # Errors
    /// There is no such node, or it names a profile that is not there.
    pub fn node(&self, name: &str) -> Result<Record> {
        let own = self.nodes.get(name).with_context(|| format!("there is no node {name}"))?;
        let mut whole = Record::default();
        for profile in &own.profiles {
            let found = self.profiles.get(profile);
            let found = found.with_context(|| format!("{name}: there is no profile {profile}"))?;
            merge::lay_over(&mut whole, found);
        }
        merge::lay_over(&mut whole, own);
        Ok(whole)
    }
}

impl Record {
    /// The device that the node is known by.
    ///
    /// # Errors
    /// There is none.
    pub fn primary(&self) -> Result<&Device> {
        let name = self.primary.as_deref().unwrap_or("default");
        self.devices.get(name).with_context(|| format!("there is no network device {name}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
nodeprofiles:
  default:
    image name: debian
    system overlay: [wwinit, hostname]
    network devices:
      default:
        device: eth0
        netmask: 255.255.255.0
        mtu: \"1500\"
    tags: {rack: \"1\", mkdisk_profile: default}
  scratch:
    system overlay:
    - mkdisk
    - ~hostname
    tags:
      mkdisk_profile: all-scratch
nodes:
  n1:
    profiles: [default, scratch]
    network devices:
      default: {hwaddr: \"52:54:00:00:00:01\", ipaddr: 10.0.0.1, mtu: \"9000\"}
    tags: {rack: \"7\"}
  n2:
    profiles: [none]
";

    #[test]
    fn a_later_profile_lies_over_an_earlier_one_and_the_node_over_all() {
        let node = Records::parse(TEXT).unwrap().node("n1").unwrap();
        assert_eq!(node.image.as_deref(), Some("debian"));
        assert_eq!(node.tags["mkdisk_profile"], "all-scratch");
        assert_eq!(node.tags["rack"], "7");
        let device = node.primary().unwrap();
        assert_eq!(device.device.as_deref(), Some("eth0"));
        assert_eq!(device.mtu.as_deref(), Some("9000"));
        assert_eq!(device.netmask, Some(Ipv4Addr::new(255, 255, 255, 0)));
    }

    #[test]
    fn lists_are_added_up_and_a_tilde_takes_out() {
        let node = Records::parse(TEXT).unwrap().node("n1").unwrap();
        assert_eq!(node.system, ["wwinit", "mkdisk"]);
    }

    #[test]
    fn a_profile_or_field_that_is_not_there_is_named() {
        let records = Records::parse(TEXT).unwrap();
        let said = format!("{:#}", records.node("n2").unwrap_err());
        assert_eq!(said, "n2: there is no profile none");
        assert!(records.node("n3").is_err());
        let said = format!("{:#}", Records::parse("nodes: {n1: {imagename: x}}").unwrap_err());
        assert!(said.contains("imagename"), "{said}");
    }
}

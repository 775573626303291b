//! What a server has: its version, nodes, images and overlays.

use std::path::PathBuf;

use super::archive::Owners;
use super::ipxe::Script;
use super::wire::Certificate;

/// Which Warewulf the double is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Version {
    /// Stage `container`, no `image`; `/kmods/`.
    V4_5_8,
    /// Stage `image`, no `container`.
    #[default]
    V4_6_1,
    /// As 4.6.1 on the wire.
    V4_6_5,
    /// Routes `/image/`, `/system/`, `/runtime/`; `image` and `container` both.
    V4_7_0,
}

impl Version {
    /// Reads `4.5.8`, `4.6.1`, `4.6.5`, `4.7` or `4.7.0`.
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "4.5.8" => Self::V4_5_8,
            "4.6.1" => Self::V4_6_1,
            "4.6.5" => Self::V4_6_5,
            "4.7" | "4.7.0" => Self::V4_7_0,
            _ => return None,
        })
    }
}

/// What one server serves.
#[derive(Debug, Clone, Default)]
pub struct Site {
    /// The protocol it speaks.
    pub version: Version,
    /// Whether the runtime overlay is given only to a source port below 1024.
    pub secure: bool,
    /// Its certificate: then it listens in TLS too (on [`super::Server::tls_addr`]), and
    /// gives the runtime overlay in no other way (4.7).
    pub tls: Option<Certificate>,
    /// The port for TLS; 0 is any that is free.
    pub tls_port: u16,
    /// The nodes it knows; any other is answered 400.
    pub nodes: Vec<Node>,
    /// Owners and modes of overlay files, where the folders cannot carry them.
    pub owners: Owners,
}

/// One node.
#[derive(Debug, Clone, Default)]
pub struct Node {
    /// Lower case, with colons.
    pub mac: String,
    /// The raw archive, `<name>.img`. `compress=gz` serves the file `<name>.img.gz`
    /// beside it, and is a 404 where there is none. Empty path: no image set (400).
    pub image: PathBuf,
    /// Folders that become the system overlay; later ones win.
    pub system: Vec<PathBuf>,
    /// Folders that become the runtime overlay; later ones win.
    pub runtime: Vec<PathBuf>,
    /// Where set, each request must carry it as `assetkey=`.
    pub asset_key: Option<String>,
    /// Served as stage `kernel`.
    pub kernel: Option<PathBuf>,
    /// Served as stage `initramfs`.
    pub initramfs: Option<PathBuf>,
    /// Served as stage `ipxe`.
    pub ipxe: Option<Script>,
}

impl Site {
    /// The node of `mac`, written with `-` or `:` and in any case.
    pub fn node(&self, mac: &str) -> Option<&Node> {
        let mac = mac.replace('-', ":").to_ascii_lowercase();
        self.nodes.iter().find(|node| node.mac == mac)
    }
}

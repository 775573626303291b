//! What every boot needs, made before the namespaces are entered: here the network is real.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::initramfs::{self, Flavour};
use crate::kernel::{self, Kernel};
use crate::qemu::Accelerator;
use crate::workshop::Workshop;
use crate::{image, tool};

/// Paths of everything that a node boots from.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Artifacts {
    /// The kernel.
    pub kernel: Kernel,
    /// The root of the real node, unpacked.
    pub root: PathBuf,
    /// The initramfs with systemd.
    pub systemd: PathBuf,
    /// The initramfs without.
    pub plain: PathBuf,
    /// Both, compressed: for the wire.
    pub on_the_wire: [PathBuf; 2],
    /// The real node's image; only the `.gz` beside it exists.
    pub full: PathBuf,
    /// The tiny image, and its `.gz`.
    pub tiny: PathBuf,
    /// The image with tools, and its `.gz`.
    pub tools: PathBuf,
    /// The static witness.
    pub witness: PathBuf,
    /// What runs the guests.
    pub accelerator: Accelerator,
}

impl Artifacts {
    /// Makes what is not in the cache.
    ///
    /// # Errors
    /// A tool is missing or fails; the error names it.
    pub fn prepare(workshop: &Workshop) -> Result<Self> {
        tool::require_all()?;
        let kernel = kernel::prepare(workshop)?;
        let root = image::full::prepare_root(workshop)?;
        let systemd = initramfs::prepare(workshop, &root, &kernel, Flavour::Systemd)?;
        let plain = initramfs::prepare(workshop, &root, &kernel, Flavour::Plain)?;
        Ok(Self {
            on_the_wire: [
                initramfs::compress(workshop, &systemd, Flavour::Systemd)?,
                initramfs::compress(workshop, &plain, Flavour::Plain)?,
            ],
            systemd,
            plain,
            full: image::full::prepare(workshop, &root, &kernel)?,
            tiny: image::tiny::prepare(workshop)?,
            tools: image::tools::prepare(workshop, &root, &kernel)?,
            witness: workshop.binary("witness")?,
            accelerator: Accelerator::probe(workshop, &kernel)?,
            kernel,
            root,
        })
    }

    /// The initramfs of a flavour.
    pub fn initramfs(&self, flavour: Flavour) -> &Path {
        match flavour {
            Flavour::Systemd => &self.systemd,
            Flavour::Plain => &self.plain,
        }
    }

    /// The initramfs of a flavour as a server has it, compressed.
    pub fn initramfs_on_the_wire(&self, flavour: Flavour) -> &Path {
        let [systemd, plain] = &self.on_the_wire;
        match flavour {
            Flavour::Systemd => systemd,
            Flavour::Plain => plain,
        }
    }

    /// Leaves the paths for the inner process.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save(&self, scratch: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self).context("writing paths as JSON")?;
        std::fs::write(scratch.join("artifacts.json"), text).context("writing artifacts.json")
    }

    /// Reads what [`save`](Self::save) left.
    ///
    /// # Errors
    /// There is none: the inner process was not started by the outer.
    pub fn load(scratch: &Path) -> Result<Self> {
        let path = scratch.join("artifacts.json");
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("reading {}", path.display()))?;
        serde_json::from_str(&text).context("reading artifacts.json")
    }
}

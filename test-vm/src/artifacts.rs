//! What every boot needs, made before the namespaces are entered: here the network is real.

use std::collections::BTreeSet;
use std::iter;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::debian::{Debian, Release};
use crate::initramfs::{self, Flavour};
use crate::qemu::Accelerator;
use crate::workshop::Workshop;
use crate::{image, kernel, package, tool};

/// Paths of everything that a node boots from.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Artifacts {
    /// What most nodes run.
    pub bookworm: Bootable,
    /// Of the other releases, those that this run's cases want.
    others: Vec<Bootable>,
    /// The initramfs without systemd.
    pub plain: PathBuf,
    /// Bookworm's with systemd, and the one without, compressed: for the wire.
    on_the_wire: [PathBuf; 2],
    /// The tiny image, and its `.gz`.
    pub tiny: PathBuf,
    /// The image with tools, and its `.gz`.
    pub tools: PathBuf,
    /// The static witness.
    pub witness: PathBuf,
    /// Prometheus's own judge of metrics.
    pub promtool: PathBuf,
    /// What runs the guests.
    pub accelerator: Accelerator,
}

/// What a real node of one release boots from.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Bootable {
    /// The release: its kernel, and its root, unpacked.
    pub debian: Debian,
    /// Its initramfs, of the release's flavour.
    pub initramfs: PathBuf,
    /// The real node's image; only the `.gz` beside it exists.
    pub image: PathBuf,
}

impl Bootable {
    fn prepare(workshop: &Workshop, release: Release) -> Result<Self> {
        let debian = Debian::prepare(workshop, release)?;
        let initramfs = initramfs::prepare(workshop, &debian, Flavour::of(release))?;
        let image = image::full::prepare(workshop, &debian)?;
        Ok(Self { debian, initramfs, image })
    }

    /// Bookworm, and beside it those of `releases`: each waits for the network most of the time.
    fn prepare_all(workshop: &Workshop, releases: &BTreeSet<Release>) -> Result<(Self, Vec<Self>)> {
        // Several may share one: each is made once, before they ask for it side by side.
        for release in iter::once(&Release::Bookworm).chain(releases) {
            kernel::prepare(workshop, *release)?;
        }
        std::thread::scope(|scope| {
            let start = |release| scope.spawn(move || Self::prepare(workshop, release));
            let others = releases.iter().filter(|release| **release != Release::Bookworm);
            let others: Vec<_> = others.copied().map(start).collect();
            let bookworm = Self::prepare(workshop, Release::Bookworm)?;
            let done = others.into_iter().map(|thread| {
                thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            });
            Ok((bookworm, done.collect::<Result<_>>()?))
        })
    }
}

impl Artifacts {
    /// Makes what is not in the cache, of bookworm and of `releases`.
    ///
    /// # Errors
    /// A tool is missing or fails; the error names it.
    pub fn prepare(workshop: &Workshop, releases: &BTreeSet<Release>) -> Result<Self> {
        tool::require_all()?;
        let (bookworm, others) = Bootable::prepare_all(workshop, releases)?;
        let debian = &bookworm.debian;
        let plain = initramfs::prepare(workshop, debian, Flavour::Plain)?;
        Ok(Self {
            on_the_wire: [
                initramfs::compress(workshop, &bookworm.initramfs, Flavour::Systemd)?,
                initramfs::compress(workshop, &plain, Flavour::Plain)?,
            ],
            plain,
            tiny: image::tiny::prepare(workshop)?,
            tools: image::tools::prepare(workshop, debian)?,
            witness: workshop.binary("witness")?,
            promtool: package::program(workshop, "prometheus", "promtool")?,
            accelerator: Accelerator::probe(workshop, &debian.kernel)?,
            bookworm,
            others,
        })
    }

    /// What a real node of `release` boots from.
    ///
    /// # Errors
    /// It was not prepared: no case of this run has said that it wants it.
    pub fn of(&self, release: Release) -> Result<&Bootable> {
        let mut all = iter::once(&self.bookworm).chain(&self.others);
        let found = all.find(|bootable| bootable.debian.release == release);
        found.with_context(|| format!("{} was not prepared", release.name()))
    }

    /// Bookworm's initramfs of a flavour.
    pub fn initramfs(&self, flavour: Flavour) -> &Path {
        match flavour {
            Flavour::Systemd => &self.bookworm.initramfs,
            Flavour::Plain => &self.plain,
        }
    }

    /// Bookworm's initramfs of a flavour as a server has it, compressed.
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

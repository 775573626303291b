//! The cluster inside the namespaces: the wire, DHCP, secrets; and a number for each node.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::artifacts::Artifacts;
use crate::network::{Network, Number};
use crate::nfs::{Nfs, Secrets};
use crate::space;

/// The services that all nodes share.
#[derive(Debug)]
pub struct Cluster {
    /// What nodes boot from.
    pub artifacts: Artifacts,
    /// Scratch files of this run.
    pub scratch: PathBuf,
    /// What its NFS server exports.
    pub secrets: Secrets,
    services: Mutex<(Network, Nfs)>,
    last: AtomicU8,
}

impl Cluster {
    /// Starts the services; to be called inside (see [`space::enter`]).
    ///
    /// # Errors
    /// One does not start; the error says which.
    pub fn start(scratch: &Path) -> Result<Self> {
        space::settle()?;
        let artifacts = Artifacts::load(scratch)?;
        let network = Network::start(scratch).context("building the network")?;
        let secrets = Secrets::make(scratch)?;
        let nfs = Nfs::start(scratch, &secrets).context("starting the NFS server")?;
        let services = Mutex::new((network, nfs));
        let (scratch, last) = (scratch.to_owned(), AtomicU8::new(0));
        Ok(Self { artifacts, scratch, secrets, services, last })
    }

    /// Checks that the services live.
    ///
    /// # Errors
    /// One has ended.
    pub fn check(&self) -> Result<()> {
        let mut services = self.services.lock().unwrap_or_else(PoisonError::into_inner);
        services.0.check()?;
        services.1.check()
    }

    /// What the DHCP and TFTP server said since `since`, and how long after it.
    pub fn dnsmasq_said(&self, since: Instant) -> Vec<(Duration, String)> {
        self.services.lock().unwrap_or_else(PoisonError::into_inner).0.said(since)
    }

    /// A number that no node of this run has.
    pub fn next_number(&self) -> Number {
        Number(self.last.fetch_add(1, Ordering::SeqCst).saturating_add(1))
    }
}

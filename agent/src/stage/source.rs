//! Where the node fetches from, as whom, and by which certificate it knows the server.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::context::Context;
use super::fetch::Options;
use super::identity;
use super::overlay::Overlay;
use crate::config::uri::Server;
use crate::config::warewulf;
use crate::layout::Layout;
use crate::net::tls::{Pinned, pinned};
use crate::plan::boot::BootPlan;
use crate::plan::fetch::{Provision, What};

/// The server's own description of itself, in the system overlay.
const CONFIG: &[u8] = b"warewulf/config";
/// The server's certificate, in the system overlay of Warewulf 4.7.
const CERTIFICATE: &[u8] = b"warewulf/tls/warewulf.crt";

/// The certificate that a server is known by on a node that is up: what its boot kept of
/// its initramfs, else what was put where the initramfs has it.
pub fn certificate_of_node(layout: &Layout) -> PathBuf {
    let kept = layout.kept_certificate();
    if kept.exists() { kept } else { layout.certificate() }
}

/// A server to fetch from.
#[derive(Debug, Clone)]
pub struct Source {
    /// What to ask it.
    pub provision: Provision,
    /// Its certificate, where it is asked in TLS.
    pub pinned: Option<Pinned>,
    /// Tries where it refuses; `None`: until the deadline. See [`crate::net::Policy::refusals`].
    pub refusals: Option<u32>,
}

impl Source {
    /// How to fetch `what` from it, until the boot's deadline.
    pub fn options(&self, ctx: &Context<'_>, what: What) -> Options {
        let mut options = Options::until(ctx.deadline, what);
        options.pinned.clone_from(&self.pinned);
        options.policy.refusals = self.refusals;
        options
    }

    /// The server that the kernel arguments name. One that is asked in TLS must have the
    /// certificate at `certificate`.
    ///
    /// # Errors
    /// TLS is asked for and there is no such certificate.
    pub fn named(
        ctx: &Context<'_>,
        plan: &BootPlan,
        mac: &str,
        certificate: &Path,
    ) -> anyhow::Result<Self> {
        let identity = identity::read(ctx);
        let provision = Provision {
            base: plan.server.to_string(),
            mac: mac.to_owned(),
            assetkey: identity.asset_key,
            uuid: identity.uuid,
            compress: plan.compress,
            routes: plan.routes.clone(),
        };
        let mut pinned_certificate = None;
        if plan.server.tls {
            let path = certificate.display();
            let pem = fs::read(certificate).with_context(|| {
                format!("reading {path}, the certificate to know {} by", plan.server)
            })?;
            pinned_certificate = Some(pinned(&pem).with_context(|| format!("reading {path}"))?);
        }
        Ok(Self { provision, pinned: pinned_certificate, refusals: None })
    }

    /// Where the runtime overlay is: over HTTPS where the system overlay says that the
    /// server gives it in no other way, and brings its certificate.
    ///
    /// # Errors
    /// A damaged overlay, or a certificate that is none.
    pub fn for_runtime(&self, overlay: &Overlay, server: &Server) -> anyhow::Result<Self> {
        let wanted = |name: &[u8]| name == CONFIG || name == CERTIFICATE;
        let files = overlay.find_files(wanted)?;
        let file = |name: &[u8]| files.iter().find(|(n, _)| n == name).map(|(_, text)| text);
        self.secured(file(CONFIG), file(CERTIFICATE), server)
            .context("reading /warewulf/tls/warewulf.crt of the system overlay")
    }

    /// As [`for_runtime`](Self::for_runtime), on a node that is up: the overlay's files lie in
    /// its root.
    ///
    /// # Errors
    /// The files cannot be read, or the certificate is none.
    pub fn for_runtime_in(&self, root: &Path, server: &Server) -> anyhow::Result<Self> {
        let file = |name: &[u8]| {
            let path = root.join(OsStr::from_bytes(name));
            match fs::read(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                other => other.map(Some).with_context(|| format!("reading {}", path.display())),
            }
        };
        self.secured(file(CONFIG)?.as_ref(), file(CERTIFICATE)?.as_ref(), server)
            .context("reading /warewulf/tls/warewulf.crt")
    }

    fn secured(
        &self,
        config: Option<&Vec<u8>>,
        pem: Option<&Vec<u8>>,
        server: &Server,
    ) -> anyhow::Result<Self> {
        let config = config.map(|text| warewulf::parse(&String::from_utf8_lossy(text)));
        let (Some(config), Some(pem)) = (config.filter(|config| config.tls), pem) else {
            return Ok(self.clone());
        };
        let certificate = pinned(pem)?;
        let base = config.tls_server(server).to_string();
        let provision = Provision { base, ..self.provision.clone() };
        Ok(Self { provision, pinned: Some(certificate), refusals: self.refusals })
    }
}

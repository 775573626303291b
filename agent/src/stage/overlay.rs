//! The overlays: small archives, fetched whole before a byte of them is unpacked.

use std::sync::atomic::Ordering;

use anyhow::Context as _;
use sha2::{Digest as _, Sha256};

use super::context::{Context, Done, size};
use super::fetch::fetch_small;
use super::progress::Progress;
use super::source::Source;
use super::unpack::unpack;
use crate::format::archive;
use crate::plan::fetch::What;
use crate::report::ArchiveReport;

/// The overlays of one kind, in memory: one archive from Warewulf, which merges them, and
/// one an overlay from a plain web server.
pub struct Overlay {
    /// As they were served; the last wins.
    archives: Vec<Vec<u8>>,
}

impl Overlay {
    /// The regular files whose path `wanted` says yes to, with their contents.
    ///
    /// # Errors
    /// A damaged archive, or a wanted file of more than 16 MiB.
    pub fn find_files(
        &self,
        wanted: impl Fn(&[u8]) -> bool,
    ) -> anyhow::Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let mut found: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        for bytes in &self.archives {
            let files = archive::find_files(bytes, &wanted).context("reading the overlay")?;
            found.retain(|(name, _)| !files.iter().any(|(later, _)| later == name));
            found.extend(files);
        }
        Ok(found)
    }

    /// Unpacks them below `root`, over what is there; says how many entries there were,
    /// how many bytes, and what a person should know of single files.
    ///
    /// # Errors
    /// A hostile archive, and what the root's file system says.
    pub fn unpack(&self, root: &std::path::Path) -> anyhow::Result<(u64, u64, Vec<String>)> {
        let mut sum = (0, 0, Vec::new());
        for bytes in &self.archives {
            let unpacked = unpack(root, bytes.as_slice(), &Progress::default())?;
            sum.0 += unpacked.entries;
            sum.1 += unpacked.bytes;
            sum.2.extend(unpacked.warnings);
        }
        Ok(sum)
    }
}

/// Fetches the overlays of one kind into memory.
///
/// # Errors
/// The server refuses, is not there until the deadline, or serves a damaged archive.
pub fn fetch(ctx: &Context<'_>, source: &Source, what: What) -> anyhow::Result<Done<Overlay>> {
    let options = source.options(ctx, what);
    let requests = source.provision.requests(what);
    let archives: anyhow::Result<Vec<Vec<u8>>> =
        requests.iter().map(|request| fetch_small(request, &options)).collect();
    let overlay = Overlay { archives: archives? };
    for archive in &overlay.archives {
        let digest = Some(Sha256::digest(archive).into());
        let row = ArchiveReport::new(what.stage(), u64::try_from(archive.len())?, digest);
        ctx.record(|report| report.archives.push(row));
    }
    let bytes = u64::try_from(overlay.archives.iter().map(Vec::len).sum::<usize>())?;
    let retries = options.retries.load(Ordering::Relaxed);
    Ok(Done { bytes: Some(bytes), retries, ..Done::new(overlay, size(bytes)) })
}

/// Unpacks the overlays over what is in the root.
///
/// # Errors
/// A hostile archive, and what the root's file system says.
pub fn apply(ctx: &Context<'_>, name: &str, overlay: &Overlay) -> anyhow::Result<Done<()>> {
    let (entries, bytes, warnings) = overlay.unpack(&ctx.layout.sysroot)?;
    for warning in &warnings {
        ctx.warn(name, warning);
    }
    let note = format!("{entries} files, {}", size(bytes));
    Ok(Done { bytes: Some(bytes), ..Done::new((), note) })
}

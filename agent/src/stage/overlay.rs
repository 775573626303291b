//! The overlays: small archives, fetched whole before a byte of them is unpacked.

use super::context::{Context, Done, size};
use super::fetch::fetch_small;
use super::progress::Progress;
use super::source::Source;
use super::unpack::unpack;
use crate::plan::fetch::What;

/// Fetches an overlay into memory.
///
/// # Errors
/// The server refuses, is not there until the deadline, or serves a damaged archive.
pub fn fetch(ctx: &Context<'_>, source: &Source, what: What) -> anyhow::Result<Done<Vec<u8>>> {
    let archive = fetch_small(&source.provision.request(what), &source.options(ctx, what))?;
    let bytes = u64::try_from(archive.len())?;
    Ok(Done { bytes: Some(bytes), ..Done::new(archive, size(bytes)) })
}

/// Unpacks an overlay over what is in the root.
///
/// # Errors
/// A damaged or hostile archive, and what the root's file system says.
pub fn apply(ctx: &Context<'_>, name: &str, archive: &[u8]) -> anyhow::Result<Done<()>> {
    let unpacked = unpack(&ctx.layout.sysroot, archive, &Progress::default())?;
    for warning in &unpacked.warnings {
        ctx.warn(name, warning);
    }
    let note = format!("{} files, {}", unpacked.entries, size(unpacked.bytes));
    Ok(Done { bytes: Some(unpacked.bytes), ..Done::new((), note) })
}

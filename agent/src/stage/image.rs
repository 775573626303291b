//! The root image: fetched, inflated and unpacked into the root while it comes.

use std::sync::atomic::Ordering;

use anyhow::Context as _;

use super::context::{Context, Done, size};
use super::fetch::{self, Options, fetch_and_unpack};
use super::source::Source;
use crate::log;
use crate::plan::fetch::{Routes, What};
use crate::report::ArchiveReport;

/// The stage's name.
pub const NAME: &str = "image";

/// How large the image is uncompressed, in bytes, where the server says so. One that
/// does not answer yet is waited for when the image itself is fetched.
pub fn raw_size(ctx: &Context<'_>, source: &Source) -> Option<u64> {
    if matches!(source.provision.routes, Routes::Static { .. }) {
        return None;
    }
    let options = source.options(ctx, What::Image);
    fetch::raw_size(&source.provision.raw_image(), &options).ok().flatten()
}

/// Fetches the image into the root; `sha256` is the digest that it must have.
///
/// # Errors
/// The server refuses, is not there until the deadline, or serves a damaged image; or
/// the root's file system is full.
pub fn fetch(
    ctx: &Context<'_>,
    source: &Source,
    sha256: Option<[u8; 32]>,
) -> anyhow::Result<Done<()>> {
    let options = Options { sha256, ..source.options(ctx, What::Image) };
    let requests = source.provision.requests(What::Image);
    let request = requests.first().context("no image is named")?;
    let mut say = |line| log::line(NAME, line);
    let fetched = fetch_and_unpack(request, &ctx.layout.sysroot, &options, &mut say)?;
    for warning in &fetched.warnings {
        ctx.warn(NAME, warning);
    }
    ctx.record(|report| {
        report.archives.push(ArchiveReport::new(NAME, fetched.bytes, fetched.sha256));
    });
    let note = format!(
        "{} files, {} from {} fetched",
        fetched.entries,
        size(fetched.raw_bytes),
        size(fetched.bytes)
    );
    let retries = fetched.retries.max(options.retries.load(Ordering::Relaxed));
    Ok(Done { value: (), note, bytes: Some(fetched.bytes), retries })
}

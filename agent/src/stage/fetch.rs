//! What a provisioning server has for the node, into memory or straight into the root.
//!
//! Two things are told apart. A connection that breaks is resumed inside the stream, by
//! [`net::Download`]. An archive that turns out damaged, or changed while it came, is fetched again
//! from its start, until the deadline: a large image is in the making for minutes. Where three
//! downloads end in the very same error, the archive itself is taken to be so.

mod attempt;
mod command;
mod read;

use std::io::Read as _;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use anyhow::{Context as _, ensure};
use sha2::{Digest as _, Sha256};

use crate::format::archive;
use crate::log;
use crate::net::tls::Pinned;
use crate::net::{self, Candidate, Download, Policy, Target};
use crate::plan::fetch::{Request, What};
use crate::stage::progress::{Progress, ProgressLine};
use crate::sys::tree;
pub(super) use attempt::net_error;
use attempt::{Metered, run_and_tell, with_restarts};

pub use command::{run_fetch, run_unpack};
pub use read::{ReadThrough, fetch_and_read};

/// Longest overlay, in bytes as it is served: it is held in memory.
const SMALL: u64 = 256 << 20;

/// How to fetch.
#[derive(Debug, Clone)]
pub struct Options {
    /// Patience with the server, and the deadline of it all.
    pub policy: Policy,
    /// Downloads of a damaged or changed archive, the first included; `u32::MAX`: until the deadline.
    pub downloads: u32,
    /// The SHA-256 that the file must have, as it is served.
    pub sha256: Option<[u8; 32]>,
    /// The certificate that an `https://` server must have.
    pub pinned: Option<Pinned>,
    /// Counts the requests that had to be repeated.
    pub retries: Arc<AtomicU32>,
}

impl Options {
    /// The options of a boot; retries are logged under the name of `what`.
    pub fn until(deadline: Instant, what: What) -> Self {
        let retries = Arc::new(AtomicU32::new(0));
        let counter = Arc::clone(&retries);
        let mut policy = Policy::until(deadline);
        policy.on_retry = Arc::new(move |retry| {
            counter.fetch_add(1, Ordering::Relaxed);
            log::line(what.stage(), retry);
        });
        Self { policy, downloads: u32::MAX, sha256: None, pinned: None, retries }
    }
}

/// What was fetched and unpacked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// Bytes as they were served.
    pub bytes: u64,
    /// Bytes of the archive, uncompressed.
    pub raw_bytes: u64,
    /// Entries of the archive.
    pub entries: u64,
    /// Connections that had to be resumed, and downloads that had to start again.
    pub retries: u32,
    /// SHA-256 of the bytes as they were served; of an uncompressed archive only where it
    /// was asked for.
    pub sha256: Option<[u8; 32]>,
    /// What a person should know of single files.
    pub warnings: Vec<String>,
}

/// Fetches a file of at most 256 MiB, as an overlay is, and reads it through once: what is
/// returned is a sound archive, as it was served.
///
/// # Errors
/// The server refuses or is not there until the deadline, or its archive is damaged for good.
pub fn fetch_small(request: &Request, options: &Options) -> anyhow::Result<Vec<u8>> {
    let target = target(request, options.pinned.as_ref());
    with_restarts(request.what, options, |version| {
        let download = net::open(&target, &options.policy)?;
        *version = download.version();
        read_small(download, options).map(|small| small.bytes)
    })
    .map(|(bytes, _)| bytes)
}

/// A small file, and the date to name when it is asked for again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Small {
    /// A sound archive, as it was served.
    pub bytes: Vec<u8>,
    /// Its date, where one can be gone by.
    pub modified: Option<String>,
}

/// As [`fetch_small`], but nothing where the server says that it has none newer than `since`.
///
/// # Errors
/// As [`fetch_small`].
pub fn fetch_small_if_newer(
    request: &Request,
    options: &Options,
    since: Option<&str>,
) -> anyhow::Result<Option<Small>> {
    let target = target(request, options.pinned.as_ref());
    with_restarts(request.what, options, |version| {
        let download = match since {
            None => Some(net::open(&target, &options.policy)?),
            Some(since) => net::open_if_newer(&target, &options.policy, since)?,
        };
        let Some(download) = download else { return Ok(None) };
        *version = download.version();
        read_small(download, options).map(Some)
    })
    .map(|(small, _)| small)
}

/// Reads a small file to its end, and looks whether it is sound.
fn read_small(download: net::Download, options: &Options) -> anyhow::Result<Small> {
    let (url, modified) = (download.url(), download.validator());
    let mut bytes = Vec::new();
    download.take(SMALL + 1).read_to_end(&mut bytes)?;
    ensure!(u64::try_from(bytes.len())? <= SMALL, "{url}: longer than {} MiB", SMALL >> 20);
    if let Some(expected) = options.sha256 {
        compare(&expected, &Sha256::digest(&bytes).into())?;
    }
    archive::check(&bytes).with_context(|| format!("reading {url}"))?;
    Ok(Small { bytes, modified })
}

/// Fetches an archive of any size and unpacks it below `root` while it comes. `say` is given a
/// line of progress about every second.
///
/// Starting again empties the root; so where `root` holds something at the beginning, nothing is
/// started again, and a damaged archive is an error at once.
///
/// # Errors
/// As [`fetch_small`]; or the root cannot be written. It then holds part of the archive.
pub fn fetch_and_unpack(
    request: &Request,
    root: &Path,
    options: &Options,
    say: &mut dyn FnMut(ProgressLine),
) -> anyhow::Result<Fetched> {
    let target = target(request, options.pinned.as_ref());
    let mut options = options.clone();
    let is_empty = std::fs::read_dir(root)
        .with_context(|| format!("opening {}", root.display()))?
        .next()
        .is_none();
    if !is_empty {
        options.downloads = 1;
    }
    let (progress, say) = (Progress::default(), Mutex::new(say));
    let mut started = false;
    let (mut fetched, restarts) = with_restarts(request.what, &options, |version| {
        if std::mem::replace(&mut started, true) {
            tree::empty(root).with_context(|| format!("emptying {}", root.display()))?;
            progress.reset();
        }
        run_and_tell(&options.policy, &progress, &say, |policy| {
            let download = net::open(&target, policy)?;
            *version = download.version();
            fetch_once(download, root, &options, &progress)
        })
    })?;
    fetched.retries = fetched.retries.saturating_add(restarts);
    Ok(fetched)
}

/// One download from its start to its end.
fn fetch_once(
    download: Download,
    root: &Path,
    options: &Options,
    progress: &Progress,
) -> anyhow::Result<Fetched> {
    progress.total.store(download.total().unwrap_or(0), Ordering::Relaxed);
    let mut source = Metered::new(download, progress, options.sha256.is_some());
    let unpacked = super::unpack::unpack(root, &mut source, progress).map_err(|error| {
        // The network's errors name the address themselves.
        if net_error(&error).is_some() {
            return error;
        }
        error.context(format!("reading {}", source.url()))
    })?;
    let sha256 = source.digest();
    if let (Some(expected), Some(found)) = (options.sha256, sha256) {
        compare(&expected, &found)?;
    }
    Ok(Fetched {
        bytes: source.count(),
        raw_bytes: unpacked.bytes,
        entries: unpacked.entries,
        retries: source.resumed(),
        sha256,
        warnings: unpacked.warnings,
    })
}

/// The length in bytes of the image uncompressed, which is nearly what it takes in the root;
/// `None` where the server does not say.
///
/// # Errors
/// The server did not answer, or refused.
pub fn raw_size(raw_image: &Request, options: &Options) -> anyhow::Result<Option<u64>> {
    Ok(net::size_of(&target(raw_image, options.pinned.as_ref()), &options.policy)?)
}

fn compare(expected: &[u8; 32], found: &[u8; 32]) -> anyhow::Result<()> {
    let hex =
        |digest: &[u8; 32]| digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    ensure!(
        expected == found,
        "the SHA-256 of what the server sent is {}, not {}",
        hex(found),
        hex(expected)
    );
    Ok(())
}

/// A request as the network's room knows it.
fn target(request: &Request, pinned: Option<&Pinned>) -> Target {
    let candidates = request
        .forms
        .iter()
        .map(|form| Candidate { url: form.url.clone(), otherwise: form.otherwise.clone() });
    Target {
        candidates: candidates.collect(),
        privileged: request.privileged,
        meanings: request.meanings.clone(),
        pinned: pinned.cloned(),
    }
}

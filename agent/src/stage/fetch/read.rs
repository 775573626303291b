//! An archive fetched and read to its end, for nobody: is it sound, and what is in it?

use std::io::{self, BufReader};
use std::sync::{Mutex, atomic::Ordering};

use super::attempt::{Metered, net_error, run_and_tell, with_restarts};
use super::{Options, compare, target};
use crate::format::archive;
use crate::net;
use crate::plan::fetch::Request;
use crate::stage::progress::{Progress, ProgressLine};

/// Bytes of the source read at a time.
const BLOCK: usize = 256 << 10;

/// What was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadThrough {
    /// Bytes as they were served.
    pub bytes: u64,
    /// Bytes of the archive, uncompressed.
    pub raw_bytes: u64,
    /// Entries of the archive.
    pub entries: u64,
    /// Whether an entry is one of those that were looked for.
    pub has_wanted: bool,
}

/// Fetches an archive of any size, inflates it and parses it; nothing is kept.
///
/// # Errors
/// The server refuses or is not there until the deadline, or its archive is damaged or hostile,
/// or has another digest than `options` ask for.
pub fn fetch_and_read(
    request: &Request,
    options: &Options,
    say: &mut dyn FnMut(ProgressLine),
    wanted: &(dyn Fn(&[u8]) -> bool + Sync),
) -> anyhow::Result<ReadThrough> {
    let target = target(request, options.pinned.as_ref());
    let (progress, say) = (Progress::default(), Mutex::new(say));
    let read = with_restarts(request.what, options, |version| {
        progress.reset();
        run_and_tell(&options.policy, &progress, &say, |policy| {
            let download = net::open(&target, policy)?;
            *version = download.version();
            progress.total.store(download.total().unwrap_or(0), Ordering::Relaxed);
            let mut source = Metered::new(download, &progress, options.sha256.is_some());
            let mut has_wanted = false;
            let look = |path: &[u8]| has_wanted |= wanted(path);
            let read = archive::read_through(BufReader::with_capacity(BLOCK, &mut source), look);
            let summary = read.map_err(|error| {
                let error = anyhow::Error::new(error);
                match net_error(&error) {
                    Some(_) => error,
                    None => error.context(format!("reading {}", source.url())),
                }
            })?;
            if let Some(expected) = options.sha256 {
                // What stands behind the archive's end counts too.
                io::copy(&mut source, &mut io::sink())?;
                compare(&expected, &source.digest().unwrap_or_default())?;
            }
            Ok(ReadThrough {
                bytes: source.count(),
                raw_bytes: summary.bytes,
                entries: summary.entries,
                has_wanted,
            })
        })
    })?;
    Ok(read.0)
}

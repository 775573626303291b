//! An archive becomes a tree of files under a root.
//!
//! Two threads: one reads the source and inflates, one parses and writes; a few blocks of memory
//! go round between them. Run by root, the tree equals the archive in every respect; run by
//! anybody else, owners are not set and devices are left out with a warning.

mod explain;
mod links;
mod pipe;
mod place;

use std::io::{BufReader, Read};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::thread::{self, ScopedJoinHandle};

use anyhow::{Context as _, anyhow};

use crate::format::{compression, cpio};
use crate::stage::progress::Progress;
use crate::sys::tree::{Tree, clear_umask_of_this_thread};
use explain::shown;
use pipe::{Drain, Feed, Gone};
use place::Placer;

pub use crate::format::archive::find_files;

/// Compressed bytes read at a time.
const INPUT: usize = 128 << 10;

/// Most warnings that are kept.
const WARNINGS: usize = 100;

/// What was unpacked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unpacked {
    /// Entries of the archive, trailers not counted.
    pub entries: u64,
    /// Bytes of the archive, uncompressed.
    pub bytes: u64,
    /// What a person should know: files that came out otherwise than a file could.
    pub warnings: Vec<String>,
}

/// Unpacks `source`, raw or compressed, below `root`; what is there is overwritten.
///
/// # Errors
/// The source fails, the archive is damaged or hostile, or a file cannot be written. The root then
/// holds part of the archive.
pub fn unpack(
    root: &Path,
    source: impl Read + Send,
    progress: &Progress,
) -> anyhow::Result<Unpacked> {
    let tree = || Tree::open(root).with_context(|| format!("opening {}", root.display()));
    let (feed, drain) = pipe::pipe();
    thread::scope(|scope| {
        let spawn = |name: &str| thread::Builder::new().name(name.to_owned());
        let inflating = spawn("inflate").spawn_scoped(scope, move || inflate(source, feed))?;
        let writing = spawn("unpack").spawn_scoped(scope, move || {
            let written = clear_umask_of_this_thread()
                .context("clearing the umask")
                .and_then(|()| write(Placer::new(tree()?), drain, progress));
            progress.failed.store(written.is_err(), Ordering::Relaxed);
            written
        })?;
        let written = join(writing);
        match (join(inflating), written) {
            (Ok(()), written) => written,
            // Whichever side stopped first knows why: the other only saw it gone.
            (Err(_), Err(written)) if !is_gone(&written) => Err(written),
            (Err(inflated), _) => Err(inflated),
        }
    })
}

/// A thread's result; its panic is an error like any other.
fn join<T>(thread: ScopedJoinHandle<'_, anyhow::Result<T>>) -> anyhow::Result<T> {
    let name = thread.thread().name().unwrap_or_default().to_owned();
    thread.join().unwrap_or_else(|panic| {
        let text = panic
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_default();
        Err(anyhow!("the thread \"{name}\" panicked: {text}"))
    })
}

/// Whether the archive could not be read on because the inflating thread had stopped.
fn is_gone(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| match cause.downcast_ref() {
        Some(cpio::Error::Source(source)) => {
            source.get_ref().is_some_and(|inner| inner.is::<Gone>())
        }
        _ => false,
    })
}

/// Reads and inflates the source to its end, where gzip's CRC and length are compared.
fn inflate(source: impl Read + Send, feed: Feed) -> anyhow::Result<()> {
    let source = BufReader::with_capacity(INPUT, source);
    let mut archive = compression::open(source).map_err(|error| match error {
        // The source's own error, as when it breaks later.
        compression::Error::Source(error) => anyhow::Error::new(error),
        other => anyhow::Error::new(other),
    })?;
    Ok(feed.fill_from(&mut archive)?)
}

/// Parses and writes what comes.
fn write(mut placer: Placer, drain: Drain, progress: &Progress) -> anyhow::Result<Unpacked> {
    let mut reader = cpio::Reader::new(drain);
    let (mut entries, mut archive) = (0, 0);
    while let Some(entry) = reader.next_entry()? {
        if entry.archive != archive {
            placer.end_archive()?;
            archive = entry.archive;
        }
        placer.place(&entry, &mut reader).map_err(|error| {
            // The archive's own errors name the entry themselves.
            if error.is::<cpio::Error>() {
                return error;
            }
            error.context(format!("unpacking {}", shown(&entry.name)))
        })?;
        entries += 1;
        progress.unpacked.store(reader.offset(), Ordering::Relaxed);
    }
    placer.end_archive()?;
    let mut warnings = placer.finish()?;
    let left_out = warnings.len().saturating_sub(WARNINGS);
    warnings.truncate(WARNINGS);
    if left_out > 0 {
        warnings.push(format!("and {left_out} more like these"));
    }
    Ok(Unpacked { entries, bytes: reader.offset(), warnings })
}

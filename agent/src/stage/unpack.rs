//! An archive becomes a tree of files under a root.
//!
//! Three threads, as inflating alone takes most of the time: one reads the source, one inflates, one
//! parses and makes what has a name; a few blocks of memory go round between each two. One that would
//! wait for another fills files meanwhile, or inflates a part of a gzip stream before its turn. With more
//! than two processors further threads do nothing else. Run by root, the tree equals the archive
//! in every respect; run by anybody else, owners are not set and devices are left out with a warning.

mod data;
mod draft;
pub(crate) mod explain;
mod fill;
mod folders;
mod gzip;
mod jobs;
mod pipe;
pub(crate) mod place;
mod spans;

use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, Scope, ScopedJoinHandle};

use anyhow::{Context as _, anyhow};

use crate::format::compression::{self, Form};
use crate::format::cpio;
use crate::stage::progress::Progress;
use crate::sys::tree::{HugePages, Tree, clear_umask_of_this_thread};
use explain::shown;
use fill::Later;
use jobs::Jobs;
use pipe::{Drain, Feed, Gone};
use place::Placer;

pub use crate::format::archive::find_files;

/// First bytes of the source: they tell its form, or what it is instead.
const START: usize = 16;

/// Bytes of the source that are handed over at a time, and such blocks on their way at most.
const SOURCE: (usize, usize) = (256 << 10, 6);

/// The same for inflated bytes. Most files are written in one piece; and while many small files are
/// written, which takes longer than inflating them, the inflater still has where to go.
const ARCHIVE: (usize, usize) = (512 << 10, 8);

/// Processors that inflating in order and writing keep busy: what is done beside them needs more.
const BUSY: usize = 2;

/// Most threads that do nothing but jobs, where one inflates.
const WORKERS: usize = 2;

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
    let processors = thread::available_parallelism().map_or(1, usize::from);
    unpack_as_on(processors, root, source, progress)
}

/// As [`unpack`], as a node with so many processors does it: the result is the same.
///
/// # Errors
/// As [`unpack`].
pub fn unpack_as_on(
    processors: usize,
    root: &Path,
    mut source: impl Read + Send,
    progress: &Progress,
) -> anyhow::Result<Unpacked> {
    let mut start = [0; START];
    let got = pipe::fill(&mut source, &mut start)?;
    let start = start.get(..got).unwrap_or_default();
    let form = compression::sniff(start)?;
    let mut source = start.chain(source);
    if form == Form::Gzip {
        return gzip::unpack(root, &mut source, progress, processors);
    }
    let workers = WORKERS.min(processors.saturating_sub(BUSY));
    let (size, depth) = if form == Form::Raw { ARCHIVE } else { SOURCE };
    let (jobs, none) = (&Arc::default(), &Arc::default());
    // Beside a thread that inflates nobody has time, though reading waits.
    let (feed, drain) = pipe::pipe(size, depth, if form == Form::Raw { jobs } else { none });
    thread::scope(|scope| {
        let reading =
            named("read").spawn_scoped(scope, move || anyhow::Ok(feed.fill_from(&mut source)?))?;
        if form == Form::Raw {
            // Straight to the writing thread.
            let written = join(spawn_writing(scope, drain, jobs, root, progress, workers)?);
            return first_cause_of(reading, written);
        }
        let (archive, inflated) = pipe::pipe(ARCHIVE.0, ARCHIVE.1, jobs);
        let inflating = named("inflate").spawn_scoped(scope, move || inflate(drain, archive))?;
        let written = join(spawn_writing(scope, inflated, jobs, root, progress, workers)?);
        first_cause_of(reading, first_cause_of(inflating, written))
    })
}

fn spawn_writing<'scope>(
    scope: &'scope Scope<'scope, '_>,
    archive: Drain,
    jobs: &'scope Arc<Jobs>,
    root: &'scope Path,
    progress: &'scope Progress,
    workers: usize,
) -> io::Result<ScopedJoinHandle<'scope, anyhow::Result<Unpacked>>> {
    named("unpack").spawn_scoped(scope, move || {
        // Made here: it goes also where something panics.
        let open = jobs.open();
        let work = || {
            jobs.work();
            Ok(())
        };
        let working: Vec<_> =
            (0..workers).map(|_| named("work").spawn_scoped(scope, work)).collect();
        let written = write_below(root, archive, jobs, progress);
        let mut written = jobs.failure().map_or(written, Err);
        drop(open);
        // Started or not, it changes nothing but the time.
        for working in working.into_iter().flatten() {
            written = first_cause_of(working, written);
        }
        progress.failed.store(written.is_err(), Ordering::Relaxed);
        written
    })
}

fn named(name: &str) -> thread::Builder {
    thread::Builder::new().name(name.to_owned())
}

/// The result of what `feeding` fed. Whichever stopped first knows why: the other only saw it gone.
fn first_cause_of<T>(
    feeding: ScopedJoinHandle<'_, anyhow::Result<()>>,
    fed: anyhow::Result<T>,
) -> anyhow::Result<T> {
    match (join(feeding), fed) {
        (Ok(()), fed) => fed,
        (Err(_), Err(fed)) if !is_gone(&fed) => Err(fed),
        (Err(feeding), _) => Err(feeding),
    }
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

/// Whether nothing more could be read because the thread that feeds this one had stopped.
fn is_gone(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let source = match cause.downcast_ref() {
            Some(cpio::Error::Source(source)) => Some(source),
            _ => cause.downcast_ref::<io::Error>(),
        };
        source.and_then(io::Error::get_ref).is_some_and(|inner| inner.is::<Gone>())
    })
}

/// Inflates the source to its end, where zstd's checksum is compared.
fn inflate(source: Drain, feed: Feed) -> anyhow::Result<()> {
    let mut archive = compression::open(source).map_err(|error| match error {
        // The source's own error, as when it breaks later.
        compression::Error::Source(error) => anyhow::Error::new(error),
        other => anyhow::Error::new(other),
    })?;
    Ok(feed.fill_from(&mut archive)?)
}

/// Writes the archive below `root`, by the calling thread and with no umask.
fn write_below(
    root: &Path,
    archive: Drain,
    jobs: &Arc<Jobs>,
    progress: &Progress,
) -> anyhow::Result<Unpacked> {
    clear_umask_of_this_thread().context("clearing the umask")?;
    let tree = Tree::open(root).with_context(|| format!("opening {}", root.display()))?;
    // Only a matter of speed: without the right, or the kernel's help, it goes on.
    let _huge = HugePages::turn_on(root, &tree);
    write(Placer::new(tree, Some(Later::new(Arc::clone(jobs)))), archive, progress)
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

//! A gzip stream is unpacked, inflated by as many threads as there are processors for.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use super::jobs::Jobs;
use super::pipe::{self, Feed};
use super::spans::{Helped, InOrder, Reading, Sizes, Spans};
use super::{ARCHIVE, BUSY, Unpacked, first_cause_of, join, named, spawn_writing};
use crate::format::gzip::{Members, Next};
use crate::stage::progress::Progress;

/// Most spans that are inflated at once before their turn: with four, writing is what takes longest.
const AT_ONCE: usize = 4;

/// Most threads that do nothing but jobs, and inflate spans where there are none.
const WORKERS: usize = 6;

/// What is inflated before its turn. That costs half as much again. With two processors it only fills
/// the time in which there is nothing to write, and needs little memory: a part of each span is enough.
/// With more of them, what is inflated in order should be little.
fn sizes(processors: usize) -> Sizes {
    const MIB: usize = 1 << 20;
    match processors.saturating_sub(1).min(AT_ONCE) {
        at_once @ 0..2 => Sizes { span: MIB, room: (MIB, MIB), at_once },
        at_once => Sizes { span: MIB / 2, room: (5 * MIB / 2, 2 * MIB), at_once },
    }
}

/// Unpacks a gzip stream below `root`. See [`super::unpack`].
///
/// # Errors
/// As [`super::unpack`].
pub fn unpack(
    root: &Path,
    source: &mut (dyn Read + Send),
    progress: &Progress,
    processors: usize,
) -> anyhow::Result<Unpacked> {
    let spans = &Arc::new(Spans::new(sizes(processors)));
    // Made here: where a thread cannot be started, the others see that it is gone.
    let (reading, in_order) = (Reading(spans), InOrder::new(spans));
    let helped = Arc::clone(spans);
    let jobs = &Arc::new(Jobs::with_spare(Box::new(move |goes_on| helped.help(goes_on))));
    let (feed, archive) = pipe::pipe(ARCHIVE.0, ARCHIVE.1, jobs);
    thread::scope(|scope| {
        let reading =
            named("read").spawn_scoped(scope, move || anyhow::Ok(reading.read(source)?))?;
        let inflating =
            named("inflate").spawn_scoped(scope, move || inflate(in_order, spans, &feed, jobs))?;
        let workers = WORKERS.min(processors.saturating_sub(BUSY));
        let written = join(spawn_writing(scope, archive, jobs, root, progress, workers)?);
        first_cause_of(reading, first_cause_of(inflating, written))
    })
}

/// Inflates the stream in order. What the helpers have is made to bytes by whoever has time.
fn inflate(
    source: InOrder<'_>,
    spans: &Arc<Spans>,
    feed: &Feed,
    jobs: &Jobs,
) -> anyhow::Result<()> {
    let mut members = Members::with_help(source, Helped(Arc::clone(spans)), ARCHIVE.0);
    while let Some(next) = members.next(|| feed.empty())? {
        match next {
            Next::Block(block, from, end) => feed.block(block, from, end)?,
            Next::Part(part) => {
                let promise = feed.promise()?;
                jobs.add(Box::new(move || {
                    let block = part.into_bytes(promise.empty());
                    promise.keep(block);
                    Ok(())
                }))?;
            }
        }
    }
    Ok(feed.end()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_processor_inflates_in_order_alone() {
        let at_once = |processors| sizes(processors).at_once;
        assert_eq!([1, 2, 3, 4, 64].map(at_once), [0, 1, 2, 3, 4]);
    }
}

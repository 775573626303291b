//! A gzip stream is unpacked, inflated by as many threads as there are processors for.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use super::jobs::Jobs;
use super::pipe::{self, Feed};
use super::spans::{Helped, InOrder, Reading, SPAN, Spans, help};
use super::{ARCHIVE, BUSY, Unpacked, first_cause_of, join, named, spawn_writing};
use crate::format::gzip::{Members, Next};
use crate::stage::progress::Progress;

/// Most helpers: with four, writing is what takes longest.
const HELPERS: usize = 4;

/// How many threads inflate spans before their turn. What they inflate costs half as much again, and
/// two processors are busy with the stream in order and with writing: on those nothing is won.
pub fn helpers(processors: usize) -> usize {
    processors.saturating_sub(BUSY).min(HELPERS)
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
    let helpers = helpers(processors);
    let spans = &Arc::new(Spans::new(SPAN, helpers));
    // Made here: where a thread cannot be started, the others see that it is gone.
    let (reading, in_order) = (Reading(spans), InOrder::new(spans));
    let jobs = &Arc::default();
    let (feed, archive) = pipe::pipe(ARCHIVE.0, ARCHIVE.1, jobs);
    thread::scope(|scope| {
        let reading =
            named("read").spawn_scoped(scope, move || anyhow::Ok(reading.read(source)?))?;
        let inflating =
            named("inflate").spawn_scoped(scope, move || inflate(in_order, spans, &feed, jobs))?;
        let help = || {
            help(spans);
            Ok(())
        };
        let helping: Vec<_> =
            (0..helpers).map(|_| named("help").spawn_scoped(scope, help)).collect();
        let written = join(spawn_writing(scope, archive, jobs, root, progress, processors)?);
        let unpacked = first_cause_of(reading, first_cause_of(inflating, written));
        // Started or not, at work or not: they change nothing but the time.
        helping.into_iter().flatten().map(join).for_each(drop);
        unpacked
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
    fn two_processors_are_left_alone() {
        assert_eq!([1, 2, 3, 4, 64].map(helpers), [0, 0, 1, 2, 4]);
    }
}

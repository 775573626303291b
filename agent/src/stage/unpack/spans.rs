//! A compressed source cut into spans, which helpers inflate before their turn.
//!
//! One thread inflates the stream in order. Meanwhile each helper takes the next span that nobody has
//! begun, and inflates what blocks it finds there, not knowing what they repeat. Whether a helper began
//! where a block begins shows when the one in order comes there: then what was inflated is taken over,
//! and otherwise thrown away. What comes out is the same with helpers and without.

use std::collections::VecDeque;
use std::io::{self, BufRead, Read};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::pipe::{Gone, fill};
use crate::format::deflate::{Guess, Guesser, Output, Unknown};
use crate::format::gzip::Ahead;

/// Bytes of a span: some tens of blocks.
pub const SPAN: usize = 512 << 10;

/// Symbols that a helper makes of a span, for each of its bytes: more than programs and libraries
/// come to. What is more is left to the one in order.
const SYMBOLS: usize = 6;

/// What is done with a span.
enum Work {
    /// Nothing.
    Free,
    /// A helper looks for a block's begin.
    Sought,
    /// A helper inflates it from this bit of the stream on.
    Found(u64),
    /// It is inflated from that bit on.
    Done(u64, Guess),
    /// It is begun in order, or holds no whole block.
    Left,
}

struct Span {
    /// Its first byte in the stream.
    begin: u64,
    bytes: Arc<Vec<u8>>,
    work: Work,
}

#[derive(Default)]
struct State {
    /// The one that is inflated in order, and those that come next.
    spans: VecDeque<Span>,
    /// Bytes of the stream that were read.
    read: u64,
    /// The source has ended as it should.
    is_ended: bool,
    /// One of the two ends is gone.
    is_over: bool,
    /// Memory to be used again.
    outputs: Vec<Output<Unknown>>,
    blocks: Vec<Vec<u8>>,
    /// How many guesses were right.
    right: u64,
}

/// The spans of a source between the thread that reads it and the one that inflates it in order.
pub struct Spans {
    state: Mutex<State>,
    changed: Condvar,
    /// Bytes of a span.
    size: usize,
    /// Spans in memory at most.
    depth: usize,
}

impl Spans {
    /// For `helpers` helpers, and spans of `size` bytes.
    pub fn new(size: usize, helpers: usize) -> Self {
        let mut state = State::default();
        // One for each helper, and one that is taken over meanwhile.
        let outputs = if helpers > 0 { helpers + 1 } else { 0 };
        state.outputs.resize_with(outputs, Output::default);
        Self { state: Mutex::new(state), changed: Condvar::new(), size, depth: 3 + helpers }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state and wakes whoever waits for it.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.lock());
        self.changed.notify_all();
        result
    }

    /// Waits until `ready` has an answer.
    fn wait<T>(&self, mut ready: impl FnMut(&mut State) -> Option<T>) -> T {
        let mut state = self.lock();
        loop {
            if let Some(answer) = ready(&mut state) {
                return answer;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// How many guesses were right.
    #[cfg(test)]
    fn right(&self) -> u64 {
        self.lock().right
    }
}

/// The end that reads the source.
pub struct Reading<'a>(pub &'a Spans);

impl Reading<'_> {
    /// Reads `source` to its end.
    ///
    /// # Errors
    /// `source` fails, or the other end is gone ([`Gone`]).
    pub fn read(self, source: &mut dyn Read) -> io::Result<()> {
        loop {
            let block = self.0.wait(|state| {
                let is_free = state.is_over || state.spans.len() < self.0.depth;
                is_free.then(|| (!state.is_over).then(|| state.blocks.pop().unwrap_or_default()))
            });
            let mut block = block.ok_or_else(|| io::Error::other(Gone))?;
            block.resize(self.0.size, 0);
            let filled = fill(source, &mut block)?;
            block.truncate(filled);
            self.0.change(|state| {
                let begin = state.read;
                state.read += filled as u64;
                state.is_ended = filled < self.0.size;
                if filled > 0 {
                    state.spans.push_back(Span { begin, bytes: Arc::new(block), work: Work::Free });
                }
            });
            if filled < self.0.size {
                return Ok(());
            }
        }
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        // What was read is still inflated: damage there is said before the source's own error.
        self.0.change(|state| state.is_over |= !state.is_ended);
    }
}

/// The end that inflates in order.
pub struct InOrder<'a> {
    spans: &'a Spans,
    bytes: Arc<Vec<u8>>,
    used: usize,
}

impl<'a> InOrder<'a> {
    /// Begins with the first span.
    pub fn new(spans: &'a Spans) -> Self {
        Self { spans, bytes: Arc::default(), used: 0 }
    }

    /// The next span; an empty one at the end.
    fn next(&mut self) -> io::Result<()> {
        let old = std::mem::take(&mut self.bytes);
        self.used = 0;
        let is_first = old.is_empty();
        self.spans.change(|state| {
            if !is_first && let Some(span) = state.spans.pop_front() {
                let Span { bytes, work, .. } = span;
                state.keep(work);
                drop(bytes);
                // A helper that is wrong may still read it.
                state.blocks.extend(Arc::into_inner(old));
            }
        });
        self.bytes = self.spans.wait(|state| {
            if let Some(span) = state.spans.front_mut() {
                if let Work::Free = span.work {
                    span.work = Work::Left;
                }
                return Some(Ok(Arc::clone(&span.bytes)));
            }
            let end = state.is_ended.then(Arc::default);
            end.map(Ok).or_else(|| state.is_over.then(|| Err(io::Error::other(Gone))))
        })?;
        Ok(())
    }
}

impl BufRead for InOrder<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.used >= self.bytes.len() {
            self.next()?;
        }
        Ok(self.bytes.get(self.used..).unwrap_or_default())
    }

    fn consume(&mut self, amount: usize) {
        self.used += amount;
    }
}

impl Read for InOrder<'_> {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        let got = self.fill_buf()?.read(target)?;
        self.consume(got);
        Ok(got)
    }
}

impl Drop for InOrder<'_> {
    fn drop(&mut self) {
        self.spans.change(|state| state.is_over = true);
    }
}

/// What the helpers have done, for the one in order.
pub struct Helped<'a>(pub &'a Spans);

impl Ahead for Helped<'_> {
    fn guess(&mut self, at: u64) -> Option<Guess> {
        self.0.wait(|state| {
            let span = state.spans.iter_mut().rev().find(|span| span.begin <= at / 8);
            let Some(span) = span else { return Some(None) };
            match std::mem::replace(&mut span.work, Work::Left) {
                Work::Done(start, guess) if start == at => {
                    state.right += 1;
                    return Some(Some(guess));
                }
                other => span.work = other,
            }
            match span.work {
                // Where it begins will be known soon; and where that is here, it is done soon.
                Work::Sought => None,
                Work::Found(start) if start == at => None,
                _ => Some(None),
            }
        })
    }

    fn take_back(&mut self, output: Output<Unknown>) {
        self.0.change(|state| state.outputs.push(output));
    }
}

/// Inflates spans before their turn, until there are no more. `spans` is for at most so many threads
/// at once as it was made for.
pub fn help(spans: &Spans) {
    let mut guesser = Guesser::default();
    while let Some(mut claim) = spans.claim() {
        let (bytes, output) = (Arc::clone(&claim.bytes), &mut claim.output);
        if output.symbols.is_empty() {
            *output = Output::of_the_middle(SYMBOLS * spans.size);
        }
        let (begin, mut start) = (8 * claim.begin, 0);
        let end = guesser.guess(&bytes, output, |bit| {
            start = begin + bit as u64;
            spans.change(|state| state.set(claim.begin, Work::Found(start)));
        });
        claim.done = end.map(|end| (start, begin + end as u64));
    }
}

/// A span that a helper has, until it lets go of it.
struct Claim<'a> {
    spans: &'a Spans,
    begin: u64,
    bytes: Arc<Vec<u8>>,
    output: Output<Unknown>,
    /// The first bit that was inflated, and the one after the last.
    done: Option<(u64, u64)>,
}

impl Drop for Claim<'_> {
    /// Also where the helper panicked: nobody waits for it then.
    fn drop(&mut self) {
        let output = std::mem::take(&mut self.output);
        self.spans.change(|state| {
            let work = match self.done {
                Some((start, end)) => Work::Done(start, Guess { output, end }),
                None => {
                    state.outputs.push(output);
                    Work::Left
                }
            };
            state.set(self.begin, work);
        });
    }
}

impl Spans {
    /// The next span that nobody has begun, as soon as there is one; `None` when no more come.
    fn claim(&self) -> Option<Claim<'_>> {
        self.wait(|state| {
            if state.is_over {
                return Some(None);
            }
            // The first is for the one in order.
            let is_free = |span: &&mut Span| matches!(span.work, Work::Free);
            let Some(span) = state.spans.iter_mut().skip(1).find(is_free) else {
                return state.is_ended.then_some(None);
            };
            let output = state.outputs.pop()?;
            span.work = Work::Sought;
            let bytes = Arc::clone(&span.bytes);
            Some(Some(Claim { spans: self, begin: span.begin, bytes, output, done: None }))
        })
    }
}

impl State {
    /// Says what is done with the span that begins at byte `begin`. One that is passed by is gone.
    fn set(&mut self, begin: u64, work: Work) {
        let old = match self.spans.iter_mut().find(|span| span.begin == begin) {
            Some(span) => std::mem::replace(&mut span.work, work),
            None => work,
        };
        self.keep(old);
    }

    /// Keeps the memory of a guess that is of no use.
    fn keep(&mut self, work: Work) {
        if let Work::Done(_, guess) = work {
            self.outputs.push(guess.output);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::thread;

    use super::*;
    use crate::format::gzip::Members;

    /// Lines of numbers in an order by chance, as gzip, and as they are.
    fn stream(lines: u64) -> (Vec<u8>, Vec<u8>) {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
        let mut plain = Vec::new();
        let mut seed = 1_u64;
        for line in 0..lines {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(line | 1);
            writeln!(plain, "{} {}", seed >> 40, line % 1000).unwrap();
        }
        encoder.write_all(&plain).unwrap();
        (encoder.finish().unwrap(), plain)
    }

    /// The stream inflated, and how many guesses were right.
    fn inflate(stream: &[u8], size: usize, helpers: usize) -> (io::Result<Vec<u8>>, u64) {
        let spans = &Spans::new(size, helpers);
        let (reading, in_order) = (Reading(spans), InOrder::new(spans));
        let result = thread::scope(|scope| {
            scope.spawn(move || reading.read(&mut &*stream));
            (0..helpers).for_each(|_| drop(scope.spawn(move || help(spans))));
            spans.wait(|state| have_helped(state, spans.depth).then_some(()));
            let mut members = Members::with_help(in_order, Helped(spans), 100_000);
            let mut all = Vec::new();
            while let Some((block, from, end)) = members.next_block(Vec::new())? {
                all.extend_from_slice(&block[from..end]);
            }
            Ok(all)
        });
        (result, spans.right())
    }

    /// Whether the helpers can do no more, as the one in order takes nothing over.
    fn have_helped(state: &State, depth: usize) -> bool {
        let mut works = state.spans.iter().skip(1).map(|span| &span.work);
        let is_free = works.clone().any(|work| matches!(work, Work::Free));
        let is_at_work = works.any(|work| matches!(work, Work::Sought | Work::Found(_)));
        let is_read = state.is_ended || state.spans.len() == depth;
        is_read && !is_at_work && (!is_free || state.outputs.is_empty())
    }

    #[test]
    fn what_helpers_inflate_is_taken_over() {
        let (stream, plain) = stream(200_000);
        for helpers in [0, 1, 3] {
            let (helped, right) = inflate(&stream, 64 << 10, helpers);
            assert!(helped.unwrap() == plain);
            let at_least = if helpers == 0 { 0 } else { helpers as u64 + 1 };
            assert!(right >= at_least, "{right} of {} by {helpers}", stream.len() >> 16);
        }
    }

    #[test]
    fn several_members_are_inflated_with_help() {
        let parts = [stream(40_000), stream(3), stream(60_000)];
        let streams = parts.each_ref().map(|part| &part.0[..]).concat();
        let plain = parts.each_ref().map(|part| &part.1[..]).concat();
        let (all, right) = inflate(&streams, 64 << 10, 2);
        assert!(all.unwrap() == plain);
        assert!(right > 0);
    }

    #[test]
    fn damage_is_found_with_help_as_without() {
        let (good, plain) = stream(60_000);
        for at in (1..8).map(|n| good.len() / 8 * n + n) {
            for bits in [0x01, 0x3c] {
                let mut stream = good.clone();
                stream[at] ^= bits;
                let error = inflate(&stream, 64 << 10, 2).0.unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::InvalidData, "byte {at}: {error}");
            }
            let error = inflate(&good[..at], 64 << 10, 2).0.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "cut at {at}: {error}");
        }
        assert!(inflate(&good, 64 << 10, 2).0.unwrap() == plain);
    }

    #[test]
    fn a_source_that_fails_is_no_end() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("broken"))
            }
        }
        let (stream, _) = stream(10_000);
        let spans = &Spans::new(16 << 10, 1);
        let (reading, in_order) = (Reading(spans), InOrder::new(spans));
        let source = &mut stream[..stream.len() / 2].chain(Broken);
        thread::scope(|scope| {
            let reading = scope.spawn(move || reading.read(source));
            scope.spawn(move || help(spans));
            let mut members = Members::with_help(in_order, Helped(spans), 100_000);
            let error = loop {
                match members.next_block(Vec::new()) {
                    Err(error) => break error,
                    Ok(block) => assert!(block.is_some()),
                }
            };
            assert!(error.get_ref().unwrap().is::<Gone>());
            assert_eq!(reading.join().unwrap().unwrap_err().to_string(), "broken");
        });
    }
}

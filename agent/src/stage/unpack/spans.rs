//! A compressed source cut into spans, which helpers inflate before their turn.
//!
//! One thread inflates the stream in order. Meanwhile whoever has nothing else to do helps: takes the next
//! span that nobody is at, and inflates what blocks it finds there, not knowing what they repeat. Whether
//! that began where a block begins shows when the one in order comes there: then what was inflated until
//! then is taken over, and otherwise thrown away. What comes out is the same with helpers and without.

mod help;

use std::collections::VecDeque;
use std::io::{self, BufRead, Read};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::pipe::{Gone, fill};
use crate::format::deflate::{Guess, Guesser, Middle};

pub use help::Helped;

/// How much is inflated before its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// Bytes of a span.
    pub span: usize,
    /// Room for what is inflated of one: symbols at first, and bytes behind them. What is more is left to
    /// the one in order.
    pub room: (usize, usize),
    /// Spans that are inflated at once at most.
    pub at_once: usize,
}

/// What is done with a span.
enum Work {
    /// Nothing.
    Free,
    /// A helper looks for a block's begin.
    Sought,
    /// A helper inflates it from this bit of the stream on.
    Found(u64),
    /// The same, and the one in order has come to that bit: it takes what is there at the next block.
    Wanted(u64),
    /// It is inflated from that bit on, but not to its end, and nobody is at it.
    Begun(u64, Guess),
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
    outputs: Vec<Middle>,
    guessers: Vec<Guesser>,
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
    /// All is still to be read.
    pub fn new(Sizes { span, room, at_once }: Sizes) -> Self {
        let mut state = State::default();
        // And one that is taken over meanwhile.
        let outputs = if at_once > 0 { at_once + 1 } else { 0 };
        state.outputs.resize_with(outputs, || Middle::new(room.0, room.1));
        Self { state: Mutex::new(state), changed: Condvar::new(), size: span, depth: 3 + at_once }
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

impl State {
    /// Keeps the memory of a guess that is of no use.
    fn keep(&mut self, work: Work) {
        if let Work::Begun(_, guess) | Work::Done(_, guess) = work {
            self.outputs.push(guess.output);
        }
    }
}

#[cfg(test)]
mod tests;

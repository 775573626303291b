//! What helpers do with spans, and what the thread in order gets of it.

use std::borrow::Borrow;
use std::sync::Arc;

use super::{Span, Spans, State, Work};
use crate::format::deflate::{Guess, Guesser, Output, Unknown};
use crate::format::gzip::Ahead;

/// Symbols that a helper makes of a span, for each of its bytes: more than programs and libraries
/// come to. What is more is left to the one in order.
const SYMBOLS: usize = 6;

/// What the helpers have done, for the one in order.
pub struct Helped(pub Arc<Spans>);

/// What a helper has inflated. Its memory goes back to the helpers with it.
pub struct Lent {
    output: Output<Unknown>,
    spans: Arc<Spans>,
}

impl Borrow<Output<Unknown>> for Lent {
    fn borrow(&self) -> &Output<Unknown> {
        &self.output
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let output = std::mem::take(&mut self.output);
        self.spans.change(|state| state.outputs.push(output));
    }
}

impl Ahead for Helped {
    type Output = Lent;

    fn guess(&mut self, at: u64) -> Option<Guess<Lent>> {
        let guess = self.0.wait(|state| {
            let span = state.spans.iter_mut().rev().find(|span| span.begin <= at / 8);
            let Some(span) = span else { return Some(None) };
            match std::mem::replace(&mut span.work, Work::Left) {
                Work::Done(start, guess) if start == at => {
                    state.right += 1;
                    Some(Some(guess))
                }
                // The block in work is all that is waited for.
                Work::Found(start) | Work::Wanted(start) if start == at => {
                    span.work = Work::Wanted(start);
                    None
                }
                // Who is still looking is too late.
                Work::Free | Work::Sought | Work::Left => Some(None),
                other => {
                    span.work = other;
                    Some(None)
                }
            }
        });
        let lend = |output| Lent { output, spans: Arc::clone(&self.0) };
        guess.map(|Guess { output, end }| Guess { output: lend(output), end })
    }
}

/// Inflates spans before their turn, until there are no more. `spans` is for at most so many threads
/// at once as it was made for.
pub fn help(spans: &Spans) {
    let mut guesser = Guesser::default();
    while let Some(mut claim) = spans.claim() {
        let begin = claim.begin;
        claim.inflate(&mut guesser, || spans.lock().goes_on(begin));
    }
}

/// A span that a helper has, until it lets go of it.
pub(super) struct Claim<'a> {
    spans: &'a Spans,
    pub(super) begin: u64,
    bytes: Arc<Vec<u8>>,
    output: Output<Unknown>,
    /// The first bit that was inflated, and the one after the last.
    pub(super) done: Option<(u64, u64)>,
}

impl Claim<'_> {
    /// Inflates what blocks it finds, as long as somebody wants them; `goes_on` is asked after each.
    pub(super) fn inflate(&mut self, guesser: &mut Guesser, goes_on: impl Fn() -> bool) {
        let Self { spans, begin, bytes, output, .. } = self;
        if output.symbols.is_empty() {
            *output = Output::of_the_middle(SYMBOLS * spans.size);
        }
        let (first, mut start) = (8 * *begin, 0);
        let found = |bit| {
            start = first + bit as u64;
            spans.change(|state| state.note_found(*begin, start))
        };
        let end = guesser.guess(bytes, output, found, goes_on);
        self.done = end.map(|end| (start, first + end as u64));
    }
}

impl Drop for Claim<'_> {
    /// Also where the helper panicked: nobody waits for it then.
    fn drop(&mut self) {
        let output = std::mem::take(&mut self.output);
        self.spans.change(|state| match (self.done, state.work(self.begin)) {
            (Some((start, end)), Some(work @ (Work::Found(_) | Work::Wanted(_)))) => {
                *work = Work::Done(start, Guess { output, end });
            }
            (_, work) => {
                if let Some(work) = work {
                    *work = Work::Left;
                }
                state.outputs.push(output);
            }
        });
    }
}

impl State {
    /// What is done with the span that begins at byte `begin`; `None` when it is passed by.
    pub(super) fn work(&mut self, begin: u64) -> Option<&mut Work> {
        self.spans.iter_mut().find(|span| span.begin == begin).map(|span| &mut span.work)
    }

    /// Notes that a helper has found bit `start` in it; returns whether it is to go on.
    fn note_found(&mut self, begin: u64, start: u64) -> bool {
        match self.work(begin) {
            Some(work @ (Work::Sought | Work::Found(_) | Work::Wanted(_))) => {
                *work = Work::Found(start);
                true
            }
            _ => false,
        }
    }

    /// Whether the helper that has it is to go on with the next block.
    pub(super) fn goes_on(&mut self, begin: u64) -> bool {
        matches!(self.work(begin), Some(Work::Found(_)))
    }
}

impl Spans {
    /// The next span that nobody has begun, as soon as there is one; `None` when no more come.
    pub(super) fn claim(&self) -> Option<Claim<'_>> {
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

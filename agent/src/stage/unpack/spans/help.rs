//! What helpers do with spans, and what the thread in order gets of it.

use std::borrow::{Borrow, BorrowMut};
use std::sync::Arc;

use super::{Span, Spans, State, Work};
use crate::format::deflate::{Guess, Guesser, Middle};
use crate::format::gzip::Ahead;

/// What the helpers have done, for the one in order.
pub struct Helped(pub Arc<Spans>);

/// What a helper has inflated. Its memory goes back to the helpers with it.
pub struct Lent {
    output: Middle,
    spans: Arc<Spans>,
}

impl Borrow<Middle> for Lent {
    fn borrow(&self) -> &Middle {
        &self.output
    }
}

impl BorrowMut<Middle> for Lent {
    fn borrow_mut(&mut self) -> &mut Middle {
        &mut self.output
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
                Work::Begun(start, guess) | Work::Done(start, guess) if start == at => {
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

/// A span that a helper has, until it lets go of it.
pub(super) struct Claim<'a> {
    spans: &'a Spans,
    pub(super) begin: u64,
    bytes: Arc<Vec<u8>>,
    output: Middle,
    guesser: Option<Guesser>,
    /// The first bit that was inflated, and the one after the last.
    pub(super) done: Option<(u64, u64)>,
    /// Whether more could be inflated.
    is_stopped: bool,
}

impl Claim<'_> {
    /// Inflates what blocks it finds, as long as somebody wants them; `goes_on` is asked after each.
    pub(super) fn inflate(&mut self, mut goes_on: impl FnMut() -> bool) {
        let Self { spans, begin, bytes, output, guesser, is_stopped, .. } = self;
        let guesser = guesser.get_or_insert_default();
        let first = 8 * *begin;
        let goes_on = || {
            *is_stopped = !spans.lock().goes_on(*begin) || !goes_on();
            !*is_stopped
        };
        self.done = match self.done.take() {
            None => {
                let mut start = 0;
                let found = |bit| {
                    start = first + bit as u64;
                    spans.change(|state| state.note_found(*begin, start))
                };
                let end = guesser.guess(bytes, output, found, goes_on);
                end.map(|end| (start, first + end as u64))
            }
            Some((start, end)) => {
                let from = usize::try_from(end - first).unwrap_or(usize::MAX);
                Some((start, first + guesser.go_on(bytes, from, output, goes_on) as u64))
            }
        };
    }
}

impl Drop for Claim<'_> {
    /// Also where the helper panicked: nobody waits for it then.
    fn drop(&mut self) {
        let output = std::mem::take(&mut self.output);
        let guesser = self.guesser.take();
        self.spans.change(|state| {
            state.guessers.extend(guesser);
            match (self.done, state.work(self.begin)) {
                (Some((start, end)), Some(work @ (Work::Found(_) | Work::Wanted(_)))) => {
                    let guess = Guess { output, end };
                    *work = match self.is_stopped {
                        true => Work::Begun(start, guess),
                        false => Work::Done(start, guess),
                    };
                }
                (_, work) => {
                    if let Some(work) = work {
                        *work = Work::Left;
                    }
                    state.outputs.push(output);
                }
            }
        });
    }
}

impl Span {
    /// Whether nobody is at it, and there is more to do.
    pub(super) fn is_free(&self) -> bool {
        matches!(self.work, Work::Free | Work::Begun(..))
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
    /// Inflates a span before its turn, as long as `goes_on` says, which is asked after each block. Returns
    /// whether there was one to be inflated.
    pub fn help(&self, goes_on: impl FnMut() -> bool) -> bool {
        self.claim().map(|mut claim| claim.inflate(goes_on)).is_some()
    }

    /// The next span that nobody is at, and that is not inflated.
    pub(super) fn claim(&self) -> Option<Claim<'_>> {
        let state = &mut *self.lock();
        if state.is_over {
            return None;
        }
        // The first is for the one in order.
        let span = state.spans.iter_mut().skip(1).find(|span| span.is_free())?;
        let (output, done) = match std::mem::replace(&mut span.work, Work::Free) {
            Work::Begun(start, guess) => {
                span.work = Work::Found(start);
                (guess.output, Some((start, guess.end)))
            }
            _ => {
                let output = state.outputs.pop()?;
                span.work = Work::Sought;
                (output, None)
            }
        };
        Some(Claim {
            spans: self,
            begin: span.begin,
            bytes: Arc::clone(&span.bytes),
            output,
            guesser: state.guessers.pop(),
            done,
            is_stopped: false,
        })
    }
}

//! A part of the data inflated before its turn, from where a block seems to begin.

use super::search::find_block;
use super::{Inflater, Output, Stop, Tables, Unknown};

/// What lies between two blocks' ends.
#[derive(Debug)]
pub struct Guess<T = Output<Unknown>> {
    /// What was inflated, behind the places of a window.
    pub output: T,
    /// The bit after it.
    pub end: u64,
}

/// What a thread that guesses uses again and again.
#[derive(Default)]
pub struct Guesser {
    inflater: Inflater,
    tables: Tables,
}

impl Guesser {
    /// Inflates into `output` the blocks that lie wholly in `input`, from the first that is found.
    /// `found` is told its first bit, as soon as that is known, and says whether to go on; so does
    /// `goes_on` after each block. Returns the bit after them; `None` if there is no whole block. The
    /// last block of the data is none of them.
    ///
    /// Whoever comes to the first bit as the end of a block knows that the guess is right.
    pub fn guess(
        &mut self,
        input: &[u8],
        output: &mut Output<Unknown>,
        mut found: impl FnMut(usize) -> bool,
        goes_on: impl Fn() -> bool,
    ) -> Option<usize> {
        let mut from = 0;
        loop {
            let start = find_block(input, from, &mut self.tables)?;
            if !found(start) {
                return None;
            }
            match self.inflate(input, start, output, &goes_on) {
                Ok(end) => return end,
                // It was no block.
                Err(()) => from = start + 1,
            }
        }
    }

    /// As [`guess`](Self::guess), from bit `start`. An error where the first block is damaged.
    fn inflate(
        &mut self,
        input: &[u8],
        start: usize,
        output: &mut Output<Unknown>,
        goes_on: &impl Fn() -> bool,
    ) -> Result<Option<usize>, ()> {
        self.inflater.begin();
        output.begin_again();
        let (mut bit, mut whole) = (start, None);
        loop {
            match self.inflater.run(input, &mut bit, output) {
                Ok(Stop::Block) => {
                    whole = Some((bit, output.end));
                    if !goes_on() {
                        break;
                    }
                }
                Ok(Stop::Input | Stop::Room | Stop::End) => break,
                Err(_) if whole.is_none() => return Err(()),
                // Damaged further on: whose turn it is will say so.
                Err(_) => break,
            }
        }
        output.end = whole.map_or(0, |(_, end)| end);
        Ok(whole.map(|(bit, _)| bit))
    }
}

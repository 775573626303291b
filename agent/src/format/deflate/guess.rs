//! A part of the data inflated before its turn, from where a block seems to begin.

use super::search::find_block;
use super::{Damaged, Inflater, Middle, Stop, Tables};

/// Bytes that are searched for a block's begin: more than a block of gzip has.
const SEARCHED: usize = 128 << 10;

/// What lies between two blocks' ends.
#[derive(Debug)]
pub struct Guess<T = Middle> {
    /// What was inflated.
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
    /// Inflates into `output` the blocks that lie wholly in `input`, from the first that is found: it must
    /// begin soon. `found` is told its first bit, as soon as that is known, and says whether to go on; so does
    /// `goes_on` after each block. Returns the bit after them; `None` if there is no whole block. The
    /// last block of the data is none of them.
    ///
    /// Whoever comes to the first bit as the end of a block knows that the guess is right.
    pub fn guess(
        &mut self,
        input: &[u8],
        output: &mut Middle,
        mut found: impl FnMut(usize) -> bool,
        mut goes_on: impl FnMut() -> bool,
    ) -> Option<usize> {
        let searched = input.get(..SEARCHED).unwrap_or(input);
        let mut from = 0;
        loop {
            let start = find_block(searched, from, &mut self.tables)?;
            if !found(start) {
                return None;
            }
            output.begin_again();
            match self.inflate(input, start, output, &mut goes_on) {
                (None, Some(Damaged)) => from = start + 1,
                (end, _) => return end,
            }
        }
    }

    /// Goes on with a guess that ended at bit `from`, though more blocks were there. Returns the bit
    /// after them.
    pub fn go_on(
        &mut self,
        input: &[u8],
        from: usize,
        output: &mut Middle,
        mut goes_on: impl FnMut() -> bool,
    ) -> usize {
        // Damaged further on: whose turn it is will say so.
        let (end, _) = self.inflate(input, from, output, &mut goes_on);
        end.unwrap_or(from)
    }

    /// As [`go_on`](Self::go_on): the bit after the last whole block, and whether damage came next.
    fn inflate(
        &mut self,
        input: &[u8],
        from: usize,
        output: &mut Middle,
        goes_on: &mut impl FnMut() -> bool,
    ) -> (Option<usize>, Option<Damaged>) {
        self.inflater.begin();
        let (mut bit, mut whole, mut size) = (from, None, output.size());
        let damaged = loop {
            match output.run(&mut self.inflater, input, &mut bit) {
                Ok(Stop::Block) => {
                    (whole, size) = (Some(bit), output.size());
                    if !goes_on() {
                        break None;
                    }
                    output.look_back();
                }
                Ok(Stop::Input | Stop::Room | Stop::End) => break None,
                Err(damaged) => break Some(damaged),
            }
        };
        output.truncate(size);
        (whole, damaged)
    }
}

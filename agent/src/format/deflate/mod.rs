//! DEFLATE data, the inside of a gzip member. Source: RFC 1951.
//!
//! Of our own for one reason: it starts at any block, before the 32 KiB are known that the block
//! may repeat from. So several threads inflate one member. What would have been
//! copied from before the start is kept as a [`u16`] that says from where, and put in
//! later ([`Middle`]). And it is a little faster than zlib-rs.

mod bits;
mod codes;
mod guess;
mod header;
mod input;
mod middle;
mod search;
mod table;

use header::Header;
use table::Tables;

pub use guess::{Guess, Guesser};
pub use input::{BadData, Input};
pub use middle::Middle;

/// Farthest that a block repeats from, in symbols.
pub const WINDOW: usize = 32 << 10;

/// Room that [`Inflater::run`] leaves unused at the end of an output: three literals, and what a
/// repetition may write to behind them.
pub const ROOM: usize = 3 + codes::REACH;

/// Bytes that [`Inflater::run`] leaves unread at the end of an input: a block's header, which is
/// read in one go, has 300 at most.
pub const MARGIN: usize = 320;

/// Symbols that are copied at a time: one register.
const PIECE: usize = 8;

/// What output is made of: bytes, or bytes and the places of bytes that are not known yet.
pub trait Symbol: Copy + Default + From<u8> {}

impl Symbol for u8 {}

/// Bits that no compressor writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Damaged;

impl From<table::BadCode> for Damaged {
    fn from(_: table::BadCode) -> Self {
        Self
    }
}

/// Why [`Inflater::run`] came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// It needs more input than there is, or the margin behind it.
    Input,
    /// It needs more room than there is.
    Room,
    /// A block has ended, and another follows.
    Block,
    /// The last block has ended.
    End,
}

/// What is inflated, behind what it may repeat.
#[derive(Debug, Default)]
pub struct Output<T> {
    /// All of it, and what is free.
    pub symbols: Vec<T>,
    /// Where it may repeat from.
    pub oldest: usize,
    /// Where the free part begins.
    pub end: usize,
}

impl<T: Symbol> Output<T> {
    /// Room for `size` symbols behind a window.
    pub fn new(size: usize) -> Self {
        Self { symbols: vec![T::default(); WINDOW + size + ROOM], oldest: WINDOW, end: WINDOW }
    }
}

/// Where in the data the next bit is.
#[derive(Debug, Clone, Copy)]
enum At {
    /// Before a block.
    Header,
    /// In a block as it is, of which so many bytes are left.
    Stored(usize),
    /// In a block of codes.
    Codes,
}

/// Inflates the data of one member after the other.
pub struct Inflater {
    tables: Tables,
    at: At,
    /// Whether the block in work, or ended last, is the last one.
    is_last: bool,
}

impl Default for Inflater {
    fn default() -> Self {
        Self { tables: Tables::default(), at: At::Header, is_last: false }
    }
}

impl Inflater {
    /// Ready for a block.
    pub fn begin(&mut self) {
        (self.at, self.is_last) = (At::Header, false);
    }

    /// Inflates from bit `bit` of `input`, which goes on with it, to the end of `output`.
    ///
    /// # Errors
    /// Bits that no compressor writes; `bit` is then behind them.
    pub fn run<T: Symbol>(
        &mut self,
        input: &[u8],
        bit: &mut usize,
        output: &mut Output<T>,
    ) -> Result<Stop, Damaged> {
        if let At::Header = self.at {
            if *bit / 8 + MARGIN > input.len() {
                return Ok(Stop::Input);
            }
            let (is_last, header) = header::read(input, bit, &mut self.tables)?;
            self.is_last = is_last;
            self.at = match header {
                Header::Stored(length) => At::Stored(length),
                Header::Codes => At::Codes,
            };
        }
        let (stop, rest) = match self.at {
            At::Stored(left) => {
                let copied = copy_stored(left, input, bit, output);
                let stop = if output.end < output.symbols.len() { Stop::Input } else { Stop::Room };
                (if copied == left { Stop::Block } else { stop }, At::Stored(left - copied))
            }
            _ => (codes::run(&self.tables, input, bit, output)?, At::Codes),
        };
        if stop != Stop::Block {
            self.at = rest;
            return Ok(stop);
        }
        self.at = At::Header;
        Ok(if self.is_last { Stop::End } else { Stop::Block })
    }
}

/// Copies of a block as it is what there is of it, and room for; returns how many bytes.
fn copy_stored<T: Symbol>(
    left: usize,
    input: &[u8],
    bit: &mut usize,
    output: &mut Output<T>,
) -> usize {
    let input = input.get(*bit / 8..).unwrap_or_default();
    let target = output.symbols.get_mut(output.end..).unwrap_or_default();
    let count = left.min(input.len()).min(target.len());
    for (symbol, byte) in target.iter_mut().zip(input).take(count) {
        *symbol = T::from(*byte);
    }
    *bit += 8 * count;
    output.end += count;
    count
}

#[cfg(test)]
mod tests;

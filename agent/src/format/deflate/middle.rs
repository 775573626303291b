//! Data inflated from their middle on, before it is known what came before.

use std::ops::Range;

use super::{Damaged, Inflater, Output, Stop, Symbol, WINDOW};

/// A byte, or, with the highest bit set, the byte at a place in the window of before the start.
pub(super) type Unknown = u16;
impl Symbol for Unknown {}

/// Marks an [`Unknown`] that is a place.
pub(super) const PLACE: Unknown = 1 << 15;

/// Data from a block in the middle on. What repeats from before the start says from where. As soon as
/// nothing does in a whole window, nothing behind it can: bytes follow, for half the memory, and
/// with nothing to be put in later.
#[derive(Debug, Default)]
pub struct Middle {
    unknown: Output<Unknown>,
    known: Output<u8>,
    /// Whether what comes next is known.
    is_known: bool,
    bytes: Bytes,
}

impl Middle {
    /// Room for `unknown` symbols and as many `known` bytes behind them.
    pub fn new(unknown: usize, known: usize) -> Self {
        let (mut unknown, known) = (Output::new(unknown), Output::new(known));
        for (symbol, place) in unknown.symbols.iter_mut().zip(PLACE..=Unknown::MAX) {
            *symbol = place;
        }
        let mut middle = Self { unknown, known, is_known: false, bytes: Bytes::new() };
        middle.begin_again();
        middle
    }

    /// As new: what repeats from before the start finds its places still there.
    pub(super) fn begin_again(&mut self) {
        (self.unknown.oldest, self.unknown.end) = (0, WINDOW);
        (self.known.oldest, self.known.end) = (0, WINDOW);
        self.is_known = false;
    }

    /// Inflates from bit `bit` of `input`. See [`Inflater::run`].
    pub(super) fn run(
        &mut self,
        inflater: &mut Inflater,
        input: &[u8],
        bit: &mut usize,
    ) -> Result<Stop, Damaged> {
        if self.is_known {
            inflater.run(input, bit, &mut self.known)
        } else {
            inflater.run(input, bit, &mut self.unknown)
        }
    }

    /// Goes on with bytes, if all that may be repeated from now on is known.
    pub(super) fn look_back(&mut self) {
        let end = self.unknown.end;
        let Some(window) = self.unknown.symbols.get(end - WINDOW..end) else { return };
        if !self.is_known && window.iter().fold(0, |all, symbol| all | symbol) < PLACE {
            for (byte, symbol) in self.known.symbols.iter_mut().zip(window) {
                [*byte, _] = symbol.to_le_bytes();
            }
            self.is_known = true;
        }
    }

    /// How many bytes it comes to.
    pub fn size(&self) -> usize {
        self.unknown.end + self.known.end - 2 * WINDOW
    }

    /// Forgets what is behind the first `size` bytes.
    pub(super) fn truncate(&mut self, size: usize) {
        let unknown = size.min(self.unknown.end - WINDOW);
        (self.unknown.end, self.known.end) = (WINDOW + unknown, WINDOW + size - unknown);
    }

    /// Says that before the start came `window`.
    pub fn comes_behind(&mut self, window: &[u8; WINDOW]) {
        if let Some((_, places)) = self.bytes.0.split_at_mut_checked(usize::from(PLACE)) {
            places.copy_from_slice(window);
        }
    }

    /// Writes the bytes of `part` into as long a `target`. It must be known what came before.
    pub fn put(&self, part: Range<usize>, target: &mut [u8]) {
        let unknown = self.unknown.symbols.get(WINDOW..self.unknown.end).unwrap_or_default();
        let known = self.known.symbols.get(WINDOW..self.known.end).unwrap_or_default();
        let until = |at: usize| at.min(unknown.len());
        let behind = |at: usize| at.saturating_sub(unknown.len());
        let (resolved, copied) = target.split_at_mut(until(part.end) - until(part.start));
        let symbols = unknown.get(until(part.start)..until(part.end)).unwrap_or_default();
        self.bytes.resolve(symbols, resolved);
        if let Some(known) = known.get(behind(part.start)..behind(part.end)) {
            copied.copy_from_slice(known);
        }
    }
}

/// The byte for each [`Unknown`].
#[derive(Debug, Default)]
struct Bytes(Vec<u8>);

impl Bytes {
    fn new() -> Self {
        let mut bytes = vec![0; 1 << Unknown::BITS];
        for (known, byte) in bytes.iter_mut().zip(0..=u8::MAX) {
            *known = byte;
        }
        Self(bytes)
    }

    /// Makes as many `symbols` to bytes as fit into `target`.
    fn resolve(&self, symbols: &[Unknown], target: &mut [u8]) {
        /// Symbols that are looked at together: often all of them are known.
        const GROUP: usize = 32;
        let Some(bytes) = self.0.first_chunk::<{ 1 << Unknown::BITS }>() else { return };
        let byte = |symbol: &Unknown| bytes.get(usize::from(*symbol)).copied().unwrap_or_default();
        let (groups, last) = symbols.as_chunks::<GROUP>();
        let (targets, last_target) = target.as_chunks_mut::<GROUP>();
        for (target, symbols) in targets.iter_mut().zip(groups) {
            if symbols.iter().fold(0, |all, symbol| all | symbol) < PLACE {
                for (byte, symbol) in target.iter_mut().zip(symbols) {
                    [*byte, _] = symbol.to_le_bytes();
                }
            } else {
                for (target, symbol) in target.iter_mut().zip(symbols) {
                    *target = byte(symbol);
                }
            }
        }
        for (target, symbol) in last_target.iter_mut().zip(last) {
            *target = byte(symbol);
        }
    }
}

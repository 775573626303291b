//! A source of bytes that come in pieces, inflated across their ends.

use std::io::{self, BufRead, Read};

use super::{Inflater, MARGIN, Output, Stop, Symbol};

/// Bytes of the next piece that are put behind the rest of one: what the rest needs, and as many
/// again, so that the next piece is gone on with.
const LENT: usize = 2 * MARGIN;

/// A source that is inflated, and read, from any bit on.
pub struct Input<R> {
    source: R,
    /// Bytes that were taken from the source and are not used up.
    seam: Vec<u8>,
    /// The next bit, counted from the source's first.
    at: u64,
}

/// Bits that no compressor writes: the error's inner one.
#[derive(Debug, thiserror::Error)]
#[error("damaged DEFLATE data")]
pub struct BadData;

impl<R: BufRead> Input<R> {
    /// Starts with the first bit of `source`.
    pub fn new(source: R) -> Self {
        Self { source, seam: Vec::new(), at: 0 }
    }

    /// The next bit, counted from the source's first.
    pub fn at(&self) -> u64 {
        self.at
    }

    /// Inflates until `output` is full or a block ends.
    ///
    /// # Errors
    /// The source fails or ends ([`io::ErrorKind::UnexpectedEof`]), or its data are damaged
    /// ([`BadData`]).
    pub fn inflate<T: Symbol>(
        &mut self,
        inflater: &mut Inflater,
        output: &mut Output<T>,
    ) -> io::Result<Stop> {
        loop {
            let stop = if self.seam.is_empty() {
                self.inflate_piece(inflater, output)?
            } else {
                self.inflate_seam(inflater, output)?
            };
            if stop != Stop::Input {
                return Ok(stop);
            }
        }
    }

    /// Inflates what the source lends; what is left of it becomes the seam.
    fn inflate_piece<T: Symbol>(
        &mut self,
        inflater: &mut Inflater,
        output: &mut Output<T>,
    ) -> io::Result<Stop> {
        let piece = fill(&mut self.source)?;
        if piece.is_empty() {
            return Err(cut());
        }
        let from = first_bit(self.at);
        let mut bit = from;
        let stop = inflater.run(piece, &mut bit, output).map_err(|_| bad())?;
        self.at += (bit - from) as u64;
        let mut used = bit / 8;
        if stop == Stop::Input {
            self.seam.extend_from_slice(piece.get(used..).unwrap_or_default());
            used = piece.len();
        }
        self.source.consume(used);
        Ok(stop)
    }

    /// Inflates the seam with the begin of the next piece behind it. Behind the last piece come
    /// zeros, which must not be reached.
    fn inflate_seam<T: Symbol>(
        &mut self,
        inflater: &mut Inflater,
        output: &mut Output<T>,
    ) -> io::Result<Stop> {
        let own = self.seam.len();
        let piece = fill(&mut self.source)?;
        let lent = piece.len().min(LENT);
        self.seam.extend_from_slice(piece.get(..lent).unwrap_or_default());
        if lent == 0 {
            self.seam.resize(own + MARGIN, 0);
        }
        let from = first_bit(self.at);
        let mut bit = from;
        let ran = inflater.run(&self.seam, &mut bit, output);
        if lent == 0 && (bit > 8 * own || ran == Ok(Stop::Input)) {
            return Err(cut());
        }
        let stop = ran.map_err(|_| bad())?;
        self.at += (bit - from) as u64;
        let used = bit / 8;
        if used >= own {
            self.source.consume(used - own);
            self.seam.clear();
            return Ok(stop);
        }
        // Only of pieces that are shorter than the margin.
        if stop == Stop::Input {
            self.source.consume(lent);
        } else {
            self.seam.truncate(own);
        }
        self.seam.drain(..used);
        Ok(stop)
    }

    /// Goes on to the next whole byte.
    pub fn align(&mut self) {
        if !self.at.is_multiple_of(8) {
            self.consume(1);
            self.at -= self.at % 8;
        }
    }

    /// Goes on to bit `to`, counted as [`at`](Self::at) is.
    ///
    /// # Errors
    /// The source fails or ends before it.
    pub fn skip_to(&mut self, to: u64) -> io::Result<()> {
        while self.at / 8 < to / 8 {
            let there = self.fill_buf()?.len();
            if there == 0 {
                return Err(cut());
            }
            let count = usize::try_from(to / 8 - self.at / 8).map_or(there, |left| left.min(there));
            self.consume(count);
        }
        self.at = to;
        Ok(())
    }
}

/// Whole bytes, where the next bit is the first of one.
impl<R: BufRead> BufRead for Input<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.seam.is_empty() { fill(&mut self.source) } else { Ok(&self.seam) }
    }

    fn consume(&mut self, amount: usize) {
        self.at += 8 * amount as u64;
        if self.seam.is_empty() {
            self.source.consume(amount);
        } else {
            self.seam.drain(..amount.min(self.seam.len()));
        }
    }
}

impl<R: BufRead> Read for Input<R> {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        let got = self.fill_buf()?.read(target)?;
        self.consume(got);
        Ok(got)
    }
}

/// What the source has in memory; empty at its end.
fn fill(source: &mut impl BufRead) -> io::Result<&[u8]> {
    // Asked again for the borrow: an interrupted call has lent nothing.
    while let Err(error) = source.fill_buf() {
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
    source.fill_buf()
}

fn first_bit(at: u64) -> usize {
    (at % 8) as usize
}

fn bad() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, BadData)
}

fn cut() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the gzip stream ends in the middle")
}

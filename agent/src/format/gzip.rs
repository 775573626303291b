//! gzip streams of one member or several. Source: RFC 1952.

use std::io::{self, BufRead, Read};

use crc32fast::Hasher;

use super::deflate::{BadData, Bytes, Guess, Inflater, Input, Output, Stop, Unknown, WINDOW};

/// First bytes of a member, and the one method of compression there is.
const MAGIC: [u8; 3] = [0x1f, 0x8b, 8];
/// Bytes of the modification time, the extra flags and the operating system.
const UNUSED: usize = 6;
/// Bits of the flags: a CRC of the header, an extra field, a name, a comment, none.
const FHCRC: u8 = 0x02;
const FEXTRA: u8 = 0x04;
const FNAME: u8 = 0x08;
const FCOMMENT: u8 = 0x10;
const RESERVED: u8 = 0xe0;

/// Why a stream is none of gzip's.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say what the fields are")]
pub enum Error {
    /// What follows a member is nothing, or the next one.
    #[error("corrupt gzip stream: {found:#04x} where a member begins with 1f 8b 08")]
    Magic { found: u8 },
    /// Bits that mean nothing yet.
    #[error("corrupt gzip stream: the reserved flags {0:#04x} are set")]
    Flags(u8),
    /// The header's own checksum.
    #[error("corrupt gzip stream: the header does not have the CRC it promises")]
    HeaderCrc,
    /// Bits that no compressor writes.
    #[error("corrupt gzip stream: {0}")]
    Deflate(BadData),
    /// Other bytes than were compressed.
    #[error("corrupt gzip stream: CRC {found:08x}, where {promised:08x} is promised")]
    Crc { promised: u32, found: u32 },
    /// More or fewer bytes, modulo 4 GiB.
    #[error("corrupt gzip stream: {found} bytes modulo 4 GiB, where {promised} are promised")]
    Length { promised: u32, found: u32 },
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        Self::new(io::ErrorKind::InvalidData, error)
    }
}

/// Bytes that are uncompressed at a time, where nobody says otherwise.
const BLOCK: usize = 64 << 10;

/// Somebody who inflates parts of a stream before their turn.
pub trait Ahead {
    /// What was inflated from bit `at` of the stream on, where a block begins.
    fn guess(&mut self, at: u64) -> Option<Guess>;

    /// Takes back the memory of a guess.
    fn take_back(&mut self, output: Output<Unknown>);
}

/// Nobody does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Alone;

impl Ahead for Alone {
    fn guess(&mut self, _: u64) -> Option<Guess> {
        None
    }

    fn take_back(&mut self, _: Output<Unknown>) {}
}

/// Where in the stream the next byte is.
enum At {
    /// Before the first member, which must be there.
    First,
    /// Before another member, or at the end of the stream.
    Next,
    /// Inside a member.
    Data,
    /// Inside a part of a member that was inflated before its turn.
    Guessed(Guessed),
}

/// A guess that turned out right.
struct Guessed {
    guess: Guess,
    /// Its next symbol.
    next: usize,
    /// What its symbols are.
    bytes: Bytes,
}

/// The members of a stream, uncompressed one after the other. It ends only where each member's
/// CRC and length agree, and nothing else follows.
pub struct Members<R, A = Alone> {
    input: Input<R>,
    ahead: A,
    at: At,
    inflater: Inflater,
    /// Uncompressed bytes behind a window of those before them.
    output: Output<u8>,
    /// Where those begin that nobody has got.
    given: usize,
    /// Where those begin that are not in the sum.
    summed: usize,
    sum: Hasher,
    /// Bytes of the member that are in the sum, modulo 4 GiB.
    length: u32,
}

impl<R: BufRead> Members<R> {
    /// Reads the members of `source` to its end.
    pub fn new(source: R) -> Self {
        Self::with_help(source, Alone, BLOCK)
    }
}

impl<R: BufRead, A: Ahead> Members<R, A> {
    /// As [`Members::new`], with the help of `ahead`, and `size` bytes uncompressed at a time.
    pub fn with_help(source: R, ahead: A, size: usize) -> Self {
        Self {
            input: Input::new(source),
            ahead,
            at: At::First,
            inflater: Inflater::default(),
            output: Output::new(size),
            given: WINDOW,
            summed: WINDOW,
            sum: Hasher::new(),
            length: 0,
        }
    }

    /// Uncompresses until a block is full, or the stream ends. The block is exchanged for `empty`,
    /// of any size: all of it, and where in it the bytes are. `None` at the stream's end.
    ///
    /// # Errors
    /// The source fails, or is none of gzip's.
    pub fn next_block(&mut self, empty: Vec<u8>) -> io::Result<Option<(Vec<u8>, usize, usize)>> {
        self.advance()?;
        let (from, end) = (self.given, self.output.end);
        if from == end {
            return Ok(None);
        }
        let size = self.output.symbols.len();
        let block = std::mem::replace(&mut self.output.symbols, empty);
        self.output.symbols.resize(size, 0);
        if let (Some(new), Some(old)) =
            (self.output.symbols.get_mut(..WINDOW), block.get(end - WINDOW..end))
        {
            new.copy_from_slice(old);
        }
        self.window_moved();
        Ok(Some((block, from, end)))
    }

    /// What was at the end is in the window.
    fn window_moved(&mut self) {
        let by = self.output.end - WINDOW;
        self.output.oldest = self.output.oldest.saturating_sub(by);
        (self.output.end, self.given, self.summed) = (WINDOW, WINDOW, WINDOW);
    }

    /// Uncompresses until the output is full, or the stream ends.
    fn advance(&mut self) -> io::Result<()> {
        loop {
            match &mut self.at {
                At::Next if self.input.fill_buf()?.is_empty() => return Ok(()),
                At::First | At::Next => self.begin()?,
                At::Data => match self.input.inflate(&mut self.inflater, &mut self.output) {
                    Ok(Stop::End) => self.end()?,
                    Ok(Stop::Block) => self.look_ahead(),
                    Ok(Stop::Input | Stop::Room) => break,
                    Err(error) => return Err(explain(error)),
                },
                At::Guessed(guessed) => {
                    if !put(guessed, &mut self.output) {
                        break;
                    }
                    self.end_of_guess()?;
                }
            }
        }
        self.sum_up();
        Ok(())
    }

    /// Reads a header, and is ready for the data.
    fn begin(&mut self) -> io::Result<()> {
        let mut header = Header { source: &mut self.input, sum: Hasher::new() };
        header.read()?;
        self.inflater.begin();
        self.output.oldest = self.output.end;
        self.sum.reset();
        self.length = 0;
        self.at = At::Data;
        Ok(())
    }

    /// Between two blocks: what comes may be there.
    fn look_ahead(&mut self) {
        let end = self.output.end;
        let window = (self.output.oldest + WINDOW <= end)
            .then(|| self.output.symbols.get(end - WINDOW..end)?.first_chunk());
        let Some(window) = window.flatten() else { return };
        if let Some(guess) = self.ahead.guess(self.input.at()) {
            self.at = At::Guessed(Guessed { guess, next: WINDOW, bytes: Bytes::behind(window) });
        }
    }

    fn end_of_guess(&mut self) -> io::Result<()> {
        if let At::Guessed(guessed) = std::mem::replace(&mut self.at, At::Data) {
            self.input.skip_to(guessed.guess.end)?;
            self.ahead.take_back(guessed.guess.output);
            self.inflater.begin();
            self.look_ahead();
        }
        Ok(())
    }

    fn sum_up(&mut self) {
        let bytes = self.output.symbols.get(self.summed..self.output.end).unwrap_or_default();
        self.sum.update(bytes);
        self.length = self.length.wrapping_add(modulo(bytes.len()));
        self.summed = self.output.end;
    }

    /// Compares the member's CRC and length with what came.
    fn end(&mut self) -> io::Result<()> {
        self.sum_up();
        self.input.align();
        let [mut promised_crc, mut promised_length] = [[0; 4]; 2];
        self.input.read_exact(&mut promised_crc)?;
        self.input.read_exact(&mut promised_length)?;
        let (promised, found) = (u32::from_le_bytes(promised_crc), self.sum.clone().finalize());
        if promised != found {
            return Err(Error::Crc { promised, found }.into());
        }
        let (promised, found) = (u32::from_le_bytes(promised_length), self.length);
        if promised != found {
            return Err(Error::Length { promised, found }.into());
        }
        self.at = At::Next;
        Ok(())
    }
}

/// Puts as much of a guess into `output` as there is room for; whether that is all of it.
fn put(guessed: &mut Guessed, output: &mut Output<u8>) -> bool {
    let Guessed { guess, next, bytes } = guessed;
    let symbols = guess.output.symbols.get(*next..guess.output.end).unwrap_or_default();
    let target = output.symbols.get_mut(output.end..).unwrap_or_default();
    let count = symbols.len().min(target.len());
    bytes.resolve(symbols, target);
    *next += count;
    output.end += count;
    count == symbols.len()
}

/// An error of the data becomes one of the stream.
fn explain(error: io::Error) -> io::Error {
    match error.downcast::<BadData>() {
        Ok(bad) => Error::Deflate(bad).into(),
        Err(error) => error,
    }
}

impl<R: BufRead> Read for Members<R> {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        if self.given == self.output.end {
            let end = self.output.end;
            self.output.symbols.copy_within(end - WINDOW..end, 0);
            self.window_moved();
            self.advance()?;
        }
        let fresh = self.output.symbols.get(self.given..self.output.end).unwrap_or_default();
        let count = { fresh }.read(target)?;
        self.given += count;
        Ok(count)
    }
}

/// A member's header as it is read, and the sum of its bytes.
struct Header<'a, R> {
    source: &'a mut R,
    sum: Hasher,
}

impl<R: BufRead> Header<'_, R> {
    fn read(&mut self) -> io::Result<()> {
        for expected in MAGIC {
            let [found] = self.take()?;
            if found != expected {
                return Err(Error::Magic { found }.into());
            }
        }
        let [flags] = self.take()?;
        if flags & RESERVED != 0 {
            return Err(Error::Flags(flags & RESERVED).into());
        }
        self.take::<UNUSED>()?;
        if flags & FEXTRA != 0 {
            for _ in 0..u16::from_le_bytes(self.take()?) {
                self.take::<1>()?;
            }
        }
        for text in [FNAME, FCOMMENT] {
            while flags & text != 0 && self.take()? != [0] {}
        }
        if flags & FHCRC != 0 {
            let [low, high, ..] = self.sum.clone().finalize().to_le_bytes();
            if self.take()? != [low, high] {
                return Err(Error::HeaderCrc.into());
            }
        }
        Ok(())
    }

    fn take<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.source.read_exact(&mut bytes)?;
        self.sum.update(&bytes);
        Ok(bytes)
    }
}

fn modulo(length: usize) -> u32 {
    let [a, b, c, d, ..] = length.to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

#[cfg(test)]
mod tests;

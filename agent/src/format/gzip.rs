//! gzip streams of one member or several. Source: RFC 1952.

mod ahead;

use std::borrow::{Borrow as _, BorrowMut as _};
use std::collections::VecDeque;
use std::io::{self, BufRead, Read};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

use crc32fast::Hasher;

use super::deflate::{BadData, Guess, Inflater, Input, Output, Stop, WINDOW};

pub use ahead::{Ahead, Alone, Next, Part};

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
    /// Whoever had a [`Part`] did not make it to bytes.
    #[error("a part of the gzip stream was given up")]
    GivenUp,
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

/// Where in the stream the next byte is.
enum At<T> {
    /// Before the first member, which must be there.
    First,
    /// Before another member, or at the end of the stream.
    Next,
    /// Inside a member.
    Data,
    /// Inside a guess, at that byte of it.
    Guessed(Arc<Guess<T>>, usize),
}

/// The members of a stream, uncompressed one after the other. It ends only where each member's
/// CRC and length agree, and nothing else follows.
pub struct Members<R, A: Ahead = Alone> {
    input: Input<R>,
    ahead: A,
    at: At<A::Output>,
    inflater: Inflater,
    /// Uncompressed bytes behind a window of those before them.
    output: Output<u8>,
    /// Where those begin that nobody has got.
    given: usize,
    /// Where those begin that are not in the sum.
    summed: usize,
    /// That of what came behind the last part in the member.
    sum: Hasher,
    /// Those of what came before: ours, and that of the part behind it.
    sums: VecDeque<(Hasher, Receiver<Hasher>)>,
    /// That of the member's beginning, up to them.
    whole: Hasher,
    /// Bytes of the member that are in the sums, modulo 4 GiB.
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
            sums: VecDeque::new(),
            whole: Hasher::new(),
            length: 0,
        }
    }

    /// What comes next: a block, which is exchanged for one that `empty` makes, of any size; or a part of
    /// what `ahead` has, as large as a block at most. `None` at the stream's end.
    ///
    /// # Errors
    /// The source fails, or is none of gzip's.
    pub fn next(&mut self, empty: impl FnOnce() -> Vec<u8>) -> io::Result<Option<Next<A::Output>>> {
        loop {
            self.advance()?;
            if self.given < self.output.end {
                return Ok(Some(self.block(empty())));
            }
            match self.part() {
                Some(part) => return Ok(Some(Next::Part(part))),
                None if matches!(self.at, At::Guessed(..)) => self.end_of_guess()?,
                None => return Ok(None),
            }
        }
    }

    fn block(&mut self, empty: Vec<u8>) -> Next<A::Output> {
        let (from, end) = (self.given, self.output.end);
        let size = self.output.symbols.len();
        let block = std::mem::replace(&mut self.output.symbols, empty);
        self.output.symbols.resize(size, 0);
        if let (Some(new), Some(old)) =
            (self.output.symbols.get_mut(..WINDOW), block.get(end - WINDOW..end))
        {
            new.copy_from_slice(old);
        }
        self.window_moved();
        Next::Block(block, from, end)
    }

    /// The next part of a guess; `None` at its end.
    fn part(&mut self) -> Option<Part<A::Output>> {
        let At::Guessed(guess, next) = &mut self.at else { return None };
        let room = self.output.symbols.len() - WINDOW;
        let end = guess.output.borrow().size().min(*next + room);
        let range = std::mem::replace(next, end)..end;
        if range.is_empty() {
            return None;
        }
        self.length = self.length.wrapping_add(modulo(range.len()));
        let (sum, theirs) = channel();
        let part = Part { guess: Arc::clone(guess), range, sum };
        self.sums.push_back((std::mem::take(&mut self.sum), theirs));
        self.add_up(|sum| sum.try_recv().ok());
        Some(part)
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
                At::Guessed(..) => break,
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
        self.sums.clear();
        self.whole.reset();
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
        if let Some(mut guess) = self.ahead.guess(self.input.at()) {
            guess.output.borrow_mut().comes_behind(window);
            self.at = At::Guessed(Arc::new(guess), 0);
        }
    }

    /// All of a guess is given: what was at its end is in the window.
    fn end_of_guess(&mut self) -> io::Result<()> {
        if let At::Guessed(guess, end) = std::mem::replace(&mut self.at, At::Data) {
            let fresh = end.min(WINDOW);
            if let Some(window) = self.output.symbols.get_mut(..WINDOW) {
                window.copy_within(fresh.., 0);
                let (_, last) = window.split_at_mut(WINDOW - fresh);
                guess.output.borrow().put(end - fresh..end, last);
            }
            self.input.skip_to(guess.end)?;
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

    /// Adds sums to that of the whole, in their order, as long as `get` has the next part's.
    fn add_up(&mut self, get: impl Fn(&Receiver<Hasher>) -> Option<Hasher>) {
        while let Some((ours, theirs)) = self.sums.front() {
            let Some(theirs) = get(theirs) else { return };
            self.whole.combine(ours);
            self.whole.combine(&theirs);
            self.sums.pop_front();
        }
    }

    /// The sum of the whole member: waits for those who have parts of it.
    fn whole_sum(&mut self) -> Result<u32, Error> {
        self.add_up(|sum| sum.recv().ok());
        if !self.sums.is_empty() {
            return Err(Error::GivenUp);
        }
        self.whole.combine(&self.sum);
        Ok(self.whole.clone().finalize())
    }

    /// Compares the member's CRC and length with what came.
    fn end(&mut self) -> io::Result<()> {
        self.sum_up();
        self.input.align();
        let [mut promised_crc, mut promised_length] = [[0; 4]; 2];
        self.input.read_exact(&mut promised_crc)?;
        self.input.read_exact(&mut promised_length)?;
        let (promised, found) = (u32::from_le_bytes(promised_crc), self.whole_sum()?);
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

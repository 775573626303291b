//! Blocks of bytes handed from one thread to the next, and back empty.

use std::io::{self, BufRead, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

/// The other end is gone: its own error says why.
#[derive(Debug, thiserror::Error)]
#[error("the other half of the unpacking stopped")]
pub struct Gone;

enum Message {
    /// A block, of which the bytes from one place to the other count.
    Block(Vec<u8>, usize, usize),
    End,
}

/// Blocks to be filled again. The one used last comes first: it is still in the processor's cache.
#[derive(Default)]
struct Empty(Mutex<Vec<Vec<u8>>>);

impl Empty {
    fn with<T>(&self, work: impl FnOnce(&mut Vec<Vec<u8>>) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The end that fills blocks.
pub struct Feed {
    /// Bytes of a block.
    size: usize,
    full: SyncSender<Message>,
    empty: Arc<Empty>,
}

/// The end that reads them, without copying.
pub struct Drain {
    full: Receiver<Message>,
    empty: Arc<Empty>,
    block: Vec<u8>,
    used: usize,
    end: usize,
    ended: bool,
}

/// A pipe of blocks of `size` bytes, `depth` of them on their way at most; with the one in work at
/// either end this bounds its memory. A block goes on its way when it is full: so large that a
/// hand-over costs nothing, and so small that a slow source does not keep the other end waiting.
pub fn pipe(size: usize, depth: usize) -> (Feed, Drain) {
    let (full_in, full_out) = sync_channel(depth);
    let empty = Arc::new(Empty::default());
    let drain = Drain {
        full: full_out,
        empty: Arc::clone(&empty),
        block: Vec::new(),
        used: 0,
        end: 0,
        ended: false,
    };
    (Feed { size, full: full_in, empty }, drain)
}

impl Feed {
    /// Reads `source` to its end into the pipe.
    ///
    /// # Errors
    /// `source` fails, or the other end is gone ([`Gone`]).
    pub fn fill_from(&self, source: &mut dyn Read) -> io::Result<()> {
        loop {
            let mut block = self.empty();
            block.resize(self.size, 0);
            let filled = fill(source, &mut block);
            let got = *filled.as_ref().unwrap_or(&0);
            if got > 0 {
                self.block(block, 0, got)?;
            }
            if filled? < self.size {
                return self.end();
            }
        }
    }

    /// A block to be filled, of any length and content.
    pub fn empty(&self) -> Vec<u8> {
        self.empty.with(Vec::pop).unwrap_or_default()
    }

    /// Sends the bytes of `block` from `from` to `end`.
    ///
    /// # Errors
    /// The other end is gone ([`Gone`]).
    pub fn block(&self, block: Vec<u8>, from: usize, end: usize) -> io::Result<()> {
        self.send(Message::Block(block, from, end))
    }

    /// Says that no more come.
    ///
    /// # Errors
    /// As [`block`](Self::block).
    pub fn end(&self) -> io::Result<()> {
        self.send(Message::End)
    }

    fn send(&self, message: Message) -> io::Result<()> {
        self.full.send(message).map_err(|_| io::Error::other(Gone))
    }
}

/// Fills `block` as far as `source` goes.
///
/// # Errors
/// `source` fails.
pub fn fill(source: &mut dyn Read, block: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = block.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match source.read(rest) {
            Ok(0) => break,
            Ok(got) => filled += got,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

impl BufRead for Drain {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.used >= self.end && !self.ended {
            match self.full.recv() {
                Ok(Message::Block(block, from, end)) => {
                    let old = std::mem::replace(&mut self.block, block);
                    (self.used, self.end) = (from, end);
                    self.empty.with(|blocks| blocks.push(old));
                }
                Ok(Message::End) => self.ended = true,
                Err(_) => return Err(io::Error::other(Gone)),
            }
        }
        Ok(self.block.get(self.used..self.end).unwrap_or_default())
    }

    fn consume(&mut self, amount: usize) {
        self.used = self.used.saturating_add(amount);
    }
}

impl Read for Drain {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        let got = self.fill_buf()?.read(target)?;
        self.consume(got);
        Ok(got)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_bytes_come_through_in_order() {
        let bytes: Vec<u8> = (0..3_000_001u32).map(|n| n.to_le_bytes()[0] ^ 7).collect();
        let (feed, mut drain) = pipe(256 << 10, 2);
        let sent = bytes.clone();
        let thread = std::thread::spawn(move || feed.fill_from(&mut &sent[..]));
        let mut got = Vec::new();
        drain.read_to_end(&mut got).unwrap();
        assert!(got == bytes);
        thread.join().unwrap().unwrap();
    }

    #[test]
    fn a_source_that_fails_is_no_end() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("broken"))
            }
        }
        let (feed, mut drain) = pipe(256 << 10, 2);
        let error = feed.fill_from(&mut (&b"abc"[..]).chain(Broken)).unwrap_err();
        assert_eq!(error.to_string(), "broken");
        drop(feed);
        assert!(drain.read_to_end(&mut Vec::new()).is_err());
    }

    #[test]
    fn filling_stops_when_nobody_reads() {
        let (feed, drain) = pipe(256 << 10, 2);
        drop(drain);
        assert!(feed.fill_from(&mut io::repeat(1)).unwrap_err().get_ref().unwrap().is::<Gone>());
    }
}

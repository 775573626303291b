//! Blocks of bytes handed from one thread to the next, and back empty.

use std::collections::VecDeque;
use std::io::{self, BufRead, Read};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::jobs::Jobs;

/// The other end is gone: its own error says why.
#[derive(Debug, thiserror::Error)]
#[error("the other half of the unpacking stopped")]
pub struct Gone;

impl From<Gone> for io::Error {
    fn from(gone: Gone) -> Self {
        Self::other(gone)
    }
}

/// A block, of which the bytes from one place to the other count.
type Block = (Vec<u8>, usize, usize);

/// What is in the pipe.
#[derive(Default)]
struct State {
    /// In their order; those that are only promised are none yet.
    full: VecDeque<Option<Block>>,
    /// How many have left it.
    taken: u64,
    /// Blocks to be filled again. The one used last comes first: it is still in the processor's cache.
    empty: Vec<Vec<u8>>,
    /// No more come, and whether the end that reads knows.
    is_ended: bool,
    is_end_read: bool,
    /// One of the two ends is gone.
    is_over: bool,
}

impl State {
    /// The next block; none at the end.
    fn take(&mut self) -> Option<Result<Option<Block>, Gone>> {
        match self.full.front() {
            Some(Some(_)) => {
                self.taken += 1;
                Some(Ok(self.full.pop_front().flatten()))
            }
            None if self.is_ended => {
                self.is_end_read = true;
                Some(Ok(None))
            }
            _ => self.is_over.then_some(Err(Gone)),
        }
    }
}

/// Both ends of a pipe do jobs while they wait for one another.
struct Pipe {
    state: Mutex<State>,
    jobs: Arc<Jobs>,
    /// Blocks on their way at most.
    depth: usize,
}

impl Pipe {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `ready` has an answer, which may change what the other end waits for.
    fn wait<T>(&self, mut ready: impl FnMut(&mut State) -> Option<T>) -> T {
        let answer = self.jobs.work_until(|| ready(&mut self.lock()));
        self.jobs.changed();
        answer
    }

    fn empty(&self) -> Vec<u8> {
        self.lock().empty.pop().unwrap_or_default()
    }

    fn stop(&self) {
        self.lock().is_over = true;
        self.jobs.changed();
    }
}

/// The end that fills blocks.
pub struct Feed {
    /// Bytes of a block.
    size: usize,
    pipe: Arc<Pipe>,
}

/// The end that reads them, without copying.
pub struct Drain {
    pipe: Arc<Pipe>,
    block: Vec<u8>,
    used: usize,
    end: usize,
}

/// A pipe of blocks of `size` bytes, `depth` of them on their way at most; with the one in work at
/// either end this bounds its memory. A block goes on its way when it is full: so large that a
/// hand-over costs nothing, and so small that a slow source does not keep the other end waiting.
pub fn pipe(size: usize, depth: usize, jobs: &Arc<Jobs>) -> (Feed, Drain) {
    let pipe = Arc::new(Pipe { state: Mutex::default(), jobs: Arc::clone(jobs), depth });
    let drain = Drain { pipe: Arc::clone(&pipe), block: Vec::new(), used: 0, end: 0 };
    (Feed { size, pipe }, drain)
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
        self.pipe.empty()
    }

    /// Sends the bytes of `block` from `from` to `end`.
    ///
    /// # Errors
    /// The other end is gone ([`Gone`]).
    pub fn block(&self, block: Vec<u8>, from: usize, end: usize) -> io::Result<()> {
        self.send(Some((block, from, end))).map(drop)
    }

    /// Sends a block that another thread fills.
    ///
    /// # Errors
    /// As [`block`](Self::block).
    pub fn promise(&self) -> io::Result<Promise> {
        Ok(Promise { pipe: Arc::clone(&self.pipe), place: self.send(None)? })
    }

    /// Sends `block`, if it is there, or else the place for it; returns how many there were before.
    fn send(&self, mut block: Option<Block>) -> io::Result<u64> {
        Ok(self.pipe.wait(|state| {
            if state.is_over {
                return Some(Err(Gone));
            }
            let before = state.full.len();
            (before < self.pipe.depth).then(|| {
                state.full.push_back(block.take());
                Ok(state.taken + before as u64)
            })
        })?)
    }

    /// Says that no more come, and waits until all is read: there are jobs until then.
    ///
    /// # Errors
    /// As [`block`](Self::block).
    pub fn end(&self) -> io::Result<()> {
        self.pipe.lock().is_ended = true;
        self.pipe.jobs.changed();
        Ok(self.pipe.wait(|state| {
            let is_read = state.is_end_read.then_some(Ok(()));
            is_read.or_else(|| state.is_over.then_some(Err(Gone)))
        })?)
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.pipe.stop();
    }
}

/// A block that is on its way before it is filled.
pub struct Promise {
    pipe: Arc<Pipe>,
    place: u64,
}

impl Promise {
    /// A block to be filled, of any length and content.
    pub fn empty(&self) -> Vec<u8> {
        self.pipe.empty()
    }

    /// Keeps it with all of `block`.
    pub fn keep(self, block: Vec<u8>) {
        let end = block.len();
        if let Some(promised) = self.place(&mut self.pipe.lock()) {
            *promised = Some((block, 0, end));
        }
    }

    fn place<'a>(&self, state: &'a mut State) -> Option<&'a mut Option<Block>> {
        // None where it has left the pipe.
        let place = self.place.checked_sub(state.taken)?;
        state.full.get_mut(usize::try_from(place).ok()?)
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        let mut state = self.pipe.lock();
        if let Some(None) = self.place(&mut state) {
            state.is_over = true;
        }
        drop(state);
        self.pipe.jobs.changed();
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
        if self.used >= self.end {
            let old = std::mem::take(&mut self.block);
            let next = self.pipe.wait(State::take)?;
            self.pipe.lock().empty.push(old);
            (self.block, self.used, self.end) = next.unwrap_or_default();
        }
        Ok(self.block.get(self.used..self.end).unwrap_or_default())
    }

    fn consume(&mut self, amount: usize) {
        self.used = self.used.saturating_add(amount);
    }
}

impl Drop for Drain {
    fn drop(&mut self) {
        self.pipe.stop();
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
        let jobs = Arc::default();
        let (feed, mut drain) = pipe(256 << 10, 2, &jobs);
        let sent = &bytes;
        std::thread::scope(|scope| {
            let thread = scope.spawn(move || feed.fill_from(&mut &sent[..]));
            let mut got = Vec::new();
            drain.read_to_end(&mut got).unwrap();
            assert!(got == bytes);
            thread.join().unwrap().unwrap();
        });
    }

    #[test]
    fn a_source_that_fails_is_no_end() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("broken"))
            }
        }
        let jobs = Arc::default();
        let (feed, mut drain) = pipe(256 << 10, 2, &jobs);
        let error = feed.fill_from(&mut (&b"abc"[..]).chain(Broken)).unwrap_err();
        assert_eq!(error.to_string(), "broken");
        drop(feed);
        assert!(drain.read_to_end(&mut Vec::new()).is_err());
    }

    #[test]
    fn filling_stops_when_nobody_reads() {
        let jobs = Arc::default();
        let (feed, drain) = pipe(256 << 10, 2, &jobs);
        drop(drain);
        assert!(feed.fill_from(&mut io::repeat(1)).unwrap_err().get_ref().unwrap().is::<Gone>());
    }

    #[test]
    fn a_promised_block_comes_in_its_place() {
        let jobs = Arc::default();
        let (feed, mut drain) = pipe(8, 4, &jobs);
        feed.block(vec![1, 2, 3], 1, 2).unwrap();
        let promise = feed.promise().unwrap();
        feed.block(vec![6], 0, 1).unwrap();
        let mut got = [0; 4];
        std::thread::scope(|scope| {
            let reading = scope.spawn(|| drain.read_exact(&mut got));
            // It is read up to the promise, and no further.
            jobs.work_until(|| {
                feed.pipe.lock().full.front().is_some_and(Option::is_none).then_some(())
            });
            promise.keep(vec![4, 5]);
            reading.join().unwrap().unwrap();
        });
        assert_eq!(got, [2, 4, 5, 6]);
    }

    #[test]
    fn a_promise_that_is_not_kept_is_no_end() {
        let jobs = Arc::default();
        let (feed, mut drain) = pipe(8, 4, &jobs);
        feed.block(vec![1], 0, 1).unwrap();
        drop(feed.promise().unwrap());
        let mut got = Vec::new();
        let error = drain.read_to_end(&mut got).unwrap_err();
        assert!(error.get_ref().unwrap().is::<Gone>());
        assert_eq!(got, [1]);
    }
}

//! What was inflated before its turn, and how it becomes bytes.

use std::borrow::{Borrow, BorrowMut};
use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use crc32fast::Hasher;

use crate::format::deflate::{Guess, Middle};

/// Somebody who inflates parts of a stream before their turn.
pub trait Ahead {
    /// What holds such a part.
    type Output: BorrowMut<Middle>;

    /// What was inflated from bit `at` of the stream on, where a block begins.
    fn guess(&mut self, at: u64) -> Option<Guess<Self::Output>>;
}

/// Nobody does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Alone;

impl Ahead for Alone {
    type Output = Middle;

    fn guess(&mut self, _: u64) -> Option<Guess> {
        None
    }
}

/// What comes next of a stream.
pub enum Next<T> {
    /// A block: all of it, and where in it the bytes are.
    Block(Vec<u8>, usize, usize),
    /// What was inflated before its turn, and is not made to bytes yet.
    Part(Part<T>),
}

/// A part of a guess that turned out right.
pub struct Part<T> {
    pub(super) guess: Arc<Guess<T>>,
    pub(super) range: Range<usize>,
    pub(super) sum: Sender<Hasher>,
}

impl<T: Borrow<Middle>> Part<T> {
    /// Its bytes, in the memory of `block`. The stream is found good only after this.
    pub fn into_bytes(self, mut block: Vec<u8>) -> Vec<u8> {
        block.resize(self.range.len(), 0);
        self.guess.output.borrow().put(self.range, &mut block);
        let mut sum = Hasher::new();
        sum.update(&block);
        // Where nobody wants it the stream was given up.
        let _ = self.sum.send(sum);
        block
    }
}

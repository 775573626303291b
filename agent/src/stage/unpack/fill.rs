//! Small files get their content by a thread of their own.
//!
//! The writing thread gives them their names, in the archive's order; content, owner and time follow
//! a moment later, whatever has become of the name by then. With helpers that inflate, writing is what
//! takes longest: so it has two processors.

use std::fs::File;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use anyhow::Context as _;

use super::data::{Data, copy_data};
use super::explain::shown;
use super::pipe::Gone;
use crate::format::cpio::Entry;
use crate::sys::tree::finish_file;

/// Largest file that is filled later, in bytes. A larger one is written from where it is inflated.
const SMALL: u32 = 64 << 10;

/// A batch is handed over when it has so many bytes or files, and so many batches wait at most. Their
/// files are open: fewer than a process may have, less the folders held open.
const BATCH: (usize, usize) = (256 << 10, 32);
const DEPTH: usize = 4;

/// A file that has its name, and how it is to be.
struct Unfilled {
    file: File,
    entry: Entry,
    owner: Option<(u32, u32)>,
    special: Option<u32>,
    /// Bytes of the batch that are its own.
    bytes: usize,
}

#[derive(Default)]
struct Batch {
    files: Vec<Unfilled>,
    /// What is in them, one after the other.
    bytes: Vec<u8>,
}

/// The end that makes files.
pub struct Later {
    batch: Batch,
    full: SyncSender<Batch>,
    empty: Receiver<Batch>,
}

/// The end that fills them.
pub struct Filler {
    full: Receiver<Batch>,
    empty: SyncSender<Batch>,
}

/// Both ends.
pub fn queue() -> (Later, Filler) {
    let (full_in, full_out) = sync_channel(DEPTH);
    // Room for every batch there is: giving one back never waits.
    let (empty_in, empty_out) = sync_channel(DEPTH + 2);
    let later = Later { batch: Batch::default(), full: full_in, empty: empty_out };
    (later, Filler { full: full_out, empty: empty_in })
}

impl Later {
    /// Whether it takes such a file.
    pub fn takes(&self, entry: &Entry) -> bool {
        entry.size <= SMALL
    }

    /// Takes a file and its data.
    ///
    /// # Errors
    /// The archive breaks, or the other end is gone ([`Gone`]).
    pub fn add(
        &mut self,
        file: File,
        entry: &Entry,
        owner: Option<(u32, u32)>,
        special: Option<u32>,
        data: &mut impl Data,
    ) -> anyhow::Result<()> {
        let before = self.batch.bytes.len();
        loop {
            let piece = data.piece()?;
            if piece.is_empty() {
                break;
            }
            self.batch.bytes.extend_from_slice(piece);
            let count = piece.len();
            data.take(count);
        }
        let bytes = self.batch.bytes.len() - before;
        self.batch.files.push(Unfilled { file, entry: entry.clone(), owner, special, bytes });
        if self.batch.bytes.len() < BATCH.0 && self.batch.files.len() < BATCH.1 {
            return Ok(());
        }
        self.hand_over()
    }

    /// Hands over what there is.
    ///
    /// # Errors
    /// The other end is gone ([`Gone`]).
    pub fn hand_over(&mut self) -> anyhow::Result<()> {
        let next = self.empty.try_recv().unwrap_or_default();
        let batch = std::mem::replace(&mut self.batch, next);
        self.full.send(batch).map_err(|_| std::io::Error::other(Gone).into())
    }
}

impl Filler {
    /// Fills all that come.
    ///
    /// # Errors
    /// A file cannot be written or changed: the error names it.
    pub fn run(self) -> anyhow::Result<()> {
        for mut batch in self.full {
            let mut rest = batch.bytes.as_slice();
            for one in batch.files.drain(..) {
                let (mut data, behind) = rest.split_at_checked(one.bytes).unwrap_or((rest, &[]));
                rest = behind;
                copy_data(&one.file, &one.entry, &mut data)
                    .and_then(|()| {
                        Ok(finish_file(&one.file, one.owner, one.special, one.entry.mtime)?)
                    })
                    .with_context(|| format!("unpacking {}", shown(&one.entry.name)))?;
            }
            batch.bytes.clear();
            // At the end nobody takes it.
            let _ = self.empty.try_send(batch);
        }
        Ok(())
    }
}

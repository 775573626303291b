//! Files get their content by whoever would have to wait for the writing thread.
//!
//! That gives them their names, in the archive's order; content, owner and time follow a moment later,
//! whatever has become of the name by then.

use std::fs::File;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Context as _;

use super::data::{Data, write_piece};
use super::explain::shown;
use super::jobs::Jobs;
use crate::format::cpio::Entry;
use crate::sys::tree::finish_file;

/// A batch is handed over when it has so many bytes or pieces. No more batches wait than threads, and
/// their files are open: fewer than a process may have, less the folders held open.
const BATCH: (usize, usize) = (256 << 10, 32);

/// A file that has its name, and how it is to be.
pub struct Unfilled {
    /// Open for writing, and empty.
    pub file: File,
    /// What it is in the archive.
    pub entry: Entry,
    /// Owner and group that it is to get.
    pub owner: Option<(u32, u32)>,
    /// Its mode, where that has more than the nine plain bits.
    pub special: Option<u32>,
}

impl Unfilled {
    /// All of it is written: so is the rest made.
    fn finish(&self) -> anyhow::Result<()> {
        Ok(finish_file(&self.file, self.owner, self.special, self.entry.mtime)?)
    }
}

/// A piece of a file's data.
struct Piece {
    /// Whoever has the last piece finishes it.
    file: Arc<Unfilled>,
    /// Where in the file it begins.
    at: u64,
    /// Bytes of the batch that are its own.
    bytes: usize,
}

#[derive(Default)]
struct Batch {
    pieces: Vec<Piece>,
    /// What is in them, one after the other.
    bytes: Vec<u8>,
}

/// The files of an archive that others may fill.
pub struct Later {
    jobs: Arc<Jobs>,
    batch: Batch,
    /// Memory to be used again.
    empty: Arc<Mutex<Vec<Batch>>>,
}

impl Later {
    /// They are filled as `jobs`.
    pub fn new(jobs: Arc<Jobs>) -> Self {
        Self { jobs, batch: Batch::default(), empty: Arc::default() }
    }

    /// Fills a file with `data`, or leaves that to others, as long as somebody has nothing to do.
    ///
    /// # Errors
    /// The archive breaks, the file cannot be written or changed, or an earlier one could not
    /// ([`Jobs::failure`]).
    pub fn fill(&mut self, file: Unfilled, data: &mut impl Data) -> anyhow::Result<()> {
        let file = Arc::new(file);
        let mut at = 0;
        loop {
            let piece = data.piece()?;
            if piece.is_empty() {
                break;
            }
            let bytes = piece.len();
            if self.batch.pieces.is_empty() && !self.jobs.is_wanted() {
                write_piece(&file.file, piece, at, &file.entry)?;
            } else {
                self.batch.bytes.extend_from_slice(piece);
                self.batch.pieces.push(Piece { file: Arc::clone(&file), at, bytes });
            }
            data.take(bytes);
            at += bytes as u64;
            if self.batch.bytes.len() >= BATCH.0 || self.batch.pieces.len() >= BATCH.1 {
                self.hand_over()?;
            }
        }
        Arc::into_inner(file).map_or(Ok(()), |file| file.finish())
    }

    fn hand_over(&mut self) -> anyhow::Result<()> {
        let empty = Arc::clone(&self.empty);
        let next = lock(&empty).pop().unwrap_or_default();
        let mut batch = std::mem::replace(&mut self.batch, next);
        self.jobs.add(Box::new(move || {
            batch.fill()?;
            lock(&empty).push(batch);
            Ok(())
        }))
    }

    /// Waits until all are filled.
    ///
    /// # Errors
    /// A file cannot be written or changed: the error names it.
    pub fn finish(mut self) -> anyhow::Result<()> {
        self.hand_over()?;
        self.jobs.finish()
    }
}

fn lock(empty: &Mutex<Vec<Batch>>) -> MutexGuard<'_, Vec<Batch>> {
    empty.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Batch {
    /// Fills its files; it is empty then.
    fn fill(&mut self) -> anyhow::Result<()> {
        let mut rest = self.bytes.as_slice();
        for Piece { file, at, bytes } in self.pieces.drain(..) {
            let (piece, behind) = rest.split_at_checked(bytes).unwrap_or((rest, &[]));
            rest = behind;
            let name = shown(&file.entry.name);
            write_piece(&file.file, piece, at, &file.entry)
                .and_then(|()| Arc::into_inner(file).map_or(Ok(()), |file| file.finish()))
                .with_context(|| format!("unpacking {name}"))?;
        }
        self.bytes.clear();
        Ok(())
    }
}

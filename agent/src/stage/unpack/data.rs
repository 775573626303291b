//! An entry's data, as it comes out of an archive or lies in memory.

use std::fs::File;
use std::io::{self, BufRead};
use std::os::unix::fs::FileExt as _;

use anyhow::ensure;

use super::explain::explain_space;
use crate::format::cpio::{Entry, Reader};
use crate::sys::tree::space_around;

/// Something that holds an entry's data.
pub trait Data {
    /// The next piece of it that is in memory; empty at the end.
    fn piece(&mut self) -> anyhow::Result<&[u8]>;

    /// Takes `count` bytes of what [`piece`](Self::piece) lent.
    fn take(&mut self, count: usize);

    /// All of it, if it is no longer than `limit` bytes.
    fn whole(&mut self, limit: u32) -> anyhow::Result<Vec<u8>>;
}

impl<R: BufRead> Data for Reader<R> {
    fn piece(&mut self) -> anyhow::Result<&[u8]> {
        Ok(self.data()?)
    }

    fn take(&mut self, count: usize) {
        self.consume(count);
    }

    fn whole(&mut self, limit: u32) -> anyhow::Result<Vec<u8>> {
        Ok(self.read_data(limit)?)
    }
}

impl Data for &[u8] {
    fn piece(&mut self) -> anyhow::Result<&[u8]> {
        Ok(self)
    }

    fn take(&mut self, count: usize) {
        *self = self.get(count..).unwrap_or_default();
    }

    fn whole(&mut self, limit: u32) -> anyhow::Result<Vec<u8>> {
        ensure!(self.len() <= usize::try_from(limit)?, "more than {limit} bytes");
        Ok(std::mem::take(self).to_vec())
    }
}

/// Writes an entry's data to `file`, straight from where it is in memory.
pub fn copy_data(file: &File, entry: &Entry, data: &mut impl Data) -> anyhow::Result<()> {
    let mut at = 0;
    loop {
        let piece = data.piece()?;
        if piece.is_empty() {
            return Ok(());
        }
        let count = piece.len();
        write_piece(file, piece, at, entry)?;
        at += count as u64;
        data.take(count);
    }
}

/// Writes `piece` of an entry's data to `file`, from byte `at` on.
pub fn write_piece(
    file: &File,
    mut piece: &[u8],
    mut at: u64,
    entry: &Entry,
) -> anyhow::Result<()> {
    while !piece.is_empty() {
        match file.write_at(piece, at) {
            Ok(0) => return Err(io::Error::from(io::ErrorKind::WriteZero).into()),
            Ok(count) => {
                at += count as u64;
                piece = piece.get(count..).unwrap_or_default();
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(explain_space(error, space_around(&file), entry, at)),
        }
    }
    Ok(())
}

//! cpio "newc" archives (`070701`, `070702`), read from a stream that cannot seek.
//!
//! Source: the kernel's `Documentation/driver-api/early-userspace/buffer-format.rst`.
//! As there, several archives may follow one another, with zeros between them.
//! Names and contents are bytes; what becomes of them is `stage::unpack`'s business.
//! Left out: the older `070707` and binary formats, which nothing here produces.

mod error;
mod header;
#[cfg(test)]
mod tests;

use std::io::BufRead;

pub use error::Error;
pub use header::{Entry, Kind};

use header::{Fields, HEADER};

/// Longest name in bytes, with its closing NUL. Source: `PATH_MAX`, `linux/limits.h`.
pub const NAME_LIMIT: u32 = 4096;

/// The name that ends an archive.
const TRAILER: &[u8] = b"TRAILER!!!";

/// Reads the entries of a stream one by one.
///
/// After [`next_entry`](Self::next_entry), [`data`](Self::data) lends the entry's data piece by
/// piece without copying; what is not taken is skipped.
#[derive(Debug)]
pub struct Reader<R> {
    source: R,
    /// Bytes taken from the source.
    offset: u64,
    /// Name of the entry last read, for errors.
    name: Vec<u8>,
    /// Bytes of its data not yet taken.
    remaining: u64,
    /// Zeros after its data.
    padding: u64,
    /// The sum its header promises (`070702` only) and the sum so far.
    sum: Option<(u32, u32)>,
    /// Trailers seen.
    archives: u32,
}

impl<R: BufRead> Reader<R> {
    /// Reads from the start of an archive.
    pub fn new(source: R) -> Self {
        Self {
            source,
            offset: 0,
            name: Vec::new(),
            remaining: 0,
            padding: 0,
            sum: None,
            archives: 0,
        }
    }

    /// Archives that were read to their trailer.
    pub fn archives(&self) -> u32 {
        self.archives
    }

    /// Bytes read from the source so far.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The next entry, or `None` after the last archive's trailer and the zeros after it.
    ///
    /// # Errors
    /// The stream breaks, ends too early, or is not newc; or the entry before had another checksum.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, Error> {
        loop {
            self.finish_entry()?;
            if self.between_archives() && !self.skip_zeros()? {
                return Ok(None);
            }
            if let Some(entry) = self.read_entry()? {
                return Ok(Some(entry));
            }
            self.archives = self.archives.saturating_add(1);
        }
    }

    /// Skips the zeros between two archives; false where the stream ends instead of going on.
    fn skip_zeros(&mut self) -> Result<bool, Error> {
        loop {
            let available = self.source.fill_buf()?;
            if available.is_empty() {
                return Ok(false);
            }
            let zeros = available.iter().take_while(|byte| **byte == 0).count();
            let more = zeros < available.len();
            self.take(zeros);
            if more {
                return Ok(true);
            }
        }
    }

    /// True right after a trailer: the entry last read is none.
    fn between_archives(&self) -> bool {
        self.name == TRAILER
    }

    fn take(&mut self, count: usize) {
        self.source.consume(count);
        self.offset = self.offset.saturating_add(as_u64(count));
    }

    /// One header and name; `None` is a trailer.
    fn read_entry(&mut self) -> Result<Option<Entry>, Error> {
        let at = self.offset;
        let mut header = [0; HEADER];
        let got = self.fill(&mut header)?;
        let checked = match header.get(..6).unwrap_or_default() {
            b"070701" => false,
            b"070702" => true,
            found if got >= 6 => {
                return Err(Error::BadMagic { offset: at, found: found.to_vec() });
            }
            _ => return Err(self.truncated_header(at, got)),
        };
        if got < HEADER {
            return Err(self.truncated_header(at, got));
        }
        let fields = Fields::parse(&header, at)?;
        let name = self.read_name(fields.name_size, at)?;
        let data = u64::from(fields.size);
        self.padding = (4 - data % 4) % 4;
        self.remaining = data;
        // Only regular files have a sum: GNU cpio writes 0 for a link's target.
        self.sum = (checked && fields.is_regular()).then_some((fields.check, 0));
        let entry = if name == TRAILER { None } else { Some(fields.entry(&name, self.archives)?) };
        self.name = name;
        Ok(entry)
    }

    /// No header where one must be: the archive lacks its trailer, or ends inside a header.
    fn truncated_header(&self, at: u64, got: usize) -> Error {
        if got == 0 {
            Error::NoTrailer { offset: at, after: self.name.clone() }
        } else {
            Error::Truncated { name: self.name.clone(), offset: self.offset, missing: "a header" }
        }
    }

    fn read_name(&mut self, size: u32, at: u64) -> Result<Vec<u8>, Error> {
        if size > NAME_LIMIT {
            return Err(Error::NameTooLong { offset: at, size });
        }
        // Header and name together are padded to a multiple of four.
        let padded = (u64::from(size) + 2).next_multiple_of(4) - 2;
        let mut name = vec![0; usize::try_from(padded).unwrap_or_default()];
        if self.fill(&mut name)? < name.len() {
            let offset = self.offset;
            return Err(Error::Truncated { name, offset, missing: "its name" });
        }
        name.truncate(usize::try_from(size).unwrap_or_default());
        if name.pop() != Some(0) || name.is_empty() || name.contains(&0) {
            return Err(Error::BadName { offset: at, name });
        }
        Ok(name)
    }

    /// Fills `target` as far as the stream goes; returns how many bytes came.
    fn fill(&mut self, target: &mut [u8]) -> Result<usize, Error> {
        let mut filled = 0;
        while let Some(rest) = target.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            let available = self.source.fill_buf()?;
            if available.is_empty() {
                break;
            }
            let count = rest.len().min(available.len());
            if let (Some(to), Some(from)) = (rest.get_mut(..count), available.get(..count)) {
                to.copy_from_slice(from);
            }
            self.take(count);
            filled += count;
        }
        Ok(filled)
    }

    /// The next piece of the entry's data, as long as the source has it in memory; empty at the end.
    ///
    /// Call [`consume`](Self::consume) with what was used of it.
    ///
    /// # Errors
    /// The stream breaks or ends inside the data.
    pub fn data(&mut self) -> Result<&[u8], Error> {
        if self.remaining == 0 {
            return Ok(&[]);
        }
        let available = self.source.fill_buf()?;
        if available.is_empty() {
            let (name, offset) = (self.name.clone(), self.offset);
            return Err(Error::Truncated { name, offset, missing: "its data" });
        }
        let count = usize::try_from(self.remaining).unwrap_or(usize::MAX).min(available.len());
        Ok(available.get(..count).unwrap_or(available))
    }

    /// Takes `count` bytes of what [`data`](Self::data) lent.
    pub fn consume(&mut self, count: usize) {
        if let Some((_, sum)) = &mut self.sum
            && let Ok(available) = self.source.fill_buf()
        {
            let used = available.get(..count).unwrap_or(available);
            *sum = used.iter().fold(*sum, |sum, byte| sum.wrapping_add(u32::from(*byte)));
        }
        self.remaining = self.remaining.saturating_sub(as_u64(count));
        self.take(count);
    }

    /// The rest of the entry's data, if it is no longer than `limit` bytes.
    ///
    /// # Errors
    /// As [`data`](Self::data); or there is more.
    pub fn read_data(&mut self, limit: u32) -> Result<Vec<u8>, Error> {
        if self.remaining > u64::from(limit) {
            let (name, size) = (self.name.clone(), self.remaining);
            return Err(Error::DataTooLong { name, offset: self.offset, size, limit });
        }
        let mut all = Vec::new();
        loop {
            let piece = self.data()?;
            if piece.is_empty() {
                return Ok(all);
            }
            all.extend_from_slice(piece);
            let count = piece.len();
            self.consume(count);
        }
    }

    /// Skips what is left of the current entry, and compares its checksum.
    fn finish_entry(&mut self) -> Result<(), Error> {
        loop {
            let count = self.data()?.len();
            if count == 0 {
                break;
            }
            self.consume(count);
        }
        if let Some((promised, found)) = self.sum.take()
            && promised != found
            && !self.between_archives()
        {
            let (name, offset) = (self.name.clone(), self.offset);
            return Err(Error::Checksum { name, offset, promised, found });
        }
        let mut zeros = [0; 3];
        let padding = usize::try_from(self.padding).unwrap_or_default();
        self.padding = 0;
        let zeros = zeros.get_mut(..padding).unwrap_or_default();
        // An archive may end right after its trailer's name.
        if self.fill(zeros)? < padding && !self.between_archives() {
            let (name, offset) = (self.name.clone(), self.offset);
            return Err(Error::Truncated { name, offset, missing: "its padding" });
        }
        Ok(())
    }
}

/// A length in memory as a length in a stream; both are 64 bits where this runs.
fn as_u64(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

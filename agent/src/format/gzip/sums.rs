//! Whether what was uncompressed is what was compressed.

use crc32fast::Hasher;

use super::Error;

/// What a member says at its end of its bytes. Source: RFC 1952, section 2.3.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Promise {
    /// How many of a block's bytes are its own, the member before it not counted.
    pub bytes: usize,
    /// CRC of the member's bytes, uncompressed.
    pub crc: u32,
    /// Their number, modulo 4 GiB.
    pub length: u32,
}

/// The sum of a stream's bytes, member by member. It may be made by another thread than the one that
/// inflates: that has the most to do.
#[derive(Debug, Default)]
pub struct Sums {
    sum: Hasher,
    /// Bytes of the member that are in the sum, modulo 4 GiB.
    length: u32,
}

impl Sums {
    /// Adds a block's bytes, in which members end that promise so.
    ///
    /// # Errors
    /// A member has another CRC or length than it promises.
    pub fn add(&mut self, bytes: &[u8], promises: &[Promise]) -> Result<(), Error> {
        let mut rest = bytes;
        for promise in promises {
            let (own, others) = rest.split_at_checked(promise.bytes).unwrap_or((rest, &[]));
            self.update(own);
            self.end(promise)?;
            rest = others;
        }
        self.update(rest);
        Ok(())
    }

    fn update(&mut self, bytes: &[u8]) {
        self.sum.update(bytes);
        self.length = self.length.wrapping_add(modulo(bytes.len()));
    }

    fn end(&mut self, promise: &Promise) -> Result<(), Error> {
        let Self { sum, length } = std::mem::take(self);
        let (promised, found) = (promise.crc, sum.finalize());
        if promised != found {
            return Err(Error::Crc { promised, found });
        }
        let (promised, found) = (promise.length, length);
        if promised != found {
            return Err(Error::Length { promised, found });
        }
        Ok(())
    }
}

fn modulo(length: usize) -> u32 {
    let [a, b, c, d, ..] = length.to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

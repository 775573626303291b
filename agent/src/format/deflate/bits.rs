//! Bits of a slice, the lowest of a byte first. Source: RFC 1951, section 3.1.1.

/// Bits that are there after [`Bits::refill`], where eight bytes were left in the slice.
pub const REFILLED: u32 = 56;

/// Reads a slice by bits.
pub struct Bits<'a> {
    /// Bytes that are not in `word`, or in part.
    rest: &'a [u8],
    /// Bytes of the slice.
    size: usize,
    /// Bits to be read next, the next one lowest.
    pub word: u64,
    /// How many of them are known, in its low six bits; what is above means nothing.
    left: u32,
}

impl<'a> Bits<'a> {
    /// Starts at bit `at` of `input`.
    #[inline]
    pub fn new(input: &'a [u8], at: usize) -> Self {
        let rest = input.get(at / 8..).unwrap_or_default();
        let mut bits = Self { rest, size: input.len(), word: 0, left: 0 };
        bits.refill();
        (0..at % 8).for_each(|_| bits.skip(1));
        bits
    }

    /// Makes [`REFILLED`] bits known. Does nothing in the last seven bytes of the slice.
    #[inline]
    pub fn refill(&mut self) {
        if let Some(next) = self.rest.first_chunk() {
            // Bytes that are there in part are taken again: the same bits in the same place.
            self.word |= u64::from_le_bytes(*next) << (self.left & 63);
            self.rest = self.rest.get(((!self.left & 63) >> 3) as usize..).unwrap_or_default();
            self.left |= REFILLED;
        }
    }

    /// Goes on by `count` bits, whose low six bits count.
    #[inline]
    pub fn skip(&mut self, count: u32) {
        self.word >>= count & 63;
        self.left = self.left.wrapping_sub(count);
    }

    /// The next `count` bits, 16 at most.
    #[inline]
    pub fn take(&mut self, count: u32) -> u32 {
        let value = low(self.word, count);
        self.skip(count);
        value
    }

    /// Which bit of the slice is next.
    #[inline]
    pub fn at(&self) -> usize {
        ((self.size - self.rest.len()) * 8).saturating_sub((self.left & 63) as usize)
    }

    /// Whether a decoder must stop: fewer than `margin` bytes are left behind the known bits.
    #[inline]
    pub fn is_near_end(&self, margin: usize) -> bool {
        self.rest.len() < margin
    }
}

/// The lowest `count` bits of `word`, 16 at most.
#[inline]
#[allow(clippy::cast_possible_truncation, reason = "16 bits at most are left")]
pub fn low(word: u64, count: u32) -> u32 {
    (word & ((1 << (count & 31)) - 1)) as u32 & 0xffff
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_come_in_order_from_any_place() {
        let input: Vec<u8> = (0..64_u8).map(|n| n.wrapping_mul(37)).collect();
        let bit = |at: usize| u32::from(input[at / 8] >> (at % 8) & 1);
        for start in 0..40 {
            let mut bits = Bits::new(&input, start);
            let mut at = start;
            for count in [1, 3, 14, 7, 16, 2, 15, 9, 16, 16] {
                bits.refill();
                let expected = (0..count).fold(0, |sum, n| sum | bit(at + n as usize) << n);
                assert_eq!(bits.take(count), expected, "{count} bits at {at}");
                at += count as usize;
                assert_eq!(bits.at(), at);
            }
        }
    }
}

//! Where a block begins, in the middle of data.

use super::bits::low;
use super::table::Tables;
use super::{MARGIN, header};

/// The first bit of `input`, from bit `from` on, where a block may begin that says its own codes and
/// is not the last. What looks like one may be something else by chance: whoever inflates from there
/// has to compare the place with the end of the block before. `tables` are overwritten.
pub fn find_block(input: &[u8], from: usize, tables: &mut Tables) -> Option<usize> {
    /// Places that are looked at together: of eight bytes the last two bits begin none.
    const PLACES: usize = 56;
    let end = input.len().checked_sub(MARGIN)? * 8;
    let mut at = from;
    while at < end {
        let word = bits_at(input, at)?;
        // Not the last, and of codes of its own: the bits 0, 0 and 1.
        let mut begins = !word & (!word >> 1) & (word >> 2) & ((1 << (PLACES - at % 8)) - 1);
        while begins != 0 {
            let place = at + begins.trailing_zeros() as usize;
            begins &= begins - 1;
            let mut bit = place;
            if has_code_for_lengths(input, place) && header::read(input, &mut bit, tables).is_ok() {
                return Some(place);
            }
        }
        at += PLACES - at % 8;
    }
    None
}

/// The bits from bit `at` of `input`: 57 or more.
fn bits_at(input: &[u8], at: usize) -> Option<u64> {
    let bytes = input.get(at / 8..)?.first_chunk()?;
    Some(u64::from_le_bytes(*bytes) >> (at % 8))
}

/// Whether a header at bit `at` names no more codes than there are, and lengths of the code for their
/// lengths that make a code: one place of some thousands.
fn has_code_for_lengths(input: &[u8], at: usize) -> bool {
    let (Some(start), Some(mut lengths)) = (bits_at(input, at), bits_at(input, at + 17)) else {
        return false;
    };
    if low(start >> 3, 5) >= 30 || low(start >> 8, 5) >= 30 {
        return false;
    }
    lengths &= (1 << (3 * (4 + low(start >> 13, 4)))) - 1;
    let mut used = 0;
    while lengths != 0 {
        used += USED.get(low(lengths, 12) as usize).copied().unwrap_or_default();
        lengths >>= 12;
    }
    used == 128
}

/// How much of all bits, in 128ths, codes of four lengths use; each length in three bits.
static USED: [u16; 1 << 12] = {
    let mut used = [0; 1 << 12];
    let mut lengths = 0;
    while lengths < used.len() {
        let mut left = lengths;
        while left > 0 {
            if left & 7 > 0 {
                #[allow(clippy::indexing_slicing, reason = "done when this is compiled")]
                {
                    used[lengths] += 128 >> (left & 7);
                }
            }
            left >>= 3;
        }
        lengths += 1;
    }
    used
};

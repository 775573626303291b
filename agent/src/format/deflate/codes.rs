//! The inside of a block of codes: where the time goes.

use super::bits::{Bits, low};
use super::table::{
    DISTANCE_BITS, END, LITERAL, MORE, MORE_DISTANCE_BITS, MORE_SYMBOL_BITS, SPECIAL, SYMBOL_BITS,
    Tables,
};
use super::{Damaged, Output, ROOM, Stop, Symbol};

/// Bytes left unread: two refills take eight each at most.
const MARGIN: usize = 16;

/// Symbols behind the end that a repetition may write to: the longest, and two pieces more.
pub const REACH: usize = 258 + 2 * 16;

/// Inflates up to the end of the block, of the input or of the room. See [`super::Inflater::run`].
///
/// 56 bits are known after a refill: four literals of 11, with the 11 of the next entry in sight, or
/// a length of 20 and a distance of 28.
#[inline(never)]
pub fn run<T: Symbol>(
    tables: &Tables,
    input: &[u8],
    bit: &mut usize,
    output: &mut Output<T>,
) -> Result<Stop, Damaged> {
    let mut bits = Bits::new(input, *bit);
    let (symbols, distances) = (&*tables.symbols, &*tables.distances);
    let oldest = output.oldest;
    let out = output.symbols.as_mut_slice();
    let full = out.len().saturating_sub(ROOM);
    let mut end = output.end;
    bits.refill();
    let mut entry = first(symbols, &bits, SYMBOL_BITS);
    macro_rules! literal {
        () => {
            put(out, &mut end, entry);
            bits.skip(entry);
            entry = first(symbols, &bits, SYMBOL_BITS);
        };
    }
    let stop = loop {
        if bits.is_near_end(MARGIN) {
            break Ok(Stop::Input);
        }
        if end > full {
            break Ok(Stop::Room);
        }
        // Not a loop: each place where the processor guesses what comes is one of its own.
        if entry & LITERAL != 0 {
            literal!();
            if entry & LITERAL != 0 {
                literal!();
                if entry & LITERAL != 0 {
                    literal!();
                    if entry & LITERAL != 0 {
                        literal!();
                        bits.refill();
                        continue;
                    }
                }
            }
            bits.refill();
        }
        if entry & MORE != 0 {
            entry = second(symbols, &bits, entry, SYMBOL_BITS, MORE_SYMBOL_BITS);
            if entry & LITERAL != 0 {
                literal!();
                bits.refill();
                continue;
            }
        }
        if entry & SPECIAL != 0 {
            bits.skip(entry);
            break if entry & END != 0 { Ok(Stop::Block) } else { Err(Damaged) };
        }
        let length = number(&mut bits, entry);
        let mut distance = first(distances, &bits, DISTANCE_BITS);
        if distance & MORE != 0 {
            distance = second(distances, &bits, distance, DISTANCE_BITS, MORE_DISTANCE_BITS);
        }
        if distance & SPECIAL != 0 {
            bits.skip(1);
            break Err(Damaged);
        }
        let back = number(&mut bits, distance);
        if back > end - oldest {
            break Err(Damaged);
        }
        // Looked up before the copy: the processor does both at once.
        bits.refill();
        entry = first(symbols, &bits, SYMBOL_BITS);
        repeat(out, end, back, length);
        end += length;
    };
    (*bit, output.end) = (bits.at(), end);
    stop
}

/// What the next bits mean.
#[inline(always)]
fn first(table: &[u32], bits: &Bits<'_>, count: u32) -> u32 {
    *table.get(low(bits.word, count) as usize).unwrap_or(&SPECIAL)
}

/// What they mean where `entry` of the first table says to look further.
#[inline(always)]
fn second(table: &[u32], bits: &Bits<'_>, entry: u32, count: u32, more: u32) -> u32 {
    let place = (entry >> 16) + low(bits.word >> count, more);
    *table.get(place as usize).unwrap_or(&SPECIAL)
}

/// The length or distance that `entry` stands for, with what is added by the bits behind the code.
#[inline(always)]
fn number(bits: &mut Bits<'_>, entry: u32) -> usize {
    let all = bits.word & ((1 << (entry & 31)) - 1);
    bits.skip(entry);
    (entry >> 16) as usize + low(all >> (entry >> 8 & 0xf), 16) as usize
}

#[inline(always)]
fn put<T: Symbol>(out: &mut [T], end: &mut usize, entry: u32) {
    if let Some(at) = out.get_mut(*end) {
        let [_, _, byte, _] = entry.to_le_bytes();
        *at = T::from(byte);
    }
    *end += 1;
}

/// Writes at `end` again the `length` symbols from `back` before it on, which may be fewer, over
/// and over. More is written, up to [`REACH`].
#[inline(always)]
fn repeat<T: Symbol>(out: &mut [T], end: usize, back: usize, length: usize) {
    let Some(all) = out.get_mut(end - back..end + REACH) else { return };
    if back < T::PIECE {
        return repeat_short(all, back, length);
    }
    // Two pieces at once, as most are not longer: what is asked less often is guessed right more often.
    copy(all, 0, back);
    copy(all, T::PIECE, back);
    let mut done = 2 * T::PIECE;
    while done < length {
        copy(all, done, back);
        done += T::PIECE;
    }
}

/// As [`repeat`], of the first `back` symbols of `all`, which are fewer than a piece.
fn repeat_short<T: Symbol>(all: &mut [T], back: usize, length: usize) {
    let mut known = back;
    while known < T::PIECE {
        copy(all, 0, known);
        known *= 2;
    }
    let mut end = known;
    while end < back + length {
        copy(all, end - known, known);
        end += T::PIECE;
    }
}

/// Copies the piece at `from` to `by` behind it, where what follows is overwritten.
#[inline(always)]
fn copy<T: Symbol>(all: &mut [T], from: usize, by: usize) {
    if let Some(all) = all.get_mut(from..from + by + T::PIECE) {
        all.copy_within(..T::PIECE, by);
    }
}

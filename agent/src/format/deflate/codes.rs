//! The inside of a block of codes: where the time goes.

use super::bits::{Bits, low};
use super::table::{
    DISTANCE_BITS, END, LITERAL, MORE, MORE_DISTANCE_BITS, MORE_SYMBOL_BITS, SPECIAL, SYMBOL_BITS,
    Tables,
};
use super::{Damaged, Output, ROOM, Stop, Symbol};

/// Bytes left unread: two refills take eight each at most.
const MARGIN: usize = 16;

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
/// and over. Up to a piece more is written: the room's rest.
#[inline(always)]
fn repeat<T: Symbol>(out: &mut [T], end: usize, back: usize, length: usize) {
    if back < T::PIECE {
        return repeat_short(out, end, back, length);
    }
    let mut done = 0;
    while done < length {
        let from = out.get_mut(end + done - back..).unwrap_or_default();
        let Some((source, target)) = from.split_at_mut_checked(back) else { return };
        let (source, target) = (source.get(..T::PIECE), target.get_mut(..T::PIECE));
        let (Some(source), Some(target)) = (source, target) else { return };
        target.copy_from_slice(source);
        done += T::PIECE;
    }
}

#[inline(always)]
fn repeat_short<T: Symbol>(out: &mut [T], end: usize, back: usize, length: usize) {
    let all = out.get_mut(end - back..end + length).unwrap_or_default();
    if let (1, Some(symbol)) = (back, all.first().copied()) {
        return all.fill(symbol);
    }
    for at in back..all.len() {
        if let Some(symbol) = all.get(at - back).copied()
            && let Some(target) = all.get_mut(at)
        {
            *target = symbol;
        }
    }
}

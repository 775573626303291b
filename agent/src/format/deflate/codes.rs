//! The inside of a block of codes: where the time goes.

use super::bits::{Bits, low};
use super::table::{
    DISTANCE_BITS, END, LITERAL, MORE, MORE_DISTANCE_BITS, MORE_SYMBOL_BITS, SPECIAL, SYMBOL_BITS,
    Tables,
};
use super::{Damaged, Output, PIECE, ROOM, Stop, Symbol};

/// Bytes left unread: two refills take eight each at most.
const MARGIN: usize = 16;

/// Symbols that are copied before it is asked whether that was enough: most repetitions are not
/// longer, and the processor guesses so.
const STRIDE: usize = 4 * PIECE;

/// Symbols behind the end that a repetition may write to: the longest, and what is copied too much.
pub const REACH: usize = 258 + STRIDE;

/// Inflates up to the end of the block, of the input or of the room. See [`super::Inflater::run`].
///
/// 56 bits are known after a refill, and the 64 of the word are right: three literals of 11, with the
/// 11 of the next entry in sight; or a length of 20 and a distance of 28, with the next entry in sight.
#[inline(never)]
pub fn run<T: Symbol>(
    tables: &Tables,
    input: &[u8],
    bit: &mut usize,
    output: &mut Output<T>,
) -> Result<Stop, Damaged> {
    let mut bits = Bits::new(input, *bit);
    let (symbols, distances) = (&*tables.symbols, &*tables.distances);
    // Nothing is repeated from before the oldest.
    let oldest = output.oldest;
    let out = output.symbols.get_mut(oldest..).unwrap_or_default();
    let mut end = output.end - oldest;
    bits.refill();
    let mut entry = first(symbols, &bits, SYMBOL_BITS);
    macro_rules! literal {
        ($at:expr) => {
            let [_, _, byte, _] = entry.to_le_bytes();
            *$at = T::from(byte);
            end += 1;
            bits.skip(entry);
            entry = first(symbols, &bits, SYMBOL_BITS);
        };
    }
    let stop = loop {
        if bits.is_near_end(MARGIN) {
            break Ok(Stop::Input);
        }
        let free = out.get_mut(end..).and_then(<[T]>::first_chunk_mut::<ROOM>);
        let Some([a, b, c, ..]) = free else { break Ok(Stop::Room) };
        // Not a loop: each place where the processor guesses what comes is one of its own.
        if entry & LITERAL != 0 {
            literal!(a);
            if entry & LITERAL != 0 {
                literal!(b);
                if entry & LITERAL != 0 {
                    literal!(c);
                    bits.refill();
                    continue;
                }
            }
            bits.refill();
        }
        if entry & SPECIAL != 0 {
            if entry & MORE != 0 {
                entry = second(symbols, &bits, entry, SYMBOL_BITS, MORE_SYMBOL_BITS);
            }
            if entry & LITERAL != 0 {
                let Some(at) = out.get_mut(end) else { break Ok(Stop::Room) };
                literal!(at);
                bits.refill();
                continue;
            }
            if entry & SPECIAL != 0 {
                bits.skip(entry);
                break if entry & END != 0 { Ok(Stop::Block) } else { Err(Damaged) };
            }
        }
        let length = number(&mut bits, entry);
        let mut distance = first(distances, &bits, DISTANCE_BITS);
        if distance & SPECIAL != 0 {
            if distance & MORE != 0 {
                distance = second(distances, &bits, distance, DISTANCE_BITS, MORE_DISTANCE_BITS);
            }
            if distance & SPECIAL != 0 {
                bits.skip(1);
                break Err(Damaged);
            }
        }
        let back = number(&mut bits, distance);
        // Looked up before the refill and the copy: the processor does them at once.
        entry = first(symbols, &bits, SYMBOL_BITS);
        bits.refill();
        // A place before the first is one far behind the last.
        let Some(all) = out.get_mut(end.wrapping_sub(back)..end + REACH) else {
            break Err(Damaged);
        };
        repeat(all, back, length);
        end += length;
    };
    (*bit, output.end) = (bits.at(), oldest + end);
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
    // 13 bits at most are added.
    let added = usize::try_from(all >> (entry >> 8 & 63)).unwrap_or_default();
    (entry >> 16) as usize + added
}

/// Writes the first symbols of `all` again, `back` places further on: `length` of them, and where `back`
/// is fewer, those over and over. More is written, up to [`REACH`].
#[inline(always)]
fn repeat<T: Symbol>(all: &mut [T], back: usize, length: usize) {
    let mut done = 0;
    if back >= PIECE {
        while let Some(part) = all.get_mut(done..done + back + STRIDE) {
            copy(part, 0, back);
            copy(part, PIECE, back);
            copy(part, 2 * PIECE, back);
            copy(part, 3 * PIECE, back);
            done += STRIDE;
            if done >= length {
                break;
            }
        }
    } else if back == 1 {
        let Some((symbol, rest)) = all.split_first_mut() else { return };
        while let Some(part) = rest.get_mut(done..done + STRIDE) {
            part.fill(*symbol);
            done += STRIDE;
            if done >= length {
                break;
            }
        }
    } else {
        // Of each piece the first `back` symbols are right.
        while done < length {
            copy(all, done, back);
            done += back;
        }
    }
}

/// Copies the piece at `from` to `back` behind it.
#[inline(always)]
fn copy<T: Symbol>(all: &mut [T], from: usize, back: usize) {
    if let Some(all) = all.get_mut(from..from + back + PIECE) {
        all.copy_within(..PIECE, back);
    }
}

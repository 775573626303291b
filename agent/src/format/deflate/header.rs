//! What a block begins with. Source: RFC 1951, sections 3.2.3 to 3.2.7.

use super::Damaged;
use super::bits::{Bits, low};
use super::table::{DISTANCE_CODES, SYMBOL_CODES, Tables, build};

/// What a block is made of.
pub enum Header {
    /// So many bytes, as they are.
    Stored(usize),
    /// Codes, which are in the tables.
    Codes,
}

/// The order in which the lengths of the codes for lengths come.
const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
/// Longest code for a length, in bits.
const SHORT: u32 = 7;

/// Lengths of the codes for literals, the end and lengths, where a block does not say.
const FIXED: [(usize, u8); 4] = [(144, 8), (256, 9), (280, 7), (SYMBOL_CODES, 8)];

/// Reads a header at bit `bit` of `input`; whether the block is the last, and what it is made of.
///
/// # Errors
/// Bits that no compressor writes; `bit` is then behind them.
pub fn read(input: &[u8], bit: &mut usize, tables: &mut Tables) -> Result<(bool, Header), Damaged> {
    let mut bits = Bits::new(input, *bit);
    let is_last = bits.take(1) == 1;
    let header = match bits.take(2) {
        0 => stored(input, &mut bits),
        1 => fixed(tables),
        2 => dynamic(&mut bits, tables),
        _ => Err(Damaged),
    };
    *bit = bits.at();
    if let Ok(Header::Stored(_)) = header {
        *bit = bit.next_multiple_of(8) + 8 * 4;
    }
    Ok((is_last, header?))
}

/// The length stands at the next whole byte, and once more with all bits turned over.
fn stored(input: &[u8], bits: &mut Bits<'_>) -> Result<Header, Damaged> {
    let at = bits.at().div_ceil(8);
    let found = input.get(at..).and_then(<[u8]>::first_chunk::<4>);
    let [a, b, c, d] = *found.ok_or(Damaged)?;
    let [length, turned] = [[a, b], [c, d]].map(u16::from_le_bytes);
    if length == !turned {
        return Ok(Header::Stored(usize::from(length)));
    }
    bits.skip(7 + 8 * 4);
    Err(Damaged)
}

fn fixed(tables: &mut Tables) -> Result<Header, Damaged> {
    let mut symbols = [0; SYMBOL_CODES];
    let mut from = 0;
    for (to, length) in FIXED {
        symbols.get_mut(from..to).unwrap_or_default().fill(length);
        from = to;
    }
    tables.set(&symbols, &[5; DISTANCE_CODES])?;
    Ok(Header::Codes)
}

/// The codes' lengths, in a code of their own, whose lengths come first.
fn dynamic(bits: &mut Bits<'_>, tables: &mut Tables) -> Result<Header, Damaged> {
    let symbols = bits.take(5) as usize + 257;
    let distances = bits.take(5) as usize + 1;
    let codes = bits.take(4) as usize + 4;
    let mut short = [0; ORDER.len()];
    for place in ORDER.iter().take(codes) {
        bits.refill();
        let [length, ..] = bits.take(3).to_le_bytes();
        *short.get_mut(*place).ok_or(Damaged)? = length;
    }
    if symbols > SYMBOL_CODES - 2 || distances > DISTANCE_CODES - 2 || !is_complete(&short) {
        return Err(Damaged);
    }
    let mut table = [0; 1 << SHORT];
    let mut numbers = [0; ORDER.len()];
    numbers.iter_mut().zip(0..).for_each(|(meaning, code)| *meaning = code << 16);
    build(&mut table, SHORT, &short, &numbers)?;
    let mut lengths = [0; SYMBOL_CODES + DISTANCE_CODES];
    let all = lengths.get_mut(..symbols + distances).ok_or(Damaged)?;
    read_lengths(bits, &table, all)?;
    let (symbols, distances) = all.split_at(symbols);
    // A block ends only by its code.
    if symbols.get(256).is_none_or(|length| *length == 0) {
        return Err(Damaged);
    }
    tables.set(symbols, distances)?;
    Ok(Header::Codes)
}

/// Whether the codes for lengths leave no bits without a meaning; they must not.
pub fn is_complete(short: &[u8]) -> bool {
    let used = |length: &u8| (1_u32 << SHORT) >> length;
    short.iter().filter(|length| **length > 0).map(used).sum::<u32>() == 1 << SHORT
}

/// Fills `lengths`, which may repeat the one before, or none.
fn read_lengths(
    bits: &mut Bits<'_>,
    table: &[u32; 1 << SHORT],
    lengths: &mut [u8],
) -> Result<(), Damaged> {
    let mut at = 0;
    while at < lengths.len() {
        bits.refill();
        let entry = *table.get(low(bits.word, SHORT) as usize).ok_or(Damaged)?;
        bits.skip(entry);
        let [_, _, code, _] = entry.to_le_bytes();
        let (length, count) = match code {
            16 => {
                let before = at.checked_sub(1).and_then(|before| lengths.get(before));
                (*before.ok_or(Damaged)?, 3 + bits.take(2))
            }
            17 => (0, 3 + bits.take(3)),
            18 => (0, 11 + bits.take(7)),
            length => (length, 1),
        };
        let end = at + count as usize;
        lengths.get_mut(at..end).ok_or(Damaged)?.fill(length);
        at = end;
    }
    Ok(())
}

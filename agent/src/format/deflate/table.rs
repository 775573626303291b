//! Tables that give the symbol, and how many bits it took, for the bits that come next.
//!
//! Source: RFC 1951, section 3.2. A code that is longer than a table's index leads to a second table
//! behind the first. An entry is a `u32` made so that the decoder has little to do:
//!
//! | bits | a literal | a length, a distance | a second table | the rest |
//! |---|---|---|---|---|
//! | 0-7 | bits of the code | bits of the code and of what is added | | bits of the code |
//! | 8-11 | bits of the code | bits of the code | | bits of the code |
//! | 16-31 | the byte | what is added to | its place | |

use std::array::from_fn;

/// Bits by which the first table is indexed: 2,048 entries, which stay in the cache, hold almost all
/// codes that compressors make.
pub const SYMBOL_BITS: u32 = 11;
/// The same for distances.
pub const DISTANCE_BITS: u32 = 8;
/// Longest code there is.
const LONGEST: u32 = 15;
/// Bits by which a second table is indexed.
pub const MORE_SYMBOL_BITS: u32 = LONGEST - SYMBOL_BITS;
/// The same for distances.
pub const MORE_DISTANCE_BITS: u32 = LONGEST - DISTANCE_BITS;

/// Entries of the table of literals and lengths. Each second table holds two codes or more.
const SYMBOLS: usize = (1 << SYMBOL_BITS) + SYMBOL_CODES / 2 * (1 << MORE_SYMBOL_BITS);
/// Entries of the table of distances.
const DISTANCES: usize = (1 << DISTANCE_BITS) + DISTANCE_CODES / 2 * (1 << MORE_DISTANCE_BITS);

/// Codes for literals, the end and lengths; the last two mean nothing.
pub const SYMBOL_CODES: usize = 288;
/// Codes for distances; the last two mean nothing.
pub const DISTANCE_CODES: usize = 32;
/// The end of a block.
const END_CODE: usize = 256;

/// A literal.
pub const LITERAL: u32 = 1 << 31;
/// Neither a literal nor a length nor a distance.
pub const SPECIAL: u32 = 1 << 14;
/// Special: a second table.
pub const MORE: u32 = 1 << 13;
/// Special: the end of a block.
pub const END: u32 = 1 << 12;

/// What codes 257 and on are lengths from, and how many bits are added.
const LENGTHS: [(u16, u8); 29] = [
    (3, 0),
    (4, 0),
    (5, 0),
    (6, 0),
    (7, 0),
    (8, 0),
    (9, 0),
    (10, 0),
    (11, 1),
    (13, 1),
    (15, 1),
    (17, 1),
    (19, 2),
    (23, 2),
    (27, 2),
    (31, 2),
    (35, 3),
    (43, 3),
    (51, 3),
    (59, 3),
    (67, 4),
    (83, 4),
    (99, 4),
    (115, 4),
    (131, 5),
    (163, 5),
    (195, 5),
    (227, 5),
    (258, 0),
];

/// No code that a compressor makes, or codes that contradict one another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadCode;

/// The codes of a block.
pub struct Tables {
    /// Literals, the end, lengths.
    pub symbols: Box<[u32; SYMBOLS]>,
    /// Distances.
    pub distances: Box<[u32; DISTANCES]>,
    /// Entries for each code, before its bits are known.
    meanings: Box<([u32; SYMBOL_CODES], [u32; DISTANCE_CODES])>,
}

impl Default for Tables {
    fn default() -> Self {
        Self {
            symbols: Box::new([SPECIAL; SYMBOLS]),
            distances: Box::new([SPECIAL; DISTANCES]),
            meanings: Box::new((from_fn(symbol_meaning), from_fn(distance_meaning))),
        }
    }
}

impl Tables {
    /// Takes the codes of a block by their lengths in bits, 15 at most.
    ///
    /// # Errors
    /// They contradict one another, or leave bits without a meaning.
    pub fn set(&mut self, symbols: &[u8], distances: &[u8]) -> Result<(), BadCode> {
        build(&mut self.symbols[..], SYMBOL_BITS, symbols, &self.meanings.0)?;
        build(&mut self.distances[..], DISTANCE_BITS, distances, &self.meanings.1)
    }
}

fn symbol_meaning(code: usize) -> u32 {
    match u8::try_from(code) {
        Ok(byte) => LITERAL | u32::from(byte) << 16,
        Err(_) if code == END_CODE => SPECIAL | END,
        Err(_) => match LENGTHS.get(code - END_CODE - 1) {
            Some((from, added)) => number(*from, u32::from(*added)),
            None => SPECIAL,
        },
    }
}

/// Distances go on by a rule: each two codes add one bit more than the two before.
fn distance_meaning(code: usize) -> u32 {
    match u16::try_from(code) {
        Ok(code @ 0..=3) => number(code + 1, 0),
        Ok(code @ 4..=29) => {
            let added = u32::from(code) / 2 - 1;
            number(1 + ((2 + code % 2) << added), added)
        }
        _ => SPECIAL,
    }
}

fn number(from: u16, added: u32) -> u32 {
    u32::from(from) << 16 | added
}

/// The entry of a code of `length` bits: both what is skipped, and what is skipped before what is added.
fn entry(meaning: u32, length: u32) -> u32 {
    meaning + (length << 8 | length)
}

/// Fills `table`, the first part of which is indexed by `bits` bits, with the codes whose lengths
/// are `lengths`; `meanings` are their entries without the length.
///
/// # Errors
/// As [`Tables::set`]. One code of one bit is complete enough, and so is none: a block may have no
/// distance, or one. Bits that are no code are [`SPECIAL`].
pub fn build(
    table: &mut [u32],
    bits: u32,
    lengths: &[u8],
    meanings: &[u32],
) -> Result<(), BadCode> {
    let mut counts = [0_u16; LONGEST as usize + 1];
    for length in lengths {
        *counts.get_mut(usize::from(*length)).ok_or(BadCode)? += 1;
    }
    if !is_complete(&counts)? {
        table.get_mut(..1 << bits).ok_or(BadCode)?.fill(SPECIAL);
    }
    let sorted = by_length(&counts, lengths)?;
    let mut numbers = sorted.iter();
    let mut more = More { next: 1 << bits, at: 0, of: None };
    let mut code = 0_u32;
    for (length, count) in (1..=LONGEST).zip(counts.iter().skip(1)) {
        code <<= 1;
        if length <= bits {
            double(table, length);
        }
        for number in numbers.by_ref().take(usize::from(*count)) {
            let entry = entry(*meanings.get(usize::from(*number)).ok_or(BadCode)?, length);
            // The first bit of a code is its highest, and comes lowest.
            let comes = code.reverse_bits() >> (u32::BITS - length);
            code += 1;
            if length <= bits {
                *table.get_mut(comes as usize).ok_or(BadCode)? = entry;
            } else {
                let first = comes & ((1 << bits) - 1);
                let part = more.part(table, first, LONGEST - bits)?;
                let part =
                    table.get_mut(part..).and_then(|part| part.get_mut(..1 << (LONGEST - bits)));
                let places = part.ok_or(BadCode)?.iter_mut().skip((comes >> bits) as usize);
                places.step_by(1 << (length - bits)).for_each(|at| *at = entry);
            }
        }
    }
    Ok(())
}

/// Repeats the part of `table` that one bit less than `bits` indexes: what that bit says makes no
/// difference to the codes so far.
fn double(table: &mut [u32], bits: u32) {
    if let Some(part) = table.get_mut(..1 << bits) {
        part.copy_within(..1 << (bits - 1), 1 << (bits - 1));
    }
}

/// Whether all bits mean something. Source: RFC 1951, section 3.2.7, and zlib, for what is borne.
fn is_complete(counts: &[u16; LONGEST as usize + 1]) -> Result<bool, BadCode> {
    let (mut free, mut longest) = (1_u32, 0);
    for (length, count) in counts.iter().enumerate().skip(1) {
        free = (2 * free).checked_sub(u32::from(*count)).ok_or(BadCode)?;
        if *count > 0 {
            longest = length;
        }
    }
    if free > 0 && longest > 1 { Err(BadCode) } else { Ok(free == 0) }
}

/// The numbers of the codes, those of the shortest first, and those that have none last.
fn by_length(
    counts: &[u16; LONGEST as usize + 1],
    lengths: &[u8],
) -> Result<[u16; SYMBOL_CODES + DISTANCE_CODES], BadCode> {
    let mut places = [0_u16; LONGEST as usize + 1];
    let mut place = 0;
    let [none, some @ ..] = &mut places;
    for (at, count) in some.iter_mut().zip(counts.iter().skip(1)) {
        *at = place;
        place += count;
    }
    *none = place;
    let mut sorted = [0; SYMBOL_CODES + DISTANCE_CODES];
    for (number, length) in (0..).zip(lengths) {
        let place = places.get_mut(usize::from(*length)).ok_or(BadCode)?;
        *sorted.get_mut(usize::from(*place)).ok_or(BadCode)? = number;
        *place += 1;
    }
    Ok(sorted)
}

/// The second tables.
struct More {
    /// Where the next one begins.
    next: usize,
    /// Where the last one begins, and which entry of the first table leads there.
    at: usize,
    of: Option<u32>,
}

impl More {
    /// Where the second table of entry `first` begins; made, of `bits` bits, for its first code.
    fn part(&mut self, table: &mut [u32], first: u32, bits: u32) -> Result<usize, BadCode> {
        if self.of != Some(first) {
            self.of = Some(first);
            self.at = self.next;
            self.next += 1 << bits;
            let place = u32::try_from(self.at).map_err(|_| BadCode)?;
            *table.get_mut(first as usize).ok_or(BadCode)? = SPECIAL | MORE | place << 16;
        }
        Ok(self.at)
    }
}

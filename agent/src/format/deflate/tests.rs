//! Data of many kinds, whole, in pieces, from the middle and damaged; flate2 is the oracle.

use std::io::{Read as _, Write as _};

use flate2::{Compression, read::DeflateDecoder, write::DeflateEncoder};
use proptest::prelude::*;

use super::*;

fn compress(content: &[u8], level: u32) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::new(level));
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

/// The next number of a row that looks like chance, in its highest bits most.
fn next(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *seed
}

/// Words in an order by chance: much is repeated, from near and far.
fn words(count: usize, mut seed: u64) -> Vec<u8> {
    let mut text = Vec::new();
    for _ in 0..count {
        let [.., a, b] = next(&mut seed).to_le_bytes();
        write!(text, "{} ", u32::from(a) * u32::from(b) % 5003 * 7919).unwrap();
    }
    text
}

/// Inflates all of `data`, into outputs of `size` bytes at a time.
fn inflate(data: &[u8], size: usize) -> Result<Vec<u8>, Damaged> {
    let input = [data, &[0; MARGIN]].concat();
    let (mut inflater, mut bit, mut all) = (Inflater::default(), 0, Vec::new());
    let mut output = Output::<u8>::new(size);
    loop {
        let from = output.end;
        let stop = inflater.run(&input, &mut bit, &mut output)?;
        all.extend_from_slice(&output.symbols[from..output.end]);
        if stop == Stop::End && bit <= 8 * data.len() {
            return Ok(all);
        }
        if stop == Stop::Input || bit > 8 * data.len() {
            return Err(Damaged);
        }
        let kept = output.end - WINDOW;
        output.symbols.copy_within(kept..output.end, 0);
        (output.oldest, output.end) = (output.oldest.saturating_sub(kept), WINDOW);
    }
}

/// Where the blocks of `data` begin, but the first: the bit, and how many bytes come before.
fn blocks(data: &[u8]) -> Vec<(usize, usize)> {
    let input = [data, &[0; MARGIN]].concat();
    let (mut inflater, mut bit, mut begins) = (Inflater::default(), 0, Vec::new());
    let mut output = Output::<u8>::new(64 * data.len());
    while inflater.run(&input, &mut bit, &mut output) == Ok(Stop::Block) {
        begins.push((bit, output.end - WINDOW));
    }
    begins
}

#[test]
fn every_level_is_inflated() {
    for content in [words(30_000, 1), vec![7; 200_000], b"ab".repeat(70_000), Vec::new()] {
        for level in 0..=9 {
            let data = compress(&content, level);
            assert!(inflate(&data, 20_000).unwrap() == content, "{level}");
        }
    }
}

/// What is guessed from byte `from` of `data` on, of `at_a_time` blocks and then as many more: the bit
/// of its begin, and the one after it.
fn guess(
    data: &[u8],
    from: usize,
    at_a_time: usize,
    output: &mut Middle,
) -> Option<(usize, usize)> {
    let (input, mut guesser) = (&data[from..], Guesser::default());
    let (mut start, mut left) = (0, at_a_time);
    let found = |bit| {
        start = bit;
        true
    };
    let some = |left: &mut usize| {
        *left -= 1;
        *left > 0
    };
    let mut end = guesser.guess(input, output, found, || some(&mut left))?;
    loop {
        left = at_a_time;
        let before = end;
        end = guesser.go_on(input, before, output, || some(&mut left));
        if before == end {
            return Some((8 * from + start, 8 * from + end));
        }
    }
}

/// That what is guessed from anywhere on is what comes there in order; how many bytes that was, at most.
fn guess_everywhere(content: &[u8], room: (usize, usize)) -> usize {
    let data = compress(content, 6);
    let blocks = blocks(&data);
    let mut output = Middle::new(room.0, room.1);
    let (mut found, mut most) = (0, 0);
    for (from, at_a_time) in (1..data.len()).step_by(9_001).zip([1, 2, 1_000].into_iter().cycle()) {
        let Some((start, end)) = guess(&data, from, at_a_time, &mut output) else { continue };
        let Some(before) = blocks.iter().find_map(|(bit, at)| (*bit == start).then_some(*at))
        else {
            continue;
        };
        let (_, behind) = blocks.iter().find(|(bit, _)| *bit == end).unwrap();
        assert_eq!(output.size(), behind - before);
        if let Some(window) = before.checked_sub(WINDOW).map(|at| &content[at..before]) {
            output.comes_behind(window.first_chunk().unwrap());
            let mut bytes = vec![0; output.size()];
            for (at, piece) in (0..).step_by(7_001).zip(bytes.chunks_mut(7_001)) {
                output.put(at..at + piece.len(), piece);
            }
            assert!(bytes == content[before..*behind], "from bit {start}");
            found += 1;
            most = most.max(bytes.len());
        }
    }
    assert!(found >= 5, "{found} blocks found");
    most
}

#[test]
fn from_any_block_on_the_rest_is_inflated_when_the_start_is_known() {
    // What repeats from before the start is repeated up to the end.
    let content = words(200_000, 2);
    assert!(guess_everywhere(&content, (3 << 20, 0)) > content.len() / 2);
    assert!(guess_everywhere(&content, (300_000, 3 << 20)) <= 300_000);
}

#[test]
fn what_is_known_is_inflated_as_bytes() {
    let mut seed = 3_u64;
    let noise = (0..100_000).map(|_| b'0' + (next(&mut seed) >> 58) as u8);
    let content = [words(20_000, 4), noise.collect(), words(100_000, 5)].concat();
    // Room for the symbols up to somewhere in the noise.
    assert!(guess_everywhere(&content, (250_000, 3 << 20)) > content.len() / 2);
}

#[test]
fn what_repeats_from_before_the_start_is_damaged() {
    // The last block, of fixed codes: "a", three from two before, the end.
    let bits = "110".to_owned() + "10010001" + "0000001" + "00001" + "0000000";
    let bytes = bits.as_bytes().chunks(8);
    let byte = |bits: &[u8]| bits.iter().rev().fold(0, |byte, bit| byte << 1 | (bit & 1));
    let data: Vec<u8> = bytes.map(byte).collect();
    assert!(inflate(&data, 100).is_err());
    assert!(DeflateDecoder::new(&data[..]).read_to_end(&mut Vec::new()).is_err());
}

proptest! {
    #[test]
    fn whatever_comes_is_inflated_as_the_oracle_does(
        content in prop::collection::vec(0_u8..12, 0..6000),
        level in 0_u32..10,
        size in 1_usize..9000,
        damage in prop::collection::vec((any::<prop::sample::Index>(), 1_u8..), 0..3),
    ) {
        let mut data = compress(&content, level);
        for (at, bits) in damage {
            let at = at.index(data.len());
            data[at] ^= bits;
        }
        let mut theirs = Vec::new();
        let oracle = DeflateDecoder::new(&data[..]).read_to_end(&mut theirs);
        let ours = inflate(&data, size);
        prop_assert_eq!(ours.is_ok(), oracle.is_ok());
        if let Ok(ours) = ours {
            prop_assert!(ours == theirs);
        }
    }
}

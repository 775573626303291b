//! Data of many kinds, whole, in pieces, from the middle and damaged; flate2 is the oracle.

use std::io::{Read as _, Write as _};

use flate2::{Compression, read::DeflateDecoder, write::DeflateEncoder};
use proptest::prelude::*;

use super::search::find_block;
use super::*;

fn compress(content: &[u8], level: u32) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::new(level));
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

/// Words in an order by chance: much is repeated, from near and far.
fn words(count: usize, mut seed: u64) -> Vec<u8> {
    let mut text = Vec::new();
    for _ in 0..count {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let [.., a, b] = seed.to_le_bytes();
        write!(text, "{} ", u32::from(a) * u32::from(b) % 5003 * 7919).unwrap();
    }
    text
}

/// Inflates all of `data`, into outputs of `size` symbols at a time.
fn inflate<T: Symbol>(data: &[u8], size: usize, mut output: Output<T>) -> Result<Vec<T>, Damaged> {
    let input = [data, &[0; MARGIN]].concat();
    let (mut inflater, mut bit, mut all) = (Inflater::default(), 0, Vec::new());
    output.symbols.resize(WINDOW + size + ROOM, T::default());
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

#[test]
fn every_level_is_inflated() {
    for content in [words(30_000, 1), vec![7; 200_000], b"ab".repeat(70_000), Vec::new()] {
        for level in 0..=9 {
            let data = compress(&content, level);
            assert!(inflate(&data, 20_000, Output::<u8>::new(0)).unwrap() == content, "{level}");
        }
    }
}

#[test]
fn from_any_block_on_the_rest_is_inflated_when_the_start_is_known() {
    let content = words(200_000, 2);
    let data = compress(&content, 6);
    let (mut tables, mut from, mut found) = (Tables::default(), 1, 0);
    while let Some(start) = find_block(&data, from, &mut tables) {
        from = start + 1;
        // The start's bits go to the front of what is inflated from there.
        let byte = |bit: usize| {
            let two = [data[bit / 8], data.get(bit / 8 + 1).copied().unwrap_or(0)];
            (u16::from_le_bytes(two) >> (bit % 8)).to_le_bytes()[0]
        };
        let shifted: Vec<u8> = (start..8 * data.len()).step_by(8).map(byte).collect();
        let Ok(rest) = inflate(&shifted, 3 << 20, Output::of_the_middle(3 << 20)) else { continue };
        let before = content.len() - rest.len();
        assert!(before > WINDOW);
        let window = content[before - WINDOW..before].first_chunk().unwrap();
        let mut bytes = vec![0; rest.len()];
        Bytes::behind(window).resolve(&rest, &mut bytes);
        assert!(bytes == content[before..], "from bit {start}");
        assert!(rest.iter().any(|symbol| symbol & PLACE != 0));
        found += 1;
    }
    assert!(found >= 5, "{found} blocks found");
}

#[test]
fn what_repeats_from_before_the_start_is_damaged() {
    // The last block, of fixed codes: "a", three from two before, the end.
    let bits = "110".to_owned() + "10010001" + "0000001" + "00001" + "0000000";
    let bytes = bits.as_bytes().chunks(8);
    let byte = |bits: &[u8]| bits.iter().rev().fold(0, |byte, bit| byte << 1 | (bit & 1));
    let data: Vec<u8> = bytes.map(byte).collect();
    assert!(inflate(&data, 100, Output::<u8>::new(0)).is_err());
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
        let ours = inflate(&data, size, Output::<u8>::new(0));
        prop_assert_eq!(ours.is_ok(), oracle.is_ok());
        if let Ok(ours) = ours {
            prop_assert!(ours == theirs);
        }
    }
}

//! DEFLATE data of any bytes: inflated as flate2 does, in pieces of any length; and from the middle,
//! where what comes out is what comes in order.
#![no_main]

use std::cell::Cell;
use std::io::{BufReader, Read};

use flate2::bufread::DeflateDecoder;
use libfuzzer_sys::fuzz_target;
use rsinit::format::deflate::{Guesser, Inflater, Input, Middle, Output, Stop, WINDOW};

/// Most symbols that are made: a few bytes can say megabytes.
const LIMIT: usize = 1 << 16;

fuzz_target!(|bytes: &[u8]| {
    let size = usize::from(*bytes.first().unwrap_or(&0)) + 1;
    let data = bytes.get(1..).unwrap_or_default();
    let ours = inflate(data, size);
    let mut theirs = Vec::new();
    let mut oracle = DeflateDecoder::new(data);
    let whole = oracle.by_ref().take(LIMIT as u64).read_to_end(&mut theirs).is_ok();
    if let Some((ours, _)) = &ours {
        assert!(whole && *ours == theirs);
    } else if whole && theirs.len() < LIMIT - 300 {
        panic!("flate2 reads {} bytes", theirs.len());
    }
    guess(data, size);
});

/// Where blocks begin: the bit, and how many bytes came before.
type Blocks = Vec<(u64, usize)>;

/// All of it, and the bits at which blocks begin with what came before; `None` where it is damaged,
/// cut or too long.
fn inflate(data: &[u8], size: usize) -> Option<(Vec<u8>, Blocks)> {
    let mut output = Output::<u8>::new(LIMIT);
    let mut input = Input::new(BufReader::with_capacity(size, data));
    let (mut inflater, mut blocks) = (Inflater::default(), Vec::new());
    loop {
        match input.inflate(&mut inflater, &mut output) {
            Ok(Stop::Block) => blocks.push((input.at(), output.end - WINDOW)),
            Ok(Stop::End) => {
                let all = output.symbols.get(WINDOW..output.end).unwrap_or_default().to_vec();
                return Some((all, blocks));
            }
            _ => return None,
        }
    }
}

/// What is guessed from a block's begin on, of `most` blocks at most, equals what comes there in order.
fn guess(data: &[u8], most: usize) {
    let mut output = Middle::new(LIMIT, LIMIT);
    let (mut start, left) = (0, Cell::new(most));
    let found = |bit| {
        start = bit;
        true
    };
    let goes_on = || left.replace(left.get() - 1) > 1;
    let mut guesser = Guesser::default();
    let Some(end) = guesser.guess(data, &mut output, found, goes_on) else { return };
    let Some((all, blocks)) = inflate(data, 512) else { return };
    let Some((_, before)) = blocks.iter().find(|(at, _)| *at == start as u64) else { return };
    let guessed = blocks.iter().filter(|(at, _)| (start as u64..end as u64).contains(at)).count();
    assert!(guessed <= most);
    assert!(guesser.go_on(data, end, &mut output, || true) >= end);
    let mut window = [0; WINDOW];
    let kept = (*before).min(WINDOW);
    window[WINDOW - kept..].copy_from_slice(&all[before - kept..*before]);
    let mut bytes = vec![0; output.size()];
    output.comes_behind(&window);
    output.put(0..bytes.len(), &mut bytes);
    assert!(bytes == all[*before..before + bytes.len()]);
}

use std::io::Write as _;
use std::sync::mpsc::{Sender, channel};
use std::thread;

use super::help::{Claim, Lent};
use super::*;
use crate::format::gzip::{Members, Next, Part};

/// Lines of numbers in an order by chance, as gzip, and as they are.
fn stream(lines: u64) -> (Vec<u8>, Vec<u8>) {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
    let mut plain = Vec::new();
    let mut seed = 1_u64;
    for line in 0..lines {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(line | 1);
        writeln!(plain, "{} {}", seed >> 40, line % 1000).unwrap();
    }
    encoder.write_all(&plain).unwrap();
    (encoder.finish().unwrap(), plain)
}

/// Spans of `size` bytes, `at_once` of which are inflated at once before their turn.
fn spans(size: usize, at_once: usize) -> Arc<Spans> {
    Arc::new(Spans::new(Sizes { span: size, room: (6 * size, 6 * size), at_once }))
}

/// All that comes out in order, with what helpers have, of which `made` makes bytes.
fn read_in_order(
    spans: &Arc<Spans>,
    in_order: InOrder<'_>,
    made: impl Fn(Part<Lent>) -> Vec<u8>,
) -> io::Result<Vec<u8>> {
    let mut members = Members::with_help(in_order, Helped(Arc::clone(spans)), 100_000);
    let mut all = Vec::new();
    while let Some(next) = members.next(Vec::new)? {
        match next {
            Next::Block(block, from, end) => all.extend_from_slice(&block[from..end]),
            Next::Part(part) => all.extend(made(part)),
        }
    }
    Ok(all)
}

fn bytes(part: Part<Lent>) -> Vec<u8> {
    part.into_bytes(Vec::new())
}

/// The stream inflated, and how many guesses were right.
fn inflate(stream: &[u8], size: usize, helpers: usize) -> (io::Result<Vec<u8>>, u64) {
    inflate_by(stream, size, helpers, bytes)
}

fn inflate_by(
    stream: &[u8],
    size: usize,
    helpers: usize,
    made: impl Fn(Part<Lent>) -> Vec<u8>,
) -> (io::Result<Vec<u8>>, u64) {
    let spans = &spans(size, helpers);
    let (reading, in_order) = (Reading(spans), InOrder::new(spans));
    let result = thread::scope(|scope| {
        scope.spawn(move || reading.read(&mut &*stream));
        (0..helpers).for_each(|_| drop(scope.spawn(move || help(spans))));
        spans.wait(|state| have_helped(state, spans.depth).then_some(()));
        read_in_order(spans, in_order, made)
    });
    (result, spans.right())
}

/// Helps until there is no more, with a rest after every third block.
fn help(spans: &Spans) {
    let mut left = 0;
    loop {
        while spans.help(|| {
            left = (left + 2) % 3;
            left > 0
        }) {}
        let is_over = spans.wait(|state| {
            let is_free = state.spans.iter().skip(1).any(Span::is_free);
            let has_room = !state.outputs.is_empty();
            let is_over = state.is_over || state.is_ended && !is_free;
            (is_over || is_free && has_room).then_some(is_over)
        });
        if is_over {
            return;
        }
    }
}

/// Whether the helpers can do no more, as the one in order takes nothing over.
fn have_helped(state: &State, depth: usize) -> bool {
    let mut works = state.spans.iter().skip(1).map(|span| &span.work);
    let is_free = state.spans.iter().skip(1).any(Span::is_free);
    let is_at_work = works.any(|work| matches!(work, Work::Sought | Work::Found(_)));
    let is_read = state.is_ended || state.spans.len() == depth;
    is_read && !is_at_work && (!is_free || state.outputs.is_empty())
}

#[test]
fn what_helpers_inflate_is_taken_over() {
    let (stream, plain) = stream(200_000);
    for helpers in [0, 1, 3] {
        let (helped, right) = inflate(&stream, 64 << 10, helpers);
        assert!(helped.unwrap() == plain);
        let at_least = if helpers == 0 { 0 } else { helpers as u64 + 1 };
        assert!(right >= at_least, "{right} of {} by {helpers}", stream.len() >> 16);
    }
}

/// A span, as soon as there is one.
fn claimed(spans: &Spans) -> Claim<'_> {
    spans.wait(|state| (state.spans.len() > 1).then_some(()));
    spans.claim().unwrap()
}

/// The stream inflated in order, from when `helping`, which has a span, says so; how many guesses were
/// right.
fn inflate_beside(helping: impl FnOnce(&Spans, Claim<'_>, Sender<()>) + Send) -> u64 {
    let (stream, plain) = stream(60_000);
    let spans = &spans(64 << 10, 1);
    let (reading, in_order) = (Reading(spans), InOrder::new(spans));
    thread::scope(|scope| {
        let source = &stream;
        scope.spawn(move || reading.read(&mut &source[..]));
        let claim = claimed(spans);
        let (say, said) = channel();
        scope.spawn(move || helping(spans, claim, say));
        said.recv().unwrap();
        assert!(read_in_order(spans, in_order, bytes).unwrap() == plain);
    });
    spans.right()
}

#[test]
fn what_a_helper_has_so_far_is_taken_over() {
    let right = inflate_beside(|spans, mut claim, say| {
        let begin = claim.begin;
        // It has one block, and is no faster than the one in order, who comes meanwhile.
        claim.inflate(|| {
            say.send(()).unwrap();
            while spans.lock().goes_on(begin) {
                thread::yield_now();
            }
            false
        });
        assert!(claim.done.is_some());
    });
    assert_eq!(right, 1);
}

#[test]
fn a_helper_that_is_still_looking_is_not_waited_for() {
    let right = inflate_beside(|spans, mut claim, say| {
        say.send(()).unwrap();
        let begin = claim.begin;
        spans.wait(|state| (!matches!(state.work(begin), Some(Work::Sought))).then_some(()));
        claim.inflate(|| true);
        assert!(claim.done.is_none(), "nobody wants it any more");
    });
    assert_eq!(right, 0);
}

#[test]
fn several_members_are_inflated_with_help() {
    let parts = [stream(40_000), stream(3), stream(60_000)];
    let streams = parts.each_ref().map(|part| &part.0[..]).concat();
    let plain = parts.each_ref().map(|part| &part.1[..]).concat();
    let (all, right) = inflate(&streams, 64 << 10, 2);
    assert!(all.unwrap() == plain);
    assert!(right > 0);
}

#[test]
fn a_part_that_is_given_up_is_no_end() {
    let (stream, _) = stream(60_000);
    let given_up = |_| Vec::new();
    let error = inflate_by(&stream, 64 << 10, 2, given_up).0.unwrap_err();
    assert_eq!(error.to_string(), "a part of the gzip stream was given up");
}

#[test]
fn damage_is_found_with_help_as_without() {
    let (good, plain) = stream(60_000);
    for at in (1..8).map(|n| good.len() / 8 * n + n) {
        for bits in [0x01, 0x3c] {
            let mut stream = good.clone();
            stream[at] ^= bits;
            let error = inflate(&stream, 64 << 10, 2).0.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "byte {at}: {error}");
        }
        let error = inflate(&good[..at], 64 << 10, 2).0.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "cut at {at}: {error}");
    }
    assert!(inflate(&good, 64 << 10, 2).0.unwrap() == plain);
}

#[test]
fn a_source_that_fails_is_no_end() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("broken"))
        }
    }
    let (stream, _) = stream(10_000);
    let spans = &spans(16 << 10, 1);
    let (reading, in_order) = (Reading(spans), InOrder::new(spans));
    let source = &mut stream[..stream.len() / 2].chain(Broken);
    thread::scope(|scope| {
        let reading = scope.spawn(move || reading.read(source));
        scope.spawn(move || help(spans));
        let error = read_in_order(spans, in_order, bytes).unwrap_err();
        assert!(error.get_ref().unwrap().is::<Gone>());
        assert_eq!(reading.join().unwrap().unwrap_err().to_string(), "broken");
    });
}

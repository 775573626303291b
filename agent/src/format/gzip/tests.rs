//! gzip streams, whole, cut and damaged; flate2's own reader is the oracle.

use std::io::Write as _;

use flate2::bufread::MultiGzDecoder;
use flate2::{Compression, GzBuilder};
use proptest::prelude::*;

use super::*;

/// Gives at most `.1` bytes at a time.
struct Slow<'a>(&'a [u8], usize);

impl Read for Slow<'_> {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        let count = target.len().min(self.1);
        self.0.read(&mut target[..count])
    }
}

fn member(content: &[u8], builder: GzBuilder) -> Vec<u8> {
    let mut encoder = builder.write(Vec::new(), Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn text(length: usize) -> Vec<u8> {
    b"the root image ".iter().copied().cycle().take(length).collect()
}

fn read(stream: impl BufRead) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    Members::new(stream).read_to_end(&mut content).map(|_| content)
}

/// Flags and header fields of every kind, and the CRC of a header that has them.
fn with_header_crc(content: &[u8]) -> Vec<u8> {
    let builder = GzBuilder::new().extra("xy").filename("image.img").comment("made\nby hand");
    let plain = member(content, builder.mtime(7));
    let at = 10 + 2 + 2 + "image.img".len() + 1 + "made\nby hand".len() + 1;
    let (header, rest) = plain.split_at(at);
    let mut header = header.to_vec();
    header[3] |= FHCRC;
    let sum = crc32fast::hash(&header).to_le_bytes();
    [&header, &sum[..2], rest].concat()
}

#[test]
fn headers_of_every_kind_are_read() {
    let stream = with_header_crc(b"content");
    assert_eq!(read(&stream[..]).unwrap(), b"content");
    for at in 0..stream.len() - b"content".len() - 8 {
        let mut wrong = stream.clone();
        wrong[at] ^= 0x40;
        assert!(read(&wrong[..]).is_err(), "byte {at} turned over");
    }
}

#[test]
fn members_follow_one_another_and_may_be_empty() {
    let parts = [text(1_000_000), Vec::new(), text(10)];
    let stream: Vec<u8> =
        parts.iter().flat_map(|part| member(part, GzBuilder::new().filename("x"))).collect();
    for size in [1, 7, 4096] {
        let slow = io::BufReader::with_capacity(size, Slow(&stream, size));
        assert!(read(slow).unwrap() == parts.concat(), "{size} bytes at a time");
    }
}

#[test]
fn a_stream_that_is_cut_anywhere_is_an_error() {
    let stream = with_header_crc(&text(2000));
    for end in 0..stream.len() {
        let error = read(&stream[..end]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "cut at {end}: {error}");
    }
}

#[test]
fn what_does_not_agree_is_named() {
    let stream = member(b"content", GzBuilder::new());
    let end = stream.len();
    let wrong = |at: usize| {
        let mut wrong = stream.clone();
        wrong[at] ^= 1;
        read(&wrong[..]).unwrap_err().to_string()
    };
    let crc = crc32fast::hash(b"content");
    assert_eq!(
        wrong(end - 8),
        format!("corrupt gzip stream: CRC {crc:08x}, where {:08x} is promised", crc ^ 1)
    );
    assert_eq!(wrong(end - 4), "corrupt gzip stream: 7 bytes modulo 4 GiB, where 6 are promised");
    assert_eq!(wrong(0), "corrupt gzip stream: 0x1e where a member begins with 1f 8b 08");
    let more = [&stream[..], b"\0"].concat();
    let error = read(&more[..]).unwrap_err().to_string();
    assert_eq!(error, "corrupt gzip stream: 0x00 where a member begins with 1f 8b 08");
}

#[test]
fn the_sources_own_error_comes_through() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::new(io::ErrorKind::ConnectionReset, "the line is dead"))
        }
    }
    let stream = member(&text(20_000), GzBuilder::new());
    let source = io::BufReader::new(stream[..stream.len() / 2].chain(Broken));
    assert_eq!(read(source).unwrap_err().to_string(), "the line is dead");
}

proptest! {
    #[test]
    fn whatever_comes_is_read_as_the_oracle_reads_it(
        parts in prop::collection::vec(prop::collection::vec(0_u8..4, 0..3000), 1..4),
        size in 1_usize..500,
        damage in prop::option::of((any::<prop::sample::Index>(), 1_u8..)),
    ) {
        let mut stream: Vec<u8> =
            parts.iter().flat_map(|part| member(part, GzBuilder::new())).collect();
        if let Some((at, bits)) = damage {
            let at = at.index(stream.len());
            stream[at] ^= bits;
        }
        let ours = read(io::BufReader::with_capacity(size, &stream[..]));
        let mut theirs = Vec::new();
        let oracle = MultiGzDecoder::new(&stream[..]).read_to_end(&mut theirs);
        match (ours, oracle) {
            (Ok(ours), oracle) => {
                prop_assert!(oracle.is_ok());
                prop_assert!(ours == theirs);
            }
            (Err(_), _) => prop_assert!(damage.is_some()),
        }
    }
}

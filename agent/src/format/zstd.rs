//! Zstandard streams of one frame or several. Source: RFC 8878.

use std::io::{self, BufRead, Read};

use zstd::stream::read::Decoder;

/// The frames of a stream, uncompressed; each frame's checksum is compared where it has one.
pub struct Frames<R: BufRead>(Decoder<'static, Noting<R>>);

/// Keeps the error that the source gave, to tell it from the decoder's own.
struct Noting<R> {
    inner: R,
    error: Option<io::Error>,
}

impl<R: BufRead> BufRead for Noting<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let Self { inner, error: noted } = self;
        inner.fill_buf().map_err(|error| {
            let kind = error.kind();
            *noted = Some(error);
            kind.into()
        })
    }

    fn consume(&mut self, amount: usize) {
        self.inner.consume(amount);
    }
}

impl<R: BufRead> Read for Noting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.fill_buf()?.read(buffer)?;
        self.consume(got);
        Ok(got)
    }
}

impl<R: BufRead> Frames<R> {
    /// Reads the frames of `source` to its end.
    ///
    /// # Errors
    /// `ENOMEM` where the decoder gets no memory.
    pub fn new(source: R) -> io::Result<Self> {
        Ok(Self(Decoder::with_buffer(Noting { inner: source, error: None })?))
    }
}

impl<R: BufRead> Read for Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer).map_err(|how| {
            let damaged = || {
                let text = format!("corrupt zstd stream: {how}");
                io::Error::new(io::ErrorKind::InvalidData, text)
            };
            self.0.get_mut().error.take().unwrap_or_else(damaged)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn text(length: usize) -> Vec<u8> {
        b"the root image ".repeat(length / 15 + 1).into_iter().take(length).collect()
    }

    fn frame(content: &[u8]) -> Vec<u8> {
        let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
        encoder.include_checksum(true).unwrap();
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    fn read(stream: &[u8]) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        Frames::new(stream)?.read_to_end(&mut content).map(|_| content)
    }

    #[test]
    fn frames_follow_one_another_and_skippable_ones_are_skipped() {
        let (first, second) = (text(1_000_000), text(10));
        let mut stream = frame(&first);
        stream.extend([0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3]);
        stream.extend(frame(&second));
        assert_eq!(read(&stream).unwrap(), [first, second].concat());
    }

    #[test]
    fn a_stream_that_is_cut_anywhere_is_an_error() {
        let stream = frame(&text(20_000));
        for end in 1..stream.len() {
            assert!(read(&stream[..end]).is_err(), "cut at {end} of {}", stream.len());
        }
    }

    #[test]
    fn a_byte_that_is_wrong_is_an_error_or_changes_nothing() {
        let content = text(20_000);
        let stream = frame(&content);
        for at in 0..stream.len() {
            let mut wrong = stream.clone();
            wrong[at] ^= 1;
            if let Ok(read) = read(&wrong) {
                assert_eq!(read, content, "byte {at} turned over");
            }
        }
    }

    #[test]
    fn the_sources_own_error_comes_through() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::new(io::ErrorKind::ConnectionReset, "the line is dead"))
            }
        }
        let stream = frame(&text(20_000));
        let source = io::BufReader::new(stream[..stream.len() / 2].chain(Broken));
        let error = Frames::new(source).unwrap().read_to_end(&mut Vec::new()).unwrap_err();
        assert_eq!(error.to_string(), "the line is dead");
    }
}

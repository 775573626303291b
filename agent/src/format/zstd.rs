//! Zstandard streams of one frame or several. Source: RFC 8878.

use std::io::{self, BufRead, Read};

use zstd::stream::read::Decoder;
use zstd::zstd_safe::get_error_name;

/// What the decoder answers for a window that it gives no memory to, as its functions return it:
/// `ZSTD_error_frameParameter_windowTooLarge` of zstd_errors.h.
const WINDOW_TOO_LARGE: usize = 16_usize.wrapping_neg();

/// Why a stream is none that can be read.
#[derive(Debug, thiserror::Error)]
enum Error {
    /// As `zstd --long=28` and more write, which `zstd -d` does not read either.
    #[error("zstd stream with a window of more than 128 MiB: compress it with --long=27 or less")]
    Window,
    /// What the decoder says of everything else.
    #[error("corrupt zstd stream: {0}")]
    Corrupt(io::Error),
}

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
            let ours = self.0.get_mut().error.take();
            ours.unwrap_or_else(|| io::Error::new(io::ErrorKind::InvalidData, explain(how)))
        })
    }
}

fn explain(how: io::Error) -> Error {
    if how.to_string() == get_error_name(WINDOW_TOO_LARGE) {
        return Error::Window;
    }
    Error::Corrupt(how)
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
    fn a_window_that_is_too_large_is_no_damage() {
        // No content size, a window of 128 MiB or one of 144 MiB, and an empty raw block, the last.
        let frame = |window| [0x28, 0xb5, 0x2f, 0xfd, 0, window, 1, 0, 0];
        assert_eq!(read(&frame(0x88)).unwrap(), b"");
        let error = read(&frame(0x89)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert_eq!(error.to_string(), Error::Window.to_string());
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

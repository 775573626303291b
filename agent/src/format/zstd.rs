//! Zstandard streams of one frame or several. Source: RFC 8878.

use std::io::{self, BufRead, Read};

use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

/// Uncompressed bytes that are decoded at a time.
const BLOCK: usize = 256 << 10;

/// The frames of a stream, uncompressed; each frame's checksum is compared where it has one.
pub struct Frames<R> {
    source: Noting<R>,
    decoder: FrameDecoder,
    /// Whether a frame has begun whose last byte has not been read.
    in_frame: bool,
}

/// Keeps the error that the source gave: the decoder's own would only quote it.
struct Noting<R> {
    inner: R,
    error: Option<io::Error>,
}

impl<R: Read> Read for Noting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buffer).map_err(|error| {
            let kind = error.kind();
            if kind != io::ErrorKind::Interrupted {
                self.error = Some(error);
            }
            kind.into()
        })
    }
}

impl<R: BufRead> Frames<R> {
    /// Reads the frames of `source` to its end.
    pub fn new(source: R) -> Self {
        let source = Noting { inner: source, error: None };
        Self { source, decoder: FrameDecoder::new(), in_frame: false }
    }

    /// Begins the next frame; false where there is none.
    fn begin_frame(&mut self) -> io::Result<bool> {
        while !self.source.inner.fill_buf()?.is_empty() {
            match self.decoder.reset(&mut self.source) {
                Ok(()) => return Ok(true),
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    let length = u64::from(length);
                    let skipped =
                        io::copy(&mut (&mut self.source.inner).take(length), &mut io::sink())?;
                    if skipped < length {
                        return Err(damaged("the stream ends in a skippable frame"));
                    }
                }
                Err(error) => return Err(self.cause(error)),
            }
        }
        Ok(false)
    }

    /// The frame's last byte has been read: does its checksum agree?
    fn end_frame(&mut self) -> io::Result<()> {
        self.in_frame = false;
        let stored = self.decoder.get_checksum_from_data();
        if stored.is_some() && stored != self.decoder.get_calculated_checksum() {
            return Err(damaged("the checksum does not agree"));
        }
        Ok(())
    }

    fn cause(&mut self, error: FrameDecoderError) -> io::Error {
        self.source.error.take().unwrap_or_else(|| damaged(error))
    }
}

fn damaged(how: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("corrupt zstd stream: {how}"))
}

impl<R: BufRead> Read for Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            if !self.in_frame {
                if !self.begin_frame()? {
                    return Ok(0);
                }
                self.in_frame = true;
            }
            let got = self.decoder.read(buffer)?;
            if got > 0 {
                return Ok(got);
            }
            if self.decoder.is_finished() {
                self.end_frame()?;
            } else {
                let some = BlockDecodingStrategy::UptoBytes(BLOCK);
                let decoded = self.decoder.decode_blocks(&mut self.source, some);
                decoded.map_err(|error| self.cause(error))?;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};

    use super::*;

    fn text(length: usize) -> Vec<u8> {
        b"the root image ".repeat(length / 15 + 1).into_iter().take(length).collect()
    }

    fn frame(content: &[u8]) -> Vec<u8> {
        compress_to_vec(content, CompressionLevel::Fastest)
    }

    fn read(stream: &[u8]) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        Frames::new(stream).read_to_end(&mut content).map(|_| content)
    }

    #[test]
    fn frames_follow_one_another_and_skippable_ones_are_skipped() {
        let (first, second) = (text(1_000_000), text(10));
        let mut stream = frame(&first);
        stream.extend([0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3]);
        stream.extend(frame(&second));
        assert_eq!(read(&stream).unwrap(), [first, second].concat());
        assert!(read(&[]).unwrap().is_empty());
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
        let error = Frames::new(source).read_to_end(&mut Vec::new()).unwrap_err();
        assert_eq!(error.to_string(), "the line is dead");
    }
}

//! Compressed streams, told apart by their first bytes.
//!
//! Sources: RFC 1952 (gzip), RFC 8878 (Zstandard), and the kernel's
//! `buffer-format.rst` for cpio's own first bytes.

use std::io::{self, BufRead, Read};

use super::gzip::Members;
use super::zstd::Frames;

/// First bytes that tell the forms apart.
const NEEDED: usize = 6;

/// The form of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A cpio archive as it is.
    Raw,
    /// gzip, of one member or several.
    Gzip,
    /// Zstandard.
    Zstd,
}

/// A stream whose first bytes are of no known form.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say what the fields are")]
pub enum Error {
    /// The stream broke before it could be told.
    #[error(transparent)]
    Source(#[from] io::Error),
    /// Not one byte came.
    #[error("the archive is empty: 0 bytes")]
    Empty,
    /// Something else, as the HTML page of a proxy.
    #[error("neither a cpio (newc) archive nor gzip nor zstd: it starts with \"{}\"", start.escape_ascii())]
    Unknown { start: Vec<u8> },
}

/// Tells the form from the first bytes, of which there should be at least six.
///
/// # Errors
/// There are none, or they are of no known form.
pub fn sniff(start: &[u8]) -> Result<Form, Error> {
    match start {
        [] => Err(Error::Empty),
        [0x1f, 0x8b, ..] => Ok(Form::Gzip),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Ok(Form::Zstd),
        [b'0', b'7', b'0', b'7', b'0', b'1' | b'2', ..] => Ok(Form::Raw),
        other => {
            let start = other.get(..other.len().min(16)).unwrap_or(other).to_vec();
            Err(Error::Unknown { start })
        }
    }
}

/// Reads `source` uncompressed, whatever form it has.
///
/// The reader ends only where the compressed stream's own checks agree: gzip's CRC and length,
/// zstd's checksum, and nothing but further members or frames after them.
///
/// # Errors
/// The first bytes are of no form that can be read.
pub fn open<'a>(mut source: impl BufRead + Send + 'a) -> Result<Box<dyn Read + Send + 'a>, Error> {
    let mut start = Vec::new();
    while start.len() < NEEDED {
        let available = source.fill_buf()?;
        let Some(byte) = available.first() else { break };
        // In practice the first read brings all of them; a byte at a time is right for any other.
        if start.is_empty() && available.len() >= NEEDED {
            let form = sniff(available)?;
            return decoder(form, source);
        }
        start.push(*byte);
        source.consume(1);
    }
    let form = sniff(&start)?;
    decoder(form, io::Cursor::new(start).chain(source))
}

fn decoder<'a>(
    form: Form,
    source: impl BufRead + Send + 'a,
) -> Result<Box<dyn Read + Send + 'a>, Error> {
    Ok(match form {
        Form::Raw => Box::new(source),
        Form::Gzip => Box::new(Members::new(source)),
        Form::Zstd => Box::new(Frames::new(source)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives one byte a read, as the worst of networks.
    struct Slow<'a>(&'a [u8]);

    impl Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = buffer.len().min(1);
            self.0.read(&mut buffer[..count])
        }
    }

    #[test]
    fn the_form_is_told_however_the_bytes_come() {
        let gz = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        for (bytes, length) in [(&b"070701 and more"[..], 15), (&gz[..], 0)] {
            let source = io::BufReader::with_capacity(1, Slow(bytes));
            let mut out = Vec::new();
            open(source).unwrap().read_to_end(&mut out).unwrap();
            assert_eq!(out.len(), length);
        }
    }

    #[test]
    fn too_short_is_no_form() {
        assert!(matches!(sniff(b""), Err(Error::Empty)));
        for bytes in [&b"0"[..], b"07070", b"\x1f", b"070703"] {
            assert!(matches!(sniff(bytes), Err(Error::Unknown { .. })));
        }
        assert_eq!(sniff(b"070702").unwrap(), Form::Raw);
        let long = vec![b'<'; 9999];
        assert!(sniff(&long).unwrap_err().to_string().len() < 200);
    }
}

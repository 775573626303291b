//! The floor under every unpacking of gzip: the same inflater and the same sum as rsinit's, from
//! the page cache to nowhere.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use flate2::bufread::DeflateDecoder;

/// Bytes taken from the file, and given by the inflater, at a time.
const BLOCK: usize = 512 * 1024;

/// Inflates `path`, one member as gzip(1) makes it, and drops what comes out; returns how many
/// bytes that were.
///
/// # Errors
/// The file cannot be read or is damaged.
pub fn inflate(path: &Path) -> Result<u64> {
    let read = || {
        let mut source = BufReader::with_capacity(BLOCK, File::open(path)?);
        skip_header(&mut source)?;
        inflate_member(source)
    };
    read().with_context(|| format!("inflating {}", path.display()))
}

/// Source: RFC 1952, section 2.3. gzip(1) gives a name at most.
fn skip_header(source: &mut impl BufRead) -> Result<()> {
    const FNAME: u8 = 8;
    let mut header = [0; 10];
    source.read_exact(&mut header)?;
    ensure!(header.starts_with(&[0x1f, 0x8b, 8]), "no gzip header");
    let [.., flags, _, _, _, _, _, _] = header;
    ensure!(flags & !FNAME == 0, "flags {flags:#x} that gzip(1) does not set");
    if flags & FNAME != 0 {
        source.read_until(0, &mut Vec::new())?;
    }
    Ok(())
}

fn inflate_member(source: impl BufRead) -> Result<u64> {
    let mut decoder = DeflateDecoder::new(source);
    let mut block = vec![0; BLOCK];
    let (mut total, mut sum) = (0_u64, crc32fast::Hasher::new());
    loop {
        let count = decoder.read(&mut block)?;
        if count == 0 {
            break;
        }
        sum.update(block.get(..count).unwrap_or_default());
        total += u64::try_from(count)?;
    }
    let mut trailer = [[0; 4]; 2];
    let mut source = decoder.into_inner();
    for word in &mut trailer {
        source.read_exact(word)?;
    }
    let [crc, length] = trailer.map(u32::from_le_bytes);
    ensure!(crc == sum.finalize() && u64::from(length) == total % (1 << 32), "CRC or length");
    ensure!(source.fill_buf()?.is_empty(), "more than one member");
    Ok(total)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_member_is_inflated_and_compared() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let builder = flate2::GzBuilder::new().filename("image.img");
        let mut encoder = builder.write(file.as_file_mut(), flate2::Compression::fast());
        encoder.write_all(b"one three").unwrap();
        encoder.finish().unwrap();
        assert_eq!(inflate(file.path()).unwrap(), 9);
        file.write_all(b"x").unwrap();
        assert!(inflate(file.path()).is_err());
    }

    #[test]
    fn damage_is_an_error_with_the_path() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"\x1f\x8b\x08\x00cut").unwrap();
        let error = inflate(file.path()).unwrap_err();
        assert!(error.to_string().starts_with("inflating /"), "{error}");
    }
}

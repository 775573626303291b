//! The floor under every unpacking of gzip: the same inflater as rsinit's, from the page
//! cache to nowhere.

use std::fs::File;
use std::io::{BufReader, Read as _};
use std::path::Path;

use anyhow::{Context as _, Result};
use flate2::bufread::MultiGzDecoder;

/// Bytes taken from the file, and given by the inflater, at a time.
const BLOCK: usize = 128 * 1024;

/// Inflates `path` and drops what comes out; returns how many bytes that were.
///
/// # Errors
/// The file cannot be read or is damaged.
pub fn inflate(path: &Path) -> Result<u64> {
    let file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
    let mut decoder = MultiGzDecoder::new(BufReader::with_capacity(BLOCK, file));
    let mut block = vec![0; BLOCK];
    let mut total = 0_u64;
    loop {
        let count =
            decoder.read(&mut block).with_context(|| format!("inflating {}", path.display()))?;
        if count == 0 {
            return Ok(total);
        }
        total += u64::try_from(count)?;
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn every_member_is_inflated() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        for part in [&b"one"[..], b"three"] {
            let mut encoder =
                flate2::write::GzEncoder::new(file.as_file_mut(), flate2::Compression::fast());
            encoder.write_all(part).unwrap();
            encoder.finish().unwrap();
        }
        assert_eq!(inflate(file.path()).unwrap(), 8);
    }

    #[test]
    fn damage_is_an_error_with_the_path() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"\x1f\x8b\x08\x00cut").unwrap();
        let error = inflate(file.path()).unwrap_err();
        assert!(error.to_string().starts_with("inflating /"), "{error}");
    }
}

//! A whole archive in memory, as a small overlay is: checked, or searched for a few files.

use std::borrow::Cow;
use std::io::{BufRead, BufReader};

use super::{compression, cpio};

/// Longest file that is read out of an archive, in bytes. Settings and profiles are far smaller.
const FILE_LIMIT: u32 = 16 << 20;

/// Uncompressed bytes read at a time.
const BLOCK: usize = 64 << 10;

/// A file of an archive: its name and its content.
pub type File = (Vec<u8>, Vec<u8>);

/// Why an archive cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its form is not known.
    #[error(transparent)]
    Form(#[from] compression::Error),
    /// It is not a sound archive.
    #[error(transparent)]
    Cpio(#[from] cpio::Error),
    /// An entry's name leads out of the root.
    #[error("{0:?}: {1}")]
    Name(String, BadPath),
}

/// Reads `archive` to its end: every header, checksum and trailer. Returns its uncompressed bytes.
///
/// # Errors
/// What is wrong with it first.
pub fn check(archive: &[u8]) -> Result<u64, Error> {
    let source = compression::open(archive)?;
    let mut reader = cpio::Reader::new(BufReader::with_capacity(BLOCK, source));
    while reader.next_entry()?.is_some() {}
    Ok(reader.offset())
}

/// What an archive holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// Entries, trailers not counted.
    pub entries: u64,
    /// Bytes, uncompressed.
    pub bytes: u64,
}

/// As [`check`], for an archive that comes from a stream; refuses the names that unpacking
/// refuses, and shows the others to `look`.
///
/// # Errors
/// What is wrong with it first.
pub fn read_through(
    archive: impl BufRead + Send,
    mut look: impl FnMut(&[u8]),
) -> Result<Summary, Error> {
    let source = compression::open(archive)?;
    let mut reader = cpio::Reader::new(BufReader::with_capacity(BLOCK, source));
    let mut entries = 0;
    while let Some(entry) = reader.next_entry()? {
        let path = path_below_root(&entry.name);
        look(&path.map_err(|cause| Error::Name(lossy(&entry.name), cause))?);
        entries += 1;
    }
    Ok(Summary { entries, bytes: reader.offset() })
}

fn lossy(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}

/// The regular files of `archive` whose name `wanted` says yes to: names as [`path_below_root`] has
/// them, and contents, in the archive's order. Of two with one name, the later counts.
///
/// # Errors
/// What is wrong with the archive; or a wanted file is longer than 16 MiB.
pub fn find_files(archive: &[u8], wanted: impl Fn(&[u8]) -> bool) -> Result<Vec<File>, Error> {
    let source = compression::open(archive)?;
    let mut reader = cpio::Reader::new(BufReader::with_capacity(BLOCK, source));
    let mut found: Vec<File> = Vec::new();
    while let Some(entry) = reader.next_entry()? {
        let Ok(name) = path_below_root(&entry.name) else { continue };
        if entry.kind == cpio::Kind::Regular && wanted(&name) {
            let content = reader.read_data(FILE_LIMIT)?;
            found.retain(|(earlier, _)| *earlier != *name);
            found.push((name.into_owned(), content));
        }
    }
    Ok(found)
}

/// Why an entry's name is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadPath {
    /// It starts with `/`.
    #[error("the archive names it by an absolute path")]
    Absolute,
    /// A component of it is `..`.
    #[error("its name has a component \"..\"")]
    Upwards,
}

/// An entry's name as a path below the root: without `.`, empty components and a slash at the
/// end. Empty: the root itself.
///
/// # Errors
/// It could name something outside the root.
pub fn path_below_root(name: &[u8]) -> Result<Cow<'_, [u8]>, BadPath> {
    if name.starts_with(b"/") {
        return Err(BadPath::Absolute);
    }
    let mut plain = true;
    for part in name.split(|byte| *byte == b'/') {
        match part {
            b".." => return Err(BadPath::Upwards),
            b"" | b"." => plain = false,
            _ => {}
        }
    }
    if plain {
        return Ok(Cow::Borrowed(name));
    }
    let parts = name.split(|byte| *byte == b'/').filter(|part| !matches!(*part, b"" | b"."));
    Ok(Cow::Owned(parts.collect::<Vec<_>>().join(&b'/')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_made_plain() {
        let plain = |name: &[u8]| path_below_root(name).unwrap().into_owned();
        assert_eq!(plain(b"a/b"), b"a/b");
        assert_eq!(plain(b"./a//b/./c/"), b"a/b/c");
        assert_eq!(plain(b"."), b"");
        assert_eq!(plain(b"..a/b.."), b"..a/b..");
    }

    #[test]
    fn paths_out_of_the_root_are_refused() {
        for name in [&b".."[..], b"../a", b"a/../b", b"a/..", b"./.."] {
            assert_eq!(path_below_root(name), Err(BadPath::Upwards));
        }
        assert_eq!(path_below_root(b"/etc/passwd"), Err(BadPath::Absolute));
        assert_eq!(path_below_root(b"//x"), Err(BadPath::Absolute));
    }

    fn archive(files: &[(&str, &str)]) -> Vec<u8> {
        let inputs = files.iter().map(|(name, text)| {
            let text = std::io::Cursor::new(text.as_bytes().to_vec());
            (::cpio::newc::Builder::new(name).mode(0o100_644), text)
        });
        ::cpio::write_cpio(inputs, Vec::new()).unwrap()
    }

    #[test]
    fn files_are_found_whatever_the_compression() {
        let raw = archive(&[("./etc/mkdisk/mkdisk.conf", "A=1"), ("etc/x", ""), ("etc/y", "2")]);
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut gz, &raw).unwrap();
        for bytes in [raw, gz.finish().unwrap()] {
            let found = find_files(&bytes, |name| name != b"etc/x").unwrap();
            let expected = [("etc/mkdisk/mkdisk.conf", "A=1"), ("etc/y", "2")];
            assert_eq!(
                found,
                expected.map(|(a, b)| (a.as_bytes().to_vec(), b.as_bytes().to_vec()))
            );
            assert!(check(&bytes).is_ok());
            assert!(check(&bytes[..bytes.len() - 150.min(bytes.len() / 2)]).is_err());
        }
    }

    #[test]
    fn what_is_no_archive_is_told_by_its_first_bytes() {
        let error = check(b"<html>not found</html>").unwrap_err().to_string();
        assert_eq!(
            error,
            "neither a cpio (newc) archive nor gzip nor zstd: it starts with \"<html>not found<\""
        );
        assert!(check(b"").unwrap_err().to_string().contains("empty"));
        assert!(check(b"\x28\xb5\x2f\xfd0000").unwrap_err().to_string().contains("zstd"));
    }
}

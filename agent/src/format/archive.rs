//! A whole archive in memory, as a small overlay is: checked, or searched for a few files.

use std::io::BufReader;

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

/// The regular files of `archive` whose name `wanted` says yes to: names as [`relative_name`] has
/// them, and contents, in the archive's order. Of two with one name, the later counts.
///
/// # Errors
/// What is wrong with the archive; or a wanted file is longer than 16 MiB.
pub fn find_files(archive: &[u8], wanted: impl Fn(&[u8]) -> bool) -> Result<Vec<File>, Error> {
    let source = compression::open(archive)?;
    let mut reader = cpio::Reader::new(BufReader::with_capacity(BLOCK, source));
    let mut found: Vec<File> = Vec::new();
    while let Some(entry) = reader.next_entry()? {
        let name = relative_name(&entry.name);
        if entry.kind == cpio::Kind::Regular && wanted(name) {
            let content = reader.read_data(FILE_LIMIT)?;
            found.retain(|(earlier, _)| earlier != name);
            found.push((name.to_vec(), content));
        }
    }
    Ok(found)
}

/// An entry's name without a leading `./`.
pub fn relative_name(name: &[u8]) -> &[u8] {
    let mut name = name;
    while let Some(rest) = name.strip_prefix(b"./") {
        name = rest;
    }
    name
}

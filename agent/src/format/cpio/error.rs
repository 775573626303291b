//! What can be wrong with an archive.

use std::io;

/// Why an archive cannot be read. Offsets count bytes of the uncompressed stream.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say what the fields are")]
pub enum Error {
    /// The stream under the archive broke: its own error says how.
    #[error(transparent)]
    Source(#[from] io::Error),
    /// Neither `070701` nor `070702` where a header must be.
    #[error("not a cpio (newc) header at byte {offset}: \"{}\"", found.escape_ascii())]
    BadMagic { offset: u64, found: Vec<u8> },
    /// A field is not eight hexadecimal digits.
    #[error("header at byte {offset}: the {field} \"{}\" is not a number", text.escape_ascii())]
    BadField { offset: u64, field: &'static str, text: Vec<u8> },
    /// A name of more than `PATH_MAX` bytes.
    #[error("header at byte {offset}: a name of {size} bytes, more than 4096")]
    NameTooLong { offset: u64, size: u32 },
    /// A name that is empty, has a NUL inside or none at its end.
    #[error("header at byte {offset}: a name that is empty or not ended by one NUL: \"{}\"",
        name.escape_ascii())]
    BadName { offset: u64, name: Vec<u8> },
    /// A kind of file that Linux does not have.
    #[error("{} (header at byte {offset}): unknown kind of file, mode {mode:o}",
        name.escape_ascii())]
    BadKind { name: Vec<u8>, offset: u64, mode: u32 },
    /// The stream ended inside an entry.
    #[error("{}: the archive ends at byte {offset}, inside or after this entry: {missing} is short",
        name.escape_ascii())]
    Truncated { name: Vec<u8>, offset: u64, missing: &'static str },
    /// The stream ended where an entry or the trailer must be.
    #[error("the archive ends at byte {offset} without its trailer, after \"{}\"",
        after.escape_ascii())]
    NoTrailer { offset: u64, after: Vec<u8> },
    /// The bytes of a `070702` entry do not add up to what its header says.
    #[error("{}: checksum {found:08x}, its header says {promised:08x} (byte {offset})",
        name.escape_ascii())]
    Checksum { name: Vec<u8>, offset: u64, promised: u32, found: u32 },
    /// Data of an entry that must be small, as a symlink's target, is not.
    #[error("{}: {size} bytes where at most {limit} make sense (byte {offset})",
        name.escape_ascii())]
    DataTooLong { name: Vec<u8>, offset: u64, size: u64, limit: u32 },
}

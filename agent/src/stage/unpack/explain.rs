//! What an error of a call means where it happened, in words.

use std::io;

use rustix::io::Errno;

use crate::format::cpio::Entry;
use crate::sys::tree::Space;

/// A link that leads to no folder: to nothing, to a file, or round in circles.
pub fn is_no_folder(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::LOOP | Errno::NOTDIR | Errno::NOENT))
}

/// `EPERM`: the process may not do this at all.
pub fn may_not(error: &io::Error) -> bool {
    Errno::from_io_error(error) == Some(Errno::PERM)
}

/// Says what the errno of a path's resolution means here.
pub fn explain(error: io::Error) -> anyhow::Error {
    let meaning = match Errno::from_io_error(&error) {
        Some(Errno::PERM) => "a symbolic link on its way belongs to another user",
        Some(Errno::XDEV) => "a symbolic link on its way leads out of the root",
        Some(Errno::LOOP) => "too many symbolic links on its way",
        Some(Errno::NOTDIR) => "a file stands on its way where a folder must be",
        Some(Errno::NOENT) => "a symbolic link on its way leads nowhere",
        _ => return error.into(),
    };
    anyhow::Error::new(error).context(meaning)
}

/// Adds the sizes to "no space left".
pub fn explain_space(
    error: io::Error,
    space: io::Result<Space>,
    entry: &Entry,
    written: u64,
) -> anyhow::Error {
    let is_full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
    match space {
        Ok(space) if is_full && space.free_inodes == 0 => {
            anyhow::Error::new(error).context("the root has no inodes left")
        }
        Ok(space) if is_full => anyhow::Error::new(error).context(format!(
            "the root is full: {written} of the file's {} bytes written, {} MiB in all, {} MiB free",
            entry.size,
            space.size >> 20,
            space.free >> 20
        )),
        _ => error.into(),
    }
}

/// A name for people: what is not printable is escaped.
pub fn shown(name: &[u8]) -> String {
    String::from_utf8_lossy(name).escape_debug().to_string()
}

//! How a new file gets a name that may be taken.
//!
//! During a boot nobody looks at the root: what is in the way is removed first. In a root that is
//! in use the file is made beside its place and renamed over it, so that whoever opens the name
//! finds the old file or the new one, whole.

use std::borrow::Cow;
use std::io;

use super::place::Placer;
use crate::sys::tree::Dir;

/// Longest part of a name in the name of its draft: a name has 255 bytes at most.
const PART: usize = 240;

/// A file that is not finished yet.
pub struct Draft<'a> {
    parent: &'a Dir,
    /// The name that it is to have.
    name: &'a [u8],
    /// The name that it has meanwhile.
    pub at: Cow<'a, [u8]>,
    /// Whether the two differ.
    is_beside: bool,
}

impl Drop for Draft<'_> {
    fn drop(&mut self) {
        if self.is_beside {
            // It was given up; why has been said.
            let _ = self.parent.remove(&self.at, false);
        }
    }
}

impl Placer {
    /// Makes a file that [`finish_draft`](Self::finish_draft) gives its name; `make` is told
    /// the name to make it by.
    pub(super) fn begin_draft<'a, T>(
        &mut self,
        parent: &'a Dir,
        name: &'a [u8],
        make: impl Fn(&[u8]) -> io::Result<T>,
    ) -> io::Result<(Draft<'a>, T)> {
        if !self.is_in_use {
            let made = self.make(parent, name, || make(name))?;
            return Ok((Draft { parent, name, at: Cow::Borrowed(name), is_beside: false }, made));
        }
        let at = name_beside(name);
        let made = match make(&at) {
            // Left by an update that was killed.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                parent.remove(&at, false)?;
                make(&at)?
            }
            other => other?,
        };
        Ok((Draft { parent, name, at: Cow::Owned(at), is_beside: true }, made))
    }

    /// Puts a finished file in its place. It has the security label of what was there; where
    /// nothing was, the kernel has given it one by the rules for its folder.
    pub(super) fn finish_draft(&mut self, mut draft: Draft<'_>) -> io::Result<()> {
        if !draft.is_beside {
            return Ok(());
        }
        let (parent, name) = (draft.parent, draft.name);
        match parent.status(name) {
            Ok(status) if status.is_directory => {
                self.remove(parent, name, status)?;
            }
            Ok(status) => {
                if let Some(label) = parent.label(name)? {
                    parent.set_label(&draft.at, &label)?;
                }
                if status.is_link {
                    self.tree.forget();
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        parent.rename(&draft.at, name)?;
        draft.is_beside = false;
        Ok(())
    }
}

/// The name of a file's draft. Programs that read whole folders (cron, sudo, systemd, run-parts)
/// pass over names like this one.
fn name_beside(name: &[u8]) -> Vec<u8> {
    let part = name.get(..PART).unwrap_or(name);
    [b".".as_slice(), part, b".rsinit~"].concat()
}

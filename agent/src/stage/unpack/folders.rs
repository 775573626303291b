//! What folders get when all is in them: a file that is made in a folder changes its time, and may
//! need more rights than its mode gives.

use std::io;

use anyhow::Context as _;

use super::explain::shown;
use crate::sys::tree::{Tree, split};

/// What is owed to a folder.
pub struct Owed {
    /// Below the root.
    pub path: Vec<u8>,
    /// Whether it was made by this name: the name is no link to it.
    pub is_made: bool,
    /// Not where the folder was there in a root that is in use: its time tells of its files.
    pub mtime: Option<u32>,
    /// Only where the process could not have filled the folder with the mode it shall have.
    pub mode: Option<u32>,
}

/// All folders that something is owed to, in the archive's order.
#[derive(Default)]
pub struct Folders {
    owed: Vec<Owed>,
    /// Whether something else may be in the place of a folder that was made.
    is_in_doubt: bool,
}

impl Folders {
    /// Notes what is owed.
    pub fn owe(&mut self, owed: Owed) {
        self.owed.push(owed);
    }

    /// Notes that something may have replaced a folder.
    pub fn doubt(&mut self) {
        self.is_in_doubt = true;
    }

    /// Pays all of it; of what is owed to one folder twice, the last counts for its time.
    ///
    /// # Errors
    /// A folder cannot be changed: the error names it.
    pub fn pay(&self, tree: &mut Tree) -> anyhow::Result<()> {
        for owed in &self.owed {
            let Some(mtime) = owed.mtime else { continue };
            self.set_time(tree, owed, mtime)
                .with_context(|| format!("setting the time of {}", shown(&owed.path)))?;
        }
        for owed in self.owed.iter().rev() {
            if let Some(mode) = owed.mode
                && let Ok(folder) = tree.existing_directory(&owed.path)
            {
                folder
                    .set_own_mode(mode)
                    .with_context(|| format!("setting the mode of {}", shown(&owed.path)))?;
            }
        }
        Ok(())
    }

    /// By its name this takes one call, and by opening it four: nothing else is left to do meanwhile.
    fn set_time(&self, tree: &mut Tree, owed: &Owed, mtime: u32) -> io::Result<()> {
        if owed.is_made && !self.is_in_doubt {
            let (folder, name) = split(&owed.path);
            return tree.directory(folder)?.set_time(name, mtime);
        }
        match tree.existing_directory(&owed.path) {
            Ok(folder) => folder.set_own_time(mtime),
            // A later entry has replaced it: nothing is owed.
            Err(_) => Ok(()),
        }
    }
}

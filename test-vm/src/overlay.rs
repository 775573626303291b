//! The overlays of a node, as folders that the server merges into one archive.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::image::{write_file, write_link};
use crate::server::{Owner, Owners};

/// One overlay of a node.
#[derive(Debug, Clone)]
pub struct Overlay {
    folder: PathBuf,
    owners: Vec<(String, Owner)>,
}

impl Overlay {
    /// An empty overlay in `folder`.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn new(folder: PathBuf) -> Result<Self> {
        std::fs::create_dir_all(&folder)?;
        Ok(Self { folder, owners: Vec::new() })
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Tells the server whose its files are.
    pub fn give_owners(&self, owners: &mut Owners) {
        for (name, owner) in &self.owners {
            owners.set(name, *owner);
        }
    }

    /// A file of root with mode 0644. Names are relative to the root: `etc/motd`.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn file(&mut self, name: &str, content: impl AsRef<[u8]>) -> Result<()> {
        write_file(&self.folder, name, content.as_ref(), 0o644)
    }

    /// Takes a file out again.
    ///
    /// # Errors
    /// It cannot be removed.
    pub fn remove(&self, name: &str) -> Result<()> {
        crate::workshop::remove(&self.folder.join(name))
    }

    /// A file with the mode and owner of `owner`.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn owned(&mut self, name: &str, content: impl AsRef<[u8]>, owner: Owner) -> Result<()> {
        self.owners.push((name.to_owned(), owner));
        self.file(name, content)
    }

    /// A folder with the mode and owner of `owner`.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn folder_owned(&mut self, name: &str, owner: Owner) -> Result<()> {
        self.owners.push((name.to_owned(), owner));
        Ok(std::fs::create_dir_all(self.folder.join(name))?)
    }

    /// A symbolic link.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn link(&mut self, name: &str, target: &str) -> Result<()> {
        write_link(&self.folder, name, target)
    }
}

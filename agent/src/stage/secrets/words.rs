//! Reads the secrets once, so that none of them is written into a log.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;

use anyhow::Context as _;

use super::{NAME, Secrets};
use crate::config::secret_words::wipe;
use crate::log;

/// Largest file whose words are learned, in bytes; of a larger one the beginning is.
const FILE_MAX: u64 = 256 << 10;
/// Most bytes that are learned in all.
const TOTAL_MAX: u64 = 4 << 20;
/// How deep folders are walked into.
const DEPTH: usize = 8;

impl Secrets<'_> {
    /// Learns the words of the files.
    ///
    /// # Errors
    /// The folder itself cannot be read.
    pub(super) fn learn(&mut self) -> anyhow::Result<()> {
        let target = self.target.clone();
        let mut left = TOTAL_MAX;
        self.learn_folder(&target, DEPTH, &mut left)
            .with_context(|| format!("reading {}", target.display()))?;
        if left == 0 {
            let text = "they are many: not all of them are kept out of the hook's log";
            log::line(NAME, text);
        }
        Ok(())
    }

    fn learn_folder(&mut self, folder: &Path, depth: usize, left: &mut u64) -> std::io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let (path, kind) = (entry.path(), entry.file_type()?);
            // One file that cannot be read is the hook's business.
            let read = match () {
                () if kind.is_dir() && depth > 0 => self.learn_folder(&path, depth - 1, left),
                () if kind.is_file() => self.learn_file(&path, left),
                () => Ok(()),
            };
            if let Err(error) = read {
                log::line(NAME, format_args!("reading {}: {error}", path.display()));
            }
        }
        Ok(())
    }

    fn learn_file(&mut self, path: &Path, left: &mut u64) -> std::io::Result<()> {
        let limit = FILE_MAX.min(*left);
        // As large as it will get: a Vec that grows leaves copies behind.
        let mut content = Vec::with_capacity(usize::try_from(limit).unwrap_or(0));
        let read = File::open(path)?.take(limit).read_to_end(&mut content);
        if let Ok(length) = &read {
            *left = left.saturating_sub(u64::try_from(*length).unwrap_or(u64::MAX));
            self.words.learn(&content);
        }
        wipe(&mut content);
        read.map(drop)
    }
}

//! Reads the secrets once, so that none of them is written into a log.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;

use super::{NAME, Secrets};
use crate::config::secret_words::{SecretWords, wipe};
use crate::log;
use crate::plan::secrets::READ_LIMIT;

/// Largest file whose words are learned, in bytes; of a larger one the beginning is.
const FILE_MAX: u64 = 256 << 10;
/// Most bytes that are learned in all.
const TOTAL_MAX: u64 = 4 << 20;
/// How deep folders are walked into.
const DEPTH: usize = 8;

impl Secrets<'_> {
    /// Learns the words of the files, within [`READ_LIMIT`].
    ///
    /// # Errors
    /// `TimedOut` where the server stopped answering; the folder itself cannot be read.
    pub(super) fn learn(&mut self) -> io::Result<()> {
        let (done, is_done) = mpsc::channel();
        let target = self.target.clone();
        // On its own: a read from a server that hangs ends only by force, and not in any time.
        thread::spawn(move || {
            let mut learner = Learner { words: SecretWords::default(), left: TOTAL_MAX };
            let read = learner.learn_folder(&target, DEPTH);
            // Nobody listens any more: it was given up.
            let _ = done.send((learner, read));
        });
        let (learner, read) = match is_done.recv_timeout(READ_LIMIT) {
            Ok(done) => done,
            Err(RecvTimeoutError::Timeout) => return Err(io::ErrorKind::TimedOut.into()),
            Err(RecvTimeoutError::Disconnected) => {
                return Err(io::Error::other("the thread that reads them panicked"));
            }
        };
        if learner.left == 0 {
            let text = "they are many: not all of them are kept out of the hook's log";
            log::line(NAME, text);
        }
        self.words = learner.words;
        read
    }
}

/// Reads files, and keeps only what must not be seen of them.
struct Learner {
    words: SecretWords,
    /// How many bytes may still be learned.
    left: u64,
}

impl Learner {
    fn learn_folder(&mut self, folder: &Path, depth: usize) -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let (path, kind) = (entry.path(), entry.file_type()?);
            // One file that cannot be read is the hook's business.
            let read = match () {
                () if kind.is_dir() && depth > 0 => self.learn_folder(&path, depth - 1),
                () if kind.is_file() => self.learn_file(&path),
                () => Ok(()),
            };
            if let Err(error) = read {
                log::line(NAME, format_args!("reading {}: {error}", path.display()));
            }
        }
        Ok(())
    }

    fn learn_file(&mut self, path: &Path) -> io::Result<()> {
        let limit = FILE_MAX.min(self.left);
        // As large as it will get: a Vec that grows leaves copies behind.
        let mut content = Vec::with_capacity(usize::try_from(limit).unwrap_or(0));
        let read = File::open(path)?.take(limit).read_to_end(&mut content);
        if let Ok(length) = &read {
            self.left = self.left.saturating_sub(u64::try_from(*length).unwrap_or(u64::MAX));
            self.words.learn(&content);
        }
        wipe(&mut content);
        read.map(drop)
    }
}

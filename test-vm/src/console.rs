//! A node's serial console: kept in a file and in memory, shown live where someone watches.

use std::fs::File;
use std::io::{Read, Write as _};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};

/// What a node has said so far.
#[derive(Debug, Clone, Default)]
pub struct Console {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    more: Condvar,
}

#[derive(Debug, Default)]
struct State {
    bytes: Vec<u8>,
    closed: bool,
}

impl Console {
    /// Follows `source` to its end on a thread of its own; copies it to the file `log`, and to
    /// standard output when `live`.
    ///
    /// # Errors
    /// The log cannot be made.
    pub fn follow(source: impl Read + Send + 'static, log: &Path, live: bool) -> Result<Self> {
        let console = Self::default();
        let theirs = console.clone();
        let file = File::create(log).with_context(|| format!("making {}", log.display()))?;
        std::thread::Builder::new()
            .name("console".to_owned())
            .spawn(move || theirs.copy(source, file, live))
            .context("starting a thread")?;
        Ok(console)
    }

    fn copy(&self, mut source: impl Read, mut log: File, live: bool) {
        let mut block = [0; 4096];
        while let Ok(length @ 1..) = source.read(&mut block) {
            let part = block.get(..length).unwrap_or_default();
            // The copy in memory is what counts; a full disk shows soon enough.
            let _ = log.write_all(part);
            if live {
                let mut terminal = std::io::stdout().lock();
                let _ = terminal.write_all(part).and_then(|()| terminal.flush());
            }
            self.lock().bytes.extend_from_slice(part);
            self.shared.more.notify_all();
        }
        self.lock().closed = true;
        self.shared.more.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for more than `seen` bytes, or the end, at most `patience`; the number of bytes then,
    /// and whether the console has been closed.
    pub fn wait(&self, seen: usize, patience: Duration) -> (usize, bool) {
        let waiting = |state: &mut State| state.bytes.len() <= seen && !state.closed;
        let guard = self.shared.more.wait_timeout_while(self.lock(), patience, waiting);
        let (state, _) = guard.unwrap_or_else(PoisonError::into_inner);
        (state.bytes.len(), state.closed)
    }

    /// How many bytes there are so far.
    pub fn length(&self) -> usize {
        self.lock().bytes.len()
    }

    /// Everything so far, without colours and carriage returns.
    pub fn text(&self) -> String {
        plain(&String::from_utf8_lossy(&self.lock().bytes))
    }

    /// As [`text`](Self::text), from byte `from` on.
    pub fn text_from(&self, from: usize) -> String {
        plain(&String::from_utf8_lossy(self.lock().bytes.get(from..).unwrap_or_default()))
    }
}

/// Text without terminal control: escape sequences and carriage returns.
pub fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(next) = rest.next() {
        match next {
            '\u{1b}' => {
                // CSI: parameters up to a letter. Others are two characters long.
                if rest.next() == Some('[') {
                    rest.by_ref().find(char::is_ascii_alphabetic);
                }
            }
            '\r' => {}
            other => plain.push(other),
        }
    }
    plain
}

/// The agent's own lines, without what the kernel or the journal put before them; a line that came
/// both ways counts once.
pub fn agent_lines(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = Vec::new();
    for line in text.lines() {
        let Some(at) = line.find("rsinit: ") else { continue };
        let (before, said) = line.split_at(at);
        let prefixed = before.is_empty() || before.ends_with("] ") || before.ends_with("]: ");
        if prefixed && !lines.iter().rev().take(8).any(|earlier| *earlier == said) {
            lines.push(said);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_and_carriage_returns_go() {
        assert_eq!(plain("[\u{1b}[0;32m  OK  \u{1b}[0m] Up\r\n"), "[  OK  ] Up\n");
    }

    #[test]
    fn the_agents_lines_are_found_behind_any_prefix_and_once() {
        let text = "[    3.1] rsinit: network: ready\n\
                    rsinit: network: ready\n\
                    [    4.0] dracut-pre-mount[300]: rsinit: image: 404\n\
                    about rsinit: no\n";
        assert_eq!(agent_lines(text), ["rsinit: network: ready", "rsinit: image: 404"]);
    }

    #[test]
    fn a_console_is_followed_to_its_end() {
        let temp = tempfile::tempdir().unwrap();
        let log = temp.path().join("log");
        let console = Console::follow(&b"one\r\ntwo"[..], &log, false).unwrap();
        while !console.wait(usize::MAX, Duration::from_millis(10)).1 {}
        assert_eq!(console.text(), "one\ntwo");
        assert_eq!(std::fs::read(&log).unwrap(), b"one\r\ntwo");
    }
}

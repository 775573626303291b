//! The hook's output on its way into its log: line by line, without what is secret.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write as _};

use crate::config::secret_words::{SecretWords, wipe};
use crate::log;
use crate::plan::preboot::LOG;

use super::NAME;

/// How many of its last lines the console shows of a hook that failed.
const SHOWN: usize = 12;
/// How much of each of them, in characters: Ansible tells what a command said behind much else.
const SHOWN_WIDTH: usize = 480;
/// Longest line that is kept whole, in bytes; the rest of a longer one is left out.
const LINE_MAX: usize = 256 << 10;
/// What stands in the place of a line that holds a secret.
const WITHHELD: &str = "[rsinit: a line with a secret in it is left out]";

/// The log, and what has been seen of it.
pub struct Journal<'w> {
    log: File,
    words: Option<&'w SecretWords>,
    /// The line that has not ended yet.
    line: Vec<u8>,
    /// Whether the rest of the line is left out.
    too_long: bool,
    last: VecDeque<String>,
    /// What Ansible does just now: `TASK [write the munge key]`.
    task: Option<String>,
    withheld: u32,
    broken: Option<io::Error>,
}

impl<'w> Journal<'w> {
    /// A log that keeps `words` out.
    pub fn new(log: File, words: Option<&'w SecretWords>) -> Self {
        Self {
            log,
            words,
            line: Vec::new(),
            too_long: false,
            last: VecDeque::new(),
            task: None,
            withheld: 0,
            broken: None,
        }
    }

    /// Takes a part of the output.
    pub fn take(&mut self, bytes: &[u8]) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let room = LINE_MAX.saturating_sub(self.line.len());
            let text = part.strip_suffix(b"\n").unwrap_or(part);
            let kept = text.get(..room.min(text.len())).unwrap_or_default();
            self.too_long |= kept.len() < text.len();
            self.line.extend_from_slice(kept);
            if part.ends_with(b"\n") {
                self.end_line();
            }
        }
    }

    /// Takes the end of the output.
    pub fn close(&mut self) {
        if !self.line.is_empty() {
            self.end_line();
        }
    }

    fn end_line(&mut self) {
        let mut line = std::mem::take(&mut self.line);
        if self.words.is_some_and(|words| words.stand_in(&line)) {
            wipe(&mut line);
            line = WITHHELD.as_bytes().to_vec();
            self.withheld += 1;
        } else if self.too_long {
            line.extend_from_slice(b" [rsinit: the rest of a long line is left out]");
        }
        self.too_long = false;
        let shown = printable(&line);
        line.push(b'\n');
        if let Err(error) = self.log.write_all(&line) {
            // One is enough to know that the disk is full.
            self.broken.get_or_insert(error);
        }
        if shown.starts_with("TASK [") || shown.starts_with("RUNNING HANDLER [") {
            self.task = Some(shown.trim_end_matches([' ', '*']).to_owned());
        }
        if !shown.trim().is_empty() {
            self.last.push_back(shown);
        }
        if self.last.len() > SHOWN {
            self.last.pop_front();
        }
    }

    /// What Ansible does just now, where it is Ansible.
    pub fn task(&self) -> Option<&str> {
        self.task.as_deref()
    }

    /// What an administrator should know of the log.
    pub fn complaint(&self) -> Option<String> {
        match (&self.broken, self.withheld) {
            (Some(error), _) => Some(format!("writing {LOG}: {error}")),
            (None, 0) => None,
            (None, lines) => Some(format!(
                "the hook printed secrets: {lines} lines are left out of {LOG} (no_log: true \
                 keeps a task of Ansible from printing them)"
            )),
        }
    }

    /// Shows the last lines on the console, and nowhere else.
    pub fn show_end(&self) {
        for line in &self.last {
            log::on_console(NAME, format_args!("| {line}"));
        }
    }
}

/// As the console can show it: one line, no control characters.
fn printable(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    text.chars().take(SHOWN_WIDTH).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn written(parts: &[&[u8]], words: Option<&SecretWords>) -> (String, Journal<'static>) {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut journal = Journal::new(file.reopen().unwrap(), words);
        for part in parts {
            journal.take(part);
        }
        journal.close();
        let done = Journal { words: None, ..journal };
        (String::from_utf8(fs::read(file.path()).unwrap()).unwrap(), done)
    }

    fn words(secret: &[u8]) -> SecretWords {
        let mut words = SecretWords::default();
        words.learn(secret);
        words
    }

    #[test]
    fn a_secret_is_left_out_however_it_arrives() {
        let words = words(b"key: hunter2hunter2\n");
        let parts: [&[u8]; 4] =
            [b"one\nmsg: hunt", b"er2hunter2 is wrong\ntwo\n", b"hunter2h", b"unter2"];
        let (text, journal) = written(&parts, Some(&words));
        assert_eq!(text, format!("one\n{WITHHELD}\ntwo\n{WITHHELD}\n"));
        assert_eq!(journal.last, ["one", WITHHELD, "two", WITHHELD]);
        let complaint = journal.complaint().unwrap();
        assert!(complaint.contains("2 lines are left out"), "{complaint}");
    }

    #[test]
    fn output_without_secrets_is_kept_as_it_is() {
        let (text, journal) = written(&[b"\x1b[31mred\x1b[0m\n", b"\n\ttab"], None);
        assert_eq!(text, "\x1b[31mred\x1b[0m\n\n\ttab\n");
        assert_eq!(journal.last, [" [31mred [0m", " tab"]);
        assert_eq!(journal.complaint(), None);
    }

    #[test]
    fn the_task_of_ansible_is_known_while_it_runs() {
        let line = b"PLAY [all] ****\n\nTASK [write the munge key] *******\nchanged: [localhost]\n";
        let (_, journal) = written(&[line], None);
        assert_eq!(journal.task(), Some("TASK [write the munge key]"));
    }

    #[test]
    fn only_the_last_lines_are_kept_in_mind_and_no_line_without_end() {
        let many: Vec<u8> = (0..100).flat_map(|n| format!("{n}\n").into_bytes()).collect();
        let (_, journal) = written(&[&many], None);
        assert_eq!(journal.last.len(), SHOWN);
        assert_eq!(journal.last.back().unwrap(), "99");
        let endless = vec![b'x'; LINE_MAX + 10];
        let (text, _) = written(&[&endless, &endless, b"\nnext\n"], None);
        assert!(text.len() < LINE_MAX + 100, "{}", text.len());
        assert!(text.ends_with("left out]\nnext\n"));
    }
}

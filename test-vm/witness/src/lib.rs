//! What a case asks of a booted node, and what the node answers.
//!
//! The question travels in the system overlay as `/etc/witness.json`; the answer
//! comes back on the second serial port, between markers with the case's own word.

pub mod answer;
pub mod floor;
pub mod hook;
pub mod observe;
pub mod search;
pub mod trace;
pub mod watch;

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use watch::{Watch, Watched};

/// Where the question lies in the node.
pub const QUESTION: &str = "/etc/witness.json";

/// Largest file that is sent back as text, in bytes.
pub const TEXT_MAX: u64 = 64 << 10;

/// The port between the witness and the host.
pub const PORT: &str = "/dev/ttyS1";

/// What comes over the second serial port where a program is held before a call, for the power to
/// be cut.
pub const HELD: &str = "@@ held before";

/// What the witness does last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Then {
    /// Switches the node off, file systems unmounted.
    #[default]
    PowerOff,
    /// Leaves it running: somebody wants to look.
    Stay,
}

/// What a case wants to know.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// A word that no other boot uses.
    pub word: String,
    /// Files, folders and links to describe.
    pub paths: Vec<String>,
    /// Folders to list.
    pub folders: Vec<String>,
    /// Commands to run. The word `{md}` stands for each array in turn.
    pub commands: Vec<Vec<String>>,
    /// What to look for everywhere, by a name for it; see [`search::disguise`].
    #[serde(default)]
    pub needles: BTreeMap<String, String>,
    /// Files to watch, one after another, before all else.
    pub watches: Vec<Watch>,
    /// Files to write (and flush) before the end.
    pub writes: Vec<(String, String)>,
    /// What to do last.
    pub then: Then,
}

/// What a path is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// `file`, `folder`, `link`, `block`, `char`, `fifo` or `socket`.
    pub kind: String,
    /// The twelve permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Bytes.
    pub size: u64,
    /// Seconds since 1970.
    pub mtime: i64,
    /// Number of names.
    pub nlink: u64,
    /// Digest of a file's content, in hexadecimal.
    pub sha256: Option<String>,
    /// A small file's content, or a link's target.
    pub text: Option<String>,
}

/// What a command said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ran {
    /// The command.
    pub argv: Vec<String>,
    /// Its exit status; none where it could not be started or was killed.
    pub status: Option<i32>,
    /// Standard output and error.
    pub text: String,
}

/// What the node answers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// Of each path asked for; none where there is nothing.
    pub paths: BTreeMap<String, Option<Entry>>,
    /// Names in each folder asked for, sorted; none where it cannot be read.
    pub folders: BTreeMap<String, Option<Vec<String>>>,
    /// Of each command.
    pub commands: Vec<Ran>,
    /// Where each needle was found.
    #[serde(default)]
    pub found: BTreeMap<String, Vec<String>>,
    /// The names of all processes.
    #[serde(default)]
    pub processes: Vec<String>,
    /// Of each watch.
    pub watched: Vec<Watched>,
    /// `/proc/self/mountinfo`.
    pub mountinfo: String,
    /// `/proc/cmdline`.
    pub cmdline: String,
    /// `/proc/mdstat`.
    pub mdstat: String,
    /// Of each array in `/sys/block`, the files of its `md` folder.
    pub arrays: BTreeMap<String, BTreeMap<String, String>>,
    /// `/run/rsinit/report.json`.
    pub report: Option<Value>,
    /// `/run/rsinit/disk.json`.
    pub disk: Option<Value>,
    /// The kernel's messages that name md, ext4, nvme or rsinit.
    pub dmesg: Vec<String>,
    /// Seconds since the kernel started.
    pub uptime: f64,
}

/// The lines around an answer.
pub fn markers(word: &str) -> (String, String) {
    (format!("@@ witness {word} begins @@"), format!("@@ witness {word} ends @@"))
}

/// The line that says that the watch `number` (from 1) has begun.
pub fn watching(word: &str, number: usize) -> String {
    format!("@@ witness {word} watches {number} @@")
}

/// Finds the answer with `word` in what came over the serial port.
///
/// # Errors
/// It is there and cannot be read.
pub fn find(port: &str, word: &str) -> Result<Option<Answer>> {
    let (begin, end) = markers(word);
    let Some((_, rest)) = port.split_once(&begin) else { return Ok(None) };
    let Some((body, _)) = rest.split_once(&end) else { return Ok(None) };
    serde_json::from_str(body.trim()).map(Some).context("reading the witness's answer")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_found_between_its_own_markers_only() {
        let body = serde_json::to_string(&Answer { uptime: 3.5, ..Answer::default() }).unwrap();
        let (begin, end) = markers("w1");
        let port = format!("noise\r\n{begin}\r\n{body}\r\n{end}\r\n");
        assert_eq!(find(&port, "w1").unwrap().unwrap().uptime, 3.5);
        assert_eq!(find(&port, "w2").unwrap(), None);
        assert_eq!(find(&port.replace(&end, ""), "w1").unwrap(), None, "cut short");
        assert!(find(&port.replace('{', ""), "w1").is_err(), "not JSON");
    }
}

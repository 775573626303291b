//! A file read in a loop until it holds what it shall: does a reader ever miss it?

use std::fs;
use std::io::ErrorKind;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// Between two runs of a watch's command.
const NUDGE: Duration = Duration::from_secs(5);
/// The reader has read this often before the command is run for the first time: what the
/// command brings about comes upon a reader in its loop.
const READS_BEFORE: u64 = 200;

/// A file to watch.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watch {
    /// Where it is.
    pub path: String,
    /// The content that ends the watch.
    pub until: String,
    /// A command to run every five seconds meanwhile, beside the reader; none where it is empty.
    pub nudge: Vec<String>,
    /// Seconds after which it is given up.
    pub limit_s: u64,
}

/// What a watch saw.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Watched {
    /// How often the file was read.
    pub reads: u64,
    /// How often it was not there.
    pub missed: u64,
    /// How often it held neither what it held at first nor what it shall hold.
    pub strange: u64,
    /// Whether it came to hold what it shall.
    pub arrived: bool,
    /// How long that took.
    pub seconds: f64,
}

/// Watches; sleeps and waits nowhere, so that nothing happens between two reads for long.
pub fn watch(watch: &Watch) -> Watched {
    let (began, limit) = (Instant::now(), Duration::from_secs(watch.limit_s));
    let first = fs::read(&watch.path).unwrap_or_default();
    let mut nudge = Nudge::default();
    let mut saw = Watched::default();
    while began.elapsed() < limit && !saw.arrived {
        saw.reads += 1;
        match fs::read(&watch.path) {
            Ok(text) if text == watch.until.as_bytes() => saw.arrived = true,
            Ok(text) if text == first => {}
            Err(cause) if cause.kind() == ErrorKind::NotFound => saw.missed += 1,
            Ok(_) | Err(_) => saw.strange += 1,
        }
        if saw.reads > READS_BEFORE {
            nudge.run(&watch.nudge);
        }
    }
    nudge.end();
    saw.seconds = began.elapsed().as_secs_f64();
    saw
}

/// A command that runs beside the reader, again and again.
#[derive(Default)]
struct Nudge {
    last: Option<(Instant, Child)>,
}

impl Nudge {
    /// Runs `command` where it is time and the run before has ended. Whether it helps is what
    /// the watch is about: its exit status is nobody's.
    fn run(&mut self, command: &[String]) {
        let Some((program, words)) = command.split_first() else { return };
        let is_due = self.last.as_mut().is_none_or(|(began, child)| {
            began.elapsed() > NUDGE && child.try_wait().is_ok_and(|ended| ended.is_some())
        });
        if is_due && let Ok(child) = Command::new(program).args(words).spawn() {
            self.last = Some((Instant::now(), child));
        }
    }

    /// Waits for the last run.
    fn end(self) {
        if let Some((_, mut child)) = self.last {
            // Only so that it is not left running.
            let _ = child.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watched(change: &str) -> Watched {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("file").to_str().unwrap().to_owned();
        fs::write(&path, "old").unwrap();
        let script = change.replace("FILE", &path);
        let nudge = ["sh", "-c", &script].map(str::to_owned).to_vec();
        watch(&Watch { path, until: "new".to_owned(), nudge, limit_s: 20 })
    }

    #[test]
    fn a_rename_is_never_missed() {
        let saw = watched("printf new > FILE.tmp; mv FILE.tmp FILE");
        assert!(saw.arrived && saw.reads > READS_BEFORE, "{saw:?}");
        assert_eq!((saw.missed, saw.strange), (0, 0));
    }

    #[test]
    fn a_file_that_is_away_or_half_written_for_a_moment_is_counted() {
        let saw = watched("(rm FILE; sleep 1; printf n > FILE; sleep 1; printf ew >> FILE) &");
        assert!(saw.arrived && saw.missed > 0 && saw.strange > 0, "{saw:?}");
    }
}

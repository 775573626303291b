//! A file read in a loop until it holds what it shall: does a reader ever miss it?

use std::fs;
use std::io::ErrorKind;
use std::process::Command;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// Between two runs of a watch's command.
const NUDGE: Duration = Duration::from_secs(5);

/// A file to watch.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watch {
    /// Where it is.
    pub path: String,
    /// The content that ends the watch.
    pub until: String,
    /// A command to run every five seconds meanwhile; none where it is empty.
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

/// Watches; sleeps nowhere, so that nothing happens between two reads for long.
pub fn watch(watch: &Watch) -> Watched {
    let (began, limit) = (Instant::now(), Duration::from_secs(watch.limit_s));
    let first = fs::read(&watch.path).unwrap_or_default();
    let mut nudged = None;
    let mut saw = Watched::default();
    while began.elapsed() < limit && !saw.arrived {
        saw.reads += 1;
        match fs::read(&watch.path) {
            Ok(text) if text == watch.until.as_bytes() => saw.arrived = true,
            Ok(text) if text == first => {}
            Err(cause) if cause.kind() == ErrorKind::NotFound => saw.missed += 1,
            Ok(_) | Err(_) => saw.strange += 1,
        }
        if nudged.is_none_or(|last: Instant| last.elapsed() > NUDGE)
            && let Some((program, words)) = watch.nudge.split_first()
        {
            nudged = Some(Instant::now());
            // Whether it helps is what the watch is about.
            let _ = Command::new(program).args(words).status();
        }
    }
    saw.seconds = began.elapsed().as_secs_f64();
    saw
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
        assert!(saw.arrived && saw.reads >= 2, "{saw:?}");
        assert_eq!((saw.missed, saw.strange), (0, 0));
    }

    #[test]
    fn a_file_that_is_away_or_half_written_for_a_moment_is_counted() {
        let saw = watched("(rm FILE; sleep 1; printf n > FILE; sleep 1; printf ew >> FILE) &");
        assert!(saw.arrived && saw.missed > 0 && saw.strange > 0, "{saw:?}");
    }
}

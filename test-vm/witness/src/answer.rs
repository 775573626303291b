//! Questions to an answer, as the cases put them.

use serde_json::Value;

use super::{Answer, Entry, Ran};

/// One line of `/proc/self/mountinfo`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount<'a> {
    /// Which part of the file system is mounted: `/`, or the folder of a bind mount.
    pub root: &'a str,
    /// Where.
    pub at: &'a str,
    /// The file system's type.
    pub kind: &'a str,
    /// What it was mounted from.
    pub source: &'a str,
    /// Options of the mount and of the file system.
    pub options: String,
    /// `major:minor`.
    pub device: &'a str,
}

impl<'a> Mount<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let (mount, superblock) = line.split_once(" - ")?;
        let mut mount = mount.split(' ').skip(2);
        let (device, root, at, own) = (mount.next()?, mount.next()?, mount.next()?, mount.next()?);
        let mut superblock = superblock.split(' ');
        let (kind, source, of_all) = (superblock.next()?, superblock.next()?, superblock.next()?);
        Some(Self { root, at, kind, source, options: format!("{own},{of_all}"), device })
    }
}

impl Answer {
    /// What `path` is; it must have been asked for.
    pub fn path(&self, path: &str) -> Option<&Entry> {
        self.paths.get(path)?.as_ref()
    }

    /// The text of a small file, or the target of a link; empty where there is none.
    pub fn text(&self, path: &str) -> &str {
        self.path(path).and_then(|entry| entry.text.as_deref()).unwrap_or("")
    }

    /// Kind, mode, owner and group of a path, as `file 0640 0:0`; `nothing` where it is not there.
    pub fn look(&self, path: &str) -> String {
        self.path(path).map_or_else(
            || "nothing".to_owned(),
            |entry| format!("{} {:04o} {}:{}", entry.kind, entry.mode, entry.uid, entry.gid),
        )
    }

    /// The topmost mount at exactly `at`.
    pub fn mount(&self, at: &str) -> Option<Mount<'_>> {
        self.mountinfo.lines().filter_map(Mount::parse).rfind(|mount| mount.at == at)
    }

    /// The commands whose words begin with `words`.
    pub fn commands<'a>(&'a self, words: &'a [&str]) -> impl Iterator<Item = &'a Ran> {
        self.commands.iter().filter(|ran| {
            let begin = ran.argv.iter().map(String::as_str).take(words.len());
            begin.eq(words.iter().copied())
        })
    }

    /// What the commands that begin with `words` said, all of it.
    pub fn said(&self, words: &[&str]) -> String {
        self.commands(words).map(|ran| ran.text.as_str()).collect()
    }

    /// The stages of the report: name, milliseconds, bytes.
    pub fn stages(&self) -> Vec<Stage> {
        stages_of(self.report.as_ref())
    }

    /// The report as text, to look for a word in it.
    pub fn report_text(&self) -> String {
        self.report.as_ref().map(Value::to_string).unwrap_or_default()
    }
}

/// The stages of a report.
pub fn stages_of(report: Option<&Value>) -> Vec<Stage> {
    let stages = report.and_then(|report| report.get("stages"));
    let stages = stages.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    stages.iter().filter_map(Stage::read).collect()
}

/// One stage of the agent's report.
#[derive(Debug, Clone, PartialEq)]
pub struct Stage {
    /// Its name.
    pub name: String,
    /// When it began, in milliseconds of the report's clock.
    pub start_ms: f64,
    /// How long it took, in milliseconds.
    pub took_ms: f64,
    /// What it moved, where it says so.
    pub bytes: Option<u64>,
    /// Attempts beyond the first.
    pub retries: u64,
    /// How it ended.
    pub outcome: String,
    /// What it did, or why it failed.
    pub note: String,
}

impl Stage {
    fn read(value: &Value) -> Option<Self> {
        let number = |name: &str| value.get(name).and_then(Value::as_f64);
        let start_ms = number("start_ms").unwrap_or(0.0);
        let took_ms = number("end_ms").map(|end| end - start_ms);
        let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or("").to_owned();
        Some(Self {
            name: value.get("name")?.as_str()?.to_owned(),
            start_ms,
            took_ms: took_ms.unwrap_or(0.0),
            bytes: value.get("bytes").and_then(Value::as_u64),
            retries: value.get("retries").and_then(Value::as_u64).unwrap_or(0),
            outcome: text("outcome"),
            note: text("note"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_mount_at_a_place_is_what_a_program_sees() {
        let answer = Answer {
            mountinfo: "22 1 0:5 / /system rw - tmpfs none rw\n\
                        23 22 9:127 /log /system rw,noatime shared:1 - ext4 /dev/md127 rw,stripe=4\n"
                .to_owned(),
            ..Answer::default()
        };
        let mount = answer.mount("/system").unwrap();
        assert_eq!((mount.kind, mount.source, mount.root), ("ext4", "/dev/md127", "/log"));
        assert_eq!(mount.options, "rw,noatime,rw,stripe=4");
        assert_eq!(answer.mount("/scratch"), None);
    }

    #[test]
    fn stages_come_from_any_report_that_names_them() {
        let report = serde_json::json!({"stages": [
            {"name": "image", "start_ms": 5, "end_ms": 25, "bytes": 7, "more": {}}, {"no": "name"}]});
        let answer = Answer { report: Some(report), ..Answer::default() };
        let stages = answer.stages();
        assert_eq!(stages.len(), 1);
        assert_eq!((stages[0].took_ms, stages[0].bytes), (20.0, Some(7)));
    }
}

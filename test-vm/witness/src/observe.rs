//! Looks at the node: what the witness can say without believing anybody.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::process::Command;

use sha2::{Digest as _, Sha256};

use super::search::search;
use super::{Answer, Entry, Question, Ran, TEXT_MAX};

/// Words of the kernel's messages that are worth sending.
const WORTH: [&str; 6] = ["md/", "md1", "md0", "EXT4", "nvme", "rsinit"];

/// Answers `question`.
pub fn observe(question: &Question) -> Answer {
    Answer {
        paths: question.paths.iter().map(|path| (path.clone(), entry(path))).collect(),
        folders: question.folders.iter().map(|path| (path.clone(), names(path))).collect(),
        commands: question.commands.iter().flat_map(|argv| commands(argv)).collect(),
        found: search(&question.needles),
        processes: processes(),
        watched: Vec::new(),
        mountinfo: text("/proc/self/mountinfo"),
        cmdline: text("/proc/cmdline"),
        mdstat: text("/proc/mdstat"),
        arrays: arrays(),
        report: serde_json::from_str(&text("/run/rsinit/report.json")).ok(),
        disk: serde_json::from_str(&text("/run/rsinit/disk.json")).ok(),
        dmesg: dmesg(),
        uptime: uptime(&text("/proc/uptime")),
    }
}

fn text(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn uptime(text: &str) -> f64 {
    text.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or(0.0)
}

fn entry(path: &str) -> Option<Entry> {
    let meta = fs::symlink_metadata(path).ok()?;
    let kind = meta.file_type();
    let name = match () {
        () if kind.is_dir() => "folder",
        () if kind.is_symlink() => "link",
        () if kind.is_block_device() => "block",
        () if kind.is_char_device() => "char",
        () if kind.is_fifo() => "fifo",
        () if kind.is_socket() => "socket",
        () => "file",
    };
    let content = if kind.is_file() { fs::read(path).ok() } else { None };
    let text = match &content {
        Some(bytes) if meta.len() <= TEXT_MAX => String::from_utf8(bytes.clone()).ok(),
        Some(_) => None,
        None => fs::read_link(path).ok().map(|target| target.to_string_lossy().into_owned()),
    };
    Some(Entry {
        kind: name.to_owned(),
        mode: meta.mode() & 0o7777,
        uid: meta.uid(),
        gid: meta.gid(),
        size: meta.len(),
        mtime: meta.mtime(),
        nlink: meta.nlink(),
        sha256: content.map(|bytes| hex(&Sha256::digest(bytes))),
        text,
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn names(folder: &str) -> Option<Vec<String>> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
        .collect();
    names.sort();
    Some(names)
}

/// The arrays of the node: names in `/sys/block` that have an `md` folder.
fn array_names() -> Vec<String> {
    let blocks = names("/sys/block").unwrap_or_default();
    let is_array = |name: &String| fs::metadata(format!("/sys/block/{name}/md")).is_ok();
    blocks.into_iter().filter(is_array).collect()
}

fn arrays() -> BTreeMap<String, BTreeMap<String, String>> {
    let describe = |name: &String| {
        let path = format!("/sys/block/{name}");
        let files = names(&format!("{path}/md")).unwrap_or_default();
        let read = |file: String| {
            let value = fs::read_to_string(format!("{path}/md/{file}")).ok()?;
            Some((file, value.trim().to_owned()))
        };
        let mut facts: BTreeMap<String, String> = files.into_iter().filter_map(read).collect();
        let members = names(&format!("{path}/slaves")).unwrap_or_default();
        facts.insert("slaves".to_owned(), members.join(" "));
        facts
    };
    array_names().iter().map(|name| (name.clone(), describe(name))).collect()
}

/// Runs one command, or one for each array where `{md}` is among its words.
fn commands(argv: &[String]) -> Vec<Ran> {
    if !argv.iter().any(|word| word.contains("{md}")) {
        return vec![run(argv.to_vec())];
    }
    let with = |name: &String| {
        let device = format!("/dev/{name}");
        argv.iter().map(|word| word.replace("{md}", &device)).collect()
    };
    array_names().iter().map(|name| run(with(name))).collect()
}

fn run(argv: Vec<String>) -> Ran {
    let Some((program, words)) = argv.split_first() else {
        return Ran { argv, status: None, text: String::new() };
    };
    match Command::new(program).args(words).output() {
        Ok(output) => {
            let said = [output.stdout, output.stderr].concat();
            let text = String::from_utf8_lossy(&said).into_owned();
            Ran { argv, status: output.status.code(), text }
        }
        Err(cause) => Ran { argv, status: None, text: cause.to_string() },
    }
}

/// What runs, kernel threads included.
fn processes() -> Vec<String> {
    let comm = |pid: String| fs::read_to_string(format!("/proc/{pid}/comm")).ok();
    let names = names("/proc").unwrap_or_default().into_iter().filter_map(comm);
    names.map(|name| name.trim_end().to_owned()).collect()
}

/// The kernel's messages, as far as they concern a case.
fn dmesg() -> Vec<String> {
    let worth = |line: &String| WORTH.iter().any(|word| line.contains(word));
    kernel_messages().into_iter().filter(worth).collect()
}

/// Everything that is in the kernel's log.
pub(super) fn kernel_messages() -> Vec<String> {
    const NONBLOCK: i32 = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = fs::File::options().read(true).custom_flags(NONBLOCK).open("/dev/kmsg");
    let Ok(mut file) = file else { return Vec::new() };
    let mut lines = Vec::new();
    let mut record = vec![0; 8192];
    loop {
        match file.read(&mut record) {
            Ok(length @ 1..) => {
                let text = String::from_utf8_lossy(record.get(..length).unwrap_or_default());
                let line = text.lines().next().and_then(|line| line.split_once(';'));
                let line = line.map(|(_, said)| said.to_owned());
                lines.extend(line);
            }
            // A record was overwritten while we read: the next one is whole.
            Err(cause) if cause.raw_os_error() == Some(rustix::io::Errno::PIPE.raw_os_error()) => {}
            _ => return lines,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_witness_tells_what_is_there_and_what_is_not() {
        let temp = tempfile::tempdir().unwrap();
        let folder = temp.path().to_str().unwrap().to_owned();
        fs::write(temp.path().join("file"), "hello").unwrap();
        let shell = ["sh", "-c", "echo said; exit 3"].map(str::to_owned).to_vec();
        let question = Question {
            paths: vec![format!("{folder}/file"), format!("{folder}/none")],
            folders: vec![folder.clone()],
            commands: vec![shell, vec!["/none".to_owned()]],
            ..Question::default()
        };
        let answer = observe(&question);
        let entry = answer.paths[&question.paths[0]].as_ref().unwrap();
        assert_eq!((entry.kind.as_str(), entry.text.as_deref()), ("file", Some("hello")));
        assert_eq!(&entry.sha256.as_ref().unwrap()[..8], "2cf24dba");
        assert_eq!(answer.paths[&question.paths[1]], None);
        assert_eq!(answer.folders[&folder].as_ref().unwrap(), &["file"]);
        let said = &answer.commands[0];
        assert_eq!((said.status, said.text.as_str()), (Some(3), "said\n"));
        assert_eq!(answer.commands[1].status, None);
        assert!(answer.mountinfo.contains(" / "));
    }
}

//! Looks for a secret in everything that a boot left: files, the kernel's log, and the
//! arguments and environments of the kernel and of processes.
//!
//! The question lies in the node too, so what is looked for travels in disguise.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::observe::kernel_messages;

/// Largest file that is read, in bytes.
const FILE_MAX: u64 = 64 << 20;

/// Each byte of a needle is changed by this.
const MASK: u8 = 0x5a;

/// A needle as it may stand in the question.
pub fn disguise(needle: &[u8]) -> String {
    needle.iter().map(|byte| format!("{:02x}", byte ^ MASK)).collect()
}

fn undisguise(text: &str) -> Vec<u8> {
    let pairs = text.as_bytes().chunks_exact(2);
    let byte = |pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    pairs.filter_map(byte).map(|byte| byte ^ MASK).collect()
}

/// Where each needle is, sorted.
pub fn search(needles: &BTreeMap<String, String>) -> BTreeMap<String, Vec<String>> {
    if needles.is_empty() {
        return BTreeMap::new();
    }
    search_below(Path::new("/"), needles, &kernel_messages().join("\n"))
}

fn search_below(
    root: &Path,
    needles: &BTreeMap<String, String>,
    kernel_log: &str,
) -> BTreeMap<String, Vec<String>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let needles: Vec<(&String, Vec<u8>)> =
        needles.iter().map(|(name, text)| (name, undisguise(text))).collect();
    let mut look = |place: &str, content: &[u8]| {
        for (name, needle) in &needles {
            let places = found.entry((*name).clone()).or_default();
            if holds(content, needle) {
                places.push(place.to_owned());
            }
        }
    };
    look("the kernel's log", kernel_log.as_bytes());
    let skipped = [root.join("proc"), root.join("sys")];
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok) {
            let (path, Ok(kind)) = (entry.path(), entry.file_type()) else { continue };
            if kind.is_dir() && !skipped.contains(&path) {
                folders.push(path);
            } else if kind.is_file() && entry.metadata().is_ok_and(|meta| meta.len() <= FILE_MAX) {
                look(&path.display().to_string(), &fs::read(&path).unwrap_or_default());
            }
        }
    }
    let cmdline = root.join("proc/cmdline");
    for path in of_processes(&root.join("proc")).into_iter().chain([cmdline]) {
        look(&path.display().to_string(), &fs::read(&path).unwrap_or_default());
    }
    for places in found.values_mut() {
        places.sort();
    }
    found
}

fn of_processes(proc: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(proc).into_iter().flatten().filter_map(Result::ok);
    let processes = entries.filter(|entry| {
        entry.file_name().to_str().is_some_and(|name| name.bytes().all(|b| b.is_ascii_digit()))
    });
    processes.flat_map(|entry| ["cmdline", "environ"].map(|file| entry.path().join(file))).collect()
}

fn holds(content: &[u8], needle: &[u8]) -> bool {
    let Some(first) = needle.first() else { return false };
    let mut rest = content;
    while let Some(at) = rest.iter().position(|byte| byte == first) {
        rest = rest.get(at..).unwrap_or_default();
        if rest.starts_with(needle) {
            return true;
        }
        rest = rest.get(1..).unwrap_or_default();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_needle_is_found_in_files_processes_and_the_kernels_log_and_not_in_its_question() {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path();
        for folder in ["etc", "proc/7", "sys"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        let disguised = disguise(b"hunter2");
        fs::write(root.join("etc/question"), &disguised).unwrap();
        fs::write(root.join("etc/key"), b"\0hhhunter2\0").unwrap();
        fs::write(root.join("etc/other"), b"hunter3").unwrap();
        fs::write(root.join("sys/x"), b"hunter2").unwrap();
        fs::write(root.join("proc/7/cmdline"), b"login\0hunter2\0").unwrap();
        fs::write(root.join("proc/cmdline"), b"quiet key=hunter2\n").unwrap();
        let needles =
            BTreeMap::from([("it".to_owned(), disguised), ("none".to_owned(), disguise(b"zz"))]);
        let found = search_below(root, &needles, "hunter2 in a message");
        let place = |name: &str| root.join(name).display().to_string();
        let places = ["etc/key", "proc/7/cmdline", "proc/cmdline"].map(place);
        let mut expected = [places.as_slice(), &["the kernel's log".to_owned()]].concat();
        expected.sort();
        assert_eq!(found["it"], expected);
        assert_eq!(found["none"], [""; 0]);
    }
}

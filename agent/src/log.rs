//! The agent's own lines, `rsinit: <stage>: <what>`: one write each, to standard
//! error (which dracut shows on the console) and, during a boot, to `/dev/kmsg`.

use std::fmt::Display;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::OnceLock;

static KMSG: OnceLock<File> = OnceLock::new();

/// Longest text of one record of `/dev/kmsg`, in bytes. Source: `LOG_LINE_MAX`
/// (1024 less a prefix), `kernel/printk/printk.c`.
const RECORD_MAX: usize = 960;

/// Sends every later line to the kernel's log too, where it can be opened.
pub fn to_kmsg(path: &Path) {
    if let Ok(file) = File::options().write(true).open(path) {
        // A second call finds the file already there.
        let _ = KMSG.set(file);
    }
}

/// Says one line. Never a secret: no query string, no key, no body of a file.
pub fn line(stage: &str, text: impl Display) {
    say(&format!("rsinit: {stage}: {text}").replace('\n', " "));
}

/// Says why the boot failed; the error begins with its stage's name.
pub fn last_line(error: impl Display) {
    say(&format!("rsinit: {error}").replace('\n', " "));
}

fn say(line: &str) {
    let mut stderr = std::io::stderr().lock();
    // A console that is gone is no reason to stop a boot.
    let _ = stderr.write_all(format!("{line}\n").as_bytes());
    if let Some(mut kmsg) = KMSG.get() {
        // Level debug: the console has the line from standard error already.
        let text: String = line.chars().take(RECORD_MAX / 4).collect();
        let text = if line.len() <= RECORD_MAX { line } else { &text };
        let _ = kmsg.write_all(format!("<15>{text}\n").as_bytes());
    }
}

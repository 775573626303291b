//! The agent's own lines, `rsinit: <stage>: <what>`: one write each.
//!
//! By hand they go to standard error. During a boot they go to the console, in order
//! and before anything that follows them (a journal between the two would lose the last
//! line of a node that switches itself off), and to the kernel's log. Why a boot failed
//! goes to the kernel's log as an error: so it is on every console that there is.

use std::fmt::Display;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context as _;

use crate::layout::Layout;
use crate::sys::terminal::drain;

/// Where the lines of a boot go.
struct Sinks {
    console: Option<File>,
    kmsg: Option<File>,
    /// For failures alone: the kernel drops records of one opener that come too fast.
    errors: Option<File>,
}

static SINKS: OnceLock<Sinks> = OnceLock::new();

/// Whether standard error leads to the journal, which takes a line's priority from its start.
static JOURNAL: AtomicBool = AtomicBool::new(false);

/// Longest text of one record of `/dev/kmsg`, in bytes. Source: `LOG_LINE_MAX`
/// (1024 less a prefix), `kernel/printk/printk.c`.
const RECORD_MAX: usize = 960;

/// `<level>` of syslog(2): user facility, debug. No console shows it by default.
const DEBUG: &str = "<15>";
/// User facility, error: every console shows it, also with `quiet`.
const ERROR: &str = "<11>";

/// Priorities of the journal. Source: sd-daemon(3).
const JOURNAL_ERROR: &str = "<3>";
const JOURNAL_WARNING: &str = "<4>";
const JOURNAL_INFO: &str = "<6>";

/// Sends every later line to the console and the kernel's log, as far as they can be opened.
pub fn to_console(layout: &Layout) {
    let open = |path| File::options().write(true).open(path).ok();
    // As systemd does, where it is PID 1. Fixed by printk.devkmsg=, or absent: as it is.
    let _ = fs::write(layout.printk_devkmsg(), "on\n");
    let sinks = Sinks {
        console: open(layout.console()),
        kmsg: open(layout.kmsg()),
        errors: open(layout.kmsg()),
    };
    // A second call finds them open already.
    let _ = SINKS.set(sinks);
}

/// Sends every later line to the journal with its priority: standard error is its.
pub fn to_journal() {
    JOURNAL.store(true, Ordering::Relaxed);
}

/// Says one line. Never a secret: no query string, no key, no body of a file.
pub fn line(stage: &str, text: impl Display) {
    let line = one_line(format_args!("{stage}: {text}"));
    to_person(JOURNAL_INFO, &line);
    to_kernel(|sinks| sinks.kmsg.as_ref(), DEBUG, &line);
}

/// Says one line on the console alone, and not in the kernel's log: the end of a
/// program's own output.
pub fn on_console(stage: &str, text: impl Display) {
    to_person(JOURNAL_INFO, &one_line(format_args!("{stage}: {text}")));
}

/// Says a line of a service about what an administrator should look at.
pub fn warning(stage: &str, text: impl Display) {
    to_person(JOURNAL_WARNING, &one_line(format_args!("{stage}: {text}")));
}

/// Says a line of a boot that failed.
pub fn failure(text: impl Display) {
    let line = one_line(text);
    if let Some(console) = SINKS.get().and_then(|sinks| sinks.console.as_ref()) {
        // The kernel's own lines overtake what a serial console has still to send.
        let _ = drain(console);
    }
    if !to_kernel(|sinks| sinks.errors.as_ref(), ERROR, &line) {
        to_person(JOURNAL_ERROR, &line);
    }
}

/// A log for a program's output that only root reads, also where it was there before with
/// another mode; appended to, its folder made.
///
/// # Errors
/// The folder or the file cannot be made.
pub fn open_private_log(path: &Path) -> anyhow::Result<File> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
    }
    let open = File::options().create(true).append(true).mode(0o600).open(path);
    let file = open.with_context(|| format!("opening {}", path.display()))?;
    file.set_permissions(fs::Permissions::from_mode(0o600))
        .with_context(|| format!("setting the mode of {}", path.display()))?;
    Ok(file)
}

fn one_line(text: impl Display) -> String {
    format!("rsinit: {text}").replace('\n', " ")
}

/// A console that is gone is no reason to stop a boot.
fn to_person(priority: &str, line: &str) {
    let priority = if JOURNAL.load(Ordering::Relaxed) { priority } else { "" };
    let line = format!("{priority}{line}\n");
    let _ = match SINKS.get().and_then(|sinks| sinks.console.as_ref()) {
        Some(mut console) => console.write_all(line.as_bytes()),
        None => std::io::stderr().lock().write_all(line.as_bytes()),
    };
}

/// Says whether the line could be written.
fn to_kernel(sink: fn(&Sinks) -> Option<&File>, level: &str, line: &str) -> bool {
    let Some(mut kmsg) = SINKS.get().and_then(sink) else { return false };
    let short: String = line.chars().take(RECORD_MAX / 4).collect();
    let text = if line.len() <= RECORD_MAX { line } else { &short };
    kmsg.write_all(format!("{level}{text}\n").as_bytes()).is_ok()
}

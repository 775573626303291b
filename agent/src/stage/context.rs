//! What every stage has at hand: the kernel, the paths, the clock, and the report
//! that it writes itself into.

use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};

use super::record;
use crate::layout::Layout;
use crate::log;
use crate::report::{Outcome, Report, StageReport};
use crate::sys::Kernel;

/// One boot.
pub struct Context<'a> {
    /// The kernel, or a test's record of what it was asked.
    pub kernel: &'a dyn Kernel,
    /// Where things are.
    pub layout: &'a Layout,
    /// When the boot must be over.
    pub deadline: Instant,
    report: &'a Mutex<Report>,
    /// Whether each stage is written down as it begins and ends.
    is_recorded: bool,
}

/// What a stage gives back when it has done its work.
pub struct Done<T> {
    /// What the next stages need of it.
    pub value: T,
    /// What it did, for the log: `1834 MiB, 59502 files`.
    pub note: String,
    /// What it moved, in bytes.
    pub bytes: Option<u64>,
    /// Requests or attempts beyond the first.
    pub retries: u32,
}

impl<T> Done<T> {
    /// A stage that moved nothing worth counting.
    pub fn new(value: T, note: impl Into<String>) -> Self {
        Self { value, note: note.into(), bytes: None, retries: 0 }
    }
}

impl<'a> Context<'a> {
    /// A boot that has just begun, with `limit` to its end.
    pub fn new(
        kernel: &'a dyn Kernel,
        layout: &'a Layout,
        limit: Duration,
        report: &'a Mutex<Report>,
    ) -> Self {
        Self { kernel, layout, deadline: Instant::now() + limit, report, is_recorded: false }
    }

    /// The same, with its report on file from stage to stage: see [`record`].
    pub fn recorded(self) -> Self {
        Self { is_recorded: true, ..self }
    }

    /// Runs one stage: a line where it starts, one where it ends with what it did
    /// and how long it took, and its row in the report. A panic is a failure.
    ///
    /// # Errors
    /// That of `work`, with the stage's name before it.
    pub fn step<T>(
        &self,
        name: &str,
        what: &str,
        work: impl FnOnce() -> anyhow::Result<Done<T>>,
    ) -> anyhow::Result<T> {
        log::line(name, what);
        let row = self.begin(name);
        let result = catch_unwind(AssertUnwindSafe(work))
            .unwrap_or_else(|panic| Err(anyhow!("panicked: {}", panic_text(&*panic))));
        let took = self.end(row, &result);
        match result {
            Ok(done) => {
                log::line(name, format_args!("{} in {}", done.note, seconds(took)));
                Ok(done.value)
            }
            Err(error) => Err(error).with_context(|| name.to_owned()),
        }
    }

    /// Says what an administrator should look at although the boot goes on, and
    /// keeps it for the report.
    pub fn warn(&self, name: &str, text: &str) {
        log::line(name, format_args!("warning: {text}"));
        let mut report = self.report();
        report.warnings.push(format!("{name}: {text}"));
        let running = |stage: &&mut StageReport| stage.name == name;
        if let Some(stage) = report.stages.iter_mut().rev().find(running) {
            stage.outcome = Outcome::Warned;
        }
    }

    /// Keeps for the report what has been said already.
    pub fn keep_warning(&self, name: &str, text: &str) {
        self.report().warnings.push(format!("{name}: {text}"));
    }

    /// Says that a stage failed although the boot goes on, and keeps it for the report.
    pub fn warn_failed(&self, error: &anyhow::Error) {
        log::line("warning", format_args!("{error:#}"));
        self.report().warnings.push(format!("{error:#}"));
    }

    /// Lets `write` put what became known into the report.
    pub fn record(&self, write: impl FnOnce(&mut Report)) {
        write(&mut self.report());
    }

    /// Goes on with the report of a boot that was killed: what ran then has failed, by `cause`.
    pub fn take_over(&self, before: &Report, cause: &str) {
        let now_ms = self.now_ms();
        self.record(|report| {
            *report = before.clone();
            report.break_off(now_ms, cause);
        });
    }

    /// How long the boot may still take.
    pub fn time_left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    fn begin(&self, name: &str) -> usize {
        let start_ms = self.now_ms();
        let mut report = self.report();
        report.stages.push(StageReport {
            name: name.to_owned(),
            start_ms,
            end_ms: None,
            bytes: None,
            retries: 0,
            outcome: Outcome::Running,
            note: String::new(),
        });
        self.write_down(&report);
        report.stages.len() - 1
    }

    /// Fills in the stage's row and says how long it took.
    fn end<T>(&self, row: usize, result: &anyhow::Result<Done<T>>) -> Duration {
        let end_ms = self.now_ms();
        let mut report = self.report();
        let Some(stage) = report.stages.get_mut(row) else { return Duration::ZERO };
        stage.end_ms = Some(end_ms);
        match result {
            Ok(done) => {
                if stage.outcome == Outcome::Running {
                    stage.outcome = Outcome::Ok;
                }
                stage.bytes = done.bytes;
                stage.retries = done.retries;
                stage.note.clone_from(&done.note);
            }
            Err(error) => {
                stage.outcome = Outcome::Failed;
                stage.note = format!("{error:#}");
            }
        }
        let took = Duration::from_millis(end_ms.saturating_sub(stage.start_ms));
        self.write_down(&report);
        took
    }

    fn write_down(&self, report: &Report) {
        if self.is_recorded
            && let Err(error) = record::write(self.layout, report)
        {
            log::line("report", format_args!("{error:#}"));
        }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.kernel.since_boot().as_millis()).unwrap_or(u64::MAX)
    }

    /// A panic while the report was held has been made an error; the report is whole.
    fn report(&self) -> MutexGuard<'_, Report> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Seconds to one tenth, for the log.
fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

/// What a panic said, as far as it can be read.
pub fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("an unknown cause")
        .to_owned()
}

/// Bytes as a person reads them: MiB, or KiB below one.
pub fn size(bytes: u64) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = match bytes {
        0..0x10_0000 => write!(text, "{} KiB", bytes.div_ceil(1024)),
        _ => write!(text, "{} MiB", bytes >> 20),
    };
    text
}

//! What happened, how long it took and why it failed: `/run/rsinit/report.json`.
//!
//! `schema.json` beside this file describes it for readers outside of this crate.

mod message;
mod parts;
mod prometheus;
#[cfg(test)]
mod schema;
pub mod status;
mod svg;
mod table;

use serde::{Deserialize, Serialize};

pub use message::{messages, sender};
pub use parts::{
    ArchiveReport, DisksReport, HookReport, MovedReport, NodeReport, Outcome, StageReport,
    VolumeReport,
};
pub use prometheus::prometheus;
pub use svg::svg;
pub use table::{seconds, table};

/// The version of this file's form; it changes when a field changes its meaning. Readers
/// must expect fields that they do not know.
pub const SCHEMA: u32 = 1;

/// The whole boot. All times are milliseconds since the kernel started (`CLOCK_BOOTTIME`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Version of the agent.
    pub agent: String,
    /// Release of the kernel that booted (`uname -r`).
    pub kernel: String,
    /// Who booted, and from where.
    #[serde(default)]
    pub node: NodeReport,
    /// How the boot ended.
    pub outcome: Outcome,
    /// Why it failed: the console's last line, without `rsinit: `.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What to do about it, in one line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_step: Option<String>,
    /// The stages, in the order in which they began.
    pub stages: Vec<StageReport>,
    /// What was unpacked into the root, in that order.
    #[serde(default)]
    pub archives: Vec<ArchiveReport>,
    /// The preboot hooks that ran, in that order.
    #[serde(default)]
    pub hooks: Vec<HookReport>,
    /// What became of the local disks; absent where no settings ask for any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disks: Option<DisksReport>,
    /// What an administrator should look at although the node came up.
    pub warnings: Vec<String>,
}

impl Report {
    /// A boot that has just begun.
    pub fn new(kernel: String) -> Self {
        Self {
            schema: SCHEMA,
            agent: env!("CARGO_PKG_VERSION").to_owned(),
            kernel,
            node: NodeReport::default(),
            outcome: Outcome::Running,
            error: None,
            next_step: None,
            stages: Vec::new(),
            archives: Vec::new(),
            hooks: Vec::new(),
            disks: None,
            warnings: Vec::new(),
        }
    }

    /// When the last stage ended, in ms since the kernel started.
    pub fn end_ms(&self) -> Option<u64> {
        self.stages.iter().filter_map(|stage| stage.end_ms).max()
    }

    /// Ends what still ran at `now_ms`, when `cause` ended the boot.
    pub fn break_off(&mut self, now_ms: u64, cause: &str) {
        for stage in self.stages.iter_mut().filter(|stage| stage.outcome == Outcome::Running) {
            stage.outcome = Outcome::Failed;
            stage.end_ms = Some(now_ms);
            stage.note = cause.to_owned();
        }
    }

    /// Closes the report: a boot without an error is as good as its worst stage.
    pub fn finish(&mut self, error: Option<String>) {
        let warned = !self.warnings.is_empty()
            || self.stages.iter().any(|stage| stage.outcome != Outcome::Ok);
        self.outcome = match (&error, warned) {
            (Some(_), _) => Outcome::Failed,
            (None, true) => Outcome::Warned,
            (None, false) => Outcome::Ok,
        };
        self.error = error;
    }
}

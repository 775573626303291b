//! What happened, how long it took and why it failed: `/run/rsinit/report.json`.

mod table;

use serde::{Deserialize, Serialize};

pub use table::table;

/// The version of this file's form; it changes when a field changes its meaning.
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
    /// How the boot ended.
    pub outcome: Outcome,
    /// Why it failed: the console's last line, without `rsinit: `.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The stages, in the order in which they began.
    pub stages: Vec<StageReport>,
    /// What an administrator should look at although the node came up.
    pub warnings: Vec<String>,
}

/// How a boot or a stage ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Not over yet.
    Running,
    /// As it should be.
    Ok,
    /// Over, with a warning.
    Warned,
    /// Not done; the cause stands beside it.
    Failed,
}

/// One stage of the boot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageReport {
    /// Its name, as in the log.
    pub name: String,
    /// When it began, in ms since the kernel started.
    pub start_ms: u64,
    /// When it ended, in ms since the kernel started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_ms: Option<u64>,
    /// What it moved, in bytes, where that means something.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Requests or attempts beyond the first.
    pub retries: u32,
    /// How it ended.
    pub outcome: Outcome,
    /// What it did, or why it failed.
    pub note: String,
}

impl Report {
    /// A boot that has just begun.
    pub fn new(kernel: String) -> Self {
        Self {
            schema: SCHEMA,
            agent: env!("CARGO_PKG_VERSION").to_owned(),
            kernel,
            outcome: Outcome::Running,
            error: None,
            stages: Vec::new(),
            warnings: Vec::new(),
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

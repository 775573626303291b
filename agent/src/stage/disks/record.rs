//! What became of the plan: `/run/rsinit/disk.json` and `/mkdisk.log`.

use std::time::{Duration, Instant};

use anyhow::Context;

use crate::layout::Layout;
use crate::plan::disks::{DiskPlan, Step};

use super::Log;
use super::copy::Copied;

/// Everything about the disks that the report and the later steps need.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub struct Prepared {
    /// What was planned; none where there was nothing to plan.
    pub plan: Option<DiskPlan>,
    /// One a range, mount and moved folder that was tried.
    pub outcomes: Vec<Outcome>,
    /// Where volumes are mounted, as paths of the node.
    pub mounted: Vec<String>,
    /// Devices that are swapped to.
    pub swaps: Vec<String>,
    /// Where the profile wants volumes that are not mounted.
    pub missing: Vec<String>,
    /// What was copied for each moved folder.
    pub copied: Vec<(String, Copied)>,
    /// Whether something is missing that the node must have.
    pub is_required_missing: bool,
    /// Every line that was said.
    pub lines: Vec<String>,
    /// `MKDISK_REQUIRED`.
    #[serde(skip)]
    pub(super) is_required: bool,
    /// Mounts of ranges that were made, and whether the node must have them.
    #[serde(skip)]
    pub(super) ready: Vec<(Step, bool)>,
}

/// How one part ended.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Outcome {
    /// The range or the step.
    pub what: String,
    /// Milliseconds it took.
    pub took_ms: u64,
    /// Why it failed, if it did.
    pub error: Option<String>,
}

impl Outcome {
    pub(super) fn done(what: &str, took: Duration) -> Self {
        Self { what: what.to_owned(), took_ms: millis(took), error: None }
    }

    pub(super) fn failed(what: &str, took: Duration, error: String) -> Self {
        Self { what: what.to_owned(), took_ms: millis(took), error: Some(error) }
    }
}

impl Prepared {
    /// Why the boot must not go on: something is missing that the settings call
    /// required.
    pub fn failure(&self) -> Option<String> {
        self.is_required_missing.then(|| {
            let first = self.outcomes.iter().find_map(|outcome| outcome.error.clone());
            let refused = self.plan.as_ref().and_then(|plan| plan.refusals.first().cloned());
            let cause = first.or(refused).or_else(|| self.lines.first().cloned());
            format!("required disks are missing: {}", cause.unwrap_or_default())
        })
    }

    /// What an administrator should look at: refusals, warnings and failures.
    pub fn problems(&self) -> impl Iterator<Item = &str> {
        let planned = self.plan.iter().flat_map(|plan| plan.refusals.iter().chain(&plan.warnings));
        let failed = self.outcomes.iter().filter_map(|outcome| outcome.error.as_ref());
        let unplanned = self.lines.iter().take(if self.plan.is_none() { usize::MAX } else { 0 });
        planned.chain(failed).chain(unplanned).map(String::as_str)
    }

    /// The text of `/mkdisk.log`.
    pub fn log_text(&self) -> String {
        let table = self.plan.as_ref().map(DiskPlan::to_string).unwrap_or_default();
        let lines: String = self.lines.iter().map(|line| format!("{line}\n")).collect();
        format!("{table}{lines}")
    }

    /// Leaves `/run/rsinit/disk.json`, and `/mkdisk.log` in the new root where there
    /// was something to do.
    ///
    /// # Errors
    /// Those of writing the files.
    pub fn write(&self, layout: &Layout) -> anyhow::Result<()> {
        let path = layout.state().join("disk.json");
        std::fs::create_dir_all(layout.state())
            .with_context(|| format!("making {}", layout.state().display()))?;
        let json = serde_json::to_vec_pretty(self).context("writing the disks as JSON")?;
        std::fs::write(&path, json).with_context(|| format!("writing {}", path.display()))?;
        let text = self.log_text();
        if text.is_empty() || !layout.sysroot.is_dir() {
            return Ok(());
        }
        let path = layout.sysroot.join("mkdisk.log");
        std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))
    }

    /// The mount points of the profile that have no volume now.
    pub(super) fn find_missing(&self) -> Vec<String> {
        let ranges = self.plan.iter().flat_map(|plan| &plan.ranges);
        let mut missing = Vec::new();
        for range in ranges {
            let Some(wanted) = &range.wanted else { continue };
            let mounts = range.mounts.iter().filter_map(|step| match step {
                Step::Mount { target, .. } => Some(target),
                _ => None,
            });
            let targets: Vec<&String> = mounts.collect();
            let targets = if targets.is_empty() { vec![wanted] } else { targets };
            let is_missing = |target: &&String| !self.mounted.contains(target);
            missing.extend(targets.into_iter().filter(is_missing).cloned());
        }
        missing
    }

    /// Says a line and remembers it.
    pub(super) fn say(&mut self, log: Log<'_>, text: &str) {
        log(text);
        self.lines.push(text.to_owned());
    }

    /// Says how a step ended; true when it is done.
    pub(super) fn close(
        &mut self,
        log: Log<'_>,
        step: &Step,
        start: Instant,
        result: anyhow::Result<()>,
    ) -> bool {
        let what = step.to_string();
        let took = start.elapsed();
        match result {
            Ok(()) => {
                self.say(log, &format!("{what} in {} ms", took.as_millis()));
                self.outcomes.push(Outcome::done(&what, took));
                true
            }
            Err(error) => {
                let text = format!("{error:#}");
                self.say(log, &format!("{what}: {text}"));
                self.is_required_missing |= self.is_required;
                self.outcomes.push(Outcome::failed(&what, took, text));
                false
            }
        }
    }
}

fn millis(took: Duration) -> u64 {
    u64::try_from(took.as_millis()).unwrap_or(u64::MAX)
}

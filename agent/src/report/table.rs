//! A report as a table that a person reads.

use std::fmt::Write as _;

use super::Report;

/// The report as lines of text: a row a stage, then the warnings and the error.
pub fn table(report: &Report) -> String {
    let mut text = String::new();
    let wide = report.stages.iter().map(|stage| stage.name.len()).max().unwrap_or(0).max(5);
    // Writing to a String cannot fail.
    let _ =
        writeln!(text, "{:wide$}  {:>9}  {:>9}  {:7}  what", "stage", "start", "time", "outcome");
    for stage in &report.stages {
        let _ = writeln!(
            text,
            "{:wide$}  {:>9}  {:>9}  {:7}  {}",
            stage.name,
            seconds(stage.start_ms),
            stage.end_ms.map_or("-".to_owned(), |end| seconds(end.saturating_sub(stage.start_ms))),
            stage.outcome.word(),
            stage.note,
        );
    }
    if let Some(end) = report.end_ms() {
        let what = if report.error.is_some() { "given up at" } else { "handed over at" };
        let _ = writeln!(text, "{what:wide$}  {:>9}", seconds(end));
    }
    for warning in &report.warnings {
        let _ = writeln!(text, "warning: {warning}");
    }
    if let Some(error) = &report.error {
        let _ = writeln!(text, "failed: {error}");
    }
    if let Some(step) = &report.next_step {
        let _ = writeln!(text, "next step: {step}");
    }
    text
}

/// Seconds to one tenth, from milliseconds.
pub fn seconds(ms: u64) -> String {
    format!("{}.{} s", ms / 1000, ms % 1000 / 100)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Outcome, StageReport};

    #[test]
    fn a_stage_is_a_row_and_warnings_and_errors_follow() {
        let mut report = Report::new("6.1.0".to_owned());
        report.stages.push(StageReport {
            name: "image".to_owned(),
            start_ms: 2_000,
            end_ms: Some(16_250),
            bytes: Some(1),
            retries: 1,
            outcome: Outcome::Ok,
            note: "1834 MiB".to_owned(),
        });
        report.warnings.push("preboot: exit status 1".to_owned());
        let text = table(&report);
        assert!(text.contains("image      2.0 s     14.2 s  ok       1834 MiB"), "{text}");
        assert!(text.contains("handed over at     16.2 s"), "{text}");
        report.error = Some("image: cut".to_owned());
        let text = table(&report);
        assert!(text.contains("given up at     16.2 s"), "{text}");
        assert!(text.ends_with("warning: preboot: exit status 1\nfailed: image: cut\n"), "{text}");
    }
}

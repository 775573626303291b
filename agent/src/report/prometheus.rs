//! The checks and the boot's times as a textfile of node_exporter.
//!
//! Source: Prometheus's "Exposition formats" (text format 0.0.4) and "Metric and label naming".

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::Report;
use super::status::{ArrayFact, Check, Facts, State};

/// One sample: labels and value.
type Sample = (Vec<(&'static str, String)>, String);

/// All that is known, as a complete file.
pub fn prometheus(facts: &Facts, checks: &[Check]) -> String {
    let mut out = String::new();
    write_node(&mut out, facts, checks);
    if let Some(report) = &facts.report {
        write_boot(&mut out, report);
    }
    out
}

/// How the node is now.
fn write_node(out: &mut String, facts: &Facts, checks: &[Check]) {
    let state = |check: &Check| {
        let is_ok = u8::from(check.state != State::Problem);
        (vec![("check", check.name.to_owned())], is_ok.to_string())
    };
    let help = "Whether a check of rsinit status found no problem (1) or one (0).";
    write_gauge(out, "rsinit_check_ok", help, checks.iter().map(state).collect());
    let array = |one: &ArrayFact| {
        let labels = vec![("array", one.name.clone()), ("level", one.level.clone())];
        (labels, one.degraded.to_string())
    };
    let help = "Members that an md array does without.";
    let samples = facts.arrays.iter().map(array).collect();
    write_gauge(out, "rsinit_array_missing_members", help, samples);
    let last = facts.client.as_ref().and_then(|client| client.last_success);
    let help = "When the runtime overlays were last known to be the server's.";
    let samples = last.map(one).into_iter().flatten().collect();
    write_gauge(out, "rsinit_overlays_last_success_timestamp_seconds", help, samples);
}

/// How the boot was.
fn write_boot(out: &mut String, report: &Report) {
    let samples = vec![(about(report), "1".to_owned())];
    write_gauge(out, "rsinit_boot_info", "What booted; always 1.", samples);
    let help = "From the kernel's start to the hand-over of the root.";
    let took = seconds(report.end_ms().unwrap_or(0));
    write_gauge(out, "rsinit_boot_duration_seconds", help, one(took));
    let help = "Warnings in the boot's report.";
    write_gauge(out, "rsinit_boot_warnings", help, one(report.warnings.len()));
    let retries: u64 = report.stages.iter().map(|stage| u64::from(stage.retries)).sum();
    let help = "Requests and attempts of the boot beyond the first.";
    write_gauge(out, "rsinit_boot_retries", help, one(retries));
    let took = report.stages.iter().map(|stage| {
        let end = stage.end_ms.unwrap_or(stage.start_ms);
        (stage.name.as_str(), end.saturating_sub(stage.start_ms))
    });
    let help = "How long a stage of the boot took.";
    write_gauge(out, "rsinit_boot_stage_duration_seconds", help, by_stage(took, seconds));
    let bytes = report.archives.iter().map(|archive| (archive.stage.as_str(), archive.bytes));
    let help = "Bytes of image and overlays as they were served.";
    let samples = by_stage(bytes, |bytes| bytes.to_string());
    write_gauge(out, "rsinit_boot_fetched_bytes", help, samples);
}

/// A family of one sample.
fn one(value: impl ToString) -> Vec<Sample> {
    vec![(Vec::new(), value.to_string())]
}

/// A sample a stage, of the sums: an overlay has two stages of its name.
fn by_stage<'a>(
    values: impl Iterator<Item = (&'a str, u64)>,
    write: impl Fn(u64) -> String,
) -> Vec<Sample> {
    let mut sums = BTreeMap::<&str, u64>::new();
    for (stage, value) in values {
        let sum = sums.entry(stage).or_default();
        *sum = sum.saturating_add(value);
    }
    let sample = |(stage, sum): (&str, u64)| (vec![("stage", stage.to_owned())], write(sum));
    sums.into_iter().map(sample).collect()
}

fn about(report: &Report) -> Vec<(&'static str, String)> {
    let image = report.archives.iter().find(|archive| archive.stage == "image");
    let digest = image.and_then(|image| image.sha256.clone()).unwrap_or_default();
    vec![
        ("agent", report.agent.clone()),
        ("kernel", report.kernel.clone()),
        ("outcome", report.outcome.word().to_owned()),
        ("server", report.node.server.clone().unwrap_or_default()),
        ("image_sha256", digest),
    ]
}

/// A family without a sample is left out.
fn write_gauge(out: &mut String, name: &str, help: &str, samples: Vec<Sample>) {
    if samples.is_empty() {
        return;
    }
    // Writing to a String cannot fail.
    let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} gauge\n");
    for (labels, value) in samples {
        let labels: Vec<String> =
            labels.iter().map(|(name, text)| format!("{name}=\"{}\"", escaped(text))).collect();
        let labels =
            if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let _ = writeln!(out, "{name}{labels} {value}");
    }
}

/// A label's value: `\`, `"` and line feeds escaped, as the format wants.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// Milliseconds as seconds.
fn seconds(ms: u64) -> String {
    format!("{}.{:03}", ms / 1000, ms % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::status::{ClientState, checks};
    use crate::report::{ArchiveReport, Outcome, StageReport};

    #[test]
    fn each_family_has_help_type_and_samples_in_the_form_of_the_textfile() {
        let mut report = Report::new("6.1\"\\\n".to_owned());
        for (start_ms, end_ms) in [(1000, 1500), (3000, 3007)] {
            report.stages.push(StageReport {
                name: "system-overlay".to_owned(),
                start_ms,
                end_ms: Some(end_ms),
                bytes: None,
                retries: 2,
                outcome: Outcome::Ok,
                note: String::new(),
            });
            report.archives.push(ArchiveReport::new("system-overlay", 10, None));
        }
        report.finish(None);
        let client = ClientState { last_success: Some(77), ..ClientState::default() };
        let facts = Facts { report: Some(report), client: Some(client), ..Facts::default() };
        let text = prometheus(&facts, &checks(&facts));
        for line in [
            "rsinit_check_ok{check=\"boot\"} 1",
            "rsinit_check_ok{check=\"secrets\"} 1",
            "rsinit_overlays_last_success_timestamp_seconds 77",
            "rsinit_boot_duration_seconds 3.007",
            "rsinit_boot_retries 4",
            "rsinit_boot_stage_duration_seconds{stage=\"system-overlay\"} 0.507",
            "rsinit_boot_fetched_bytes{stage=\"system-overlay\"} 20",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}: {text}");
        }
        assert!(text.contains("kernel=\"6.1\\\"\\\\\\n\""), "{text}");
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        for sample in samples {
            let name = sample.split(['{', ' ']).next().unwrap();
            assert!(text.contains(&format!("# TYPE {name} gauge\n")), "{name}");
            assert!(text.contains(&format!("# HELP {name} ")), "{name}");
        }
        assert!(!text.contains("rsinit_array"), "a family without samples: {text}");
        assert!(text.ends_with('\n'));
    }
}

//! A report as messages of syslog: one line for people, and the whole as JSON.

use super::{Outcome, Report, seconds};
use crate::format::syslog::Severity;

/// What comes before JSON in a message, so that a receiver knows it. Source: CEE's cookie,
/// which rsyslog's mmjsonparse looks for.
const COOKIE: &str = "@cee: ";

/// The messages, the one for people first.
pub fn messages(report: &Report) -> Vec<(Severity, String)> {
    let severity = match report.outcome {
        Outcome::Failed | Outcome::Running => Severity::Error,
        Outcome::Warned => Severity::Warning,
        Outcome::Ok => Severity::Info,
    };
    let json = serde_json::to_string(report).unwrap_or_default();
    vec![(severity, line(report)), (severity, format!("{COOKIE}{json}"))]
}

fn line(report: &Report) -> String {
    let took = report.end_ms().map(seconds).unwrap_or_default();
    let up = format!("handed over {took} after the kernel started");
    match (report.outcome, &report.error) {
        (Outcome::Ok, _) => format!("boot ok: {up}"),
        (Outcome::Warned, _) => match report.warnings.first() {
            Some(first) => {
                format!("boot warned: {up}; {} warnings: {first}", report.warnings.len())
            }
            None => format!("boot warned: {up}"),
        },
        (Outcome::Running | Outcome::Failed, error) => {
            let error = error.as_deref().unwrap_or("not over");
            let step = report.next_step.as_ref().map(|step| format!("; next step: {step}"));
            format!("boot failed: {error}{}", step.unwrap_or_default())
        }
    }
}

/// Who the report is about, for a message's header: name, address, or MAC.
pub fn sender(report: &Report) -> &str {
    let node = &report.node;
    let known = node.hostname.as_ref().or(node.address.as_ref()).or(node.mac.as_ref());
    known.map_or("", String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_its_cause_and_the_next_step_and_then_the_whole_report() {
        let mut report = Report::new("6.1".to_owned());
        report.node.mac = Some("52:54:00:00:00:01".to_owned());
        report.next_step = Some("build it".to_owned());
        report.finish(Some("image: 404".to_owned()));
        let said = messages(&report);
        let line = "boot failed: image: 404; next step: build it";
        assert_eq!(said[0], (Severity::Error, line.to_owned()));
        let json = said[1].1.strip_prefix("@cee: ").unwrap();
        assert_eq!(serde_json::from_str::<Report>(json).unwrap(), report);
        assert_eq!(sender(&report), "52:54:00:00:00:01");
        report.node.hostname = Some("n1".to_owned());
        assert_eq!(sender(&report), "n1");
    }

    #[test]
    fn a_good_boot_is_one_line_and_a_warned_one_has_its_first_warning() {
        let mut report = Report::new("6.1".to_owned());
        report.finish(None);
        assert_eq!(messages(&report)[0].0, Severity::Info);
        assert!(messages(&report)[0].1.starts_with("boot ok: handed over"));
        report.warnings.push("preboot: exit status 1".to_owned());
        report.finish(None);
        let (severity, text) = &messages(&report)[0];
        assert_eq!(*severity, Severity::Warning);
        assert!(text.ends_with("; 1 warnings: preboot: exit status 1"), "{text}");
    }
}

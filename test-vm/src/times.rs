//! How long each part of a boot took, in one line.

use std::fmt::Write as _;

use witness::answer::{Stage, stages_of};

use crate::boot::Boot;

/// A stage shorter than this is not worth a word, in milliseconds.
const SHORT_MS: f64 = 50.0;

/// The parts of `boot` that took a while, in seconds: the agent's stages and what lies around them.
pub fn describe(boot: &Boot) -> String {
    let report = boot.answer.as_ref().and_then(|answer| answer.report.as_ref());
    let stages = stages_of(report.or(boot.heard.report.as_ref()));
    let answered = boot.answer.as_ref().map(|answer| answer.uptime);
    parts(boot.took.as_secs_f64(), &stages, answered) + &waits(&boot.console)
}

/// How often the guest's kernel waited in vain for a disk, each time for half a minute: on a slow
/// host, an emulated disk's interrupt is lost at times.
fn waits(console: &str) -> String {
    let is_one = |line: &&str| line.contains("nvme") && line.contains(" timeout, ");
    match console.lines().filter(is_one).count() {
        0 => String::new(),
        count => format!(", waits for a disk in vain: {count}"),
    }
}

fn parts(took: f64, stages: &[Stage], answered: Option<f64>) -> String {
    let mut line = format!("{took:.1} s");
    let Some(first) = stages.first() else { return line + ": the agent has no report" };
    let mut part = |name: &str, seconds: f64| {
        // Writing to a String does not fail.
        let _ = write!(line, ", {name} {seconds:.1}");
    };
    part("kernel and initramfs", first.start_ms / 1e3);
    for stage in stages.iter().filter(|stage| stage.took_ms >= SHORT_MS) {
        part(&stage.name, stage.took_ms / 1e3);
    }
    let end_ms = stages.iter().map(|stage| stage.start_ms + stage.took_ms).fold(0.0, f64::max);
    if let Some(answered) = answered {
        part("the root's own start", answered - end_ms / 1e3);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(name: &str, start_ms: f64, took_ms: f64) -> Stage {
        Stage {
            name: name.to_owned(),
            start_ms,
            took_ms,
            bytes: None,
            retries: 0,
            outcome: "ok".to_owned(),
            note: String::new(),
        }
    }

    #[test]
    fn each_part_that_took_a_while_is_named() {
        let stages = [
            stage("network", 4000.0, 200.0),
            stage("root", 4200.0, 5.0),
            stage("image", 4205.0, 3000.0),
            stage("disks", 4300.0, 900.0),
        ];
        let said = "20.0 s, kernel and initramfs 4.0, network 0.2, image 3.0, disks 0.9";
        assert_eq!(parts(20.0, &stages, None), said);
        let up = parts(20.0, &stages, Some(10.0));
        assert_eq!(up, format!("{said}, the root's own start 2.8"));
    }

    #[test]
    fn lost_interrupts_are_counted() {
        let console =
            "[   40.1] nvme nvme3: I/O 12 QID 1 timeout, completion polled\n[   41.0] md0: ok\n";
        assert_eq!(waits(console), ", waits for a disk in vain: 1");
        assert_eq!(waits("[    1.0] nvme nvme3: 1/0/0 default/read/poll queues\n"), "");
    }

    #[test]
    fn a_boot_without_a_report_has_its_length() {
        assert_eq!(parts(1.0, &[], None), "1.0 s: the agent has no report");
    }
}

//! Medians, their ratios, and the goals beside what was reached.

use std::fmt::Write as _;
use std::time::Duration;

use crate::bench::contender::Format;
use crate::bench::measure::Sample;

/// Goals of the ratios and of the peak. Source: the project's issue on speed.
mod goal {
    pub const GZ_WALL: f64 = 0.22;
    pub const GZ_CPU: f64 = 0.25;
    pub const RAW_WALL: f64 = 0.25;
    pub const INFLATE: f64 = 1.08;
    pub const PEAK_MIB: f64 = 24.0;
}

/// Medians of several runs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Medians {
    wall_s: f64,
    cpu_s: f64,
    peak_mib: f64,
}

impl Medians {
    /// The medians of `samples`; none of none.
    #[must_use]
    pub fn of(samples: &[Sample]) -> Option<Self> {
        let seconds = |pick: fn(&Sample) -> Duration| {
            median(samples.iter().map(|sample| pick(sample).as_secs_f64()).collect())
        };
        let peaks = samples.iter().map(|sample| {
            let kib = u32::try_from(sample.peak_kib).unwrap_or(u32::MAX);
            f64::from(kib) / 1024.0
        });
        Some(Self {
            wall_s: seconds(|sample| sample.wall)?,
            cpu_s: seconds(|sample| sample.cpu)?,
            peak_mib: median(peaks.collect())?,
        })
    }
}

/// The value in the middle, or between the two in the middle; none of none.
#[must_use]
pub fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    if values.len() % 2 == 1 {
        return Some(upper);
    }
    Some(f64::midpoint(upper, *values.get(middle.checked_sub(1)?)?))
}

/// One format: both sides, and for gzip the inflater alone.
#[derive(Debug, Clone)]
pub struct Row {
    /// What was fetched.
    pub format: Format,
    /// rsinit's medians.
    pub ours: Medians,
    /// The other side's.
    pub theirs: Medians,
    /// The inflater's, without network and tree.
    pub inflate: Option<Medians>,
    /// CPU seconds of the server while rsinit ran.
    pub server_s: f64,
}

impl Row {
    /// What all CPUs need for rsinit and the server if none is ever idle: less wall time cannot be.
    fn bound_s(&self, cpus: u32) -> f64 {
        (self.ours.cpu_s + self.server_s) / f64::from(cpus)
    }
}

/// The table; `other` is the name of the other side, `cpus` how many CPUs there are.
#[must_use]
pub fn render(rows: &[Row], other: &str, cpus: u32) -> String {
    let mut text = String::new();
    let _ = writeln!(
        text,
        "{:6}  {:^27}  {:^27}  {:^27}",
        "", "wall, s", "CPU, s", "peak of a process, MiB"
    );
    let head = format!("{:>8} {other:>10} {:>7}", "rsinit", "ratio");
    let _ = writeln!(text, "{:6}  {head}  {head}  {head}", "");
    for row in rows {
        let cell = |pick: fn(&Medians) -> f64| {
            let (ours, theirs) = (pick(&row.ours), pick(&row.theirs));
            format!("{ours:8.2} {theirs:10.2} {:7.3}", ours / theirs)
        };
        let _ = writeln!(
            text,
            "{:6}  {}  {}  {}",
            row.format.name(),
            cell(|medians| medians.wall_s),
            cell(|medians| medians.cpu_s),
            cell(|medians| medians.peak_mib)
        );
    }
    for row in rows {
        if let Some(inflate) = row.inflate {
            let _ = writeln!(
                text,
                "inflating alone: {:.2} s, {:.2} s of CPU; rsinit's {} wall is {:.3} of it",
                inflate.wall_s,
                inflate.cpu_s,
                row.format.name(),
                row.ours.wall_s / inflate.wall_s
            );
            let bound = row.bound_s(cpus);
            let _ = writeln!(
                text,
                "rsinit and server need {:.2} s of CPU, {bound:.2} s on {cpus} CPUs never idle: \
                 {:.3} of inflating alone",
                row.ours.cpu_s + row.server_s,
                bound / inflate.wall_s
            );
        }
    }
    text
}

/// The goals and what was reached, in one line.
#[must_use]
pub fn render_goals(rows: &[Row]) -> String {
    let row = |format| rows.iter().find(|row| row.format == format);
    let mut parts = Vec::new();
    if let Some(gz) = row(Format::Gz) {
        let wall = gz.ours.wall_s;
        parts.push(judge("gz wall", wall / gz.theirs.wall_s, goal::GZ_WALL));
        parts.push(judge("gz CPU", gz.ours.cpu_s / gz.theirs.cpu_s, goal::GZ_CPU));
        if let Some(inflate) = gz.inflate {
            parts.push(judge("of inflate-only", wall / inflate.wall_s, goal::INFLATE));
        }
    }
    if let Some(raw) = row(Format::Raw) {
        parts.push(judge("raw wall", raw.ours.wall_s / raw.theirs.wall_s, goal::RAW_WALL));
    }
    let peak = rows.iter().map(|row| row.ours.peak_mib).fold(0.0, f64::max);
    parts.push(judge("peak MiB", peak, goal::PEAK_MIB));
    format!("goals: {}", parts.join(", "))
}

fn judge(what: &str, reached: f64, goal: f64) -> String {
    let verdict = if reached <= goal { "reached" } else { "missed" };
    format!("{what} {reached:.3} of {goal} {verdict}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn medians(wall_s: f64, cpu_s: f64, peak_mib: f64) -> Medians {
        Medians { wall_s, cpu_s, peak_mib }
    }

    #[test]
    fn the_median_is_the_middle_or_between_the_two_in_the_middle() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![9.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 100.0]), Some(3.0));
    }

    #[test]
    fn a_goal_is_judged_by_the_ratio_of_medians() {
        let row = Row {
            format: Format::Gz,
            ours: medians(2.1, 3.0, 30.0),
            theirs: medians(10.0, 10.0, 1.0),
            inflate: Some(medians(2.0, 2.0, 3.0)),
            server_s: 1.0,
        };
        let table = render(std::slice::from_ref(&row), "pipeline", 2);
        assert!(
            table.contains("need 4.00 s of CPU, 2.00 s on 2 CPUs never idle: 1.000"),
            "{table}"
        );
        let goals = render_goals(&[row]);
        assert!(goals.contains("gz wall 0.210 of 0.22 reached"), "{goals}");
        assert!(goals.contains("gz CPU 0.300 of 0.25 missed"), "{goals}");
        assert!(goals.contains("of inflate-only 1.050 of 1.08 reached"), "{goals}");
        assert!(goals.contains("peak MiB 30.000 of 24 missed"), "{goals}");
        assert!(!goals.contains("raw"), "{goals}");
    }
}

//! Medians, their ratios, and the goals beside what was reached.

use std::fmt::Write as _;
use std::time::Duration;

use super::job::{Act, Sample, Side};
use crate::bench::table::median;

/// Goals. Source: the project's issue on local disks.
mod goal {
    pub const FORMAT: f64 = 0.1;
    pub const CREATE: f64 = 0.2;
    pub const ASSEMBLE: f64 = 0.2;
    pub const ARRAY_MB: f64 = 100.0;
    pub const DISK_MB: f64 = 12.0;
    pub const SKEW: f64 = 1.5;
    pub const ASSEMBLE_MB: f64 = 0.0;
}

/// What is shown of an act, and by which words.
const ACTS: [(Act, &str); 6] = [
    (Act::Format, "8 x 4 TiB, blank to ext4"),
    (Act::Create, "create the array"),
    (Act::Assemble, "start the array again"),
    (Act::FormatOne, "4 TiB, blank to ext4"),
    (Act::Mount, "(the kernel's mount of 32 TiB)"),
    (Act::Start, "(the program's own start)"),
];

const SIDES: [Side; 4] = [Side::Rsinit, Side::RsinitRange, Side::Tools, Side::ToolsWithDiscard];

/// The programs that a side runs for an act.
fn programs(act: Act, side: Side) -> &'static str {
    match (act, side) {
        (_, Side::Rsinit) => "rsinit",
        (_, Side::RsinitRange) => "of that, the array alone",
        (Act::Format | Act::Mount, Side::Tools) => "mdadm + mke2fs -E nodiscard",
        (Act::Format | Act::Mount, Side::ToolsWithDiscard) => "mdadm + mke2fs",
        (Act::FormatOne, _) => "mke2fs -E nodiscard",
        (Act::Create | Act::Assemble | Act::Start, _) => "mdadm",
    }
}

/// The table of all samples, and the goals.
#[must_use]
pub fn render(samples: &[Sample]) -> String {
    let mut text = format!(
        "{:<31} {:<28} {:>4} {:>10} {:>10} {:>8} {:>10} {:>13}\n",
        "", "", "runs", "median, ms", "fastest", "ratio", "written, MB", "requests/disk"
    );
    for (act, what) in ACTS {
        let ours = wall_ms(samples, act, Side::Rsinit);
        for side in SIDES {
            let who = programs(act, side);
            let Some(wall) = wall_ms(samples, act, side) else { continue };
            let ratio = ours.map_or_else(String::new, |ours| format!("{:.3}", ours / wall));
            let runs = of(samples, act, side).count();
            let fastest = of(samples, act, side).map(|sample| ms(sample.wall));
            let fastest = fastest.fold(f64::INFINITY, f64::min);
            let written = most_mb(samples, act, side).unwrap_or(0.0);
            let requests = of(samples, act, side).filter_map(Sample::skew).last();
            let requests =
                requests.map_or_else(String::new, |(most, least)| format!("{least}-{most}"));
            let _ = writeln!(
                text,
                "{what:<31} {who:<28} {runs:>4} {wall:>10.1} {fastest:>10.1} {ratio:>8} {written:>11.3} {requests:>13}"
            );
        }
    }
    text + "\n" + &render_goals(samples)
}

fn render_goals(samples: &[Sample]) -> String {
    let of_tools =
        |act, side| Some(wall_ms(samples, act, side)? / wall_ms(samples, act, Side::Tools)?);
    let ratio = |act| of_tools(act, Side::Rsinit);
    let alone = |act| of_tools(act, Side::RsinitRange);
    let skew = of(samples, Act::Format, Side::Rsinit).filter_map(Sample::skew);
    let skew = skew.map(|(most, least)| number(most) / number(least)).reduce(f64::max);
    let written = |act| most_mb(samples, act, Side::Rsinit);
    let goals = [
        (
            "8 x 4 TiB blank to ext4, of mdadm + mke2fs -E nodiscard",
            ratio(Act::Format),
            goal::FORMAT,
        ),
        ("creating an array, of mdadm", ratio(Act::Create), goal::CREATE),
        ("starting an array again, of mdadm", ratio(Act::Assemble), goal::ASSEMBLE),
        ("the same, when the disks are known: creating", alone(Act::Create), goal::CREATE),
        ("the same, when the disks are known: starting", alone(Act::Assemble), goal::ASSEMBLE),
        ("MB written for 32 TiB", written(Act::Format), goal::ARRAY_MB),
        ("MB written for 4 TiB", written(Act::FormatOne), goal::DISK_MB),
        ("most against least write requests over the members", skew, goal::SKEW),
        ("MB written when an array is started again", written(Act::Assemble), goal::ASSEMBLE_MB),
    ];
    let mut text = String::new();
    for (what, reached, goal) in goals {
        let Some(reached) = reached else { continue };
        let verdict = if reached <= goal { "reached" } else { "MISSED" };
        let _ = writeln!(text, "goal: {what}: {reached:.3}, at most {goal}: {verdict}");
    }
    text
}

fn of(samples: &[Sample], act: Act, side: Side) -> impl Iterator<Item = &Sample> {
    samples.iter().filter(move |sample| sample.act == act && sample.side == side)
}

fn wall_ms(samples: &[Sample], act: Act, side: Side) -> Option<f64> {
    median(of(samples, act, side).map(|sample| ms(sample.wall)).collect())
}

/// The most that any run wrote, in millions of bytes.
fn most_mb(samples: &[Sample], act: Act, side: Side) -> Option<f64> {
    let bytes = of(samples, act, side).map(Sample::bytes).max()?;
    Some(number(bytes) / 1e6)
}

fn ms(wall: Duration) -> f64 {
    wall.as_secs_f64() * 1000.0
}

/// Counts here are below 2^32.
fn number(count: u64) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::super::job::Io;
    use super::*;

    fn sample(act: Act, side: Side, wall_ms: u64, requests: &[u64], bytes: u64) -> Sample {
        let disks = requests.iter().map(|&requests| Io { requests, bytes }).collect();
        Sample { act, side, wall: Duration::from_millis(wall_ms), disks }
    }

    #[test]
    fn goals_are_judged_by_medians_and_by_the_worst_count() {
        let samples = [
            sample(Act::Format, Side::Rsinit, 200, &[10, 15], 40_000_000),
            sample(Act::Format, Side::Rsinit, 100, &[10, 16], 60_000_000),
            sample(Act::Format, Side::Rsinit, 100, &[10, 10], 10_000_000),
            sample(Act::Format, Side::Tools, 1000, &[1, 1], 1),
            sample(Act::Create, Side::Rsinit, 30, &[1], 1),
            sample(Act::Create, Side::Tools, 100, &[1], 1),
            sample(Act::Assemble, Side::Rsinit, 30, &[1, 0], 512_000),
        ];
        let goals = render_goals(&samples);
        for line in [
            "nodiscard: 0.100, at most 0.1: reached",
            "creating an array, of mdadm: 0.300, at most 0.2: MISSED",
            "MB written for 32 TiB: 120.000, at most 100: MISSED",
            "members: 1.600, at most 1.5: MISSED",
            "started again: 1.024, at most 0: MISSED",
        ] {
            assert!(goals.contains(line), "{line}: {goals}");
        }
        assert!(!goals.contains("4 TiB: ") || !goals.contains("written for 4 TiB"), "not measured");
    }

    #[test]
    fn a_disk_without_any_write_misses_the_goal_of_spread() {
        let goals = render_goals(&[sample(Act::Format, Side::Rsinit, 1, &[3, 0], 1)]);
        assert!(goals.contains("members: inf, at most 1.5: MISSED"), "{goals}");
    }
}

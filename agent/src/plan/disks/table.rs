//! The plan as a person reads it.

use std::fmt;

use super::number::Numbered;
use super::{DiskPlan, DiskRow, RangePlan};

/// One row a disk: what is on it, what becomes of it, why.
pub(super) fn list_disks(numbered: &[Numbered<'_>], ranges: &[RangePlan]) -> Vec<DiskRow> {
    numbered
        .iter()
        .map(|Numbered { disk, number }| {
            let (action, reason) = match number {
                Err(reason) => ("unused", reason.clone()),
                Ok(number) => explain(*number, ranges),
            };
            DiskRow {
                number: number.as_ref().ok().copied(),
                name: disk.name.clone(),
                model: disk.model.clone(),
                serial: disk.serial.clone(),
                size_bytes: disk.size_bytes,
                place: disk.place.text.clone(),
                contents: match &disk.contents {
                    Ok(contents) => contents.to_string(),
                    Err(error) => format!("not read: {error}"),
                },
                action: action.to_owned(),
                reason,
            }
        })
        .collect()
}

fn explain(number: u32, ranges: &[RangePlan]) -> (&'static str, String) {
    let range = ranges.iter().find(|range| (range.first..=range.last).contains(&number));
    match range {
        None => ("left alone", "no entry covers it".to_owned()),
        Some(range) if range.line == 0 => ("left alone", "its entry is empty".to_owned()),
        Some(range) if range.reason.is_empty() => (range.action, range.title.clone()),
        Some(range) => (range.action, format!("{}: {}", range.title, range.reason)),
    }
}

const HEADINGS: [&str; 9] =
    ["#", "disk", "model", "serial", "size", "place", "holds", "action", "why"];

impl fmt::Display for DiskPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wipe = if self.wipe_on_boot { "WIPE_ON_BOOT=true" } else { "nothing is wiped" };
        writeln!(f, "profile {}, {wipe}", self.profile)?;
        let heading = HEADINGS.map(str::to_owned);
        let rows: Vec<[String; 9]> =
            std::iter::once(heading).chain(self.disks.iter().map(cells)).collect();
        let width = |column: usize| {
            rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max()
        };
        let widths: Vec<usize> = (0..HEADINGS.len()).map(|c| width(c).unwrap_or(0)).collect();
        for row in &rows {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
            writeln!(f, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
        }
        for step in self.steps() {
            writeln!(f, "step: {step}")?;
        }
        for refusal in &self.refusals {
            writeln!(f, "refused: {refusal}")?;
        }
        for warning in &self.warnings {
            writeln!(f, "warning: {warning}")?;
        }
        Ok(())
    }
}

fn cells(row: &DiskRow) -> [String; 9] {
    // What a disk says of itself goes to a terminal: nothing in it may act there.
    let plain = |text: &str| text.escape_default().to_string();
    [
        row.number.map_or_else(|| "-".to_owned(), |number| number.to_string()),
        row.name.clone(),
        plain(&row.model),
        plain(&row.serial),
        format_size(row.size_bytes),
        row.place.clone(),
        row.contents.clone(),
        row.action.clone(),
        row.reason.clone(),
    ]
}

/// `3.6 TiB`.
fn format_size(bytes: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut tenths = u128::from(bytes).saturating_mul(10);
    let mut unit = 0usize;
    while tenths >= 10240 && unit < units.len().saturating_sub(1) {
        tenths /= 1024;
        unit = unit.saturating_add(1);
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, units.get(unit).copied().unwrap_or(""))
}

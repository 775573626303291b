//! `/run/rsinit/report.json`: written as the boot goes, so that what it has of a boot that was
//! killed is there for the next one.

use std::fs;

use anyhow::Context as _;

use crate::layout::Layout;
use crate::report::Report;

/// Writes it, complete or not at all.
///
/// # Errors
/// What could not be written.
pub fn write(layout: &Layout, report: &Report) -> anyhow::Result<()> {
    let path = layout.report();
    let new = path.with_extension("new");
    fs::create_dir_all(layout.state())
        .and_then(|()| fs::write(&new, serde_json::to_vec_pretty(report)?))
        .and_then(|()| fs::rename(&new, &path))
        .with_context(|| format!("writing {}", path.display()))
}

/// What the boot before this one wrote; none where this is the first, or it cannot be read.
pub fn read(layout: &Layout) -> Option<Report> {
    serde_json::from_slice(&fs::read(layout.report()).ok()?).ok()
}

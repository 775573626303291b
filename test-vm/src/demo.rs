//! One real node, watched: its console live, then what each stage of its boot took.

use std::path::Path;

use anyhow::Result;

/// Boots the node; whether it came up.
///
/// # Errors
/// The harness fails.
pub fn run(_scratch: &Path, _keep: bool) -> Result<bool> {
    Ok(false)
}

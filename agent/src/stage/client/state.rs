//! `/run/rsinit/client.json`: how fresh the runtime overlays are, for whoever watches the node.

use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

/// The version of the form.
const SCHEMA: u32 = 1;

/// What the client did last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The version of this form, 1.
    pub schema: u32,
    /// When the node was last known to be as the server has it, in seconds since 1970: at
    /// the end of its boot, to begin with.
    pub last_success: Option<u64>,
    /// When the server was last asked, in seconds since 1970.
    pub last_attempt: Option<u64>,
    /// Seconds between two questions.
    pub interval_s: u64,
    /// Why the last question failed, if it did.
    pub error: Option<String>,
    /// Files that were changed since the node was booted.
    pub applied: u64,
}

impl State {
    /// As an earlier client of this boot left it at `path`; else of one that has not asked yet,
    /// after a boot that wrote `report` at its end.
    pub fn read(path: &Path, report: &Path) -> Self {
        let earlier = fs::read(path).ok().and_then(|text| serde_json::from_slice(&text).ok());
        let booted = fs::metadata(report).and_then(|report| report.modified());
        earlier.filter(|state: &Self| state.schema == SCHEMA).unwrap_or(Self {
            schema: SCHEMA,
            last_success: booted.ok().map(seconds),
            last_attempt: None,
            interval_s: 0,
            error: None,
            applied: 0,
        })
    }

    /// Writes it to `path`, complete or not at all.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        let new = path.with_extension("new");
        let folder = path.parent().unwrap_or(Path::new("/"));
        fs::create_dir_all(folder)
            .and_then(|()| fs::write(&new, serde_json::to_vec(self)?))
            .and_then(|()| fs::rename(&new, path))
            .with_context(|| format!("writing {}", path.display()))
    }
}

/// Seconds since 1970.
pub fn now() -> u64 {
    seconds(SystemTime::now())
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

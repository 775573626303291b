//! The parts of a [`Report`](super::Report).

use serde::{Deserialize, Serialize};

/// How a boot or a stage ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Not over yet.
    Running,
    /// As it should be.
    Ok,
    /// Over, with a warning.
    Warned,
    /// Not done; the cause stands beside it.
    Failed,
}

impl Outcome {
    /// The word for it, as in the JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Ok => "ok",
            Self::Warned => "warned",
            Self::Failed => "failed",
        }
    }
}

/// Who booted, and from where; each as far as it became known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeReport {
    /// The MAC address by which the server knows the node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mac: Option<String>,
    /// The first line of `/etc/hostname` of the system overlay or the image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// The node's own address on the way to the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The server, `http://host:port`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
}

/// One stage of the boot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageReport {
    /// Its name, as in the log.
    pub name: String,
    /// When it began, in ms since the kernel started.
    pub start_ms: u64,
    /// When it ended, in ms since the kernel started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_ms: Option<u64>,
    /// What it moved, in bytes, where that means something.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Requests or attempts beyond the first.
    pub retries: u32,
    /// How it ended.
    pub outcome: Outcome,
    /// What it did, or why it failed.
    pub note: String,
}

/// One archive, as the server sent it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchiveReport {
    /// The stage that fetched it: `image`, `system-overlay` or `runtime-overlay`.
    pub stage: String,
    /// Bytes as they were served, before inflating.
    pub bytes: u64,
    /// Their SHA-256, in lower-case hexadecimal; absent where it was not computed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

impl ArchiveReport {
    /// The row of an archive.
    pub fn new(stage: &str, bytes: u64, digest: Option<[u8; 32]>) -> Self {
        let hex =
            |digest: [u8; 32]| digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let sha256 = digest.map(hex);
        Self { stage: stage.to_owned(), bytes, sha256 }
    }
}

/// One preboot hook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookReport {
    /// Its path, or `ansible-playbook` and the playbook.
    pub name: String,
    /// `ok`, or `failed`.
    pub outcome: Outcome,
    /// Its exit status, 0 to 255; absent where it did not start, or was ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<i32>,
}

/// What became of the local disks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DisksReport {
    /// Ranges that were made, mounts and moves, in that order.
    pub volumes: Vec<VolumeReport>,
    /// Where volumes are mounted, as paths of the node.
    pub mounts: Vec<String>,
    /// Folders that were moved onto them.
    pub moved: Vec<MovedReport>,
}

/// One part of the disks' plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeReport {
    /// The range or the step.
    pub what: String,
    /// How long it took, in ms.
    pub took_ms: u64,
    /// Why it failed, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// One folder that was moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MovedReport {
    /// The folder, as a path of the node.
    pub folder: String,
    /// Files and folders that were copied.
    pub entries: u64,
    /// Bytes of the files that were copied.
    pub bytes: u64,
}

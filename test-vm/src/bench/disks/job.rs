//! What the host asks of the machine, and what the machine tells.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Where the job lies in the machine's initramfs.
pub const JOB: &str = "job.json";

/// The folders below which rsinit finds its settings, one a profile.
pub const STRIPE: &str = "settings/stripe";
/// As [`STRIPE`], without a file system.
pub const BARE: &str = "settings/bare";
/// One disk without an array; the others are left alone.
pub const PLAIN: &str = "settings/plain";

/// What is run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Job {
    /// How many disks the machine has.
    pub disks: usize,
    /// Modules to load, below the release's folder, in order.
    pub modules: Vec<String>,
    /// How often rsinit and the tools without discard make ext4.
    pub pairs: u32,
    /// How often the tools make it as they do by default, with discard.
    pub with_discard: u32,
    /// How often both create an array, and start one again.
    pub array_pairs: u32,
}

/// Who does it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Side {
    /// `rsinit disks apply`.
    Rsinit,
    /// That part of it which comes when the disks are found, read and planned for: what it says
    /// itself that its range took. mdadm does no more, as it is told its disks by name.
    RsinitRange,
    /// mdadm, and mke2fs with `-E nodiscard`.
    Tools,
    /// mdadm, and mke2fs as it is by default.
    ToolsWithDiscard,
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Act {
    /// Blank disks become a RAID0 with ext4 on it.
    Format,
    /// A blank disk gets an ext4 to itself.
    FormatOne,
    /// Blank disks become a RAID0 without anything on it.
    Create,
    /// The array, stopped, is started again.
    Assemble,
    /// The kernel mounts what was made.
    Mount,
    /// The program says its version.
    Start,
}

/// What one member was told to write. Source: the kernel's `Documentation/block/stat.rst`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Io {
    /// Write requests, after the kernel has merged what it can.
    pub requests: u64,
    /// Bytes of them; zeros that the device is only told of count too.
    pub bytes: u64,
}

/// What one run took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// What was done.
    pub act: Act,
    /// By whom.
    pub side: Side,
    /// From the start of its first process to the end of its last.
    pub wall: Duration,
    /// Of each disk, what it was told to write until everything was on the medium.
    pub disks: Vec<Io>,
}

impl Sample {
    /// Bytes written to all disks.
    pub fn bytes(&self) -> u64 {
        self.disks.iter().map(|io| io.bytes).sum()
    }

    /// Most against least write requests over the disks.
    pub fn skew(&self) -> Option<(u64, u64)> {
        let requests = || self.disks.iter().map(|io| io.requests);
        requests().max().zip(requests().min())
    }
}

/// One line of what the machine says over its second serial port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// A run.
    Sample(Sample),
    /// Something is wrong; nothing comes after it.
    Failed(String),
    /// All is done.
    Done,
}

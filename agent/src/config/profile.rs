//! Disk profiles, `disk_config[N]="level[:fs[:mount[:options]]]"`: read as data,
//! never executed.
//!
//! Entry `N` covers the disks from number `N` to the one before the next entry,
//! the last entry all that follow. An empty value leaves its disks alone.

use std::collections::BTreeMap;

use super::assignment::{self, Assignment, LineError, excerpt};
use super::node_path::{PathProblem, parse_node_path};

mod options;

pub use options::{DISCARD_S, MOUNT_WORDS, VolumeOptions};
use options::{find_meaningless, parse_options};

/// The highest disk number that a profile may name.
pub const MAX_DISK: u32 = 1024;

/// The entries of a profile by the number of their first disk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Profile {
    /// Never empty after [`parse`].
    pub entries: BTreeMap<u32, Entry>,
}

/// What one entry asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// `""`: the disks count in the numbering and are never opened for writing.
    Untouched,
    /// Anything else.
    Volume(Volume),
}

/// An array or plain disks, what is on them and where they appear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// Line of the profile, from 1.
    pub line: u32,
    /// How the disks are combined.
    pub level: Level,
    /// The file system; `None` leaves the array bare.
    pub fs: Option<FileSystem>,
    /// Where it is mounted.
    pub mount: Option<String>,
    /// The fourth field.
    pub options: VolumeOptions,
}

/// How the disks of a range are combined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Striped: all disks, no redundancy.
    Raid0,
    /// Mirrored: every disk holds everything.
    Raid1,
    /// Not at all: each disk by itself.
    None,
}

impl Level {
    /// The word of the profile.
    pub fn name(self) -> &'static str {
        match self {
            Self::Raid0 => "raid0",
            Self::Raid1 => "raid1",
            Self::None => "none",
        }
    }
}

/// The file systems that are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FileSystem {
    /// ext4.
    Ext4,
    /// A swap area, which is switched on and not mounted.
    Swap,
}

impl FileSystem {
    /// The word of the profile.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ext4 => "ext4",
            Self::Swap => "swap",
        }
    }
}

/// Why a profile cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProfileError {
    /// A line is no assignment.
    #[error(transparent)]
    Line(#[from] LineError),
    /// A line is an assignment that cannot be followed.
    #[error("line {line}: {problem}")]
    Entry {
        /// Line, from 1.
        line: u32,
        /// What is wrong with it.
        problem: EntryProblem,
    },
    /// The file has no entry at all.
    #[error("no disk_config entry in it")]
    Empty,
}

/// What is wrong with an entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EntryProblem {
    /// Another variable than `disk_config`.
    #[error("\"{0}\" is not disk_config[N]")]
    Name(String),
    /// The index is no disk number.
    #[error("\"{0}\" is not a disk number from 1 to {MAX_DISK}")]
    Number(String),
    /// Two entries for the same number.
    #[error("disk_config[{number}] was given before, in line {first}")]
    Twice {
        /// The number.
        number: u32,
        /// Line of the first.
        first: u32,
    },
    /// No such level.
    #[error("unknown level \"{0}\" (raid0, raid1 and none are known)")]
    Level(String),
    /// No such file system.
    #[error("unknown file system \"{0}\" (ext4 and swap are known)")]
    FileSystem(String),
    /// The mount point cannot be one.
    #[error("mount point {0}")]
    Mount(#[from] PathProblem),
    /// A mount point, and nothing that could be mounted.
    #[error("a mount point needs a file system")]
    MountWithoutFs,
    /// A mount point for swap.
    #[error("swap has no mount point")]
    MountedSwap,
    /// An option that the entry has no use for.
    #[error("option \"{option}\" has no meaning for {what}")]
    Meaningless {
        /// The option.
        option: &'static str,
        /// What the entry makes.
        what: &'static str,
    },
    /// Two entries with the same mount point.
    #[error("{mount} is already mounted by line {first}")]
    SameMount {
        /// The mount point.
        mount: String,
        /// Line of the first.
        first: u32,
    },
    /// An option that is not known, or whose value is out of range.
    #[error("unknown option \"{0}\"")]
    Option(String),
    /// A fifth field.
    #[error("more than four fields")]
    Fields,
}

/// Reads a profile.
///
/// # Errors
/// The first line that cannot be followed, by number. A profile is used whole or
/// not at all.
pub fn parse(bytes: &[u8]) -> Result<Profile, ProfileError> {
    let mut profile = Profile::default();
    let mut lines: BTreeMap<u32, u32> = BTreeMap::new();
    for assignment in assignment::parse(bytes)? {
        let line = assignment.line;
        let fail = |problem| ProfileError::Entry { line, problem };
        let number = parse_number(&assignment).map_err(fail)?;
        if let Some(&first) = lines.get(&number) {
            return Err(fail(EntryProblem::Twice { number, first }));
        }
        let entry = parse_entry(&assignment).map_err(fail)?;
        if let Some(problem) = find_same_mount(&profile, &entry) {
            return Err(fail(problem));
        }
        lines.insert(number, line);
        profile.entries.insert(number, entry);
    }
    if profile.entries.is_empty() { Err(ProfileError::Empty) } else { Ok(profile) }
}

impl Profile {
    /// The entries with the range of disk numbers that each covers; `None` as the
    /// last number stands for "all that follow".
    pub fn ranges(&self) -> impl Iterator<Item = (u32, Option<u32>, &Entry)> {
        let next = self.entries.keys().skip(1).map(|&key| Some(key.saturating_sub(1)));
        let ends = next.chain(std::iter::once(None));
        self.entries.iter().zip(ends).map(|((&first, entry), last)| (first, last, entry))
    }
}

impl Profile {
    /// Whether an entry asks for something that only some NVMe disks can do.
    pub fn empties_disks(&self) -> bool {
        self.entries.values().any(|entry| match entry {
            Entry::Volume(Volume { options, .. }) => {
                options.crypto_erase || options.discard_s.is_some()
            }
            Entry::Untouched => false,
        })
    }
}

/// What the name of a volume without a mount point begins with, before a number.
const DISK: &str = "disk";
/// The same where it is swapped to.
const SWAP: &str = "swap";

/// Whether `name` could be that of a volume without a mount point.
fn is_numbered(name: &str) -> bool {
    let number = name.strip_prefix(DISK).or_else(|| name.strip_prefix(SWAP));
    number.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
}

impl Volume {
    /// The name that marks arrays of this volume, unique in a profile: made of the
    /// mount point, or of the first disk's number where there is none (`disk4`, `swap4`,
    /// which no mount point's is). At most `max` bytes (but no fewer than 9) of letters,
    /// digits, `.`, `_` and `-`.
    pub fn slug(&self, first_disk: u32, max: usize) -> String {
        let Some(mount) = &self.mount else {
            let kind = if self.fs == Some(FileSystem::Swap) { SWAP } else { DISK };
            return format!("{kind}{first_disk}");
        };
        let plain = mount.trim_start_matches('/');
        let is_exact = plain.len() <= max
            && plain.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.'))
            && !is_numbered(plain);
        if is_exact {
            return plain.to_owned();
        }
        let kept = max.saturating_sub(9);
        let start: String = plain
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '_' | '.') { c } else { '-' })
            .take(kept)
            .collect();
        format!("{start}-{:08x}", fnv1a(mount.as_bytes()))
    }
}

/// FNV-1a, 32 bits: tells apart mount points whose shortened names are equal.
fn fnv1a(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, &byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

fn parse_number(assignment: &Assignment) -> Result<u32, EntryProblem> {
    let index = assignment.index.as_deref();
    if assignment.name != "disk_config" || index.is_none() {
        return Err(EntryProblem::Name(excerpt(assignment.name.as_bytes())));
    }
    let index = index.unwrap_or_default();
    let bare = index.trim_matches(['"', '\'']);
    bare.parse()
        .ok()
        .filter(|number| (1..=MAX_DISK).contains(number))
        .ok_or_else(|| EntryProblem::Number(excerpt(index.as_bytes())))
}

fn parse_entry(assignment: &Assignment) -> Result<Entry, EntryProblem> {
    if assignment.value.trim().is_empty() {
        return Ok(Entry::Untouched);
    }
    let mut fields = assignment.value.split(':').map(str::trim);
    let level = match fields.next().unwrap_or_default() {
        "raid0" => Level::Raid0,
        "raid1" => Level::Raid1,
        "none" | "single" => Level::None,
        other => return Err(EntryProblem::Level(excerpt(other.as_bytes()))),
    };
    let fs = match fields.next().unwrap_or_default() {
        "" => None,
        "ext4" => Some(FileSystem::Ext4),
        "swap" => Some(FileSystem::Swap),
        other => return Err(EntryProblem::FileSystem(excerpt(other.as_bytes()))),
    };
    let mount = match fields.next().unwrap_or_default() {
        "" => None,
        path => Some(parse_node_path(path)?),
    };
    match fs {
        None if mount.is_some() => return Err(EntryProblem::MountWithoutFs),
        Some(FileSystem::Swap) if mount.is_some() => return Err(EntryProblem::MountedSwap),
        _ => {}
    }
    let options = parse_options(fields.next().unwrap_or_default())?;
    if let Some(problem) = find_meaningless(level, fs, &options) {
        return Err(problem);
    }
    if fields.next().is_some() {
        return Err(EntryProblem::Fields);
    }
    Ok(Entry::Volume(Volume { line: assignment.line, level, fs, mount, options }))
}

fn find_same_mount(profile: &Profile, entry: &Entry) -> Option<EntryProblem> {
    let Entry::Volume(volume) = entry else { return None };
    let mount = volume.mount.as_ref()?;
    profile.entries.values().find_map(|other| match other {
        Entry::Volume(other)
            if other.mount.as_ref() == Some(mount)
                || is_folder_of(other, mount)
                || is_folder_of(volume, other.mount.as_ref()?) =>
        {
            Some(EntryProblem::SameMount { mount: mount.clone(), first: other.line })
        }
        _ => None,
    })
}

/// Whether `path` is `/data/disk4` where disks by themselves are mounted below `/data`.
fn is_folder_of(volume: &Volume, path: &str) -> bool {
    let Some(mount) = volume.mount.as_ref().filter(|_| volume.level == Level::None) else {
        return false;
    };
    let number = path.strip_prefix(mount.as_str()).and_then(|rest| rest.strip_prefix("/disk"));
    number.is_some_and(|number| number.parse::<u32>().is_ok())
}

#[cfg(test)]
mod tests;

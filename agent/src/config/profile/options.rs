//! The fourth field of an entry.

use super::{EntryProblem, FileSystem, Level, MAX_DISK};
use crate::config::assignment::excerpt;

/// The fourth field: words and `name=value`, separated by commas.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VolumeOptions {
    /// `keep`: never wiped, `WIPE_ON_BOOT=true` or not.
    pub keep: bool,
    /// `required`: a node without this volume is a failed boot.
    pub required: bool,
    /// `label=`: of the file system, at most 16 bytes.
    pub label: Option<String>,
    /// `reserved=`: percent of the blocks for root, 0-50.
    pub reserved_percent: Option<u8>,
    /// `inode_ratio=`: bytes of space an inode, 1024-67108864.
    pub bytes_per_inode: Option<u32>,
    /// `discard`, `discard=`: the disks are discarded before anything is made on them,
    /// for at most so many seconds.
    pub discard_s: Option<u32>,
    /// `crypto_erase`: where `WIPE_ON_BOOT=true` covers the disks, they are erased by NVMe
    /// Format with a new key.
    pub crypto_erase: bool,
    /// `expect=`: how many disks the node must count before any of these is wiped.
    pub expect: Option<u32>,
    /// `spare`, `spare=`: how many of a mirror's last disks wait to take the place of a leg
    /// that fails, 0-8.
    pub spares: u32,
    /// Words for mount(2) in the order written: `noatime`, `nodev`, …
    pub mount_words: Vec<String>,
}

/// Seconds that `discard` may take where it does not say.
pub const DISCARD_S: u32 = 2;
/// The most that it may say.
const MAX_DISCARD_S: u32 = 600;

/// The most disks that may wait in one mirror.
const MAX_SPARES: u32 = 8;

/// The words of mount(8) that the fourth field may hold.
pub const MOUNT_WORDS: [&str; 8] =
    ["noatime", "nodiratime", "relatime", "strictatime", "lazytime", "nodev", "nosuid", "noexec"];

pub(super) fn parse_options(text: &str) -> Result<VolumeOptions, EntryProblem> {
    let mut options = VolumeOptions::default();
    for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
        let bad = || EntryProblem::Option(excerpt(word.as_bytes()));
        match word.split_once('=') {
            None if word == "keep" => options.keep = true,
            None if word == "required" => options.required = true,
            None if word == "crypto_erase" => options.crypto_erase = true,
            None if word == "spare" => options.spares = 1,
            None if word == "discard" => options.discard_s = Some(DISCARD_S),
            None if MOUNT_WORDS.contains(&word) => options.mount_words.push(word.to_owned()),
            Some(("label", label)) if is_label(label) => options.label = Some(label.to_owned()),
            Some(("reserved", value)) => {
                let percent = value.parse().ok().filter(|&percent: &u8| percent <= 50);
                options.reserved_percent = Some(percent.ok_or_else(bad)?);
            }
            Some(("inode_ratio", value)) => {
                let ratio = value.parse().ok().filter(|ratio| (1024..=1 << 26).contains(ratio));
                options.bytes_per_inode = Some(ratio.ok_or_else(bad)?);
            }
            Some(("discard", value)) => {
                let seconds = value.parse().ok().filter(|s| (1..=MAX_DISCARD_S).contains(s));
                options.discard_s = Some(seconds.ok_or_else(bad)?);
            }
            Some(("spare", value)) => {
                let count = value.parse().ok().filter(|count| (1..=MAX_SPARES).contains(count));
                options.spares = count.ok_or_else(bad)?;
            }
            Some(("expect", value)) => {
                let count = value.parse().ok().filter(|count| (1..=MAX_DISK).contains(count));
                options.expect = Some(count.ok_or_else(bad)?);
            }
            _ => return Err(bad()),
        }
    }
    Ok(options)
}

/// An option that is understood and could not be followed is a mistake too.
pub(super) fn find_meaningless(
    level: Level,
    fs: Option<FileSystem>,
    options: &VolumeOptions,
) -> Option<EntryProblem> {
    if options.spares > 0 && level != Level::Raid1 {
        return Some(EntryProblem::Meaningless { option: "spare", what: "disks without a mirror" });
    }
    if options.keep && (options.crypto_erase || options.expect.is_some()) {
        let option = if options.crypto_erase { "crypto_erase" } else { "expect" };
        return Some(EntryProblem::Meaningless { option, what: "disks that are kept" });
    }
    let (what, has_label) = match fs {
        Some(FileSystem::Ext4) => return None,
        Some(FileSystem::Swap) => ("swap", true),
        None => ("disks without a file system", false),
    };
    let given = [
        ("label", options.label.is_some() && !has_label),
        ("reserved", options.reserved_percent.is_some()),
        ("inode_ratio", options.bytes_per_inode.is_some()),
    ];
    let word = MOUNT_WORDS.into_iter().find(|word| options.mount_words.iter().any(|w| w == word));
    let given = given.into_iter().find_map(|(option, is_given)| is_given.then_some(option));
    given.or(word).map(|option| EntryProblem::Meaningless { option, what })
}

/// What fits ext4's 16 bytes and needs no escaping in `/dev/disk/by-label`.
fn is_label(text: &str) -> bool {
    (1..=16).contains(&text.len())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

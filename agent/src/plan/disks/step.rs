//! The steps of a plan: values first, then done.

use std::fmt;

use crate::config::mkdisk_conf::ReplaceBy;
use crate::config::profile::Level;
use crate::format::md::Geometry;

/// A disk of a step.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Member {
    /// Its number in the profile.
    pub number: u32,
    /// The kernel's name at the time of the plan.
    pub name: String,
}

/// One thing that is done. Everything that writes to a disk names the disk.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Step {
    /// Stops an array that something else assembled.
    StopArray {
        /// `md127`.
        array: String,
        /// Why.
        reason: String,
    },
    /// Removes all signatures from a disk.
    Wipe {
        /// The disk.
        disk: Member,
        /// What is lost, and who said that it may be.
        reason: String,
    },
    /// Has a whole NVMe namespace replace the key of its medium, then removes all
    /// signatures.
    CryptoErase {
        /// The disk.
        disk: Member,
        /// What is lost, and who said that it may be.
        reason: String,
    },
    /// Tells disks that hold nothing of use that they do.
    Discard {
        /// The disks, side by side.
        disks: Vec<Member>,
        /// Seconds after which the rest is left as it is.
        limit_s: u32,
    },
    /// Writes superblocks to blank disks and starts the array.
    CreateArray {
        /// `md0`.
        array: String,
        /// `rsinit:scratch`, the mark of ownership.
        set_name: String,
        /// How the members are combined.
        level: Level,
        /// In the order of their slots, then those that fill none: spares.
        members: Vec<Member>,
        /// More than there are members: a mirror that waits for its second leg.
        slots: u32,
        /// Where the data lie.
        geometry: Geometry,
        /// The volume whose mark is put on the array until it is complete.
        volume: String,
    },
    /// Starts an array from its superblocks.
    AssembleArray {
        /// `md0`.
        array: String,
        /// Its identity, in hexadecimal.
        set_uuid: String,
        /// The members that are up to date.
        members: Vec<Member>,
        /// Slots that no member fills.
        missing: u32,
    },
    /// Uses an array that runs already.
    AdoptArray {
        /// `md127`.
        array: String,
    },
    /// Adds a member to a running mirror, which then recovers.
    AddMember {
        /// `md0`.
        array: String,
        /// The array's identity, in hexadecimal.
        set_uuid: String,
        /// The disk.
        disk: Member,
        /// A blank disk that gets a superblock first; otherwise a leg that was away.
        is_new: bool,
    },
    /// Marks a blank disk without an array as being formatted.
    MarkFormatting {
        /// The disk.
        disk: Member,
        /// The volume.
        volume: String,
    },
    /// Takes the mark off an array that gets no file system: it is complete.
    Unmark {
        /// `md0`.
        device: String,
        /// The volume.
        volume: String,
    },
    /// Makes a file system.
    MakeFilesystem {
        /// `md0` or a disk's name.
        device: String,
        /// The disk, where there is no array.
        disk: Option<Member>,
        /// The volume whose mark the device bears until the end.
        volume: String,
        /// Label.
        label: String,
        /// Blocks of 4 KiB a chunk; 0 without chunks.
        stride_blocks: u32,
        /// Blocks of 4 KiB a stripe; 0 without stripes.
        stripe_width_blocks: u32,
        /// Percent for root.
        reserved_percent: u8,
        /// Bytes of space an inode.
        bytes_per_inode: Option<u32>,
        /// Whether its inode tables are zeros already.
        tables: Tables,
    },
    /// Makes a swap area.
    MakeSwap {
        /// `md0` or a disk's name.
        device: String,
        /// The disk, where there is no array.
        disk: Option<Member>,
        /// The volume whose mark the device bears until the end.
        volume: String,
        /// Label.
        label: String,
    },
    /// Switches a swap area on.
    SwapOn {
        /// `md0` or a disk's name.
        device: String,
    },
    /// Mounts a volume below the new root.
    Mount {
        /// `md0` or a disk's name.
        device: String,
        /// Path on the node.
        target: String,
        /// Words for mount(2).
        options: Vec<String>,
    },
    /// Lists a mounted volume in the node's `/etc/fstab`, by the UUID of its file system.
    ListInFstab {
        /// `md0` or a disk's name.
        device: String,
        /// Path on the node.
        target: String,
        /// Words for mount(8).
        options: Vec<String>,
    },
    /// Moves a folder of the image onto a mounted volume, where it is seen from its old place.
    MoveDir {
        /// Path on the node.
        from: String,
        /// Path on the node.
        to: String,
        /// What takes the old place.
        replace_by: ReplaceBy,
    },
    /// Makes the folder of the file-system cache.
    MakeFscache {
        /// Path on the node.
        path: String,
    },
}

/// Who sees to it that unused inode tables read as zeros.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(tag = "by", rename_all = "snake_case")]
pub enum Tables {
    /// The kernel, while the node runs: it is not proven that they do.
    Kernel {
        /// Why not.
        reason: String,
    },
    /// The medium, where the steps before have emptied all of these disks to the end.
    Medium {
        /// The disks.
        disks: Vec<Member>,
        /// What empties them, and what says that they then read as zeros.
        reason: String,
    },
}

impl fmt::Display for Tables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kernel { reason } => write!(f, "inode tables zeroed later: {reason}"),
            Self::Medium { reason, .. } => write!(f, "inode tables zero if {reason}"),
        }
    }
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "disk {} ({})", self.number, self.name)
    }
}

/// Members as a list for people.
fn list(members: &[Member]) -> String {
    members.iter().map(|member| member.name.as_str()).collect::<Vec<_>>().join(" ")
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StopArray { array, reason } => write!(f, "stop {array}: {reason}"),
            Self::Wipe { disk, reason } => write!(f, "wipe {disk}: {reason}"),
            Self::CryptoErase { disk, reason } => {
                write!(f, "erase {disk} by NVMe Format with a new key: {reason}")
            }
            Self::Discard { disks, limit_s } => {
                write!(f, "discard {} for at most {limit_s} s", list(disks))
            }
            Self::CreateArray { array, set_name, level, members, slots, .. } => {
                write!(f, "create {array} {} \"{set_name}\" of {}", level.name(), list(members))?;
                let slots = usize::try_from(*slots).unwrap_or(0);
                let (missing, spares) =
                    (slots.saturating_sub(members.len()), members.len().saturating_sub(slots));
                match (missing, spares) {
                    (0, 0) => Ok(()),
                    (0, 1) => write!(f, ", the last a spare"),
                    (0, _) => write!(f, ", the last {spares} spares"),
                    _ => write!(f, ", {missing} missing"),
                }
            }
            Self::AssembleArray { array, members, missing, .. } => {
                write!(f, "assemble {array} of {}", list(members))?;
                if *missing > 0 { write!(f, ", {missing} missing") } else { Ok(()) }
            }
            Self::AdoptArray { array } => write!(f, "use {array} as it runs"),
            Self::AddMember { array, disk, is_new, .. } => {
                let kind = if *is_new { "blank" } else { "returned" };
                write!(f, "add {kind} {disk} to {array}")
            }
            Self::MarkFormatting { disk, volume } => write!(f, "mark {disk} for {volume}"),
            Self::Unmark { device, .. } => write!(f, "leave {device} bare"),
            Self::MakeFilesystem { device, label, tables, .. } => {
                write!(f, "make ext4 \"{label}\" on {device} ({tables})")
            }
            Self::MakeSwap { device, label, .. } => write!(f, "make swap \"{label}\" on {device}"),
            Self::SwapOn { device } => write!(f, "swap to {device}"),
            Self::Mount { device, target, .. } => write!(f, "mount {device} on {target}"),
            Self::ListInFstab { target, .. } => write!(f, "list {target} in /etc/fstab"),
            Self::MoveDir { from, to, replace_by } => {
                write!(f, "move {from} to {to}")?;
                let is_link = *replace_by == ReplaceBy::Symlink;
                if is_link { write!(f, " and leave a link") } else { Ok(()) }
            }
            Self::MakeFscache { path } => write!(f, "make {path} for the file-system cache"),
        }
    }
}

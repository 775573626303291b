//! Steps that make a volume on disks that may be written to.

use crate::config::profile::{FileSystem, Level, Volume};
use crate::format::ext4::Filesystem;
use crate::format::md::plan_geometry;

use super::empty::{judge_tables, plan_discard};
use super::inventory::Disk;
use super::step::{Member, Step, Tables};
use super::{Built, Node};

/// `rsinit:` and the volume, in the 32 bytes of `set_name`.
const MARK: &str = "rsinit:";
const MARK_BYTES: usize = 32;
/// ext4's labels have 16 bytes.
const LABEL_BYTES: usize = 16;
/// Percent of the blocks for root: mke2fs takes 5, which on 32 TiB of scratch is
/// 1.6 TB that nobody gets.
const RESERVED_PERCENT: u8 = 1;
/// Above this share of capacity that unequal disks lose, somebody should know.
const LOSS_PERCENT: u128 = 10;

/// The name that marks the volume's array as the agent's.
pub(super) fn set_name(volume: &Volume, first: u32) -> String {
    let room = MARK_BYTES.saturating_sub(MARK.len());
    format!("{MARK}{}", volume.slug(first, room))
}

/// Whether a `set_name` is a mark of the agent, of this volume or another.
pub(super) fn is_mark(name: &str) -> bool {
    name.starts_with(MARK)
}

/// The name by which a volume's unfinished formatting is known.
pub(super) fn volume_name(volume: &Volume, first: u32) -> String {
    volume.slug(first, LABEL_BYTES)
}

/// The label of the volume's file system.
pub(super) fn label(volume: &Volume, first: u32) -> String {
    volume.options.label.clone().unwrap_or_else(|| volume.slug(first, LABEL_BYTES))
}

/// A disk of a step.
pub(super) fn member((number, disk): (u32, &Disk)) -> Member {
    Member { number, name: disk.name.clone() }
}

impl<'a> Node<'a> {
    /// Steps that turn blank disks into the volume.
    pub(super) fn build_create(
        &mut self,
        first: u32,
        volume: &Volume,
        disks: &[(u32, &'a Disk)],
        is_erased: bool,
    ) -> Result<Built, String> {
        let tables = judge_tables(volume, disks, is_erased);
        if volume.level == Level::None {
            for &(number, disk) in disks {
                check_room(volume, disk.size_bytes)
                    .map_err(|error| format!("disk {number} ({}): {error}", disk.label()))?;
            }
            return Ok(build_plain(first, volume, disks, &tables));
        }
        let sizes: Vec<u64> = disks.iter().map(|(_, disk)| disk.size_bytes).collect();
        let is_striped = volume.level == Level::Raid0;
        let has_bitmap = !is_striped && !self.may_wipe(volume);
        let geometry =
            plan_geometry(is_striped, has_bitmap, &sizes).map_err(|error| error.to_string())?;
        let shares = if is_striped { u64::try_from(disks.len()).unwrap_or(u64::MAX) } else { 1 };
        let sectors = geometry.data_size_sectors.saturating_mul(shares);
        check_room(volume, sectors.saturating_mul(512))?;
        let array = self.name_array();
        let count = u32::try_from(disks.len()).unwrap_or(u32::MAX);
        let (steps, mut warnings) = plan_discard(volume, disks);
        warnings.extend(warn_sizes(disks));
        let mut built = Built { steps, warnings, ..Built::default() };
        let slots = if is_striped { count } else { count_legs(volume, count, &mut built) };
        built.steps.push(Step::CreateArray {
            array: array.clone(),
            set_name: set_name(volume, first),
            level: volume.level,
            members: disks.iter().copied().map(member).collect(),
            slots,
            geometry,
            volume: volume_name(volume, first),
        });
        let stride_blocks = geometry.chunk_sectors / 8;
        built.steps.push(match make_contents(first, volume, &array, None, &tables) {
            Some(step) => with_stride(step, stride_blocks, stride_blocks.saturating_mul(count)),
            None => Step::Unmark { device: array.clone(), volume: volume_name(volume, first) },
        });
        built.mounts.extend(mount(volume, &array, None));
        Ok(built)
    }
}

/// How many legs a mirror of `count` disks has: at least two, before any disk is a spare.
fn count_legs(volume: &Volume, count: u32, built: &mut Built) -> u32 {
    if count < 2 {
        built.warnings.push("one disk only: a mirror that waits for its second leg".to_owned());
    }
    let wanted = volume.options.spares;
    let spares = wanted.min(count.saturating_sub(2));
    if spares < wanted {
        built.warnings.push(format!("{spares} of {wanted} spares: its disks are too few"));
    }
    count.saturating_sub(spares).max(2)
}

/// Refuses a device that ext4 does not fit on, before anything is written.
fn check_room(volume: &Volume, size_bytes: u64) -> Result<(), String> {
    if volume.fs != Some(FileSystem::Ext4) {
        return Ok(());
    }
    let reserved = volume.options.reserved_percent.unwrap_or(RESERVED_PERCENT);
    Filesystem::check(size_bytes, reserved, volume.options.bytes_per_inode)
        .map_err(|error| error.to_string())
}

/// Each disk by itself. Several disks share the mount point as a folder: `/data/disk4`,
/// `/data/disk5`.
fn build_plain(first: u32, volume: &Volume, disks: &[(u32, &Disk)], tables: &Tables) -> Built {
    let (steps, warnings) = plan_discard(volume, disks);
    let mut built = Built { steps, warnings, ..Built::default() };
    for &(number, disk) in disks {
        let member = member((number, disk));
        let made = make_contents(first, volume, &disk.name, Some(member.clone()), tables);
        if let Some(make) = made {
            let volume = volume_name(volume, first);
            built.steps.push(Step::MarkFormatting { disk: member, volume });
            built.steps.push(make);
        }
        built.mounts.extend(mount(volume, &disk.name, (disks.len() > 1).then_some(number)));
    }
    built
}

/// What makes the volume's file system or swap area, where it has one.
fn make_contents(
    first: u32,
    volume: &Volume,
    device: &str,
    disk: Option<Member>,
    tables: &Tables,
) -> Option<Step> {
    let (device, name) = (device.to_owned(), volume_name(volume, first));
    let label = label(volume, first);
    if volume.fs? == FileSystem::Swap {
        return Some(Step::MakeSwap { device, disk, volume: name, label });
    }
    Some(Step::MakeFilesystem {
        device,
        disk,
        volume: name,
        label,
        stride_blocks: 0,
        stripe_width_blocks: 0,
        reserved_percent: volume.options.reserved_percent.unwrap_or(RESERVED_PERCENT),
        bytes_per_inode: volume.options.bytes_per_inode,
        tables: tables.clone(),
    })
}

fn with_stride(mut step: Step, stride: u32, width: u32) -> Step {
    if let Step::MakeFilesystem { stride_blocks, stripe_width_blocks, .. } = &mut step {
        *stride_blocks = stride;
        *stripe_width_blocks = width;
    }
    step
}

/// The volume's mount, of one disk among several where `number` is given; or its swapping.
pub(super) fn mount(volume: &Volume, device: &str, number: Option<u32>) -> Option<Step> {
    if volume.fs? == FileSystem::Swap {
        return Some(Step::SwapOn { device: device.to_owned() });
    }
    let target = volume.mount.as_ref()?;
    Some(Step::Mount {
        device: device.to_owned(),
        target: number.map_or_else(|| target.clone(), |number| format!("{target}/disk{number}")),
        options: volume.options.mount_words.clone(),
    })
}

/// What unequal disks lose, and blocks of two sizes.
fn warn_sizes(disks: &[(u32, &Disk)]) -> Vec<String> {
    let mut warnings = Vec::new();
    let total: u128 = disks.iter().map(|(_, disk)| u128::from(disk.size_bytes)).sum();
    let smallest = disks.iter().map(|(_, disk)| u128::from(disk.size_bytes)).min().unwrap_or(0);
    let count = u128::try_from(disks.len()).unwrap_or(0);
    let used = smallest.saturating_mul(count);
    let lost = total.saturating_sub(used).saturating_mul(100).checked_div(total).unwrap_or(0);
    if lost > LOSS_PERCENT {
        warnings.push(format!("disks of unequal size: {lost} % of the capacity is not used"));
    }
    let mut blocks = disks.iter().map(|(_, disk)| disk.logical_block_bytes);
    if let Some(one) = blocks.next()
        && let Some(other) = blocks.find(|&other| other != one)
    {
        warnings.push(format!("disks with blocks of {one} and {other} bytes in one array"));
    }
    warnings
}

//! The disks: from profile, settings and inventory to the steps that make them so.
//!
//! Pure: what is printed by `rsinit disks plan` is what `apply` carries out. A range
//! that cannot be made is refused by itself, with its reason; the others go on.

mod after;
mod build;
mod empty;
mod group;
pub mod inventory;
mod keep;
mod lanes;
mod number;
mod plain;
mod step;
mod table;
mod wipe;

use std::collections::BTreeSet;

pub use crate::config::cmdline::Brake;
use crate::config::mkdisk_conf::MkdiskConf;
use crate::config::profile::{Entry, FileSystem, Profile, Volume};

use inventory::{Disk, Inventory};
pub use step::{Member, Step, Tables};

/// What a plan is made from.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// `mkdisk.conf`.
    pub conf: &'a MkdiskConf,
    /// The profile that it names.
    pub profile: &'a Profile,
    /// `rsinit.disk=`.
    pub brake: Brake,
    /// The node.
    pub inventory: &'a Inventory,
}

/// What will be done and why, and what will not.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct DiskPlan {
    /// Name of the profile.
    pub profile: String,
    /// `rsinit.disk=`.
    pub brake: Brake,
    /// Whether `WIPE_ON_BOOT=true` covers the ranges that are not kept.
    pub wipe_on_boot: bool,
    /// All disks, those with a number first.
    pub disks: Vec<DiskRow>,
    /// The entries of the profile.
    pub ranges: Vec<RangePlan>,
    /// What follows once the ranges are made and the image is there: mounts, moved
    /// directories, the cache's folder.
    pub after: Vec<Step>,
    /// One line a range or setting that is not followed, with the reason.
    pub refusals: Vec<String>,
    /// What somebody should know.
    pub warnings: Vec<String>,
    /// Whether a refusal concerns something that the node must have.
    pub is_required_missing: bool,
}

/// A disk, what is on it and what becomes of it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct DiskRow {
    /// Its number, where it counts.
    pub number: Option<u32>,
    /// The kernel's name.
    pub name: String,
    /// Model.
    pub model: String,
    /// Serial number.
    pub serial: String,
    /// Bytes.
    pub size_bytes: u64,
    /// Where it is plugged in.
    pub place: String,
    /// What it holds now.
    pub contents: String,
    /// `unused`, `left alone`, `create`, `wipe`, `assemble`, `refused`.
    pub action: String,
    /// Why.
    pub reason: String,
}

/// One entry of the profile on this node.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct RangePlan {
    /// Number of its first disk.
    pub first: u32,
    /// Number of its last disk on this node; below `first` where there is none.
    pub last: u32,
    /// `raid1 /system, disks 2-3, line 2`.
    pub title: String,
    /// Line of the profile; 0 for an entry that leaves its disks alone.
    pub line: u32,
    /// `left alone`, `create`, `wipe`, `assemble`, `refused`, `no disks`.
    pub action: &'static str,
    /// Why, for a refusal.
    pub reason: String,
    /// What is done, in order. Where it is refused: letting go of disks that something else
    /// has begun to make an array of.
    pub steps: Vec<Step>,
    /// Where the profile wants it mounted.
    pub wanted: Option<String>,
    /// Where its file systems appear.
    pub mounts: Vec<Step>,
    /// Whether the node must have it.
    pub is_required: bool,
}

impl DiskPlan {
    /// All steps in the order in which they are carried out.
    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        self.ranges.iter().flat_map(|range| &range.steps).chain(&self.after)
    }

    /// Whether something is written to a disk or started from one.
    pub fn is_idle(&self) -> bool {
        self.steps().next().is_none()
    }
}

/// An entry of the profile with the disks that it covers on this node.
struct Range<'a> {
    first: u32,
    entry: &'a Entry,
    disks: Vec<(u32, &'a Disk)>,
}

/// What the decisions about one range may look at.
struct Node<'a> {
    request: Request<'a>,
    ranges: Vec<Range<'a>>,
    /// Disks that have a number.
    counted: usize,
    /// Names of arrays that are taken.
    arrays: BTreeSet<String>,
}

/// Steps for one range, and what they give.
#[derive(Debug, Default)]
struct Built {
    action: &'static str,
    steps: Vec<Step>,
    mounts: Vec<Step>,
    warnings: Vec<String>,
    /// Why the range is refused, where something is to be done all the same.
    refusal: Option<String>,
}

/// Plans the disks of a node.
pub fn plan_disks(request: &Request<'_>) -> DiskPlan {
    let numbered = number::number_disks(&request.inventory.disks, request.conf);
    let counted: Vec<(u32, &Disk)> =
        numbered.iter().filter_map(|n| Some((*n.number.as_ref().ok()?, n.disk))).collect();
    let ranges = request.profile.ranges().map(|(first, last, entry)| {
        let covered = first..=last.unwrap_or(u32::MAX);
        let disks = counted.iter().copied().filter(|(number, _)| covered.contains(number));
        Range { first, entry, disks: disks.collect() }
    });
    let arrays = request.inventory.arrays.iter().map(|array| array.name.clone()).collect();
    let mut node =
        Node { request: *request, ranges: ranges.collect(), counted: counted.len(), arrays };
    let mut plan = DiskPlan {
        profile: request.conf.profile.clone(),
        brake: request.brake,
        wipe_on_boot: request.conf.wipe_on_boot,
        disks: Vec::new(),
        ranges: Vec::new(),
        after: Vec::new(),
        refusals: Vec::new(),
        warnings: request.conf.warnings.clone(),
        is_required_missing: false,
    };
    for index in 0..node.ranges.len() {
        let (range, warnings) = node.plan_range(index);
        plan.warnings.extend(warnings);
        if matches!(range.action, "refused" | "no disks") {
            plan.refusals.push(format!("{}: {}", range.title, range.reason));
            plan.is_required_missing |= range.is_required || request.conf.required;
        }
        plan.ranges.push(range);
    }
    after::plan_after(request.conf, &mut plan);
    plan.disks = table::list_disks(&numbered, &plan.ranges);
    plan
}

impl<'a> Node<'a> {
    fn plan_range(&mut self, index: usize) -> (RangePlan, Vec<String>) {
        let Some(range) = self.ranges.get(index) else { return Default::default() };
        let first = range.first;
        let last = range.disks.last().map_or(first.saturating_sub(1), |(number, _)| *number);
        let mut plan = RangePlan { first, last, ..RangePlan::default() };
        let disks = range.disks.clone();
        let volume = match range.entry {
            Entry::Untouched => {
                plan.title = format!("disks {first}-{last}");
                plan.action = "left alone";
                return (plan, Vec::new());
            }
            Entry::Volume(volume) => volume,
        };
        plan.title = title(volume, first, last);
        plan.line = volume.line;
        plan.wanted.clone_from(&volume.mount);
        plan.is_required = volume.options.required;
        if disks.is_empty() {
            plan.action = "no disks";
            plan.reason = format!("the node has no disk {first}");
            return (plan, Vec::new());
        }
        match self.plan_volume(first, volume, &disks) {
            Ok(built) => {
                plan.action = if built.refusal.is_some() { "refused" } else { built.action };
                plan.reason = built.refusal.unwrap_or_default();
                plan.steps = built.steps;
                plan.mounts = built.mounts;
                let title = &plan.title;
                let warnings =
                    built.warnings.iter().map(|text| format!("{title}: {text}")).collect();
                (plan, warnings)
            }
            Err(reason) => {
                plan.action = "refused";
                plan.reason = reason;
                (plan, Vec::new())
            }
        }
    }

    fn plan_volume(
        &mut self,
        first: u32,
        volume: &Volume,
        disks: &[(u32, &'a Disk)],
    ) -> Result<Built, String> {
        if self.may_wipe(volume) {
            self.plan_wipe(first, volume, disks)
        } else {
            self.plan_keep(first, volume, disks)
        }
    }

    /// Whether the owner has said that the disks of the volume may be lost.
    fn may_wipe(&self, volume: &Volume) -> bool {
        self.request.conf.wipe_on_boot && !volume.options.keep && self.request.brake != Brake::Keep
    }

    /// Whether anything may be made on blank disks.
    fn may_create(&self) -> bool {
        self.request.brake != Brake::Keep
    }

    /// The lowest `mdN` that is free.
    fn name_array(&mut self) -> String {
        let name = (0u32..)
            .map(|number| format!("md{number}"))
            .find(|name| !self.arrays.contains(name))
            .unwrap_or_default();
        self.arrays.insert(name.clone());
        name
    }

    /// The volumes of the profile with the number of their first disk.
    fn volumes(&self) -> impl Iterator<Item = (u32, &'a Volume)> + use<'a, '_> {
        self.ranges.iter().filter_map(|range| match range.entry {
            Entry::Volume(volume) => Some((range.first, volume)),
            Entry::Untouched => None,
        })
    }
}

impl Default for RangePlan {
    fn default() -> Self {
        Self {
            first: 0,
            last: 0,
            title: String::new(),
            line: 0,
            action: "left alone",
            reason: String::new(),
            steps: Vec::new(),
            wanted: None,
            mounts: Vec::new(),
            is_required: false,
        }
    }
}

fn title(volume: &Volume, first: u32, last: u32) -> String {
    let unmounted =
        volume.fs.filter(|fs| *fs == FileSystem::Swap).map_or("not mounted", FileSystem::name);
    let mount = volume.mount.as_deref().unwrap_or(unmounted);
    let disks = match last {
        last if last < first => format!("disk {first}"),
        last if last == first => format!("disk {first}"),
        last => format!("disks {first}-{last}"),
    };
    format!("{} {mount} ({disks}, line {})", volume.level.name(), volume.line)
}

#[cfg(test)]
mod tests;

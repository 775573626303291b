//! Without wiping: what is ours is started, blank disks become what the profile says,
//! anything else is refused.
//!
//! An array is ours by the mark in its name, wherever its disks are numbered now; or
//! when it has the range's level and exactly its disks, whoever made it.

use std::collections::BTreeSet;

use crate::config::profile::{FileSystem, Level, Volume};

use super::build::{is_mark, member, mount, set_name, volume_name};
use super::group::{Group, Leg, group_legs};
use super::inventory::Disk;
use super::step::{Member, Step};
use super::wipe::arrays_on;
use super::{Built, Node};

/// What is being decided about.
struct Case<'a, 'v> {
    first: u32,
    volume: &'v Volume,
    disks: &'v [(u32, &'a Disk)],
}

/// An array that runs, or will.
struct Started<'a> {
    name: String,
    /// The disks that it ran on before.
    disks: BTreeSet<String>,
    /// Legs that are as new as those, and spares, that it was started without.
    apart: Vec<Leg<'a>>,
}

impl<'a> Node<'a> {
    pub(super) fn plan_keep(
        &mut self,
        first: u32,
        volume: &Volume,
        disks: &[(u32, &'a Disk)],
    ) -> Result<Built, String> {
        if volume.level == Level::None {
            return self.plan_keep_plain(first, volume, disks);
        }
        let case = Case { first, volume, disks };
        if let Some(group) = self.find_marked(&case)? {
            if self.is_unfinished(&group, &case) {
                return self.plan_again(&group, &case);
            }
            return self.plan_assemble(&group, &case, true);
        }
        let is_blank = |disk: &Disk| disk.contents.as_ref().is_ok_and(|c| c.is_blank());
        if disks.iter().all(|(_, disk)| is_blank(disk)) {
            for (number, disk) in disks {
                if let Some(busy) = disk.busy() {
                    return Err(format!("disk {number} ({}) {busy}", disk.label()));
                }
            }
            if !self.may_create() {
                return Err("its disks are blank, and rsinit.disk=keep makes nothing".to_owned());
            }
            let built = self.build_create(first, volume, disks, false)?;
            return Ok(Built { action: "create", ..built });
        }
        if let Some(group) = find_exact(disks) {
            return self.plan_assemble(&group, &case, false);
        }
        Err(describe_foreign(disks))
    }

    /// The newest array with the volume's mark, from all disks that count.
    fn find_marked(&self, case: &Case<'a, '_>) -> Result<Option<Group<'a>>, String> {
        let name = set_name(case.volume, case.first);
        let all = self.ranges.iter().flat_map(|range| range.disks.iter().copied());
        let groups = group_legs(all.filter(|(_, disk)| {
            let superblock = disk.contents.as_ref().ok().and_then(|c| c.only_md_1_2());
            superblock.is_some_and(|superblock| superblock.set_name == name)
        }));
        let newest = groups.into_values().max_by_key(|group| (group.ctime_s, group.events));
        let Some(group) = newest else { return Ok(None) };
        let untouched = group.legs.iter().find(|leg| self.is_untouched(leg.number));
        match untouched {
            None => Ok(Some(group)),
            Some(leg) => Err(format!(
                "disk {} ({}) belongs to its array, but the profile leaves it alone: \
                 a disk is missing or was added",
                leg.number,
                leg.disk.label()
            )),
        }
    }

    fn is_untouched(&self, number: u32) -> bool {
        !self.ranges.iter().any(|range| {
            matches!(range.entry, crate::config::profile::Entry::Volume(_))
                && range.disks.iter().any(|(other, _)| *other == number)
        })
    }

    /// Whether an earlier boot was stopped before the file system was complete, so
    /// that nothing on the array was ever in use.
    fn is_unfinished(&self, group: &Group<'a>, case: &Case<'a, '_>) -> bool {
        let volume = volume_name(case.volume, case.first);
        let inner = group.inner(case.volume.level).and_then(|inner| inner.formatting());
        let is_whole_range = case.disks.iter().all(|(number, disk)| {
            group.legs.iter().any(|leg| leg.number == *number)
                || disk.contents.as_ref().is_ok_and(|contents| contents.is_blank())
        });
        let is_in_range =
            group.legs.iter().all(|leg| case.disks.iter().any(|(number, _)| *number == leg.number));
        inner == Some(volume.as_str()) && is_whole_range && is_in_range && self.may_create()
    }

    /// Makes an unfinished array again, its first member last to lose the mark: power
    /// may go at any point of this too.
    fn plan_again(&mut self, group: &Group<'a>, case: &Case<'a, '_>) -> Result<Built, String> {
        let mut steps = self.stop_idle(case.disks)?;
        let mut legs = group.legs.clone();
        // Spares, which say nothing of what is finished, before all that do.
        legs.sort_by_key(|leg| std::cmp::Reverse(leg.superblock.slot().unwrap_or(u32::MAX)));
        for leg in legs {
            if let Some(busy) = leg.disk.busy() {
                return Err(format!("disk {} ({}) {busy}", leg.number, leg.disk.label()));
            }
            let reason = "an earlier boot did not finish its array".to_owned();
            steps.push(Step::Wipe { disk: leg_member(&leg), reason });
        }
        let built = self.build_create(case.first, case.volume, case.disks, false)?;
        steps.extend(built.steps);
        Ok(Built { action: "create", steps, ..built })
    }

    fn stop_idle(&self, disks: &[(u32, &Disk)]) -> Result<Vec<Step>, String> {
        let mut steps = Vec::new();
        for array in arrays_on(&self.request.inventory.arrays, disks) {
            if let Some(busy) = &array.busy {
                return Err(format!("{} is {busy}", array.name));
            }
            let others =
                array.disks.iter().find(|name| !disks.iter().any(|(_, d)| d.name == **name));
            if let Some(other) = others {
                return Err(format!("{} runs on {other} too: stop it by hand", array.name));
            }
            steps.push(stop(&array.name));
        }
        Ok(steps)
    }

    /// What something else (udev's rules for mdadm) has begun to assemble of our array and
    /// could not start: it would hold the disks.
    fn stop_incomplete(&self, group: &Group<'a>) -> Vec<Step> {
        let legs: Vec<(u32, &Disk)> = group.legs.iter().map(|leg| (leg.number, leg.disk)).collect();
        let is_leg = |name: &String| legs.iter().any(|(_, disk)| disk.name == *name);
        let arrays = arrays_on(&self.request.inventory.arrays, &legs).into_iter();
        let idle = arrays.filter(|array| !array.is_active && array.busy.is_none());
        let ours = idle.filter(|array| array.disks.iter().all(is_leg));
        ours.map(|array| stop(&array.name)).collect()
    }

    fn plan_assemble(
        &mut self,
        group: &Group<'a>,
        case: &Case<'a, '_>,
        is_ours: bool,
    ) -> Result<Built, String> {
        if let Some(fault) = group.find_fault(case.volume.level) {
            let steps = if is_ours { self.stop_incomplete(group) } else { Vec::new() };
            return Ok(Built { steps, refusal: Some(fault), ..Built::default() });
        }
        check_inner(group, case.volume)?;
        let mut built = Built { action: "assemble", ..Built::default() };
        let started = self.start_array(group, &mut built)?;
        let array = started.name.clone();
        let apart = started.apart.iter().filter(|leg| leg.superblock.slot().is_some()).count();
        let apart = u32::try_from(apart).unwrap_or(u32::MAX);
        let missing = group.missing().saturating_add(apart);
        if missing > 0 {
            let of = group.raid_disks;
            built.warnings.push(format!("{missing} of {of} mirror legs are missing"));
        }
        self.add_legs(group, case, &started, is_ours, &mut built);
        built.mounts.extend(mount(case.volume, &array, None));
        Ok(built)
    }

    /// Adopts the array where it runs, else assembles it.
    fn start_array(&mut self, group: &Group<'a>, built: &mut Built) -> Result<Started<'a>, String> {
        let legs: Vec<(u32, &Disk)> = group.legs.iter().map(|leg| (leg.number, leg.disk)).collect();
        for leg in &group.legs {
            if let Some(busy) = leg.disk.busy() {
                return Err(format!("disk {} ({}) {busy}", leg.number, leg.disk.label()));
            }
        }
        let running = arrays_on(&self.request.inventory.arrays, &legs);
        if let [array] = running.as_slice()
            && array.is_active
        {
            let is_leg = |name: &String| legs.iter().any(|(_, disk)| disk.name == *name);
            if !array.disks.iter().all(is_leg) || array.has_partitions {
                return Err(format!("{} already runs on other disks too", array.name));
            }
            built.steps.push(Step::AdoptArray { array: array.name.clone() });
            let runs = |leg: &Leg<'_>| array.disks.contains(&leg.disk.name);
            let apart = group.fresh().chain(group.spares()).filter(|leg| !runs(leg)).collect();
            return Ok(Started { name: array.name.clone(), disks: array.disks.clone(), apart });
        }
        built.steps.extend(self.stop_idle(&legs)?);
        let array = self.name_array();
        let mut members: Vec<Leg<'_>> = group.fresh().collect();
        members.sort_by_key(|leg| leg.superblock.slot());
        members.extend(group.spares());
        built.steps.push(Step::AssembleArray {
            array: array.clone(),
            set_uuid: uuid_text(group),
            members: members.iter().map(leg_member).collect(),
            missing: group.missing(),
        });
        Ok(Started { name: array, disks: BTreeSet::new(), apart: Vec::new() })
    }

    /// Legs that were away come back; where the array is ours, blank disks of the
    /// range take the places of legs that are gone.
    fn add_legs(
        &self,
        group: &Group<'a>,
        case: &Case<'a, '_>,
        started: &Started<'a>,
        is_ours: bool,
        built: &mut Built,
    ) {
        let mut missing = group.missing();
        let array = &started.name;
        let mut add = |disk: Member, is_new: bool| {
            let set_uuid = uuid_text(group);
            built.steps.push(Step::AddMember { array: array.clone(), set_uuid, disk, is_new });
        };
        let mut warnings = Vec::new();
        for leg in &started.apart {
            add(leg_member(leg), false);
        }
        // What an array that runs has taken in already is its own.
        let runs = |leg: &Leg<'_>| started.disks.contains(&leg.disk.name);
        for leg in group.stale().filter(|leg| !runs(leg)) {
            if group.is_split_from(&leg) {
                warnings.push(format!(
                    "disk {} ({}) went on without the others: its data differ, it is not added",
                    leg.number,
                    leg.disk.label()
                ));
            } else {
                add(leg_member(&leg), false);
                missing = missing.saturating_sub(1);
            }
        }
        let needed = group.legs.first().map_or(u64::MAX, |leg| {
            let superblock = leg.superblock;
            let sectors = superblock.data_offset_sectors.saturating_add(superblock.size_sectors);
            sectors.saturating_mul(512)
        });
        let others = case
            .disks
            .iter()
            .filter(|(number, _)| !group.legs.iter().any(|leg| leg.number == *number));
        for &(number, disk) in others {
            let is_blank = disk.contents.as_ref().is_ok_and(|contents| contents.is_blank());
            let is_free = disk.busy().is_none() && disk.size_bytes >= needed;
            if missing > 0 && is_ours && is_blank && is_free && self.may_create() {
                add(member((number, disk)), true);
                missing = missing.saturating_sub(1);
            } else {
                let label = disk.label();
                warnings.push(format!("disk {number} ({label}) is not part of its array"));
            }
        }
        built.warnings.extend(warnings);
    }
}

fn stop(array: &str) -> Step {
    Step::StopArray { array: array.to_owned(), reason: "it is not complete".to_owned() }
}

/// An array whose members are exactly the disks of the range.
fn find_exact<'a>(disks: &[(u32, &'a Disk)]) -> Option<Group<'a>> {
    let mut groups = group_legs(disks.iter().copied()).into_values();
    let group = groups.next().filter(|group| group.legs.len() == disks.len())?;
    let is_whole = usize::try_from(group.raid_disks).ok()? == disks.len() && group.missing() == 0;
    let is_marked = group.legs.iter().any(|leg| is_mark(&leg.superblock.set_name));
    (is_whole && !is_marked).then_some(group)
}

/// What the array holds must be what the profile mounts.
fn check_inner(group: &Group<'_>, volume: &Volume) -> Result<(), String> {
    let Some(fs) = volume.fs else { return Ok(()) };
    match group.inner(volume.level) {
        Some(inner) if fs == FileSystem::Ext4 && inner.only_ext().is_some() => Ok(()),
        Some(inner) if fs == FileSystem::Swap && inner.only_swap().is_some() => Ok(()),
        Some(inner) => Err(format!("its array holds {inner}, not {}", fs.name())),
        None => Err("what its array holds cannot be read".to_owned()),
    }
}

fn describe_foreign(disks: &[(u32, &Disk)]) -> String {
    let found: Vec<String> = disks
        .iter()
        .filter_map(|(number, disk)| match &disk.contents {
            Ok(contents) if contents.is_blank() => None,
            Ok(contents) => Some(format!("disk {number} ({}) holds {contents}", disk.label())),
            Err(error) => Some(format!("disk {number} ({}) cannot be read: {error}", disk.label())),
        })
        .collect();
    format!("{}; WIPE_ON_BOOT is not true", found.join(", "))
}

fn leg_member(leg: &Leg<'_>) -> Member {
    member((leg.number, leg.disk))
}

fn uuid_text(group: &Group<'_>) -> String {
    let uuid = group.legs.first().map(|leg| leg.superblock.set_uuid).unwrap_or_default();
    uuid.iter().map(|byte| format!("{byte:02x}")).collect()
}

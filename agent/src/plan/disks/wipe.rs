//! `WIPE_ON_BOOT=true`: the owner has said that the disks of the range may be lost.
//! They are wiped and made anew whatever they hold, unless something is using them.

use std::collections::BTreeSet;

use crate::config::profile::{Entry, Volume};

use super::build::{member, set_name};
use super::empty::check_erase;
use super::inventory::{Disk, RunningArray};
use super::step::Step;
use super::{Built, Node};

impl<'a> Node<'a> {
    pub(super) fn plan_wipe(
        &mut self,
        first: u32,
        volume: &Volume,
        disks: &[(u32, &'a Disk)],
    ) -> Result<Built, String> {
        let mut steps = Vec::new();
        self.check_count(volume)?;
        let is_erased = volume.options.crypto_erase;
        for &(number, disk) in disks {
            self.check_wipe(number, disk)?;
            if is_erased {
                check_erase(number, disk)?;
            }
        }
        let may_stop = self.wiped_disks();
        for array in arrays_on(&self.request.inventory.arrays, disks) {
            check_stop(array, &may_stop)?;
            let reason = "its disks are wiped".to_owned();
            steps.push(Step::StopArray { array: array.name.clone(), reason });
        }
        for &(number, disk) in disks {
            let contents = disk.contents.as_ref().map_err(String::clone)?;
            let line = volume.line;
            let reason = format!("holds {contents}; WIPE_ON_BOOT=true covers line {line}");
            let disk_of_step = member((number, disk));
            if is_erased {
                steps.push(Step::CryptoErase { disk: disk_of_step, reason });
            } else if !(contents.is_blank() && disk.partitions.is_empty()) {
                steps.push(Step::Wipe { disk: disk_of_step, reason });
            }
        }
        let built = self.build_create(first, volume, disks, is_erased)?;
        let action = if steps.is_empty() { "create" } else { "wipe" };
        steps.extend(built.steps);
        Ok(Built { action, steps, ..built })
    }

    /// Refuses where the node has not as many disks as the volume expects: what is
    /// numbered by place has other numbers then.
    fn check_count(&self, volume: &Volume) -> Result<(), String> {
        let count = self.counted;
        match volume.options.expect {
            Some(expected) if usize::try_from(expected).ok() != Some(count) => Err(format!(
                "the node has {count} disks, line {} expects {expected}: nothing is wiped",
                volume.line
            )),
            _ => Ok(()),
        }
    }

    /// Refuses a disk that is in use, cannot be read, or belongs to a volume that is
    /// kept: numbers shift when a disk is missing.
    fn check_wipe(&self, number: u32, disk: &Disk) -> Result<(), String> {
        let name = format!("disk {number} ({})", disk.label());
        if let Some(busy) = disk.busy() {
            return Err(format!("{name} {busy}: not even WIPE_ON_BOOT=true touches it"));
        }
        let contents =
            disk.contents.as_ref().map_err(|error| format!("{name} cannot be read: {error}"))?;
        let Some(superblock) = contents.only_md_1_2() else { return Ok(()) };
        let kept = self.volumes().find(|(first, volume)| {
            volume.options.keep && set_name(volume, *first) == superblock.set_name
        });
        match kept {
            Some((_, volume)) => Err(format!(
                "{name} belongs to \"{}\", which line {} keeps",
                superblock.set_name.escape_default(),
                volume.line
            )),
            None => Ok(()),
        }
    }

    /// The kernel's names of all disks in ranges that may be wiped.
    fn wiped_disks(&self) -> BTreeSet<&'a str> {
        self.ranges
            .iter()
            .filter(|range| match range.entry {
                Entry::Volume(volume) => self.may_wipe(volume),
                Entry::Untouched => false,
            })
            .flat_map(|range| range.disks.iter().map(|(_, disk)| disk.name.as_str()))
            .collect()
    }
}

/// The running arrays that have one of the disks.
pub(super) fn arrays_on<'a>(
    arrays: &'a [RunningArray],
    disks: &[(u32, &Disk)],
) -> Vec<&'a RunningArray> {
    let has = |array: &RunningArray| disks.iter().any(|(_, disk)| array.disks.contains(&disk.name));
    arrays.iter().filter(|array| has(array)).collect()
}

/// Refuses to stop an array that is in use or has disks which are not to be wiped.
fn check_stop(array: &RunningArray, may_stop: &BTreeSet<&str>) -> Result<(), String> {
    if let Some(busy) = &array.busy {
        return Err(format!("{} is {busy}: not even WIPE_ON_BOOT=true touches it", array.name));
    }
    match array.disks.iter().find(|disk| !may_stop.contains(disk.as_str())) {
        Some(disk) => Err(format!(
            "{} runs on it and on {disk}, which is not to be wiped: stop it by hand",
            array.name
        )),
        None => Ok(()),
    }
}

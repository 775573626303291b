//! The members of one array among the disks of a node.

use std::collections::BTreeMap;

use crate::config::profile::Level;
use crate::format::md::{FEATURES_KNOWN, ROLE_SPARE, Superblock};
use crate::format::signature::Contents;

use super::inventory::Disk;

/// One member.
#[derive(Debug, Clone, Copy)]
pub(super) struct Leg<'a> {
    pub number: u32,
    pub disk: &'a Disk,
    pub superblock: &'a Superblock,
}

/// All members of one array that are there.
#[derive(Debug, Clone)]
pub(super) struct Group<'a> {
    pub legs: Vec<Leg<'a>>,
    /// Slots of the array, by its newest member.
    pub raid_disks: u32,
    /// The newest member's count of changes.
    pub events: u64,
    /// The newest member's creation time.
    pub ctime_s: u64,
}

/// Groups the disks that are members of version 1.2 and nothing else by the array's
/// identity.
pub(super) fn group_legs<'a>(
    disks: impl Iterator<Item = (u32, &'a Disk)>,
) -> BTreeMap<[u8; 16], Group<'a>> {
    let mut groups: BTreeMap<[u8; 16], Group<'a>> = BTreeMap::new();
    for (number, disk) in disks {
        let superblock = disk.contents.as_ref().ok().and_then(Contents::only_md_1_2);
        let Some(superblock) = superblock else { continue };
        let leg = Leg { number, disk, superblock };
        let group = groups.entry(superblock.set_uuid).or_insert_with(|| Group {
            legs: Vec::new(),
            raid_disks: superblock.raid_disks,
            events: superblock.events,
            ctime_s: superblock.ctime_s,
        });
        if superblock.events > group.events {
            group.events = superblock.events;
            group.raid_disks = superblock.raid_disks;
        }
        group.legs.push(leg);
    }
    groups
}

fn is_spare(leg: &Leg<'_>) -> bool {
    leg.superblock.level == 1 && leg.superblock.role() == ROLE_SPARE
}

impl<'a> Group<'a> {
    /// Active members as new as the newest. The kernel takes one that is behind by
    /// one change as well (`super_1_validate`).
    pub fn fresh(&self) -> impl Iterator<Item = Leg<'a>> + '_ {
        let events = self.events;
        self.legs.iter().copied().filter(move |leg| {
            leg.superblock.slot().is_some() && leg.superblock.events.saturating_add(1) >= events
        })
    }

    /// Members that wait for a slot. The kernel takes them whatever their count of changes:
    /// it need not keep that current.
    pub fn spares(&self) -> impl Iterator<Item = Leg<'a>> + '_ {
        self.legs.iter().copied().filter(is_spare)
    }

    /// Mirror legs that were away while the others were written to.
    pub fn stale(&self) -> impl Iterator<Item = Leg<'a>> + '_ {
        let events = self.events;
        self.legs.iter().copied().filter(move |leg| {
            let is_behind = leg.superblock.events.saturating_add(1) < events;
            !is_spare(leg) && (leg.superblock.slot().is_none() || is_behind)
        })
    }

    /// Slots that no fresh member fills.
    pub fn missing(&self) -> u32 {
        let filled = self.fresh().filter_map(|leg| leg.superblock.slot());
        let filled: std::collections::BTreeSet<u32> = filled.collect();
        self.raid_disks.saturating_sub(u32::try_from(filled.len()).unwrap_or(u32::MAX))
    }

    /// What the array holds: of the members where its data begin, one that says it
    /// was not finished, else any.
    pub fn inner(&self, level: Level) -> Option<&'a Contents> {
        let starts = |leg: &Leg<'_>| level == Level::Raid1 || leg.superblock.slot() == Some(0);
        let all: Vec<&Contents> =
            self.fresh().filter(starts).filter_map(|leg| leg.disk.inner.as_ref()).collect();
        all.iter().find(|inner| inner.formatting().is_some()).or(all.first()).copied()
    }

    /// Why the array cannot be the volume, or cannot be started here.
    pub fn find_fault(&self, level: Level) -> Option<String> {
        let number = match level {
            Level::Raid0 => 0,
            _ => 1,
        };
        if let Some(leg) = self.legs.iter().find(|leg| leg.superblock.level != number) {
            let found = leg.superblock.level;
            return Some(format!("its array is of level {found}, not {}", level.name()));
        }
        if let Some(leg) =
            self.legs.iter().find(|leg| leg.superblock.feature_map & !FEATURES_KNOWN != 0)
        {
            let features = leg.superblock.feature_map;
            return Some(format!(
                "its array has features {features:#x} that only mdadm can handle"
            ));
        }
        let mut slots: Vec<u32> = self.fresh().filter_map(|leg| leg.superblock.slot()).collect();
        slots.sort_unstable();
        if let Some((first, _)) = slots.iter().zip(slots.iter().skip(1)).find(|(a, b)| a == b) {
            return Some(format!("two disks say that they are member {first} of one array"));
        }
        let missing = self.missing();
        if level == Level::Raid0 && missing > 0 {
            return Some(format!("{missing} of its {} members are missing", self.raid_disks));
        }
        slots.is_empty().then(|| "no member of its array is active".to_owned())
    }

    /// Whether `leg` and the fresh members have each gone on without the other: then
    /// nobody but a person can say which is right.
    pub fn is_split_from(&self, leg: &Leg<'_>) -> bool {
        self.fresh()
            .filter_map(|fresh| fresh.superblock.slot())
            .any(|slot| leg.superblock.slot().is_some() && leg.superblock.says_missing(slot))
    }
}

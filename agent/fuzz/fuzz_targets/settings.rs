//! `/warewulf/config`, `mkdisk.conf`, profiles and `/.buildinfo`; profiles that are accepted are
//! planned on a node of eight disks.
//!
//! A line of `---` parts the settings from the profile.
#![no_main]

mod node;

use std::collections::BTreeSet;

use libfuzzer_sys::fuzz_target;
use rsinit::config::cmdline::Brake;
use rsinit::config::mkdisk_conf::{self, MkdiskConf};
use rsinit::config::node_path::parse_node_path;
use rsinit::config::profile::{self, Entry, MAX_DISK, Profile};
use rsinit::config::{buildinfo, warewulf};
use rsinit::plan::disks::inventory::Inventory;
use rsinit::plan::disks::{DiskPlan, Request, Step, plan_disks};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = std::str::from_utf8(bytes) {
        let config = warewulf::parse(text);
        assert!(config.tls_port != Some(0));
        assert!(config.address.as_deref() != Some(""));
        assert!(buildinfo::parse_playbook(text).is_none_or(|name| !name.trim().is_empty()));
    }
    let middle = bytes.windows(5).position(|part| part == b"\n---\n");
    let (settings, profile) = match middle {
        Some(at) => (&bytes[..at], &bytes[at + 5..]),
        None => (bytes, bytes),
    };
    let settings = mkdisk_conf::parse(settings);
    let profile = profile::parse(profile);
    if let Ok(conf) = &settings {
        check_settings(conf);
    }
    let Ok(profile) = profile else { return };
    check_profile(&profile);
    let conf = settings.unwrap_or_default();
    for brake in [Brake::Auto, Brake::Keep] {
        for inventory in [node::blank(), node::used()] {
            let plan = plan_disks(&Request {
                conf: &conf,
                profile: &profile,
                brake,
                inventory: &inventory,
            });
            check_plan(&plan, &profile, &inventory, brake);
        }
    }
});

fn check_settings(conf: &MkdiskConf) {
    assert!(!conf.profile.contains('/') && !conf.profile.starts_with('.'));
    let moved = conf.move_dirs.iter().flat_map(|one| [&one.from, &one.to]);
    for path in moved.chain(&conf.fscache_dir) {
        assert_eq!(parse_node_path(path).as_ref(), Ok(path));
    }
}

fn check_profile(profile: &Profile) {
    let mut names = BTreeSet::new();
    assert!(!profile.entries.is_empty());
    for (&first, entry) in &profile.entries {
        assert!((1..=MAX_DISK).contains(&first));
        let Entry::Volume(volume) = entry else { continue };
        let slug = volume.slug(first, 25);
        assert!(slug.len() <= 25 && slug.is_ascii() && !slug.contains('/'), "{slug}");
        assert!(names.insert(slug), "two volumes with one name");
    }
}

/// A disk is written to only where a volume covers it; kept volumes and a brake wipe nothing.
fn check_plan(plan: &DiskPlan, profile: &Profile, inventory: &Inventory, brake: Brake) {
    let _ = (plan.to_string(), plan.is_idle());
    let covered = |number: u32| {
        let range = profile
            .ranges()
            .find(|(first, last, _)| *first <= number && last.is_none_or(|last| number <= last));
        match range {
            Some((_, _, Entry::Volume(volume))) => Some(volume),
            _ => None,
        }
    };
    for step in plan.steps() {
        let _ = step.to_string();
        match step {
            Step::Discard { disks, .. } => {
                assert!(brake != Brake::Keep);
                assert!(disks.iter().all(|disk| covered(disk.number).is_some()));
            }
            Step::Wipe { disk, .. } | Step::CryptoErase { disk, .. } => {
                let volume = covered(disk.number).expect("a volume covers what is wiped");
                let allowed = plan.wipe_on_boot && !volume.options.keep;
                let found = inventory.disks.iter().find(|found| found.name == disk.name);
                // What an earlier boot did not finish may be made again.
                assert!(allowed || found.is_some_and(node::is_unfinished));
                assert!(brake != Brake::Keep);
            }
            Step::CreateArray { members, geometry, .. } => {
                assert!(brake != Brake::Keep);
                let end = geometry.data_offset_sectors + geometry.data_size_sectors;
                for member in members {
                    assert!(covered(member.number).is_some());
                    let disk = inventory.disks.iter().find(|disk| disk.name == member.name);
                    assert!(disk.is_some_and(|disk| end * 512 <= disk.size_bytes));
                }
            }
            Step::MarkFormatting { disk, .. } | Step::AddMember { disk, .. } => {
                assert!(
                    brake != Brake::Keep || matches!(step, Step::AddMember { is_new: false, .. })
                );
                assert!(covered(disk.number).is_some());
            }
            _ => {}
        }
    }
}

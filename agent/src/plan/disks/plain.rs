//! Level `none` without wiping: each disk is mounted if it is ours, made if it is
//! blank.

use crate::config::profile::{FileSystem, Volume};

use super::build::{label, member, mount, volume_name};
use super::inventory::Disk;
use super::step::Step;
use super::{Built, Node};

impl<'a> Node<'a> {
    pub(super) fn plan_keep_plain(
        &mut self,
        first: u32,
        volume: &Volume,
        disks: &[(u32, &'a Disk)],
    ) -> Result<Built, String> {
        // Bare disks: there is nothing to find and nothing to make.
        let Some(fs) = volume.fs else {
            return Ok(Built { action: "left alone", ..Built::default() });
        };
        let mut built = Built { action: "assemble", ..Built::default() };
        for &(number, disk) in disks {
            let name = format!("disk {number} ({})", disk.label());
            let mount_number = (disks.len() > 1).then_some(number);
            let contents = disk
                .contents
                .as_ref()
                .map_err(|error| format!("{name} cannot be read: {error}"))?;
            let found = match fs {
                FileSystem::Ext4 => contents.only_ext().map(|ext| &ext.label),
                FileSystem::Swap => contents.only_swap().map(|swap| &swap.label),
            };
            if found.is_some_and(|found| *found == label(volume, first)) {
                built.mounts.extend(mount(volume, &disk.name, mount_number));
                continue;
            }
            if let Some(busy) = disk.busy() {
                return Err(format!("{name} {busy}"));
            }
            let is_unfinished = contents.formatting() == Some(volume_name(volume, first).as_str());
            if !(contents.is_blank() || is_unfinished) {
                let wanted = label(volume, first);
                let fs = fs.name();
                return Err(format!("{name} holds {contents}, not {fs} labelled \"{wanted}\""));
            }
            if !self.may_create() {
                return Err(format!("{name} is {contents}, and rsinit.disk=keep makes nothing"));
            }
            built.action = "create";
            if is_unfinished {
                let reason = "an earlier boot did not finish it".to_owned();
                built.steps.push(Step::Wipe { disk: member((number, disk)), reason });
            }
            let made = self.build_create(first, volume, &[(number, disk)], false)?;
            built.steps.extend(made.steps);
            built.warnings.extend(made.warnings);
            built.mounts.extend(mount(volume, &disk.name, mount_number));
        }
        Ok(built)
    }
}

//! Level `none` without wiping: each disk is mounted if it is ours, made if it is
//! blank.

use crate::config::profile::Volume;

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
        let mut built = Built { action: "assemble", ..Built::default() };
        for &(number, disk) in disks {
            let name = format!("disk {number} ({})", disk.label());
            let mount_number = (disks.len() > 1).then_some(number);
            let contents = disk
                .contents
                .as_ref()
                .map_err(|error| format!("{name} cannot be read: {error}"))?;
            let is_ours = contents.only_ext().is_some_and(|ext| ext.label == label(volume, first));
            if is_ours && volume.fs.is_some() {
                built.mounts.extend(mount(volume, &disk.name, mount_number));
                continue;
            }
            if let Some(busy) = disk.busy() {
                return Err(format!("{name} {busy}"));
            }
            let is_unfinished = contents.formatting() == Some(volume_name(volume, first).as_str());
            if !(contents.is_blank() || is_unfinished) {
                let wanted = label(volume, first);
                return Err(format!("{name} holds {contents}, not an ext4 labelled \"{wanted}\""));
            }
            if !self.may_create() {
                return Err(format!("{name} is {contents}, and rsinit.disk=keep makes nothing"));
            }
            built.action = "create";
            if is_unfinished {
                let reason = "an earlier boot did not finish it".to_owned();
                built.steps.push(Step::Wipe { disk: member((number, disk)), reason });
            }
            let made = self.build_create(first, volume, &[(number, disk)])?;
            built.steps.extend(made.steps);
            built.mounts.extend(mount(volume, &disk.name, mount_number));
        }
        Ok(built)
    }
}

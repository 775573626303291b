//! Carries out the steps of one range.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::time::Duration;

use anyhow::{Context, bail, ensure};

use crate::format::ext4;
use crate::format::md::Superblock;
use crate::format::signature::{Contents, MARKER_BYTES, encode_marker};
use crate::format::swap::SwapHeader;
use crate::layout::Layout;
use crate::plan::disks::inventory::{Disk, Inventory};
use crate::plan::disks::{Member, Step, Tables};
use crate::stage::mkfs::make_ext4;
use crate::sys::Kernel;

use super::array::{self, NewArray};
use super::contents::{expect_contents, read_contents};
use super::device::{check_identity, open_for_writing, wipe};
use super::discard::{Discarded, discard_all, reads_zero};
use super::driver::load_module;
use super::faulty::find_faulty;
use super::inventory::device_node;
use super::nvme;
use super::place::list_names;
use super::swap::make_swap;

/// What the steps of a plan are carried out with.
pub(super) struct Workbench<'a> {
    kernel: &'a dyn Kernel,
    layout: &'a Layout,
    inventory: &'a Inventory,
    /// What disks hold that earlier steps have written to.
    changed: BTreeMap<String, Contents>,
    /// Disks that earlier steps have emptied, and that were seen to read as zeros.
    emptied: BTreeSet<String>,
}

impl<'a> Workbench<'a> {
    pub(super) fn new(
        kernel: &'a dyn Kernel,
        layout: &'a Layout,
        inventory: &'a Inventory,
    ) -> Self {
        Self { kernel, layout, inventory, changed: BTreeMap::new(), emptied: BTreeSet::new() }
    }

    /// Carries out one step of the preparation; gives what somebody should know of it.
    ///
    /// # Errors
    /// What went wrong with which disk; the steps after it are not to be tried.
    pub(super) fn carry_out(&mut self, step: &Step) -> anyhow::Result<Vec<String>> {
        match step {
            Step::Discard { disks, limit_s } => return self.discard(disks, *limit_s),
            Step::MakeFilesystem { .. } => return self.make_filesystem(step),
            _ => self.carry_out_silently(step)?,
        }
        Ok(Vec::new())
    }

    fn carry_out_silently(&mut self, step: &Step) -> anyhow::Result<()> {
        match step {
            Step::StopArray { array, .. } => {
                array::stop(self.kernel, self.layout, array)?;
                self.look_again(array)
            }
            Step::Wipe { disk, .. } => self.wipe(disk),
            Step::CryptoErase { disk, .. } => self.crypto_erase(disk),
            Step::CreateArray { .. } => self.create_array(step),
            Step::AssembleArray { array, set_uuid, members, .. } => {
                let disks = self.disks(members)?;
                self.load_modules(&disks);
                let uuid = Some(parse_uuid(set_uuid).context("reading the array's UUID")?);
                array::assemble(self.kernel, self.layout, array, uuid, &disks)
            }
            Step::AdoptArray { .. } => Ok(()),
            Step::AddMember { array, set_uuid, disk, is_new } => {
                self.add_member(array, set_uuid, disk, *is_new)
            }
            Step::MarkFormatting { disk, volume } => self.mark(disk, volume),
            Step::Unmark { device, volume } => self.unmark(device, volume),
            Step::MakeSwap { device, disk, volume, label } => {
                self.make_swap(device, disk.as_ref(), volume, label)
            }
            _ => bail!("not a step of the preparation"),
        }
    }

    fn disk(&self, member: &Member) -> anyhow::Result<&'a Disk> {
        let disk = self.inventory.disks.iter().find(|disk| disk.name == member.name);
        disk.with_context(|| format!("{} is gone", member.name))
    }

    fn disks(&self, members: &[Member]) -> anyhow::Result<Vec<&'a Disk>> {
        members.iter().map(|member| self.disk(member)).collect()
    }

    /// Opens a disk that must hold what the plan saw, or what this plan has written.
    fn open(&self, disk: &Disk) -> anyhow::Result<File> {
        let planned = disk.contents.as_ref().ok();
        let expected = self.changed.get(&disk.name).or(planned).cloned().unwrap_or_default();
        open_for_writing(self.kernel, self.layout, disk, &expected)
    }

    /// A stopped array leaves its last count of changes on its members: that is no reason
    /// to take them for other disks than the plan saw. Anything else still is.
    fn look_again(&mut self, array: &str) -> anyhow::Result<()> {
        let stopped = self.inventory.arrays.iter().find(|stopped| stopped.name == array);
        for name in stopped.iter().flat_map(|stopped| &stopped.disks) {
            let disk = self.inventory.disks.iter().find(|disk| disk.name == *name);
            let Some((disk, Ok(planned))) = disk.map(|disk| (disk, &disk.contents)) else {
                continue;
            };
            let device = self.kernel.open_readable(&device_node(self.layout, name));
            let now =
                device.and_then(|device| read_contents(self.kernel, &device, disk.size_bytes));
            let now = now.with_context(|| format!("reading {name} again"))?;
            if now.is_same_but_for_md(planned) {
                self.changed.insert(name.clone(), now);
            }
        }
        Ok(())
    }

    fn wipe(&mut self, member: &Member) -> anyhow::Result<()> {
        let disk = self.disk(member)?;
        let device = self.open(disk)?;
        wipe(self.kernel, &device, disk)?;
        self.changed.insert(disk.name.clone(), Contents::default());
        Ok(())
    }

    fn crypto_erase(&mut self, member: &Member) -> anyhow::Result<()> {
        let disk = self.disk(member)?;
        let device = self.open(disk)?;
        nvme::crypto_erase(self.kernel, &device, disk)?;
        // What is left by the old key reads as anything.
        wipe(self.kernel, &device, disk)?;
        self.changed.insert(disk.name.clone(), Contents::default());
        self.note_emptied(disk, &device);
        Ok(())
    }

    fn discard(&mut self, members: &[Member], limit_s: u32) -> anyhow::Result<Vec<String>> {
        let mut disks: Vec<(&Disk, File)> = Vec::new();
        for disk in self.disks(members)? {
            disks.push((disk, self.open(disk)?));
        }
        let limit = Duration::from_secs(u64::from(limit_s));
        let done = discard_all(self.kernel, &disks, limit);
        let mut notes = Vec::new();
        for ((disk, device), done) in disks.iter().zip(done) {
            let name = disk.label();
            match done {
                Discarded::All => self.note_emptied(disk, device),
                Discarded::Part { left_bytes } => {
                    let left = left_bytes >> 30;
                    notes.push(format!(
                        "{name}: {limit_s} s were over with {left} GiB not discarded"
                    ));
                }
                Discarded::Failed(error) => notes.push(format!("{name}: discarding: {error}")),
            }
        }
        Ok(notes)
    }

    /// A disk that cannot be read is not counted: that is told by what is done next.
    fn note_emptied(&mut self, disk: &Disk, device: &File) {
        if reads_zero(self.kernel, device, disk).unwrap_or(false) {
            self.emptied.insert(disk.name.clone());
        }
    }

    fn create_array(&self, step: &Step) -> anyhow::Result<()> {
        let Step::CreateArray { array, set_name, level, members, slots, geometry, volume } = step
        else {
            return Ok(());
        };
        let disks = self.disks(members)?;
        let new = NewArray {
            set_name,
            level: *level,
            disks: disks.clone(),
            slots: *slots,
            geometry: *geometry,
            volume,
        };
        self.load(if *level == crate::config::profile::Level::Raid0 { "raid0" } else { "raid1" });
        // Held from before the first write until the kernel has the members: udev must
        // not assemble what is half written.
        let _locks = self.lock(&disks);
        array::write_superblocks(self.kernel, self.layout, &new)?;
        array::assemble(self.kernel, self.layout, array, None, &disks)
    }

    fn lock(&self, disks: &[&Disk]) -> Vec<File> {
        disks
            .iter()
            .filter_map(|disk| {
                let node = device_node(self.layout, &disk.name);
                let device = self.kernel.open_readable(&node).ok()?;
                self.kernel.lock(&device).ok()?;
                // Each is looked at once more before it is written to.
                expect_contents(self.kernel, &device, disk.size_bytes);
                Some(device)
            })
            .collect()
    }

    fn add_member(
        &self,
        array: &str,
        set_uuid: &str,
        member: &Member,
        is_new: bool,
    ) -> anyhow::Result<()> {
        let uuid = parse_uuid(set_uuid).context("reading the array's UUID")?;
        let is_leg = |superblock: &&Superblock| superblock.set_uuid == uuid;
        let contents = self.inventory.disks.iter().filter_map(|disk| disk.contents.as_ref().ok());
        let legs: Vec<&Superblock> =
            contents.filter_map(Contents::only_md_1_2).filter(is_leg).collect();
        let taken: Vec<u32> = legs.iter().map(|leg| leg.dev_number).collect();
        let newest = legs.iter().max_by_key(|leg| leg.events).copied();
        ensure!(newest.is_some(), "no member of {array} is there");
        let leg = newest.filter(|_| is_new);
        array::add_member(self.kernel, self.layout, array, self.disk(member)?, leg, &taken)
    }

    fn mark(&mut self, member: &Member, volume: &str) -> anyhow::Result<()> {
        let disk = self.disk(member)?;
        let device = self.open(disk)?;
        let write = || {
            self.kernel.write_at(&device, 0, &encode_marker(volume))?;
            self.kernel.flush(&device)
        };
        write().with_context(|| format!("marking {}", disk.name))?;
        self.changed.remove(&disk.name);
        Ok(())
    }

    /// Opens what an earlier step has put the mark of `volume` on, alone.
    fn open_marked(&self, name: &str, disk: Option<&Member>, volume: &str) -> anyhow::Result<File> {
        let node = device_node(self.layout, name);
        let device = self
            .kernel
            .open_exclusive(&node)
            .with_context(|| format!("opening {}", node.display()))?;
        if let Some(member) = disk {
            check_identity(self.kernel, &device, self.disk(member)?)?;
        }
        let mark = encode_marker(volume);
        let mut first = vec![0; MARKER_BYTES];
        self.kernel.read_at(&device, 0, &mut first).with_context(|| format!("reading {name}"))?;
        ensure!(first == mark, "{name} does not bear the mark of {volume}: not written to");
        Ok(device)
    }

    fn unmark(&self, name: &str, volume: &str) -> anyhow::Result<()> {
        let device = self.open_marked(name, None, volume)?;
        let write = || {
            self.kernel.write_at(&device, 0, &[0; MARKER_BYTES])?;
            self.kernel.flush(&device)
        };
        write().with_context(|| format!("taking the mark off {name}"))
    }

    fn make_filesystem(&self, step: &Step) -> anyhow::Result<Vec<String>> {
        let Step::MakeFilesystem { device: name, disk, volume, tables, .. } = step else {
            bail!("not a step that makes a file system");
        };
        let device = self.open_marked(name, disk.as_ref(), volume)?;
        let size = self.kernel.size_bytes(&device).with_context(|| format!("measuring {name}"))?;
        let zeroed = match tables {
            Tables::Kernel { .. } => None,
            Tables::Medium { disks, .. } => {
                Some(disks.iter().all(|disk| self.emptied.contains(&disk.name)))
            }
        };
        let options = self
            .ext4_options(step, zeroed == Some(true))
            .context("choosing the file system's options")?;
        make_ext4(self.kernel, &device, size, &options)
            .with_context(|| format!("making ext4 on {}", self.name_with_members(name)))?;
        let left = format!("{name}: not all of its disks were emptied: inode tables zeroed later");
        let left = (zeroed == Some(false)).then_some(left);
        let faulty = find_faulty(self.layout, name);
        let faulty = faulty.iter().map(|disk| format!("{name} goes on without {disk}: it failed"));
        Ok(left.into_iter().chain(faulty).collect())
    }

    /// A stripe does not say which of its disks has failed: all that it may have been.
    fn name_with_members(&self, array: &str) -> String {
        let members = list_names(&self.layout.sys.join("block").join(array).join("slaves"));
        if members.is_empty() {
            return array.to_owned();
        }
        format!("{array} of {}", members.join(" "))
    }

    fn make_swap(
        &self,
        name: &str,
        disk: Option<&Member>,
        volume: &str,
        label: &str,
    ) -> anyhow::Result<()> {
        let device = self.open_marked(name, disk, volume)?;
        let size = self.kernel.size_bytes(&device).with_context(|| format!("measuring {name}"))?;
        let header = SwapHeader { uuid: self.random_uuid()?, label: label.to_owned() };
        make_swap(self.kernel, &device, size, &header)
            .with_context(|| format!("making swap on {name}"))
    }

    fn ext4_options(&self, step: &Step, zeroed: bool) -> anyhow::Result<ext4::Options> {
        let Step::MakeFilesystem {
            label,
            stride_blocks,
            stripe_width_blocks,
            reserved_percent,
            bytes_per_inode,
            ..
        } = step
        else {
            bail!("not a step that makes a file system");
        };
        Ok(ext4::Options {
            uuid: self.random_uuid()?,
            hash_seed: self.random_uuid()?,
            journal_sequence: u32::from_le_bytes(self.random()?),
            created_s: u32::try_from(self.kernel.now_s()).unwrap_or(u32::MAX),
            label: label.parse()?,
            stride_blocks: *stride_blocks,
            stripe_width_blocks: *stripe_width_blocks,
            reserved_percent: *reserved_percent,
            bytes_per_inode: *bytes_per_inode,
            zeroed,
        })
    }

    fn random<const N: usize>(&self) -> anyhow::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.kernel
            .random(&self.layout.dev.join("urandom"), &mut bytes)
            .context("reading urandom")?;
        Ok(bytes)
    }

    /// Version 4, as RFC 9562 has it.
    fn random_uuid(&self) -> anyhow::Result<[u8; 16]> {
        let mut uuid = self.random::<16>()?;
        let [_, _, _, _, _, _, version, _, variant, ..] = &mut uuid;
        *version = (*version & 0x0f) | 0x40;
        *variant = (*variant & 0x3f) | 0x80;
        Ok(uuid)
    }

    fn load_modules(&self, disks: &[&Disk]) {
        let superblock = disks.iter().find_map(|disk| disk.contents.as_ref().ok()?.only_md_1_2());
        match superblock.map(|superblock| superblock.level) {
            Some(0) => self.load("raid0"),
            _ => self.load("raid1"),
        }
    }

    fn load(&self, level: &str) {
        for module in ["md-mod", level] {
            load_module(self.kernel, self.layout, module);
        }
    }
}

fn parse_uuid(text: &str) -> Option<[u8; 16]> {
    u128::from_str_radix(text, 16).ok().map(u128::to_be_bytes)
}

//! md arrays: superblocks written, then started from them by the kernel.

use std::fs::File;
use std::io::ErrorKind;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use crate::config::profile::Level;
use crate::format::md::{self, Geometry, Superblock};
use crate::format::signature::{Contents, encode_marker};
use crate::layout::Layout;
use crate::plan::disks::inventory::Disk;
use crate::sys::Kernel;
use crate::sys::md::DiskInfo;

use super::device::{check_identity, open_for_writing};
use super::inventory::device_node;

/// How long an array's device may take to appear, and to go.
const NODE_DEADLINE: Duration = Duration::from_secs(5);
/// Between two looks for it: devtmpfs sends no event that a file watch would see.
const NODE_POLL: Duration = Duration::from_millis(5);

/// What a new array is made of.
pub(super) struct NewArray<'a> {
    pub set_name: &'a str,
    pub level: Level,
    pub disks: Vec<&'a Disk>,
    pub slots: u32,
    pub geometry: Geometry,
    pub volume: &'a str,
}

/// Writes the superblocks of a new array to blank disks, the first member's first:
/// it bears the mark of a volume that is not finished.
///
/// # Errors
/// A disk that is not blank any more, or cannot be written.
pub(super) fn write_superblocks(
    kernel: &dyn Kernel,
    layout: &Layout,
    array: &NewArray<'_>,
) -> anyhow::Result<()> {
    let blank = Contents::default();
    let mut devices: Vec<(&Disk, File)> = Vec::new();
    for disk in &array.disks {
        devices.push((disk, open_for_writing(kernel, layout, disk, &blank)?));
    }
    let template = new_superblock(kernel, layout, array)?;
    let data_start = array.geometry.data_offset_sectors.saturating_mul(512);
    for (index, (disk, device)) in devices.iter().enumerate() {
        let is_leg = u32::try_from(index).is_ok_and(|slot| slot < array.slots);
        let holds_start = (array.level == Level::Raid1 && is_leg) || index == 0;
        if holds_start {
            kernel
                .write_at(device, data_start, &encode_marker(array.volume))
                .and_then(|()| kernel.flush(device))
                .with_context(|| format!("marking {}", disk.name))?;
        }
    }
    for (number, (disk, device)) in (0u32..).zip(&devices) {
        let mut superblock = Superblock { dev_number: number, ..template.clone() };
        kernel.random(&layout.dev.join("urandom"), &mut superblock.device_uuid)?;
        let name = &disk.name;
        write_superblock(kernel, device, &superblock)
            .with_context(|| format!("writing the superblock of {name}"))?;
        if array.geometry.bitmap_offset_sectors > 0 {
            write_bitmap(kernel, device, &superblock)
                .with_context(|| format!("writing the bitmap of {name}"))?;
        }
    }
    Ok(())
}

/// After the superblock: cut short, the disk is known as ours, and the mark says that
/// the array was never in use.
fn write_bitmap(kernel: &dyn Kernel, device: &File, superblock: &Superblock) -> anyhow::Result<()> {
    let bitmap = md::encode_bitmap(&superblock.set_uuid, superblock.size_sectors);
    let offset = u64::try_from(superblock.bitmap_offset_sectors)?.saturating_mul(512);
    kernel.write_at(device, md::SUPER_OFFSET_1_2.saturating_add(offset), &bitmap)?;
    Ok(kernel.flush(device)?)
}

fn write_superblock(
    kernel: &dyn Kernel,
    device: &File,
    superblock: &Superblock,
) -> anyhow::Result<()> {
    let bytes = md::encode(superblock)?;
    kernel.write_at(device, md::SUPER_OFFSET_1_2, &bytes)?;
    Ok(kernel.flush(device)?)
}

fn new_superblock(
    kernel: &dyn Kernel,
    layout: &Layout,
    array: &NewArray<'_>,
) -> anyhow::Result<Superblock> {
    let mut set_uuid = [0; 16];
    kernel.random(&layout.dev.join("urandom"), &mut set_uuid).context("reading urandom")?;
    let now_s = kernel.now_s();
    let geometry = array.geometry;
    let count = u16::try_from(array.disks.len()).context("counting members")?;
    let has_bitmap = geometry.bitmap_offset_sectors > 0;
    Ok(Superblock {
        feature_map: if has_bitmap { md::FEATURE_BITMAP } else { 0 },
        set_uuid,
        set_name: array.set_name.to_owned(),
        ctime_s: now_s,
        utime_s: now_s,
        level: if array.level == Level::Raid1 { 1 } else { 0 },
        layout: 0,
        size_sectors: geometry.data_size_sectors,
        chunk_sectors: geometry.chunk_sectors,
        raid_disks: array.slots,
        bitmap_offset_sectors: i32::try_from(geometry.bitmap_offset_sectors)?,
        data_offset_sectors: geometry.data_offset_sectors,
        data_size_sectors: geometry.data_size_sectors,
        super_offset_sectors: md::SUPER_OFFSET_1_2 / 512,
        dev_number: 0,
        device_uuid: [0; 16],
        events: 0,
        // A file system never reads a block that it has not written: mirrors whose
        // members differ there need no resync.
        resync_offset: md::RESYNC_DONE,
        roles: (0..count).map(|number| role(number, array.slots)).collect(),
    })
}

/// The slot of that number, or that of a spare where there are not so many slots.
fn role(number: u16, slots: u32) -> u16 {
    if u32::from(number) < slots { number } else { md::ROLE_SPARE }
}

/// Starts the array `name` from the superblocks of `disks`; on any error lets go of
/// the disks again.
///
/// # Errors
/// A member that is used elsewhere or was changed; members that are too few.
pub(super) fn assemble(
    kernel: &dyn Kernel,
    layout: &Layout,
    name: &str,
    set_uuid: Option<[u8; 16]>,
    disks: &[&Disk],
) -> anyhow::Result<()> {
    let array = open_new_array(kernel, layout, name)?;
    let started = start(kernel, layout, name, set_uuid, disks, &array);
    if started.is_err() {
        // The array that could not be started would hold its members; what went
        // wrong first is what is reported.
        let _ = kernel.stop_array(&array);
    }
    started
}

fn start(
    kernel: &dyn Kernel,
    layout: &Layout,
    name: &str,
    set_uuid: Option<[u8; 16]>,
    disks: &[&Disk],
    array: &File,
) -> anyhow::Result<()> {
    kernel.set_array_info(array, 2).with_context(|| format!("beginning {name}"))?;
    for disk in disks {
        let _lock = lock_member(kernel, layout, disk, set_uuid)?;
        kernel
            .add_new_disk(array, disk_info(disk))
            .with_context(|| format!("adding {} to {name}", disk.name))?;
    }
    kernel.run_array(array).with_context(|| format!("starting {name}"))
}

/// Opens a member, with udev's rules held off, and checks that it is one.
fn lock_member(
    kernel: &dyn Kernel,
    layout: &Layout,
    disk: &Disk,
    set_uuid: Option<[u8; 16]>,
) -> anyhow::Result<File> {
    let name = &disk.name;
    let device = kernel
        .open_readable(&device_node(layout, name))
        .with_context(|| format!("opening {name}"))?;
    // Without the lock udev may look at the disk at the same time, no more.
    let _ = kernel.lock(&device);
    check_identity(kernel, &device, disk)?;
    let superblock = read_superblock(kernel, &device).with_context(|| format!("reading {name}"))?;
    let is_same = set_uuid.is_none_or(|uuid| uuid == superblock.set_uuid);
    ensure!(is_same, "{name} has become a member of another array");
    Ok(device)
}

fn read_superblock(kernel: &dyn Kernel, device: &File) -> anyhow::Result<Superblock> {
    let mut bytes = vec![0; 4096];
    kernel.read_at(device, md::SUPER_OFFSET_1_2, &mut bytes)?;
    Ok(md::decode(&bytes)?)
}

fn disk_info(disk: &Disk) -> DiskInfo {
    let part = |number: u32| i32::try_from(number).unwrap_or(-1);
    DiskInfo {
        major: part(disk.device.major),
        minor: part(disk.device.minor),
        ..DiskInfo::default()
    }
}

/// Makes the device of an array that does not run yet and opens it.
fn open_new_array(kernel: &dyn Kernel, layout: &Layout, name: &str) -> anyhow::Result<File> {
    let node = device_node(layout, name);
    let parameters = layout.sys.join("module/md_mod/parameters");
    let made = kernel.new_array(&parameters, name);
    if made.is_err() {
        // Before Linux 4.9 an array's device is made by opening a node for it.
        let minor = name.trim_start_matches("md").parse().context("reading the array's number")?;
        match kernel.make_array_node(&node, minor) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(_) => made.with_context(|| format!("making {name}: is md in the kernel?"))?,
        }
    }
    let start = Instant::now();
    loop {
        match kernel.open_array(&node) {
            Ok(array) => return Ok(array),
            Err(error) if start.elapsed() > NODE_DEADLINE => {
                return Err(error).with_context(|| format!("opening {}", node.display()));
            }
            Err(_) => std::thread::sleep(NODE_POLL),
        }
    }
}

/// Stops an array and waits until its disks are free. One that is gone is stopped.
///
/// # Errors
/// `EBUSY` while it is in use.
pub(super) fn stop(kernel: &dyn Kernel, layout: &Layout, name: &str) -> anyhow::Result<()> {
    let folder = layout.sys.join("block").join(name);
    if !folder.exists() {
        return Ok(());
    }
    let start = Instant::now();
    loop {
        // Opened anew each time: another opener (udev's blkid) makes it busy for a moment.
        let array = kernel
            .open_array(&device_node(layout, name))
            .with_context(|| format!("opening {name}"))?;
        match kernel.stop_array(&array) {
            Ok(()) => return Ok(()),
            Err(error) if start.elapsed() > NODE_DEADLINE => {
                return Err(error).with_context(|| format!("stopping {name}"));
            }
            Err(_) => std::thread::sleep(NODE_POLL),
        }
    }
}

/// Adds a disk to a running mirror. A blank one gets a superblock first, made from
/// that of a `leg` which is there.
///
/// # Errors
/// A disk that is not what the plan saw; what the kernel refuses.
pub(super) fn add_member(
    kernel: &dyn Kernel,
    layout: &Layout,
    name: &str,
    disk: &Disk,
    leg: Option<&Superblock>,
    taken: &[u32],
) -> anyhow::Result<()> {
    if let Some(leg) = leg {
        let device = open_for_writing(kernel, layout, disk, &Contents::default())?;
        let superblock = spare_superblock(kernel, layout, leg, taken)?;
        write_superblock(kernel, &device, &superblock)
            .with_context(|| format!("writing the superblock of {}", disk.name))?;
    }
    let array =
        kernel.open_array(&device_node(layout, name)).with_context(|| format!("opening {name}"))?;
    let _lock = lock_member(kernel, layout, disk, None)?;
    kernel
        .add_new_disk(&array, disk_info(disk))
        .with_context(|| format!("adding {} to {name}", disk.name))
}

fn spare_superblock(
    kernel: &dyn Kernel,
    layout: &Layout,
    leg: &Superblock,
    taken: &[u32],
) -> anyhow::Result<Superblock> {
    let free =
        (0..md::MAX_MEMBERS).zip(leg.roles.iter().chain(std::iter::repeat(&md::ROLE_FAULTY)));
    let mut free =
        free.filter(|(number, role)| **role >= md::ROLE_FAULTY && !taken.contains(number));
    let Some((number, _)) = free.next() else { bail!("the array has no room for a member") };
    let mut roles = leg.roles.clone();
    roles.truncate(usize::try_from(md::MAX_MEMBERS)?);
    if let Some(role) = roles.get_mut(usize::try_from(number)?) {
        *role = md::ROLE_SPARE;
    }
    let mut device_uuid = [0; 16];
    kernel.random(&layout.dev.join("urandom"), &mut device_uuid).context("reading urandom")?;
    let feature_map = leg.feature_map & !(md::FEATURE_RECOVERY | md::FEATURE_BAD_BLOCKS);
    Ok(Superblock { dev_number: number, device_uuid, roles, events: 0, feature_map, ..leg.clone() })
}

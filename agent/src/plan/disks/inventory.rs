//! The disks and arrays of a node, as they were found.

use std::collections::BTreeSet;

use crate::format::nvme::{Controller, Namespace};
use crate::format::signature::Contents;

/// Everything that the plan may know about the node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inventory {
    /// Whole disks in no particular order.
    pub disks: Vec<Disk>,
    /// md arrays that something assembled before.
    pub arrays: Vec<RunningArray>,
}

/// One whole disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// The kernel's name, `nvme0n1`: good for opening it now, not for knowing it.
    pub name: String,
    /// Device number.
    pub device: DeviceNumber,
    /// How it is attached.
    pub transport: Transport,
    /// Where it is plugged in.
    pub place: Place,
    /// As the disk gives it, or empty.
    pub model: String,
    /// As the disk gives it, or empty.
    pub serial: String,
    /// World-wide identifier (`wwid` in sysfs), or empty.
    pub wwid: String,
    /// Capacity in bytes.
    pub size_bytes: u64,
    /// Logical block in bytes: 512 or 4096.
    pub logical_block_bytes: u32,
    /// `ro` in sysfs.
    pub is_read_only: bool,
    /// `removable` in sysfs.
    pub is_removable: bool,
    /// Kernel's names of what is built on the disk or on a partition of it, other
    /// than md arrays: `dm-0`, `bcache0`.
    pub holders: Vec<String>,
    /// Whether a holder is a multipath map.
    pub is_multipath_leg: bool,
    /// Partitions that the kernel knows.
    pub partitions: Vec<String>,
    /// Where the disk or a partition of it is mounted.
    pub mounted: Vec<String>,
    /// Whether it or a partition of it is swapped to.
    pub is_swap: bool,
    /// Bytes that one discard takes, 0 where it cannot (`queue/discard_max_bytes`).
    pub discard_bytes: u64,
    /// What an NVMe disk says that it can do, where it was asked.
    pub nvme: Option<NvmeFacts>,
    /// What it holds; the error of reading where it could not be read.
    pub contents: Result<Contents, String>,
    /// What the array holds that the disk is a member of: read where its data begin,
    /// for members of version 1.2 that have the array's start.
    pub inner: Option<Contents>,
}

/// What an NVMe controller says of itself and of one of its namespaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NvmeFacts {
    /// The namespace's number.
    pub nsid: u32,
    /// What the controller can do.
    pub controller: Controller,
    /// How the namespace is laid out.
    pub namespace: Namespace,
    /// Namespaces of the controller, attached or not.
    pub namespaces: usize,
}

/// `st_rdev` in its two parts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct DeviceNumber {
    /// Driver.
    pub major: u32,
    /// Device.
    pub minor: u32,
}

/// How a disk is attached, in the order in which disks are numbered.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// NVMe on PCI Express.
    Nvme,
    /// SATA.
    Sata,
    /// SAS.
    Sas,
    /// virtio-blk, of a virtual machine: used only where the settings say so.
    VirtioBlk,
    /// virtio-scsi: as virtio-blk.
    VirtioScsi,
    /// USB: never used.
    Usb,
    /// NVMe over a network: never used.
    NvmeFabrics,
    /// iSCSI: never used.
    Iscsi,
    /// Fibre Channel: never used.
    FibreChannel,
    /// Anything else, never used.
    Other,
}

impl Transport {
    /// As people write it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Nvme => "NVMe",
            Self::Sata => "SATA",
            Self::Sas => "SAS",
            Self::VirtioBlk => "virtio-blk",
            Self::VirtioScsi => "virtio-scsi",
            Self::Usb => "USB",
            Self::NvmeFabrics => "NVMe over a network",
            Self::Iscsi => "iSCSI",
            Self::FibreChannel => "Fibre Channel",
            Self::Other => "an unknown bus",
        }
    }

    /// Whether disks attached like this may be used at all.
    pub fn is_usable(&self) -> bool {
        self.group().is_some()
    }

    /// Whether it is a virtual machine's: what is behind it may be anybody's.
    pub fn is_virtual(&self) -> bool {
        matches!(self, Self::VirtioBlk | Self::VirtioScsi)
    }

    /// The group in which a disk is numbered; `None` for disks that are never used.
    pub(super) fn group(&self) -> Option<u8> {
        match self {
            Self::Nvme => Some(0),
            Self::Sata | Self::Sas => Some(1),
            Self::VirtioBlk | Self::VirtioScsi => Some(2),
            _ => None,
        }
    }
}

/// Where a disk is plugged in; ordered by that.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// From the root complex to the controller: domain and bus of the root, then
    /// device and function of each bridge. Bus numbers behind bridges are left out:
    /// they move when another card is plugged in.
    pub pci: Vec<u32>,
    /// Namespace, port, bay or SCSI target, whichever the transport has.
    pub unit: Vec<u64>,
    /// For people: `0000:01:00.0 ns 1`.
    pub text: String,
}

/// An array that runs, or that was begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunningArray {
    /// `md127`.
    pub name: String,
    /// Whole disks that are members, or that have a partition which is.
    pub disks: BTreeSet<String>,
    /// Whether a member is a partition.
    pub has_partitions: bool,
    /// Whether it is usable: `array_state` is neither `clear` nor `inactive`.
    pub is_active: bool,
    /// Why it cannot be stopped: `mounted on /x`, `held by dm-0`; empty if it can.
    pub busy: Option<String>,
}

impl Disk {
    /// `/dev/nvme0n1` less the folder, with what tells the disk itself apart.
    pub fn label(&self) -> String {
        match self.serial.as_str() {
            "" => self.name.clone(),
            serial => format!("{} serial {}", self.name, serial.escape_default()),
        }
    }

    /// Why nothing may be written to it or assembled from it right now, md arrays
    /// apart.
    pub(super) fn busy(&self) -> Option<String> {
        if let Some(target) = self.mounted.first() {
            return Some(format!("is mounted on {target}"));
        }
        if self.is_swap {
            return Some("is used as swap".to_owned());
        }
        self.holders.first().map(|holder| format!("is held by {holder}"))
    }
}

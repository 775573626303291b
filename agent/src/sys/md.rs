//! md ioctls. Source: `linux/raid/md_u.h`.
#![allow(unsafe_code, reason = "ioctl structs are read and written by the kernel")]

use std::io;
use std::os::fd::AsFd;

use rustix::ioctl::{self, Opcode, opcode};

/// `MD_MAJOR`, which is also the type of md's ioctls.
pub const MD_MAJOR: u8 = 9;

/// `mdu_array_info_t`: an array as a whole. Only the version is given here: with
/// `raid_disks` of 0 the kernel takes everything else from the superblocks.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ArrayInfo {
    /// Version of the superblocks: 1 for 1.x.
    pub major_version: i32,
    /// The x of 1.x.
    pub minor_version: i32,
    /// `patch_version`, unused.
    pub patch_version: i32,
    /// Seconds since 1970.
    pub ctime: u32,
    /// RAID level.
    pub level: i32,
    /// KiB of each member, where that fits.
    pub size: i32,
    /// Members that there are.
    pub nr_disks: i32,
    /// Slots; 0 for "as the superblocks say".
    pub raid_disks: i32,
    /// Number of the device.
    pub md_minor: i32,
    /// 0: the array has superblocks.
    pub not_persistent: i32,
    /// Seconds since 1970.
    pub utime: u32,
    /// Bits: clean, errors, bitmap present.
    pub state: i32,
    /// Members that work and are in use.
    pub active_disks: i32,
    /// Members that work.
    pub working_disks: i32,
    /// Members that failed.
    pub failed_disks: i32,
    /// Members in reserve.
    pub spare_disks: i32,
    /// Layout, by level.
    pub layout: i32,
    /// Chunk in bytes. (The superblock has it in sectors.)
    pub chunk_size: i32,
}
const _: () = assert!(size_of::<ArrayInfo>() == 72);

/// `mdu_disk_info_t`: one member.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DiskInfo {
    /// Index into the table of members; the superblock's counts where there is one.
    pub number: i32,
    /// Device number of the member.
    pub major: i32,
    /// Device number of the member.
    pub minor: i32,
    /// Slot.
    pub raid_disk: i32,
    /// `MD_DISK_*` bits.
    pub state: i32,
}
const _: () = assert!(size_of::<DiskInfo>() == 20);

const SET_ARRAY_INFO: Opcode = opcode::write::<ArrayInfo>(MD_MAJOR, 0x23);
const ADD_NEW_DISK: Opcode = opcode::write::<DiskInfo>(MD_MAJOR, 0x21);
/// The header declares a `mdu_param_t` of 12 bytes, which the kernel never reads.
const RUN_ARRAY: Opcode = opcode::write::<[u32; 3]>(MD_MAJOR, 0x30);
const STOP_ARRAY: Opcode = opcode::none(MD_MAJOR, 0x32);

/// `ioctl(SET_ARRAY_INFO)`: begins an array from superblocks of version 1.`minor`.
///
/// # Errors
/// `EBUSY` when the array has members already.
pub fn set_array_info(array: impl AsFd, minor: i32) -> io::Result<()> {
    let info = ArrayInfo { major_version: 1, minor_version: minor, ..ArrayInfo::default() };
    // SAFETY: SET_ARRAY_INFO reads one `mdu_array_info_t`; `ArrayInfo` has its size
    // (checked above) and `Setter` keeps it alive across the call.
    unsafe { ioctl::ioctl(array, ioctl::Setter::<SET_ARRAY_INFO, ArrayInfo>::new(info))? };
    Ok(())
}

/// `ioctl(ADD_NEW_DISK)`: adds a member to an array that was begun, or a spare or a
/// returned leg to one that runs.
///
/// # Errors
/// `EBUSY` when the member is held by another array or a mount; `EINVAL` when its
/// superblock does not fit the array.
pub fn add_new_disk(array: impl AsFd, disk: DiskInfo) -> io::Result<()> {
    // SAFETY: ADD_NEW_DISK reads one `mdu_disk_info_t`; `DiskInfo` has its size
    // (checked above) and `Setter` keeps it alive across the call.
    unsafe { ioctl::ioctl(array, ioctl::Setter::<ADD_NEW_DISK, DiskInfo>::new(disk))? };
    Ok(())
}

/// `ioctl(RUN_ARRAY)`: starts an array that has its members.
///
/// # Errors
/// `EINVAL` when members are missing that the level cannot do without.
pub fn run_array(array: impl AsFd) -> io::Result<()> {
    // SAFETY: the kernel ignores RUN_ARRAY's argument; `NoArg` passes a null pointer.
    unsafe { ioctl::ioctl(array, ioctl::NoArg::<RUN_ARRAY>::new())? };
    Ok(())
}

/// `ioctl(STOP_ARRAY)`: lets go of all members.
///
/// # Errors
/// `EBUSY` while the array is open elsewhere or mounted.
pub fn stop_array(array: impl AsFd) -> io::Result<()> {
    // SAFETY: STOP_ARRAY takes no argument; `NoArg` passes a null pointer.
    unsafe { ioctl::ioctl(array, ioctl::NoArg::<STOP_ARRAY>::new())? };
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As measured from mdadm with strace on x86-64.
    #[test]
    fn opcodes_are_those_of_the_kernel() {
        assert_eq!(SET_ARRAY_INFO, 0x4048_0923);
        assert_eq!(ADD_NEW_DISK, 0x4014_0921);
        assert_eq!(RUN_ARRAY, 0x400c_0930);
        assert_eq!(STOP_ARRAY, 0x932);
    }

    #[test]
    fn a_file_that_is_no_array_is_an_error_and_nothing_worse() {
        let file = std::fs::File::open("/dev/null").unwrap();
        assert!(set_array_info(&file, 2).is_err());
        assert!(add_new_disk(&file, DiskInfo::default()).is_err());
        assert!(run_array(&file).is_err());
        assert!(stop_array(&file).is_err());
    }
}

//! NVMe admin commands. Source: `linux/nvme_ioctl.h`.
#![allow(unsafe_code, reason = "ioctl structs are read and written by the kernel")]

use std::ffi::c_void;
use std::io;
use std::os::fd::AsFd;

use rustix::ioctl::{self, Ioctl, IoctlOutput, Opcode, opcode};

/// `struct nvme_passthru_cmd`: one command, and what came of it.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
struct AdminCommand {
    opcode: u8,
    flags: u8,
    reserved: u16,
    nsid: u32,
    cdw2: u32,
    cdw3: u32,
    metadata: u64,
    /// Address of the data, in this process.
    data: u64,
    metadata_bytes: u32,
    data_bytes: u32,
    cdw10: u32,
    cdw11: u32,
    cdw12: u32,
    cdw13: u32,
    cdw14: u32,
    cdw15: u32,
    /// 0 for the kernel's own limit.
    timeout_ms: u32,
    result: u32,
}
const _: () = assert!(size_of::<AdminCommand>() == 72);

const NVME_IOCTL_ID: Opcode = opcode::none(b'N', 0x40);
const NVME_IOCTL_ADMIN_CMD: Opcode = opcode::read_write::<AdminCommand>(b'N', 0x41);

/// Admin opcode of Identify. Source: NVM Express Base Specification 2.0.
const IDENTIFY: u8 = 0x06;
/// Admin opcode of Format NVM.
const FORMAT_NVM: u8 = 0x80;

/// Milliseconds that an Identify may take: the kernel's own limit is a minute.
const IDENTIFY_TIMEOUT_MS: u32 = 5000;

/// A command whose data, if any, is one buffer that is borrowed for the call.
struct Admin<'a> {
    command: AdminCommand,
    data: Option<&'a mut [u8; 4096]>,
}

// SAFETY: NVME_IOCTL_ADMIN_CMD reads and writes one `nvme_passthru_cmd`; `AdminCommand`
// has its size (checked above). `as_ptr` points it at the borrowed buffer, whose whole
// length it gives, just before the call.
unsafe impl Ioctl for Admin<'_> {
    /// The command's status, 0 for success.
    type Output = i32;

    const IS_MUTATING: bool = true;

    fn opcode(&self) -> Opcode {
        NVME_IOCTL_ADMIN_CMD
    }

    fn as_ptr(&mut self) -> *mut c_void {
        if let Some(data) = &mut self.data {
            self.command.data = u64::try_from(data.as_mut_ptr().expose_provenance()).unwrap_or(0);
            self.command.data_bytes = u32::try_from(data.len()).unwrap_or(0);
        }
        (&raw mut self.command).cast()
    }

    unsafe fn output_from_ptr(out: IoctlOutput, _: *mut c_void) -> rustix::io::Result<i32> {
        Ok(out)
    }
}

fn run(device: impl AsFd, admin: Admin<'_>) -> io::Result<()> {
    // SAFETY: `Admin` upholds what `Ioctl` asks for, as said there, and lives until the
    // call is over.
    match unsafe { ioctl::ioctl(device, admin)? } {
        0 => Ok(()),
        status => Err(io::Error::other(format!("NVMe status {status:#x}"))),
    }
}

/// `ioctl(NVME_IOCTL_ID)`: the number of the namespace behind a block device.
///
/// # Errors
/// `ENOTTY` on anything else.
pub fn namespace(device: impl AsFd) -> io::Result<u32> {
    struct Id;
    // SAFETY: NVME_IOCTL_ID takes no argument and returns the number.
    unsafe impl Ioctl for Id {
        type Output = u32;
        const IS_MUTATING: bool = false;
        fn opcode(&self) -> Opcode {
            NVME_IOCTL_ID
        }
        fn as_ptr(&mut self) -> *mut c_void {
            std::ptr::null_mut()
        }
        unsafe fn output_from_ptr(out: IoctlOutput, _: *mut c_void) -> rustix::io::Result<u32> {
            Ok(out.cast_unsigned())
        }
    }
    // SAFETY: as said at the trait: nothing is read or written.
    Ok(unsafe { ioctl::ioctl(device, Id)? })
}

/// Identify: what the controller says of itself or of a namespace.
///
/// # Errors
/// `ENOTTY` on what is no NVMe device; the command's status.
pub fn identify(device: impl AsFd, nsid: u32, cns: u32, page: &mut [u8; 4096]) -> io::Result<()> {
    let command = AdminCommand {
        opcode: IDENTIFY,
        nsid,
        cdw10: cns,
        timeout_ms: IDENTIFY_TIMEOUT_MS,
        ..AdminCommand::default()
    };
    run(device, Admin { command, data: Some(page) })
}

/// Format NVM, with what `cdw10` asks for. What the namespace held is gone.
///
/// # Errors
/// The command's status.
pub fn format(device: impl AsFd, nsid: u32, cdw10: u32, timeout_ms: u32) -> io::Result<()> {
    let command =
        AdminCommand { opcode: FORMAT_NVM, nsid, cdw10, timeout_ms, ..AdminCommand::default() };
    run(device, Admin { command, data: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opcodes_are_those_of_the_kernel() {
        assert_eq!(NVME_IOCTL_ID, 0x4e40);
        assert_eq!(NVME_IOCTL_ADMIN_CMD, 0xc048_4e41);
    }

    #[test]
    fn fields_lie_where_the_kernel_has_them() {
        assert_eq!(std::mem::offset_of!(AdminCommand, nsid), 4);
        assert_eq!(std::mem::offset_of!(AdminCommand, data), 24);
        assert_eq!(std::mem::offset_of!(AdminCommand, cdw10), 40);
        assert_eq!(std::mem::offset_of!(AdminCommand, timeout_ms), 64);
    }

    #[test]
    fn a_device_that_is_no_nvme_is_an_error_and_nothing_worse() {
        let file = std::fs::File::open("/dev/null").unwrap();
        let mut page = [7; 4096];
        assert!(identify(&file, 1, 0, &mut page).is_err());
        assert!(format(&file, 1, 0, 1).is_err());
        assert!(namespace(&file).is_err());
        assert!(page == [7; 4096]);
    }
}

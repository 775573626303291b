//! Emptying a medium as a whole: discarding, and NVMe's own erasing.
#![allow(unsafe_code, reason = "ioctl arguments are read by the kernel")]

use std::fs::File;
use std::io;

use rustix::ioctl::{self, Opcode, opcode};

use super::{Linux, nvme};

/// The header gives it no argument; the kernel reads a start and a length.
const BLKDISCARD: Opcode = opcode::none(0x12, 119);

/// What may be asked of a medium. Devices are open, those that are changed alone.
pub trait Media {
    /// `ioctl(BLKDISCARD)`: the bytes of a range are of no use any more. What they read
    /// as afterwards is the device's business.
    ///
    /// # Errors
    /// `EOPNOTSUPP` where the device cannot; `EINVAL` for a range that is not in whole
    /// blocks.
    fn discard(&self, device: &File, offset: u64, length: u64) -> io::Result<()>;

    /// The number of the namespace behind an NVMe block device.
    ///
    /// # Errors
    /// See [`nvme::namespace`].
    fn nvme_namespace(&self, device: &File) -> io::Result<u32>;

    /// NVMe Identify.
    ///
    /// # Errors
    /// See [`nvme::identify`].
    fn nvme_identify(
        &self,
        device: &File,
        nsid: u32,
        cns: u32,
        page: &mut [u8; 4096],
    ) -> io::Result<()>;

    /// NVMe Format NVM.
    ///
    /// # Errors
    /// See [`nvme::format`].
    fn nvme_format(&self, device: &File, nsid: u32, cdw10: u32, timeout_ms: u32) -> io::Result<()>;
}

impl Media for Linux {
    fn discard(&self, device: &File, offset: u64, length: u64) -> io::Result<()> {
        let range = [offset, length];
        // SAFETY: BLKDISCARD reads two u64, start and length in bytes; `Setter` keeps
        // them alive across the call.
        unsafe { ioctl::ioctl(device, ioctl::Setter::<BLKDISCARD, [u64; 2]>::new(range))? };
        Ok(())
    }

    fn nvme_namespace(&self, device: &File) -> io::Result<u32> {
        nvme::namespace(device)
    }

    fn nvme_identify(
        &self,
        device: &File,
        nsid: u32,
        cns: u32,
        page: &mut [u8; 4096],
    ) -> io::Result<()> {
        nvme::identify(device, nsid, cns, page)
    }

    fn nvme_format(&self, device: &File, nsid: u32, cdw10: u32, timeout_ms: u32) -> io::Result<()> {
        nvme::format(device, nsid, cdw10, timeout_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opcodes_are_those_of_the_kernel() {
        assert_eq!(BLKDISCARD, 0x1277);
    }

    #[test]
    fn a_file_that_is_no_device_is_not_discarded() {
        let file = tempfile::tempfile().unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, b"x", 0).unwrap();
        assert!(Linux.discard(&file, 0, 4096).is_err());
        assert_eq!(file.metadata().unwrap().len(), 1);
    }
}

//! How the disks of a node of files are emptied, and what they say that they can do.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use rsinit::sys::media::Media;
use rustix::fs::FallocateFlags;

use super::kernel::{Call, FakeKernel};

/// What all NVMe disks of a node are like.
#[derive(Debug, Clone, Copy, Default)]
pub struct Nvme {
    /// `OACS` of the controller.
    pub oacs: u8,
    /// `FNA` of the controller.
    pub fna: u8,
    /// `DLFEAT` of the namespaces.
    pub dlfeat: u8,
    /// Namespaces of each controller.
    pub namespaces: u8,
    /// Milliseconds that one discard takes on the node's clock.
    pub discard_ms: u64,
    /// Discards are taken for a hint, and not followed.
    pub is_deaf: bool,
    /// The drive fails every discard.
    pub fails: bool,
}

impl Media for FakeKernel {
    fn discard(&self, device: &File, offset: u64, length: u64) -> io::Result<()> {
        let nvme = self.nvme;
        self.tick(nvme.discard_ms);
        self.change(Call::Discard { device: self.name_of(device), offset, length }, |_| {
            if nvme.fails {
                return Err(io::Error::from_raw_os_error(121));
            }
            if nvme.is_deaf {
                return Ok(());
            }
            let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            Ok(rustix::fs::fallocate(device, flags, offset, length)?)
        })
    }

    fn nvme_namespace(&self, _: &File) -> io::Result<u32> {
        Ok(1)
    }

    fn nvme_identify(&self, _: &File, _: u32, cns: u32, page: &mut [u8; 4096]) -> io::Result<()> {
        match cns {
            0 => page[33] = self.nvme.dlfeat,
            1 => (page[256], page[524]) = (self.nvme.oacs, self.nvme.fna),
            2 => {
                for number in 1..=self.nvme.namespaces {
                    page[usize::from(number - 1) * 4] = number;
                }
            }
            _ => return Err(io::Error::other("NVMe status 0x2")),
        }
        Ok(())
    }

    fn nvme_format(&self, device: &File, _: u32, cdw10: u32, _: u32) -> io::Result<()> {
        self.change(Call::Format { device: self.name_of(device), cdw10 }, |_| {
            // The old bytes, read with a new key.
            device.write_all_at(&[0x5a; 4096], 0)?;
            let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            let rest = device.metadata()?.len() - 4096;
            Ok(rustix::fs::fallocate(device, flags, 4096, rest)?)
        })
    }
}

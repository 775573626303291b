//! The part of the recorder that a node without disks never asks: every call is an
//! error, so a boot that touches a disk fails.

use std::fs::File;
use std::io;
use std::path::Path;
use std::time::Duration;

use rsinit::sys::block::{Disks, Events};
use rsinit::sys::md::DiskInfo;
use rsinit::sys::media::Media;

use super::kernel::Recorder;

/// ENODEV.
fn no_disk<T>() -> io::Result<T> {
    Err(io::Error::from_raw_os_error(19))
}

impl Disks for Recorder {
    fn open_readable(&self, _: &Path) -> io::Result<File> {
        no_disk()
    }

    fn open_exclusive(&self, _: &Path) -> io::Result<File> {
        no_disk()
    }

    fn device_number(&self, _: &File) -> io::Result<(u32, u32)> {
        no_disk()
    }

    fn size_bytes(&self, _: &File) -> io::Result<u64> {
        no_disk()
    }

    fn read_at(&self, _: &File, _: u64, _: &mut [u8]) -> io::Result<()> {
        no_disk()
    }

    fn write_at(&self, _: &File, _: u64, _: &[u8]) -> io::Result<()> {
        no_disk()
    }

    fn flush(&self, _: &File) -> io::Result<()> {
        no_disk()
    }

    fn reread_partitions(&self, _: &File) -> io::Result<()> {
        no_disk()
    }

    fn lock(&self, _: &File) -> io::Result<bool> {
        no_disk()
    }

    fn new_array(&self, _: &Path, _: &str) -> io::Result<()> {
        no_disk()
    }

    fn make_array_node(&self, _: &Path, _: u32) -> io::Result<()> {
        no_disk()
    }

    fn open_array(&self, _: &Path) -> io::Result<File> {
        no_disk()
    }

    fn set_array_info(&self, _: &File, _: i32) -> io::Result<()> {
        no_disk()
    }

    fn add_new_disk(&self, _: &File, _: DiskInfo) -> io::Result<()> {
        no_disk()
    }

    fn run_array(&self, _: &File) -> io::Result<()> {
        no_disk()
    }

    fn stop_array(&self, _: &File) -> io::Result<()> {
        no_disk()
    }

    fn swap_on(&self, _: &Path) -> io::Result<()> {
        no_disk()
    }

    fn random(&self, _: &Path, _: &mut [u8]) -> io::Result<()> {
        no_disk()
    }

    fn now_s(&self) -> u64 {
        0
    }

    fn load_module(&self, _: &Path, _: &str) -> io::Result<()> {
        no_disk()
    }

    fn watch_devices(&self) -> io::Result<Events> {
        Ok(Events::silent())
    }

    fn wait_event(&self, _: &Events, _: Duration) -> io::Result<bool> {
        Ok(false)
    }
}

impl Media for Recorder {
    fn discard(&self, _: &File, _: u64, _: u64) -> io::Result<()> {
        no_disk()
    }

    fn nvme_namespace(&self, _: &File) -> io::Result<u32> {
        no_disk()
    }

    fn nvme_identify(&self, _: &File, _: u32, _: u32, _: &mut [u8; 4096]) -> io::Result<()> {
        no_disk()
    }

    fn nvme_format(&self, _: &File, _: u32, _: u32, _: u32) -> io::Result<()> {
        no_disk()
    }
}

//! Block devices: size, exclusive open, and the arrays made of them.
#![allow(unsafe_code, reason = "ioctl arguments are read and written by the kernel")]

use std::fs::{File, OpenOptions};
use std::io;
use std::num::NonZeroU64;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, SystemTime};

use rustix::fs::{Advice, AtFlags, FileType, FlockOperation, Mode, OFlags, StatxFlags};
use rustix::ioctl::{self, Opcode, opcode};

use super::md::{self, DiskInfo};
use super::{Linux, module, swap, uevent};

const BLKGETSIZE64: Opcode = opcode::read::<usize>(0x12, 114);
const BLKRRPART: Opcode = opcode::none(0x12, 95);

/// Events of block devices and of what they hang on, as the kernel sends them.
#[derive(Debug)]
pub struct Events(pub(super) Option<std::os::fd::OwnedFd>);

impl Events {
    /// A source that never says anything.
    pub fn silent() -> Self {
        Self(None)
    }
}

/// What the disk stages ask of the kernel. Devices are opened once by path and used
/// by descriptor from there on.
pub trait Disks {
    /// Opens a device for reading, beside whoever else has it.
    ///
    /// # Errors
    /// The errno of the call.
    fn open_readable(&self, node: &Path) -> io::Result<File>;

    /// Opens a device for reading and writing, alone (`O_EXCL`).
    ///
    /// # Errors
    /// `EBUSY` while it is mounted, swapped to, or part of anything.
    fn open_exclusive(&self, node: &Path) -> io::Result<File>;

    /// The device number in its two parts.
    ///
    /// # Errors
    /// `ENOTBLK` when the descriptor is no block device.
    fn device_number(&self, device: &File) -> io::Result<(u32, u32)>;

    /// Size in bytes (`ioctl(BLKGETSIZE64)`).
    ///
    /// # Errors
    /// The errno of the call.
    fn size_bytes(&self, device: &File) -> io::Result<u64>;

    /// Reads all of `buffer` from `offset` on.
    ///
    /// # Errors
    /// `UnexpectedEof` past the end; the errno of the call.
    fn read_at(&self, device: &File, offset: u64, buffer: &mut [u8]) -> io::Result<()>;

    /// Begins to read `count` bytes that will be asked for soon. A hint alone: it says
    /// nothing of errors, and a kernel that cannot follow it reads later.
    fn expect_read(&self, _device: &File, _offset: u64, _count: u64) {}

    /// Writes all of `bytes` at `offset`.
    ///
    /// # Errors
    /// The errno of the call.
    fn write_at(&self, device: &File, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// As [`write_at`](Self::write_at), past the kernel's own memory where the device takes
    /// that: for much that nobody reads again soon. Works with any bytes, and is fast with those
    /// that begin and end, in memory and on the device, at a multiple of 4096.
    ///
    /// # Errors
    /// The errno of the call.
    fn write_much(&self, device: &File, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.write_at(device, offset, bytes)
    }

    /// Waits until everything written is on the medium.
    ///
    /// # Errors
    /// `EIO` when it is not.
    fn flush(&self, device: &File) -> io::Result<()>;

    /// Makes the kernel forget partitions that are no longer there
    /// (`ioctl(BLKRRPART)`).
    ///
    /// # Errors
    /// `EBUSY` while one is in use; `EINVAL` on a device that has none.
    fn reread_partitions(&self, device: &File) -> io::Result<()>;

    /// Takes udev's lock on a device: until it is closed, udev's rules do not look
    /// at it, and so nothing assembles an array that is being written. False when
    /// somebody else has it.
    ///
    /// # Errors
    /// The errno of the call.
    fn lock(&self, device: &File) -> io::Result<bool>;

    /// Makes an array device by name through `new_array` of md's parameters below
    /// `parameters`.
    ///
    /// # Errors
    /// `ENOENT` when md is not loaded or older than 4.9.
    fn new_array(&self, parameters: &Path, name: &str) -> io::Result<()>;

    /// Makes a device node for an array; md then makes the device when it is opened.
    ///
    /// # Errors
    /// `EEXIST` when there is one.
    fn make_array_node(&self, node: &Path, minor: u32) -> io::Result<()>;

    /// Opens an array's device, which may not be running.
    ///
    /// # Errors
    /// The errno of the call.
    fn open_array(&self, node: &Path) -> io::Result<File>;

    /// `ioctl(SET_ARRAY_INFO)`: begins an array from superblocks of version 1.`minor`.
    ///
    /// # Errors
    /// See [`md::set_array_info`].
    fn set_array_info(&self, array: &File, minor: i32) -> io::Result<()>;

    /// `ioctl(ADD_NEW_DISK)`.
    ///
    /// # Errors
    /// See [`md::add_new_disk`].
    fn add_new_disk(&self, array: &File, disk: DiskInfo) -> io::Result<()>;

    /// `ioctl(RUN_ARRAY)`.
    ///
    /// # Errors
    /// See [`md::run_array`].
    fn run_array(&self, array: &File) -> io::Result<()>;

    /// `ioctl(STOP_ARRAY)`.
    ///
    /// # Errors
    /// See [`md::stop_array`].
    fn stop_array(&self, array: &File) -> io::Result<()>;

    /// `swapon(2)`.
    ///
    /// # Errors
    /// See [`swap::swap_on`].
    fn swap_on(&self, node: &Path) -> io::Result<()>;

    /// Fills `bytes` with random ones from `node`, `/dev/urandom`.
    ///
    /// # Errors
    /// The errno of the call.
    fn random(&self, node: &Path, bytes: &mut [u8]) -> io::Result<()>;

    /// Seconds since 1970.
    fn now_s(&self) -> u64;

    /// Loads a kernel module and what it needs from `modules`, `/lib/modules`.
    ///
    /// # Errors
    /// `ENOENT` when there is none of that name; the errno of the call.
    fn load_module(&self, modules: &Path, name: &str) -> io::Result<()>;

    /// Begins to listen for devices that come and go.
    ///
    /// # Errors
    /// The errno of the call.
    fn watch_devices(&self) -> io::Result<Events>;

    /// Waits for the next event; false when `timeout` has passed without one.
    ///
    /// # Errors
    /// The errno of the call.
    fn wait_event(&self, events: &Events, timeout: Duration) -> io::Result<bool>;
}

/// When a device's node was made, which is when the kernel found the device.
///
/// # Errors
/// `EOPNOTSUPP` before Linux 5.19, whose devtmpfs does not know it.
pub fn made_at(node: &Path) -> io::Result<SystemTime> {
    let status = rustix::fs::statx(rustix::fs::CWD, node, AtFlags::empty(), StatxFlags::BTIME)?;
    let has_time = status.stx_mask & StatxFlags::BTIME.bits() != 0;
    let seconds = u64::try_from(status.stx_btime.tv_sec).ok().filter(|_| has_time);
    let since = seconds.map(|seconds| Duration::new(seconds, status.stx_btime.tv_nsec));
    let time = since.and_then(|since| SystemTime::UNIX_EPOCH.checked_add(since));
    time.ok_or_else(|| rustix::io::Errno::OPNOTSUPP.into())
}

impl Disks for Linux {
    fn open_readable(&self, node: &Path) -> io::Result<File> {
        File::open(node)
    }

    fn open_exclusive(&self, node: &Path) -> io::Result<File> {
        let flags = OFlags::EXCL.bits().cast_signed();
        OpenOptions::new().read(true).write(true).custom_flags(flags).open(node)
    }

    fn device_number(&self, device: &File) -> io::Result<(u32, u32)> {
        let metadata = device.metadata()?;
        if !FileType::from_raw_mode(metadata.mode()).is_block_device() {
            return Err(rustix::io::Errno::NOTBLK.into());
        }
        Ok((rustix::fs::major(metadata.rdev()), rustix::fs::minor(metadata.rdev())))
    }

    fn size_bytes(&self, device: &File) -> io::Result<u64> {
        // SAFETY: BLKGETSIZE64 writes one u64 whatever its declared type; `Getter`
        // provides room for a u64.
        let size = unsafe { ioctl::ioctl(device, ioctl::Getter::<BLKGETSIZE64, u64>::new())? };
        Ok(size)
    }

    fn read_at(&self, device: &File, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        device.read_exact_at(buffer, offset)
    }

    fn expect_read(&self, device: &File, offset: u64, count: u64) {
        let _ = rustix::fs::fadvise(device, offset, NonZeroU64::new(count), Advice::WillNeed);
    }

    fn write_at(&self, device: &File, offset: u64, bytes: &[u8]) -> io::Result<()> {
        device.write_all_at(bytes, offset)
    }

    fn write_much(&self, device: &File, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let flags = rustix::fs::fcntl_getfl(device)?;
        // Not every file system's files take it.
        if rustix::fs::fcntl_setfl(device, flags | OFlags::DIRECT).is_ok() {
            let written = device.write_all_at(bytes, offset);
            rustix::fs::fcntl_setfl(device, flags)?;
            if written.as_ref().map_err(io::Error::kind) != Err(io::ErrorKind::InvalidInput) {
                return written;
            }
        }
        self.write_at(device, offset, bytes)
    }

    fn flush(&self, device: &File) -> io::Result<()> {
        device.sync_all()
    }

    fn reread_partitions(&self, device: &File) -> io::Result<()> {
        // SAFETY: BLKRRPART takes no argument; `NoArg` passes a null pointer.
        unsafe { ioctl::ioctl(device, ioctl::NoArg::<BLKRRPART>::new())? };
        Ok(())
    }

    fn lock(&self, device: &File) -> io::Result<bool> {
        match rustix::fs::flock(device.as_fd(), FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(true),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn new_array(&self, parameters: &Path, name: &str) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).open(parameters.join("new_array"))?;
        io::Write::write_all(&mut file, name.as_bytes())
    }

    fn make_array_node(&self, node: &Path, minor: u32) -> io::Result<()> {
        let device = rustix::fs::makedev(u32::from(md::MD_MAJOR), minor);
        let mode = Mode::RUSR | Mode::WUSR;
        rustix::fs::mknodat(rustix::fs::CWD, node, FileType::BlockDevice, mode, device)?;
        Ok(())
    }

    fn open_array(&self, node: &Path) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).open(node)
    }

    fn set_array_info(&self, array: &File, minor: i32) -> io::Result<()> {
        md::set_array_info(array, minor)
    }

    fn add_new_disk(&self, array: &File, disk: DiskInfo) -> io::Result<()> {
        md::add_new_disk(array, disk)
    }

    fn run_array(&self, array: &File) -> io::Result<()> {
        md::run_array(array)
    }

    fn stop_array(&self, array: &File) -> io::Result<()> {
        md::stop_array(array)
    }

    fn swap_on(&self, node: &Path) -> io::Result<()> {
        swap::swap_on(node)
    }

    fn random(&self, node: &Path, bytes: &mut [u8]) -> io::Result<()> {
        io::Read::read_exact(&mut File::open(node)?, bytes)
    }

    fn now_s(&self) -> u64 {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        since.map_or(0, |since| since.as_secs())
    }

    fn load_module(&self, modules: &Path, name: &str) -> io::Result<()> {
        module::load(modules, name)
    }

    fn watch_devices(&self) -> io::Result<Events> {
        Ok(Events(Some(uevent::open()?)))
    }

    fn wait_event(&self, events: &Events, timeout: Duration) -> io::Result<bool> {
        match &events.0 {
            Some(socket) => uevent::wait(socket, timeout),
            None => {
                std::thread::sleep(timeout);
                Ok(false)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opcodes_are_those_of_the_kernel() {
        assert_eq!(BLKRRPART, 0x125f);
        if cfg!(target_pointer_width = "64") {
            assert_eq!(BLKGETSIZE64, 0x8008_1272);
        }
    }

    #[test]
    fn a_plain_file_is_no_disk() {
        let file = File::open("/dev/null").unwrap();
        assert!(Linux.device_number(&file).is_err());
        assert!(Linux.size_bytes(&file).is_err());
        assert!(Linux.reread_partitions(&file).is_err());
    }

    #[test]
    fn much_is_written_whole_from_any_address_to_any_place() {
        // On a disk and in memory: the files of older kernels' tmpfs cannot be written directly.
        for folder in [std::env::temp_dir(), "/dev/shm".into()] {
            let file = tempfile::tempfile_in(&folder).unwrap();
            let bytes: Vec<u8> = (0..20_000_u32).map(|n| n.to_le_bytes()[0] ^ 7).collect();
            let aligned = bytes.as_ptr().align_offset(4096);
            let pieces =
                [(4096, &bytes[aligned..][..8192]), (20_480, &bytes[aligned + 1..][..4096])];
            for (offset, piece) in pieces.into_iter().chain([(30_001, &bytes[..1000])]) {
                Linux.write_much(&file, offset, piece).unwrap();
                let mut found = vec![0; piece.len()];
                file.read_exact_at(&mut found, offset).unwrap();
                assert!(
                    found == piece,
                    "{} bytes at {offset} in {}",
                    piece.len(),
                    folder.display()
                );
            }
            let flags = rustix::fs::fcntl_getfl(&file).unwrap();
            assert!(!flags.contains(OFlags::DIRECT), "what comes next goes as before");
        }
    }
}

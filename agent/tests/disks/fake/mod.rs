//! A node of files: `/sys` and `/proc` as text, disks and arrays as sparse files, and
//! a kernel that does on them what md would do and writes down what it was asked.

mod array;
mod kernel;
mod media;
mod power;

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, symlink};
use std::path::PathBuf;

use rsinit::layout::Layout;
use rsinit::plan::disks::Brake;
use rsinit::stage::disks::{self, Prepared, Sources};

pub use kernel::{Binds, Call, FakeKernel};
pub use media::Nvme;
pub use power::{Event, LOSSES, replay};

pub const MIB: u64 = 1 << 20;

/// A node below a temporary folder.
pub struct Node {
    _temp: tempfile::TempDir,
    pub layout: Layout,
    pub sources: Sources,
    pub names: Vec<String>,
}

impl Node {
    /// `count` blank NVMe disks of `bytes` in slots from 1, named in reverse.
    pub fn new(count: u32, bytes: u64) -> Self {
        // In memory where there is such a place: hundreds of boots are flushed here.
        let temp = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let layout = Layout::under(temp.path());
        for folder in [&layout.dev, &layout.run, &layout.sysroot, &layout.proc.join("self")] {
            std::fs::create_dir_all(folder).unwrap();
        }
        std::fs::create_dir_all(layout.sys.join("block")).unwrap();
        std::fs::write(layout.proc.join("self/mountinfo"), "").unwrap();
        let mut node = Self { _temp: temp, layout, sources: Sources::default(), names: Vec::new() };
        for slot in 1..=count {
            node.add_disk(slot, &format!("nvme{}n1", count - slot), bytes);
        }
        node
    }

    fn add_disk(&mut self, slot: u32, name: &str, bytes: u64) {
        let disk = File::create(self.layout.dev.join(name)).unwrap();
        disk.set_len(bytes).unwrap();
        let controller = name.trim_end_matches("n1");
        let pci = format!("devices/pci0000:00/0000:00:{slot:02x}.0/nvme/{controller}/{name}");
        let folder = self.layout.sys.join(&pci);
        std::fs::create_dir_all(folder.join("queue")).unwrap();
        let put = |path: PathBuf, text: String| std::fs::write(path, text).unwrap();
        put(folder.join("size"), format!("{}\n", bytes / 512));
        put(folder.join("dev"), format!("259:{slot}\n"));
        put(folder.join("nsid"), "1\n".into());
        put(folder.join("wwid"), format!("nvme.S{slot}\n"));
        put(folder.join("queue/logical_block_size"), "512\n".into());
        put(folder.parent().unwrap().join("transport"), "pcie\n".into());
        put(folder.parent().unwrap().join("serial"), format!("S{slot}\n"));
        symlink("..", folder.join("device")).unwrap();
        symlink(folder, self.layout.sys.join("block").join(name)).unwrap();
        self.names.push(name.to_owned());
    }

    pub fn set(&mut self, conf: &str, profile: &str) {
        self.sources.conf = Some(format!("MKDISK_PROFILE=p\n{conf}\n").into_bytes());
        self.sources.profiles = BTreeMap::from([("p".into(), profile.into())]);
    }

    /// All disks take discards of `bytes` at a time.
    pub fn can_discard(&self, bytes: u64) {
        for name in &self.names {
            let queue = self.layout.sys.join("block").join(name).join("queue");
            std::fs::write(queue.join("discard_max_bytes"), format!("{bytes}\n")).unwrap();
        }
    }

    /// The device file of the disk in a slot.
    pub fn disk(&self, slot: usize) -> PathBuf {
        self.layout.dev.join(&self.names[slot - 1])
    }

    pub fn write(&self, slot: usize, offset: u64, bytes: &[u8]) {
        let file = OpenOptions::new().write(true).open(self.disk(slot)).unwrap();
        file.write_all_at(bytes, offset).unwrap();
    }

    /// A digest of the disk in a slot: no byte of it may change unseen.
    pub fn digest(&self, slot: usize) -> u64 {
        const PIECE: usize = 64 << 10;
        let file = File::open(self.disk(slot)).unwrap();
        let (mut digest, mut piece, mut next) = (0, vec![0; PIECE], 0);
        // What is a hole reads as zeros; zeros that were written count as one.
        while let Ok(data) = rustix::fs::seek(&file, rustix::fs::SeekFrom::Data(next)) {
            let at = data / PIECE as u64 * PIECE as u64;
            let count = file.read_at(&mut piece, at).unwrap();
            if piece[..count].iter().any(|byte| *byte != 0) {
                digest = crc32c::crc32c_append(digest, &at.to_le_bytes());
                digest = crc32c::crc32c_append(digest, &piece[..count]);
            }
            next = at + PIECE as u64;
        }
        u64::from(digest)
    }

    /// The digests of all disks.
    pub fn digests(&self) -> Vec<u64> {
        (1..=self.names.len()).map(|slot| self.digest(slot)).collect()
    }

    pub fn boot(&self, kernel: &FakeKernel) -> Prepared {
        self.boot_with(kernel, Brake::Auto)
    }

    pub fn boot_with(&self, kernel: &FakeKernel, brake: Brake) -> Prepared {
        let mut silent = |_: &str| {};
        let mut prepared = disks::prepare(kernel, &self.layout, &self.sources, brake, &mut silent);
        disks::mount(kernel, &self.layout, &mut prepared, &mut silent);
        disks::move_dirs(kernel, &self.layout, &mut prepared, &mut silent);
        prepared
    }

    pub fn kernel(&self) -> FakeKernel {
        FakeKernel::new(&self.layout)
    }
}

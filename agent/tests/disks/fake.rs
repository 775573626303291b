//! A node of files: `/sys` and `/proc` as text, disks and arrays as sparse files, and
//! a kernel that does on them what md would do and writes down what it was asked.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use rsinit::format::md;
use rsinit::layout::Layout;
use rsinit::plan::disks::Brake;
use rsinit::stage::disks::{self, Prepared, Sources};
use rsinit::sys::Kernel;
use rsinit::sys::block::{Disks, Events};
use rsinit::sys::md::DiskInfo;
use rsinit::sys::mount::{Mount, Mounts};
use rustix::mount::UnmountFlags;

pub const MIB: u64 = 1 << 20;

/// A call that changes something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    Write { device: String, offset: u64, bytes: u64 },
    Flush(String),
    NewArray(String),
    Begin { array: String, minor: i32 },
    Add { array: String, device: String },
    Run(String),
    Stop(String),
    Mount { source: String, target: String },
}

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
        u64::from(crc32c::crc32c(&std::fs::read(self.disk(slot)).unwrap()))
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

#[derive(Debug, Clone)]
struct Member {
    name: String,
    superblock: md::Superblock,
}

pub struct FakeKernel {
    layout: Layout,
    state: Mutex<RefCell<State>>,
}

#[derive(Default)]
struct State {
    calls: Vec<Call>,
    /// Members of arrays by name, before and after they run.
    arrays: BTreeMap<String, Vec<Member>>,
    running: BTreeSet<String>,
    random: u8,
    /// Calls left until the power goes.
    fuse: Option<usize>,
}

impl FakeKernel {
    fn new(layout: &Layout) -> Self {
        Self { layout: layout.clone(), state: Mutex::default() }
    }

    /// Every call after the first `count` that change something fails.
    pub fn with_fuse(self, count: usize) -> Self {
        self.state.lock().unwrap().borrow_mut().fuse = Some(count);
        self
    }

    pub fn calls(&self) -> Vec<Call> {
        self.state.lock().unwrap().borrow().calls.clone()
    }

    /// Devices that were written to.
    pub fn written(&self) -> BTreeSet<String> {
        let device = |call| match call {
            Call::Write { device, .. } => Some(device),
            _ => None,
        };
        self.calls().into_iter().filter_map(device).collect()
    }

    pub fn mounts(&self) -> Vec<(String, String)> {
        let mount = |call| match call {
            Call::Mount { source, target } => Some((source, target)),
            _ => None,
        };
        self.calls().into_iter().filter_map(mount).collect()
    }

    /// What md does all the time: what was written to an array reaches its members.
    pub fn power_off(&self) {
        let guard = self.state.lock().unwrap();
        let state = guard.borrow();
        for name in &state.running {
            let node = self.layout.dev.join(name);
            let array = std::fs::read(&node).unwrap();
            for member in &state.arrays[name] {
                write_member(&self.layout.dev.join(&member.name), &member.superblock, &array);
            }
            drop(std::fs::remove_file(node));
        }
    }

    fn change<T>(
        &self,
        call: Call,
        run: impl FnOnce(&mut State) -> io::Result<T>,
    ) -> io::Result<T> {
        let guard = self.state.lock().unwrap();
        let mut state = guard.borrow_mut();
        if let Some(fuse) = &mut state.fuse {
            *fuse = fuse.checked_sub(1).ok_or_else(|| io::Error::from_raw_os_error(5))?;
        }
        state.calls.push(call);
        run(&mut state)
    }

    fn name_of(&self, device: &File) -> String {
        let inode = device.metadata().unwrap().ino();
        let entries = std::fs::read_dir(&self.layout.dev).unwrap().flatten();
        let is_same = |entry: &std::fs::DirEntry| entry.metadata().is_ok_and(|m| m.ino() == inode);
        let name = |entry: std::fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
        entries.into_iter().find(is_same).map(name).unwrap_or_default()
    }
}

/// The part of an array's bytes that a member has.
fn write_member(path: &Path, superblock: &md::Superblock, array: &[u8]) {
    let disk = OpenOptions::new().write(true).open(path).unwrap();
    let start = superblock.data_offset_sectors * 512;
    if superblock.level == 1 {
        disk.write_all_at(array, start).unwrap();
        return;
    }
    let chunk = usize::try_from(superblock.chunk_sectors).unwrap() * 512;
    let (slot, of) = (superblock.slot().unwrap() as usize, superblock.raid_disks as usize);
    for (row, piece) in array.chunks(chunk).skip(slot).step_by(of).enumerate() {
        disk.write_all_at(piece, start + (row * chunk) as u64).unwrap();
    }
}

/// The bytes of an array from its members.
fn read_array(layout: &Layout, members: &[Member]) -> Vec<u8> {
    let first = &members[0].superblock;
    let read = |member: &Member| {
        let bytes = std::fs::read(layout.dev.join(&member.name)).unwrap();
        let start = (first.data_offset_sectors * 512) as usize;
        bytes[start..start + (first.size_sectors * 512) as usize].to_vec()
    };
    if first.level == 1 {
        return read(members.iter().max_by_key(|member| member.superblock.events).unwrap());
    }
    let mut sorted: Vec<&Member> = members.iter().collect();
    sorted.sort_by_key(|member| member.superblock.slot());
    let parts: Vec<Vec<u8>> = sorted.into_iter().map(read).collect();
    let chunk = first.chunk_sectors as usize * 512;
    let rows = parts[0].len() / chunk;
    let pieces = (0..rows).flat_map(|row| parts.iter().map(move |part| (row, part)));
    let pieces: Vec<&[u8]> =
        pieces.map(|(row, part)| &part[row * chunk..(row + 1) * chunk]).collect();
    pieces.concat()
}

impl Kernel for FakeKernel {}

impl Mounts for FakeKernel {
    fn mount(&self, mount: &Mount) -> io::Result<()> {
        let below = |path: &Path| match path.strip_prefix(&self.layout.sysroot) {
            Ok(rest) => format!("/{}", rest.display()),
            Err(_) => path.file_name().unwrap().to_string_lossy().into_owned(),
        };
        let (source, target) = (below(Path::new(&mount.source)), below(&mount.target));
        self.change(Call::Mount { source, target }, |_| Ok(()))
    }

    fn make_private(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn unmount(&self, _: &Path, _: UnmountFlags) -> io::Result<()> {
        Ok(())
    }
}

impl Disks for FakeKernel {
    fn open_readable(&self, node: &Path) -> io::Result<File> {
        File::open(node)
    }

    fn open_exclusive(&self, node: &Path) -> io::Result<File> {
        let name = node.file_name().unwrap().to_string_lossy().into_owned();
        let guard = self.state.lock().unwrap();
        let state = guard.borrow();
        if state.arrays.values().flatten().any(|member| member.name == name) {
            return Err(io::Error::from_raw_os_error(16));
        }
        OpenOptions::new().read(true).write(true).open(node)
    }

    fn device_number(&self, device: &File) -> io::Result<(u32, u32)> {
        let dev = self.layout.sys.join("block").join(self.name_of(device)).join("dev");
        let text = std::fs::read_to_string(dev)?;
        let (major, minor) = text.trim().split_once(':').unwrap();
        Ok((major.parse().unwrap(), minor.parse().unwrap()))
    }

    fn size_bytes(&self, device: &File) -> io::Result<u64> {
        Ok(device.metadata()?.len())
    }

    fn read_at(&self, device: &File, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        device.read_exact_at(buffer, offset)
    }

    fn write_at(&self, device: &File, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let name = self.name_of(device);
        let call = Call::Write { device: name, offset, bytes: bytes.len() as u64 };
        self.change(call, |_| device.write_all_at(bytes, offset))
    }

    fn flush(&self, device: &File) -> io::Result<()> {
        self.change(Call::Flush(self.name_of(device)), |_| Ok(()))
    }

    fn reread_partitions(&self, _device: &File) -> io::Result<()> {
        Ok(())
    }

    fn lock(&self, _device: &File) -> io::Result<bool> {
        Ok(true)
    }

    fn new_array(&self, _parameters: &Path, name: &str) -> io::Result<()> {
        self.change(Call::NewArray(name.to_owned()), |_| {
            File::create(self.layout.dev.join(name)).map(drop)
        })
    }

    fn make_array_node(&self, _node: &Path, _minor: u32) -> io::Result<()> {
        Err(io::Error::from_raw_os_error(1))
    }

    fn open_array(&self, node: &Path) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).open(node)
    }

    fn set_array_info(&self, array: &File, minor: i32) -> io::Result<()> {
        let array = self.name_of(array);
        self.change(Call::Begin { array: array.clone(), minor }, |state| {
            state.arrays.insert(array, Vec::new());
            Ok(())
        })
    }

    fn add_new_disk(&self, array: &File, disk: DiskInfo) -> io::Result<()> {
        let array = self.name_of(array);
        let names = std::fs::read_dir(self.layout.sys.join("block"))?.flatten();
        let mut names = names.map(|entry| entry.file_name().to_string_lossy().into_owned());
        let number = format!("{}:{}", disk.major, disk.minor);
        let dev = |name: &String| self.layout.sys.join("block").join(name).join("dev");
        let name = names
            .find(|name| std::fs::read_to_string(dev(name)).is_ok_and(|t| t.trim() == number))
            .ok_or_else(|| io::Error::from_raw_os_error(6))?;
        let bytes = std::fs::read(self.layout.dev.join(&name))?;
        let superblock = md::decode(&bytes[4096..8192]).map_err(io::Error::other)?;
        self.change(Call::Add { array: array.clone(), device: name.clone() }, |state| {
            state.arrays.get_mut(&array).unwrap().push(Member { name, superblock });
            Ok(())
        })
    }

    fn run_array(&self, array: &File) -> io::Result<()> {
        let name = self.name_of(array);
        self.change(Call::Run(name.clone()), |state| {
            let members = &state.arrays[&name];
            let first = &members[0].superblock;
            if first.level == 0 && members.len() < first.raid_disks as usize {
                return Err(io::Error::from_raw_os_error(22));
            }
            let bytes = read_array(&self.layout, members);
            array.write_all_at(&bytes, 0)?;
            state.running.insert(name);
            Ok(())
        })
    }

    fn stop_array(&self, array: &File) -> io::Result<()> {
        let name = self.name_of(array);
        self.change(Call::Stop(name.clone()), |state| {
            state.arrays.remove(&name);
            state.running.remove(&name);
            Ok(())
        })
    }

    fn random(&self, _node: &Path, bytes: &mut [u8]) -> io::Result<()> {
        let guard = self.state.lock().unwrap();
        let mut state = guard.borrow_mut();
        state.random = state.random.wrapping_add(1);
        bytes.fill(state.random);
        Ok(())
    }

    fn now_s(&self) -> u64 {
        1_790_000_000
    }

    fn load_module(&self, _modules: &Path, _name: &str) -> io::Result<()> {
        Ok(())
    }

    fn watch_devices(&self) -> io::Result<Events> {
        Ok(Events::silent())
    }

    fn wait_event(&self, _events: &Events, _timeout: Duration) -> io::Result<bool> {
        Ok(false)
    }
}

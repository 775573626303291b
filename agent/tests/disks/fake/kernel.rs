//! The kernel of a node of files. What it is asked is written down; what it does to
//! disks and arrays is done to their files.

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
use rsinit::sys::block::{Disks, Events};
use rsinit::sys::md::DiskInfo;
use rsinit::sys::mount::{Mount, Mounts};
use rsinit::sys::{Kernel, Linux};
use rustix::mount::{MountFlags, UnmountFlags};

use super::array::{Member, fill, split};
use super::media::Nvme;
use super::power::Event;

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
    SwapOn(String),
    Discard { device: String, offset: u64, length: u64 },
    Format { device: String, cdw10: u32 },
}

/// What becomes of a bind mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binds {
    Pretended,
    Made,
    Refused,
}

pub struct FakeKernel {
    layout: Layout,
    binds: Binds,
    pub(super) nvme: Nvme,
    /// A disk that takes no write.
    broken: Option<String>,
    state: Mutex<RefCell<State>>,
}

#[derive(Default)]
pub(super) struct State {
    calls: Vec<Call>,
    events: Vec<Event>,
    /// Members of arrays by name, before and after they run.
    arrays: BTreeMap<String, Vec<Member>>,
    running: BTreeSet<String>,
    /// Arrays that were written to since they run.
    used: BTreeSet<String>,
    random: u8,
    clock: Duration,
    /// Calls left until nothing is done any more.
    fuse: Option<usize>,
}

impl FakeKernel {
    pub fn new(layout: &Layout) -> Self {
        Self {
            layout: layout.clone(),
            binds: Binds::Pretended,
            nvme: Nvme::default(),
            broken: None,
            state: Mutex::default(),
        }
    }

    /// Every call after the first `count` that change something fails.
    pub fn with_fuse(self, count: usize) -> Self {
        self.state.lock().unwrap().borrow_mut().fuse = Some(count);
        self
    }

    pub fn with_nvme(self, nvme: Nvme) -> Self {
        Self { nvme, ..self }
    }

    /// Writes to this disk fail.
    pub fn with_broken(self, disk: &str) -> Self {
        Self { broken: Some(disk.to_owned()), ..self }
    }

    /// Lets time pass.
    pub(super) fn tick(&self, ms: u64) {
        self.state.lock().unwrap().borrow_mut().clock += Duration::from_millis(ms);
    }

    pub fn clock(&self) -> Duration {
        self.state.lock().unwrap().borrow().clock
    }

    pub fn with_binds(self, binds: Binds) -> Self {
        Self { binds, ..self }
    }

    /// The agent was killed, the kernel goes on.
    pub fn mend(&self) {
        let guard = self.state.lock().unwrap();
        let mut state = guard.borrow_mut();
        state.fuse = None;
        state.calls.clear();
    }

    pub fn calls(&self) -> Vec<Call> {
        self.state.lock().unwrap().borrow().calls.clone()
    }

    pub fn events(&self) -> Vec<Event> {
        self.state.lock().unwrap().borrow().events.clone()
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

    /// Arrays and mounts are gone; the disks keep what they have.
    pub fn power_off(&self) {
        let guard = self.state.lock().unwrap();
        let mut state = guard.borrow_mut();
        let names: Vec<String> = state.arrays.keys().cloned().collect();
        for name in names {
            self.remove(&mut state, &name);
        }
        for entry in std::fs::read_dir(&self.layout.dev).unwrap().flatten() {
            if entry.file_name().to_string_lossy().starts_with("md") {
                std::fs::remove_file(entry.path()).unwrap();
            }
        }
        std::fs::write(self.mountinfo(), "").unwrap();
        let _ = std::fs::remove_file(self.layout.proc.join("swaps"));
    }

    fn mountinfo(&self) -> PathBuf {
        self.layout.proc.join("self/mountinfo")
    }

    fn array_folder(&self, name: &str) -> PathBuf {
        self.layout.sys.join("devices/virtual/block").join(name)
    }

    fn disk_folder(&self, name: &str) -> PathBuf {
        std::fs::canonicalize(self.layout.sys.join("block").join(name)).unwrap()
    }

    fn remove(&self, state: &mut State, name: &str) {
        for member in state.arrays.remove(name).unwrap_or_default() {
            let holder = self.disk_folder(&member.name).join("holders").join(name);
            std::fs::remove_file(holder).unwrap();
        }
        state.running.remove(name);
        state.used.remove(name);
        let _ = std::fs::remove_file(self.layout.sys.join("block").join(name));
        let _ = std::fs::remove_dir_all(self.array_folder(name));
    }

    /// A mirror that ran leaves one change more on its members.
    fn count_stop(&self, members: &[Member]) -> io::Result<()> {
        for member in members.iter().filter(|member| member.superblock.level == 1) {
            let path = self.layout.dev.join(&member.name);
            let disk = OpenOptions::new().read(true).write(true).open(path)?;
            let mut bytes = [0; 4096];
            disk.read_exact_at(&mut bytes, 4096)?;
            let mut superblock = md::decode(&bytes).map_err(io::Error::other)?;
            superblock.events += 1;
            disk.write_all_at(&md::encode(&superblock).map_err(io::Error::other)?, 4096)?;
        }
        Ok(())
    }

    pub(super) fn change<T>(
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

    pub(super) fn name_of(&self, device: &File) -> String {
        let inode = device.metadata().unwrap().ino();
        let entries = std::fs::read_dir(&self.layout.dev).unwrap().flatten();
        let is_same = |entry: &std::fs::DirEntry| entry.metadata().is_ok_and(|m| m.ino() == inode);
        let name = |entry: std::fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
        entries.into_iter().find(is_same).map(name).unwrap_or_default()
    }

    fn write_disk(&self, state: &mut State, disk: &str, offset: u64, bytes: &[u8]) {
        let file = OpenOptions::new().write(true).open(self.layout.dev.join(disk)).unwrap();
        file.write_all_at(bytes, offset).unwrap();
        let (disk, bytes) = (disk.to_owned(), bytes.to_vec());
        state.events.push(Event::Write { disk, offset, bytes });
    }

    /// md counts on the members that a mirror is in use, before the first write to it.
    fn count_event(&self, state: &mut State, name: &str) {
        let mut members = state.arrays[name].clone();
        if members[0].superblock.level != 1 || !state.used.insert(name.to_owned()) {
            return;
        }
        for member in &mut members {
            member.superblock.events += 1;
            let bytes = md::encode(&member.superblock).unwrap();
            self.write_disk(state, &member.name, 4096, &bytes);
        }
        for member in &members {
            state.events.push(Event::Flush { disk: member.name.clone() });
        }
        state.arrays.insert(name.to_owned(), members);
    }
}

impl Kernel for FakeKernel {}

impl Mounts for FakeKernel {
    fn mount(&self, mount: &Mount) -> io::Result<()> {
        let below = |path: &Path| match path.strip_prefix(&self.layout.sysroot) {
            Ok(rest) => format!("/{}", rest.display()),
            Err(_) => path.file_name().unwrap().to_string_lossy().into_owned(),
        };
        let source = Path::new(&mount.source);
        let source = match mount.flags.contains(MountFlags::BIND) {
            true => below(source),
            false => source.file_name().unwrap().to_string_lossy().into_owned(),
        };
        let target = below(&mount.target);
        let dev = self.layout.sys.join("block").join(&source).join("dev");
        self.change(Call::Mount { source, target }, |_| {
            if mount.flags.contains(MountFlags::BIND) {
                return match self.binds {
                    Binds::Pretended => Ok(()),
                    Binds::Made => Linux.mount(mount),
                    Binds::Refused => Err(io::Error::from_raw_os_error(22)),
                };
            }
            let dev = std::fs::read_to_string(dev)?;
            let line = format!("1 1 {} / {} rw - x x rw\n", dev.trim(), mount.target.display());
            let mut file = OpenOptions::new().append(true).open(self.mountinfo())?;
            io::Write::write_all(&mut file, line.as_bytes())
        })
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
        let call = Call::Write { device: name.clone(), offset, bytes: bytes.len() as u64 };
        if self.broken.as_ref() == Some(&name) {
            return Err(io::Error::from_raw_os_error(5));
        }
        self.change(call, |state| {
            if !state.running.contains(&name) {
                self.write_disk(state, &name, offset, bytes);
                return Ok(());
            }
            self.count_event(state, &name);
            device.write_all_at(bytes, offset)?;
            let members = state.arrays[&name].clone();
            for (disk, at, begin, count) in split(&members, offset, bytes.len()) {
                self.write_disk(state, &disk, at, &bytes[begin..begin + count]);
            }
            Ok(())
        })
    }

    fn flush(&self, device: &File) -> io::Result<()> {
        let name = self.name_of(device);
        self.change(Call::Flush(name.clone()), |state| {
            let members = state.arrays.get(&name).cloned();
            let disks = members.map(|members| members.into_iter().map(|m| m.name).collect());
            for disk in disks.unwrap_or_else(|| vec![name]) {
                state.events.push(Event::Flush { disk });
            }
            Ok(())
        })
    }

    fn reread_partitions(&self, _device: &File) -> io::Result<()> {
        Ok(())
    }

    fn lock(&self, _device: &File) -> io::Result<bool> {
        Ok(true)
    }

    fn new_array(&self, _parameters: &Path, name: &str) -> io::Result<()> {
        self.change(Call::NewArray(name.to_owned()), |state| {
            state.arrays.insert(name.to_owned(), Vec::new());
            let folder = self.array_folder(name);
            std::fs::create_dir_all(folder.join("md"))?;
            std::fs::create_dir_all(folder.join("slaves"))?;
            std::fs::write(folder.join("md/array_state"), "clear\n")?;
            std::fs::write(folder.join("dev"), format!("9:{}\n", name.trim_start_matches("md")))?;
            symlink(&folder, self.layout.sys.join("block").join(name))?;
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
        self.change(Call::Begin { array: array.clone(), minor }, |_| {
            std::fs::write(self.array_folder(&array).join("md/array_state"), "inactive\n")
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
        let mut bytes = vec![0; 4096];
        File::open(self.layout.dev.join(&name))?.read_exact_at(&mut bytes, 4096)?;
        let superblock = md::decode(&bytes).map_err(io::Error::other)?;
        self.change(Call::Add { array: array.clone(), device: name.clone() }, |state| {
            let folder = self.disk_folder(&name);
            symlink(&folder, self.array_folder(&array).join("slaves").join(&name))?;
            std::fs::create_dir_all(folder.join("holders"))?;
            symlink(self.array_folder(&array), folder.join("holders").join(&array))?;
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
            fill(&self.layout, members, array);
            std::fs::write(self.array_folder(&name).join("md/array_state"), "clean\n")?;
            state.running.insert(name);
            Ok(())
        })
    }

    fn stop_array(&self, array: &File) -> io::Result<()> {
        let name = self.name_of(array);
        self.change(Call::Stop(name.clone()), |state| {
            if state.running.contains(&name) {
                self.count_stop(&state.arrays[&name])?;
            }
            self.remove(state, &name);
            std::fs::remove_file(self.layout.dev.join(&name))
        })
    }

    fn swap_on(&self, node: &Path) -> io::Result<()> {
        let name = node.file_name().unwrap().to_string_lossy().into_owned();
        self.change(Call::SwapOn(name), |_| {
            let swaps = self.layout.proc.join("swaps");
            let mut file = OpenOptions::new().append(true).create(true).open(swaps)?;
            let size = file.metadata()?.len();
            let head = if size == 0 { "Filename Type Size Used Priority\n" } else { "" };
            let line = format!("{head}{} partition 1 0 -2\n", node.display());
            io::Write::write_all(&mut file, line.as_bytes())
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

//! A kernel that does nothing and remembers what it was asked.

use std::fs::{self, File};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use rsinit::sys::Kernel;
use rsinit::sys::holders::Sought;
use rsinit::sys::mount::{Mount, Mounts};
use rsinit::sys::power::Power;
use rsinit::sys::process::{Exit, Heard, Processes, RootCommand};
use rsinit::sys::route::{Interface, Routes};
use rustix::mount::UnmountFlags;

/// One thing that the kernel was asked to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// mount(2): file system, source and target.
    Mount(String, String, String),
    /// umount2(2), and whether the target was only detached.
    Unmount(String, bool),
    /// A program in the new root, with its arguments.
    Run(String, Vec<String>),
    /// Everything in the new root was ended.
    EndAll,
    /// reboot(2).
    Reboot,
    /// Power off.
    PowerOff,
}

/// The recorder, and what it answers.
pub struct Recorder {
    pub calls: Mutex<Vec<Call>>,
    /// Options of each mount, in the order of the calls.
    pub options: Mutex<Vec<String>>,
    /// Environment of the last program.
    pub environment: Mutex<Vec<(String, String)>>,
    /// How the hook ends, or the errno with which it does not start.
    pub hook: Result<Exit, i32>,
    /// What the hook writes to its output.
    pub says: &'static str,
    /// What the hook does to the folder below which everything lies.
    pub meanwhile: fn(&Path),
    /// Targets whose unmounting fails, with the errno.
    pub holds: Vec<(&'static str, i32)>,
    /// What lies in the secrets' export.
    pub secrets: &'static str,
    /// File systems that cannot be mounted, with the errno.
    pub refuses: Vec<(&'static str, i32)>,
    /// Root below which targets are shown, to keep the calls readable.
    pub base: std::path::PathBuf,
}

impl Recorder {
    pub fn new(base: &Path) -> Self {
        Self {
            calls: Mutex::new(Vec::new()),
            options: Mutex::default(),
            environment: Mutex::default(),
            hook: Ok(Exit::Status(0)),
            says: "",
            meanwhile: |_| (),
            holds: Vec::new(),
            secrets: "key: s3cretS3cret\n",
            refuses: Vec::new(),
            base: base.to_owned(),
        }
    }

    pub fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap().clone()
    }

    fn record(&self, call: Call) {
        self.calls.lock().unwrap().push(call);
    }

    /// `/proc/self/mountinfo`.
    fn change_table(&self, change: impl FnOnce(&mut String)) {
        let path = self.base.join("proc/self/mountinfo");
        let mut table = fs::read_to_string(&path).unwrap_or_default();
        change(&mut table);
        fs::create_dir_all(self.base.join("proc/self")).unwrap();
        fs::write(path, table).unwrap();
    }

    fn shown(&self, path: &Path) -> String {
        let inside = path.strip_prefix(&self.base).map(|path| Path::new("/").join(path));
        inside.unwrap_or_else(|_| path.to_owned()).display().to_string()
    }
}

impl Kernel for Recorder {}

impl Mounts for Recorder {
    fn mount(&self, mount: &Mount) -> io::Result<()> {
        if let Some((_, errno)) = self.refuses.iter().find(|(fstype, _)| *fstype == mount.fstype) {
            return Err(io::Error::from_raw_os_error(*errno));
        }
        let source = self.shown(Path::new(&mount.source));
        self.options.lock().unwrap().push(mount.data.clone());
        self.record(Call::Mount(mount.fstype.clone(), source, self.shown(&mount.target)));
        let id = self.calls().len();
        let at = mount.target.display();
        self.change_table(|table| {
            table.push_str(&format!("{id} 1 0:{id} / {at} rw - {} x rw\n", mount.fstype));
        });
        if mount.fstype.starts_with("nfs") {
            fs::write(mount.target.join("secrets.yml"), self.secrets)?;
        }
        Ok(())
    }

    fn make_private(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn unmount(&self, target: &Path, flags: UnmountFlags) -> io::Result<()> {
        let shown = self.shown(target);
        self.record(Call::Unmount(shown.clone(), flags.contains(UnmountFlags::DETACH)));
        if let Some((_, errno)) = self.holds.iter().find(|(held, _)| *held == shown) {
            return Err(io::Error::from_raw_os_error(*errno));
        }
        let at = format!(" {} rw - ", target.display());
        self.change_table(|table| {
            let left = table.lines().filter(|line| !line.contains(&at));
            *table = left.map(|line| format!("{line}\n")).collect();
        });
        // What lay in the export goes with it.
        let _ = fs::remove_file(target.join("secrets.yml"));
        Ok(())
    }
}

impl Processes for Recorder {
    fn run_in_root(
        &self,
        command: &RootCommand,
        hear: &mut dyn FnMut(Heard<'_>),
    ) -> io::Result<Exit> {
        *self.environment.lock().unwrap() = command.env.clone();
        self.record(Call::Run(command.program.clone(), command.args.clone()));
        hear(Heard::Output(self.says.as_bytes()));
        (self.meanwhile)(&self.base);
        self.hook.map_err(io::Error::from_raw_os_error)
    }

    fn end_all(&self, _: &Path, sought: &Sought) -> io::Result<Vec<String>> {
        // Only what the caller would end by its device: the rest is too much to compare.
        if !sought.mounted_elsewhere.is_empty() {
            return Ok(Vec::new());
        }
        self.record(Call::EndAll);
        Ok(Vec::new())
    }
}

impl Routes for Recorder {
    fn source_address(&self, to: SocketAddr) -> io::Result<IpAddr> {
        match to.ip().is_loopback() {
            true => Ok(to.ip()),
            // ENETUNREACH
            false => Err(io::Error::from_raw_os_error(101)),
        }
    }

    fn interfaces(&self) -> io::Result<Vec<Interface>> {
        Ok(vec![Interface {
            name: "eth0".to_owned(),
            mac: Some("52:54:00:00:00:01".to_owned()),
            is_up: true,
            carrier: true,
            addresses: vec![IpAddr::from([127, 0, 0, 1])],
        }])
    }

    fn watch_routes(&self) -> io::Result<OwnedFd> {
        Ok(File::open("/dev/null")?.into())
    }

    fn wait_for_change(&self, _: &OwnedFd, limit: Duration) -> io::Result<()> {
        std::thread::sleep(limit.min(Duration::from_millis(20)));
        Ok(())
    }
}

impl Power for Recorder {
    fn reboot(&self) -> io::Result<()> {
        self.record(Call::Reboot);
        Ok(())
    }

    fn power_off(&self) -> io::Result<()> {
        self.record(Call::PowerOff);
        Ok(())
    }

    fn since_boot(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn release(&self) -> String {
        "4.18.0".to_owned()
    }
}

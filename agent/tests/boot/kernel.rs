//! A kernel that does nothing and remembers what it was asked.

use std::fs::File;
use std::io::{self, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use rsinit::sys::Kernel;
use rsinit::sys::mount::{Mount, Mounts};
use rsinit::sys::power::Power;
use rsinit::sys::process::{Exit, Processes, RootCommand};
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
        Ok(())
    }

    fn make_private(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn unmount(&self, target: &Path, flags: UnmountFlags) -> io::Result<()> {
        self.record(Call::Unmount(self.shown(target), flags.contains(UnmountFlags::DETACH)));
        Ok(())
    }
}

impl Processes for Recorder {
    fn run_in_root(&self, command: &RootCommand, mut log: File) -> io::Result<Exit> {
        *self.environment.lock().unwrap() = command.env.clone();
        self.record(Call::Run(command.program.clone(), command.args.clone()));
        log.write_all(self.says.as_bytes())?;
        self.hook.map_err(io::Error::from_raw_os_error)
    }

    fn end_all_in_root(&self, _: &Path, _: &Path) -> io::Result<usize> {
        self.record(Call::EndAll);
        Ok(0)
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

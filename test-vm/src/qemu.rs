//! One virtual machine: what it is made of, how it is started, how it ends.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::console::Console;
use crate::disk::Disk;
use crate::kernel::Kernel;
use crate::tool::{command, start};
use crate::workshop::Workshop;

/// How long a kernel may take to show a sign of life under KVM.
const PROBE: Duration = Duration::from_secs(8);

/// Kernel arguments that halve what an emulated start costs, and change nothing that is tested.
/// Memory is not cleared twice; and a program's code lies at the same addresses each time, as QEMU
/// translates anew for every new address: four of five translations of a boot are that.
pub const CHEAP: &str = "init_on_alloc=0 norandmaps";

/// What runs the guest's code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Accelerator {
    /// The processor itself.
    Kvm,
    /// Emulation.
    Tcg,
}

impl Accelerator {
    /// Finds out whether KVM starts this kernel: `/dev/kvm` may be there and still hang. The
    /// answer holds until the machine is restarted.
    ///
    /// # Errors
    /// QEMU cannot be started.
    pub fn probe(workshop: &Workshop, kernel: &Kernel) -> Result<Self> {
        if !Path::new("/dev/kvm").exists() {
            return Ok(Self::Tcg);
        }
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let memory = workshop.cache().join("accelerator.json");
        let known = fs::read_to_string(&memory).ok();
        let known: Option<(String, Self)> = known.and_then(|text| serde_json::from_str(&text).ok());
        if let Some((_, accelerator)) = known.filter(|(of, _)| *of == boot) {
            return Ok(accelerator);
        }
        let log = workshop.cache().join("accelerator.log");
        let answer = if starts_under_kvm(kernel, &log)? { Self::Kvm } else { Self::Tcg };
        fs::write(&memory, serde_json::to_string(&(boot, answer))?)
            .context("keeping the answer")?;
        Ok(answer)
    }

    /// QEMU's arguments for it.
    pub fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Kvm => &["-accel", "kvm", "-cpu", "host"],
            // Emulated, the fast string instructions are the slow ones: byte by byte.
            Self::Tcg => &["-accel", "tcg,thread=multi", "-cpu", "max,-erms,-fsrm"],
        }
    }

    /// In the words of a report.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Kvm => "under KVM",
            Self::Tcg => "emulated: compare the two sides, not the times",
        }
    }
}

fn starts_under_kvm(kernel: &Kernel, log: &Path) -> Result<bool> {
    let mut qemu = command("qemu-system-x86_64");
    qemu.args(Accelerator::Kvm.arguments());
    qemu.args(["-nodefaults", "-m", "256", "-display", "none", "-no-reboot", "-serial", "stdio"]);
    qemu.arg("-kernel").arg(kernel.image());
    qemu.args(["-append", "console=ttyS0 panic=-1"]);
    let mut machine = Running::start(&mut qemu, log, false)?;
    let ending = machine.wait(PROBE, |text| text.contains("Linux version").then(String::new))?;
    Ok(matches!(ending, Ending::Stopped(_)))
}

/// The network card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nic {
    /// `virtio-net-pci`.
    Virtio,
    /// Intel's e1000.
    E1000,
}

/// How a kernel comes into a machine.
#[derive(Debug, Clone)]
pub enum Start<'a> {
    /// QEMU lays it into memory.
    Direct {
        /// The kernel's image.
        kernel: PathBuf,
        /// The initramfs.
        initramfs: &'a Path,
        /// The kernel's command line.
        cmdline: String,
    },
    /// Over the network, by this firmware.
    Network(Firmware),
}

/// A machine's own program, and with it the one of its network card.
#[derive(Debug, Clone)]
pub enum Firmware {
    /// SeaBIOS; the card's option ROM does PXE.
    Bios,
    /// OVMF, which does PXE itself.
    Uefi {
        /// Its variables, which outlive a boot: a copy of `OVMF_VARS`.
        variables: PathBuf,
    },
}

/// OVMF, and what a new machine's variables are.
const OVMF_CODE: &str = "/usr/share/OVMF/OVMF_CODE_4M.fd";
const OVMF_VARIABLES: &str = "/usr/share/OVMF/OVMF_VARS_4M.fd";

impl Firmware {
    /// UEFI with fresh variables, kept in `folder`.
    ///
    /// # Errors
    /// The package ovmf is not installed, or they cannot be written.
    pub fn uefi(folder: &Path) -> Result<Self> {
        let variables = folder.join("efi-variables.fd");
        fs::copy(OVMF_VARIABLES, &variables)
            .with_context(|| format!("copying {OVMF_VARIABLES} (package ovmf)"))?;
        Ok(Self::Uefi { variables })
    }

    fn arguments(&self, qemu: &mut Command) {
        // Without a screen, all that it says goes to the serial port.
        qemu.args(["-machine", "pc,graphics=off"]);
        if let Self::Uefi { variables } = self {
            let flash = |unit: u32, more: &str, file: &str| {
                format!("if=pflash,unit={unit},format=raw,{more}file={file}")
            };
            qemu.args(["-drive", &flash(0, "readonly=on,", OVMF_CODE)]);
            qemu.args(["-drive", &flash(1, "", &variables.display().to_string())]);
        }
    }
}

/// Everything that a machine is made of.
#[derive(Debug)]
pub struct Machine<'a> {
    /// What runs it.
    pub accelerator: Accelerator,
    /// How its kernel comes into it.
    pub start: Start<'a>,
    /// Memory in MiB.
    pub memory_mib: u32,
    /// Processors.
    pub cpus: u32,
    /// The tap that it is plugged into.
    pub tap: String,
    /// Its MAC.
    pub mac: String,
    /// Its card.
    pub nic: Nic,
    /// Its NVMe disks, in the order of their PCI addresses.
    pub disks: &'a [Disk],
    /// What its firmware has as the chassis's asset tag.
    pub asset_tag: Option<&'a str>,
    /// The file behind the second serial port.
    pub witness: &'a Path,
    /// The socket of its monitor; none where nobody tells it anything.
    pub monitor: Option<&'a Path>,
}

/// What QEMU calls the card's end of the wire.
pub const WIRE: &str = "wire";

impl Machine<'_> {
    /// Switches it on.
    ///
    /// # Errors
    /// QEMU cannot be started.
    pub fn start(&self, log: &Path, live: bool) -> Result<Running> {
        let mut qemu = command("qemu-system-x86_64");
        qemu.args(self.accelerator.arguments());
        qemu.args(["-nodefaults", "-display", "none", "-no-reboot"]);
        qemu.args(["-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console"]);
        qemu.arg("-serial").arg(format!("file:{}", self.witness.display()));
        qemu.args(["-m", &self.memory_mib.to_string(), "-smp", &self.cpus.to_string()]);
        match &self.start {
            Start::Direct { kernel, initramfs, cmdline } => {
                qemu.arg("-kernel").arg(kernel).arg("-initrd").arg(initramfs);
                qemu.args(["-append", cmdline]);
            }
            Start::Network(firmware) => firmware.arguments(&mut qemu),
        }
        let card = match self.nic {
            Nic::Virtio => "virtio-net-pci",
            Nic::E1000 => "e1000",
        };
        let tap = format!("tap,id={WIRE},ifname={},script=no,downscript=no", self.tap);
        qemu.args(["-netdev", &tap]);
        // Where it is not the card that boots, its ROM is left out.
        let rom = match self.start {
            Start::Network(Firmware::Bios) => "",
            _ => ",romfile=",
        };
        qemu.args(["-device", &format!("{card},netdev={WIRE},mac={}{rom}", self.mac)]);
        if let Some(socket) = self.monitor {
            qemu.args(["-qmp", &format!("unix:{},server=on,wait=off", socket.display())]);
        }
        if let Some(tag) = self.asset_tag {
            qemu.args(["-smbios", &format!("type=3,asset={tag}")]);
        }
        for (index, disk) in self.disks.iter().enumerate() {
            qemu.args(disk.arguments(index)?);
        }
        Running::start(&mut qemu, log, live)
    }
}

/// How a machine came to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// It switched itself off, or QEMU went away with this status.
    Off(Option<i32>),
    /// The kernel gave up; the line in which it said so.
    Panic(String),
    /// The caller's condition was met; what it said.
    Stopped(String),
    /// Nothing of this within the time limit.
    TimedOut,
}

/// A machine that is switched on; dropped, it is switched off hard.
#[derive(Debug)]
pub struct Running {
    child: Child,
    /// What it says.
    pub console: Console,
    input: Option<ChildStdin>,
}

impl Running {
    /// Starts a QEMU whose console is its standard output; `log` keeps what it says.
    ///
    /// # Errors
    /// QEMU cannot be started.
    pub fn start(qemu: &mut Command, log: &Path, live: bool) -> Result<Self> {
        let errors = fs::File::create(log.with_extension("qemu")).context("making QEMU's log")?;
        qemu.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(errors);
        let mut child = start(qemu)?;
        let source = child.stdout.take().context("reading the console")?;
        let input = child.stdin.take();
        let console = Console::follow(source, log, live);
        let mut running = Self { child, console: Console::default(), input };
        running.console = console?;
        Ok(running)
    }

    /// The keyboard of its console.
    pub fn keyboard(&mut self) -> Option<ChildStdin> {
        self.input.take()
    }

    /// Waits for its end, a kernel panic, or `stop` to return something for the text that is new.
    ///
    /// # Errors
    /// QEMU cannot be asked.
    pub fn wait(
        &mut self,
        limit: Duration,
        stop: impl Fn(&str) -> Option<String>,
    ) -> Result<Ending> {
        self.wait_asking(limit, |text| if text.is_empty() { None } else { stop(text) })
    }

    /// As [`wait`](Self::wait), and asks `stop` also where nothing new was said.
    ///
    /// # Errors
    /// QEMU cannot be asked.
    pub fn wait_asking(
        &mut self,
        limit: Duration,
        stop: impl Fn(&str) -> Option<String>,
    ) -> Result<Ending> {
        let end = Instant::now() + limit;
        let mut seen = 0;
        loop {
            let (now, closed) = self.console.wait(seen, Duration::from_millis(250));
            // A marker may lie across the border of what has been seen.
            let from = if now > seen { seen.saturating_sub(256) } else { now };
            let fresh = self.console.text_from(from);
            seen = now;
            if let Some(line) = fresh.lines().find(|line| line.contains("Kernel panic")) {
                return Ok(Ending::Panic(line.to_owned()));
            }
            if let Some(reason) = stop(&fresh) {
                return Ok(Ending::Stopped(reason));
            }
            let status = self.child.try_wait().context("asking after QEMU")?;
            if let Some(status) = status.filter(|_| closed) {
                return Ok(Ending::Off(status.code()));
            }
            if Instant::now() > end {
                return Ok(Ending::TimedOut);
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may be off already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

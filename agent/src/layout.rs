//! Where things are: the only place in which paths of the running system begin.
//!
//! Every stage takes a [`Layout`], so a test can put the whole boot under a
//! temporary folder.

use std::path::PathBuf;

/// The folders that the boot reads and writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// The new root, where dracut expects it: `/sysroot`.
    pub sysroot: PathBuf,
    /// Device nodes: `/dev`.
    pub dev: PathBuf,
    /// procfs: `/proc`.
    pub proc: PathBuf,
    /// sysfs: `/sys`.
    pub sys: PathBuf,
    /// The initramfs's own settings: `/etc`.
    pub etc: PathBuf,
    /// Scratch space of the initramfs: `/tmp`.
    pub tmp: PathBuf,
    /// State that outlives the boot: `/run`, carried over by dracut.
    pub run: PathBuf,
    /// Kernel modules of the initramfs: `/lib/modules`.
    pub modules: PathBuf,
}

impl Layout {
    /// The paths of a node that boots with dracut (`NEWROOT` is `/sysroot`).
    pub fn node() -> Self {
        Self::under("/")
    }

    /// The paths of a node that is up: its root is the running one.
    pub fn running() -> Self {
        Self { sysroot: PathBuf::from("/"), ..Self::node() }
    }

    /// The same folders below `base`.
    pub fn under(base: impl Into<PathBuf>) -> Self {
        let base = base.into();
        Self {
            sysroot: base.join("sysroot"),
            dev: base.join("dev"),
            proc: base.join("proc"),
            sys: base.join("sys"),
            etc: base.join("etc"),
            tmp: base.join("tmp"),
            run: base.join("run"),
            modules: base.join("lib/modules"),
        }
    }

    /// `/proc/cmdline`.
    pub fn cmdline(&self) -> PathBuf {
        self.proc.join("cmdline")
    }

    /// `/etc/rsinit/server.crt` of the initramfs: who an `https://` server must be.
    pub fn certificate(&self) -> PathBuf {
        self.etc.join("rsinit/server.crt")
    }

    /// `/etc/resolv.conf` of the initramfs.
    pub fn resolv_conf(&self) -> PathBuf {
        self.etc.join("resolv.conf")
    }

    /// `/run/systemd/netif/state`: what systemd-networkd has learnt.
    pub fn netif_state(&self) -> PathBuf {
        self.run.join("systemd/netif/state")
    }

    /// `/run/rsinit/server.crt`: a copy of it for the node that is up.
    pub fn kept_certificate(&self) -> PathBuf {
        self.state().join("server.crt")
    }

    /// `/etc/warewulf/warewulf.conf` of the root: the server's settings, as its overlays bring them.
    pub fn warewulf_conf(&self) -> PathBuf {
        self.sysroot.join("etc/warewulf/warewulf.conf")
    }

    /// `/proc/sys/kernel/printk_devkmsg`: whether the kernel drops records that come too fast.
    pub fn printk_devkmsg(&self) -> PathBuf {
        self.proc.join("sys/kernel/printk_devkmsg")
    }

    /// `/proc/meminfo`.
    pub fn meminfo(&self) -> PathBuf {
        self.proc.join("meminfo")
    }

    /// `/proc/vmstat`.
    pub fn vmstat(&self) -> PathBuf {
        self.proc.join("vmstat")
    }

    /// `/sys/class/dmi/id`: what the firmware says of the machine.
    pub fn dmi(&self) -> PathBuf {
        self.sys.join("class/dmi/id")
    }

    /// `/sys/firmware/efi/efivars`: the firmware's variables; absent without EFI.
    pub fn efivars(&self) -> PathBuf {
        self.sys.join("firmware/efi/efivars")
    }

    /// `/dev/console`.
    pub fn console(&self) -> PathBuf {
        self.dev.join("console")
    }

    /// `/dev/kmsg`.
    pub fn kmsg(&self) -> PathBuf {
        self.dev.join("kmsg")
    }

    /// `/run/rsinit`: the report and what else the agent leaves for the node.
    pub fn state(&self) -> PathBuf {
        self.run.join("rsinit")
    }

    /// `/run/systemd/system`: units that last until the node is switched off.
    pub fn units(&self) -> PathBuf {
        self.run.join("systemd/system")
    }

    /// `/run/rsinit/report.json`.
    pub fn report(&self) -> PathBuf {
        self.state().join("report.json")
    }

    /// `/run/rsinit/client.json`: what `rsinit client` says of itself.
    pub fn client(&self) -> PathBuf {
        self.state().join("client.json")
    }
}

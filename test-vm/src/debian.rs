//! The releases of Debian and Ubuntu that nodes run: each with its own kernel, dracut, systemd and mdadm.

mod archive;

use std::path::PathBuf;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::kernel::{self, Kernel};
use crate::workshop::{Workshop, cached, key};

/// What every release's node is made of. mdadm and e2fsprogs are witnesses: they read what the
/// agent wrote.
const PACKAGES: [&str; 13] = [
    "dbus",
    "dracut-core",
    "dracut-network",
    "e2fsprogs",
    "iproute2",
    "kmod",
    "mdadm",
    "munge",
    "openssh-server",
    "procps",
    "systemd",
    "systemd-sysv",
    "udev",
];

/// Never unpacked: nothing reads them on a node.
const UNWANTED: [&str; 5] = [
    "/usr/share/doc/*",
    "/usr/share/info/*",
    "/usr/share/locale/*",
    "/usr/share/man/*",
    "/usr/share/lintian/*",
];

/// The password of root on a test node: for `make demo`, in a network that leads nowhere.
pub const ROOT_PASSWORD: &str = "rsinit";

/// A release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Release {
    /// Debian 11: Linux 5.10, dracut 051, systemd 247.
    Bullseye,
    /// Debian 11 with NetworkManager, run by dracut 051 without systemd in the initramfs, as Rocky
    /// Linux 8 can: there, and here by a link, it has its nm-initrd-generator where dracut looks.
    BullseyeManaged,
    /// Debian 12: Linux 6.1, dracut 059, systemd 252. What the tests run on, and nearly all nodes.
    Bookworm,
    /// Debian 12 with NetworkManager: wherever it is installed, dracut prefers it in the initramfs,
    /// and since 059 takes it with systemd alone.
    BookwormManaged,
    /// Debian 13: Linux 6.12, dracut 106, systemd 257.
    Trixie,
    /// Debian 13 with NetworkManager.
    TrixieManaged,
    /// Ubuntu 22.04: Linux 5.15, dracut 051, systemd 249.
    Jammy,
    /// Ubuntu 24.04: Linux 6.8, dracut 060, systemd 255.
    Noble,
}

impl Release {
    /// Its name in the archive.
    pub fn suite(self) -> &'static str {
        match self {
            Self::Bullseye | Self::BullseyeManaged => "bullseye",
            Self::Bookworm | Self::BookwormManaged => "bookworm",
            Self::Trixie | Self::TrixieManaged => "trixie",
            Self::Jammy => "jammy",
            Self::Noble => "noble",
        }
    }

    /// The same in the names of what is made of it.
    pub fn name(self) -> &'static str {
        match self {
            Self::BullseyeManaged => "bullseye_managed",
            Self::BookwormManaged => "bookworm_managed",
            Self::TrixieManaged => "trixie_managed",
            other => other.suite(),
        }
    }

    /// What its node is made of beside [`PACKAGES`]. Ansible and Slurm are bookworm's alone: they
    /// are tried once.
    fn more_packages(self) -> &'static [&'static str] {
        match self {
            // Their dracut knows network-legacy alone.
            Self::Bullseye | Self::Jammy => &["iputils-arping", "isc-dhcp-client"],
            Self::Bookworm => &[
                "ansible-core",
                "chrony",
                "iputils-arping",
                "isc-dhcp-client",
                "rpcbind",
                "slurm-client",
                "slurmd",
            ],
            Self::BullseyeManaged | Self::BookwormManaged | Self::TrixieManaged => {
                &["network-manager"]
            }
            Self::Trixie | Self::Noble => &[],
        }
    }

    /// What its node is made of, separated by commas.
    pub fn packages(self) -> String {
        let mut names = PACKAGES.to_vec();
        names.extend(self.more_packages());
        names.join(",")
    }

    /// Whether its root has NetworkManager.
    pub fn has_network_manager(self) -> bool {
        self.more_packages().contains(&"network-manager")
    }

    /// Whether its node has Ansible for the preboot hook.
    pub fn has_ansible(self) -> bool {
        self == Self::Bookworm
    }
}

/// A release, unpacked: what an initramfs and images are made of.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Debian {
    /// Which.
    pub release: Release,
    /// Its kernel.
    pub kernel: Kernel,
    /// Its root, without kernel modules.
    pub root: PathBuf,
}

impl Debian {
    /// Unpacks `release`, unless the cache has it.
    ///
    /// # Errors
    /// Its archive cannot be reached, or it lacks a package.
    pub fn prepare(workshop: &Workshop, release: Release) -> Result<Self> {
        let kernel = kernel::prepare(workshop, release)?;
        let root = prepare_root(workshop, release)?;
        Ok(Self { release, kernel, root })
    }

    /// What is made of it depends on these paths: parts of a [`key`].
    pub fn names(&self) -> [&[u8]; 2] {
        [&self.root, &self.kernel.folder].map(|path| path.as_os_str().as_encoded_bytes())
    }
}

/// Makes the unpacked root of `release`: no kernel modules in it yet, but dracut, so that the
/// initramfs is built as a site builds it, inside its image.
fn prepare_root(workshop: &Workshop, release: Release) -> Result<PathBuf> {
    let password = format!("--customize-hook=echo root:{ROOT_PASSWORD} | chroot \"$1\" chpasswd");
    let include = format!("--include={}", release.packages());
    let excludes = UNWANTED.map(|path| format!("--dpkgopt=path-exclude={path}"));
    let mut options = vec!["--variant=minbase", "--aptopt=Acquire::Languages \"none\""];
    options.extend(excludes.iter().map(String::as_str));
    options.extend([include.as_str(), &password]);
    let family = format!("root_{}", release.name());
    let mut parts = vec![include_bytes!("debian/archive.rs").as_slice()];
    parts.extend(options.iter().map(|option| option.as_bytes()));
    let key = key(parts);
    cached(&workshop.cache(), &family, &key, |folder| release.unpack(workshop, &options, folder))
}

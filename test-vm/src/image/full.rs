//! A real node: Debian with systemd, ssh, munge and Ansible, made by mmdebstrap.
//!
//! The same root, with the dracut packages in it, is where the initramfs is
//! built: as a site builds it, inside its image.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use super::{compress, link_tree, pack, write_file, write_link};
use crate::kernel::Kernel;
use crate::space::inside_root;
use crate::tool::{command, run};
use crate::workshop::{Workshop, cached, key, remove};

/// The release that the node runs.
const SUITE: &str = "bookworm";

/// What it is made of. mdadm and e2fsprogs are witnesses: they read what the agent wrote.
const PACKAGES: [&str; 20] = [
    "ansible-core",
    "chrony",
    "dbus",
    "dracut-core",
    "dracut-network",
    "e2fsprogs",
    "iproute2",
    "iputils-arping",
    "isc-dhcp-client",
    "kmod",
    "mdadm",
    "munge",
    "openssh-server",
    "procps",
    "rpcbind",
    "slurm-client",
    "slurmd",
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

/// Not packed into the image.
const LEFT_OUT: [&str; 6] = [
    "boot",
    "usr/lib/dracut",
    "usr/lib/python3/dist-packages/ansible_test",
    "var/cache/apt",
    "var/cache/debconf",
    "var/lib/apt/lists",
];

/// The kernel modules that a test node may want after the switch.
const MODULES: [&str; 19] = [
    "arch",
    "crypto",
    "drivers/block",
    "drivers/char",
    "drivers/md",
    "drivers/net/net_failover.ko",
    "drivers/net/virtio_net.ko",
    "drivers/nvme",
    "drivers/virtio",
    "fs/autofs",
    "fs/binfmt_misc.ko",
    "fs/configfs",
    "fs/ext4",
    "fs/fuse",
    "fs/jbd2",
    "fs/mbcache.ko",
    "fs/nls",
    "lib",
    "net/core",
];

/// Units that have no business on a test node: timers that would run apt, a monitor that wants mail.
const MASKED: [&str; 6] = [
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "mdmonitor.service",
];

/// The password of root on a test node: for `make demo`, in a network that leads nowhere.
pub const ROOT_PASSWORD: &str = "rsinit";

/// Makes the unpacked root (no kernel modules in it yet).
///
/// # Errors
/// mmdebstrap fails: not root, or the mirror cannot be reached.
pub fn prepare_root(workshop: &Workshop) -> Result<PathBuf> {
    let parts = [PACKAGES.join(","), UNWANTED.join(","), SUITE.to_owned()];
    let key = key(parts.iter().map(String::as_bytes));
    cached(&workshop.cache(), "root", &key, |folder| {
        let mut tool = command("mmdebstrap");
        tool.args(["--variant=minbase", "--format=directory", "--mode=root", "--quiet"]);
        tool.arg("--aptopt=Acquire::Languages \"none\"");
        tool.args(UNWANTED.map(|path| format!("--dpkgopt=path-exclude={path}")));
        tool.arg(format!("--include={}", PACKAGES.join(",")));
        tool.arg(format!("--customize-hook=echo root:{ROOT_PASSWORD} | chroot \"$1\" chpasswd"));
        run(tool.arg(SUITE).arg(folder)).map(drop)
    })
}

/// Makes the image; returns the path of the raw archive, of which only the `.gz` beside it exists.
///
/// # Errors
/// The witness is not built, or the image cannot be written.
pub fn prepare(workshop: &Workshop, root: &Path, kernel: &Kernel) -> Result<PathBuf> {
    let witness = workshop.binary("witness")?;
    let program = fs::read(&witness).with_context(|| format!("reading {}", witness.display()))?;
    let names = [root, &kernel.folder].map(|path| path.as_os_str().as_encoded_bytes());
    let mut parts = vec![program.as_slice(), include_bytes!("full.rs")];
    parts.extend(names);
    parts.extend(ASSETS.iter().map(|(_, content)| content.as_bytes()));
    let key = key(parts);
    let folder = cached(&workshop.cache(), "image_full", &key, |folder| {
        fs::create_dir_all(folder)?;
        let stage = folder.join("root");
        link_tree(root, &stage)?;
        fill(&stage, &program)?;
        copy_modules(kernel, &stage)?;
        let archive = folder.join("full.img");
        pack(&stage, &LEFT_OUT, &archive)?;
        compress(&archive)?;
        remove(&archive)?;
        remove(&stage)
    })?;
    Ok(folder.join("full.img"))
}

/// What a site's image build leaves in the image.
const ASSETS: [(&str, &str); 5] = [
    ("container_repo/ansible/site.yml", include_str!("../../assets/node/site.yml")),
    ("container_repo/ansible/ansible.cfg", include_str!("../../assets/node/ansible.cfg")),
    ("opt/ansible/bin/activate", include_str!("../../assets/node/activate")),
    (
        "etc/systemd/system/rsinit-witness.service",
        include_str!("../../assets/node/rsinit-witness.service"),
    ),
    (".buildinfo", "Image: rsinit-test\nPlaybook: site.yml\n"),
];

fn fill(root: &Path, witness: &[u8]) -> Result<()> {
    for (name, content) in ASSETS {
        write_file(root, name, content.as_bytes(), 0o644)?;
    }
    write_link(root, "opt/ansible/bin/ansible-playbook", "/usr/bin/ansible-playbook")?;
    play_build(root)?;
    write_file(root, "usr/local/sbin/witness", witness, 0o755)?;
    let wants = "etc/systemd/system/multi-user.target.wants/rsinit-witness.service";
    write_link(root, wants, "/etc/systemd/system/rsinit-witness.service")?;
    for unit in MASKED {
        write_link(root, &format!("etc/systemd/system/{unit}"), "/dev/null")?;
    }
    // The image has no secrets: the key comes at boot, host keys from an overlay.
    for secret in ["etc/munge/munge.key", "etc/machine-id", "var/lib/dbus/machine-id"] {
        remove(&root.join(secret))?;
    }
    for kind in ["rsa", "ecdsa", "ed25519"] {
        for end in ["", ".pub"] {
            remove(&root.join(format!("etc/ssh/ssh_host_{kind}_key{end}")))?;
        }
    }
    write_file(root, "var/log/image.log", b"written by the image\n", 0o640)?;
    write_file(root, "etc/hostname", b"from-the-image\n", 0o644)
}

/// Runs the playbook's `build` tasks in the image, in the words of the site's container definition.
fn play_build(root: &Path) -> Result<()> {
    // Ansible wants UTF-8, and Debian's minimum has this locale alone.
    let script = "export LC_ALL=C.UTF-8 && cd /container_repo/ansible && . /opt/ansible/bin/activate && exec \
                  ansible-playbook site.yml -i localhost, -c local -l localhost --tags build";
    let said = run(&mut inside_root(root, &["/bin/bash", "-c", script])?)?;
    ensure!(said.contains("failed=0") && said.contains("changed=4"), "the playbook said: {said}");
    remove(&root.join("root/.ansible"))
}

/// Copies the modules of [`MODULES`], and what finds them.
fn copy_modules(kernel: &Kernel, root: &Path) -> Result<()> {
    let base = format!("usr/lib/modules/{}", kernel.release);
    for name in MODULES {
        let to = root.join(&base).join("kernel").join(name);
        let parent = to.parent().context("naming a module")?;
        fs::create_dir_all(parent).with_context(|| format!("making {}", parent.display()))?;
        link_tree(&kernel.modules().join("kernel").join(name), &to)?;
    }
    for name in ["modules.builtin", "modules.builtin.modinfo", "modules.order"] {
        link_tree(&kernel.modules().join(name), &root.join(&base).join(name))?;
    }
    run(command("depmod").arg("-b").arg(root).arg(&kernel.release)).map(drop)
}

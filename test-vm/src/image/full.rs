//! The image of a real node, as a site's image build leaves it: bookworm's with Ansible.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use super::{compress, link_tree, pack, write_file, write_link};
use crate::debian::Debian;
use crate::space::inside_root;
use crate::tool::run;
use crate::workshop::{Workshop, cached, key, remove};

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
    "drivers/net/net_failover",
    "drivers/net/virtio_net",
    "drivers/nvme",
    "drivers/virtio",
    "fs/autofs",
    "fs/binfmt_misc",
    "fs/configfs",
    "fs/ext4",
    "fs/fuse",
    "fs/jbd2",
    "fs/mbcache",
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

/// Makes the image; returns the path of the raw archive, of which only the `.gz` beside it exists.
///
/// # Errors
/// The witness is not built, or the image cannot be written.
pub fn prepare(workshop: &Workshop, debian: &Debian) -> Result<PathBuf> {
    let witness = workshop.binary("witness")?;
    let program = fs::read(&witness).with_context(|| format!("reading {}", witness.display()))?;
    let mut parts = vec![program.as_slice(), include_bytes!("full.rs")];
    parts.extend(debian.names());
    parts.extend([WITNESS_UNIT, HOOK].map(str::as_bytes));
    parts.extend(ANSIBLE_ASSETS.iter().map(|(_, content)| content.as_bytes()));
    let family = format!("image_{}", debian.release.name());
    let folder = cached(&workshop.cache(), &family, &key(parts), |folder| {
        fs::create_dir_all(folder)?;
        let stage = folder.join("root");
        link_tree(&debian.root, &stage)?;
        fill(&stage, &program)?;
        if debian.release.has_ansible() {
            add_ansible(&stage)?;
        } else {
            write_file(&stage, HOOK_NAME, HOOK.as_bytes(), 0o755)?;
        }
        debian.kernel.copy_modules(&MODULES, &stage)?;
        let archive = folder.join("full.img");
        pack(&stage, &LEFT_OUT, &archive)?;
        compress(&archive)?;
        remove(&archive)?;
        remove(&stage)
    })?;
    Ok(folder.join("full.img"))
}

/// What starts the witness.
const WITNESS_UNIT: &str = include_str!("../../assets/node/rsinit-witness.service");

/// What a site's image build leaves in the image, where Ansible configures the node.
const ANSIBLE_ASSETS: [(&str, &str); 4] = [
    ("container_repo/ansible/site.yml", include_str!("../../assets/node/site.yml")),
    ("container_repo/ansible/ansible.cfg", include_str!("../../assets/node/ansible.cfg")),
    ("opt/ansible/bin/activate", include_str!("../../assets/node/activate")),
    (".buildinfo", "Image: rsinit-test\nPlaybook: site.yml\n"),
];

/// The preboot hook where there is no Ansible.
const HOOK: &str = include_str!("../../assets/node/preboot.sh");

/// Where it lies, below the root.
pub const HOOK_NAME: &str = "usr/local/sbin/preboot";

fn fill(root: &Path, witness: &[u8]) -> Result<()> {
    write_file(root, "usr/local/sbin/witness", witness, 0o755)?;
    let unit = "etc/systemd/system/rsinit-witness.service";
    write_file(root, unit, WITNESS_UNIT.as_bytes(), 0o644)?;
    let wants = "etc/systemd/system/multi-user.target.wants/rsinit-witness.service";
    write_link(root, wants, &format!("/{unit}"))?;
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

/// Lays the playbook into the image, and lets it make its part.
fn add_ansible(root: &Path) -> Result<()> {
    for (name, content) in ANSIBLE_ASSETS {
        write_file(root, name, content.as_bytes(), 0o644)?;
    }
    write_link(root, "opt/ansible/bin/ansible-playbook", "/usr/bin/ansible-playbook")?;
    play_build(root)
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

//! The initramfs, by the real dracut: run in the node's own root, as a site runs it.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::debian::{Debian, Release};
use crate::image::{link_tree, write_file};
use crate::server::{Owners, write_archive};
use crate::space::inside_root;
use crate::tool::{command, run};
use crate::workshop::{Workshop, cached, key, remove};

/// Where `make install` puts the agent.
const AGENT: &str = "usr/sbin/rsinit";

/// Where dracut leaves its work, inside the root.
const OUTPUT: &str = "boot/initramfs.img";

/// Where dracut lists the modules that it took, inside the initramfs.
const MODULES: &str = "usr/lib/dracut/modules.txt";

/// What dracut has to bring a network up, 051 to 106.
pub const HANDLERS: [&str; 5] =
    ["network-wicked", "connman", "network-manager", "network-legacy", "systemd-networkd"];

/// The modules of dracut that bring systemd, or need it.
const SYSTEMD: &str =
    "systemd systemd-initrd systemd-networkd systemd-sysusers dracut-systemd dbus dbus-daemon";

/// What runs in the initramfs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Flavour {
    /// systemd, and what dracut takes by itself for the network on this root.
    Systemd,
    /// dracut's own init, with network-legacy, or NetworkManager where the root has it.
    Plain,
}

impl Flavour {
    /// What runs in that of a real node of `release`.
    pub fn of(release: Release) -> Self {
        if release == Release::BullseyeManaged { Self::Plain } else { Self::Systemd }
    }

    /// Its name in the cache and in what a person reads.
    pub fn name(self) -> &'static str {
        match self {
            Self::Systemd => "systemd",
            Self::Plain => "plain",
        }
    }

    /// dracut's arguments that make it so of the root of `release`.
    fn arguments(self, release: Release) -> &'static [&'static str] {
        match self {
            Self::Systemd => &["--add", "rsinit"],
            Self::Plain if release.has_network_manager() => {
                &["--add", "rsinit network-manager", "--omit", SYSTEMD]
            }
            Self::Plain => &["--add", "rsinit network-legacy", "--omit", SYSTEMD],
        }
    }
}

/// Makes the initramfs of `flavour`: dracut's part from the cache where nothing in it has
/// changed, today's agent appended as a second archive.
///
/// # Errors
/// The agent is not built, or dracut fails.
pub fn prepare(workshop: &Workshop, debian: &Debian, flavour: Flavour) -> Result<PathBuf> {
    let agent = workshop.binary("rsinit")?;
    let program = fs::read(&agent).with_context(|| format!("reading {}", agent.display()))?;
    let module = module_files(workshop)?;
    let mut parts: Vec<&[u8]> = module.iter().map(Vec::as_slice).collect();
    parts.extend(debian.names());
    parts.extend(flavour.arguments(debian.release).iter().map(|word| word.as_bytes()));
    let base_key = key(parts);
    let name = format!("{}_{}", debian.release.name(), flavour.name());
    let base = cached(&workshop.cache(), &format!("initramfs_{name}"), &base_key, |file| {
        build(workshop, debian, flavour, file)
    })?;
    let whole_key = key([base_key.as_bytes(), program.as_slice()]);
    cached(&workshop.cache(), &format!("boot_{name}"), &whole_key, |file| {
        fs::copy(&base, file).context("copying the initramfs")?;
        append_agent(&program, file)
    })
}

/// Compresses an initramfs of `flavour`, for a firmware that fetches it by a slow path.
///
/// # Errors
/// zstd fails.
pub fn compress(workshop: &Workshop, whole: &Path, flavour: Flavour) -> Result<PathBuf> {
    let key = key([whole.as_os_str().as_encoded_bytes()]);
    cached(&workshop.cache(), &format!("wire_{}", flavour.name()), &key, |file| {
        run(command("zstd").args(["-q", "-5", "-T0"]).arg(whole).arg("-o").arg(file)).map(drop)
    })
}

/// The dracut module and what installs it: a change of either means a new initramfs.
fn module_files(workshop: &Workshop) -> Result<Vec<Vec<u8>>> {
    let folder = workshop.project.join("dracut-module/90rsinit");
    let entries = fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))?;
    let mut files = vec![workshop.project.join("Makefile")];
    for entry in entries {
        files.push(entry?.path());
    }
    files.sort();
    files
        .iter()
        .map(|path| fs::read(path).with_context(|| format!("reading {}", path.display())))
        .collect()
}

/// Runs dracut in a copy of the root into which the project has been installed.
fn build(workshop: &Workshop, debian: &Debian, flavour: Flavour, file: &Path) -> Result<()> {
    let stage = file.with_extension("stage");
    remove(&stage)?;
    link_tree(&debian.root, &stage)?;
    let modules = stage.join("usr/lib/modules");
    fs::create_dir_all(&modules).with_context(|| format!("making {}", modules.display()))?;
    link_tree(&debian.kernel.modules(), &modules)?;
    fs::create_dir_all(stage.join("etc/no-dracut-conf")).context("making an empty folder")?;
    let destination = format!("DESTDIR={}", stage.display());
    run(command("make").args(["-s", "install", &destination]).current_dir(&workshop.project))?;
    ensure!(stage.join(AGENT).is_file(), "make install left no /{AGENT}");
    let mut argv = vec!["dracut", "--force", "--no-hostonly", "--conf", "/dev/null"];
    let output = format!("/{OUTPUT}");
    argv.extend(["--confdir", "/etc/no-dracut-conf", "--no-compress"]);
    argv.extend(flavour.arguments(debian.release));
    argv.extend(["--kver", &debian.kernel.release, &output]);
    run(&mut inside_root(&stage, &argv)?)?;
    fs::rename(stage.join(OUTPUT), file).context("taking the initramfs")?;
    remove(&stage)
}

/// Which of [`HANDLERS`] dracut took into the initramfs `file`.
///
/// # Errors
/// It does not list its modules, or cpio fails.
pub fn network_handlers(file: &Path) -> Result<Vec<&'static str>> {
    let input = fs::File::open(file).with_context(|| format!("opening {}", file.display()))?;
    let mut cpio = command("cpio");
    cpio.args(["--quiet", "--extract", "--to-stdout", MODULES]).stdin(input);
    let list = run(&mut cpio)?;
    ensure!(!list.is_empty(), "{} has no /{MODULES}", file.display());
    Ok(HANDLERS.into_iter().filter(|name| list.lines().any(|line| line == *name)).collect())
}

/// The files that dracut took into the initramfs `file`.
///
/// # Errors
/// cpio fails, or finds none.
pub fn names(file: &Path) -> Result<Vec<String>> {
    let input = fs::File::open(file).with_context(|| format!("opening {}", file.display()))?;
    let list = run(command("cpio").args(["--quiet", "--list"]).stdin(input))?;
    ensure!(!list.is_empty(), "{} is empty", file.display());
    Ok(list.lines().map(str::to_owned).collect())
}

/// Appends an archive with the agent alone: the kernel unpacks it over the first.
fn append_agent(program: &[u8], file: &Path) -> Result<()> {
    let temp = tempfile::tempdir().context("making a scratch folder")?;
    write_file(temp.path(), AGENT, program, 0o755)?;
    append(temp.path(), file).context("appending the agent")
}

/// Appends what is in `folder` to the uncompressed initramfs `file`.
///
/// # Errors
/// The folder cannot be read, or the file not written.
pub fn append(folder: &Path, file: &Path) -> Result<()> {
    let mut output = fs::OpenOptions::new()
        .append(true)
        .open(file)
        .with_context(|| format!("opening {}", file.display()))?;
    let length = output.metadata()?.len();
    let gap = usize::try_from(length.wrapping_neg() % 512)?;
    output.write_all(vec![0; gap].as_slice())?;
    let mut archive = std::io::BufWriter::new(output);
    write_archive(&[folder.to_owned()], &Owners::default(), &mut archive)?;
    archive.flush().context("appending to an initramfs")
}

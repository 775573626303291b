//! The image that is fetched: a real Debian tree packed as Warewulf packs one, made once.
//!
//! Source of the packing: Warewulf's documented image build, `find | cpio --format newc` of
//! relative names without the root folder, then `pigz` at its default level.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};

/// The packages of the image; their dependencies come along.
const PACKAGES: &str = include_str!("image-packages.txt");
/// The Debian release that they come from.
const SUITE: &str = "bookworm";
/// Changes whenever the image is made in another way, so that a cached one is not used.
const RECIPE: &str = "1";
/// The smallest image that says something about a node's, in bytes.
const LEAST_BYTES: u64 = 1_500_000_000;
/// The fewest entries of such an image.
const LEAST_ENTRIES: u64 = 50_000;
/// Free bytes that making the image takes: the tree, and the image three times over.
const SPACE_BYTES: u64 = 8_000_000_000;

/// The image on disk: `image.img`, and beside it `.gz` and `.zst`.
#[derive(Debug, Clone)]
pub struct Image {
    folder: PathBuf,
    /// How many entries the archive has, its trailer left out.
    pub entries: u64,
}

impl Image {
    /// Takes the image from `cache`, or makes it there; only a finished one has its key.
    ///
    /// # Errors
    /// Too little space, a tool that fails (packages come from the network), or an image
    /// that is smaller than the benchmark promises.
    pub fn prepare(cache: &Path) -> Result<Self> {
        let folder = cache.join("image");
        let key = folder.join("key");
        let wanted = format!("recipe {RECIPE}\nsuite {SUITE}\n{PACKAGES}");
        if fs::read_to_string(&key).is_ok_and(|found| found == wanted) {
            return Self::open(folder);
        }
        if folder.exists() {
            fs::remove_dir_all(&folder)
                .with_context(|| format!("removing {}", folder.display()))?;
        }
        fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        check_space(&folder)?;
        make(&folder)?;
        let image = Self::open(folder)?;
        let bytes = image.bytes("")?;
        ensure!(
            bytes >= LEAST_BYTES && image.entries >= LEAST_ENTRIES,
            "the image has {bytes} bytes and {} entries: too few, add packages",
            image.entries
        );
        fs::write(&key, wanted).with_context(|| format!("writing {}", key.display()))?;
        Ok(image)
    }

    fn open(folder: PathBuf) -> Result<Self> {
        let path = folder.join("entries");
        let text =
            fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        let entries = text.trim().parse().with_context(|| format!("reading {}", path.display()))?;
        Ok(Self { folder, entries })
    }

    /// The folder with the three files, for the web server.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// `image.img` with `suffix` (`""`, `".gz"`, `".zst"`).
    #[must_use]
    pub fn path(&self, suffix: &str) -> PathBuf {
        self.folder.join(format!("image.img{suffix}"))
    }

    /// The size of that file, in bytes.
    ///
    /// # Errors
    /// The file is not there.
    pub fn bytes(&self, suffix: &str) -> Result<u64> {
        let path = self.path(suffix);
        Ok(path.metadata().with_context(|| format!("reading {}", path.display()))?.len())
    }

    /// Reads that file once, so that each run finds it in the page cache.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn warm(&self, suffix: &str) -> Result<()> {
        let path = self.path(suffix);
        let mut file =
            fs::File::open(&path).with_context(|| format!("opening {}", path.display()))?;
        io::copy(&mut file, &mut io::sink())
            .with_context(|| format!("reading {}", path.display()))?;
        Ok(())
    }
}

fn check_space(folder: &Path) -> Result<()> {
    let stat = rustix::fs::statvfs(folder)
        .with_context(|| format!("asking for the space in {}", folder.display()))?;
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    ensure!(
        free >= SPACE_BYTES,
        "{}: making the image takes {SPACE_BYTES} bytes, {free} are free",
        folder.display()
    );
    Ok(())
}

/// Makes the tree and the three files; the tree is removed again.
fn make(folder: &Path) -> Result<()> {
    let tree = folder.join("tree");
    let names: Vec<&str> = PACKAGES.lines().filter(|line| !line.starts_with('#')).collect();
    step("extracting Debian packages (about 500 MB to download)", || {
        run(command("mmdebstrap")
            .args(["--quiet", "--mode=root", "--variant=extract"])
            .arg("--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr")
            .arg(format!("--include={}", names.join(",")))
            .arg(SUITE)
            .arg(&tree))
    })?;
    step("packing image.img", || {
        run(shell(folder).arg(
            "cd tree && find . -mindepth 1 -xdev -printf '%P\\0' | LC_ALL=C sort -z >../names && \
             tr -dc '\\0' <../names | wc -c >../entries && \
             cpio --quiet --create --null --format newc --file ../image.img <../names",
        ))
    })?;
    for scratch in [&tree, &folder.join("names")] {
        run(command("rm").arg("-rf").arg(scratch))?;
    }
    step("packing image.img.gz", || run(shell(folder).arg("pigz --keep image.img")))?;
    step("packing image.img.zst", || run(shell(folder).arg("zstd --quiet -T0 --keep image.img")))
}

fn step(what: &str, work: impl FnOnce() -> Result<()>) -> Result<()> {
    let started = Instant::now();
    eprintln!("bench: {what}");
    work().context(what.to_owned())?;
    eprintln!("bench: {what}: {:.1} s", started.elapsed().as_secs_f64());
    Ok(())
}

/// `program`, which ends with the benchmark.
pub(super) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "TERM", "--"]).arg(program).stdin(Stdio::null());
    command
}

/// A shell in `folder` that fails where any part of a pipe does; the script comes next.
fn shell(folder: &Path) -> Command {
    let mut command = command("bash");
    command.args(["-o", "pipefail", "-euc"]).current_dir(folder);
    command
}

fn run(command: &mut Command) -> Result<()> {
    let status = command.stdout(Stdio::null()).status().context("starting setpriv (util-linux)")?;
    if !status.success() {
        bail!("{command:?}: {status}");
    }
    Ok(())
}

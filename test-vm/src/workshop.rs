//! Where the tests keep things: cached artifacts, scratch files, what is left of a failed case.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use rustix::fs::FlockOperation;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use crate::debian::Release;

/// What the name of an artifact ends with while it is being made.
const UNFINISHED: &str = "-unfinished";

/// What a cold run writes, with something to spare: 2 GiB of cache, 1 GiB of scratch, in bytes.
const ROOM: u64 = 6 << 30;

/// What another release adds to that.
const ROOM_OF_RELEASE: u64 = 1 << 30;

/// The folders of the tests, below cargo's target folder.
#[derive(Debug, Clone)]
pub struct Workshop {
    /// The project's own folder.
    pub project: PathBuf,
    /// Static release binaries: `target/x86_64-unknown-linux-musl/release`.
    pub binaries: PathBuf,
    /// `target/test-vm`.
    pub base: PathBuf,
}

impl Workshop {
    /// The workshop of this checkout.
    ///
    /// # Errors
    /// Its folders cannot be made.
    pub fn open() -> Result<Self> {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
        let project = manifest.parent().unwrap_or(manifest).to_owned();
        let target = std::env::var_os("CARGO_TARGET_DIR")
            .map_or_else(|| project.join("target"), |dir| project.join(dir));
        let workshop = Self {
            binaries: target.join("x86_64-unknown-linux-musl/release"),
            base: target.join("test-vm"),
            project,
        };
        for folder in [workshop.cache(), workshop.failed()] {
            fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        }
        Ok(workshop)
    }

    /// What is made once and used by many runs.
    pub fn cache(&self) -> PathBuf {
        self.base.join("cache")
    }

    /// Serial logs and reports of failed cases.
    pub fn failed(&self) -> PathBuf {
        self.base.join("failed")
    }

    /// A static binary of the project.
    ///
    /// # Errors
    /// It has not been built.
    pub fn binary(&self, name: &str) -> Result<PathBuf> {
        let path = self.binaries.join(name);
        anyhow::ensure!(path.is_file(), "{} is not built: make build", path.display());
        Ok(path)
    }

    /// Waits until no other run uses the cache, and keeps others out until the value is dropped.
    ///
    /// # Errors
    /// The cache cannot be locked.
    pub fn occupy(&self) -> Result<File> {
        let cache = self.cache();
        if let Some(free) = lock(&cache)? {
            return Ok(free);
        }
        eprintln!("another run of the boot tests uses {}: waiting for it …", cache.display());
        let file = File::open(&cache).with_context(|| format!("opening {}", cache.display()))?;
        rustix::fs::flock(&file, FlockOperation::LockExclusive).context("locking the cache")?;
        Ok(file)
    }

    /// Checks that a run with `releases` has room: caches, and disks of nodes as far as they are
    /// written.
    ///
    /// # Errors
    /// There is less than [`ROOM`], and [`ROOM_OF_RELEASE`] for each beside bookworm.
    pub fn require_room(&self, releases: &BTreeSet<Release>) -> Result<()> {
        let others = releases.iter().filter(|release| **release != Release::Bookworm);
        let room = ROOM + others.map(|_| ROOM_OF_RELEASE).sum::<u64>();
        let disk = rustix::fs::statvfs(&self.base).context("asking for free space")?;
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        let (base, free_gib, room_gib) = (self.base.display(), free >> 30, room >> 30);
        anyhow::ensure!(free >= room, "{base}: {free_gib} GiB free, {room_gib} GiB wanted");
        Ok(())
    }

    /// A new scratch folder, removed when dropped; and with it those of runs that were killed.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn scratch(&self) -> Result<Scratch> {
        self.sweep()?;
        let folder = tempfile::Builder::new()
            .prefix("run-")
            .tempdir_in(&self.base)
            .with_context(|| format!("making a scratch folder in {}", self.base.display()))?;
        let lock = lock(folder.path())?.context("locking a new scratch folder")?;
        Ok(Scratch { folder, _lock: lock })
    }

    /// Removes scratch folders whose owner is gone.
    fn sweep(&self) -> Result<()> {
        for entry in fs::read_dir(&self.base)? {
            let path = entry?.path();
            let ours =
                path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"run-"));
            if ours && lock(&path)?.is_some() {
                fs::remove_dir_all(&path)
                    .with_context(|| format!("removing {}", path.display()))?;
            }
        }
        Ok(())
    }
}

/// A scratch folder; its lock tells a later run that its owner lives.
#[derive(Debug)]
pub struct Scratch {
    folder: TempDir,
    _lock: File,
}

impl Scratch {
    /// Where it is.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// The lock of a folder; none where another process holds it.
fn lock(folder: &Path) -> Result<Option<File>> {
    let file = File::open(folder).with_context(|| format!("opening {}", folder.display()))?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(errno) => Err(errno).with_context(|| format!("locking {}", folder.display())),
    }
}

/// A short name for everything that goes into an artifact.
pub fn key<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

/// Takes `finished` from the cache, or makes it: `make` gets a path beside it that is renamed
/// once complete. Older artifacts whose names begin with `family` are removed then.
///
/// # Errors
/// `make` fails, or the cache cannot be written.
pub fn cached(
    cache: &Path,
    family: &str,
    key: &str,
    make: impl FnOnce(&Path) -> Result<()>,
) -> Result<PathBuf> {
    let finished = cache.join(format!("{family}-{key}"));
    if finished.exists() {
        return Ok(finished);
    }
    let started = std::time::Instant::now();
    eprintln!("making {family} …");
    for entry in fs::read_dir(cache)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let rest = name.strip_prefix(family).and_then(|rest| rest.strip_prefix('-'));
        let rest = rest.map(|rest| rest.strip_suffix(UNFINISHED).unwrap_or(rest));
        if rest.is_some_and(|key| !key.contains('-')) {
            remove(&entry.path())?;
        }
    }
    let unfinished = cache.join(format!("{family}-{key}{UNFINISHED}"));
    make(&unfinished).with_context(|| format!("making {family}"))?;
    fs::rename(&unfinished, &finished)
        .with_context(|| format!("renaming {}", unfinished.display()))?;
    eprintln!("made {family} in {:.1} s", started.elapsed().as_secs_f64());
    Ok(finished)
}

/// Removes a file or a folder, if there is one.
///
/// # Errors
/// It cannot be removed.
pub fn remove(path: &Path) -> Result<()> {
    let gone = match fs::symlink_metadata(path) {
        Err(_) => Ok(()),
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
    };
    gone.with_context(|| format!("removing {}", path.display()))
}

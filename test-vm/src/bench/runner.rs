//! The whole benchmark, in its order: image, server, equal trees, then the pairs.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use rustix::fs::FlockOperation;
use tempfile::TempDir;

use crate::bench::contender::{Contender, Format};
use crate::bench::image::Image;
use crate::bench::listing;
use crate::bench::measure::{self, Job, Sample};
use crate::bench::server::Nginx;
use crate::bench::table::{self, Medians, Row};

/// What the command line says.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the image is kept, and scratch files meanwhile.
    pub cache: PathBuf,
    /// The binary that is measured.
    pub rsinit: PathBuf,
    /// Another rsinit to be measured against, in the place of the pipeline.
    pub against: Option<PathBuf>,
    /// How often each side runs for a format.
    pub pairs: u32,
    /// What is fetched.
    pub formats: Vec<Format>,
}

/// Runs everything and returns the table.
///
/// # Errors
/// Something is wrong: a tool is missing or fails, or the trees differ. A goal that is
/// missed is none.
pub fn run(settings: &Settings) -> Result<String> {
    let bench = Bench::prepare(settings)?;
    let mut rows = Vec::new();
    let mut notes = String::new();
    let reference = bench.reference()?;
    for &format in &settings.formats {
        match bench.check(format, &reference) {
            Ok(()) => rows.push(bench.compare(format)?),
            Err(cause) if format == Format::Zst => {
                writeln!(notes, "zst: left out, this rsinit does not unpack it: {cause:#}")?;
            }
            Err(cause) => return Err(cause),
        }
    }
    let head = bench.describe()?;
    Ok(match settings.against {
        // The goals are set against the pipeline.
        Some(_) => format!("{head}{}{notes}", table::render(&rows, "against", bench.cpus)),
        None => {
            let table = table::render(&rows, bench.theirs.name(), bench.cpus);
            format!("{head}{table}{notes}{}\n", table::render_goals(&rows))
        }
    })
}

struct Bench {
    image: Image,
    server: Nginx,
    ours: Contender,
    theirs: Contender,
    pairs: u32,
    root_bytes: u64,
    cpus: u32,
    scratch: TempDir,
    /// Held as long as the benchmark runs: two at once would measure each other.
    _lock: File,
}

impl Bench {
    fn prepare(settings: &Settings) -> Result<Self> {
        for binary in [Some(&settings.rsinit), settings.against.as_ref()].into_iter().flatten() {
            ensure!(binary.is_file(), "{} is not there: make build", binary.display());
        }
        let lock = lock(&settings.cache)?;
        let image = Image::prepare(&settings.cache)?;
        let scratch = tempfile::Builder::new()
            .prefix("run-")
            .tempdir_in(&settings.cache)
            .with_context(|| format!("making a folder in {}", settings.cache.display()))?;
        // Each file takes whole pages of the tmpfs: a page an entry is more than that can cost.
        let root_bytes = image.bytes("")?.saturating_add(image.entries.saturating_mul(4096));
        check_memory(root_bytes.saturating_add(image.bytes("")?))?;
        let cpus = std::thread::available_parallelism().context("counting the CPUs")?;
        let cpus = u32::try_from(cpus.get())?;
        Ok(Self {
            server: Nginx::start(image.folder(), scratch.path())?,
            ours: Contender::Rsinit(settings.rsinit.clone()),
            theirs: settings.against.clone().map_or(Contender::Pipeline, Contender::Rsinit),
            pairs: settings.pairs,
            image,
            root_bytes,
            cpus,
            scratch,
            _lock: lock,
        })
    }

    /// The listing of the tree that GNU cpio makes.
    fn reference(&self) -> Result<PathBuf> {
        eprintln!("bench: unpacking the reference tree");
        let listing = self.scratch.path().join("cpio");
        self.image.warm(".gz")?;
        self.run(&Contender::Pipeline, Format::Gz, Some(listing.clone()))?;
        Ok(listing)
    }

    /// Whether rsinit's tree equals the reference.
    fn check(&self, format: Format, reference: &Path) -> Result<()> {
        eprintln!("bench: {}: comparing the trees", format.name());
        self.image.warm(format.suffix())?;
        let listing = self.scratch.path().join("rsinit");
        self.run(&self.ours, format, Some(listing.clone()))?;
        let entries = listing::compare(&listing, reference)?;
        ensure!(
            entries == self.image.entries,
            "both trees have {entries} entries, the archive has {}",
            self.image.entries
        );
        Ok(())
    }

    /// Runs the pairs: A B, B A, A B …, so that neither side always comes first.
    fn compare(&self, format: Format) -> Result<Row> {
        let (mut ours, mut theirs, mut inflate) = (Vec::new(), Vec::new(), Vec::new());
        let mut server = Vec::new();
        for pair in 0..self.pairs {
            if pair % 2 == 1 {
                theirs.push(self.run(&self.theirs, format, None)?);
            }
            let before = self.server.cpu()?;
            ours.push(self.run(&self.ours, format, None)?);
            server.push(self.server.cpu()?.saturating_sub(before));
            if pair % 2 == 0 {
                theirs.push(self.run(&self.theirs, format, None)?);
            }
            if format == Format::Gz {
                inflate.push(self.inflate()?);
            }
            if let (Some(our), Some(their)) = (ours.last(), theirs.last()) {
                eprintln!(
                    "bench: {} pair {}: {:.2} s and {:.2} s",
                    format.name(),
                    pair + 1,
                    our.wall.as_secs_f64(),
                    their.wall.as_secs_f64()
                );
            }
        }
        let (Some(ours), Some(theirs)) = (Medians::of(&ours), Medians::of(&theirs)) else {
            bail!("nothing was measured: zero pairs");
        };
        let server_s = table::median(server.iter().map(Duration::as_secs_f64).collect());
        let server_s = server_s.unwrap_or_default();
        Ok(Row { format, ours, theirs, inflate: Medians::of(&inflate), server_s })
    }

    fn run(
        &self,
        contender: &Contender,
        format: Format,
        listing: Option<PathBuf>,
    ) -> Result<Sample> {
        let root = self.scratch.path().join("root");
        let argv = contender.argv(&self.server, format, &root);
        measure::run(&Job { argv, root: Some(root), root_bytes: self.root_bytes, listing })
    }

    fn inflate(&self) -> Result<Sample> {
        let program = std::env::current_exe().context("finding this program")?;
        let path = self.image.path(".gz");
        let argv =
            vec![program.display().to_string(), "inflate".to_owned(), path.display().to_string()];
        measure::run(&Job { argv, root: None, root_bytes: 0, listing: None })
    }

    /// What the numbers were measured on.
    fn describe(&self) -> Result<String> {
        let mib = |suffix| Ok::<_, anyhow::Error>(self.image.bytes(suffix)? >> 20);
        let kernel = rustix::system::uname();
        Ok(format!(
            "image: {} entries, {} MiB raw, {} MiB gz, {} MiB zst, in the page cache\n\
             machine: Linux {}, {} CPUs; nginx on loopback, sendfile on; {} pairs, medians\n\n",
            self.image.entries,
            mib("")?,
            mib(".gz")?,
            mib(".zst")?,
            kernel.release().to_string_lossy(),
            self.cpus,
            self.pairs
        ))
    }
}

/// Takes the cache for this run alone, and removes what a run that was killed left there.
fn lock(cache: &Path) -> Result<File> {
    fs::create_dir_all(cache).with_context(|| format!("making {}", cache.display()))?;
    let file = File::open(cache).with_context(|| format!("opening {}", cache.display()))?;
    rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)
        .with_context(|| format!("locking {}: another benchmark runs", cache.display()))?;
    for entry in fs::read_dir(cache).with_context(|| format!("listing {}", cache.display()))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default();
        if name.as_encoded_bytes().starts_with(b"run-") {
            fs::remove_dir_all(&path).with_context(|| format!("removing {}", path.display()))?;
        }
    }
    Ok(file)
}

/// The tree and the image are both in memory while a run lasts.
fn check_memory(needed: u64) -> Result<()> {
    let text = fs::read_to_string("/proc/meminfo").context("reading /proc/meminfo")?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kib = line.and_then(|rest| rest.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
    let available = kib.context("reading MemAvailable")?.saturating_mul(1024);
    ensure!(available >= needed, "{needed} bytes of memory are needed, {available} available");
    Ok(())
}

//! The commands of each side, and the disks between two runs. Inside the machine.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::job::{self, Act, Io, Side};
use crate::tool::{command, start};

/// How long the kernel may take to show a disk, or to take an array away.
const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks: sysfs sends no event that a file watch would see.
const POLL: Duration = Duration::from_millis(10);

/// Bytes of a sector in the kernel's counts, whatever the disk's own are.
const SECTOR: u64 = 512;

/// A command line.
pub type Argv = Vec<String>;

/// What `side` runs for `act`, one after another.
///
/// mke2fs is told to leave the inode tables to the kernel, as it does by itself wherever ext4 is
/// loaded: should that ever fail, it would write 137 GB of them.
pub fn commands(act: Act, side: Side, disks: &[PathBuf]) -> Vec<Argv> {
    let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Argv>();
    let members = disks.iter().map(|disk| disk.display().to_string());
    let on = |line: String| words(&line).into_iter().chain(members.clone()).collect::<Argv>();
    let rsinit = |settings: &str| vec![words(&format!("rsinit disks apply --root /{settings}"))];
    let count = disks.len();
    let create =
        || on(format!("mdadm --create /dev/md0 --run --quiet --level=0 --raid-devices={count}"));
    let format = |device: &str| {
        let discard = if side == Side::Tools { "nodiscard," } else { "" };
        words(&format!("mke2fs -q -t ext4 -E {discard}lazy_itable_init=1 {device}"))
    };
    match (act, side) {
        (_, Side::RsinitRange) => Vec::new(),
        (Act::Format | Act::Assemble, Side::Rsinit) => rsinit(job::STRIPE),
        (Act::Create, Side::Rsinit) => rsinit(job::BARE),
        (Act::FormatOne, Side::Rsinit) => rsinit(job::PLAIN),
        (Act::Format, _) => vec![create(), format("/dev/md0")],
        (Act::Create, _) => vec![create()],
        (Act::Assemble, _) => vec![on("mdadm --assemble --quiet /dev/md0".to_owned())],
        (Act::FormatOne, _) => members.clone().take(1).map(|disk| format(&disk)).collect(),
        (Act::Start, Side::Rsinit) => vec![words("rsinit --version")],
        (Act::Start, _) => vec![words("mdadm --version")],
        (Act::Mount, _) => Vec::new(),
    }
}

/// Commands that have run.
#[derive(Debug, Default)]
pub struct Ran {
    /// What they took together.
    pub wall: Duration,
    /// What the last one said.
    pub said: String,
}

/// Runs commands one after another.
///
/// # Errors
/// One fails: the error carries what it said.
pub fn run_all(commands: &[Argv]) -> Result<Ran> {
    let mut ran = Ran::default();
    for argv in commands {
        let (program, words) = argv.split_first().context("a command without a name")?;
        let said = PathBuf::from("/tmp/said");
        let log = File::create(&said).context("making /tmp/said")?;
        let mut command = command(program);
        command.args(words).stdout(log.try_clone()?).stderr(log);
        let begun = Instant::now();
        let status = command.status().with_context(|| format!("starting {program}"))?;
        ran.wall += begun.elapsed();
        ran.said = fs::read_to_string(&said).unwrap_or_default();
        ensure!(status.success(), "{}: {status}: {}", argv.join(" "), ran.said.trim());
    }
    Ok(ran)
}

/// What `rsinit disks apply` says that its last range took.
pub fn parse_range(said: &str) -> Option<Duration> {
    let line = said.lines().rfind(|line| line.starts_with("rsinit: disks: "))?;
    let (_, took) = line.rsplit_once(" in ")?;
    took.strip_suffix(" ms")?.parse().ok().map(Duration::from_millis)
}

/// Tells all disks that nothing on their first `length` bytes is in use (all of them without
/// one), so that they read as zeros again.
///
/// # Errors
/// blkdiscard fails, or a disk does not read as zeros.
pub fn blank(disks: &[PathBuf], length: Option<u64>) -> Result<()> {
    let mut running = Vec::new();
    for disk in disks {
        let mut discard = command("blkdiscard");
        discard.args(["--force"]).args(length.map(|length| format!("--length={length}")));
        running.push((disk, start(discard.arg(disk))?));
    }
    for (disk, mut child) in running {
        let status = child.wait().context("waiting for blkdiscard")?;
        ensure!(status.success(), "blkdiscard {}: {status}", disk.display());
    }
    for disk in disks {
        let mut head = vec![0; 1 << 20];
        let file = File::open(disk).with_context(|| format!("opening {}", disk.display()))?;
        std::os::unix::fs::FileExt::read_exact_at(&file, &mut head, 0)
            .with_context(|| format!("reading {}", disk.display()))?;
        let is_blank = head.iter().all(|byte| *byte == 0);
        ensure!(is_blank, "{} does not read as zeros after a discard", disk.display());
    }
    Ok(())
}

/// The device of the array that runs, if one does.
///
/// # Errors
/// sysfs cannot be read, or there is more than one.
pub fn find_array() -> Result<Option<String>> {
    let names = fs::read_dir("/sys/block").context("reading /sys/block")?;
    let names = names.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut arrays = names.filter(|name| name.starts_with("md"));
    let array = arrays.next();
    ensure!(arrays.next().is_none(), "more than one array runs");
    Ok(array)
}

/// Stops the array, if one runs.
///
/// # Errors
/// mdadm fails, or the array stays.
pub fn stop_array() -> Result<()> {
    let Some(name) = find_array()? else { return Ok(()) };
    run_all(&[vec![
        "mdadm".to_owned(),
        "--stop".to_owned(),
        "--quiet".to_owned(),
        format!("/dev/{name}"),
    ]])?;
    wait_until(&format!("{name} goes"), || Ok(find_array()?.is_none()))
}

/// Waits for something that sysfs shows.
///
/// # Errors
/// It does not come.
pub fn wait_until(what: &str, holds: impl Fn() -> Result<bool>) -> Result<()> {
    let begun = Instant::now();
    while !holds()? {
        ensure!(begun.elapsed() < PATIENCE, "waiting until {what}: {PATIENCE:?} have passed");
        std::thread::sleep(POLL);
    }
    Ok(())
}

/// What each disk has been told to write since it was found, with everything flushed.
///
/// # Errors
/// sysfs cannot be read.
pub fn read_counts(disks: &[PathBuf]) -> Result<Vec<Io>> {
    rustix::fs::sync();
    let read = |disk: &PathBuf| {
        let name = disk.file_name().unwrap_or_default();
        let path = Path::new("/sys/block").join(name).join("stat");
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        parse_counts(&text).with_context(|| format!("reading {}", path.display()))
    };
    disks.iter().map(read).collect()
}

/// Fields 5 and 7 of a disk's `stat`: write requests, sectors of 512 bytes.
fn parse_counts(text: &str) -> Option<Io> {
    let mut fields = text.split_whitespace().skip(4);
    let requests = fields.next()?.parse().ok()?;
    let sectors: u64 = fields.nth(1)?.parse().ok()?;
    Some(Io { requests, bytes: sectors.checked_mul(SECTOR)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn write_requests_and_sectors_are_the_fifth_and_seventh_count() {
        let text = "  11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27\n";
        assert_eq!(parse_counts(text), Some(Io { requests: 15, bytes: 17 * 512 }));
        assert_eq!(parse_counts("1 2 3 4 5 6"), None);
    }

    #[test]
    fn what_a_range_took_is_at_the_end_of_its_line() {
        let said =
            "rsinit: disks: raid0 (disks 1-8, line 1): assemble md0 in 35 ms\nready in a moment\n";
        assert_eq!(parse_range(said), Some(Duration::from_millis(35)));
        assert_eq!(parse_range("mdadm: started in 35 ms\n"), None);
    }

    #[test]
    fn only_the_default_run_discards() {
        let disks = ["/dev/a", "/dev/b"].map(PathBuf::from);
        let line = |side| {
            let commands = commands(Act::Format, side, &disks);
            commands.iter().map(|argv| argv.join(" ")).collect::<Vec<_>>().join("; ")
        };
        assert!(line(Side::Tools).contains("--raid-devices=2 /dev/a /dev/b; mke2fs"));
        assert!(line(Side::Tools).contains("nodiscard"));
        assert!(!line(Side::ToolsWithDiscard).contains("nodiscard"));
        assert_eq!(line(Side::Rsinit), "rsinit disks apply --root /settings/stripe");
    }
}

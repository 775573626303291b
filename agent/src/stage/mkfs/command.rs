//! `rsinit mkfs.ext4`: mke2fs's option names, as far as they go.

use super::{Written, make_ext4};
use crate::format::ext4::{Filesystem, Options};
use crate::format::signature::{self, WINDOW_BYTES, Windows};
use crate::layout::Layout;
use crate::sys::Linux;
use crate::sys::random::random_bytes;
use anyhow::{Context, anyhow, bail, ensure};
use lexopt::{Arg, ValueExt};
use rustix::fs::OFlags;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// What the command line asks for.
struct Request {
    path: PathBuf,
    only_plan: bool,
    /// Whatever the medium holds may be lost.
    force: bool,
    /// Stride and stripe width, where they were given.
    array: Option<(u32, u32)>,
    options: Options,
}

/// Runs `rsinit mkfs.ext4 [-n] [-F] [-L LABEL] [-U UUID] [-E stride=N,stripe_width=N]
/// [-m PERCENT] [-i BYTES_PER_INODE] PATH`; `parser` stands behind the command's name.
///
/// # Errors
/// Arguments that are not understood; a medium that is in use or, without `-F`,
/// holds anything; errors of the medium.
pub fn run(parser: lexopt::Parser) -> anyhow::Result<()> {
    let mut request = parse(parser)?;
    let path = request.path.clone();
    let layout = Layout::node();
    let medium = open(&path, request.only_plan, &layout)?;
    let (stride, width) = match request.array {
        Some(array) => array,
        None => read_stripe(&layout, medium.device).unwrap_or_default(),
    };
    request.options.stride_blocks = stride;
    request.options.stripe_width_blocks = width;
    let planned = Filesystem::plan(medium.bytes, &request.options);
    let filesystem = planned.with_context(|| format!("planning ext4 on {}", path.display()))?;
    let mut stdout = std::io::stdout();
    describe(&mut stdout, &path, &filesystem, &request.options).context("printing the plan")?;
    if request.only_plan {
        return Ok(());
    }
    if !request.force {
        refuse_contents(&medium).with_context(|| format!("looking at {}", path.display()))?;
    }
    let start = Instant::now();
    let made = make_ext4(&Linux, &medium.file, medium.bytes, &request.options);
    let Written { bytes, calls } =
        made.with_context(|| format!("making ext4 on {}", path.display()))?;
    let seconds = start.elapsed().as_secs_f64();
    let path = path.display();
    writeln!(stdout, "{path}: wrote {bytes} bytes in {calls} calls, {seconds:.2} s")
        .context("printing what was done")
}

fn parse(mut parser: lexopt::Parser) -> anyhow::Result<Request> {
    let mut path: Option<PathBuf> = None;
    let (mut only_plan, mut force, mut array) = (false, false, None);
    let mut options = default_options()?;
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Short('n') => only_plan = true,
            Arg::Short('F') => force = true,
            Arg::Short('L') => options.label = parser.value()?.parse()?,
            Arg::Short('U') => options.uuid = parser.value()?.parse_with(parse_uuid)?,
            Arg::Short('E') => array = Some(parser.value()?.parse_with(parse_extended)?),
            Arg::Short('m') => options.reserved_percent = parser.value()?.parse()?,
            Arg::Short('i') => options.bytes_per_inode = Some(parser.value()?.parse()?),
            Arg::Value(value) if path.is_none() => path = Some(value.into()),
            other => return Err(other.unexpected().into()),
        }
    }
    let path = path.ok_or_else(|| anyhow!("mkfs.ext4: no device or file is named"))?;
    Ok(Request { path, only_plan, force, array, options })
}

/// What nothing was said about; random where it has to be.
fn default_options() -> anyhow::Result<Options> {
    let mut uuid = random_bytes::<16>().context("drawing random bytes")?;
    // RFC 9562: version 4, variant 10.
    let [.., version, _, variant, _, _, _, _, _, _, _] = &mut uuid;
    *version = *version & 0x0f | 0x40;
    *variant = *variant & 0x3f | 0x80;
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(Options {
        uuid,
        hash_seed: random_bytes().context("drawing random bytes")?,
        journal_sequence: u32::from_ne_bytes(random_bytes().context("drawing random bytes")?),
        created_s: u32::try_from(since_1970.as_secs()).unwrap_or(u32::MAX),
        label: Default::default(),
        stride_blocks: 0,
        stripe_width_blocks: 0,
        // mke2fs's own default.
        reserved_percent: 5,
        bytes_per_inode: None,
        zeroed: false,
    })
}

/// `01234567-89ab-cdef-0123-456789abcdef`
fn parse_uuid(text: &str) -> anyhow::Result<[u8; 16]> {
    let groups: Vec<usize> = text.split('-').map(str::len).collect();
    let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b'-').collect();
    let mut uuid = [0; 16];
    ensure!(groups == [8, 4, 4, 4, 12], "not a UUID");
    for (byte, pair) in uuid.iter_mut().zip(digits.chunks_exact(2)) {
        ensure!(pair.iter().all(u8::is_ascii_hexdigit), "not a UUID");
        *byte = u8::from_str_radix(std::str::from_utf8(pair)?, 16)?;
    }
    Ok(uuid)
}

/// `stride=N,stripe_width=N` in blocks; mke2fs takes the hyphen as well.
fn parse_extended(text: &str) -> anyhow::Result<(u32, u32)> {
    let (mut stride, mut width) = (0, 0);
    for item in text.split(',') {
        match item.split_once('=') {
            Some(("stride", blocks)) => stride = blocks.parse().context("stride")?,
            Some(("stripe_width" | "stripe-width", blocks)) => {
                width = blocks.parse().context("stripe_width")?;
            }
            _ => bail!("unknown option \"{item}\": known are stride=N and stripe_width=N"),
        }
    }
    Ok((stride, width))
}

/// A medium that nobody else uses.
struct Medium {
    file: File,
    /// Number of the device; 0, which is none, for a file.
    device: u64,
    bytes: u64,
}

/// Opens a file or block device; for writing only where no one else has it.
fn open(path: &Path, only_plan: bool, layout: &Layout) -> anyhow::Result<Medium> {
    let opening = || format!("opening {}", path.display());
    let is_device = std::fs::metadata(path).with_context(opening)?.file_type().is_block_device();
    let mut how = OpenOptions::new();
    how.read(true).write(!only_plan);
    if is_device && !only_plan {
        // On block devices: EBUSY where it is mounted or part of something.
        how.custom_flags(i32::try_from(OFlags::EXCL.bits())?);
    }
    let file = how.open(path).map_err(explain_busy).with_context(opening)?;
    let metadata = file.metadata().with_context(opening)?;
    ensure!(is_device || metadata.is_file(), "{} is no file or block device", path.display());
    if !is_device && !only_plan {
        refuse_loop(path, layout)?;
    }
    let end = std::io::Seek::seek(&mut &file, std::io::SeekFrom::End(0));
    let bytes = end.with_context(|| format!("measuring {}", path.display()))?;
    Ok(Medium { file, device: metadata.rdev(), bytes })
}

fn explain_busy(error: std::io::Error) -> anyhow::Error {
    let is_busy = error.kind() == std::io::ErrorKind::ResourceBusy;
    let error = anyhow::Error::new(error);
    if is_busy { error.context("it is mounted, or part of an array or volume") } else { error }
}

/// A file behind a loop device can be opened all the same, so the kernel is asked.
fn refuse_loop(path: &Path, layout: &Layout) -> anyhow::Result<()> {
    let wanted = path.canonicalize().with_context(|| format!("resolving {}", path.display()))?;
    let devices = layout.sys.join("block");
    // Without sysfs there is nothing to ask.
    for device in std::fs::read_dir(devices).into_iter().flatten().flatten() {
        let backing = std::fs::read_to_string(device.path().join("loop/backing_file"));
        if backing.is_ok_and(|backing| Path::new(backing.trim_end_matches('\n')) == wanted) {
            bail!("{} is in use by {}", path.display(), device.file_name().display());
        }
    }
    Ok(())
}

/// Chunk and stripe of an md RAID0, from sysfs: (stride, stripe width) in blocks.
fn read_stripe(layout: &Layout, device: u64) -> Option<(u32, u32)> {
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let md = layout.sys.join(format!("dev/block/{major}:{minor}/md"));
    let read = |name| std::fs::read_to_string(md.join(name)).ok();
    if read("level")?.trim() != "raid0" {
        return None;
    }
    let chunk_bytes: u32 = read("chunk_size")?.trim().parse().ok()?;
    let members: u32 = read("raid_disks")?.trim().parse().ok()?;
    let stride = chunk_bytes / 4096;
    Some((stride, stride.checked_mul(members)?))
}

/// An error that names what the medium holds, where it holds anything.
fn refuse_contents(medium: &Medium) -> anyhow::Result<()> {
    let window = WINDOW_BYTES.min(medium.bytes);
    let mut head = vec![0; usize::try_from(window)?];
    let mut tail = head.clone();
    medium.file.read_exact_at(&mut head, 0)?;
    medium.file.read_exact_at(&mut tail, medium.bytes.saturating_sub(window))?;
    let windows = Windows { size_bytes: medium.bytes, head: &head, tail: &tail };
    let contents = signature::identify(windows);
    ensure!(contents.is_blank(), "it holds {contents}; -F makes a file system all the same");
    Ok(())
}

/// One line with all counts of the plan.
fn describe(
    mut to: impl Write,
    path: &Path,
    filesystem: &Filesystem,
    options: &Options,
) -> std::io::Result<()> {
    writeln!(
        to,
        "{}: ext4, {} blocks of {} bytes in {} groups ({} free, {} reserved), {} inodes, \
         journal of {} blocks, stride {}, stripe width {}",
        path.display(),
        filesystem.blocks(),
        filesystem.block_bytes(),
        filesystem.groups(),
        filesystem.free_blocks(),
        filesystem.reserved_blocks(),
        filesystem.inodes(),
        filesystem.journal_blocks(),
        options.stride_blocks,
        options.stripe_width_blocks,
    )
}

#[cfg(test)]
mod tests;

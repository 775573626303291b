//! `rsinit fetch` and `rsinit unpack`: the two steps by hand.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail};
use lexopt::prelude::*;

use super::{Options, fetch_and_read, fetch_and_unpack, fetch_small};
use crate::log;
use crate::plan::fetch::{Compress, Provision, What};
use crate::stage::progress::Progress;
use crate::stage::unpack::{Unpacked, unpack, unpack_as_on};

/// Seconds for everything, where `--deadline` says nothing else.
const DEADLINE: u64 = 900;

/// Tries where the server refuses: by hand, that is the answer.
const REFUSALS: u32 = 3;

/// `rsinit fetch --uri URL --root DIR|--discard [--stage image|system|runtime]… [--compress auto|gz|raw]
/// [--assetkey-file FILE] [--uuid UUID] [--sha256 HEX] [--deadline SECONDS]`: fetches what is asked, in
/// the order given (all three where nothing is), and unpacks it below DIR, or to nowhere.
///
/// # Errors
/// A wrong argument, or what the fetching and unpacking say.
pub fn run_fetch(mut args: lexopt::Parser) -> anyhow::Result<()> {
    let (mut uri, mut root, mut stages) = (None, None, Vec::new());
    let (mut compress, mut sha256, mut seconds) = (Compress::Auto, None, DEADLINE);
    let (mut assetkey, mut uuid) = (String::new(), String::new());
    let mut discard = false;
    while let Some(arg) = args.next()? {
        match arg {
            Long("uri") => uri = Some(args.value()?.string()?),
            Long("root") => root = Some(PathBuf::from(args.value()?)),
            Long("discard") => discard = true,
            Long("stage") => stages.push(parse(&args.value()?.string()?, "stage", What::parse)?),
            Long("compress") => compress = parse(&args.value()?.string()?, "form", parse_compress)?,
            Long("sha256") => {
                sha256 = Some(parse(&args.value()?.string()?, "digest", parse_digest)?)
            }
            Long("deadline") => seconds = args.value()?.parse()?,
            // From a file: everybody sees a process's arguments.
            Long("assetkey-file") => assetkey = read_key(&PathBuf::from(args.value()?))?,
            Long("uuid") => uuid = args.value()?.string()?,
            other => return Err(other.unexpected().into()),
        }
    }
    let uri = uri.context("fetch: --uri is missing")?;
    if root.is_some() == discard {
        bail!("fetch: either --root DIR or --discard");
    }
    let server = Provision::from_uri(&uri).with_context(|| {
        format!(
            "fetch: --uri {}: not of the form http://HOST:PORT/provision/MAC",
            crate::net::redacted(&uri)
        )
    })?;
    let server = Provision { assetkey, uuid, compress, ..server };
    if stages.is_empty() {
        stages = vec![What::Image, What::System, What::Runtime];
    }
    let deadline = Instant::now() + Duration::from_secs(seconds);
    for what in stages {
        let mut options = Options::until(deadline, what);
        options.sha256 = sha256.filter(|_| what == What::Image);
        // Somebody waits for the answer.
        options.policy.refusals = Some(REFUSALS);
        fetch_stage(&server, what, root.as_deref(), &options).with_context(|| what.name())?;
    }
    Ok(())
}

fn read_key(path: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(path);
    Ok(text.with_context(|| format!("reading {}", path.display()))?.trim().to_owned())
}

fn fetch_stage(
    server: &Provision,
    what: What,
    root: Option<&Path>,
    options: &Options,
) -> anyhow::Result<()> {
    let (request, started) = (server.request(what), Instant::now());
    let mut say = |line| log::line(what.name(), line);
    let Some(root) = root else {
        let read = fetch_and_read(&request, options, &mut say, &|_| false)?;
        let (entries, bytes) = (read.entries, read.raw_bytes);
        let nowhere = Unpacked { entries, bytes, warnings: Vec::new() };
        tell(what.name(), Some(read.bytes), &nowhere, started);
        return Ok(());
    };
    let (bytes, unpacked) = if what == What::Image {
        let fetched = fetch_and_unpack(&request, root, options, &mut say)?;
        let (entries, bytes) = (fetched.entries, fetched.raw_bytes);
        (fetched.bytes, Unpacked { entries, bytes, warnings: fetched.warnings })
    } else {
        let archive = fetch_small(&request, options)?;
        let unpacked = unpack(root, archive.as_slice(), &Progress::default())?;
        (u64::try_from(archive.len())?, unpacked)
    };
    tell(what.name(), Some(bytes), &unpacked, started);
    Ok(())
}

/// `rsinit unpack --root DIR [--processors N] [ARCHIVE]`: unpacks a file, or standard input, below DIR;
/// with as many threads as on a node with N processors, if that is said.
///
/// # Errors
/// A wrong argument, or what the unpacking says.
pub fn run_unpack(mut args: lexopt::Parser) -> anyhow::Result<()> {
    let (mut root, mut archive, mut processors) = (None, None, None);
    while let Some(arg) = args.next()? {
        match arg {
            Long("root") => root = Some(PathBuf::from(args.value()?)),
            Long("processors") => processors = Some(args.value()?.parse::<usize>()?),
            Value(path) if archive.is_none() => archive = Some(PathBuf::from(path)),
            other => return Err(other.unexpected().into()),
        }
    }
    let root = root.context("unpack: --root is missing")?;
    let source: Box<dyn Read + Send> = match &archive {
        None => Box::new(io::stdin()),
        Some(path) => {
            Box::new(File::open(path).with_context(|| format!("opening {}", path.display()))?)
        }
    };
    let started = Instant::now();
    let progress = Progress::default();
    let unpacked = match processors {
        Some(count) => unpack_as_on(count, &root, source, &progress),
        None => unpack(&root, source, &progress),
    };
    let unpacked = unpacked.with_context(|| {
        let name = archive.as_deref().unwrap_or(Path::new("standard input"));
        format!("unpack: {}", name.display())
    })?;
    tell("unpack", None, &unpacked, started);
    Ok(())
}

/// The line at a step's end, after its warnings.
fn tell(step: &str, served: Option<u64>, unpacked: &Unpacked, started: Instant) {
    for warning in &unpacked.warnings {
        log::line(step, format_args!("warning: {warning}"));
    }
    let served = served.map(|bytes| format!("{} MB fetched, ", bytes / 1_000_000));
    log::line(
        step,
        format_args!(
            "{}{} files, {} MB in {:.1} s",
            served.unwrap_or_default(),
            unpacked.entries,
            unpacked.bytes / 1_000_000,
            started.elapsed().as_secs_f32()
        ),
    );
}

fn parse<T>(text: &str, kind: &str, read: impl Fn(&str) -> Option<T>) -> anyhow::Result<T> {
    read(text).ok_or_else(|| anyhow!("\"{text}\" is no {kind}"))
}

fn parse_compress(text: &str) -> Option<Compress> {
    Some(match text {
        "auto" => Compress::Auto,
        "gz" => Compress::Gz,
        "raw" => Compress::Raw,
        _ => return None,
    })
}

/// 64 hexadecimal digits, as sha256sum(1) writes them.
pub fn parse_digest(text: &str) -> Option<[u8; 32]> {
    let digits: Vec<u8> = text
        .chars()
        .map(|digit| digit.to_digit(16).and_then(|n| u8::try_from(n).ok()))
        .collect::<Option<_>>()?;
    let bytes: Vec<u8> =
        digits.chunks_exact(2).map(|pair| pair.iter().fold(0, |sum, n| sum << 4 | n)).collect();
    if digits.len() == 64 { bytes.try_into().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_that_is_none_is_named() {
        let temp = tempfile::tempdir().unwrap();
        let page = temp.path().join("page");
        std::fs::write(&page, "<html>").unwrap();
        let args = [Path::new("--root"), temp.path(), &page];
        let error = format!("{:#}", run_unpack(lexopt::Parser::from_args(args)).unwrap_err());
        let start = format!("unpack: {}: neither a cpio (newc) archive nor gzip", page.display());
        assert!(error.starts_with(&start), "{error}");
    }

    #[test]
    fn digests_are_64_hexadecimal_digits() {
        let text = "00ff".repeat(16);
        assert_eq!(parse_digest(&text).unwrap()[..3], [0, 255, 0]);
        assert_eq!(parse_digest(&text[1..]), None);
        assert_eq!(parse_digest(&text.replace('f', "g")), None);
    }
}

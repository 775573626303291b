//! `make bench`: fetches and unpacks an image by rsinit and by `curl | gzip -d | cpio -ium`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, anyhow, bail};
use lexopt::prelude::*;
use test_vm::bench::contender::Format;
use test_vm::bench::runner::Settings;
use test_vm::bench::{inflate, measure, runner};

const USAGE: &str = "\
usage: bench [--pairs N] [--format gz|raw|zst]... [--rsinit PATH] [--against PATH] [--cache DIR]
  --pairs N       runs of each side for each format (5)
  --format F      only this format; may be repeated (all)
  --rsinit PATH   the binary that is measured (the one beside this program)
  --against PATH  another rsinit in the place of the pipeline
  --cache DIR     where the image is kept (target/bench)
needs root, 8 GB of disk once and 5 GB of memory; fails only when something is wrong";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(cause) => {
            eprintln!("bench: {cause:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        // What the benchmark starts itself again for.
        ["measure", job] => println!("{}", measure::perform(job)?),
        ["inflate", path] => println!("{}", inflate::inflate(Path::new(path))?),
        ["--help" | "-h"] => println!("{USAGE}"),
        _ => print!("{}", runner::run(&parse(lexopt::Parser::from_env())?)?),
    }
    Ok(())
}

fn parse(mut arguments: lexopt::Parser) -> Result<Settings> {
    let program = std::env::current_exe().context("finding this program")?;
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut settings = Settings {
        cache: manifest.parent().unwrap_or(manifest).join("target/bench"),
        rsinit: program.with_file_name("rsinit"),
        against: None,
        pairs: 5,
        formats: Vec::new(),
    };
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("pairs") => settings.pairs = arguments.value()?.parse()?,
            Long("rsinit") => settings.rsinit = absolute(arguments.value()?)?,
            Long("against") => settings.against = Some(absolute(arguments.value()?)?),
            Long("cache") => settings.cache = absolute(arguments.value()?)?,
            Long("format") => settings.formats.push(parse_format(&arguments.value()?.string()?)?),
            other => bail!("{}\n{USAGE}", other.unexpected()),
        }
    }
    if settings.formats.is_empty() {
        settings.formats = Format::ALL.to_vec();
    }
    Ok(settings)
}

/// The commands start in another folder.
fn absolute(path: std::ffi::OsString) -> Result<PathBuf> {
    std::path::absolute(path).context("reading the current folder")
}

fn parse_format(name: &str) -> Result<Format> {
    let found = Format::ALL.into_iter().find(|format| format.name() == name);
    found.ok_or_else(|| anyhow!("--format {name}: one of gz, raw, zst"))
}

//! `make bench-disks`: blank disks to ext4 by rsinit and by mdadm and mke2fs, in a machine of
//! their own. The same program is that machine's first process.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use lexopt::prelude::*;
use test_vm::bench::disks::host::Settings;
use test_vm::bench::disks::{guest, host};

const USAGE: &str = "\
usage: bench-disks [--pairs N] [--with-discard N] [--array-pairs N] [--rsinit PATH]
  --pairs N         runs of each side for a file system (3)
  --with-discard N  runs of mke2fs as it is by default (1; each takes a minute under emulation)
  --array-pairs N   runs of each side for an array alone (5)
  --rsinit PATH     the binary that is measured (the one beside this program)
fails only when something is wrong";

fn main() -> ExitCode {
    let done = if std::process::id() == 1 { guest::run() } else { run() };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(cause) => {
            eprintln!("bench-disks: {cause:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let program = std::env::current_exe().context("finding this program")?;
    let mut settings = Settings::new(program.with_file_name("rsinit"));
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("pairs") => settings.job.pairs = arguments.value()?.parse()?,
            Long("with-discard") => settings.job.with_discard = arguments.value()?.parse()?,
            Long("array-pairs") => settings.job.array_pairs = arguments.value()?.parse()?,
            Long("rsinit") => settings.rsinit = PathBuf::from(arguments.value()?),
            Long("help") | Short('h') => {
                println!("{USAGE}");
                return Ok(());
            }
            other => bail!("{}\n{USAGE}", other.unexpected()),
        }
    }
    print!("{}", host::run(&settings)?);
    Ok(())
}

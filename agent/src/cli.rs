//! The command line of the binary: which stage or plan to run by hand.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use lexopt::prelude::*;

use crate::config::cmdline::Params;
use crate::layout::Layout;
use crate::plan;
use crate::report::{Report, svg, table};
use crate::stage;
use crate::sys::Linux;
use crate::sys::process::be_ended_last;

const USAGE: &str = "\
rsinit: boots a diskless compute node from a Warewulf server

  rsinit boot                 the whole boot; what the dracut hook runs
  rsinit claims-root          whether the kernel arguments give the root to rsinit
  rsinit plan [--json]        what the kernel arguments mean; touches nothing
  rsinit fetch --uri URL --root DIR|--discard [--stage image|system|runtime]...
  rsinit unpack --root DIR [--processors N] [ARCHIVE]
  rsinit disks plan|apply|status [--json]
  rsinit client               keeps the runtime overlays current on a node that is up
  rsinit mkfs.ext4 [-n] [-L LABEL] [-U UUID] [-E stride=N,stripe_width=N] PATH
  rsinit check [--uri URI] [--node MAC]  whether a boot would work; unpacks to nowhere
  rsinit report [--json|--svg] [FILE]   the last boot's stages and times, or those of FILE
  rsinit status [--json|--prometheus]   whether the node is as the boot left it
  rsinit help | --version

Called as mkdisk: mkdisk -c (assemble, or make on blank disks), mkdisk -r (wipe and make anew).
";

/// Runs the command that `args` (with the program's name first) asks for.
pub fn run(args: impl Iterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.collect();
    let called = args.first().map(Path::new).and_then(Path::file_name);
    let is_mkdisk = called.is_some_and(|name| name == "mkdisk");
    let mut parser = lexopt::Parser::from_iter(args);
    let result = if is_mkdisk {
        stage::disks::run_mkdisk(&Linux, &mut parser).map(|()| ExitCode::SUCCESS)
    } else {
        dispatch(parser)
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("rsinit: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(mut parser: lexopt::Parser) -> anyhow::Result<ExitCode> {
    let command = match parser.next()? {
        Some(Value(command)) => command.to_string_lossy().into_owned(),
        Some(Long("help") | Short('h')) | None => "help".to_owned(),
        Some(Long("version") | Short('V')) => "version".to_owned(),
        Some(other) => return Err(other.unexpected().into()),
    };
    match command.as_str() {
        "boot" => return Ok(boot()),
        "claims-root" => return claims_root(),
        "plan" => print_plan(json_flag(parser)?)?,
        "fetch" => stage::fetch::run_fetch(parser)?,
        "unpack" => stage::fetch::run_unpack(parser)?,
        "disks" => stage::disks::run_command(&Linux, &mut parser)?,
        "client" => stage::client::run_command(&Linux, parser)?,
        "mkfs.ext4" => stage::mkfs::run(parser)?,
        "status" => return stage::status::run(&mut parser),
        "check" => return stage::check::run(&mut parser),
        "report" => print_report(parser)?,
        "help" => print!("{USAGE}"),
        "version" => println!("rsinit {}", env!("CARGO_PKG_VERSION")),
        other => bail!("no command {other:?}; `rsinit help` lists them"),
    }
    Ok(ExitCode::SUCCESS)
}

/// `--json` and nothing else.
fn json_flag(mut parser: lexopt::Parser) -> anyhow::Result<bool> {
    let mut json = false;
    while let Some(arg) = parser.next()? {
        match arg {
            Long("json") => json = true,
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(json)
}

fn boot() -> ExitCode {
    let layout = Layout::node();
    crate::log::to_console(&layout);
    std::panic::set_hook(Box::new(|panic| crate::log::line("panic", panic)));
    if let Err(error) = be_ended_last() {
        crate::log::line("boot", format_args!("oom_score_adj: {error}"));
    }
    let cmdline = read_cmdline(&layout);
    let cmdline = match cmdline {
        Ok(cmdline) => cmdline,
        Err(error) => {
            crate::log::failure(format_args!("{error:#}"));
            return ExitCode::FAILURE;
        }
    };
    match stage::run(&Linux, &layout, &cmdline) {
        Ok(()) => ExitCode::SUCCESS,
        // It has said why.
        Err(_) => ExitCode::FAILURE,
    }
}

fn claims_root() -> anyhow::Result<ExitCode> {
    let (params, _) = Params::parse(&read_cmdline(&Layout::node())?);
    Ok(if params.claims_root() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print_plan(json: bool) -> anyhow::Result<()> {
    let (params, complaints) = Params::parse(&read_cmdline(&Layout::node())?);
    for complaint in complaints {
        eprintln!("rsinit: {complaint}");
    }
    let plan = plan::boot::plan(&params)?;
    if json {
        println!("{}", serde_json::to_string_pretty(&plan)?);
    } else {
        print!("{plan}");
    }
    Ok(())
}

/// `rsinit report [--json|--svg] [FILE]`: a table without either.
fn print_report(mut parser: lexopt::Parser) -> anyhow::Result<()> {
    let (mut form, mut path) = (String::new(), Layout::node().report());
    while let Some(arg) = parser.next()? {
        match arg {
            Long(name @ ("json" | "svg")) => form = name.to_owned(),
            Value(file) => path = file.into(),
            other => return Err(other.unexpected().into()),
        }
    }
    let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let report: Report =
        serde_json::from_str(&text).with_context(|| format!("reading {}", path.display()))?;
    match form.as_str() {
        "json" => print!("{text}"),
        "svg" => print!("{}", svg(&report)),
        _ => print!("{}", table(&report)),
    }
    Ok(())
}

fn read_cmdline(layout: &Layout) -> anyhow::Result<String> {
    let path = layout.cmdline();
    fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
}

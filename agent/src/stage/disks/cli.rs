//! `rsinit disks plan|apply|status [--json]`, and `mkdisk -c|-r` by that name.

use std::path::PathBuf;

use anyhow::{Context, bail};
use lexopt::prelude::*;

use crate::layout::Layout;
use crate::log;
use crate::plan::disks::Brake;
use crate::sys::Kernel;

use super::{Order, Prepared, mount, move_dirs, plan, prepare_with, read_sources, status};

/// What is done with the disks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Plan,
    Apply,
    Status,
}

const USAGE: &str = "usage: rsinit disks plan|apply|status [--json] [--root DIR] [--keep]";

/// Runs `rsinit disks …` with what follows the word `disks`. Settings are read from
/// `/etc/mkdisk` below `--root` (`/` without it), and volumes are mounted below it.
///
/// # Errors
/// A command line that is not understood; an array or file system that was asked for
/// and could not be made.
pub fn run_command(kernel: &dyn Kernel, parser: &mut lexopt::Parser) -> anyhow::Result<()> {
    let mut verb = None;
    let mut is_json = false;
    let mut brake = Brake::Auto;
    let mut layout = Layout { sysroot: PathBuf::from("/"), ..Layout::node() };
    while let Some(argument) = parser.next()? {
        match argument {
            Long("json") => is_json = true,
            Long("keep") => brake = Brake::Keep,
            Long("root") => layout.sysroot = parser.value()?.into(),
            Value(word) if verb.is_none() => {
                verb = Some(match word.to_str() {
                    Some("plan") => Verb::Plan,
                    Some("apply") => Verb::Apply,
                    Some("status") => Verb::Status,
                    _ => bail!("{USAGE}"),
                });
            }
            other => bail!("{}: {USAGE}", other.unexpected()),
        }
    }
    match verb {
        Some(Verb::Plan) => show_plan(kernel, &layout, brake, is_json),
        Some(Verb::Apply) => apply(kernel, &layout, Order { brake, wipe: None }, is_json),
        Some(Verb::Status) => show_status(&layout, is_json),
        None => bail!("{USAGE}"),
    }
}

/// Runs `mkdisk -c` (start what is ours, make what is blank) or `mkdisk -r` (wipe and
/// make anew), as the tool of that name did; below `/`.
///
/// # Errors
/// As [`run_command`].
pub fn run_mkdisk(kernel: &dyn Kernel, parser: &mut lexopt::Parser) -> anyhow::Result<()> {
    let layout = Layout { sysroot: PathBuf::from("/"), ..Layout::node() };
    let wipe = match parser.next()? {
        Some(Short('c')) => false,
        Some(Short('r')) => true,
        _ => bail!("usage: mkdisk -c (keep) | -r (wipe and make anew)"),
    };
    apply(kernel, &layout, Order { brake: Brake::Auto, wipe: Some(wipe) }, false)
}

fn show_plan(
    kernel: &dyn Kernel,
    layout: &Layout,
    brake: Brake,
    is_json: bool,
) -> anyhow::Result<()> {
    let sources = read_sources(&layout.sysroot);
    let mut prepared = Prepared::default();
    let mut say = |text: &str| log::line("disks", text);
    let order = Order { brake, wipe: None };
    match plan(kernel, layout, &sources, order, &mut prepared, &mut say) {
        Some((_, plan)) if is_json => print_json(&plan),
        Some((_, plan)) => {
            print!("{plan}");
            Ok(())
        }
        None => bail!(
            "no plan: see above, or there is no {}",
            layout.sysroot.join("etc/mkdisk/mkdisk.conf").display()
        ),
    }
}

fn apply(kernel: &dyn Kernel, layout: &Layout, order: Order, is_json: bool) -> anyhow::Result<()> {
    let sources = read_sources(&layout.sysroot);
    let mut say = |text: &str| log::line("disks", text);
    let mut prepared = prepare_with(kernel, layout, &sources, order, &mut say);
    mount(kernel, layout, &mut prepared, &mut say);
    move_dirs(kernel, layout, &mut prepared, &mut say);
    prepared.write(layout)?;
    if is_json {
        print_json(&prepared)?;
    }
    let failed = prepared.outcomes.iter().filter(|outcome| outcome.error.is_some()).count();
    let refused = prepared.plan.as_ref().map_or(1, |plan| plan.refusals.len());
    if failed > 0 || refused > 0 {
        bail!("{failed} failed, {refused} refused: see above");
    }
    Ok(())
}

fn show_status(layout: &Layout, is_json: bool) -> anyhow::Result<()> {
    let status = status::read_status(layout);
    if is_json {
        return print_json(&status);
    }
    print!("{status}");
    Ok(())
}

fn print_json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(value).context("writing JSON")?;
    println!("{text}");
    Ok(())
}

//! `test-vm demo`: one real node, watched. `test-vm test [--all | CASE…]`: the boot tests. `test-vm list`.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use test_vm::artifacts::Artifacts;
use test_vm::cases::{CASES, LONG};
use test_vm::debian::Release;
use test_vm::workshop::Workshop;
use test_vm::{commands, demo, runner, space};

/// What to type.
const USAGE: &str = "\
usage: test-vm demo [--keep]    boot a real node and watch it; --keep leaves it on, with its console
       test-vm test             the boot tests that a change must pass
       test-vm test --all       those, and the long ones
       test-vm test CASE…       these
       test-vm list             the cases
       test-vm prepare          make kernel, images and initramfs only
       test-vm commands         the documented commands, in fresh images
";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match run(&words) {
        Ok(code) => code,
        Err(cause) => {
            eprintln!("test-vm: {cause:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[String]) -> Result<ExitCode> {
    let Some((verb, rest)) = words.split_first() else {
        print!("{USAGE}");
        return Ok(ExitCode::FAILURE);
    };
    match verb.as_str() {
        "list" => {
            for case in CASES {
                println!("{:<24} {}", case.name, case.about);
            }
            for case in LONG {
                println!("{:<24} {} (long: with --all)", case.name, case.about);
            }
            Ok(ExitCode::SUCCESS)
        }
        "prepare" => {
            let releases = runner::releases(&runner::choose(&[])?);
            Artifacts::prepare(&Workshop::open()?, &releases).map(|_| ExitCode::SUCCESS)
        }
        "commands" => {
            let workshop = Workshop::open()?;
            let _occupied = workshop.occupy()?;
            commands::check(&workshop).map(|()| ExitCode::SUCCESS)
        }
        "demo" if rest.iter().all(|word| word == "--keep") => outside(words, &BTreeSet::new()),
        "test" => outside(words, &runner::releases(&runner::choose(rest)?)),
        // The two that this program calls itself by: see `space`.
        "inside" => inside(rest),
        "in-root" => {
            let (root, argv) = rest.split_first().context("in-root wants a folder")?;
            space::become_in_root(root.as_ref(), argv)
        }
        "help" | "--help" | "-h" => {
            print!("{USAGE}");
            Ok(ExitCode::SUCCESS)
        }
        _ => bail!("unknown command: {}\n{USAGE}", words.join(" ")),
    }
}

/// Makes what is missing, of these releases too, then goes inside.
fn outside(words: &[String], releases: &BTreeSet<Release>) -> Result<ExitCode> {
    let workshop = Workshop::open()?;
    let _occupied = workshop.occupy()?;
    workshop.require_room(releases)?;
    let artifacts = Artifacts::prepare(&workshop, releases)?;
    let scratch = workshop.scratch()?;
    artifacts.save(scratch.path())?;
    let folder = scratch.path().to_str().context("naming the scratch folder")?;
    let mut args = vec!["inside", folder];
    args.extend(words.iter().map(String::as_str));
    space::enter(&args)
}

/// The same command, inside the namespaces.
fn inside(words: &[String]) -> Result<ExitCode> {
    let [scratch, verb, rest @ ..] = words else { bail!("inside is for this program alone") };
    let scratch = PathBuf::from(scratch);
    let workshop = Workshop::open()?;
    let passed = match verb.as_str() {
        "demo" => demo::run(&workshop, &scratch, !rest.is_empty())?,
        _ => runner::run(&workshop, &scratch, &runner::choose(rest)?)?,
    };
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

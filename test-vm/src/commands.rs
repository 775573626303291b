//! The commands that the documentation gives for an image, in fresh minimal images: nobody types
//! what does not work.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use crate::debian::Release;
use crate::image::link_tree;
use crate::initramfs::HANDLERS;
use crate::kernel;
use crate::space::inside_root;
use crate::tool::{command, run};
use crate::workshop::Workshop;

/// Where they stand: in tables, each row beginning with the distributions it is for.
const DOCUMENT: &str = include_str!("../../dracut-module/README.md");

/// Those that are tried. Rocky Linux's archive is not within reach of every machine.
const IMAGES: [Release; 4] = [Release::Bookworm, Release::Trixie, Release::Jammy, Release::Noble];

/// Runs the commands in an image of each release, and looks into the initramfs that they make.
///
/// # Errors
/// `make dist` has not run, a command fails, or the initramfs lacks the agent or a network.
pub fn check(workshop: &Workshop) -> Result<()> {
    for release in IMAGES {
        check_in(workshop, release).with_context(|| format!("in {}", release.name()))?;
        println!("ok      the documented commands, in {}", release.name());
    }
    Ok(())
}

fn check_in(workshop: &Workshop, release: Release) -> Result<()> {
    let kernel = kernel::prepare(workshop, release)?;
    let scratch = workshop.scratch()?;
    let root = scratch.path().join("root");
    // What the documentation says is replaced.
    release.unpack(workshop, &["--variant=apt", "--include=initramfs-tools"], &root)?;
    let modules = root.join("usr/lib/modules");
    fs::create_dir_all(&modules).with_context(|| format!("making {}", modules.display()))?;
    link_tree(&kernel.modules(), &modules)?;
    copy_packages(&workshop.project.join("target/dist"), &root.join("root"))?;
    let commands = documented(DOCUMENT, "Ubuntu");
    ensure!(commands.len() == 2, "the documentation has {} commands: {commands:?}", commands.len());
    for command in commands {
        let command = command.replace("RELEASE", &kernel.release);
        run(&mut inside_root(&root, &["/bin/bash", "-c", &command])?)?;
    }
    let file = format!("/boot/initrd.img-{}", kernel.release);
    let files = run(&mut inside_root(&root, &["lsinitrd", &file])?)?;
    for name in ["usr/sbin/rsinit", "pre-mount/30-rsinit-boot.sh"] {
        ensure!(files.contains(name), "{file} has no {name}");
    }
    let modules = run(&mut inside_root(&root, &["lsinitrd", "--mod", &file])?)?;
    let has_network = modules.lines().any(|line| HANDLERS.contains(&line));
    ensure!(has_network, "{file} has nothing to bring a network up: {modules}");
    Ok(())
}

fn copy_packages(from: &Path, to: &Path) -> Result<()> {
    let entries = fs::read_dir(from).with_context(|| format!("reading {}", from.display()))?;
    for entry in entries {
        run(command("cp").arg(entry?.path()).arg(to))?;
    }
    Ok(())
}

/// The first command of each row of a table in `document` whose first cell names `distribution`.
fn documented<'a>(document: &'a str, distribution: &str) -> Vec<&'a str> {
    let rows = document.lines().filter_map(|line| line.strip_prefix("| ")?.split_once(" | "));
    let rows = rows.filter(|(first, _)| first.contains(distribution));
    rows.filter_map(|(_, rest)| rest.split('`').nth(1)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_what_stands_in_the_row_of_its_distribution() {
        let document = "Ubuntu | `not in a table`\n\
                        | Rocky 9 | `dnf` |\n\
                        | Ubuntu, Debian | `apt-get update && true` (replaces `it`) |\n";
        assert_eq!(documented(document, "Ubuntu"), ["apt-get update && true"]);
        assert_eq!(documented(document, "Rocky"), ["dnf"]);
        assert_eq!(documented(DOCUMENT, "Ubuntu").len(), 2);
    }
}

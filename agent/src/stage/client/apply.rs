//! Archives over a root that is in use: what differs is found first, then replaced file by file.
//!
//! Compared are kind, content (a link's target, a device's number), mode and owner; not the time,
//! as a server that builds an overlay anew gives all its files a new one. What is no longer in an
//! overlay stays.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use anyhow::Context as _;

use crate::format::cpio::Kind;
use crate::format::merge::{Merged, Wanted, merge};
use crate::net::Stop;
use crate::stage::unpack::explain::{explain, is_no_folder, shown};
use crate::stage::unpack::place::{DEFAULT_FOLDER, Placer};
use crate::sys::tree::{Dir, Look, Tree, clear_umask_of_this_thread, own_ids, split};

/// Most bytes that overlays may hold uncompressed: they are held in memory.
const LIMIT: u64 = 256 << 20;

/// Bytes compared at a time.
const BLOCK: usize = 64 << 10;

/// What was done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Applied {
    /// What was replaced, as absolute paths for people.
    pub changed: Vec<String>,
    /// What could not be, each with its cause.
    pub failed: Vec<String>,
    /// What a person should know of single files.
    pub warnings: Vec<String>,
}

/// Brings the root to what `archives` hold, the last of them winning. A file that cannot be
/// replaced does not keep the others from it. Ends early, between two files, where `stop` is
/// raised.
///
/// # Errors
/// A damaged or hostile archive; nothing has been done then.
pub fn apply(root: &Path, archives: &[Vec<u8>], stop: &Stop) -> anyhow::Result<Applied> {
    let merged = merge(archives, LIMIT)?;
    clear_umask_of_this_thread().context("clearing the umask")?;
    let open = || Tree::open_in_use(root).with_context(|| format!("opening {}", root.display()));
    let mut applied = Applied::default();
    let wanted = find_changed(&mut open()?, &merged, &mut applied);
    let mut placer = Placer::in_use(open()?);
    for (path, wanted) in wanted {
        if stop.is_raised() {
            applied.failed.push(format!("{}: told to end before", absolute(path)));
            break;
        }
        match placer.place_at(path, &wanted.entry, &mut &*wanted.data) {
            Ok(()) => applied.changed.push(absolute(path)),
            Err(error) => applied.failed.push(format!("{}: {error:#}", absolute(path))),
        }
    }
    applied.warnings.extend(placer.finish()?);
    for path in &merged.without_data {
        applied
            .warnings
            .push(format!("{}: left as it is: the archive has no data for it", absolute(path)));
    }
    Ok(applied)
}

fn absolute(path: &[u8]) -> String {
    format!("/{}", shown(path))
}

fn find_changed<'a>(
    tree: &mut Tree,
    merged: &'a Merged,
    applied: &mut Applied,
) -> Vec<(&'a Vec<u8>, &'a Wanted)> {
    let mut changed = Vec::new();
    for (path, wanted) in &merged.files {
        match differs(tree, path, wanted) {
            Ok(true) => changed.push((path, wanted)),
            Ok(false) => {}
            Err(error) => {
                applied.failed.push(format!("{}: {:#}", absolute(path), explain(error)));
            }
        }
    }
    changed
}

/// Whether what is at `path` is not what it should be.
fn differs(tree: &mut Tree, path: &[u8], wanted: &Wanted) -> io::Result<bool> {
    if path.is_empty() {
        return Ok(folder_differs(tree.root().own_look()?, wanted));
    }
    let (folder, name) = split(path);
    let parent = match tree.existing_directory(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        other => other?,
    };
    let look = match parent.look(name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        other => other?,
    };
    if wanted.entry.kind == Kind::Directory {
        let there = match () {
            () if look.kind == Kind::Directory.bits() => look,
            () if look.kind == Kind::Symlink.bits() => match tree.behind_link(&parent, name) {
                Err(error) if is_no_folder(&error) => return Ok(true),
                other => other?.own_look()?,
            },
            () => return Ok(true),
        };
        return Ok(folder_differs(there, wanted));
    }
    if look.kind != wanted.entry.kind.bits() || owner_differs(look, wanted) {
        return Ok(true);
    }
    let mode_differs = look.permissions != wanted.entry.permissions;
    Ok(match wanted.entry.kind {
        Kind::Regular => mode_differs || content_differs(&parent, name, look, &wanted.data)?,
        Kind::Symlink => parent.read_link(name)? != *wanted.data,
        Kind::CharDevice | Kind::BlockDevice => mode_differs || look.rdev != wanted.entry.rdev,
        Kind::Fifo | Kind::Socket | Kind::Directory => mode_differs,
    })
}

/// An entry that says no more than every folder does leaves the folder as it is.
fn folder_differs(look: Look, wanted: &Wanted) -> bool {
    let entry = &wanted.entry;
    (entry.uid, entry.gid, entry.permissions) != DEFAULT_FOLDER
        && (owner_differs(look, wanted) || look.permissions != entry.permissions)
}

/// Only root gives files away: run by anybody else, owners are not looked at.
fn owner_differs(look: Look, wanted: &Wanted) -> bool {
    own_ids().0 == 0 && look.owner != (wanted.entry.uid, wanted.entry.gid)
}

fn content_differs(parent: &Dir, name: &[u8], look: Look, data: &[u8]) -> io::Result<bool> {
    if u64::try_from(data.len()).ok() != Some(look.size) {
        return Ok(true);
    }
    Ok(!has_content(parent.open_file(name)?, data)?)
}

fn has_content(mut file: File, mut data: &[u8]) -> io::Result<bool> {
    let mut block = vec![0; BLOCK];
    loop {
        let got = match file.read(&mut block) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            other => other?,
        };
        let (Some(piece), Some((expected, rest))) = (block.get(..got), data.split_at_checked(got))
        else {
            return Ok(false);
        };
        if piece != expected {
            return Ok(false);
        }
        if got == 0 {
            return Ok(data.is_empty());
        }
        data = rest;
    }
}

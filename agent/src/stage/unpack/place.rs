//! One entry of an archive becomes one name below the root.
//!
//! What comes out is what GNU `cpio -idum` makes, and differs where that breaks nodes: a folder
//! entry keeps a link to a folder that is there already (merged /usr), and leaves owner and mode
//! of a folder that is there alone unless it says something else than root, 755.

use std::io;
use std::rc::Rc;

use anyhow::{Context as _, bail, ensure};

use super::data::{Data, copy_data};
use super::explain::{explain, explain_space, is_no_folder, may_not, shown};
use super::fill::{Later, Unfilled};
use super::folders::{Folders, Owed};
use crate::format::archive::path_below_root;
use crate::format::cpio::{Entry, Kind, NAME_LIMIT};
use crate::format::links::{Arrival, Links, Orphans};
use crate::sys::tree::{self, Dir, Node, Status, Tree, finish_file, split};

/// Bits beyond read, write and execute: a file loses them when its owner changes.
const SPECIAL_BITS: u32 = 0o7000;

/// A folder entry that says no more than this leaves a folder that is there as it is.
pub const DEFAULT_FOLDER: (u32, u32, u32) = (0, 0, 0o755);

/// Puts entries below a root.
pub struct Placer {
    pub(super) tree: Tree,
    links: Links,
    folders: Folders,
    /// Effective user and group: what is made belongs to them.
    own: (u32, u32),
    /// Whether programs read the root meanwhile.
    pub(super) is_in_use: bool,
    /// Where files may be filled later; nobody reads the root then.
    later: Option<Later>,
    /// What a person should know, one line each.
    pub warnings: Vec<String>,
}

impl Placer {
    /// Starts below the root of `tree`.
    pub fn new(tree: Tree, later: Option<Later>) -> Self {
        Self {
            tree,
            links: Links::default(),
            folders: Folders::default(),
            own: tree::own_ids(),
            is_in_use: false,
            later,
            warnings: Vec::new(),
        }
    }

    /// Starts below a root that is in use: a name that is taken leads to the old file or to the
    /// new one, at every moment, and a folder that is there keeps its time.
    pub fn in_use(tree: Tree) -> Self {
        Self { is_in_use: true, ..Self::new(tree, None) }
    }

    /// Places `entry`, whose data `data` holds, where its name says.
    ///
    /// # Errors
    /// A name or link that leads out of the root, a call that fails, an archive that breaks.
    pub fn place(&mut self, entry: &Entry, data: &mut impl Data) -> anyhow::Result<()> {
        let path = path_below_root(&entry.name)?;
        self.place_at(&path, entry, data)
    }

    /// Places `entry` at `path` below the root, as [`path_below_root`] has it.
    ///
    /// # Errors
    /// As [`place`](Self::place).
    pub fn place_at(
        &mut self,
        path: &[u8],
        entry: &Entry,
        data: &mut impl Data,
    ) -> anyhow::Result<()> {
        if path.is_empty() {
            ensure!(entry.kind == Kind::Directory, "the root must be a folder, not a file");
            let root = self.tree.root();
            return self.update_folder(&root, path, entry);
        }
        let (folder, name) = split(path);
        let parent = self.tree.directory(folder).map_err(explain)?;
        match entry.kind {
            Kind::Directory => self.place_folder(&parent, name, path, entry),
            Kind::Symlink => self.place_link(&parent, name, entry, data),
            Kind::Regular if entry.nlink < 2 => self.place_file(&parent, name, entry, data),
            Kind::Regular => self.place_shared(&parent, name, path, entry, data),
            _ => self.place_node(&parent, name, path, entry),
        }
    }

    fn place_file(
        &mut self,
        parent: &Dir,
        name: &[u8],
        entry: &Entry,
        data: &mut impl Data,
    ) -> anyhow::Result<()> {
        let mode = entry.permissions & !SPECIAL_BITS;
        let begun = self.begin_draft(parent, name, |at| parent.create_file(at, mode));
        let (draft, file) =
            begun.map_err(|error| explain_space(error, parent.space(), entry, 0))?;
        let special = (entry.permissions & SPECIAL_BITS != 0).then_some(entry.permissions);
        let owner = self.owner_to_set(parent, entry);
        if let Some(later) = &mut self.later {
            return later.fill(Unfilled { file, entry: entry.clone(), owner, special }, data);
        }
        copy_data(&file, entry, data)?;
        finish_file(&file, owner, special, entry.mtime)?;
        Ok(self.finish_draft(draft)?)
    }

    /// A file with several names.
    fn place_shared(
        &mut self,
        parent: &Dir,
        name: &[u8],
        path: &[u8],
        entry: &Entry,
        data: &mut impl Data,
    ) -> anyhow::Result<()> {
        match self.links.arrive(entry, path) {
            Arrival::Wait => Ok(()),
            Arrival::Link(made) => self.link(&made, path),
            Arrival::Make => {
                self.place_file(parent, name, entry, data)?;
                for waiting in self.links.made(entry, path) {
                    self.link(path, &waiting)?;
                }
                Ok(())
            }
        }
    }

    /// Gives the file at `made` the further name `path`.
    fn link(&mut self, made: &[u8], path: &[u8]) -> anyhow::Result<()> {
        if made == path {
            return Ok(());
        }
        let (folder, name) = split(path);
        let parent = self.tree.directory(folder).map_err(explain)?;
        let (made_folder, made_name) = split(made);
        let from = self.tree.directory(made_folder).map_err(explain)?;
        self.begin_draft(&parent, name, |at| parent.make_hard_link(at, &from, made_name))
            .and_then(|(draft, ())| self.finish_draft(draft))
            .with_context(|| format!("linking {} to {}", shown(path), shown(made)))
    }

    fn place_folder(
        &mut self,
        parent: &Rc<Dir>,
        name: &[u8],
        path: &[u8],
        entry: &Entry,
    ) -> anyhow::Result<()> {
        let mode = self.mode_while_filling(entry);
        match parent.make_directory(name, mode & !SPECIAL_BITS) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let status = parent.status(name)?;
                if status.is_directory {
                    let folder = self.tree.existing_directory(path)?;
                    return self.update_folder(&folder, path, entry);
                }
                if status.is_link {
                    match self.tree.behind_link(parent, name) {
                        Ok(folder) => return self.update_folder(&folder, path, entry),
                        // Leads to no folder: the entry's own replaces it, as any file.
                        Err(error) if is_no_folder(&error) => {}
                        Err(error) => return Err(explain(error)),
                    }
                }
                self.make(parent, name, || parent.make_directory(name, mode & !SPECIAL_BITS))?;
            }
            Err(error) => return Err(explain_space(error, parent.space(), entry, 0)),
        }
        if let Some((uid, gid)) = self.owner_to_set(parent, entry) {
            parent.set_owner(name, uid, gid)?;
        }
        if mode & SPECIAL_BITS != 0 || parent.inherits_group() {
            // By the folder itself: its name may be another's by now where the root is in use.
            self.tree.existing_directory(path)?.set_own_mode(mode)?;
            // It was opened before it handed down its group.
            self.tree.forget();
        }
        self.owe(path, true, entry, Some(entry.mtime));
        Ok(())
    }

    /// A folder entry for a folder that is there.
    fn update_folder(&mut self, folder: &Dir, path: &[u8], entry: &Entry) -> anyhow::Result<()> {
        if (entry.uid, entry.gid, entry.permissions) != DEFAULT_FOLDER {
            if self.own.0 == 0 {
                folder.set_own_owner(entry.uid, entry.gid)?;
            }
            folder.set_own_mode(self.mode_while_filling(entry))?;
            // Whether it hands down its group may have changed.
            self.tree.forget();
        }
        self.owe(path, false, entry, (!self.is_in_use).then_some(entry.mtime));
        Ok(())
    }

    fn owe(&mut self, path: &[u8], is_made: bool, entry: &Entry, mtime: Option<u32>) {
        let mode = Some(entry.permissions).filter(|mode| *mode != self.mode_while_filling(entry));
        self.folders.owe(Owed { path: path.to_vec(), is_made, mtime, mode });
    }

    /// Root may always write into a folder; another user needs the rights until all is in it.
    fn mode_while_filling(&self, entry: &Entry) -> u32 {
        if self.own.0 == 0 { entry.permissions } else { entry.permissions | 0o700 }
    }

    fn place_link(
        &mut self,
        parent: &Dir,
        name: &[u8],
        entry: &Entry,
        data: &mut impl Data,
    ) -> anyhow::Result<()> {
        let target = data.whole(NAME_LIMIT - 1)?;
        ensure!(!target.is_empty(), "a symbolic link without a target");
        ensure!(!target.contains(&0), "a symbolic link whose target contains a NUL");
        let (draft, ()) = self
            .begin_draft(parent, name, |at| parent.make_link(at, &target))
            .map_err(|error| explain_space(error, parent.space(), entry, 0))?;
        if let Some((uid, gid)) = self.owner_to_set(parent, entry) {
            parent.set_owner(&draft.at, uid, gid)?;
        }
        parent.set_time(&draft.at, entry.mtime)?;
        Ok(self.finish_draft(draft)?)
    }

    fn place_node(
        &mut self,
        parent: &Dir,
        name: &[u8],
        path: &[u8],
        entry: &Entry,
    ) -> anyhow::Result<()> {
        // A device that could not be made has no further names; where it could, each is made.
        let is_device = matches!(entry.kind, Kind::CharDevice | Kind::BlockDevice);
        let is_shared = entry.nlink > 1 && !(is_device && self.own.0 != 0);
        if is_shared && let Arrival::Link(made) = self.links.arrive(entry, path) {
            return self.link(&made, path);
        }
        let (major, minor) = entry.rdev;
        let node = match entry.kind {
            Kind::Fifo => Node::Fifo,
            Kind::Socket => Node::Socket,
            Kind::CharDevice => Node::CharDevice(major, minor),
            Kind::BlockDevice => Node::BlockDevice(major, minor),
            Kind::Directory | Kind::Regular | Kind::Symlink => bail!("not a special file"),
        };
        let mode = entry.permissions & !SPECIAL_BITS;
        let draft = match self.begin_draft(parent, name, |at| parent.make_node(at, node, mode)) {
            Err(error) if may_not(&error) && self.own.0 != 0 => {
                self.warnings.push(format!("{}: not made: only root makes devices", shown(path)));
                return Ok(());
            }
            other => other?.0,
        };
        if let Some((uid, gid)) = self.owner_to_set(parent, entry) {
            parent.set_owner(&draft.at, uid, gid)?;
        }
        if entry.permissions & SPECIAL_BITS != 0 {
            parent.set_mode(&draft.at, entry.permissions)?;
        }
        parent.set_time(&draft.at, entry.mtime)?;
        Ok(self.finish_draft(draft)?)
    }

    /// The owner that a new file does not have by itself. Only root gives files away: run by
    /// anybody else, everything stays the process's own.
    fn owner_to_set(&self, parent: &Dir, entry: &Entry) -> Option<(u32, u32)> {
        let wanted = (entry.uid, entry.gid);
        (self.own.0 == 0 && (wanted != self.own || parent.inherits_group())).then_some(wanted)
    }

    /// Makes `name`, removing what is there.
    pub(super) fn make<T>(
        &mut self,
        parent: &Dir,
        name: &[u8],
        make: impl Fn() -> io::Result<T>,
    ) -> io::Result<T> {
        match make() {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            other => return other,
        }
        let status = parent.status(name)?;
        self.remove(parent, name, status)?;
        make()
    }

    pub(super) fn remove(&mut self, parent: &Dir, name: &[u8], status: Status) -> io::Result<()> {
        parent.remove(name, status.is_directory).map_err(|error| match error.kind() {
            io::ErrorKind::DirectoryNotEmpty => {
                io::Error::new(error.kind(), "a folder is in its place that is not empty")
            }
            _ => error,
        })?;
        if status.is_directory {
            self.folders.doubt();
        }
        if status.is_directory || status.is_link {
            self.tree.forget();
        }
        Ok(())
    }

    /// Ends one archive of the stream: names whose data never came are empty files.
    ///
    /// # Errors
    /// A file cannot be made.
    pub fn end_archive(&mut self) -> anyhow::Result<()> {
        for orphans in self.links.end() {
            let Some((first, entry)) = orphans.names.first() else { continue };
            let (folder, name) = split(first);
            let parent = self.tree.directory(folder).map_err(explain)?;
            self.place_file(&parent, name, entry, &mut &b""[..])
                .with_context(|| format!("unpacking {}", shown(first)))?;
            for (path, _) in orphans.names.iter().skip(1) {
                self.link(first, path)?;
            }
            self.warn_of(&orphans);
        }
        Ok(())
    }

    fn warn_of(&mut self, orphans: &Orphans) {
        let Some(rival) = &orphans.rival else { return };
        for (path, entry) in &orphans.names {
            self.warnings.push(format!(
                "{}: empty: the archive has no data for it, and its inode number {} is also that of {}, \
                 a different file (hard links damaged when the image was built)",
                shown(path),
                entry.inode,
                shown(rival)
            ));
        }
    }

    /// Pays what is owed to the folders; returns the warnings.
    ///
    /// # Errors
    /// A folder cannot be changed.
    pub fn finish(mut self) -> anyhow::Result<Vec<String>> {
        if let Some(later) = self.later.take() {
            later.finish()?;
        }
        if self.is_in_use {
            self.folders.doubt();
        }
        self.folders.pay(&mut self.tree)?;
        Ok(self.warnings)
    }
}

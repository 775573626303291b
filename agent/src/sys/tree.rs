//! Directory trees by descriptor: no path below a root is ever resolved by the kernel in one go.
//!
//! Every component is opened by itself with `O_NOFOLLOW`; a symbolic link on the way is read and
//! followed inside the root, as a chroot would follow it, and refused where it climbs above it.
//! That is what openat2(2) does with `RESOLVE_IN_ROOT`, with nothing newer than Linux 4.18.
//! It holds while nobody else writes below the root, as during a boot. In a root that is in use,
//! only links of root's and the process's own are followed: no user leads a file elsewhere.

mod dir;
mod empty;
mod huge;
mod look;

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::rc::Rc;

use rustix::fs::Mode;
use rustix::io::Errno;

pub use dir::{Dir, Node, Space, Status, finish_file, space_around};
pub use empty::{empty, empty_folder, open_folder};
pub use huge::HugePages;
pub use look::Look;

/// Links that one path may lead through. Source: `MAXSYMLINKS`, `linux/namei.h`.
const LINK_LIMIT: u32 = 40;

/// Directories held open at once; the usual limit of a process is 1,024 files.
const OPEN_LIMIT: usize = 256;

/// Mode of a folder that an archive's file needs and does not bring.
const MISSING_FOLDER: u32 = 0o755;

/// A root, and the directories below it that were used lately.
///
/// Errors besides those of the calls: `EXDEV` where `..` leads above the root, as openat2(2)
/// says it; `ELOOP` for more than 40 links; `ENOTDIR` where a file stands in the way.
#[derive(Debug)]
pub struct Tree {
    root: Rc<Dir>,
    /// Whether users may have made links below it.
    is_in_use: bool,
    /// Directories by the path they were asked for.
    open: HashMap<Vec<u8>, Rc<Dir>>,
    /// The one asked for last: archives keep a folder's files together.
    last: Option<(Vec<u8>, Rc<Dir>)>,
}

impl Tree {
    /// Opens the root, which must be a directory.
    ///
    /// # Errors
    /// Those of openat(2).
    pub fn open(root: &Path) -> io::Result<Self> {
        let root = Rc::new(Dir::open_root(root)?);
        Ok(Self { root, is_in_use: false, open: HashMap::new(), last: None })
    }

    /// Opens a root that others write to: a link on the way that belongs to another user than
    /// root and the process's own is `EPERM`.
    ///
    /// # Errors
    /// Those of openat(2).
    pub fn open_in_use(root: &Path) -> io::Result<Self> {
        Ok(Self { is_in_use: true, ..Self::open(root)? })
    }

    /// The root itself.
    pub fn root(&self) -> Rc<Dir> {
        Rc::clone(&self.root)
    }

    /// The directory at `path`: names divided by single `/`, none of them empty, `.` or `..`.
    /// Empty: the root. What is missing is made, with mode 755.
    ///
    /// # Errors
    /// As said at [`Tree`].
    pub fn directory(&mut self, path: &[u8]) -> io::Result<Rc<Dir>> {
        if path.is_empty() {
            return Ok(self.root());
        }
        if let Some((last, dir)) = &self.last
            && last == path
        {
            return Ok(Rc::clone(dir));
        }
        let dir = self.find(path, true)?;
        self.last = Some((path.to_vec(), Rc::clone(&dir)));
        Ok(dir)
    }

    /// As [`directory`](Self::directory), but nothing is made.
    ///
    /// # Errors
    /// `ENOENT` where there is no such directory; else as said at [`Tree`].
    pub fn existing_directory(&mut self, path: &[u8]) -> io::Result<Rc<Dir>> {
        if path.is_empty() { Ok(self.root()) } else { self.find(path, false) }
    }

    fn find(&mut self, path: &[u8], make: bool) -> io::Result<Rc<Dir>> {
        if let Some(dir) = self.open.get(path) {
            return Ok(Rc::clone(dir));
        }
        let (parent, name) = split(path);
        let parent = if parent.is_empty() { self.root() } else { self.find(parent, make)? };
        let dir = self.step(&parent, name, &mut 0, make)?;
        if self.open.len() >= OPEN_LIMIT {
            self.open.clear();
        }
        self.open.insert(path.to_vec(), Rc::clone(&dir));
        Ok(dir)
    }

    /// The directory that the link `name` in `dir` leads to, if it leads to one.
    ///
    /// # Errors
    /// `ENOENT` or `ENOTDIR` where it does not; else as said at [`Tree`].
    pub fn behind_link(&self, dir: &Rc<Dir>, name: &[u8]) -> io::Result<Rc<Dir>> {
        self.step(dir, name, &mut 0, false)
    }

    /// Forgets the directories held open: after something on the way to one was replaced.
    pub fn forget(&mut self) {
        self.open.clear();
        self.last = None;
    }

    /// One component further.
    fn step(&self, dir: &Rc<Dir>, name: &[u8], links: &mut u32, make: bool) -> io::Result<Rc<Dir>> {
        match Dir::open_in(dir, name) {
            Ok(child) => Ok(Rc::new(child)),
            Err(Errno::NOENT) if make => {
                dir.make_directory(name, MISSING_FOLDER)?;
                Ok(Rc::new(Dir::open_in(dir, name)?))
            }
            Err(Errno::LOOP | Errno::NOTDIR) => {
                // EINVAL: not a link but a file, where a directory must be.
                let read = if self.is_in_use { Dir::read_own_link } else { Dir::read_link };
                let target = read(dir, name).map_err(|errno| match errno {
                    Errno::INVAL => Errno::NOTDIR,
                    other => other,
                })?;
                self.follow(dir, &target, links)
            }
            Err(errno) => Err(errno.into()),
        }
    }

    fn follow(&self, dir: &Rc<Dir>, target: &[u8], links: &mut u32) -> io::Result<Rc<Dir>> {
        *links += 1;
        if *links > LINK_LIMIT {
            return Err(Errno::LOOP.into());
        }
        let mut here = if target.starts_with(b"/") { self.root() } else { Rc::clone(dir) };
        for name in target.split(|byte| *byte == b'/') {
            here = match name {
                b"" | b"." => here,
                b".." => here.parent().ok_or(Errno::XDEV)?,
                name => self.step(&here, name, links, false)?,
            };
        }
        Ok(here)
    }
}

/// A path's folder and its last name.
pub fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(at) => {
            let (parent, name) = path.split_at(at);
            (parent, name.get(1..).unwrap_or_default())
        }
        None => (b"", path),
    }
}

/// The effective user and group of the process.
pub fn own_ids() -> (u32, u32) {
    (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw())
}

/// Gives the calling thread a umask of its own, zero, so that modes come out as asked for.
///
/// # Errors
/// Those of unshare(2): none are known for `CLONE_FS`.
#[allow(unsafe_code, reason = "unshare(2) can take a thread's files away; this does not")]
pub fn clear_umask_of_this_thread() -> io::Result<()> {
    use rustix::thread::{UnshareFlags, unshare_unsafe};
    // SAFETY: only CLONE_FILES endangers descriptors held elsewhere; CLONE_FS parts this thread's
    // working directory, root and umask from those of the others.
    unsafe { unshare_unsafe(UnshareFlags::FS)? };
    rustix::process::umask(Mode::empty());
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn error(tree: &mut Tree, path: &str) -> Option<i32> {
        tree.directory(path.as_bytes()).unwrap_err().raw_os_error()
    }

    #[test]
    fn links_are_followed_inside_the_root() {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path();
        fs::create_dir_all(root.join("usr/lib")).unwrap();
        symlink("usr/lib", root.join("lib")).unwrap();
        symlink("/usr", root.join("absolute")).unwrap();
        symlink("../lib/../../absolute/lib", root.join("usr/around")).unwrap();
        let mut tree = Tree::open(root).unwrap();
        for path in ["lib", "absolute/lib", "usr/around"] {
            tree.directory(path.as_bytes()).unwrap().make_directory(b"made", 0o755).unwrap();
            fs::remove_dir(root.join("usr/lib/made")).unwrap();
        }
    }

    #[test]
    fn a_link_above_the_root_is_refused() {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path().join("root");
        fs::create_dir(&root).unwrap();
        symlink("..", root.join("up")).unwrap();
        symlink("/../..", root.join("far")).unwrap();
        let mut tree = Tree::open(&root).unwrap();
        assert_eq!(error(&mut tree, "up"), Some(Errno::XDEV.raw_os_error()));
        assert_eq!(error(&mut tree, "far/etc"), Some(Errno::XDEV.raw_os_error()));
    }

    #[test]
    fn loops_files_and_dangling_links_are_refused() {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path();
        symlink("b", root.join("a")).unwrap();
        symlink("a", root.join("b")).unwrap();
        symlink("nowhere", root.join("dangling")).unwrap();
        fs::write(root.join("file"), "").unwrap();
        let mut tree = Tree::open(root).unwrap();
        assert_eq!(error(&mut tree, "a"), Some(Errno::LOOP.raw_os_error()));
        assert_eq!(error(&mut tree, "file/x"), Some(Errno::NOTDIR.raw_os_error()));
        assert_eq!(error(&mut tree, "dangling/x"), Some(Errno::NOENT.raw_os_error()));
    }

    #[test]
    fn in_a_root_in_use_only_links_of_roots_and_our_own_are_followed() {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path();
        fs::create_dir(root.join("real")).unwrap();
        symlink("real", root.join("link")).unwrap();
        Tree::open_in_use(root).unwrap().directory(b"link").unwrap();
        // This needs root, as the client does.
        std::os::unix::fs::lchown(root.join("link"), Some(1234), None).unwrap();
        let mut tree = Tree::open_in_use(root).unwrap();
        assert_eq!(error(&mut tree, "link"), Some(Errno::PERM.raw_os_error()));
        fs::write(root.join("file"), "").unwrap();
        assert_eq!(error(&mut tree, "file/x"), Some(Errno::NOTDIR.raw_os_error()));
        Tree::open(root).unwrap().directory(b"link").unwrap();
    }

    #[test]
    fn more_directories_than_may_be_open_are_no_trouble() {
        let temp = tempfile::tempdir().unwrap();
        let mut tree = Tree::open(temp.path()).unwrap();
        for number in 0..2 * OPEN_LIMIT {
            tree.directory(format!("d/{number}/x").as_bytes()).unwrap();
        }
        assert_eq!(fs::read_dir(temp.path().join("d")).unwrap().count(), 2 * OPEN_LIMIT);
    }

    #[test]
    fn the_umask_of_other_threads_stays() {
        let before = rustix::process::umask(Mode::from_raw_mode(0o027));
        std::thread::spawn(|| clear_umask_of_this_thread().unwrap()).join().unwrap();
        assert_eq!(rustix::process::umask(before), Mode::from_raw_mode(0o027));
    }
}

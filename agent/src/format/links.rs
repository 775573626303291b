//! Several names of one file, as newc archives have them.
//!
//! GNU cpio writes all names but the last with no data, and the data with the last. Servers up to
//! Warewulf 4.7.0 can give two different files one inode number (64 bits cut to 32): such entries
//! differ in their metadata, and are never linked to one another.

use std::collections::HashMap;

use crate::format::cpio::{Entry, Kind};

/// What to do with an entry that has several names.
#[derive(Debug, PartialEq, Eq)]
pub enum Arrival {
    /// Make it; then tell [`Links::made`].
    Make,
    /// It is one more name of this path; its data, if any, is the same.
    Link(Vec<u8>),
    /// Its data comes with another name.
    Wait,
}

/// What must be equal in all names of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Likeness {
    kind: Kind,
    permissions: u32,
    owner: (u32, u32),
    mtime: u32,
    nlink: u32,
    rdev: (u32, u32),
}

impl Likeness {
    fn of(entry: &Entry) -> Self {
        Self {
            kind: entry.kind,
            permissions: entry.permissions,
            owner: (entry.uid, entry.gid),
            mtime: entry.mtime,
            nlink: entry.nlink,
            rdev: entry.rdev,
        }
    }
}

/// The names of one file.
#[derive(Debug)]
struct Group {
    likeness: Likeness,
    /// The name that was made, and its size.
    made: Option<(Vec<u8>, u32)>,
    /// Names seen before it, with their entry.
    waiting: Vec<(Vec<u8>, Entry)>,
}

/// Names whose data never came.
#[derive(Debug, PartialEq, Eq)]
pub struct Orphans {
    /// Path and entry of each name.
    pub names: Vec<(Vec<u8>, Entry)>,
    /// A name of another file with the same inode number, where the archive has one.
    pub rival: Option<Vec<u8>>,
}

/// The files with several names of one archive.
#[derive(Debug, Default)]
pub struct Links {
    by_inode: HashMap<((u32, u32), u32), Vec<Group>>,
}

impl Links {
    /// Takes in an entry with `nlink` above one, to be placed at `path`.
    pub fn arrive(&mut self, entry: &Entry, path: &[u8]) -> Arrival {
        let likeness = Likeness::of(entry);
        let groups = self.by_inode.entry((entry.device, entry.inode)).or_default();
        let same = groups.iter_mut().find(|group| {
            let fits = |size: u32| entry.size == 0 || entry.size == size;
            group.likeness == likeness && group.made.as_ref().is_none_or(|made| fits(made.1))
        });
        let group = match same {
            Some(group) => group,
            None => {
                groups.push(Group { likeness, made: None, waiting: Vec::new() });
                match groups.last_mut() {
                    Some(group) => group,
                    None => return Arrival::Make,
                }
            }
        };
        match &group.made {
            Some((made, _)) => Arrival::Link(made.clone()),
            None if entry.size == 0 && entry.kind == Kind::Regular => {
                group.waiting.push((path.to_vec(), entry.clone()));
                Arrival::Wait
            }
            None => {
                group.made = Some((path.to_vec(), entry.size));
                Arrival::Make
            }
        }
    }

    /// The names that waited for `entry`, now that it is made at `path`.
    pub fn made(&mut self, entry: &Entry, path: &[u8]) -> Vec<Vec<u8>> {
        let groups = self.by_inode.get_mut(&(entry.device, entry.inode));
        let group = groups
            .into_iter()
            .flatten()
            .find(|group| group.made.as_ref().is_some_and(|(made, _)| made == path));
        group
            .map(|group| group.waiting.drain(..).map(|(path, _)| path).collect())
            .unwrap_or_default()
    }

    /// Ends the archive: what still waits for its data, in the order of the first names.
    pub fn end(&mut self) -> Vec<Orphans> {
        let mut all = Vec::new();
        for (_, groups) in self.by_inode.drain() {
            for group in groups.iter().filter(|group| !group.waiting.is_empty()) {
                let others = groups.iter().filter(|other| !std::ptr::eq(*other, group));
                let rival = others.filter_map(Group::any_name).next();
                all.push(Orphans { names: group.waiting.clone(), rival });
            }
        }
        all.sort_by(|a, b| a.names.first().map(|n| &n.0).cmp(&b.names.first().map(|n| &n.0)));
        all
    }
}

impl Group {
    fn any_name(&self) -> Option<Vec<u8>> {
        let waiting = self.waiting.first().map(|(path, _)| path);
        self.made.as_ref().map(|(path, _)| path).or(waiting).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(size: u32, mtime: u32) -> Entry {
        Entry {
            name: Vec::new(),
            kind: Kind::Regular,
            permissions: 0o644,
            uid: 0,
            gid: 0,
            nlink: 2,
            mtime,
            size,
            inode: 5,
            device: (8, 1),
            rdev: (0, 0),
            archive: 0,
        }
    }

    #[test]
    fn data_comes_with_the_last_name() {
        let mut links = Links::default();
        assert_eq!(links.arrive(&entry(0, 1), b"a"), Arrival::Wait);
        assert_eq!(links.arrive(&entry(9, 1), b"b"), Arrival::Make);
        assert_eq!(links.made(&entry(9, 1), b"b"), [b"a".to_vec()]);
        assert_eq!(links.arrive(&entry(0, 1), b"c"), Arrival::Link(b"b".to_vec()));
        assert_eq!(links.arrive(&entry(9, 1), b"d"), Arrival::Link(b"b".to_vec()));
        assert_eq!(links.end(), []);
    }

    #[test]
    fn one_inode_with_two_likenesses_is_two_files() {
        let mut links = Links::default();
        assert_eq!(links.arrive(&entry(0, 1), b"a"), Arrival::Wait);
        assert_eq!(links.arrive(&entry(7, 2), b"b"), Arrival::Make);
        assert_eq!(links.made(&entry(7, 2), b"b"), [] as [Vec<u8>; 0]);
        let orphans = links.end();
        assert_eq!(orphans.len(), 1);
        assert_eq!(orphans[0].names[0].0, b"a");
        assert_eq!(orphans[0].rival.as_deref(), Some(&b"b"[..]));
    }

    #[test]
    fn data_of_another_size_is_another_file() {
        let mut links = Links::default();
        assert_eq!(links.arrive(&entry(7, 1), b"a"), Arrival::Make);
        assert_eq!(links.arrive(&entry(8, 1), b"b"), Arrival::Make);
    }

    #[test]
    fn empty_files_have_names_too() {
        let mut links = Links::default();
        assert_eq!(links.arrive(&entry(0, 1), b"a"), Arrival::Wait);
        assert_eq!(links.arrive(&entry(0, 1), b"b"), Arrival::Wait);
        let orphans = links.end();
        assert_eq!(orphans[0].names.len(), 2);
        assert_eq!(orphans[0].rival, None);
    }
}

//! Several small archives as one: what is there after they were unpacked one after another.
//!
//! For a root that is in use. Each path comes once, with the entry and the data that win, so
//! that nothing is written that the next archive would overwrite; each name of a file with
//! several is a file by itself. All of it is read, and every name judged, before anything is done.

use std::collections::BTreeMap;
use std::io::BufReader;
use std::rc::Rc;

use super::archive::{BadPath, path_below_root};
use super::compression;
use super::cpio::{self, Entry, Kind};
use super::links::{Arrival, Links};

/// Uncompressed bytes read at a time.
const BLOCK: usize = 64 << 10;

/// One path of the merged archives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// What is to be there.
    pub entry: Entry,
    /// Its content, or a link's target.
    pub data: Rc<[u8]>,
}

/// What archives hold together.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Merged {
    /// By path below the root, folders before what is in them. An empty path: the root itself.
    pub files: BTreeMap<Vec<u8>, Wanted>,
    /// Names of files whose data is in no archive (see [`Links`]): nothing is known of them.
    pub without_data: Vec<Vec<u8>>,
}

/// Why archives cannot be merged.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An archive's form is not known.
    #[error(transparent)]
    Form(#[from] compression::Error),
    /// One is not a sound archive.
    #[error(transparent)]
    Cpio(#[from] cpio::Error),
    /// An entry would be placed outside the root.
    #[error("{}: {cause}", String::from_utf8_lossy(.name).escape_debug())]
    Path {
        /// The name in the archive.
        name: Vec<u8>,
        /// What is wrong with it.
        cause: BadPath,
    },
    /// There is more in them than may be held in memory, in bytes.
    #[error("more than {0} bytes uncompressed")]
    TooLong(u64),
}

/// Merges `archives`, of which the last wins; `limit` is the most data in bytes that they may
/// hold uncompressed.
///
/// # Errors
/// [`Error`].
pub fn merge(archives: &[impl AsRef<[u8]>], limit: u64) -> Result<Merged, Error> {
    let mut merged = Merged::default();
    let mut left = limit;
    for archive in archives {
        add(&mut merged, archive.as_ref(), &mut left, limit)?;
    }
    let files = &merged.files;
    merged.without_data.retain(|path| !files.contains_key(path));
    Ok(merged)
}

fn add(merged: &mut Merged, archive: &[u8], left: &mut u64, limit: u64) -> Result<(), Error> {
    let source = compression::open(archive)?;
    let mut reader = cpio::Reader::new(BufReader::with_capacity(BLOCK, source));
    let (mut links, mut number) = (Links::default(), 0);
    // The data of files with several names, by the name that brought it.
    let mut shared: BTreeMap<Vec<u8>, Rc<[u8]>> = BTreeMap::new();
    while let Some(mut entry) = reader.next_entry()? {
        if entry.archive != number {
            number = entry.archive;
            end(merged, &mut links);
        }
        let path = path_below_root(&entry.name)
            .map_err(|cause| Error::Path { name: entry.name.clone(), cause })?
            .into_owned();
        *left = left.checked_sub(u64::from(entry.size)).ok_or(Error::TooLong(limit))?;
        let data: Rc<[u8]> = reader.read_data(entry.size)?.into();
        if entry.kind != Kind::Regular || entry.nlink < 2 {
            merged.files.insert(path, Wanted { entry, data });
            continue;
        }
        let arrival = links.arrive(&entry, &path);
        let waiting = links.made(&entry, &path);
        entry.nlink = 1;
        match arrival {
            Arrival::Wait => {}
            Arrival::Link(made) => {
                let data = shared.get(&made).cloned().unwrap_or(data);
                merged.files.insert(path, Wanted { entry, data });
            }
            Arrival::Make => {
                shared.insert(path.clone(), Rc::clone(&data));
                for name in waiting.into_iter().chain([path]) {
                    let wanted = Wanted { entry: entry.clone(), data: Rc::clone(&data) };
                    merged.files.insert(name, wanted);
                }
            }
        }
    }
    end(merged, &mut links);
    Ok(())
}

/// Ends one archive of a stream: for what still waits, no data comes any more.
fn end(merged: &mut Merged, links: &mut Links) {
    for orphans in links.end() {
        merged.without_data.extend(orphans.names.into_iter().map(|(path, _)| path));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One newc entry: `fields` are inode, mode, nlink.
    fn entry(name: &str, fields: [u32; 3], data: &str) -> Vec<u8> {
        let [inode, mode, nlink] = fields;
        let [size, name_size] = [data.len(), name.len() + 1].map(|n| u32::try_from(n).unwrap());
        let mut out = b"070701".to_vec();
        for field in [inode, mode, 0, 0, nlink, 5, size, 0, 0, 0, 0, name_size, 0] {
            out.extend_from_slice(format!("{field:08x}").as_bytes());
        }
        out.extend_from_slice(name.as_bytes());
        out.push(0);
        out.resize(out.len().next_multiple_of(4), 0);
        out.extend_from_slice(data.as_bytes());
        out.resize(out.len().next_multiple_of(4), 0);
        out
    }

    fn file(name: &str, data: &str) -> Vec<u8> {
        entry(name, [1, 0o100_644, 1], data)
    }

    fn whole(entries: &[Vec<u8>]) -> Vec<u8> {
        [entries.concat(), entry("TRAILER!!!", [0, 0, 1], "")].concat()
    }

    fn texts(merged: &Merged) -> Vec<(String, String)> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        merged.files.iter().map(|(path, one)| (text(path), text(&one.data))).collect()
    }

    fn pair(name: &str, data: &str) -> (String, String) {
        (name.to_owned(), data.to_owned())
    }

    #[test]
    fn the_last_of_each_name_wins_and_folders_come_first() {
        let folder = entry("./etc/", [2, 0o040_755, 2], "");
        let one = whole(&[file("etc/a", "one"), file("etc/b", "one"), folder]);
        let two = whole(&[file("etc/./b", "two"), file("etc/c", "first"), file("etc/c", "two")]);
        let merged = merge(&[one, two], 1000).unwrap();
        assert_eq!(
            texts(&merged),
            [pair("etc", ""), pair("etc/a", "one"), pair("etc/b", "two"), pair("etc/c", "two")]
        );
    }

    #[test]
    fn each_name_of_a_file_has_its_data() {
        let name = |name, data| entry(name, [7, 0o100_600, 3], data);
        let bytes = whole(&[name("a", ""), name("c", ""), name("b", "data"), file("z", "")]);
        let merged = merge(&[bytes.clone(), whole(&[file("c", "own")])], 1000).unwrap();
        assert_eq!(
            texts(&merged),
            [pair("a", "data"), pair("b", "data"), pair("c", "own"), pair("z", "")]
        );
        assert!(merged.files.values().all(|one| one.entry.nlink == 1));
        let cut = whole(&[name("a", ""), name("c", "")]);
        let merged = merge(&[cut, whole(&[file("c", "own")])], 1000).unwrap();
        assert_eq!(merged.without_data, [b"a".to_vec()]);
        assert_eq!(texts(&merged), [pair("c", "own")]);
    }

    #[test]
    fn hostile_and_cut_archives_are_refused_whole() {
        let error = |bytes: Vec<u8>| merge(&[bytes], 1000).unwrap_err().to_string();
        let good = file("etc/a", "a");
        let up = whole(&[good.clone(), file("../etc/passwd", "x")]);
        assert_eq!(error(up), "../etc/passwd: its name has a component \"..\"");
        let absolute = whole(&[good.clone(), file("/etc/passwd", "x")]);
        assert!(error(absolute).contains("absolute path"));
        assert!(error(good).contains("trailer"));
        assert!(error(b"<html>".to_vec()).contains("neither"));
        assert!(error(whole(&[file("a", &"x".repeat(1001))])).contains("more than 1000 bytes"));
    }
}

//! A tree as text, one line an entry with everything an archive says about it: two trees are
//! equal where their listings are. The times of folders and symlinks are left out, as the
//! pipeline does not restore them.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs::{self, File, Metadata};
use std::io::{self, BufRead as _, BufReader, BufWriter, Write};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use sha2::{Digest as _, Sha256};

/// How many lines of a difference are told.
const TOLD: usize = 6;

/// Writes the listing of what is below `root` into `out`; `root` itself is left out.
///
/// # Errors
/// Something below `root` cannot be read, or `out` cannot be written.
pub fn write(root: &Path, out: &Path) -> Result<()> {
    let file = File::create(out).with_context(|| format!("making {}", out.display()))?;
    let mut listing =
        Listing { root: root.to_owned(), out: BufWriter::new(file), links: HashMap::new() };
    listing.folder(root)?;
    listing.out.flush().with_context(|| format!("writing {}", out.display()))
}

struct Listing {
    root: PathBuf,
    out: BufWriter<File>,
    /// The first name of each file that has several.
    links: HashMap<u64, PathBuf>,
}

impl Listing {
    fn folder(&mut self, folder: &Path) -> Result<()> {
        let entries = fs::read_dir(folder)
            .and_then(Iterator::collect::<io::Result<Vec<_>>>)
            .with_context(|| format!("listing {}", folder.display()))?;
        let mut paths: Vec<PathBuf> = entries.iter().map(fs::DirEntry::path).collect();
        paths.sort();
        for path in paths {
            let meta = fs::symlink_metadata(&path)
                .with_context(|| format!("reading {}", path.display()))?;
            let line = self.line(&path, &meta)?;
            writeln!(self.out, "{line}").context("writing a listing")?;
            if meta.is_dir() {
                self.folder(&path)?;
            }
        }
        Ok(())
    }

    fn line(&mut self, path: &Path, meta: &Metadata) -> Result<String> {
        let name = path.strip_prefix(&self.root).unwrap_or(path);
        let mut line =
            format!("{name:?} mode={:o} owner={}:{}", meta.mode(), meta.uid(), meta.gid());
        // GNU cpio 2.13 leaves folders and symlinks the time of unpacking.
        if !meta.is_dir() && !meta.is_symlink() {
            write!(line, " mtime={}.{:09}", meta.mtime(), meta.mtime_nsec())?;
        }
        let kind = meta.file_type();
        if kind.is_block_device() || kind.is_char_device() {
            write!(line, " device={}", meta.rdev())?;
        }
        if !meta.is_dir() && meta.nlink() > 1 {
            let first = self.links.entry(meta.ino()).or_insert_with(|| name.to_owned());
            write!(line, " links={} first={first:?}", meta.nlink())?;
        }
        if meta.is_symlink() {
            let target =
                fs::read_link(path).with_context(|| format!("reading {}", path.display()))?;
            write!(line, " target={target:?}")?;
        }
        if meta.is_file() {
            write!(line, " size={} content={}", meta.len(), digest(path)?)?;
        }
        Ok(line)
    }
}

fn digest(path: &Path) -> Result<String> {
    let mut file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
    let mut hash = Hasher(Sha256::new());
    io::copy(&mut file, &mut hash).with_context(|| format!("reading {}", path.display()))?;
    Ok(hash.0.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect())
}

struct Hasher(Sha256);

impl Write for Hasher {
    fn write(&mut self, block: &[u8]) -> io::Result<usize> {
        self.0.update(block);
        Ok(block.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Compares two listings; returns how many entries both have.
///
/// # Errors
/// They differ: the error tells the first lines that do. Or one cannot be read.
pub fn compare(left: &Path, right: &Path) -> Result<u64> {
    let open = |path: &Path| -> Result<_> {
        let file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
        Ok(BufReader::new(file).lines())
    };
    let (mut ours, mut theirs) = (open(left)?, open(right)?);
    let mut equal = 0;
    loop {
        match (ours.next().transpose()?, theirs.next().transpose()?) {
            (None, None) => return Ok(equal),
            (ours, theirs) if ours == theirs => equal += 1,
            (our, their) => {
                let mut told = format!("the trees differ after {equal} entries:");
                let rest = |first: Option<String>, more: io::Lines<_>| -> Vec<String> {
                    first.into_iter().chain(more.map_while(Result::ok)).take(TOLD).collect()
                };
                for (side, lines) in [(left, rest(our, ours)), (right, rest(their, theirs))] {
                    for line in lines {
                        write!(told, "\n  {}: {line}", side.display())?;
                    }
                }
                bail!(told)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn tree() -> tempfile::TempDir {
        let tree = tempfile::tempdir().unwrap();
        let at = |name: &str| tree.path().join(name);
        fs::create_dir(at("d")).unwrap();
        fs::write(at("d/f"), "content").unwrap();
        fs::hard_link(at("d/f"), at("g")).unwrap();
        let then = fs::FileTimes::new().set_modified(std::time::UNIX_EPOCH);
        for name in ["d/f", "d"] {
            File::open(at(name)).unwrap().set_times(then).unwrap();
        }
        tree
    }

    fn differ(change: impl Fn(&Path)) -> bool {
        let (left, right) = (tree(), tree());
        change(right.path());
        let lists = tempfile::tempdir().unwrap();
        let (ours, theirs) = (lists.path().join("a"), lists.path().join("b"));
        write(left.path(), &ours).unwrap();
        write(right.path(), &theirs).unwrap();
        compare(&ours, &theirs).is_err()
    }

    #[test]
    fn equal_trees_have_equal_listings() {
        assert!(!differ(|_| ()));
    }

    #[test]
    fn each_difference_is_seen() {
        assert!(differ(|tree| fs::write(tree.join("new"), "").unwrap()), "a new file");
        assert!(differ(|tree| symlink("x", tree.join("s")).unwrap()), "a symlink");
        assert!(
            differ(|tree| {
                fs::remove_file(tree.join("g")).unwrap();
                fs::copy(tree.join("d/f"), tree.join("g")).unwrap();
            }),
            "a hard link that became a copy"
        );
        assert!(
            differ(|tree| {
                let mode = fs::Permissions::from_mode(0o600);
                fs::set_permissions(tree.join("d/f"), mode).unwrap();
            }),
            "a mode"
        );
        let set = |path: PathBuf, content: &str| {
            fs::write(&path, content).unwrap();
            let then = fs::FileTimes::new().set_modified(std::time::UNIX_EPOCH);
            File::options().write(true).open(path).unwrap().set_times(then).unwrap();
        };
        assert!(differ(|tree| set(tree.join("g"), "c0ntent")), "content");
        assert!(!differ(|tree| set(tree.join("g"), "content")), "the same content");
    }

    #[test]
    fn the_first_difference_is_told() {
        let lists = tempfile::tempdir().unwrap();
        let (ours, theirs) = (lists.path().join("a"), lists.path().join("b"));
        fs::write(&ours, "same\nours\n").unwrap();
        fs::write(&theirs, "same\n").unwrap();
        let error = compare(&ours, &theirs).unwrap_err().to_string();
        assert!(error.contains("after 1 entries") && error.contains("a: ours"), "{error}");
    }
}

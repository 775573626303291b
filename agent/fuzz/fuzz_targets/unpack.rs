//! Archives unpacked: whatever they say, nothing outside the root is made or changed.
//!
//! Bytes that begin as an archive are unpacked as they are. All others are read as
//! instructions for making one, of few names and many links, so that hostile trees are common.
#![no_main]

mod recipe;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use rsinit::format::archive;
use rsinit::stage::progress::Progress;
use rsinit::stage::unpack::unpack;

/// A folder with `root` to unpack into and `outside` to stay as it is.
struct Place {
    base: PathBuf,
    before: String,
}

fuzz_target!(|bytes: &[u8]| {
    static PLACE: OnceLock<Place> = OnceLock::new();
    let place = PLACE.get_or_init(make_place);
    let made;
    let archive = match bytes {
        // Compression is the business of the target "cpio": here it would only make files large.
        [b'0', b'7', ..] => bytes,
        _ => {
            made = recipe::archive(bytes, &place.base.join("outside"));
            &made[..]
        }
    };
    let root = place.base.join("root");
    fs::create_dir(&root).expect("making the root");
    let result = unpack(&root, archive, &Progress::default());
    if let Ok(unpacked) = result {
        let size = archive::check(archive).expect("a sound archive");
        assert_eq!(unpacked.bytes, size);
    }
    assert_eq!(look(&place.base), place.before, "something changed outside the root");
    remove(&root);
});

/// On a tmpfs, that is the folder of `TMPDIR`: `run.sh` removes it.
fn make_place() -> Place {
    let base = std::env::temp_dir().join(format!("unpack.{}", std::process::id()));
    let outside = base.join("outside");
    fs::create_dir_all(outside.join("folder")).expect("making the folder outside");
    fs::write(outside.join("file"), "untouched").expect("making the file outside");
    let before = look(&base);
    Place { base, before }
}

/// All that can be seen of the folder, apart from what is in the root.
fn look(base: &Path) -> String {
    let mut seen = String::new();
    for folder in [".", "outside", "outside/folder"] {
        let mut names: Vec<_> = fs::read_dir(base.join(folder))
            .expect("listing what is outside")
            .map(|entry| entry.expect("an entry").file_name())
            .filter(|name| name != "root")
            .collect();
        names.sort();
        seen += &format!("{folder}: {names:?}\n");
    }
    for path in ["outside", "outside/folder", "outside/file"] {
        let status = fs::symlink_metadata(base.join(path)).expect("what was outside");
        let (mode, nlink, size) = (status.mode(), status.nlink(), status.size());
        let (time, owner) = ((status.mtime(), status.mtime_nsec()), (status.uid(), status.gid()));
        seen += &format!("{path}: {mode:o} {nlink} {size} {time:?} {owner:?}\n");
    }
    seen
}

/// Removes a root, whose folders may deny it to anybody but root.
fn remove(root: &Path) {
    if fs::remove_dir_all(root).is_err() {
        open_up(root);
        fs::remove_dir_all(root).expect("removing the root");
    }
}

fn open_up(folder: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let _ = fs::set_permissions(folder, fs::Permissions::from_mode(0o700));
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            open_up(&entry.path());
        }
    }
}

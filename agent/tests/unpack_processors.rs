//! Unpacking by more threads and by fewer, as nodes with more processors do it and those with fewer.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail by panicking")]

mod common;

use std::fs;
use std::io::Write as _;

use common::{
    Random, Small, archive, assert_equal_trees, file, gzip, link, make_tree, need_root, whole,
};
use rsinit::stage::progress::Progress;
use rsinit::stage::unpack::unpack_as_on;
use tempfile::tempdir;

/// So many bytes that gzip makes half as many of: more than one span for each helper.
fn text(bytes: usize) -> Vec<u8> {
    let mut random = Random::new();
    let mut text = Vec::new();
    while text.len() < bytes {
        writeln!(text, "{} {}", random.below(1 << 40), text.len() % 1000).unwrap();
    }
    text
}

#[test]
fn one_processor_and_many_make_the_same_tree() {
    need_root();
    let temp = tempdir().unwrap();
    let dirs = ["source", "1", "2", "6"].map(|name| temp.path().join(name));
    for dir in &dirs {
        fs::create_dir(dir).unwrap();
    }
    make_tree(&dirs[0], 300, &mut Random::new());
    fs::write(dirs[0].join("large"), text(8 << 20)).unwrap();
    let mut bytes = archive(&dirs[0], "newc");
    // Names that change hands before their first files can have been filled.
    bytes.extend(whole(&[
        file("again", b"first"),
        link("link", "again"),
        file("again", b"second"),
    ]));
    bytes.extend(whole(&[file("link", b"a file"), file("gone", b"x"), link("gone", "again")]));
    for (dir, processors) in dirs.iter().skip(1).zip([1, 2, 6]) {
        unpack_as_on(processors, dir, &*gzip(&bytes), &Progress::default()).unwrap();
        assert_eq!(fs::read(dir.join("again")).unwrap(), b"second");
        assert_eq!(fs::read(dir.join("link")).unwrap(), b"a file");
        assert_equal_trees(&dirs[1], dir);
    }
}

#[test]
fn a_root_that_small_files_fill_names_one_that_has_no_room() {
    need_root();
    let files: Vec<_> =
        (0..999).map(|number| file(&format!("f{number}"), &vec![7; 40_000])).collect();
    let bytes = whole(&files);
    for processors in [1, 2, 6] {
        let small = Small::mount("size=1m");
        let unpacked = unpack_as_on(processors, small.0.path(), &*bytes, &Progress::default());
        let error = format!("{:#}", unpacked.unwrap_err());
        let (name, rest) = error.strip_prefix("unpacking ").unwrap().split_once(": ").unwrap();
        let written = fs::metadata(small.0.path().join(name)).unwrap().len();
        let expected = format!(
            "the root is full: {written} of the file's 40000 bytes written, 1 MiB in all, 0 MiB free"
        );
        assert!(rest.starts_with(&expected), "{written}: {error}");
        assert!(written < 40_000, "{error}");
    }
}

#[test]
fn damage_is_said_by_several_processors_too() {
    need_root();
    let mut files = vec![file("large", &text(4 << 20))];
    files.extend((0..99).map(|number| file(&format!("f{number}"), &text(3_000))));
    let good = gzip(&whole(&files));
    for processors in [2, 6] {
        let unpack = |bytes: &[u8]| {
            let temp = tempdir().unwrap();
            unpack_as_on(processors, temp.path(), bytes, &Progress::default())
        };
        unpack(&good).unwrap();
        for part in 1..5 {
            let at = good.len() / 5 * part + part;
            let mut wrong = good.clone();
            wrong[at] ^= 0x10;
            unpack(&wrong).unwrap_err();
            let error = format!("{:#}", unpack(&good[..at]).unwrap_err());
            assert!(error.contains("the gzip stream ends in the middle"), "cut at {at}: {error}");
        }
        let mut wrong = good.clone();
        let sum = good.len() - 8;
        wrong[sum] ^= 1;
        let error = format!("{:#}", unpack(&wrong).unwrap_err());
        assert!(error.contains("corrupt gzip stream: CRC"), "{error}");
    }
}

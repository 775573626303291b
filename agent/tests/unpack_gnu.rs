//! Archives of any entries in any order, GNU cpio as the oracle.
//!
//! Left out is what differs on purpose: a folder entry over a link to a folder, and one of root
//! with mode 755 over a folder that is there; `unpack.rs` has those, and folders with the
//! set-group-ID bit: whether a folder that no entry names inherits it depends in GNU cpio on
//! whether the folder above it was there before its own entry.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail by panicking")]

mod common;

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

use common::{assert_equal_to_gnu, entry, gzip, need_root, survey, unpack_by_cpio, whole};
use proptest::prelude::*;
use rsinit::stage::progress::Progress;
use rsinit::stage::unpack::unpack;

/// Few, so that entries meet; no file has a folder's name.
const FOLDERS: [&[u8]; 4] = [b"", b"a/", b"\xffb/", b"a/c/"];
const NAMES: [&[u8]; 5] = [b"x", b"y", b"not utf8 \xfe", b" ", b"...."];
const KINDS: [u32; 5] = [0o100_000, 0o120_000, 0o010_000, 0o020_000, 0o060_000];
const MODES: [u32; 6] = [0o644, 0o4755, 0o2711, 0o1600, 0, 0o7777];
const FOLDER_MODES: [u32; 4] = [0o750, 0o775, 0o1777, 0o500];

#[derive(Debug, Clone)]
enum Piece {
    /// Kind, mode, owner, time, data: at a name.
    One([usize; 4], u32, u32, Vec<u8>),
    /// A folder's entry, before or after what is in it.
    Folder(usize, usize, u32),
    /// Names of one file, as GNU cpio writes them: the data with the last.
    Names(u8, Vec<usize>, usize, Vec<u8>),
}

fn data() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(Vec::new()),
        prop::collection::vec(any::<u8>(), 1..9),
        (1..70_000usize, any::<u8>()).prop_map(|(length, byte)| vec![byte; length]),
    ]
}

fn piece() -> impl Strategy<Value = Piece> {
    let owner = || prop_oneof![Just(0u32), 1..70_000u32, Just(4_000_000_000)];
    let time = prop_oneof![Just(0u32), any::<u32>()];
    let place = (0..FOLDERS.len(), 0..NAMES.len(), 0..KINDS.len(), 0..MODES.len());
    prop_oneof![
        6 => (place, owner(), time, data())
            .prop_map(|(place, owner, time, data)| Piece::One(place.into(), owner, time, data)),
        2 => (1..FOLDERS.len(), 0..FOLDER_MODES.len(), owner())
            .prop_map(|(folder, mode, owner)| Piece::Folder(folder, mode, owner)),
        1 => (any::<u8>(), prop::collection::vec(0..FOLDERS.len(), 2..5), 0..MODES.len(), data())
            .prop_map(|(group, folders, mode, data)| Piece::Names(group, folders, mode, data)),
    ]
}

/// The pieces as an archive; each piece has an inode number of its own.
fn archive(pieces: &[Piece]) -> Vec<u8> {
    let mut entries = Vec::new();
    for (inode, piece) in (10..).zip(pieces) {
        match piece {
            Piece::One([folder, name, kind, mode], owner, time, data) => {
                let path = [FOLDERS[*folder], NAMES[*name]].concat();
                let data = match KINDS[*kind] {
                    0o100_000 => &data[..],
                    0o120_000 => b"where/it leads \xfd",
                    _ => b"",
                };
                let mode = KINDS[*kind] | MODES[*mode];
                let fields = [inode, mode, *owner, owner / 2, 1, *time];
                entries.push(entry(OsStr::from_bytes(&path), fields, (1, 3), data));
            }
            Piece::Folder(folder, mode, owner) => {
                let path = FOLDERS[*folder].strip_suffix(b"/").unwrap();
                let fields = [inode, 0o040_000 | FOLDER_MODES[*mode], *owner, 5, 2, 9];
                entries.push(entry(OsStr::from_bytes(path), fields, (0, 0), b""));
            }
            Piece::Names(group, folders, mode, data) => {
                for (number, folder) in folders.iter().enumerate() {
                    let mut path = FOLDERS[*folder].to_vec();
                    path.extend(format!("h{inode}.{group}.{number}").bytes());
                    let nlink = u32::try_from(folders.len()).unwrap();
                    let fields = [inode, 0o100_000 | MODES[*mode], 3, 4, nlink, 1_700_000_000];
                    let last = number + 1 == folders.len();
                    let data = if last { &data[..] } else { b"" };
                    entries.push(entry(OsString::from_vec(path), fields, (0, 0), data));
                }
            }
        }
    }
    whole(&entries)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn any_archive_becomes_the_tree_that_gnu_cpio_makes(
        pieces in prop::collection::vec(piece(), 0..24),
        later in prop::collection::vec(piece(), 0..6),
        compressed in any::<bool>(),
    ) {
        need_root();
        let temp = tempfile::tempdir().unwrap();
        let [gnu, ours] = ["gnu", "ours"].map(|name| temp.path().join(name));
        fs::create_dir(&gnu).unwrap();
        fs::create_dir(&ours).unwrap();
        let mut expected = 0;
        // An image, and an overlay over it.
        for bytes in [archive(&pieces), archive(&later)] {
            unpack_by_cpio(&bytes, &gnu);
            let bytes = if compressed { gzip(&bytes) } else { bytes };
            let unpacked = unpack(&ours, &bytes[..], &Progress::default()).unwrap();
            prop_assert_eq!(unpacked.warnings, [] as [String; 0]);
            expected += unpacked.entries;
        }
        assert_equal_to_gnu(&gnu, &ours);
        prop_assert!(expected == 0 || !survey(&ours).is_empty());
    }
}

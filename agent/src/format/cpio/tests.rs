//! Good, truncated, oversized and hostile archives, and the `cpio` crate as an oracle.

use std::io::{BufReader, Cursor};

use proptest::prelude::*;

use super::*;

/// One entry as bytes.
fn entry(magic: &str, name: &[u8], mode: u32, data: &[u8], check: u32) -> Vec<u8> {
    let size = u32::try_from(data.len()).unwrap();
    let name_size = u32::try_from(name.len() + 1).unwrap();
    let mut out = magic.as_bytes().to_vec();
    for field in [7, mode, 1, 2, 1, 99, size, 8, 1, 0, 0, name_size, check] {
        out.extend_from_slice(format!("{field:08x}").as_bytes());
    }
    out.extend_from_slice(name);
    out.push(0);
    out.resize(out.len().next_multiple_of(4), 0);
    out.extend_from_slice(data);
    out.resize(out.len().next_multiple_of(4), 0);
    out
}

fn file(name: &[u8], data: &[u8]) -> Vec<u8> {
    entry("070701", name, 0o100_644, data, 0)
}

fn trailer() -> Vec<u8> {
    entry("070701", b"TRAILER!!!", 0, b"", 0)
}

type Read = Result<Vec<(Vec<u8>, Vec<u8>)>, Error>;

/// Reads all, in pieces of `block` bytes.
fn read_in(bytes: &[u8], block: usize) -> Read {
    let mut reader = Reader::new(BufReader::with_capacity(block, bytes));
    let mut all = Vec::new();
    while let Some(entry) = reader.next_entry()? {
        all.push((entry.name, reader.read_data(1 << 20)?));
    }
    Ok(all)
}

fn read(bytes: &[u8]) -> Read {
    read_in(bytes, 1 << 16)
}

#[test]
fn names_need_not_be_utf8() {
    let bytes = [file(b"a\xff\xfe", b"x"), trailer()].concat();
    assert_eq!(read(&bytes).unwrap(), [(b"a\xff\xfe".to_vec(), b"x".to_vec())]);
}

#[test]
fn archives_may_follow_one_another_with_zeros_between() {
    let mut bytes = [file(b"a", b"1"), trailer()].concat();
    bytes.resize(bytes.len() + 1001, 0);
    bytes.extend([file(b"b", b"2"), trailer(), vec![0; 512]].concat());
    let mut reader = Reader::new(&bytes[..]);
    assert_eq!(reader.next_entry().unwrap().unwrap().archive, 0);
    assert_eq!(reader.next_entry().unwrap().unwrap().archive, 1);
    assert!(reader.next_entry().unwrap().is_none());
    assert!(reader.next_entry().unwrap().is_none());
    assert_eq!(reader.archives(), 2);
}

#[test]
fn rubbish_after_the_trailer_is_an_error() {
    let bytes = [trailer(), b"rubbish!".to_vec()].concat();
    assert!(matches!(read(&bytes), Err(Error::BadMagic { offset: 124, .. })));
}

#[test]
fn every_cut_is_an_error_that_names_the_entry() {
    let bytes = [file(b"first", b"123"), file(b"second", b"4567890"), trailer()].concat();
    for cut in 0..bytes.len() {
        match read(&bytes[..cut]).unwrap_err() {
            Error::NoTrailer { .. } => {}
            Error::Truncated { name, .. } => {
                // The trailer's own padding may be missing, its name not.
                assert!(!name.is_empty() || cut < 110 + 6, "cut at {cut}");
            }
            other => panic!("cut at {cut}: {other}"),
        }
    }
    assert_eq!(read(&bytes).unwrap().len(), 2);
}

#[test]
fn a_cut_inside_data_says_which_file() {
    let bytes = [file(b"etc/shadow", &[b'x'; 100]), trailer()].concat();
    let error = read(&bytes[..150]).unwrap_err().to_string();
    assert_eq!(
        error,
        "etc/shadow: the archive ends at byte 150, inside or after this entry: its data is short"
    );
}

#[test]
fn checksums_of_070702_are_checked() {
    let good = [entry("070702", b"a", 0o100_644, b"abc", 294), trailer()].concat();
    assert_eq!(read(&good).unwrap().len(), 1);
    let bad = [entry("070702", b"a", 0o100_644, b"abd", 294), trailer()].concat();
    assert!(matches!(read(&bad), Err(Error::Checksum { promised: 294, found: 295, .. })));
    let mut skipping = Reader::new(&bad[..]);
    skipping.next_entry().unwrap();
    assert!(matches!(skipping.next_entry(), Err(Error::Checksum { .. })));
}

#[test]
fn names_are_bounded_and_ended_by_one_nul() {
    let mut huge = file(b"a", b"");
    huge[94..102].copy_from_slice(b"ffffffff");
    assert!(matches!(read(&huge), Err(Error::NameTooLong { size: u32::MAX, .. })));
    let mut none = file(b"a", b"");
    none[94..102].copy_from_slice(b"00000000");
    assert!(matches!(read(&none), Err(Error::BadName { .. })));
    assert!(matches!(read(&file(b"", b"")), Err(Error::BadName { .. })));
    assert!(matches!(read(&file(b"a\0b", b"")), Err(Error::BadName { .. })));
}

#[test]
fn a_size_that_lies_ends_in_an_error() {
    let mut bytes = [file(b"a", b"123"), trailer()].concat();
    bytes[54..62].copy_from_slice(b"ffffffff");
    assert!(matches!(read(&bytes), Err(Error::DataTooLong { .. })));
    let mut reader = Reader::new(&bytes[..]);
    reader.next_entry().unwrap();
    assert!(matches!(reader.next_entry(), Err(Error::Truncated { .. })));
}

#[test]
fn numbers_have_digits_only() {
    let mut bytes = file(b"a", b"");
    bytes[14] = b'+';
    assert!(matches!(read(&bytes), Err(Error::BadField { field: "mode", .. })));
    assert!(matches!(read(b"070707 and so on"), Err(Error::BadMagic { offset: 0, .. })));
    let socket = entry("070701", b"s", 0o150_000, b"", 0);
    assert!(matches!(read(&socket), Err(Error::BadKind { .. })));
}

proptest! {
    #[test]
    fn what_the_cpio_crate_writes_is_read_back(
        files in prop::collection::vec(("[a-z/]{1,40}", prop::collection::vec(any::<u8>(), 0..300)), 0..12),
        block in 1usize..400,
    ) {
        let inputs = files.iter().map(|(name, data)| {
            (cpio::newc::Builder::new(name).mode(0o100_644), Cursor::new(data.clone()))
        });
        let bytes = cpio::write_cpio(inputs, Vec::new()).unwrap();
        let expected: Vec<_> =
            files.iter().map(|(name, data)| (name.as_bytes().to_vec(), data.clone())).collect();
        prop_assert_eq!(read_in(&bytes, block).unwrap(), expected);
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..600), block in 1usize..99) {
        let _ = read_in(&bytes, block);
        let mut after_magic = b"070701".to_vec();
        after_magic.extend(bytes);
        let _ = read_in(&after_magic, block);
    }

    #[test]
    fn one_changed_byte_never_panics(at in 0usize..400, to in any::<u8>()) {
        let mut bytes = [file(b"one", b"12345"), file(b"two/three", &[9; 77]), trailer()].concat();
        if let Some(byte) = bytes.get_mut(at) { *byte = to }
        let _ = read(&bytes);
    }
}

//! Archives of any bytes, raw or compressed: the reader ends, and never says more
//! than there is.
#![no_main]

use std::io::{BufReader, Read};

use libfuzzer_sys::fuzz_target;
use rsinit::format::compression::{self, Form};
use rsinit::format::{archive, cpio};

/// Most uncompressed bytes that are looked at: a few bytes of zstd can say gigabytes.
const LIMIT: u64 = 8 << 20;
/// The same, where it comes slowly.
const SHORT: usize = 64 << 10;

fuzz_target!(|bytes: &[u8]| {
    read(cpio::Reader::new(bytes), Some(bytes.len()));
    if let Ok(plain) = compression::open(bytes) {
        read(cpio::Reader::new(BufReader::with_capacity(512, plain.take(LIMIT))), None);
    }
    // One byte at a time, as the worst of networks: the same result.
    let slow = BufReader::with_capacity(1, bytes);
    if let (Ok(fast), Ok(slow)) = (compression::open(bytes), compression::open(slow)) {
        let all = |plain: Box<dyn Read + Send + '_>| {
            let mut all = Vec::new();
            let result = plain.take(SHORT as u64).read_to_end(&mut all);
            // Of damaged data, more or fewer bytes may have come before the error.
            result.is_ok().then_some(all)
        };
        let is_zstd = compression::sniff(bytes).is_ok_and(|form| form == Form::Zstd);
        match (all(fast), all(slow)) {
            (Some(fast), Some(slow)) => assert_eq!(fast, slow),
            // zstd's library reads a small frame at once where it sees all of it: then it needs no
            // memory for a window of any size, and looks closer at the length that is promised.
            // Of others, damage behind what is looked at may have been seen.
            (None, Some(all)) | (Some(all), None) => assert!(is_zstd || all.len() == SHORT),
            (None, None) => {}
        }
    }
    let _ = archive::path_below_root(bytes).map(|path| {
        assert!(!path.starts_with(b"/"));
        assert!(path.split(|byte| *byte == b'/').all(|part| part != b".." && part != b"."));
        assert_eq!(archive::path_below_root(&path).as_deref(), Ok(&*path));
    });
});

/// Reads to the end or the first error; `size` is all that the archive can hold.
fn read(mut reader: cpio::Reader<impl std::io::BufRead>, size: Option<usize>) {
    let (mut entries, mut data) = (0u64, 0u64);
    while let Ok(Some(entry)) = reader.next_entry() {
        assert!(!entry.name.is_empty() && !entry.name.contains(&0));
        assert!(entry.permissions <= 0o7777);
        entries += 1;
        // Of every other entry the data are taken, of the others skipped.
        if entries % 2 == 0
            && let Ok(content) = reader.read_data(1 << 20)
        {
            assert_eq!(content.len() as u64, u64::from(entry.size));
        }
        data += u64::from(entry.size);
    }
    if let Some(size) = size {
        assert!(reader.offset() <= size as u64);
        // The last entry's size is a promise until its data were seen.
        if let Ok(None) = reader.next_entry()
            && reader.archives() > 0
        {
            assert!(data + 110 * entries <= size as u64);
        }
    }
}

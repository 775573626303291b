//! What a disk holds, from its two ends; md superblocks in particular.
//!
//! The first 8 bytes are the device's size and the next 2 say how many of the rest are its
//! beginning; what remains is its end.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rsinit::format::md::{self, ROLE_FAULTY, plan_geometry};
use rsinit::format::signature::{Contents, Windows, identify};

fuzz_target!(|bytes: &[u8]| {
    let Some((size, rest)) = bytes.split_first_chunk::<8>() else { return };
    let Some((split, rest)) = rest.split_first_chunk::<2>() else { return };
    let size_bytes = u64::from_le_bytes(*size);
    let (head, tail) = rest.split_at(usize::from(u16::from_le_bytes(*split)).min(rest.len()));
    let contents = look(Windows { size_bytes, head, tail });
    // As a disk that is as long as it can be seen, with its ends overlapping.
    let whole = look(Windows { size_bytes: head.len() as u64, head, tail: head });
    let is_zero = |bytes: &[u8]| bytes.iter().all(|byte| *byte == 0);
    assert_eq!(contents.is_blank(), is_zero(rest));
    assert_eq!(whole.is_blank(), is_zero(head));
    assert!(whole.found.iter().all(|one| one.offset < head.len() as u64));

    superblock(rest);
    if let Some(old) = md::decode_090(rest) {
        let _ = format!("{old:?}");
    }
    assert!(md::offset_090(size_bytes).is_none_or(|offset| offset + 65536 <= size_bytes));
    geometry(size_bytes, rest);
});

fn look(windows: Windows<'_>) -> Contents {
    let contents = identify(windows);
    let _ = (contents.to_string(), contents.formatting(), contents.only_md_1_2());
    let _ = contents.only_ext().map(ToString::to_string);
    contents
}

/// With a checksum that fits, which no fuzzer would find: read, written, and read again.
fn superblock(bytes: &[u8]) {
    let _ = md::decode(bytes).map(|found| found.slot());
    let mut bytes = bytes.to_vec();
    let Some(roles) =
        bytes.get(220..222).map(|two| usize::from(u16::from_le_bytes([two[0], two[1]])))
    else {
        return;
    };
    let length = bytes.len().min(256 + 2 * roles);
    bytes[..4].copy_from_slice(&md::MAGIC.to_le_bytes());
    let sum = md::checksum(&bytes[..length]).to_le_bytes();
    bytes[216..220].copy_from_slice(&sum);
    let Ok(read) = md::decode(&bytes) else { return };
    let _ = (read.slot(), read.role(), read.says_missing(0));
    let Ok(written) = md::encode(&read) else { return };
    let mut again = md::decode(&written).expect("what was written can be read");
    let more = again.roles.split_off(read.roles.len());
    assert!(more.iter().all(|role| *role == ROLE_FAULTY));
    assert_eq!(again, read);
}

fn geometry(size_bytes: u64, bytes: &[u8]) {
    let mut sizes = vec![size_bytes];
    sizes.extend(
        bytes
            .chunks_exact(8)
            .take(3)
            .map(|size| u64::from_le_bytes(size.try_into().expect("eight bytes"))),
    );
    for (is_striped, has_bitmap) in [(true, false), (false, true), (false, false)] {
        if let Ok(geometry) = plan_geometry(is_striped, has_bitmap, &sizes) {
            let sectors = geometry.data_offset_sectors + geometry.data_size_sectors;
            assert!(sizes.iter().all(|size| sectors <= size / 512), "{sizes:?} {geometry:?}");
            assert!(geometry.data_size_sectors > 0);
        }
    }
}

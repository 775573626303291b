//! The header of a swap area. Source: `union swap_header`, `linux/swap.h`.

/// Pages that an area must have at least to be of use: mkswap's limit.
const LEAST_PAGES: u64 = 10;
/// `SWAPSPACE2`, in the last ten bytes of the first page.
pub const MAGIC: &[u8; 10] = b"SWAPSPACE2";
/// Bytes before the header: room for a boot loader.
pub const BOOT_BYTES: usize = 1024;

mod at {
    //! Offsets in bytes from the start of the area.
    pub const VERSION: usize = 1024;
    pub const LAST_PAGE: usize = 1028;
    pub const UUID: usize = 1036;
    pub const LABEL: usize = 1052;
}

/// What a header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SwapHeader {
    /// `sws_uuid`.
    pub uuid: [u8; 16],
    /// `sws_volume`, at most 16 bytes.
    pub label: String,
}

/// Why no header can be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SwapError {
    /// Fewer than ten pages.
    #[error("{bytes} bytes are too few for swap: at least {LEAST_PAGES} pages")]
    TooSmall {
        /// Size of the medium.
        bytes: u64,
    },
    /// The label does not fit its field.
    #[error("label \"{0}\" has more than 16 bytes")]
    Label(String),
}

/// The first page of a swap area of `size_bytes`; what lies beyond 2^32 pages is not used.
///
/// # Errors
/// See [`SwapError`].
pub fn encode(
    header: &SwapHeader,
    page_bytes: usize,
    size_bytes: u64,
) -> Result<Vec<u8>, SwapError> {
    let page = u64::try_from(page_bytes).unwrap_or(u64::MAX).max(4096);
    let pages = size_bytes / page;
    if pages < LEAST_PAGES {
        return Err(SwapError::TooSmall { bytes: size_bytes });
    }
    if header.label.len() > 16 {
        return Err(SwapError::Label(header.label.clone()));
    }
    let last_page = u32::try_from(pages.saturating_sub(1)).unwrap_or(u32::MAX);
    let mut bytes = vec![0; page_bytes.max(4096)];
    let end = bytes.len().saturating_sub(MAGIC.len());
    let mut put = |offset: usize, field: &[u8]| {
        for (to, from) in bytes.iter_mut().skip(offset).zip(field) {
            *to = *from;
        }
    };
    put(at::VERSION, &1u32.to_ne_bytes());
    put(at::LAST_PAGE, &last_page.to_ne_bytes());
    put(at::UUID, &header.uuid);
    put(at::LABEL, header.label.as_bytes());
    put(end, MAGIC);
    Ok(bytes)
}

/// Reads a header from the first bytes of an area, whatever its page size.
pub fn decode(head: &[u8]) -> Option<SwapHeader> {
    let ends = [4096usize, 8192, 16384, 65536].map(|page| page.saturating_sub(MAGIC.len()));
    let has_magic = |end: &usize| head.get(*end..).is_some_and(|rest| rest.starts_with(MAGIC));
    ends.iter().find(|end| has_magic(end))?;
    let label = head.get(at::LABEL..)?.first_chunk::<16>()?;
    let label = label.split(|&byte| byte == 0).next().unwrap_or_default();
    Some(SwapHeader {
        uuid: *head.get(at::UUID..)?.first_chunk()?,
        label: String::from_utf8_lossy(label).into_owned(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn header() -> SwapHeader {
        SwapHeader { uuid: [7; 16], label: "swap4".into() }
    }

    #[test]
    fn what_is_written_is_read_back_at_every_page_size() {
        for page in [4096, 16384, 65536] {
            let bytes = encode(&header(), page, 1 << 30).unwrap();
            assert_eq!(bytes.len(), page);
            assert_eq!(decode(&bytes), Some(header()));
        }
    }

    #[test]
    fn small_media_and_long_labels_are_refused_and_large_ones_are_cut() {
        assert_eq!(encode(&header(), 4096, 40959), Err(SwapError::TooSmall { bytes: 40959 }));
        let long = SwapHeader { label: "x".repeat(17), ..header() };
        assert!(matches!(encode(&long, 4096, 1 << 30), Err(SwapError::Label(_))));
        let large = encode(&header(), 4096, 1 << 50).unwrap();
        assert_eq!(large[1028..1032], [0xff; 4]);
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..5000)) {
            if let Some(end) = bytes.get_mut(4086..4096) {
                end.copy_from_slice(MAGIC);
            }
            let _ = decode(&bytes);
        }
    }
}

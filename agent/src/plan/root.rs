//! The root's size: whether the image fits into the memory there is, before it is fetched.

/// The machine's memory, in bytes. Source: `/proc/meminfo`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// `MemTotal`.
    pub total: u64,
    /// `MemAvailable`.
    pub available: u64,
}

/// Why an image is not fetched: numbers in MiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the image takes {need} MiB in memory, and {have} MiB are available for the root")]
pub struct TooLarge {
    /// What the unpacked image takes.
    pub need: u64,
    /// What there is.
    pub have: u64,
}

/// Reads the two lines of `/proc/meminfo` that matter; `None` where one is missing.
pub fn parse_meminfo(text: &str) -> Option<Memory> {
    let field = |name: &str| -> Option<u64> {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
    };
    Some(Memory { total: field("MemTotal:")?, available: field("MemAvailable:")? })
}

/// A size as tmpfs reads it, in bytes: a number with `k`, `m`, `g` or `t` behind it, or
/// a percentage of all memory. `None` for what tmpfs would refuse. Source: `memparse()`,
/// `shmem_parse_one()`, `mm/shmem.c`.
pub fn parse_size(text: &str, memory: Memory) -> Option<u64> {
    let (digits, unit) = match text.find(|c: char| !c.is_ascii_digit()) {
        Some(end) => text.split_at(end),
        None => (text, ""),
    };
    let number: u64 = digits.parse().ok()?;
    let shift = match unit {
        "" => 0,
        "k" | "K" => 10,
        "m" | "M" => 20,
        "g" | "G" => 30,
        "t" | "T" => 40,
        "%" => return (memory.total / 100).checked_mul(number),
        _ => return None,
    };
    number.checked_mul(1 << shift)
}

/// Whether an image of `raw` bytes fits into a root of the size that was asked for.
///
/// # Errors
/// [`TooLarge`]: of the root's size and what is available, the smaller.
pub fn check_size(raw: u64, size: u64, memory: Memory) -> Result<(), TooLarge> {
    // A size of 0 is no limit.
    let have = if size == 0 { memory.available } else { size.min(memory.available) };
    if raw > have { Err(TooLarge { need: raw >> 20, have: have >> 20 }) } else { Ok(()) }
}

/// The size option of the root's tmpfs for an image of `raw` bytes: none where the
/// kernel's default, half of the memory, leaves a quarter of room for what the node
/// writes later; otherwise as much as that takes, up to what is available.
///
/// # Errors
/// [`TooLarge`]: the node would run out of memory while it unpacks.
pub fn plan_size(raw: u64, memory: Memory) -> Result<Option<u64>, TooLarge> {
    check_size(raw, 0, memory)?;
    let wanted = raw.saturating_add(raw / 4);
    if wanted <= memory.total / 2 { Ok(None) } else { Ok(Some(wanted.min(memory.available))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    #[test]
    fn meminfo_is_read_in_kibibytes() {
        let text = "MemTotal:       4028440 kB\nMemFree: 1 kB\nMemAvailable:   3511116 kB\n";
        let memory = Memory { total: 4_028_440 << 10, available: 3_511_116 << 10 };
        assert_eq!(parse_meminfo(text), Some(memory));
        for text in ["", "MemTotal: 1 kB\n", "MemTotal: x kB\nMemAvailable: 1 kB\n"] {
            assert_eq!(parse_meminfo(text), None);
        }
    }

    #[test]
    fn sizes_are_read_as_tmpfs_reads_them() {
        let memory = Memory { total: 100 * GIB, available: 90 * GIB };
        let read = |text| parse_size(text, memory);
        assert_eq!(read("4096"), Some(4096));
        assert_eq!(read("8g"), Some(8 * GIB));
        assert_eq!(read("60%"), Some(60 * GIB));
        for text in ["", "g", "8gb", "8 g", "-1", "99999999999t", "99999999999999999%"] {
            assert_eq!(read(text), None, "{text}");
        }
        assert!(check_size(9 * GIB, 8 * GIB, memory).is_err());
        assert!(check_size(9 * GIB, 0, memory).is_ok());
    }

    #[test]
    fn a_small_image_leaves_the_kernels_default() {
        let memory = Memory { total: 64 * GIB, available: 60 * GIB };
        assert_eq!(plan_size(12 * GIB, memory), Ok(None));
    }

    #[test]
    fn an_image_of_more_than_half_the_memory_gets_what_it_takes() {
        let memory = Memory { total: 16 * GIB, available: 15 * GIB };
        assert_eq!(plan_size(8 * GIB, memory), Ok(Some(10 * GIB)));
        assert_eq!(plan_size(14 * GIB, memory), Ok(Some(15 * GIB)));
    }

    #[test]
    fn an_image_that_cannot_fit_is_refused_with_both_numbers() {
        let memory = Memory { total: 16 * GIB, available: 15 * GIB };
        assert_eq!(plan_size(15 * GIB + 1, memory), Err(TooLarge { need: 15360, have: 15360 }));
        assert_eq!(plan_size(u64::MAX, memory).unwrap_err().have, 15360);
    }
}

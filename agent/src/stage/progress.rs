//! How far a download is, counted by the threads that do it and read by the one that tells.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Counters of one download.
#[derive(Debug, Default)]
pub struct Progress {
    /// Bytes that the server will send; 0 while unknown.
    pub total: AtomicU64,
    /// Bytes that have come.
    pub fetched: AtomicU64,
    /// Bytes of the archive unpacked, uncompressed.
    pub unpacked: AtomicU64,
    /// Set where unpacking failed: nobody needs the rest of the download.
    pub failed: AtomicBool,
}

/// One line of progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProgressLine {
    /// 0 to 100, where the total is known.
    pub percent: Option<u64>,
    /// Megabytes (10^6) fetched.
    pub mb: u64,
    /// Megabytes a second since the line before.
    pub mb_per_s: u64,
}

impl Progress {
    /// Starts again from nothing.
    pub fn reset(&self) {
        for counter in [&self.total, &self.fetched, &self.unpacked] {
            counter.store(0, Ordering::Relaxed);
        }
        self.failed.store(false, Ordering::Relaxed);
    }

    /// Counts `bytes` as fetched.
    pub fn add_fetched(&self, bytes: usize) {
        self.fetched.fetch_add(u64::try_from(bytes).unwrap_or(0), Ordering::Relaxed);
    }

    /// The line for now; `before` bytes had come `ago`.
    pub fn line(&self, before: u64, ago: Duration) -> ProgressLine {
        let (total, fetched) =
            (self.total.load(Ordering::Relaxed), self.fetched.load(Ordering::Relaxed));
        let millis = u64::try_from(ago.as_millis()).unwrap_or(u64::MAX).max(1);
        ProgressLine {
            percent: fetched.saturating_mul(100).checked_div(total).map(|percent| percent.min(100)),
            mb: fetched / 1_000_000,
            mb_per_s: fetched.saturating_sub(before) / 1_000 / millis,
        }
    }
}

impl fmt::Display for ProgressLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(percent) = self.percent {
            write!(f, "{percent} %, ")?;
        }
        write!(f, "{} MB, {} MB/s", self.mb, self.mb_per_s)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_percent_amount_and_speed() {
        let progress = Progress::default();
        progress.total.store(200_000_000, Ordering::Relaxed);
        progress.add_fetched(50_000_000);
        let line = progress.line(20_000_000, Duration::from_millis(500));
        assert_eq!(line.to_string(), "25 %, 50 MB, 60 MB/s");
        progress.total.store(0, Ordering::Relaxed);
        assert_eq!(progress.line(0, Duration::from_secs(1)).to_string(), "50 MB, 50 MB/s");
    }
}

//! Waits between tries: growing, and different on each node.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

/// A growing wait with jitter.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    tries: u32,
}

impl Backoff {
    /// Waits of about `first`, then twice as long each time, up to `longest`.
    pub fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, tries: 0 }
    }

    /// The next wait: between half and three halves of its length, so that 1,000 nodes that
    /// failed together do not come back together.
    pub fn next_wait(&mut self) -> Duration {
        let doubled = self.first.saturating_mul(1 << self.tries.min(16));
        self.tries = self.tries.saturating_add(1);
        let length = doubled.min(self.longest);
        length / 2 + length.mul_f64(random_fraction())
    }

    /// Starts small again: something worked.
    pub fn reset(&mut self) {
        self.tries = 0;
    }
}

/// From 0 up to 1; each hasher of the standard library has keys of its own.
fn random_fraction() -> f64 {
    f64::from(random_u16()) / f64::from(u16::MAX)
}

/// Any number; no more than a way to be different from others.
pub fn random_u16() -> u16 {
    let [a, b, ..] = RandomState::new().hash_one(0u8).to_le_bytes();
    u16::from_le_bytes([a, b])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_longest_and_differ() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
        let waits: Vec<_> = (0..40).map(|_| backoff.next_wait()).collect();
        assert!(waits[0] >= Duration::from_millis(50) && waits[0] <= Duration::from_millis(150));
        for wait in &waits[4..] {
            assert!(*wait >= Duration::from_millis(500) && *wait <= Duration::from_millis(1500));
        }
        assert!(waits[4..].windows(2).any(|pair| pair[0] != pair[1]));
        backoff.reset();
        assert!(backoff.next_wait() <= Duration::from_millis(150));
    }
}

//! Which member of a striped array each write goes to.
//!
//! Metadata that starts at multiples of the stripe all lands on member 0. Here
//! each pack of metadata begins on the member that has had the fewest writes.

use std::ops::Range;

/// More members than any array has: such a geometry is a slip of the caller's
/// and is not worth memory.
const MAX_MEMBERS: u64 = 1024;

/// The data members of a striped array and the writes that each has so far.
#[derive(Debug, Clone)]
pub(super) struct Members {
    stride: u64,
    writes: Vec<u64>,
}

impl Members {
    /// Members as stride and stripe width (both in blocks) tell them; `None` where
    /// they tell of no array.
    pub(super) fn new(stride: u32, stripe_width: u32) -> Option<Self> {
        let count = u64::from(stripe_width.checked_div(stride)?);
        if stripe_width.checked_rem(stride)? != 0 || !(2..=MAX_MEMBERS).contains(&count) {
            return None;
        }
        Some(Self { stride: u64::from(stride), writes: (0..count).map(|_| 0).collect() })
    }

    fn member(&self, block: u64) -> Option<usize> {
        let count = u64::try_from(self.writes.len()).ok()?;
        let chunk = block.checked_div(self.stride)?;
        usize::try_from(chunk.checked_rem(count)?).ok()
    }

    /// Counts one write of `blocks`: one I/O for each chunk that it touches.
    pub(super) fn count(&mut self, blocks: Range<u64>) {
        let mut at = blocks.start;
        while at < blocks.end {
            if let Some(writes) = self.member(at).and_then(|member| self.writes.get_mut(member)) {
                *writes = writes.saturating_add(1);
            }
            at = (at / self.stride).saturating_add(1).saturating_mul(self.stride);
        }
    }

    /// First chunk at or after `from` that lies on the member with the fewest writes.
    pub(super) fn calmest_from(&self, from: u64) -> u64 {
        let first = from.div_ceil(self.stride).saturating_mul(self.stride);
        let fewest = |block: &u64| {
            let writes = self.member(*block).and_then(|member| self.writes.get(member));
            writes.copied().unwrap_or(u64::MAX)
        };
        let starts =
            (0..).map(|chunk: u64| first.saturating_add(chunk.saturating_mul(self.stride)));
        starts.take(self.writes.len()).min_by_key(fewest).unwrap_or(from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packs_go_round_the_members_when_all_are_equal() {
        let mut members = Members::new(128, 512).unwrap();
        let starts: Vec<u64> = (0..5)
            .map(|_| {
                let start = members.calmest_from(4096);
                members.count(start..start + 2);
                start
            })
            .collect();
        assert_eq!(starts, [4096, 4224, 4352, 4480, 4096]);
    }

    #[test]
    fn a_write_over_three_chunks_counts_on_three_members() {
        let mut members = Members::new(128, 512).unwrap();
        members.count(100..300);
        assert_eq!(members.writes, [1, 1, 1, 0]);
        assert_eq!(members.calmest_from(1), 384);
    }

    #[test]
    fn stride_and_width_that_tell_of_no_array_give_none() {
        for (stride, width) in [(0, 0), (0, 128), (128, 0), (128, 128), (128, 200), (1, u32::MAX)] {
            assert!(Members::new(stride, width).is_none(), "{stride} {width}");
        }
    }
}

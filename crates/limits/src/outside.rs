//! Use of the account outside this deployment, as far as answers' levels tell it.
//!
//! What a level fell below our own account, beyond what it rose above it at other times,
//! somebody else drew. It is remembered as demand is, and fades in a minute or so after
//! the last of it.

use crate::amounts::{Three, signed};
use crate::message::Millis;

/// Log2 of the memory in seconds, as of demand.
const MEMORY: u32 = 5;

/// By kind: requests, input, output.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outside {
    /// Each loses a 32nd a second; 32-fold, so that little does not fade to nothing.
    sums: [i64; 3],
    second: u64,
}

impl Outside {
    /// A level was corrected downwards by this much; upwards where it is negative.
    /// At most the whole limit is somebody else's.
    pub(crate) fn drew(&mut self, kind: usize, tokens: i64, limit: u64, now: Millis) {
        self.sums = self.decayed(now);
        self.second = self.second.max(now / 1_000);
        let most = signed(limit / 60) << (2 * MEMORY);
        let sum = self.sums[kind].saturating_add(tokens.saturating_mul(1 << MEMORY));
        self.sums[kind] = sum.clamp(0, most);
    }

    /// What somebody else draws a second.
    pub(crate) fn per_second(&self, now: Millis) -> Three {
        self.decayed(now).map(|sum| (sum >> (2 * MEMORY)) as u64)
    }

    fn decayed(&self, now: Millis) -> [i64; 3] {
        let steps = (now / 1_000).saturating_sub(self.second).min(2_000);
        let mut sums = self.sums;
        for _ in 0..steps {
            if sums == [0; 3] {
                break;
            }
            // Rounded up, so that it does end.
            sums = sums.map(|sum| sum - (sum + (1 << MEMORY) - 1) / (1 << MEMORY));
        }
        sums
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steady_use_is_learned_within_a_minute_and_fades_after_it() {
        let mut outside = Outside::default();
        for second in 0..60 {
            outside.drew(2, 500, 100_000, second * 1_000);
        }
        let learned = outside.per_second(59_000)[2];
        assert!((400..=500).contains(&learned), "{learned}");
        assert!(outside.per_second(160_000)[2] < 25);
        assert_eq!(outside.per_second(2_000_000), [0; 3]);
    }

    #[test]
    fn corrections_to_and_fro_are_nobody() {
        let mut outside = Outside::default();
        for second in 0..300 {
            let tokens = if second % 2 == 0 { 3_000 } else { -3_000 };
            outside.drew(1, tokens, 100_000, second * 1_000);
            assert!(outside.per_second(second * 1_000)[1] <= 100);
        }
        outside.drew(1, i64::MAX, 60_000, 300_000);
        assert_eq!(outside.per_second(300_000)[1], 1_000, "not more than there is");
    }
}

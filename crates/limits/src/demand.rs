//! Recent demand by kind (requests, input, output): of one priority in one pool, or of
//! somebody outside this deployment who draws on the account.

use crate::amounts::{Three, signed};
use crate::message::Millis;

/// Log2 of the memory in seconds: 32 s, some requests' lifetime.
const MEMORY: u32 = 5;
/// No request draws more; shifted it still fits.
const AMOUNT_MAX: i64 = 1 << 50;

/// Sums that lose a 32nd each second; their steady value is 32 s of demand.
#[derive(Clone, Debug, Default)]
pub(crate) struct Demand {
    /// 32-fold, so that one request a second does not decay to nothing.
    sums: [i64; 3],
    second: u64,
}

impl Demand {
    pub(crate) fn add(&mut self, amounts: &Three, now: Millis) {
        self.change(amounts.map(signed), now);
    }

    /// A level was found this much below our own account; above it where that is
    /// negative: corrections to and fro are nobody's. At most the whole limit is
    /// somebody else's.
    pub(crate) fn drew(&mut self, kind: usize, tokens: i64, limit: u64, now: Millis) {
        let mut amounts = [0; 3];
        amounts[kind] = tokens;
        self.change(amounts, now);
        let most = signed(limit / 60).min(AMOUNT_MAX) << (2 * MEMORY);
        self.sums[kind] = self.sums[kind].clamp(0, most);
    }

    /// Demand a second, rounded down.
    pub(crate) fn per_second(&self, now: Millis) -> Three {
        self.decayed(now).map(|sum| (sum >> (2 * MEMORY)) as u64)
    }

    fn change(&mut self, amounts: [i64; 3], now: Millis) {
        self.sums = self.decayed(now);
        self.second = self.second.max(now / 1_000);
        for (sum, amount) in self.sums.iter_mut().zip(amounts) {
            *sum = sum.saturating_add(amount.clamp(-AMOUNT_MAX, AMOUNT_MAX) << MEMORY);
        }
    }

    fn decayed(&self, now: Millis) -> [i64; 3] {
        let steps = (now / 1_000).saturating_sub(self.second).min(2_000);
        let mut sums = self.sums;
        for _ in 0..steps {
            if sums == [0; 3] {
                break;
            }
            // Rounded up, so that it does end.
            sums = sums.map(|sum| sum - (sum as u64).div_ceil(1 << MEMORY) as i64);
        }
        sums
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn demand_settles_at_its_rate_and_fades() {
        let mut demand = Demand::default();
        for second in 0..300 {
            for _ in 0..10 {
                demand.add(&[1, 100, 50], second * 1_000);
            }
        }
        let [requests, input, _] = demand.per_second(299_999);
        assert!(
            (9..=10).contains(&requests) && (960..=1_000).contains(&input),
            "{requests} {input}"
        );
        assert_eq!(demand.per_second(10_000_000), [0; 3]);
    }

    #[test]
    fn steady_use_outside_is_learned_within_a_minute_and_fades_after_it() {
        let mut outside = Demand::default();
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
        let mut outside = Demand::default();
        for second in 0..300 {
            let tokens = if second % 2 == 0 { 3_000 } else { -3_000 };
            outside.drew(1, tokens, 100_000, second * 1_000);
            assert!(outside.per_second(second * 1_000)[1] <= 100);
        }
        outside.drew(1, i64::MAX, 60_000, 300_000);
        assert_eq!(outside.per_second(300_000)[1], 1_000, "not more than there is");
    }
}

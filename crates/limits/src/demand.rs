//! The recent demand of one priority in one pool, by kind.

use crate::amounts::Three;
use crate::message::Millis;

/// Log2 of the memory in seconds: 32 s, some requests' lifetime.
const MEMORY: u32 = 5;

/// A sum that loses a 32nd each second; its steady value is 32 s of demand.
#[derive(Clone, Debug, Default)]
pub(crate) struct Demand {
    sum: Three,
    second: u64,
}

impl Demand {
    pub(crate) fn add(&mut self, amounts: &Three, now: Millis) {
        self.sum = self.decayed(now);
        self.second = self.second.max(now / 1_000);
        for (sum, amount) in self.sum.iter_mut().zip(amounts) {
            // 32-fold, so that one request a second does not decay to nothing.
            *sum = sum.saturating_add(amount.saturating_mul(1 << MEMORY));
        }
    }

    /// Demand a second, rounded down.
    pub(crate) fn per_second(&self, now: Millis) -> Three {
        self.decayed(now).map(|sum| sum >> (2 * MEMORY))
    }

    fn decayed(&self, now: Millis) -> Three {
        let steps = (now / 1_000).saturating_sub(self.second).min(2_000);
        let mut sum = self.sum;
        for _ in 0..steps {
            if sum == [0; 3] {
                break;
            }
            // Rounded up, so that it does end.
            sum = sum.map(|sum| sum - sum.div_ceil(1 << MEMORY));
        }
        sum
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
}

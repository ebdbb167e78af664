//! What `reset` tells of a level: when the bucket will be full, to the second, by the
//! provider's clock.
//!
//! Of clocks only the Gate's own is trusted. How far the provider's is ahead of it is
//! learned, as an interval: a level that `remaining` tells says when its bucket will be
//! full by the one, and `reset` says it by the other. Once some answers agree, `reset`
//! tells levels by itself: within seconds of refill, but also below zero, where
//! `remaining` says 0 of any debt.

use crate::amounts::signed;
use crate::message::Millis;

/// A time to the second may have been cut or rounded up.
const ROUNDED_MS: i64 = 1_000;
/// Levels that agree before `reset` is believed: a provider that means another time by
/// it contradicts itself sooner.
const AGREED: u32 = 8;
/// Clocks part by less than a ten-thousandth (quartz: 50 millionths).
const DRIFT: i64 = 10_000;

/// What is known of the provider's clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Resets {
    /// The least and the most that it is ahead of ours.
    ahead: (i64, i64),
    agreed: u32,
    at: Millis,
}

/// One kind's reset, beside its limit a minute.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reset {
    pub(crate) at: Millis,
    pub(crate) limit: u64,
}

impl Resets {
    pub(crate) fn new() -> Self {
        Self { ahead: (i64::MIN / 4, i64::MAX / 4), agreed: 0, at: 0 }
    }

    /// Between `since` and `now` the level was from `low` to `high` tokens.
    pub(crate) fn learn(&mut self, reset: Reset, low: i64, high: i64, since: Millis, now: Millis) {
        let drift = signed(now.saturating_sub(self.at)) / DRIFT;
        if drift > 0 {
            self.ahead = (self.ahead.0 - drift, self.ahead.1 + drift);
            self.at = now;
        }
        let full_at = |since: Millis, level: i64| signed(since) + reset.fills_in(level);
        let told = signed(reset.at.min(1 << 53));
        let first = told - ROUNDED_MS - full_at(now, low);
        let last = told + ROUNDED_MS - full_at(since, high);
        let both = (self.ahead.0.max(first), self.ahead.1.min(last));
        if both.0 > both.1 {
            *self = Self { ahead: (first, last), agreed: 0, at: now };
        } else {
            (self.ahead, self.agreed) = (both, self.agreed.saturating_add(1));
        }
    }

    /// The least and the most that the bucket holds now, if nothing was drawn since
    /// the answer; none where that is not known.
    pub(crate) fn level(&self, reset: Reset, now: Millis) -> Option<(i64, i64)> {
        if self.agreed < AGREED {
            return None;
        }
        let in_ms = signed(reset.at.min(1 << 53)) - signed(now);
        let low = reset.lacks_in(in_ms + ROUNDED_MS - self.ahead.0);
        let high = reset.lacks_in(in_ms - ROUNDED_MS - self.ahead.1);
        let limit = signed(reset.limit);
        // One that is full stays so.
        Some((limit - low.max(0) - 1, limit - high.max(0)))
    }
}

impl Reset {
    /// The span in which a level of so much becomes full.
    fn fills_in(&self, level: i64) -> i64 {
        let lacks = i128::from(signed(self.limit).saturating_sub(level)) * 60_000;
        (lacks / i128::from(self.limit.max(1))) as i64
    }

    /// What a bucket lacks that becomes full in `ms`.
    fn lacks_in(&self, ms: i64) -> i64 {
        let lacks = i128::from(ms) * i128::from(self.limit) / 60_000;
        i64::try_from(lacks).unwrap_or(if lacks > 0 { i64::MAX } else { i64::MIN })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: u64 = 60_000;

    /// A provider whose clock is ahead by so much, and whose level is known.
    fn told(level: i64, ahead: i64, now: Millis) -> Reset {
        let full_at = signed(now) + (signed(LIMIT) - level) + ahead;
        Reset { at: (full_at as u64).div_ceil(1_000) * 1_000, limit: LIMIT }
    }

    #[test]
    fn a_debt_is_told_within_two_seconds_whatever_the_clock_of_the_provider() {
        for ahead in [0, 437, -86_400_000, 7_200_123] {
            let mut resets = Resets::new();
            let mut now = 1_795_514_400_000;
            for n in 0..40 {
                let level = 1_000 + 777 * n;
                assert_eq!(resets.level(told(level, ahead, now), now).is_some(), n >= 8);
                resets.learn(told(level, ahead, now), level - 500, level + 500, now - 700, now);
                now += 3_217;
            }
            for debt in [0, -20_000, -200_000] {
                let (low, high) = resets.level(told(debt, ahead, now), now).expect("agreed");
                assert!(low <= debt && debt <= high, "{ahead}: {low} {debt} {high}");
                // A second is a thousand tokens: the answer's rounding, and the clock's.
                assert!(high - low <= 5_000, "{ahead}: {low} {high}");
            }
        }
    }

    #[test]
    fn what_contradicts_itself_is_not_believed() {
        let mut resets = Resets::new();
        let mut now = 1_795_514_400_000;
        for n in 0..100_u64 {
            // "In a minute", whatever the level is.
            let reset = Reset { at: now + 60_000, limit: LIMIT };
            let level = (n * 7_919 % LIMIT) as i64;
            resets.learn(reset, level - 500, level + 500, now - 500, now);
            now += 1_000;
        }
        assert!(resets.agreed < AGREED, "{resets:?}");
    }
}

//! A token bucket, exact in integers, with the durable mark below it.
//!
//! A limit of N a minute refills N sixty-thousandths of a token a millisecond,
//! so levels are kept in those units and nothing is ever rounded. The *floor*
//! is the level that a restart assumes: it refills as the bucket does and stays
//! at or below what is left, which one write a chunk keeps true.

use crate::message::Millis;
use crate::policy::RATE_MAX;

/// Units in one token: milliseconds in a minute.
pub(crate) const UNIT: i64 = 60_000;

/// The bucket of a limit: so many tokens a minute.
pub(crate) type Bucket = TokenBucket<UNIT>;
/// One whose rate is told by the thousand minutes: one request each 1,260 ms is 47,619,
/// where 47 a minute would lose an eightieth of it.
pub(crate) type Pace = TokenBucket<{ 1_000 * UNIT }>;

/// A bucket with so many units in a token. Its level may be negative: a debt that refill
/// pays first.
#[derive(Clone, Debug)]
pub(crate) struct TokenBucket<const UNIT: i64> {
    /// Units a millisecond.
    rate: i64,
    capacity: i64,
    level: i64,
    floor: i64,
    at_ms: Millis,
    full_at: Millis,
}

impl<const UNIT: i64> TokenBucket<UNIT> {
    /// A full bucket that holds `capacity` tokens; `rate` is what its kind is told by.
    pub(crate) fn new(rate: u64, capacity: u64, now: Millis) -> Self {
        let capacity = Self::units(capacity as i64);
        Self {
            rate: bounded(rate),
            capacity,
            level: capacity,
            floor: i64::MIN,
            at_ms: now,
            full_at: now,
        }
    }

    /// Brings level and floor to `now`; a clock that steps back changes nothing.
    pub(crate) fn refill(&mut self, now: Millis) {
        let span = now.saturating_sub(self.at_ms);
        if span == 0 {
            return;
        }
        self.at_ms = now;
        let gained = i64::try_from(span).unwrap_or(i64::MAX).saturating_mul(self.rate);
        self.level = self.level.saturating_add(gained).min(self.capacity);
        if self.level == self.capacity {
            self.full_at = now;
        }
        if self.floor != i64::MIN {
            self.floor = self.floor.saturating_add(gained).min(self.capacity);
        }
    }

    /// Whole tokens left, rounded down.
    pub(crate) fn level(&self) -> i64 {
        self.level.div_euclid(UNIT)
    }

    /// The most it holds, in tokens.
    pub(crate) fn capacity(&self) -> u64 {
        (self.capacity / UNIT) as u64
    }

    /// The span in which an empty one fills.
    pub(crate) fn fills_ms(&self) -> Millis {
        (self.capacity as u64).div_ceil(self.rate as u64)
    }

    /// When it was last found full.
    pub(crate) fn full_at(&self) -> Millis {
        self.full_at
    }

    /// Tokens that `span` refills, rounded up.
    pub(crate) fn refilled_in(&self, span: Millis) -> i64 {
        let span = i64::try_from(span).unwrap_or(i64::MAX);
        span.saturating_mul(self.rate).min(self.capacity) / UNIT + 1
    }

    /// Takes tokens, below zero if need be; negative amounts give back, up to
    /// the capacity.
    pub(crate) fn take(&mut self, tokens: i64) {
        self.level = self.level.saturating_sub(Self::units(tokens)).min(self.capacity);
    }

    /// A token that was taken `span` ago is taken now: what refilled of it since is not there.
    pub(crate) fn take_later(&mut self, span: Millis) {
        let refilled = i64::try_from(span).unwrap_or(i64::MAX).saturating_mul(self.rate);
        self.level = self.level.saturating_sub(refilled.min(UNIT));
    }

    /// The span until `tokens` are there while `owed` of the level is promised:
    /// 0 when they are.
    pub(crate) fn wait_ms(&self, tokens: u64, owed: i64) -> Millis {
        let wanted = Self::units(i64::try_from(tokens).unwrap_or(i64::MAX).saturating_add(owed));
        let missing = wanted.saturating_sub(self.level);
        if missing <= 0 { 0 } else { (missing as u64).div_ceil(self.rate as u64) }
    }

    /// The span until it is full.
    pub(crate) fn wait_full_ms(&self) -> Millis {
        (self.capacity.saturating_sub(self.level).max(0) as u64).div_ceil(self.rate as u64)
    }

    /// Moves the level into `low..=high` tokens, where it is outside. A low end
    /// above the high one yields.
    pub(crate) fn clamp(&mut self, low: i64, high: i64) {
        let high = Self::units(high);
        self.level = self.level.max(Self::units(low)).min(high).min(self.capacity);
    }

    /// Another rate and capacity from now on. The level stays, cut to the capacity.
    pub(crate) fn resize(&mut self, rate: u64, capacity: u64) {
        self.rate = bounded(rate);
        self.capacity = Self::units(capacity as i64);
        self.level = self.level.min(self.capacity);
    }

    /// True when less is left than the last floor promised a restart.
    pub(crate) fn is_below_floor(&self, owed: i64) -> bool {
        self.level.saturating_sub(Self::units(owed)) < self.floor || self.floor == i64::MIN
    }

    /// True when more is left than the last floor promised a restart.
    pub(crate) fn is_above_floor(&self, owed: i64) -> bool {
        self.floor != i64::MIN && self.level.saturating_sub(Self::units(owed)) > self.floor
    }

    /// Puts the floor a chunk below what is left, or just there where there is none, and
    /// returns it in units.
    pub(crate) fn put_floor(&mut self, owed: i64, chunk_permille: Option<u32>) -> i64 {
        let part = |permille| (self.capacity / 1_000).saturating_mul(i64::from(permille)).max(UNIT);
        let chunk = chunk_permille.map_or(0, part);
        self.floor = self.level.saturating_sub(Self::units(owed)).saturating_sub(chunk);
        self.floor
    }

    /// The bucket as a floor of `units` written at `at` leaves it, which lies below
    /// `owed` tokens of the level.
    pub(crate) fn restore(&mut self, units_left: i64, owed: i64, at: Millis, now: Millis) {
        self.at_ms = at.min(now);
        self.floor = units_left.min(self.capacity);
        self.level = units_left.saturating_add(Self::units(owed)).min(self.capacity);
        self.refill(now);
    }

    fn units(tokens: i64) -> i64 {
        tokens.saturating_mul(UNIT)
    }
}

impl Bucket {
    /// Tokens a minute.
    pub(crate) fn per_minute(&self) -> u64 {
        self.rate as u64
    }
}

/// At least one (zero would never refill), at most what the arithmetic holds:
/// `RATE_MAX` × 60,000 is under 2^56, and a thousand times a second's part of it under 2^60.
fn bounded(rate: u64) -> i64 {
    rate.clamp(1, RATE_MAX) as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_wait_is_the_first_millisecond_at_which_it_holds() {
        let mut bucket = Bucket::new(1_000, 1_000, 0);
        bucket.take(1_000);
        assert_eq!((bucket.level(), bucket.wait_ms(1, 0), bucket.wait_ms(1, 1)), (0, 60, 120));
        bucket.refill(59);
        assert_eq!(bucket.wait_ms(1, 0), 1);
        bucket.refill(60);
        assert_eq!(bucket.wait_ms(1, 0), 0);
        bucket.refill(10);
        assert_eq!(bucket.level(), 1);
    }

    #[test]
    fn a_restart_finds_at_most_what_was_left_and_at_least_a_chunk_less() {
        let mut bucket = Bucket::new(600, 600, 0);
        bucket.take(100);
        let floor = bucket.put_floor(0, Some(50));
        assert_eq!(floor, 470 * UNIT);
        bucket.refill(1_000);
        bucket.take(30);
        assert!(!bucket.is_below_floor(0), "a chunk after ten refilled");
        bucket.take(1);
        assert!(bucket.is_below_floor(0));
        let mut again = Bucket::new(600, 600, 1_000);
        again.restore(floor, 0, 0, 1_000);
        assert_eq!(again.level(), 480);
        assert_eq!(again.put_floor(0, None), 480 * UNIT, "exactly where nothing more is asked");
        again.restore(floor, 50, 0, 1_000);
        assert_eq!(again.level(), 530, "and what was owed below it");
        assert!(!again.is_below_floor(50));
    }

    proptest! {
        /// A year in odd steps: level = start + refill - taken, to the unit.
        #[test]
        fn nothing_drifts_over_a_year(per_minute in 1_u64..10_000_000, step in 1_000_u64..9_000_000) {
            const YEAR: u64 = 31_536_000_000;
            let mut bucket = Bucket::new(per_minute, per_minute, 0);
            let mut taken: i128 = 0;
            bucket.take(per_minute as i64);
            let mut now = 0;
            while now < YEAR {
                now += step;
                bucket.refill(now);
                // Never full, so that every unit of refill counts.
                let take = bucket.level().max(0);
                bucket.take(take);
                taken += i128::from(take);
                if step >= 60_000 { return Ok(()); }
            }
            let refilled = i128::from(now) * i128::from(per_minute);
            prop_assert_eq!(refilled - taken * i128::from(UNIT), i128::from(bucket.level));
            prop_assert!(bucket.level >= 0 && bucket.level < UNIT);
        }

        #[test]
        fn no_window_grants_more_than_burst_and_refill(
            per_minute in 1_u64..1_000_000,
            steps in prop::collection::vec((0_u64..5_000, 0_u64..50_000), 1..200),
        ) {
            let mut bucket = Bucket::new(per_minute, per_minute, 0);
            let (mut now, mut granted) = (0_u64, 0_u64);
            for (span, amount) in steps {
                now += span;
                bucket.refill(now);
                if bucket.wait_ms(amount, 0) == 0 {
                    bucket.take(amount as i64);
                    granted += amount;
                }
                prop_assert!(bucket.level >= 0);
                prop_assert!(u128::from(granted) * 60_000 <= u128::from(per_minute) * u128::from(60_000 + now));
            }
        }
    }
}

//! One continuously refilled bucket, exact in integers.
//!
//! No clock inside: every call brings `now_ms`. A level is kept in sixty-
//! thousandths of a token, because a limit of N a minute then refills exactly N
//! units a millisecond and no rounding ever accumulates.

/// Units in one token (or request): milliseconds in a minute.
const UNIT: i64 = 60_000;

/// The largest limit a minute that is accepted: a thousand times the Scale
/// tier's, and far below what would overflow the units.
pub const PER_MINUTE_MAX: u64 = 10_000_000_000;

/// A bucket that holds `capacity` and refills `per_minute`, drawn below zero
/// only by [`Bucket::debit`].
#[derive(Clone, Debug)]
pub struct Bucket {
    per_minute: i64,
    capacity: i64,
    level: i64,
    at_ms: u64,
    could: i128,
}

impl Bucket {
    /// A full bucket that holds a minute's worth.
    pub fn new(per_minute: u64, now_ms: u64) -> Self {
        Self::with_capacity(per_minute, per_minute, now_ms)
    }

    /// A full bucket that holds `capacity`; both are cut to [`PER_MINUTE_MAX`].
    pub fn with_capacity(per_minute: u64, capacity: u64, now_ms: u64) -> Self {
        let capacity = units(capacity);
        let per_minute = units(per_minute) / UNIT;
        Self { per_minute, capacity, level: capacity, at_ms: now_ms, could: capacity.into() }
    }

    /// Brings the level up to `now_ms`. A clock that steps back changes nothing.
    pub fn refill(&mut self, now_ms: u64) {
        let span = now_ms.saturating_sub(self.at_ms);
        if span == 0 {
            return;
        }
        self.at_ms = now_ms;
        let gained = i128::from(self.per_minute) * i128::from(span);
        self.could += gained;
        let level = (i128::from(self.level) + gained).min(self.capacity.into());
        // At most `capacity`, at least the old level: both fit.
        self.level = level as i64;
    }

    /// True if `amount` is there.
    pub fn holds(&self, amount: u64) -> bool {
        self.level >= units(amount)
    }

    /// True if anything at all is there.
    pub fn is_positive(&self) -> bool {
        self.level > 0
    }

    /// Takes `amount`, below zero if need be.
    pub fn debit(&mut self, amount: u64) {
        self.level = self.level.saturating_sub(units(amount));
    }

    /// The span in ms until `amount` is there, rounded up; until the bucket is
    /// full for an amount that never fits.
    pub fn wait_ms(&self, amount: u64) -> u64 {
        self.wait_for(units(amount).min(self.capacity))
    }

    /// The span in ms until the level is above zero.
    pub fn wait_positive_ms(&self) -> u64 {
        self.wait_for(1)
    }

    /// The span in ms until the bucket is full.
    pub fn wait_full_ms(&self) -> u64 {
        self.wait_for(self.capacity)
    }

    fn wait_for(&self, level: i64) -> u64 {
        let missing = level.saturating_sub(self.level).max(0);
        if self.per_minute == 0 {
            return if missing == 0 { 0 } else { u64::from(u32::MAX) };
        }
        (missing as u64).div_ceil(self.per_minute as u64)
    }

    /// Whole tokens there, negative where more was generated than refilled.
    pub fn level(&self) -> i64 {
        self.level.div_euclid(UNIT)
    }

    /// The refill a minute.
    pub fn per_minute(&self) -> u64 {
        self.per_minute as u64
    }

    /// Whole tokens that could have been granted since the last
    /// [`Bucket::fill`]: the burst it began with and every refill since,
    /// whether there was room for it or not.
    pub fn could(&self) -> u64 {
        (self.could / i128::from(UNIT)).clamp(0, u64::MAX.into()) as u64
    }

    /// A new limit from now on. What is in the bucket stays, cut to its new
    /// capacity.
    pub fn resize(&mut self, per_minute: u64, capacity: u64, now_ms: u64) {
        self.refill(now_ms);
        self.capacity = units(capacity);
        self.per_minute = units(per_minute) / UNIT;
        self.level = self.level.min(self.capacity);
    }

    /// Full again, and the account of what it could grant begins anew.
    pub fn fill(&mut self, now_ms: u64) {
        self.at_ms = now_ms;
        self.level = self.capacity;
        self.could = self.capacity.into();
    }
}

fn units(amount: u64) -> i64 {
    // The bound keeps the product under 2^50.
    amount.min(PER_MINUTE_MAX) as i64 * UNIT
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn refills_continuously_and_without_drift_over_a_year() {
        let mut bucket = Bucket::new(7, 0);
        bucket.debit(7);
        let mut granted = 0_u64;
        // 7 a minute in odd steps: 8,571.43 ms each, never a whole number.
        let year = 31_536_000_000_u64;
        for now in (0..=year).step_by(8_571) {
            bucket.refill(now);
            if bucket.holds(1) {
                bucket.debit(1);
                granted += 1;
            }
        }
        let last = year / 8_571 * 8_571;
        assert_eq!(granted, last * 7 / 60_000);
    }

    #[test]
    fn a_wait_is_the_first_millisecond_at_which_it_holds() {
        let mut bucket = Bucket::new(1_000, 0);
        bucket.debit(1_000);
        assert_eq!(bucket.wait_ms(1), 60);
        bucket.refill(59);
        assert!(!bucket.holds(1));
        bucket.refill(60);
        assert!(bucket.holds(1));
    }

    #[test]
    fn debt_is_paid_before_anything_is_positive() {
        let mut bucket = Bucket::new(60, 0);
        bucket.debit(90);
        assert_eq!((bucket.level(), bucket.is_positive()), (-30, false));
        assert_eq!(bucket.wait_positive_ms(), 30_001);
        bucket.refill(30_000);
        assert!(!bucket.is_positive());
        bucket.refill(30_001);
        assert!(bucket.is_positive());
    }

    #[test]
    fn a_lower_limit_cuts_the_level_and_a_higher_one_does_not_fill_it() {
        let mut bucket = Bucket::new(100, 0);
        bucket.resize(10, 10, 0);
        assert_eq!(bucket.level(), 10);
        bucket.resize(1_000, 1_000, 0);
        assert_eq!(bucket.level(), 10);
    }

    #[test]
    fn a_clock_that_steps_back_gives_nothing() {
        let mut bucket = Bucket::new(60, 10_000);
        bucket.debit(60);
        bucket.refill(5_000);
        bucket.refill(11_000);
        assert_eq!(bucket.level(), 1);
    }

    proptest! {
        #[test]
        fn never_grants_more_than_it_could(
            per_minute in 1_u64..1_000_000,
            steps in prop::collection::vec((0_u64..5_000, 0_u64..50_000), 1..200),
        ) {
            let mut bucket = Bucket::new(per_minute, 0);
            let (mut now, mut granted) = (0, 0);
            for (span, amount) in steps {
                now += span;
                bucket.refill(now);
                if bucket.holds(amount) {
                    bucket.debit(amount);
                    granted += amount;
                }
                prop_assert!(granted <= bucket.could());
                prop_assert!(bucket.level() <= per_minute as i64);
            }
        }
    }
}

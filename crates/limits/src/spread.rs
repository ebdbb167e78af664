//! How far estimates are overrun, learned: by the part that hardly one exceeds.

use crate::amounts::signed;
use crate::message::Tokens;

/// Parts of the whole that a bound is kept in.
const WHOLE: u64 = 1_000_000;
/// The bound is the largest error of the last so many estimates, up to twice as many.
const SPAN: u64 = 32;
/// It tells less of what comes the fewer they are: it is taken for larger, as if they were
/// but a part of so many more. Of errors that are spread evenly none is then beyond it.
const MORE: u64 = 16;
/// No more is kept free for one: what is further off was no estimate.
const MOST: u64 = WHOLE / 2;
/// Larger amounts count as this: its square fits, of more requests than can run.
const AMOUNT_MAX: Tokens = 1 << 24;

/// A bound on how far real amounts exceed the expected ones.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Spread {
    /// Of the span under way, and of the one before.
    now: u64,
    before: u64,
    /// Estimates in both.
    count: u64,
}

impl Spread {
    /// As much was `real` of what was `expected`.
    pub(crate) fn learn(&mut self, expected: Tokens, real: Tokens) {
        // Of the first few, those that fell somewhat short tell of the others, too.
        let tells = self.count < SPAN && real > expected / 2;
        let off = if tells { real.abs_diff(expected) } else { real.saturating_sub(expected) };
        let beyond = u128::from(off) * u128::from(WHOLE) / u128::from(expected.max(1));
        let beyond = beyond.min(MOST.into()) as u64;
        self.now = self.now.max(beyond);
        self.count += 1;
        if self.count.is_multiple_of(SPAN) {
            (self.before, self.now, self.count) = (self.now, 0, SPAN);
        }
    }

    /// As a row holds it.
    pub(crate) fn row(self) -> [u64; 3] {
        [self.now, self.before, self.count]
    }

    /// What that row says.
    pub(crate) fn restored([now, before, count]: [u64; 3]) -> Self {
        Self { now: now.min(MOST), before: before.min(MOST), count: count.min(2 * SPAN) }
    }

    /// What to keep free for `amount`, which is the root of the squares' sum where it is
    /// of several independent estimates.
    pub(crate) fn of(self, amount: Tokens) -> i64 {
        let part = (self.part() * (self.count + MORE) / self.count.max(1)).min(MOST);
        signed((u128::from(amount) * u128::from(part) / u128::from(WHOLE)) as u64)
    }

    fn part(self) -> u64 {
        self.now.max(self.before)
    }

    /// The same of estimates whose squares' sum this is.
    pub(crate) fn of_squares(self, squares: u64) -> i64 {
        if self.part() == 0 { 0 } else { self.of(squares.isqrt()) }
    }
}

/// An estimate's square.
pub(crate) fn square(amount: Tokens) -> u64 {
    amount.min(AMOUNT_MAX).pow(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Real amounts for 1,000 expected, spread evenly.
    fn learned(least: u64, most: u64, count: u64) -> Spread {
        let mut spread = Spread::default();
        for n in 0..count {
            spread.learn(1_000, least + n * 7_919 % (most - least + 1));
        }
        spread
    }

    #[test]
    fn what_is_exact_or_always_less_than_expected_costs_nothing() {
        assert_eq!(Spread::default().of(1_000), 0);
        assert_eq!(learned(1_000, 1_000, 100).of(1_000), 0);
        assert_eq!(learned(100, 900, 100).of(1_000), 0);
    }

    #[test]
    fn errors_that_are_spread_evenly_stay_within_the_bound() {
        for count in 4..200 {
            let bound = learned(850, 1_150, count).of(1_000);
            assert!((150..=500).contains(&bound), "{count}: {bound}");
        }
        for count in 64..200 {
            assert!(learned(850, 1_150, count).of(1_000) <= 225);
        }
    }

    #[test]
    fn one_that_was_no_estimate_is_forgotten() {
        let mut spread = learned(1_000, 1_000, 100);
        spread.learn(1_000, u64::MAX);
        assert_eq!(spread.of(1_000), 500, "and no more than half");
        (0..2 * SPAN).for_each(|_| spread.learn(1_000, 1_000));
        assert_eq!(spread.of(1_000), 0);
    }

    #[test]
    fn independent_estimates_count_in_quadrature() {
        let spread = learned(850, 1_150, 500);
        let squares = (0..100).map(|_| square(1_000)).sum();
        assert!((spread.of_squares(squares) - 10 * spread.of(1_000)).abs() <= 1);
        assert!(spread.of_squares(u64::MAX) > 0 && spread.of(u64::MAX) > 0);
    }
}

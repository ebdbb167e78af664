//! What becomes known of a request that was only estimated: the provider's count of its
//! input, and what it generated.
//!
//! By its own account the mirror is wrong by what estimates are off, until each request is
//! settled. Nearly all of that stays free, so that nothing is refused where one request is
//! a good part of a bucket; a bucket that is waited for refills meanwhile, so it costs none
//! of the rate.

use super::Mirror;
use crate::amounts::signed;
use crate::message::{Millis, Tokens};
use crate::running::Part;
use crate::spread::square;

impl Mirror {
    /// What running requests' input, and that of one of so many tokens beside them, may
    /// exceed what was taken for it.
    pub(super) fn input_spread(&self, input: Tokens) -> i64 {
        let squares = self.running.input_squares().wrapping_add(square(input));
        self.input_spread.of_squares(squares)
    }

    /// Of a request that was granted then, and for whose input so much was taken, the
    /// provider counted `used`; nothing of one that it refused or did not see.
    pub(crate) fn counted(&mut self, taken: Tokens, used: Tokens, granted: Millis) {
        let back = signed(taken) - signed(used);
        self.give(1, back, granted);
    }

    /// A running request has generated so much beyond what was taken for it, as far as it
    /// was last heard of.
    pub(super) fn take_generated(&mut self, part: &Part, output: Tokens, assumed: i64) {
        if !self.reserves_most {
            let taken = signed(part.generated).saturating_add(assumed);
            self.give(2, taken - signed(output), part.since);
        }
    }

    /// So much less was used than was taken since then, or more where negative.
    fn give(&mut self, kind: usize, mut back: i64, since: Millis) {
        // Of an output a level holds no more than its beginning.
        if kind == 1 && back > 0 && since <= self.told_until {
            // Where answers told since that there was more than by our own account, this
            // explains it, and only the rest is new; where they told of less, they hold it.
            let unexplained = self.unexplained;
            let after = unexplained.saturating_add(back);
            back = if unexplained > 0 { 0 } else { after.max(0) };
            self.unexplained = after - back;
        }
        let Some(bucket) = &mut self.buckets[kind] else { return };
        if back > 0 && since < bucket.full_at() {
            // What was left would have been there without it.
            return;
        }
        bucket.take(-back);
        // Of what was taken too little, no answer to an earlier request can know.
        self.history.taken[kind] = self.history.taken[kind].saturating_sub(back.min(0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::tests::seen;
    use crate::scope::Need;
    use crate::settings::{AccountSettings, ClassLimits};

    const ITPM: u64 = 60_000;
    /// The burst is that less 1.5 % of it.
    const FULL: i64 = 59_100;

    fn mirror() -> Mirror {
        let limits = ClassLimits { rpm: Some(60_000), itpm: Some(ITPM), ..ClassLimits::default() };
        let limits = [("*".into(), Box::new(limits))].into();
        Mirror::new(&AccountSettings { limits, ..Default::default() }, "c", 0)
    }

    fn take(mirror: &mut Mirror, input: Tokens, now: Millis) {
        mirror.refill(now);
        mirror.take(&Need { input, ..Need::default() }, now);
    }

    /// The answer to a request of so much input, which was granted at 0, is told at `now`.
    fn told(mirror: &mut Mirror, remaining: u64, input: i64, now: Millis) {
        mirror.observe(&seen(1, ITPM, remaining), 0, 0, [1, input, 0], now);
    }

    fn left(mirror: &Mirror, now: Millis) -> i64 {
        mirror.free(now)[1].expect("a limit")
    }

    #[test]
    fn what_an_answer_told_is_not_given_back_again() {
        // 40,000 were taken, and so many counted.
        for (counted, refilled) in [(10_000, 100), (25_000, 100), (50_000, 100)] {
            let mut mirror = mirror();
            take(&mut mirror, 40_000, 0);
            told(&mut mirror, ITPM - counted, 40_000, 100);
            mirror.counted(40_000, counted, 0);
            let real = ITPM as i64 - counted as i64 + refilled;
            let left = left(&mirror, 100);
            assert!(left <= real && left >= real - 11_000, "{counted}: {left} of {real}");
        }
        let mut untold = mirror();
        take(&mut untold, 40_000, 0);
        untold.counted(40_000, 10_000, 0);
        assert_eq!(left(&untold, 0), FULL - 10_000);
    }

    #[test]
    fn what_was_full_again_gets_nothing_back() {
        let mut mirror = mirror();
        take(&mut mirror, 40_000, 0);
        take(&mut mirror, 50_000, 70_000);
        mirror.counted(40_000, 10_000, 0);
        assert_eq!(left(&mirror, 70_000), FULL - 50_000);
        mirror.counted(50_000, 45_000, 70_000);
        assert_eq!(left(&mirror, 70_000), FULL - 45_000);
    }

    #[test]
    fn room_is_left_for_what_estimates_are_off_and_nobody_is_shut_out() {
        let mut mirror = mirror();
        (0..100).for_each(|n| mirror.input_spread.learn(100, 100 + n % 21));
        let need = |input| Need { input, ..Need::default() };
        let room = [0; 3];
        assert_eq!(mirror.wait_ms(&need(45_000), &room, 0), 0);
        take(&mut mirror, 45_000, 0);
        // 14,100 are left, and 45,000 may have been a fifth more.
        assert_eq!(mirror.wait_ms(&need(500), &room, 0), 0);
        assert!(mirror.wait_ms(&need(4_000), &room, 0) > 0);
        let full = mirror.wait_ms(&need(FULL as u64), &room, 0);
        assert_eq!(full, 45_000, "a full bucket is enough");
    }
}

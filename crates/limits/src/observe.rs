//! How a response's rate-limit headers correct the mirror.
//!
//! An observation says what a bucket held at some moment between the grant of
//! its request and now. Since then it refilled at most for that whole span, and
//! was drawn at most by all that was granted since. That makes an interval; the
//! mirror moves only when it lies outside. Times are the Gate's own clock's, so a
//! late answer or one out of order widens the interval and can never mislead
//! (invariant 4). For a request granted before a restart, or settled, there is only
//! the Worker's word on when it was sent, of which five seconds are taken off.

use std::ops::Range;

use crate::amounts::signed;
use crate::message::{Level, Millis, Observation};
use crate::mirror::{MARGIN_MIN, Mirror, margin};
use crate::policy::RATE_MAX;
use crate::resets::Reset;

/// The provider rounds `remaining` of tokens to the nearest thousand
/// (rate-limit page, copies of September 2026); requests are exact.
pub(crate) const ROUNDING: [i64; 3] = [0, 500, 500];

impl Mirror {
    /// Learns from one response. `granted` is when the Gate let its request go,
    /// `sent` about when it went, which orders answers across a change of limits;
    /// `own` is what was taken for it: it is in `remaining` already.
    pub(crate) fn observe(
        &mut self,
        seen: &Observation,
        granted: Millis,
        sent: Millis,
        own: [i64; 3],
        now: Millis,
    ) {
        self.refill(now);
        let taken = self.history.since(granted);
        let is_newest = sent >= self.limits_at;
        let is_refusal = seen.status == 429;
        for (kind, level) in [seen.requests, seen.input, seen.output].into_iter().enumerate() {
            let Some(level) = level.filter(|level| (1..=RATE_MAX).contains(&level.limit)) else {
                continue;
            };
            let is_news = self.limits[kind] != Some(level.limit);
            if is_news && !is_newest {
                // Answers from before a change of limits say nothing now.
                continue;
            }
            if is_news {
                self.set_limit(kind, level.limit, now);
            }
            if is_newest && (is_news || is_refusal) {
                // A refusal that repeats a limit makes older answers older still.
                self.limits_at = sent;
            }
            let taken = taken.map(|taken| taken[kind] - own[kind]);
            self.learn_clock(kind, &level, granted, now);
            self.correct(kind, &level, taken, granted..now, is_refusal);
        }
    }

    /// Where `remaining` tells how much there was between the grant and now, `reset`
    /// tells what the provider's clock showed. Nothing left may be any debt, and what
    /// is full has been so for any time.
    fn learn_clock(&mut self, kind: usize, level: &Level, granted: Millis, now: Millis) {
        let Some(reset) = reset_of(level) else { return };
        let (left, limit) = (signed(level.remaining), signed(level.limit));
        let rounding = ROUNDING[kind].max(1);
        if left > 0 && left + rounding < limit {
            self.resets.learn(reset, left - rounding, left + rounding, granted, now);
        }
    }

    /// Moves one bucket into the interval that `level` allows, and the one that its
    /// reset tells, where that is understood. `span`: from the grant until now.
    fn correct(
        &mut self,
        kind: usize,
        level: &Level,
        taken: Option<i64>,
        span: Range<Millis>,
        is_refusal: bool,
    ) {
        let now = span.end;
        let told = reset_of(level).and_then(|reset| self.resets.level(reset, now));
        // Nobody owes more than a minute's limit: a wrong time would shut the pool.
        let told = told.filter(|(_, most)| *most >= -signed(level.limit));
        // The widened margin shapes the burst: as a debt it would make everyone
        // wait for its refill after each answer.
        let margin = margin(level.limit, MARGIN_MIN);
        let follows = self.follows();
        let Some(bucket) = &mut self.buckets[kind] else { return };
        let left = i64::try_from(level.remaining.min(level.limit)).unwrap_or(i64::MAX);
        let refilled = bucket.refilled_in(now.saturating_sub(span.start));
        // A refusal's hold covers the wait, so the margin only makes up for the
        // span before the provider looked.
        let gained = if is_refusal { (refilled - margin).max(0) } else { refilled - margin };
        let most = left + ROUNDING[kind] + gained;
        // Nothing left may mean any debt.
        let least = (left > 0).then_some(left - ROUNDING[kind]);
        let (least, most) = match told {
            Some((low, high)) => (least.max(Some(low)), most.min(high)),
            None => (least, most),
        };
        // A share's level is our own account.
        let low = match (least, taken) {
            (Some(least), Some(taken)) if follows => least - taken - margin,
            _ => i64::MIN / crate::bucket::UNIT,
        };
        let before = bucket.level();
        bucket.clamp(low, most);
        let drew = before - bucket.level();
        if kind == 1 {
            // Others' use is never explained: it must not hide ours when it is over.
            let most = margin + 2 * ROUNDING[1];
            self.unexplained = self.unexplained.saturating_add(drew).min(most);
        }
        self.told_until = self.told_until.max(span.start);
        if std::mem::replace(&mut self.told[kind], true) && follows {
            self.outside.drew(kind, drew, level.limit, now);
        }
    }
}

fn reset_of(level: &Level) -> Option<Reset> {
    level.reset_ms.map(|at| Reset { at, limit: level.limit })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::message::Pool;
    use crate::running::Part;
    use crate::scope::Need;
    use crate::settings::{AccountSettings, ClassLimits};

    fn mirror(rpm: u64, itpm: u64, otpm: u64) -> Mirror {
        let limits =
            ClassLimits { rpm: Some(rpm), itpm: Some(itpm), otpm: Some(otpm), concurrent: None };
        let account = AccountSettings {
            limits: [("*".into(), Box::new(limits))].into(),
            ..Default::default()
        };
        Mirror::new(&account, "c", 0)
    }

    pub(crate) fn seen(kind: usize, limit: u64, remaining: u64) -> Observation {
        let level = |k| (k == kind).then_some(Level { limit, remaining, reset_ms: None });
        Observation {
            pool: Pool { account: "a".into(), class: "c".into(), speed: "standard".into() },
            ticket: "t".into(),
            attempt: 0,
            sent_ms: 0,
            at_ms: 0,
            status: 200,
            error_code: None,
            retry_after_ms: None,
            requests: level(0),
            input: level(1),
            output: level(2),
        }
    }

    fn need(input: u64) -> Need {
        Need { input, input_max: input, output: 100, output_max: 1_000, ..Need::default() }
    }

    #[test]
    fn the_level_moves_only_when_outside_the_interval() {
        // Margin 1.5 % of 100,000: 1,500. Refill 1,666 in the second since.
        for (left, expected, why) in [
            (90_000, 98_500 - 10_000 + 1_666, "our own account says as much"),
            (40_000, 40_000 + 500 + 1_667 - 1_500, "someone else drew: down to the high end"),
            (98_000, 98_000 - 500 - 1_500, "less was used than reserved: up to the low end"),
        ] {
            let mut mirror = mirror(1_000, 100_000, 50_000);
            mirror.take(&need(10_000), 0);
            mirror.observe(&seen(1, 100_000, left), 0, 0, [1, 10_000, 0], 1_000);
            assert_eq!(mirror.free(1_000)[1], Some(expected), "{why}");
        }
    }

    #[test]
    fn a_stale_answer_never_gives_back_what_was_granted_since() {
        let mut mirror = mirror(1_000, 100_000, 50_000);
        mirror.take(&need(1_000), 0);
        for n in 1..=50 {
            mirror.refill(n * 60);
            mirror.take(&need(1_500), n * 60);
        }
        let before = mirror.free(3_000)[1];
        // The first request's answer, seen late: 99,000 were left at its start.
        mirror.observe(&seen(1, 100_000, 99_000), 0, 0, [1, 1_000, 0], 3_000);
        assert_eq!(mirror.free(3_000)[1], before);
    }

    #[test]
    fn limits_are_learned_raised_and_lowered_within_one_answer() {
        let mut mirror = Mirror::new(&AccountSettings::default(), "c", 0);
        assert_eq!(mirror.free(0), [None; 3]);
        for (at, limit, left, most) in
            [(0, 50, 49, 49), (1_000, 500, 480, 480), (2_000, 20, 15, 16), (3_000, 40, 30, 31)]
        {
            mirror.refill(at);
            mirror.take(&need(10), at);
            mirror.observe(&seen(0, limit, left), at, at, [1, 10, 0], at);
            assert_eq!(mirror.limits[0], Some(limit));
            let free = mirror.free(at)[0].expect("learned");
            assert!(free <= most, "{free} of {left} at {at}");
        }
        // An answer to the request of 1,000 ms, late: its limit is old news.
        mirror.observe(&seen(0, 500, 480), 1_000, 1_000, [1, 10, 0], 3_500);
        assert_eq!(mirror.limits[0], Some(40));
    }

    #[test]
    fn a_share_is_never_raised_by_what_others_leave() {
        let limits = ClassLimits { rpm: Some(1_000), ..ClassLimits::default() };
        let account = AccountSettings {
            limits: [("*".into(), Box::new(limits))].into(),
            share_permille: 100,
            ..Default::default()
        };
        let mut mirror = Mirror::new(&account, "c", 0);
        for _ in 0..50 {
            mirror.take(&need(1), 0);
        }
        let before = mirror.free(0)[0];
        mirror.observe(&seen(0, 1_000, 990), 0, 0, [1, 1, 0], 0);
        assert_eq!(mirror.free(0)[0], before);
        mirror.observe(&seen(0, 1_000, 20), 0, 0, [1, 1, 0], 0);
        assert!(mirror.free(0)[0] < Some(20));
    }

    #[test]
    fn a_refusal_costs_its_retry_after_and_the_refill_of_what_is_asked() {
        // Requests and input a minute, what is asked, and the longest wait. By
        // the second, the jitter of the widest margin comes on top.
        for (rpm, itpm, input, most) in [
            (50, 1_000_000, 100, 1_200 + 339),
            (600, 1_000_000, 100, 1_000),
            (6_000, 30_000, 1_000, 2_000),
            (6_000, 1_000_000, 1_000, 1_000),
        ] {
            let mut mirror = mirror(rpm, itpm, 1_000_000);
            let mut now = 0;
            for round in 1..=6 {
                mirror.take(&need(input), now);
                let mut refused = seen(0, rpm, 0);
                refused.status = 429;
                refused.input = Some(Level { limit: itpm, remaining: 0, reset_ms: None });
                mirror.observe(&refused, now, now, [1, input as i64, 0], now);
                mirror.refused(Some(1_000), false, now);
                let wait = mirror.wait_ms(&need(input), &[0; 3], now);
                assert!((1_000..=most).contains(&wait), "{rpm} {itpm} {input} {round}: {wait}");
                now += wait;
                mirror.refill(now);
                assert_eq!(mirror.wait_ms(&need(input), &[0; 3], now), 0, "the time was true");
            }
        }
    }

    #[test]
    fn success_narrows_the_margin_and_late_answers_do_not() {
        let mut mirror = mirror(6_000, 1_000_000, 1_000_000);
        for at in [1_000, 3_000, 5_000] {
            mirror.refused(Some(1_000), false, at);
        }
        let wide = mirror.margin_permille();
        assert_eq!(wide, 100);
        mirror.accepted(4_999, 5_500);
        assert_eq!(mirror.margin_permille(), wide, "granted before the refusal");
        let answers = u64::from(wide - MARGIN_MIN);
        for n in 1..=answers {
            mirror.accepted(5_000 + n, 5_000 + n);
        }
        assert_eq!(mirror.margin_permille(), MARGIN_MIN);
        mirror.accepted(9_000, 9_000);
        assert_eq!(mirror.margin_permille(), MARGIN_MIN, "and no further");
    }

    #[test]
    fn settled_output_is_taken_to_the_token_whatever_speed_is_learned() {
        let mut mirror = mirror(1_000, 1_000_000, 60_000);
        let need = Need {
            input: 100,
            input_max: 100,
            output: 1_000,
            output_max: 1_024,
            ..Need::default()
        };
        for _ in 0..26 {
            mirror.take(&need, 0);
        }
        let mut now = 4_300;
        for _ in 0..26 {
            now += 80;
            mirror.refill(now);
            let part = Part { input: 100, expected: 1_000, generated: 0, max: 1_024, since: 0 };
            mirror.end(&part, Some((1_000, now)), now);
        }
        // A token a millisecond refills the burst less its margin of 900.
        let left = 60_000 - 900 - 26_000 + now as i64;
        let free = mirror.free(now)[2].expect("a limit");
        assert!((free - left).abs() <= 2, "{free} of {left}");
    }

    #[test]
    fn one_wrong_reset_does_not_shut_a_pool() {
        const TEN_YEARS: u64 = 315_576_000_000;
        const YEAR_9999: u64 = 253_402_300_799_000;
        for wrong in [TEN_YEARS, YEAR_9999] {
            let mut mirror = mirror(1_000, 100_000, 60_000);
            let mut now = 0;
            for n in 0..9 {
                now = n * 1_000;
                mirror.refill(now);
                let mut seen = seen(1, 100_000, 50_000);
                let reset_ms = Some((now + 30_000).div_ceil(1_000) * 1_000);
                seen.input = Some(Level { limit: 100_000, remaining: 50_000, reset_ms });
                mirror.observe(&seen, now, now, [0; 3], now);
            }
            let mut seen = seen(1, 100_000, 0);
            seen.input = Some(Level { limit: 100_000, remaining: 0, reset_ms: Some(now + wrong) });
            mirror.observe(&seen, now, now, [0; 3], now);
            let wait = mirror.wait_ms(&need(1_000), &[0; 3], now);
            assert!(wait <= 2_000, "{wait}");
        }
    }
}

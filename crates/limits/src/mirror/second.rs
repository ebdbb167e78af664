//! Requests by the second, as the provider enforces a minute's limit, and the pace of
//! those who wait within it.

use super::{MARGIN_MIN, Mirror};
use crate::amounts::signed;
use crate::bucket::Pace;
use crate::message::Millis;

/// How much earlier than granted one request may arrive after another: the
/// spread of the latency between grant and arrival, for limits by the second.
const JITTER_MS: i64 = 50;
/// And where one goes at a time: two messages' ways vary by 28 ms each in the simulator,
/// and with 50 in all, 3 of 100 seeds of `fifty-of-large-answers` met a refusal.
const JITTER_OF_ONE_MS: i64 = 60;
/// Those who wait go at most so many at once, of what may go at once by the second. Where
/// answers end early there is room for many. One after the other they use as much of it,
/// and where the provider has just lowered its limits, an answer mostly tells so before
/// they run into them: in 500 seeds of `limits-lowered-and-raised` 97 attempts were refused
/// when all went at once (2026-11-30).
const WAITERS_PART: u64 = 4;
/// But two: a timer's lateness must not cost some of the rate.
const WAITERS_LEAST: u64 = 2;

impl Mirror {
    /// The limit was not known before: where several may go at once, they may now, less
    /// what went while so many would have been refilled.
    pub(super) fn know_second(&mut self, rate: u64, now: Millis) {
        self.set_second(rate, now);
        let Some(second) = self.second.as_mut().filter(|second| second.capacity() > 1) else {
            return;
        };
        let lately = self.history.since(now.saturating_sub(second.fills_ms()));
        let left = signed(second.capacity()) - lately.unwrap_or(self.history.taken)[0];
        second.take((second.level() - left).min(0));
    }

    pub(super) fn forget_second(&mut self) {
        (self.second, self.waiters) = (None, None);
    }

    /// "60 RPM may be enforced as 1 a second": a second's burst less the jitter,
    /// or, where that is below one request, a pace that the jitter cannot break.
    pub(super) fn set_second(&mut self, rate: u64, now: Millis) {
        let jitter = JITTER_MS * i64::from(self.margin_permille) / i64::from(MARGIN_MIN);
        let by_jitter = signed(rate).saturating_mul(jitter) / 60_000 + 1;
        let burst = signed(rate.div_ceil(60)) - by_jitter;
        let pace = if burst >= 1 {
            rate.saturating_mul(1_000)
        } else {
            let jitter = jitter.max(JITTER_OF_ONE_MS) as u64;
            60_000_000 / (60_000 / rate.max(1) + jitter).max(1)
        };
        let burst = burst.max(1) as u64;
        let of_waiters = (burst / WAITERS_PART).max(WAITERS_LEAST);
        for (bucket, burst) in [(&mut self.second, burst), (&mut self.waiters, of_waiters)] {
            match bucket {
                Some(bucket) => bucket.resize(pace, burst),
                none => *none = Some(Pace::new(pace, burst, now)),
            }
        }
    }

    /// One that was granted then hears of it only now: who goes next keeps its distance, as
    /// far as what goes at once has no room for that already.
    pub(crate) fn goes_late(&mut self, granted: Millis, now: Millis) {
        if let Some(second) = &mut self.second {
            let room = if second.capacity() > 1 { JITTER_MS as u64 } else { 0 };
            second.refill(now);
            second.take_later(now.saturating_sub(granted + room));
        }
    }

    /// The span until one more of those who wait may go by the second.
    pub(crate) fn paced_ms(&self) -> Millis {
        self.waiters.as_ref().map_or(0, |bucket| bucket.wait_ms(1, 0))
    }

    /// One that waited goes.
    pub(crate) fn pace(&mut self) {
        if let Some(bucket) = &mut self.waiters {
            bucket.take(1);
        }
    }
}

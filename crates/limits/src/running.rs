//! What runs in one pool, as sums: how much it has generated, may still draw,
//! and what its lengths and speed were seen to be.

use crate::amounts::signed;
use crate::message::{Millis, Tokens};
use crate::scope::owed;

/// Output speed assumed before anything was learned, in tokens a 1,000 s.
const SPEED: u64 = 50_000;

/// The sums over running requests.
#[derive(Clone, Debug)]
pub(crate) struct Running {
    pub(crate) count: u64,
    /// Sum of the times at which each last told how far it was, or started.
    since: u128,
    /// Expected output still owed, as of then.
    owed: i64,
    /// Sum of their expected outputs.
    expected: i64,
    /// The most that can still be generated.
    left: u64,
    /// Output tokens and milliseconds of settled requests: their quotient is
    /// the speed.
    tokens: u64,
    ms: u64,
    /// How far answers that exceed their expectation go beyond it, in permille
    /// of it: 1,000 for lengths without memory, less for regular ones.
    excess_permille: u64,
    /// Settled requests and their output, remembered many times as long as
    /// requests run.
    finished: u64,
    finished_tokens: u64,
}

/// One running request's part of the sums.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part {
    pub(crate) expected: Tokens,
    pub(crate) generated: Tokens,
    pub(crate) max: Tokens,
    pub(crate) since: Millis,
}

impl Running {
    pub(crate) fn new() -> Self {
        Self {
            count: 0,
            since: 0,
            owed: 0,
            expected: 0,
            left: 0,
            tokens: 0,
            ms: 0,
            excess_permille: 1_000,
            finished: 0,
            finished_tokens: 0,
        }
    }

    /// What was learned before a restart, with nothing running.
    pub(crate) fn restored(learned: [u64; 5]) -> Self {
        let [tokens, ms, excess_permille, finished, finished_tokens] = learned;
        if finished == 0 {
            return Self::new();
        }
        Self { tokens, ms, excess_permille, finished, finished_tokens, ..Self::new() }
    }

    /// What [`Running::restored`] takes.
    pub(crate) fn learned(&self) -> [u64; 5] {
        [self.tokens, self.ms, self.excess_permille, self.finished, self.finished_tokens]
    }

    pub(crate) fn add(&mut self, part: &Part) {
        self.count += 1;
        self.since += u128::from(part.since);
        self.owed += owed(part.expected, part.generated);
        self.expected += signed(part.expected);
        self.left = self.left.saturating_add(part.max.saturating_sub(part.generated));
    }

    pub(crate) fn remove(&mut self, part: &Part) {
        debug_assert!(self.count > 0, "more requests ended than were granted");
        self.count = self.count.saturating_sub(1);
        self.since = self.since.saturating_sub(u128::from(part.since));
        self.owed -= owed(part.expected, part.generated);
        self.expected -= signed(part.expected);
        self.left = self.left.saturating_sub(part.max.saturating_sub(part.generated));
        debug_assert!(self.owed >= 0 && self.expected >= 0, "owed = sum of the open tickets");
    }

    /// Output that runs up to `now` have generated since they were last heard
    /// of: the speed times the time, at most what they may.
    pub(crate) fn generated(&self, now: Millis) -> i64 {
        let span = (u128::from(self.count) * u128::from(now)).saturating_sub(self.since);
        let tokens = span * u128::from(self.speed()) / 1_000_000;
        signed(u64::try_from(tokens).unwrap_or(u64::MAX).min(self.left))
    }

    /// How far running requests may still draw the bucket down: what they are
    /// expected to generate yet, less what is refilled while they do.
    ///
    /// Expected is what is left of their means, but an answer that has reached
    /// its mean goes on, by as much as answers were seen to. While they generate
    /// no faster than the refill the level does not fall; a part stays promised
    /// all the same, since lengths and speed are estimates.
    pub(crate) fn promised(&self, generated: i64, per_minute: u64, capacity: u64) -> i64 {
        let rest = self.rest(generated);
        let speed = u128::from(self.count) * u128::from(self.speed()) * 60_000 / 1_000_000;
        let refill = u128::from(per_minute);
        let drawn = match speed.checked_sub(refill) {
            Some(surplus) if speed > 0 => (rest.max(0) as u128 * surplus / speed) as i64,
            _ => 0,
        };
        drawn.max((self.expected / 4).min(signed(capacity / 6)))
    }

    /// What running requests are expected to generate yet, and one standard
    /// deviation of it: lengths vary about as much as their mean.
    pub(crate) fn rest(&self, generated: i64) -> i64 {
        let excess = self.expected.saturating_mul(self.excess_permille as i64) / 1_000;
        let deviation = self.expected / signed(self.count.isqrt().max(1));
        self.owed.saturating_sub(generated).max(excess).saturating_add(deviation)
    }

    /// Tokens in 1,000 s.
    fn speed(&self) -> u64 {
        // Half a minute of the prior beside what was measured: the first short
        // answers, mostly waiting for their first token, decide nothing.
        let tokens = u128::from(self.tokens) * 1_000_000 + u128::from(SPEED) * 30_000;
        (tokens / (u128::from(self.ms) + 30_000)) as u64
    }

    pub(crate) fn learn(&mut self, expected: Tokens, tokens: Tokens, ms: Millis) {
        // 20 minutes of generation remembered, the older half at half weight.
        if self.ms > 1_200_000 {
            self.ms /= 2;
            self.tokens /= 2;
        }
        self.tokens = self.tokens.saturating_add(tokens.min(1 << 32));
        self.ms = self.ms.saturating_add(ms.min(1 << 32));
        if self.finished > 64 * self.count.max(16) {
            self.finished /= 2;
            self.finished_tokens /= 2;
        }
        self.finished += 1;
        self.finished_tokens = self.finished_tokens.saturating_add(tokens.min(1 << 32));
        if tokens > expected {
            let excess = ((tokens - expected).saturating_mul(1_000) / expected.max(1)).min(2_000);
            self.excess_permille = (self.excess_permille * 31 + excess) / 32;
        }
    }

    /// A mean of settled lengths, corrected for those that still run. The first
    /// to end are the short ones: what has been generated in all, over what has
    /// ended, is the mean that does not fall for that (the maximum-likelihood
    /// mean of exponential lengths under censoring). At most fourfold; next to
    /// nothing once many more have ended than run.
    pub(crate) fn unbiased(&self, mean: Tokens, now: Millis) -> Tokens {
        if self.finished == 0 {
            return mean;
        }
        let running = self.generated(now).max(0) as u128;
        let finished = u128::from(self.finished_tokens.max(1));
        let corrected = u128::from(mean) * (finished + running).min(4 * finished) / finished;
        u64::try_from(corrected).unwrap_or(u64::MAX)
    }

    /// Mean time that one request takes, for estimates of waits.
    pub(crate) fn service_ms(&self, expected: Tokens) -> Millis {
        expected.saturating_mul(1_000_000) / self.speed().max(1)
    }
}

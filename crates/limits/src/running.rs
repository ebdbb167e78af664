//! What runs in one pool, as sums: how much it has generated, may still draw,
//! and what its lengths and speed were seen to be.

use crate::amounts::signed;
use crate::message::{Millis, Tokens};
use crate::mirror::{MARGIN_MIN, margin};
use crate::scope::owed;
use crate::spread::{Spread, square};

/// The root of squares is exceeded in 4 of 100 cases where errors are spread evenly, however
/// many they are (Irwin-Hall). Of so few each is a good part of a bucket, and one and a half
/// times as much is exceeded in less than one of two hundred.
const FEW: u64 = 8;
/// Output speed assumed before anything was learned, in tokens a 1,000 s.
const SPEED: u64 = 50_000;

/// What runs in one pool.
#[derive(Clone, Debug)]
pub(crate) struct Running {
    all: Sums,
    /// Those of them that a restart knows by their sums alone: each is taken out when
    /// it tells that it runs, or how it ended.
    ghosts: Sums,
    /// What was added to the stored floor for them. Those that ended since the row was
    /// written do not draw it any more: it is nobody's until each is known.
    ghosts_rest: i64,
    /// Output tokens and milliseconds of settled requests: their quotient is
    /// the speed.
    tokens: u64,
    ms: u64,
    /// That, in tokens a 1,000 s.
    speed: u64,
    /// By how much answers are faster.
    pub(crate) faster: Spread,
    /// How far answers that exceed their expectation go beyond it, in permille
    /// of it: 1,000 for lengths without memory, less for regular ones.
    excess_permille: u64,
    /// Settled requests and their output, remembered many times as long as
    /// requests run.
    finished: u64,
    finished_tokens: u64,
}

/// The sums over some requests.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    count: u64,
    /// Sum of the times at which each last told how far it was, or started: exact for
    /// ten million requests.
    since: u64,
    /// And of their squares.
    since_squares: u128,
    /// Expected output still owed, as of then.
    owed: i64,
    /// Sum of their expected outputs.
    expected: i64,
    /// What they told that they had generated.
    told: i64,
    /// The most that can still be generated.
    left: u64,
    /// Squares of what was taken for their input: it wraps, so that it is exact again
    /// when they end.
    input_squares: u64,
}

impl Sums {
    fn add(&mut self, part: &Self) {
        self.count += part.count;
        self.since = self.since.saturating_add(part.since);
        self.since_squares = self.since_squares.wrapping_add(part.since_squares);
        self.owed += part.owed;
        self.expected += part.expected;
        self.told += part.told;
        self.left = self.left.saturating_add(part.left);
        self.input_squares = self.input_squares.wrapping_add(part.input_squares);
    }

    fn remove(&mut self, part: &Self) {
        self.count = self.count.saturating_sub(part.count);
        self.since = self.since.saturating_sub(part.since);
        self.since_squares = self.since_squares.wrapping_sub(part.since_squares);
        self.owed -= part.owed;
        self.expected -= part.expected;
        self.told -= part.told;
        self.left = self.left.saturating_sub(part.left);
        self.input_squares = self.input_squares.wrapping_sub(part.input_squares);
        debug_assert!(self.owed >= 0 && self.expected >= 0, "owed = sum of the open tickets");
    }

    /// One request's part, where nothing tells them apart.
    fn mean(&self) -> Self {
        let count = self.count.max(1);
        Self {
            count: self.count.min(1),
            since: self.since / count,
            since_squares: self.since_squares / u128::from(count),
            owed: self.owed / signed(count),
            expected: self.expected / signed(count),
            told: self.told / signed(count),
            left: self.left / count,
            input_squares: self.input_squares / count,
        }
    }
}

/// One running request's part of the sums.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part {
    /// What was taken for its input.
    pub(crate) input: Tokens,
    pub(crate) expected: Tokens,
    pub(crate) generated: Tokens,
    pub(crate) max: Tokens,
    pub(crate) since: Millis,
}

impl Part {
    fn sums(&self) -> Sums {
        Sums {
            count: 1,
            since: self.since,
            since_squares: u128::from(self.since).pow(2),
            owed: owed(self.expected, self.generated),
            expected: signed(self.expected),
            told: signed(self.generated),
            left: self.max.saturating_sub(self.generated),
            input_squares: square(self.input),
        }
    }
}

impl Running {
    pub(crate) fn new() -> Self {
        Self {
            all: Sums::default(),
            ghosts: Sums::default(),
            tokens: 0,
            ms: 0,
            speed: SPEED,
            faster: Spread::default(),
            ghosts_rest: 0,
            excess_permille: 1_000,
            finished: 0,
            finished_tokens: 0,
        }
    }

    /// What ran when the row was written, `at`, and what was learned.
    pub(crate) fn restored(
        ran: [u64; 5],
        input_squares: u64,
        learned: [u64; 5],
        faster: Spread,
        ghosts_rest: i64,
        at: Millis,
    ) -> Self {
        let [count, owed, expected, told, left] = ran;
        let ghosts = Sums {
            count,
            since: count.saturating_mul(at),
            since_squares: u128::from(count) * u128::from(at).pow(2),
            owed: signed(owed),
            expected: signed(expected),
            told: signed(told),
            left,
            input_squares,
        };
        let restored = Self { all: ghosts, ghosts, ghosts_rest, faster, ..Self::new() };
        let [tokens, ms, excess_permille, finished, finished_tokens] = learned;
        if finished == 0 {
            return restored;
        }
        let speed = speed(tokens, ms);
        Self { tokens, ms, speed, excess_permille, finished, finished_tokens, ..restored }
    }

    /// What [`Running::restored`] takes.
    pub(crate) fn row(&self) -> ([u64; 5], [u64; 5]) {
        let Sums { count, owed, expected, told, left, .. } = self.all;
        let whole = |amount: i64| amount.max(0) as u64;
        (
            [count, whole(owed), whole(expected), whole(told), left],
            [self.tokens, self.ms, self.excess_permille, self.finished, self.finished_tokens],
        )
    }

    /// How many run.
    pub(crate) fn count(&self) -> u64 {
        self.all.count
    }

    /// Squares of what was taken for their input.
    pub(crate) fn input_squares(&self) -> u64 {
        self.all.input_squares
    }

    /// How many of them a restart knows by their sums alone.
    pub(crate) fn ghosts(&self) -> u64 {
        self.ghosts.count
    }

    /// How long one of them is expected to get.
    pub(crate) fn ghost_length(&self) -> i64 {
        let Sums { told, owed, .. } = self.ghosts.mean();
        told + owed
    }

    /// Takes one of those out: what it had told, if there is one.
    pub(crate) fn lay_ghost(&mut self) -> Option<i64> {
        self.ghosts_rest -= self.ghosts_rest / signed(self.ghosts.count.max(1));
        let ghost = self.ghosts.mean();
        self.ghosts.remove(&ghost);
        self.all.remove(&ghost);
        (ghost.count > 0).then_some(ghost.told)
    }

    pub(crate) fn add(&mut self, part: &Part) {
        self.all.add(&part.sums());
    }

    pub(crate) fn remove(&mut self, part: &Part) {
        debug_assert!(self.all.count > 0, "more requests ended than were granted");
        self.all.remove(&part.sums());
    }

    /// Output that runs up to `now` have generated since they were last heard
    /// of: the speed times the time, at most what they may.
    pub(crate) fn generated(&self, now: Millis) -> i64 {
        let span = self.all.count.saturating_mul(now).saturating_sub(self.all.since);
        let tokens = span.saturating_mul(self.speed) / 1_000_000;
        signed(tokens.min(self.all.left))
    }

    /// How far running requests may still draw the bucket down: what they are
    /// expected to generate yet, less what is refilled while they do.
    ///
    /// Expected is what is left of their means, but an answer that has reached
    /// its mean goes on, by as much as answers were seen to. While they generate
    /// no faster than the refill the level does not fall; a part stays promised
    /// all the same, since lengths are estimates, and what they may be faster.
    pub(crate) fn promised(
        &self,
        generated: i64,
        per_minute: u64,
        capacity: u64,
        now: Millis,
    ) -> i64 {
        let speed = self.all.count.saturating_mul(self.speed) * 60 / 1_000;
        let drawn = match speed.checked_sub(per_minute) {
            Some(surplus) if speed > 0 => {
                let rest = self.rest(generated).max(0) as u128;
                (rest * u128::from(surplus) / u128::from(speed)) as i64
            }
            _ => 0,
        };
        let least = (self.all.expected / 4).min(signed(capacity / 6));
        // The mirror stays about a margin below what is there.
        let faster = self.unheard(now) - margin(capacity, MARGIN_MIN) / 2;
        drawn.max(least.saturating_add(faster.max(0))).max(self.ghosts_rest)
    }

    /// What running requests may have generated beyond what is assumed, as answers differ
    /// in speed.
    fn unheard(&self, now: Millis) -> i64 {
        let Sums { count, since, since_squares, left, .. } = self.all;
        let all = count.saturating_mul(now).saturating_sub(since);
        let now = u128::from(now);
        // The squares of the spans since they were last heard of.
        let squares = (u128::from(count) * now).wrapping_mul(now);
        let squares = squares.wrapping_sub(2 * now.wrapping_mul(since.into()));
        let squares = squares.wrapping_add(since_squares);
        let root = u64::try_from(squares).unwrap_or(0).isqrt();
        let span = if count < FEW { (root.saturating_mul(3) / 2).min(all) } else { root };
        let tokens = span.saturating_mul(self.speed) / 1_000_000;
        self.faster.of(tokens.min(left))
    }

    /// What running requests are expected to generate yet, and one standard
    /// deviation of it: lengths vary about as much as their mean.
    pub(crate) fn rest(&self, generated: i64) -> i64 {
        let excess = self.all.expected.saturating_mul(self.excess_permille as i64) / 1_000;
        let deviation = self.all.expected / signed(self.all.count.isqrt().max(1));
        self.all.owed.saturating_sub(generated).max(excess).saturating_add(deviation)
    }

    pub(crate) fn learn(&mut self, expected: Tokens, tokens: Tokens, ms: Millis) {
        // 20 minutes of generation remembered, the older half at half weight.
        if self.ms > 1_200_000 {
            self.ms /= 2;
            self.tokens /= 2;
        }
        self.faster.learn(ms.saturating_mul(self.speed) / 1_000_000, tokens);
        self.tokens = self.tokens.saturating_add(tokens.min(1 << 32));
        self.ms = self.ms.saturating_add(ms.min(1 << 32));
        self.speed = speed(self.tokens, self.ms);
        if self.finished > 64 * self.all.count.max(16) {
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
        expected.saturating_mul(1_000_000) / self.speed.max(1)
    }
}

/// Tokens in 1,000 s.
fn speed(tokens: u64, ms: Millis) -> u64 {
    // Half a minute of the prior beside what was measured: the first short
    // answers, mostly waiting for their first token, decide nothing.
    // What is remembered is at most 20 minutes of an answer each, so this fits.
    let tokens = tokens.saturating_mul(1_000_000).saturating_add(SPEED * 30_000);
    tokens / ms.saturating_add(30_000)
}

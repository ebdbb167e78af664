//! One pool: the buckets of one key and model class (and speed), what it
//! decides, and the account of what it granted. Sans-IO: `now_ms` comes in,
//! decisions come out.
//!
//! The rules are those of the provider's rate-limit page (copies of September
//! 2026): input (uncached and cache creation) is checked at the start, cache
//! reads are free, output is deducted as it is generated and `max_tokens`
//! plays no part.

use crate::bucket::Bucket;
use serde::{Deserialize, Serialize};

/// Limits of one pool, each a minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Requests a minute.
    pub rpm: u64,
    /// Input tokens a minute.
    pub itpm: u64,
    /// Output tokens a minute.
    pub otpm: u64,
    /// Requests are also limited to a second's share: "60 RPM might be enforced
    /// as 1 request per second" (rate-limit page). Off unless asked for.
    #[serde(default)]
    pub by_second: bool,
}

impl Limits {
    fn second(&self) -> u64 {
        if self.by_second { self.rpm.div_ceil(60) } else { self.rpm }
    }
}

/// Which limit refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Requests a minute, or a second.
    Requests,
    /// Input tokens a minute.
    Input,
    /// Output tokens a minute.
    Output,
}

/// A refusal by a limit, and when it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The limit with the longest wait.
    pub kind: Kind,
    /// The limit a minute.
    pub per_minute: u64,
    /// The span until this request would be granted, if nobody else asks.
    pub wait_ms: u64,
}

/// What response headers tell of one bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Level {
    /// A minute's worth.
    pub limit: u64,
    /// Whole tokens left, negative when overdrawn.
    pub remaining: i64,
    /// When it is full again, ms since the epoch.
    pub full_at_ms: u64,
}

/// The three levels of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Levels {
    /// Requests.
    pub requests: Level,
    /// Input tokens.
    pub input: Level,
    /// Output tokens.
    pub output: Level,
}

/// Sums of one pool since the start or the last reset.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Account {
    /// Requests admitted.
    pub granted: u64,
    /// Requests that a limit refused.
    pub refused_requests: u64,
    /// Refused by the input limit.
    pub refused_input: u64,
    /// Refused by the output limit.
    pub refused_output: u64,
    /// Input tokens that counted towards the limit.
    pub input_tokens: u64,
    /// Input tokens read from the prompt cache: free.
    pub cache_read_tokens: u64,
    /// Output tokens generated, whether they were read or not.
    pub output_tokens: u64,
    /// Admitted requests whose connection closed before the answer was complete.
    pub closed_early: u64,
    /// Admitted requests that run now. A reset does not change it.
    pub in_flight: u64,
}

/// Tokens (or requests) of the three kinds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Amounts {
    /// Requests.
    pub requests: u64,
    /// Input tokens.
    pub input_tokens: u64,
    /// Output tokens.
    pub output_tokens: u64,
}

/// The buckets of one key and model class.
#[derive(Debug)]
pub struct Pool {
    limits: Limits,
    requests: Bucket,
    second: Bucket,
    input: Bucket,
    output: Bucket,
    account: Account,
}

impl Pool {
    /// A pool with full buckets.
    pub fn new(limits: Limits, now_ms: u64) -> Self {
        Self {
            limits,
            requests: Bucket::new(limits.rpm, now_ms),
            second: Bucket::with_capacity(limits.rpm, limits.second(), now_ms),
            input: Bucket::new(limits.itpm, now_ms),
            output: Bucket::new(limits.otpm, now_ms),
            account: Account::default(),
        }
    }

    /// Admits one request with `input` tokens that count and `cache_read` that
    /// do not, or says which limit is in the way. A refusal takes nothing.
    /// An admitted request ends with [`Pool::end`].
    pub fn admit(&mut self, now_ms: u64, input: u64, cache_read: u64) -> Result<(), Refused> {
        self.refill(now_ms);
        let refusals = [
            (!self.requests.holds(1) || !self.second.holds(1)).then(|| Refused {
                kind: Kind::Requests,
                per_minute: self.limits.rpm,
                wait_ms: self.requests.wait_ms(1).max(self.second.wait_ms(1)),
            }),
            (!self.input.holds(input)).then(|| Refused {
                kind: Kind::Input,
                per_minute: self.limits.itpm,
                wait_ms: self.input.wait_ms(input),
            }),
            (!self.output.is_positive()).then(|| Refused {
                kind: Kind::Output,
                per_minute: self.limits.otpm,
                wait_ms: self.output.wait_positive_ms(),
            }),
        ];
        if let Some(refused) = refusals.into_iter().flatten().max_by_key(|r| r.wait_ms) {
            match refused.kind {
                Kind::Requests => self.account.refused_requests += 1,
                Kind::Input => self.account.refused_input += 1,
                Kind::Output => self.account.refused_output += 1,
            }
            return Err(refused);
        }
        self.requests.debit(1);
        self.second.debit(1);
        self.input.debit(input);
        self.account.granted += 1;
        self.account.in_flight += 1;
        self.account.input_tokens += input;
        self.account.cache_read_tokens += cache_read;
        Ok(())
    }

    /// Deducts output that was just generated, below zero if need be.
    pub fn generated(&mut self, now_ms: u64, tokens: u64) {
        self.output.refill(now_ms);
        self.output.debit(tokens);
        self.account.output_tokens += tokens;
    }

    /// An admitted request is over: by itself, or because its connection closed.
    pub fn end(&mut self, closed_early: bool) {
        debug_assert!(self.account.in_flight > 0, "ended more requests than were admitted");
        self.account.in_flight = self.account.in_flight.saturating_sub(1);
        self.account.closed_early += u64::from(closed_early);
    }

    /// Takes from the buckets as another user of the account would: nothing of
    /// it is in the account of this pool.
    pub fn drain(&mut self, now_ms: u64, amounts: Amounts) {
        self.refill(now_ms);
        self.requests.debit(amounts.requests);
        self.input.debit(amounts.input_tokens);
        self.output.debit(amounts.output_tokens);
    }

    /// The levels at `now_ms`.
    pub fn levels(&mut self, now_ms: u64) -> Levels {
        self.refill(now_ms);
        let level = |bucket: &Bucket| Level {
            limit: bucket.per_minute(),
            remaining: bucket.level(),
            full_at_ms: now_ms.saturating_add(bucket.wait_full_ms()),
        };
        Levels {
            requests: level(&self.requests),
            input: level(&self.input),
            output: level(&self.output),
        }
    }

    /// The sums since the start or the last reset.
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// What each limit could have granted by `now_ms` since the start or the
    /// last reset: use of a limit is used over could.
    pub fn could(&mut self, now_ms: u64) -> Amounts {
        self.refill(now_ms);
        Amounts {
            // The tighter of both: by the second, the burst is a second's share.
            requests: self.requests.could().min(self.second.could()),
            input_tokens: self.input.could(),
            output_tokens: self.output.could(),
        }
    }

    /// The limits in force.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Other limits from now on; levels stay, cut to the new capacity.
    pub fn resize(&mut self, limits: Limits, now_ms: u64) {
        self.limits = limits;
        self.requests.resize(limits.rpm, limits.rpm, now_ms);
        self.second.resize(limits.rpm, limits.second(), now_ms);
        self.input.resize(limits.itpm, limits.itpm, now_ms);
        self.output.resize(limits.otpm, limits.otpm, now_ms);
    }

    /// Full buckets and an empty account; running requests stay counted.
    pub fn reset(&mut self, now_ms: u64) {
        for bucket in [&mut self.requests, &mut self.second, &mut self.input, &mut self.output] {
            bucket.fill(now_ms);
        }
        self.account = Account { in_flight: self.account.in_flight, ..Account::default() };
    }

    fn refill(&mut self, now_ms: u64) {
        for bucket in [&mut self.requests, &mut self.second, &mut self.input, &mut self.output] {
            bucket.refill(now_ms);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { rpm: 60, itpm: 6_000, otpm: 600, by_second: false };

    #[test]
    fn a_refusal_takes_nothing_from_the_other_limits() {
        let mut pool = Pool::new(LIMITS, 0);
        let refused = pool.admit(0, 6_001, 0).unwrap_err();
        assert_eq!(refused.kind, Kind::Input);
        let levels = pool.levels(0);
        assert_eq!((levels.requests.remaining, levels.input.remaining), (60, 6_000));
        assert_eq!((pool.account().granted, pool.account().refused_input), (0, 1));
    }

    #[test]
    fn cache_reads_are_free() {
        let mut pool = Pool::new(LIMITS, 0);
        pool.admit(0, 10, 1_000_000).unwrap();
        assert_eq!(pool.levels(0).input.remaining, 5_990);
        assert_eq!(pool.account().cache_read_tokens, 1_000_000);
    }

    #[test]
    fn output_is_deducted_as_generated_and_refused_until_positive() {
        let mut pool = Pool::new(LIMITS, 0);
        pool.admit(0, 1, 0).unwrap();
        pool.generated(0, 600);
        let refused = pool.admit(0, 1, 0).unwrap_err();
        assert_eq!((refused.kind, refused.wait_ms), (Kind::Output, 1));
        pool.generated(0, 300); // the running one goes on, into debt
        let refused = pool.admit(0, 1, 0).unwrap_err();
        assert_eq!((refused.kind, refused.wait_ms), (Kind::Output, 30_001));
        pool.admit(30_001, 1, 0).unwrap();
    }

    #[test]
    fn by_the_second_refuses_what_the_minute_would_grant() {
        let mut pool = Pool::new(Limits { by_second: true, ..LIMITS }, 0);
        pool.admit(0, 1, 0).unwrap();
        let refused = pool.admit(0, 1, 0).unwrap_err();
        assert_eq!((refused.kind, refused.wait_ms), (Kind::Requests, 1_000));
        assert_eq!(pool.levels(0).requests.remaining, 59);
        pool.admit(1_000, 1, 0).unwrap();
    }

    #[test]
    fn the_longest_wait_is_named() {
        let mut pool = Pool::new(LIMITS, 0);
        pool.drain(0, Amounts { requests: 60, input_tokens: 6_000, output_tokens: 600 });
        // requests: 1 s; input: 20 s; output: at once.
        let refused = pool.admit(0, 2_000, 0).unwrap_err();
        assert_eq!((refused.kind, refused.wait_ms), (Kind::Input, 20_000));
    }

    #[test]
    fn a_retry_at_the_named_time_is_granted_and_a_millisecond_earlier_is_not() {
        let mut pool = Pool::new(LIMITS, 0);
        pool.admit(0, 5_999, 0).unwrap();
        let wait = pool.admit(0, 100, 0).unwrap_err().wait_ms;
        assert!(pool.admit(wait - 1, 100, 0).is_err());
        assert!(pool.admit(wait, 100, 0).is_ok());
    }

    #[test]
    fn could_counts_the_burst_and_every_refill() {
        let mut pool = Pool::new(LIMITS, 0);
        assert_eq!(pool.could(60_000).output_tokens, 1_200);
        pool.resize(Limits { otpm: 6_000, ..LIMITS }, 60_000);
        assert_eq!(pool.could(120_000).output_tokens, 7_200);
        pool.reset(120_000);
        assert_eq!(pool.could(120_000).output_tokens, 6_000);
    }

    #[test]
    fn a_reset_keeps_the_running_requests() {
        let mut pool = Pool::new(LIMITS, 0);
        pool.admit(0, 1, 0).unwrap();
        pool.reset(0);
        assert_eq!((pool.account().granted, pool.account().in_flight), (0, 1));
        pool.end(false);
        assert_eq!(pool.account().in_flight, 0);
    }
}

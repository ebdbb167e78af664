//! A model of the provider's limits, written apart from the Gate's buckets.
//!
//! Rules of the rate-limit page (copies of September 2026): continuous refill,
//! requests also by the second, input checked at the start, output deducted as
//! generated and refused at the start while nothing is left; headers round
//! tokens to the nearest thousand. Or, as Bedrock's runtime does (quotas page of
//! 2026-11): `max_tokens` is checked and held from the start, and comes back at the end.
//!
//! Of the ramp limit the page says only that use must not rise sharply, and the SDK
//! 1.6.0 of 2026-11 names its code. [`Ramp`] is an assumption.

use std::collections::VecDeque;

use limits::message::{Level, Millis, Tokens};

/// A bucket as one number: the time, in tokens × 60,000, at which it was empty.
#[derive(Clone, Debug)]
struct Bucket {
    per_minute: i128,
    capacity: i128,
    empty_at: i128,
}

impl Bucket {
    fn new(per_minute: u64, capacity: u64) -> Self {
        let (per_minute, capacity) = (i128::from(per_minute), i128::from(capacity) * 60_000);
        Self { per_minute, capacity, empty_at: i128::MIN / 2 }
    }

    fn level(&self, now: Millis) -> i128 {
        (i128::from(now) * self.per_minute - self.empty_at).min(self.capacity)
    }

    fn take(&mut self, now: Millis, tokens: u64) {
        let level = self.level(now) - i128::from(tokens) * 60_000;
        self.empty_at = i128::from(now) * self.per_minute - level;
    }

    fn give_back(&mut self, now: Millis, tokens: u64) {
        let level = (self.level(now) + i128::from(tokens) * 60_000).min(self.capacity);
        self.empty_at = i128::from(now) * self.per_minute - level;
    }

    fn wait(&self, now: Millis, tokens: u64) -> Millis {
        let missing = i128::from(tokens) * 60_000 - self.level(now);
        if missing <= 0 { 0 } else { (missing as u64).div_ceil(self.per_minute as u64) }
    }

    fn resize(&mut self, now: Millis, per_minute: u64, capacity: u64) {
        let level = self.level(now).min(i128::from(capacity) * 60_000);
        self.per_minute = per_minute.into();
        self.capacity = i128::from(capacity) * 60_000;
        self.empty_at = i128::from(now) * self.per_minute - level;
    }
}

/// Limits a minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Requests.
    pub rpm: u64,
    /// Input tokens.
    pub itpm: Tokens,
    /// Output tokens.
    pub otpm: Tokens,
}

/// The ramp limit: requests may go at half again the pace of the last `over_ms`, ten
/// seconds of it at once. OpenAI, who publishes its own, allows half again in 15 minutes
/// (rate-limit guide, 2026-11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ramp {
    /// Requests a minute that may always go.
    pub free: u64,
    /// What their pace is measured over.
    pub over_ms: Millis,
}

/// A refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// In how many ms it could go.
    pub wait: Millis,
    /// By the ramp limit alone.
    pub is_ramp: bool,
}

/// What the headers of one response say: requests, input, output.
pub type Levels = [Level; 3];

/// One account and model class.
#[derive(Clone, Debug)]
pub struct Provider {
    limits: Limits,
    /// How far its clock is ahead.
    clock_ahead: i64,
    reserves_most: bool,
    requests: Bucket,
    second: Bucket,
    input: Bucket,
    output: Bucket,
    /// Requests that may run at one time, and those that do.
    places: (Option<u64>, u64),
    ramp: Option<(Ramp, Bucket)>,
    /// When requests started, for the ramp limit.
    starts: VecDeque<Millis>,
}

impl Provider {
    /// Full buckets.
    pub fn new(limits: Limits, concurrent: Option<u64>) -> Self {
        Self {
            limits,
            places: (concurrent, 0),
            ramp: None,
            starts: VecDeque::new(),
            clock_ahead: 0,
            reserves_most: false,
            requests: Bucket::new(limits.rpm, limits.rpm),
            second: Bucket::new(limits.rpm, limits.rpm.div_ceil(60)),
            input: Bucket::new(limits.itpm, limits.itpm),
            output: Bucket::new(limits.otpm, limits.otpm),
        }
    }

    /// Its clock is ahead of the Gate's by this.
    pub fn with_clock_ahead(self, clock_ahead: i64) -> Self {
        Self { clock_ahead, ..self }
    }

    /// It holds `max_tokens` of the output limit while a request runs.
    pub fn with_reserves(self, reserves_most: bool) -> Self {
        Self { reserves_most, ..self }
    }

    /// It refuses sharp rises.
    pub fn with_ramp(self, ramp: Option<Ramp>) -> Self {
        let ramp = ramp.map(|ramp| (ramp, Bucket::new(ramp.free, ramp.free.div_ceil(6))));
        Self { ramp, ..self }
    }

    /// Takes a request, or refuses it.
    pub fn start(&mut self, now: Millis, input: Tokens, max_tokens: Tokens) -> Result<(), Refused> {
        let mut wait = self.requests.wait(now, 1).max(self.second.wait(now, 1));
        wait = wait.max(self.input.wait(now, input));
        let reserved = if self.reserves_most { max_tokens } else { 0 };
        wait = wait.max(self.output.wait(now, reserved));
        if self.output.level(now) <= 0 {
            wait = wait.max(self.output.wait(now, 1));
        }
        let (most, running) = self.places;
        if most.is_some_and(|most| running >= most) {
            // When one ends nobody knows: a word to come back soon.
            wait = wait.max(1_000);
        }
        if wait > 0 {
            return Err(Refused { wait, is_ramp: false });
        }
        let wait = self.ramp_wait(now);
        if wait > 0 {
            return Err(Refused { wait, is_ramp: true });
        }
        self.places.1 += 1;
        self.requests.take(now, 1);
        self.second.take(now, 1);
        self.input.take(now, input);
        self.output.take(now, reserved);
        Ok(())
    }

    /// Lets a request pass the ramp limit, or says in how many ms it could.
    fn ramp_wait(&mut self, now: Millis) -> Millis {
        let Some((Ramp { free, over_ms }, bucket)) = &mut self.ramp else { return 0 };
        let since = now.saturating_sub(*over_ms);
        self.starts.drain(..self.starts.partition_point(|at| *at <= since));
        let pace = self.starts.len() as u64 * 60_000 * 3 / 2 / *over_ms;
        let pace = pace.max(*free);
        bucket.resize(now, pace, pace.div_ceil(6));
        let wait = bucket.wait(now, 1);
        if wait == 0 {
            bucket.take(now, 1);
            self.starts.push_back(now);
        }
        wait
    }

    /// How many run.
    pub fn running(&self) -> u64 {
        self.places.1
    }

    /// Deducts output as it is generated.
    pub fn generate(&mut self, now: Millis, tokens: Tokens) {
        if !self.reserves_most {
            self.output.take(now, tokens);
        }
    }

    /// A request that was taken is over: its place, and what it did not generate, come
    /// back.
    pub fn finish(&mut self, now: Millis, max_tokens: Tokens, generated: Tokens) {
        self.places.1 -= 1;
        if self.reserves_most {
            self.output.give_back(now, max_tokens - generated);
        }
    }

    /// Somebody else uses the account.
    pub fn drain(&mut self, now: Millis, [requests, input, output]: [u64; 3]) {
        self.requests.take(now, requests);
        self.input.take(now, input);
        self.output.take(now, output);
    }

    /// Other limits from now on.
    pub fn resize(&mut self, now: Millis, limits: Limits) {
        self.limits = limits;
        self.requests.resize(now, limits.rpm, limits.rpm);
        self.second.resize(now, limits.rpm, limits.rpm.div_ceil(60));
        self.input.resize(now, limits.itpm, limits.itpm);
        self.output.resize(now, limits.otpm, limits.otpm);
    }

    /// The headers, rounded as the provider rounds.
    pub fn levels(&self, now: Millis) -> Levels {
        let Limits { rpm, itpm, otpm } = self.limits;
        let whole = |bucket: &Bucket| bucket.level(now).max(0) / 60_000;
        let round = |bucket: &Bucket| (whole(bucket) + 500) / 1_000 * 1_000;
        let level = |limit: u64, remaining: i128, bucket: &Bucket| Level {
            limit,
            remaining: remaining as u64,
            reset_ms: Some({
                let full_at = now + bucket.wait(now, limit);
                full_at.saturating_add_signed(self.clock_ahead).div_ceil(1_000) * 1_000
            }),
        };
        [
            level(rpm, whole(&self.requests), &self.requests),
            level(itpm, round(&self.input), &self.input),
            level(otpm, round(&self.output), &self.output),
        ]
    }

    /// What is really left, unrounded, rounded down.
    pub fn left(&self, now: Millis) -> [i64; 3] {
        [&self.requests, &self.input, &self.output]
            .map(|bucket| bucket.level(now).div_euclid(60_000) as i64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(wait: Millis) -> Result<(), Refused> {
        Err(Refused { wait, is_ramp: false })
    }

    const LIMITS: Limits = Limits { rpm: 120, itpm: 60_000, otpm: 6_000 };

    #[test]
    fn starts_are_limited_by_the_second_by_input_and_by_output_left() {
        let mut provider = Provider::new(LIMITS, None);
        assert_eq!(provider.start(0, 1, 1_000), Ok(()));
        assert_eq!(provider.start(0, 1, 1_000), Ok(()));
        assert_eq!(provider.start(0, 1, 1_000), refused(500));
        assert_eq!(provider.start(500, 40_000, 1_000), Ok(()));
        assert_eq!(provider.start(1_000, 30_000, 1_000), refused(9_500));
        provider.generate(1_000, 6_100);
        assert_eq!(provider.start(1_000, 1, 1_000), refused(1_010));
        assert_eq!(provider.start(2_010, 1, 1_000), Ok(()));
    }

    #[test]
    fn what_was_reserved_and_not_generated_comes_back() {
        let mut provider = Provider::new(LIMITS, None).with_reserves(true);
        assert_eq!(provider.start(0, 1, 5_500), Ok(()));
        assert_eq!(provider.start(0, 1, 1_000), refused(5_000));
        provider.generate(0, 700);
        assert_eq!(provider.left(0)[2], 500);
        provider.finish(0, 5_500, 700);
        assert_eq!((provider.left(0)[2], provider.left(60_000)[2]), (5_300, 6_000));
    }

    #[test]
    fn no_more_run_at_one_time_than_may() {
        let mut provider = Provider::new(Limits { rpm: 6_000, ..LIMITS }, Some(2));
        assert_eq!(
            [0; 3].map(|now| provider.start(now, 1, 1_000)),
            [Ok(()), Ok(()), refused(1_000)]
        );
        provider.finish(0, 1_000, 10);
        assert_eq!((provider.running(), provider.start(0, 1, 1_000)), (1, Ok(())));
    }

    #[test]
    fn what_rises_sharply_is_refused_and_half_again_a_minute_is_not() {
        let ramp = Ramp { free: 60, over_ms: 60_000 };
        let limits = Limits { rpm: 60_000, itpm: 1_000_000, otpm: 1_000_000 };
        let mut provider = Provider::new(limits, None).with_ramp(Some(ramp));
        let mut now = 0;
        // Requests a minute, for a minute, and how many are refused.
        for (pace, expected) in
            [(60, 0..1), (90, 0..1), (135, 0..1), (200, 0..1), (2_000, 1_000..2_000)]
        {
            let mut refused = 0;
            for _ in 0..pace {
                now += 60_000 / pace;
                match provider.start(now, 1, 1) {
                    Ok(()) => {}
                    Err(Refused { wait, is_ramp }) => {
                        assert!(is_ramp && wait > 0);
                        refused += 1;
                    }
                }
            }
            assert!(expected.contains(&refused), "{refused} of {pace}");
        }
    }

    #[test]
    fn headers_round_tokens_and_not_requests() {
        let mut provider = Provider::new(LIMITS, None);
        provider.start(0, 1_501, 1_000).expect("full");
        let [requests, input, output] = provider.levels(0).map(|level| level.remaining);
        assert_eq!((requests, input, output), (119, 58_000, 6_000));
        provider.generate(0, 7_000);
        assert_eq!(provider.levels(0)[2].remaining, 0);
    }

    #[test]
    fn limits_change_and_the_level_stays() {
        let mut provider = Provider::new(LIMITS, None);
        provider.resize(0, Limits { rpm: 10, ..LIMITS });
        assert_eq!(provider.left(0), [10, 60_000, 6_000]);
        provider.resize(0, LIMITS);
        assert_eq!(provider.left(0)[0], 10);
        assert_eq!(provider.left(1_000)[0], 12);
    }
}

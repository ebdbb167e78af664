//! The mirror of one pool: what the provider's buckets hold, as far as can be
//! known, and how much of it a new request may have.
//!
//! The provider refills continuously, checks requests and input at the start
//! and deducts output as it is generated (rate-limit page, copies of September
//! 2026). Our own requests are accounted exactly at settle; between, what runs
//! is assumed to generate at the learned speed. `observe` corrects the rest.
//! All state of the accounting is sums, so a check costs the same for one
//! running request as for thousands. The output level is the provider's own, as
//! it falls while answers are generated.

use serde::{Deserialize, Serialize};

use crate::amounts::{Three, signed};
use crate::bucket::Bucket;
use crate::demand::Demand;
use crate::history::History;
use crate::message::{Millis, Tokens};
use crate::running::{Part, Running};
use crate::scope::{CONCURRENT, Need, RATES};
use crate::settings::{AccountSettings, ClassLimits, Durability, Headroom};

/// The margin that adaptive headroom starts with, in permille of a minute: 0.9
/// s of refill, more than the latency by which our deduction and the
/// provider's can differ while its bucket is full.
pub(crate) const MARGIN_MIN: u32 = 15;
/// The widest it gets: a tenth of the burst.
const MARGIN_MAX: u32 = 100;
/// Without a refusal it narrows by a permille in this span.
const MARGIN_NARROWS_MS: Millis = 10_000;
/// How much earlier than granted one request may arrive after another: the
/// spread of the latency between grant and arrival, for limits by the second.
const JITTER_MS: i64 = 50;
/// Requests that may run at one time while a limit is unknown, before anything
/// was heard of the pool; one more for each answer, half after a refusal.
const WINDOW: u64 = 4;
/// The window's bound: beyond it the object's own pace limits.
const WINDOW_MAX: u64 = 1_000;
/// How long a restart holds room for what ran before it: by then it has ended
/// or renewed its ticket.
const GHOSTS_MS: Millis = 60_000;

/// One pool's buckets and what runs in it.
#[derive(Clone, Debug)]
pub(crate) struct Mirror {
    pub(crate) limits: [Option<u64>; 3],
    pub(crate) limits_at: Millis,
    pub(crate) buckets: [Option<Bucket>; 3],
    pub(crate) second: Option<Bucket>,
    pub(crate) ramp: Option<Ramp>,
    /// Requests that may run at one time.
    pub(crate) concurrent: Option<u64>,
    share_permille: u32,
    headroom: Headroom,
    margin_permille: u32,
    margin_at: Millis,
    pub(crate) running: Running,
    /// Requests, input and expected output of lent tickets.
    pub(crate) lent: [i64; 3],
    /// What of the output level was taken for running requests on assumption.
    pub(crate) assumed: i64,
    /// What those that ran before a restart may still draw, and since when.
    ghosts: (i64, Millis),
    pub(crate) history: History,
    demand: [Demand; 3],
    window: u64,
    pub(crate) held_until: Millis,
    pub(crate) refusals: u32,
    pub(crate) refused_upstream: u64,
    unsaved: bool,
}

/// The provider's ramp limit was met: this many requests, growing.
#[derive(Clone, Debug)]
pub(crate) struct Ramp {
    pub(crate) bucket: Bucket,
    grows_at: Millis,
}

/// The row of a pool.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SavedPool {
    at: Millis,
    limits: [Option<u64>; 3],
    floors: [Option<i64>; 3],
    held_until: Millis,
    /// What was learned of the requests: the fields of [`Running`] that do not
    /// count those that run.
    #[serde(default)]
    learned: [u64; 5],
    /// What running requests were still expected to generate.
    #[serde(default)]
    rest: i64,
}

impl Mirror {
    pub(crate) fn new(account: &AccountSettings, class: &str, now: Millis) -> Self {
        let belief = account.limits.get(class).or_else(|| account.limits.get("*"));
        let ClassLimits { rpm, itpm, otpm, concurrent } = belief.copied().unwrap_or_default();
        let mut mirror = Self {
            limits: [None; 3],
            limits_at: 0,
            buckets: [None, None, None],
            second: None,
            ramp: None,
            concurrent,
            share_permille: account.share_permille.clamp(1, 1_000),
            headroom: account.headroom,
            margin_permille: MARGIN_MIN,
            margin_at: now,
            running: Running::new(),
            lent: [0; 3],
            assumed: 0,
            ghosts: (0, 0),
            history: History::default(),
            demand: Default::default(),
            window: WINDOW,
            held_until: 0,
            refusals: 0,
            refused_upstream: 0,
            unsaved: true,
        };
        for (kind, limit) in [rpm, itpm, otpm].into_iter().enumerate() {
            if let Some(limit) = limit {
                mirror.set_limit(kind, limit, now);
            }
        }
        mirror
    }

    /// Takes a stored row back: limits that were learned, floors, a hold.
    pub(crate) fn restore(&mut self, saved: &SavedPool, now: Millis) {
        for kind in 0..3 {
            if let Some(limit) = saved.limits[kind] {
                self.set_limit(kind, limit, now);
            }
            if let (Some(bucket), Some(floor)) = (&mut self.buckets[kind], saved.floors[kind]) {
                bucket.restore(floor, saved.at, now);
            }
        }
        self.held_until = saved.held_until;
        if let Some(second) = &mut self.second {
            // What went in the last second is not known.
            second.take(signed(second.capacity()));
        }
        self.ghosts = (saved.rest, now);
        self.running = Running::restored(saved.learned);
    }

    /// True where the account's levels are ours alone to follow: then they may
    /// raise the mirror. With a share or a fixed margin our own account decides.
    pub(crate) fn follows(&self) -> bool {
        self.share_permille == 1_000 && self.headroom == Headroom::Adaptive
    }

    /// The provider's limit of one kind is `limit` a minute.
    pub(crate) fn set_limit(&mut self, kind: usize, limit: u64, now: Millis) {
        self.limits[kind] = Some(limit);
        self.unsaved = true;
        let (rate, capacity) = self.usable(kind, limit);
        match &mut self.buckets[kind] {
            Some(bucket) => {
                bucket.refill(now);
                bucket.resize(rate, capacity);
            }
            none => *none = Some(Bucket::new(rate, capacity, now)),
        }
        if kind == 0 {
            self.set_second(rate, now);
        }
    }

    /// Rate and burst of what we use of a limit.
    fn usable(&self, kind: usize, limit: u64) -> (u64, u64) {
        let part = |n: u64, permille: u64| (u128::from(n) * u128::from(permille) / 1_000) as u64;
        let mine = part(limit, self.share_permille.into()).max(1);
        let fixed = match self.headroom {
            Headroom::Adaptive => 0,
            Headroom::Fixed { rpm, itpm, otpm } => [rpm, itpm, otpm][kind].min(999),
            // 48 of 50 requests, 28k of 30k tokens: the user's guide.
            Headroom::Guide => [40, 67, 67][kind],
        };
        let rate = part(mine, u64::from(1_000 - fixed)).max(1);
        let capacity =
            mine.saturating_sub(margin(limit, self.margin_permille) as u64).clamp(1, rate.max(1));
        (rate, capacity)
    }

    /// "60 RPM may be enforced as 1 a second": a second's burst less the jitter,
    /// or, where that is below one request, a pace that the jitter cannot break.
    fn set_second(&mut self, rate: u64, now: Millis) {
        let jitter = JITTER_MS * i64::from(self.margin_permille) / i64::from(MARGIN_MIN);
        let by_jitter = signed(rate).saturating_mul(jitter) / 60_000 + 1;
        let burst = signed(rate.div_ceil(60)) - by_jitter;
        let pace = if burst >= 1 {
            rate
        } else {
            (60_000 / (60_000 / rate.max(1) + jitter as u64).max(1)).max(1)
        };
        let burst = burst.max(1) as u64;
        match &mut self.second {
            Some(bucket) => bucket.resize(pace, burst),
            none => *none = Some(Bucket::new(pace, burst, now)),
        }
    }

    /// A refusal widens the margin, success and time narrow it; all act on the
    /// burst alone, so that nobody waits for a margin to refill.
    fn set_margin(&mut self, permille: u32, now: Millis) {
        let permille = permille.clamp(MARGIN_MIN, MARGIN_MAX);
        self.margin_at = now;
        if permille == self.margin_permille || self.headroom != Headroom::Adaptive {
            return;
        }
        self.margin_permille = permille;
        for kind in 0..3 {
            if let Some(limit) = self.limits[kind] {
                self.set_limit(kind, limit, now);
            }
        }
    }

    pub(crate) fn margin_permille(&self) -> u32 {
        self.margin_permille
    }

    /// Brings every bucket to `now`; before any check. What running requests are
    /// assumed to have generated since is taken, as the provider takes it.
    pub(crate) fn refill(&mut self, now: Millis) {
        let generated = self.running.generated(now);
        self.take_output(generated - self.assumed);
        self.assumed = generated;
        let buckets = self.buckets.iter_mut().chain([&mut self.second]);
        buckets.flatten().for_each(|bucket| bucket.refill(now));
        if let Some(ramp) = &mut self.ramp {
            ramp.bucket.refill(now);
            if now >= ramp.grows_at {
                // Half again a minute: the pace that OpenAI's docs allow in 15;
                // Anthropic publishes none, and a refusal halves again.
                let rate = ramp.bucket.per_minute() * 3 / 2 + 1;
                ramp.bucket.resize(rate, rate.div_ceil(60));
                ramp.grows_at = now + 60_000;
                if self.limits[0].is_none_or(|limit| rate >= limit) && rate > 1_000 {
                    self.ramp = None;
                }
            }
        }
        if self.margin_permille > MARGIN_MIN && now >= self.margin_at + MARGIN_NARROWS_MS {
            let steps = ((now - self.margin_at) / MARGIN_NARROWS_MS).min(u64::from(MARGIN_MAX));
            self.set_margin(self.margin_permille.saturating_sub(steps as u32), now);
        }
    }

    /// What new requests may have by kind, below what running ones are owed;
    /// none: unknown.
    pub(crate) fn free(&self, now: Millis) -> [Option<i64>; 3] {
        let promised = self.promised(now);
        let mut free = std::array::from_fn(|kind| {
            let bucket = self.buckets[kind].as_ref()?;
            let promised = if kind == 2 { promised } else { 0 };
            let lent = self.held_lent(kind, bucket);
            Some(bucket.level().saturating_sub(promised).saturating_sub(lent))
        });
        if let Some(most) = self.concurrent {
            let places = signed(most) - signed(self.running.count);
            free[0] = Some(free[0].map_or(places, |free| free.min(places)));
        }
        free
    }

    /// The span until a place is free while `ahead` requests go first: a guess, as
    /// it is free when one that runs ends, which is looked at then. 0: now.
    fn place_in(&self, need: &Need, ahead: u64) -> Millis {
        let Some(most) = self.concurrent else { return 0 };
        let over = (self.running.count + ahead + 1).saturating_sub(most);
        let service = self.running.service_ms(need.output).max(1);
        over.saturating_mul(service).div_ceil(most)
    }

    /// Output that running requests may still draw.
    pub(crate) fn promised(&self, now: Millis) -> i64 {
        let Some(bucket) = &self.buckets[2] else { return 0 };
        let generated = self.running.generated(now);
        let promised = self.running.promised(generated, bucket.per_minute(), bucket.capacity());
        let (ghosts, since) = self.ghosts;
        let left = GHOSTS_MS.saturating_sub(now.saturating_sub(since));
        promised.saturating_add(ghosts.max(0) / GHOSTS_MS as i64 * left as i64)
    }

    /// True for a request that no refill will ever make room for.
    pub(crate) fn is_too_large(&self, estimate: Tokens) -> bool {
        self.limits[1].is_some_and(|limit| {
            estimate > limit || estimate > self.usable(1, limit).0.max(self.usable(1, limit).1)
        })
    }

    /// The span until the pool takes `need` while `room` stays free: 0 now.
    /// Callers bring the mirror to `now` first.
    pub(crate) fn wait_ms(&self, need: &Need, room: &Three, now: Millis) -> Millis {
        let held = self.held_until.saturating_sub(now);
        let held = held.max(self.place_in(need, 0));
        self.waits(need, &[0; 3], room, now).into_iter().fold(held, Millis::max)
    }

    /// The same for a newcomer of `class` with `ahead` (requests, input, output)
    /// to go first and priorities above still to come, and the kind that makes
    /// it wait.
    pub(crate) fn wait_behind(
        &self,
        need: &Need,
        ahead: &Three,
        class: usize,
        now: Millis,
    ) -> (Millis, &'static str) {
        let waits = self.waits(need, ahead, &self.room(class, now), now);
        let left = self.rate_left(class, now);
        let mut longest = (self.held_until.saturating_sub(now), RATES[0]);
        for kind in (0..3).rev() {
            let rate = self.buckets[kind].as_ref().map_or(1, Bucket::per_minute);
            let stretched = u128::from(waits[kind]) * u128::from(rate)
                / u128::from(left[kind].unwrap_or(1).max(1));
            let wait = u64::try_from(stretched).unwrap_or(u64::MAX);
            if wait >= longest.0 {
                longest = (wait, RATES[kind]);
            }
        }
        let place = self.place_in(need, ahead[0]);
        if place > longest.0 {
            longest = (place, CONCURRENT);
        }
        longest
    }

    /// The span until each kind has room.
    fn waits(&self, need: &Need, ahead: &Three, room: &Three, now: Millis) -> [Millis; 3] {
        let rates = need.rates();
        let mut waits: [Millis; 3] = std::array::from_fn(|kind| {
            let Some(bucket) = &self.buckets[kind] else {
                // An answer will tell; this is about how long the first takes.
                let started = self.running.count + self.lent();
                let over = (started + ahead[0] + 1).saturating_sub(self.window);
                return if over > 0 { 1_000 * over.div_ceil(self.window) } else { 0 };
            };
            let fits = rates[kind].min(bucket.capacity());
            // Room beyond the capacity would shut lower priorities out for good.
            let room = signed(room[kind].min(bucket.capacity().saturating_sub(fits)));
            let owed = if kind == 2 { self.promised(now) } else { 0 };
            let lent = self.held_lent(kind, bucket);
            let before = owed.saturating_add(lent).saturating_add(signed(ahead[kind]));
            bucket.wait_ms(fits, before.saturating_add(room))
        });
        for bucket in self.second.iter().chain(self.ramp.as_ref().map(|ramp| &ramp.bucket)) {
            let before = self.held_lent(0, bucket).saturating_add(signed(ahead[0]));
            waits[0] = waits[0].max(bucket.wait_ms(1, before));
        }
        waits
    }

    /// What a request takes of the pool, for taking turns: its largest share of
    /// a limit, in millionths of a minute.
    pub(crate) fn cost(&self, need: &Need) -> u64 {
        let share = |kind: usize| {
            let limit = self.limits[kind]?.max(1);
            Some((u128::from(need.rates()[kind]) * 1_000_000 / u128::from(limit)) as u64)
        };
        // Nothing is known: by tokens, output five times as dear as input.
        let tokens = need.input.saturating_add(need.output.saturating_mul(5));
        (0..3).filter_map(share).max().unwrap_or(tokens).max(1)
    }

    /// Reserves `need`.
    pub(crate) fn take(&mut self, need: &Need, now: Millis) {
        self.history.record(now);
        let rates = need.rates();
        for (kind, rate) in rates.into_iter().enumerate().take(2) {
            if let Some(bucket) = &mut self.buckets[kind] {
                bucket.take(signed(rate));
            }
            self.history.taken[kind] = self.history.taken[kind].saturating_add(signed(rate));
        }
        if let Some(second) = &mut self.second {
            second.take(1);
        }
        if let Some(ramp) = &mut self.ramp {
            ramp.bucket.take(1);
        }
        self.start(&Part { expected: need.output, generated: 0, max: need.output_max, since: now });
    }

    /// A request runs, whose grant was taken before a restart or just now.
    pub(crate) fn start(&mut self, part: &Part) {
        self.running.add(part);
    }

    /// A running request told how far it is.
    pub(crate) fn progress(&mut self, before: &Part, after: &Part, now: Millis) {
        let assumed = self.stop(before, now);
        self.running.add(after);
        self.assumed = self.running.generated(now);
        self.take_output(signed(after.generated) - signed(before.generated) - assumed);
    }

    /// A request ended. `refund` of the input reservation was not used;
    /// `output` is what it generated, where that is known; else what was
    /// assumed stands.
    pub(crate) fn end(
        &mut self,
        part: &Part,
        refund: i64,
        output: Option<(Tokens, Millis)>,
        now: Millis,
    ) {
        let assumed = self.stop(part, now);
        if let Some(bucket) = &mut self.buckets[1] {
            bucket.take(-refund);
        }
        if let Some((output, ms)) = output {
            self.take_output(signed(output) - signed(part.generated) - assumed);
            if output > 0 {
                self.running.learn(part.expected, output, ms);
                self.assumed = self.running.generated(now);
            }
        }
    }

    /// A request that was not heard of for long no longer counts as running:
    /// what it was assumed to have generated, returned, stands.
    pub(crate) fn doubt(&mut self, part: &Part, now: Millis) -> i64 {
        self.stop(part, now)
    }

    /// A doubted request ended after all.
    pub(crate) fn end_doubted(&mut self, refund: i64, output: Option<i64>) {
        if let Some(bucket) = &mut self.buckets[1] {
            bucket.take(-refund);
        }
        self.take_output(output.unwrap_or(0));
    }

    /// Takes a request out of the sums; returns what was assumed of it.
    fn stop(&mut self, part: &Part, now: Millis) -> i64 {
        let before = self.running.generated(now);
        self.running.remove(part);
        self.assumed = self.running.generated(now);
        before - self.assumed
    }

    /// What a request used that had no ticket here.
    pub(crate) fn charge(&mut self, output: Tokens, input: Tokens) {
        if let Some(bucket) = &mut self.buckets[1] {
            bucket.take(signed(input));
        }
        self.take_output(signed(output));
    }

    pub(crate) fn take_output(&mut self, tokens: i64) {
        if let Some(bucket) = &mut self.buckets[2] {
            bucket.take(tokens);
        }
        self.history.taken[2] += tokens;
    }

    /// True where no open ticket is the pool's.
    pub(crate) fn is_idle(&self) -> bool {
        self.running.count == 0 && self.lent() == 0
    }

    /// A request of this priority arrived: higher ones' demand is what lower
    /// ones leave room for.
    pub(crate) fn arrived(&mut self, class: usize, need: &Need, now: Millis) {
        self.demand[class].add(&need.rates(), now);
    }

    /// Two seconds of the demand of priorities above `class`, at most a quarter
    /// of a minute's limit.
    pub(crate) fn room(&self, class: usize, now: Millis) -> Three {
        let mut room = [0_u64; 3];
        for demand in &self.demand[..class] {
            let second = demand.per_second(now);
            for kind in 0..3 {
                let most = self.limits[kind].map_or(0, |limit| limit / 4);
                room[kind] = room[kind].saturating_add(2 * second[kind]).min(most);
            }
        }
        room
    }

    /// What of each limit a minute is left to `class` by the priorities above
    /// it: at least a sixteenth, which aging gives to the lower ones.
    pub(crate) fn rate_left(&self, class: usize, now: Millis) -> [Option<u64>; 3] {
        std::array::from_fn(|kind| {
            let rate = self.buckets[kind].as_ref()?.per_minute();
            let above: u64 =
                self.demand[..class].iter().map(|demand| demand.per_second(now)[kind] * 60).sum();
            Some(rate.saturating_sub(above).max(rate / 16).max(1))
        })
    }

    /// The provider refused for a rate: nothing goes before `wait` is over, and
    /// the margin doubles.
    pub(crate) fn refused(&mut self, retry_after: Option<Millis>, is_ramp: bool, now: Millis) {
        // Several refusals of one moment are one lesson.
        let first = self.held_until <= now;
        self.refused_upstream += 1;
        if first {
            self.refusals = (self.refusals + 1).min(6);
            self.window = (self.window / 2).max(1);
            self.set_margin(self.margin_permille * 2, now);
        }
        // Without a word on when: 1 s, then twice as long each time, to a minute.
        let wait = retry_after.unwrap_or(500 << self.refusals).min(3_600_000);
        self.held_until = self.held_until.max(now.saturating_add(wait));
        self.unsaved = true;
        if is_ramp && first {
            let recent = self.history.requests_since(now.saturating_sub(10_000)).max(0) as u64;
            let rate = (recent * 6 / 2).max(6);
            let rate = self.ramp.as_ref().map_or(rate, |r| (r.bucket.per_minute() / 2).max(6));
            let bucket = Bucket::new(rate, rate.div_ceil(60), now);
            self.ramp = Some(Ramp { bucket, grows_at: now + 60_000 });
        }
    }

    /// The provider took a request that was granted then. One sent since the
    /// margin last changed proves that it is wide enough.
    pub(crate) fn accepted(&mut self, granted: Millis, now: Millis) {
        self.refusals = 0;
        self.window = (self.window + 1).min(WINDOW_MAX);
        if self.margin_permille > MARGIN_MIN && granted >= self.margin_at {
            self.set_margin(self.margin_permille - 1, now);
        }
    }

    /// The row to store, where the floors no longer lie below the levels or
    /// something was learned.
    pub(crate) fn save(&mut self, durability: &Durability, now: Millis) -> Option<SavedPool> {
        // A restart forgets what runs, and adds the refill of its own accord.
        let rest = self.running.rest(self.running.generated(now));
        let [requests, input, output] = self.lent;
        let owed = |kind: usize| [requests, input, output + rest][kind];
        let below = (0..3)
            .any(|kind| self.buckets[kind].as_ref().is_some_and(|b| b.is_below_floor(owed(kind))));
        if !below && !std::mem::take(&mut self.unsaved) {
            return None;
        }
        self.unsaved = false;
        let mut floors = [None; 3];
        for (kind, bucket) in self.buckets.iter_mut().enumerate() {
            if let Some(bucket) = bucket {
                floors[kind] = Some(bucket.lower_floor(owed(kind), durability.bucket_permille));
            }
        }
        let learned = self.running.learned();
        let (limits, held_until) = (self.limits, self.held_until);
        // In the sum of what runs, those from before a restart are missing.
        let rest = rest.max(self.ghosts.0.min(self.promised(now)));
        Some(SavedPool { at: now, limits, floors, held_until, learned, rest })
    }
}

/// What a margin is in a bucket's tokens: at least one.
pub(crate) fn margin(limit: u64, permille: u32) -> i64 {
    ((u128::from(limit) * u128::from(permille) / 1_000) as i64).max(1)
}

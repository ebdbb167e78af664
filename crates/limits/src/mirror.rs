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

mod known;
mod second;

use crate::amounts::{Three, signed};
use crate::bucket::{Bucket, Pace, TokenBucket};
use crate::demand::Demand;
use crate::history::History;
use crate::message::{Millis, Tokens};
use crate::places::Places;
use crate::resets::Resets;
use crate::restart::Presumed;
use crate::running::{Part, Running};
use crate::scope::{CONCURRENT, Need, RATES};
use crate::settings::{AccountSettings, ClassLimits, Headroom, Reserves};
use crate::spread::Spread;

/// The margin that adaptive headroom starts with, in permille of a minute: 0.9
/// s of refill, more than the latency by which our deduction and the
/// provider's can differ while its bucket is full.
pub(crate) const MARGIN_MIN: u32 = 15;
/// The widest it gets: a tenth of the burst.
const MARGIN_MAX: u32 = 100;
/// Without a refusal it narrows by a permille in this span.
const MARGIN_NARROWS_MS: Millis = 10_000;
/// The longest that a provider's word holds a pool: what is longer is none for a rate.
const HELD_MS_MAX: Millis = 24 * 3_600_000;
/// Requests that may run at one time while a limit is unknown, before anything
/// was heard of the pool; one more for each answer, half after a refusal.
const WINDOW: u64 = 4;
/// Their pace until an answer comes, in requests a minute by the second: the least that the
/// provider allows (Start tier, rate-limit page, copies of September 2026).
const UNKNOWN_RPM: u64 = 50;
/// The window's bound: beyond it the object's own pace limits.
const WINDOW_MAX: u64 = 1_000;

/// One pool's buckets and what runs in it.
#[derive(Clone, Debug)]
pub(crate) struct Mirror {
    pub(crate) limits: [Option<u64>; 3],
    pub(crate) limits_at: Millis,
    pub(crate) buckets: [Option<Bucket>; 3],
    pub(crate) second: Option<Pace>,
    /// Of it, those who waited.
    waiters: Option<Pace>,
    pub(crate) ramp: Option<Ramp>,
    /// Requests that may run at one time.
    pub(crate) concurrent: Option<u64>,
    share_permille: u32,
    /// The provider holds `max_tokens` of the output limit from the start, and gives
    /// back at the end what was not generated.
    pub(crate) reserves_most: bool,
    headroom: Headroom,
    margin_permille: u32,
    margin_at: Millis,
    pub(crate) running: Running,
    /// Requests, input and expected output of lent tickets.
    pub(crate) lent: [i64; 3],
    /// What of the output level was taken for running requests on assumption.
    pub(crate) assumed: i64,
    /// When one of those that ran before a restart is taken for ended.
    pub(crate) ghost_ends_at: Millis,
    /// Those that were.
    pub(crate) presumed: Presumed,
    /// How many run by the stored row.
    pub(crate) saved_count: u64,
    /// Places of before a restart.
    pub(crate) places: Places,
    /// By how much inputs exceed what is taken for them.
    pub(crate) input_spread: Spread,
    /// By how much the input's levels that answers told are below our own account, above it
    /// where negative, as far as nothing that became known since has explained it.
    pub(crate) unexplained: i64,
    /// When the last request was granted whose answer told levels.
    pub(crate) told_until: Millis,
    pub(crate) history: History,
    pub(crate) resets: Resets,
    /// Use of the account outside this deployment, as far as answers' levels tell it.
    pub(crate) outside: Demand,
    /// Whether an answer has told the level of each kind: what it differs from a full
    /// bucket at first was drawn before this mirror looked.
    pub(crate) told: [bool; 3],
    demand: [Demand; 3],
    pub(crate) window: u64,
    pub(crate) held_until: Millis,
    pub(crate) refusals: u32,
    pub(crate) refused_upstream: u64,
    pub(crate) unsaved: bool,
}

/// The provider's ramp limit was met: this many requests, growing.
#[derive(Clone, Debug)]
pub(crate) struct Ramp {
    pub(crate) bucket: Bucket,
    pub(crate) grows_at: Millis,
}

impl Ramp {
    pub(crate) fn new(rate: u64, grows_at: Millis, now: Millis) -> Self {
        Self { bucket: Bucket::new(rate, rate.div_ceil(60), now), grows_at }
    }
}

impl Mirror {
    pub(crate) fn new(account: &AccountSettings, class: &str, now: Millis) -> Self {
        let belief = account.limits.get(class).or_else(|| account.limits.get("*"));
        let ClassLimits { rpm, itpm, otpm, concurrent } =
            belief.map(|limits| **limits).unwrap_or_default();
        let mut mirror = Self {
            limits: [None; 3],
            limits_at: 0,
            buckets: [None, None, None],
            second: None,
            waiters: None,
            ramp: None,
            concurrent,
            share_permille: account.share_permille.clamp(1, 1_000),
            reserves_most: account.reserves == Reserves::MaxTokens,
            headroom: account.headroom,
            margin_permille: MARGIN_MIN,
            margin_at: now,
            running: Running::new(),
            lent: [0; 3],
            assumed: 0,
            ghost_ends_at: 0,
            presumed: Presumed::default(),
            saved_count: 0,
            places: Places::default(),
            input_spread: Spread::default(),
            unexplained: 0,
            told_until: 0,
            history: History::default(),
            resets: Resets::new(),
            outside: Demand::default(),
            told: [false; 3],
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
        if mirror.limits[0].is_none() {
            mirror.set_second(UNKNOWN_RPM, now);
        }
        mirror
    }

    /// True where the account's levels are ours alone to follow: then they may
    /// raise the mirror. With a share or a fixed margin our own account decides.
    pub(crate) fn follows(&self) -> bool {
        self.share_permille == 1_000 && self.headroom == Headroom::Adaptive
    }

    /// The provider's limit of one kind is `limit` a minute.
    pub(crate) fn set_limit(&mut self, kind: usize, limit: u64, now: Millis) {
        let was_unknown = self.limits[kind].replace(limit).is_none();
        self.unsaved = true;
        let (rate, capacity) = self.usable(kind, limit);
        match &mut self.buckets[kind] {
            Some(bucket) => {
                bucket.refill(now);
                bucket.resize(rate, capacity);
            }
            none => *none = Some(Bucket::new(rate, capacity, now)),
        }
        if kind == 0 && was_unknown {
            self.know_second(rate, now);
        } else if kind == 0 {
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
        let generated = self.generated(now);
        self.take_output(generated - self.assumed);
        self.assumed = generated;
        self.buckets.iter_mut().flatten().for_each(|bucket| bucket.refill(now));
        let paces = [&mut self.second, &mut self.waiters];
        paces.into_iter().flatten().for_each(|pace| pace.refill(now));
        self.lay_silent(now);
        if let Some(ramp) = &mut self.ramp {
            ramp.bucket.refill(now);
            if now >= ramp.grows_at {
                // Half again a minute: the pace that OpenAI's docs allow in 15;
                // Anthropic publishes none, and a refusal halves again.
                let rate = ramp.bucket.per_minute() * 3 / 2 + 1;
                ramp.bucket.resize(rate, rate.div_ceil(60));
                ramp.grows_at = now + 60_000;
                self.unsaved = true;
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
            let promised = [0, self.input_spread(0), promised][kind];
            let lent = self.held_lent(kind, bucket);
            Some(bucket.level().saturating_sub(promised).saturating_sub(lent))
        });
        if let Some(most) = self.concurrent {
            let places = signed(most) - signed(self.taken(now));
            free[0] = Some(free[0].map_or(places, |free| free.min(places)));
        }
        free
    }

    /// The span until a place is free while `ahead` requests go first: a guess, as
    /// it is free when one that runs ends, which is looked at then. 0: now.
    fn place_in(&self, need: &Need, ahead: u64, now: Millis) -> Millis {
        let Some(most) = self.concurrent else { return 0 };
        let over = (self.taken(now) + ahead + 1).saturating_sub(most);
        let service = self.running.service_ms(need.output).max(1);
        over.saturating_mul(service).div_ceil(most)
    }

    /// Output that running requests may still draw.
    pub(crate) fn promised(&self, now: Millis) -> i64 {
        let Some(bucket) = self.buckets[2].as_ref().filter(|_| !self.reserves_most) else {
            return 0;
        };
        let generated = self.generated(now);
        let ours = bucket.per_minute().saturating_sub(60 * self.outside.per_second(now)[2]);
        self.running.promised(generated, ours, bucket.capacity(), now)
    }

    /// The kind of which a request needs more than refill will ever make room for.
    pub(crate) fn too_large(&self, input: Tokens, max_tokens: Tokens) -> Option<&'static str> {
        let exceeds = |kind: usize, tokens: Tokens| {
            let bucket = self.buckets[kind].as_ref();
            bucket.is_some_and(|bucket| tokens > bucket.per_minute().max(bucket.capacity()))
        };
        let most = if self.reserves_most { max_tokens } else { 0 };
        let kind = [(1, input), (2, most)].into_iter().find(|(kind, n)| exceeds(*kind, *n));
        kind.map(|(kind, _)| RATES[kind])
    }

    /// What the provider takes of a request when it starts, or is expected to take
    /// until it ends.
    pub(crate) fn rates(&self, need: &Need) -> Three {
        if self.reserves_most { [1, need.input, need.output_max] } else { need.rates() }
    }

    /// What of the output level was taken for a request before its first answer.
    pub(crate) fn reserved_output(&self, need: &Need) -> i64 {
        if self.reserves_most { signed(need.output_max) } else { 0 }
    }

    /// What running requests are assumed to have drawn while they generated.
    pub(crate) fn generated(&self, now: Millis) -> i64 {
        if self.reserves_most { 0 } else { self.running.generated(now) }
    }

    /// The span until the pool takes `need` while `room` stays free: 0 now.
    /// Callers bring the mirror to `now` first.
    pub(crate) fn wait_ms(&self, need: &Need, room: &Three, now: Millis) -> Millis {
        let held = self.held_until.saturating_sub(now);
        let held = held.max(self.place_in(need, 0, now));
        self.waits(need, &[0; 3], room, now).into_iter().fold(held, Millis::max)
    }

    /// The same for a newcomer of `class` with `ahead` (requests, input, output)
    /// to go first and priorities above still to come, and the kind, of the first
    /// `kinds`, that makes it wait.
    pub(crate) fn wait_behind(
        &self,
        need: &Need,
        ahead: &Three,
        class: usize,
        kinds: usize,
        now: Millis,
    ) -> (Millis, &'static str) {
        let waits = self.waits(need, ahead, &self.room(class, now), now);
        let left = self.rate_left(class, now);
        let mut longest = (self.held_until.saturating_sub(now), RATES[0]);
        for kind in (0..kinds).rev() {
            let rate = self.buckets[kind].as_ref().map_or(1, Bucket::per_minute);
            let stretched = u128::from(waits[kind]) * u128::from(rate)
                / u128::from(left[kind].unwrap_or(1).max(1));
            let wait = u64::try_from(stretched).unwrap_or(u64::MAX);
            if wait >= longest.0 {
                longest = (wait, RATES[kind]);
            }
        }
        let place = self.place_in(need, ahead[0], now);
        if place > longest.0 {
            longest = (place, CONCURRENT);
        }
        longest
    }

    /// The span until each kind has room.
    fn waits(&self, need: &Need, ahead: &Three, room: &Three, now: Millis) -> [Millis; 3] {
        let rates = self.rates(need);
        let mut waits: [Millis; 3] = std::array::from_fn(|kind| {
            let Some(bucket) = &self.buckets[kind] else {
                // An answer will tell; this is about how long the first takes.
                let started = self.running.count() + self.lent();
                let over = (started + ahead[0] + 1).saturating_sub(self.window);
                return if over > 0 { 1_000 * over.div_ceil(self.window) } else { 0 };
            };
            let fits = rates[kind].min(bucket.capacity());
            let spread = if kind == 1 { self.input_spread(fits) } else { 0 };
            // Room beyond the capacity would shut lower priorities, or large requests, out
            // for good.
            let rest = signed(bucket.capacity().saturating_sub(fits));
            let room = signed(room[kind]).saturating_add(spread).min(rest);
            let owed = if kind == 2 { self.promised(now) } else { 0 };
            let lent = self.held_lent(kind, bucket);
            let before = owed.saturating_add(lent).saturating_add(signed(ahead[kind]));
            bucket.wait_ms(fits, before.saturating_add(room))
        });
        let second = self.second.as_ref().map(|pace| self.wait_one(pace, ahead[0]));
        let ramp = self.ramp.as_ref().map(|ramp| self.wait_one(&ramp.bucket, ahead[0]));
        waits[0] = second.into_iter().chain(ramp).fold(waits[0], Millis::max);
        waits
    }

    /// The span until one more request may go, behind `ahead`.
    fn wait_one<const UNIT: i64>(&self, bucket: &TokenBucket<UNIT>, ahead: u64) -> Millis {
        bucket.wait_ms(1, self.held_lent(0, bucket).saturating_add(signed(ahead)))
    }

    /// What a request takes of the pool, for taking turns.
    pub(crate) fn cost(&self, need: &Need) -> u64 {
        self.cost_of(&self.rates(need))
    }

    /// The largest share of a limit, in billionths of a minute: so fine that a thousandth
    /// of it, by weight, is still a turn where a million requests a minute may go.
    pub(crate) fn cost_of(&self, rates: &Three) -> u64 {
        let share = |kind: usize| {
            let limit = self.limits[kind]?.max(1);
            Some(rates[kind].saturating_mul(1_000_000_000) / limit)
        };
        // Nothing is known: by tokens, output five times as dear as input.
        let tokens = rates[1].saturating_add(rates[2].saturating_mul(5));
        (0..3).filter_map(share).max().unwrap_or(tokens.saturating_mul(1_000)).max(1)
    }

    /// Reserves `need`.
    pub(crate) fn take(&mut self, need: &Need, now: Millis) {
        self.history.record(now);
        let taken = [1, signed(need.input), self.reserved_output(need)];
        for (kind, taken) in taken.into_iter().enumerate() {
            if let Some(bucket) = &mut self.buckets[kind] {
                bucket.take(taken);
            }
            self.history.taken[kind] = self.history.taken[kind].saturating_add(taken);
        }
        if let Some(second) = &mut self.second {
            second.take(1);
        }
        if let Some(ramp) = &mut self.ramp {
            ramp.bucket.take(1);
        }
        self.start(&Part {
            input: need.input,
            expected: need.output,
            generated: 0,
            max: need.output_max,
            since: now,
        });
    }

    /// A request runs.
    fn start(&mut self, part: &Part) {
        self.running.add(part);
    }

    /// A running request told how far it is.
    pub(crate) fn progress(&mut self, before: &Part, after: &Part, now: Millis) {
        let assumed = self.stop(before, now);
        self.running.add(after);
        self.assumed = self.generated(now);
        self.take_generated(before, after.generated, assumed);
    }

    /// A request ended. `output` is what it generated, where that is known; else what
    /// was assumed stands.
    pub(crate) fn end(&mut self, part: &Part, output: Option<(Tokens, Millis)>, now: Millis) {
        let assumed = self.stop(part, now);
        if let Some((output, ms)) = output {
            self.take_rest(part, output, assumed);
            if output > 0 {
                self.running.learn(part.expected, output, ms);
            }
        }
    }

    /// The same at its end, where what was reserved comes back.
    fn take_rest(&mut self, part: &Part, output: Tokens, assumed: i64) {
        if self.reserves_most {
            self.give_back(part.max, output);
        } else {
            self.take_generated(part, output, assumed);
        }
    }

    /// A request that was not heard of for long no longer counts as running:
    /// what it was assumed to have generated, returned, stands.
    pub(crate) fn doubt(&mut self, part: &Part, now: Millis) -> i64 {
        self.stop(part, now)
    }

    /// A doubted request ended after all: `assumed` was taken of it then.
    pub(crate) fn end_doubted(&mut self, part: &Part, assumed: i64, output: Option<Tokens>) {
        if let Some(output) = output {
            self.take_rest(part, output, assumed);
        }
    }

    /// It was doubted in vain.
    pub(crate) fn trust(&mut self, before: &Part, after: &Part, assumed: i64) {
        self.take_generated(before, after.generated, assumed);
        self.start(after);
    }

    /// Takes a request out of the sums; returns what was assumed of it.
    fn stop(&mut self, part: &Part, now: Millis) -> i64 {
        let before = self.generated(now);
        self.running.remove(part);
        self.assumed = self.generated(now);
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
        self.running.count() == 0 && self.lent() == 0
    }

    /// What was reserved of the output and not generated is there again. An answer of
    /// before may have seen it already, so the history does not count it.
    pub(crate) fn give_back(&mut self, reserved: Tokens, output: Tokens) {
        if let Some(bucket) = &mut self.buckets[2] {
            bucket.take(signed(output) - signed(reserved));
        }
    }

    /// A request of this priority arrived: higher ones' demand is what lower
    /// ones leave room for.
    pub(crate) fn arrived(&mut self, class: usize, need: &Need, now: Millis) {
        let rates = self.rates(need);
        self.demand[class].add(&rates, now);
    }

    /// Two seconds of the demand of priorities above `class`, and of what others use of
    /// the account, at most a quarter of a minute's limit.
    pub(crate) fn room(&self, class: usize, now: Millis) -> Three {
        let mut room = [0_u64; 3];
        let above = self.demand[..class].iter().map(|demand| demand.per_second(now));
        for second in above.chain([self.outside.per_second(now)]) {
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
        let outside = self.outside.per_second(now);
        std::array::from_fn(|kind| {
            let rate = self.buckets[kind].as_ref()?.per_minute();
            let above: u64 =
                self.demand[..class].iter().map(|demand| demand.per_second(now)[kind] * 60).sum();
            let above = above + outside[kind] * 60;
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
        let wait = retry_after.unwrap_or(500 << self.refusals).min(HELD_MS_MAX);
        self.held_until = self.held_until.max(now.saturating_add(wait));
        self.unsaved = true;
        if is_ramp && first {
            let recent = self.history.requests_since(now.saturating_sub(10_000)).max(0) as u64;
            let rate = (recent * 6 / 2).max(6);
            let rate = self.ramp.as_ref().map_or(rate, |r| (r.bucket.per_minute() / 2).max(6));
            self.ramp = Some(Ramp::new(rate, now + 60_000, now));
        }
    }

    /// The provider took a request that was granted then. One sent since the
    /// margin last changed proves that it is wide enough.
    pub(crate) fn accepted(&mut self, granted: Millis, now: Millis) {
        self.refusals = 0;
        self.window = (self.window + 1).min(WINDOW_MAX);
        if self.limits[0].is_none() {
            // Its answer told none: the window alone holds back.
            self.forget_second();
        }
        if self.margin_permille > MARGIN_MIN && granted >= self.margin_at {
            self.set_margin(self.margin_permille - 1, now);
        }
    }
}

/// What a margin is in a bucket's tokens: at least one.
pub(crate) fn margin(limit: u64, permille: u32) -> i64 {
    ((u128::from(limit) * u128::from(permille) / 1_000) as i64).max(1)
}

//! The limits of one payer: a tenant, one of its end users, or the deployment.
//!
//! Rate buckets, concurrency and budgets behind one check and one
//! take, so that admission over several scopes stays all or nothing.

use serde::{Deserialize, Serialize};

use crate::amounts::{Three, signed};
use crate::bucket::Bucket;
use crate::budgets::{Budgets, Known, Left, Lists, SavedBook, Shut};
use crate::lend;
use crate::message::{LimitView, MicroUsd, Millis, Tokens};
use crate::places::{Places, Row};
use crate::policy::{Budget, RateLimits};
use crate::settings::Durability;
use crate::ticket::Hold;
use crate::window::DAY_MS;

/// What a request needs of every limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Need {
    /// Input tokens that count towards limits, corrected by what was learned.
    pub(crate) input: Tokens,
    /// The same, or less where the estimate is, and nothing of a prompt that may be read
    /// from the provider's cache: what was learned, of everybody's requests, or is not known
    /// may make one wait, and must not refuse it for good.
    pub(crate) input_least: Tokens,
    /// The most input there can be, as estimated: what budgets reserve.
    pub(crate) input_max: Tokens,
    /// The same without what was learned, and no more: by it a budget is too small for good.
    pub(crate) input_prior: Tokens,
    /// Expected output: what rate limits reserve.
    pub(crate) output: Tokens,
    /// The most output there can be: what budgets reserve.
    pub(crate) output_max: Tokens,
    /// The most it can cost.
    pub(crate) microusd_max: MicroUsd,
    /// The job that it draws on: budgets hold that already.
    pub(crate) job: Option<crate::jobs::Number>,
    /// The lists of models that its model is on.
    pub(crate) lists: Lists,
    /// Whether it finds paced budgets open part by part.
    pub(crate) is_background: bool,
}

impl Need {
    /// What budgets reserve: one request, input and `max_tokens`, money.
    pub(crate) fn day(&self) -> Three {
        [1, self.input_max.saturating_add(self.output_max), self.microusd_max]
    }

    /// The same where nothing is taken from what was learned.
    pub(crate) fn day_prior(&self) -> Three {
        [1, self.input_prior.saturating_add(self.output_max), self.microusd_max]
    }

    /// What the budgets hold for it.
    fn reserves(&self, hold: Hold) -> Three {
        match hold {
            Hold::Taken if self.job.is_none() => self.day(),
            Hold::Lent => self.day(),
            Hold::Taken | Hold::Covered => [0; 3],
        }
    }

    /// Requests, input, expected output: what buckets reserve.
    pub(crate) fn rates(&self) -> Three {
        [1, self.input, self.output]
    }
}

/// What of the expected output a running request still owes its buckets: the
/// rest of it, but never less than 15 %, since an answer that has reached its
/// mean goes on (simulated for the limits issue, 2026-11: 0 refusals at 92 %).
pub(crate) fn owed(expected: Tokens, generated: Tokens) -> i64 {
    signed(expected.saturating_sub(generated).max(expected.saturating_mul(15) / 100))
}

/// A limit that does not take a request now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    /// As in [`LimitView::kind`].
    pub(crate) kind: &'static str,
    pub(crate) until: Until,
    /// The list that a budget is of.
    pub(crate) list: Lists,
}

/// When a blocked limit opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    /// After this span of refill.
    Refill(Millis),
    /// When a running request ends, or after this span.
    Release(Millis),
    /// After this span, when more of a budget opens.
    Opens(Millis),
    /// Never again: what a visitor token may use is used.
    Over,
    /// Never: the request is larger than the limit.
    Never,
}

impl Until {
    /// Whether who comes when `other` opens is refused for this.
    pub(crate) fn outlasts(self, other: Self) -> bool {
        self.rank() > other.rank()
    }

    /// What waiting helps against is alike: who waits looks again at each of them.
    fn rank(self) -> (u8, Millis) {
        match self {
            Self::Refill(_) | Self::Release(_) => (0, 0),
            Self::Opens(span) => (1, span),
            Self::Over => (2, 0),
            Self::Never => (3, 0),
        }
    }
}

/// The names of the buckets' kinds.
pub(crate) const CONCURRENT: &str = "concurrent";
pub(crate) const RATES: [&str; 3] = ["requests", "input_tokens", "output_tokens"];

/// One payer's limits.
#[derive(Clone, Debug)]
pub(crate) struct Scope {
    buckets: [Option<Bucket>; 3],
    /// Expected output that open tickets still owe the output bucket.
    owed: i64,
    /// Requests and input that lent tickets may still take.
    lent: [i64; 2],
    concurrent: Option<u64>,
    /// Tickets that run; lent ones are not known to.
    pub(crate) open: u64,
    /// Places beside, of before a restart.
    places: Places,
    pub(crate) budgets: Budgets,
    /// Listed in [`Step::scopes`](crate::gate::Step).
    pub(crate) is_touched: bool,
    /// Listed in [`Gate::loose`](crate::gate::Gate).
    pub(crate) is_loose: bool,
}

/// The row of a scope: floors in bucket units, the ceilings of its budgets.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Saved {
    at: Millis,
    /// Which day (UTC) `ceiling` is of, since 1970.
    day: u64,
    ceiling: Three,
    floors: [Option<i64>; 3],
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    books: Vec<SavedBook>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    places: Row,
}

impl Saved {
    /// True when the row no longer says anything: its windows are over
    /// and its buckets full again, which takes a minute, or a day at most for one in debt.
    pub(crate) fn is_over(&self, now: Millis) -> bool {
        let in_debt = self.floors.iter().flatten().any(|floor| *floor < 0);
        self.day < now / DAY_MS
            && self.books.iter().all(|book| book.is_over(now))
            && now.saturating_sub(self.at) > if in_debt { DAY_MS } else { 10 * 60_000 }
    }
}

impl Scope {
    /// A scope without limits, as a saved row left it that a Gate found which `started` then.
    pub(crate) fn new(saved: Option<&Saved>, started: Millis, now: Millis) -> Self {
        Self {
            buckets: [None, None, None],
            owed: 0,
            lent: [0; 2],
            concurrent: None,
            open: 0,
            places: saved.map(|saved| Places::restored(&saved.places, started)).unwrap_or_default(),
            is_touched: false,
            is_loose: false,
            budgets: Budgets::restored(
                saved.map(|saved| (saved.day, saved.ceiling)),
                saved.map(|saved| saved.books.clone()).unwrap_or_default(),
                now,
            ),
        }
    }

    /// Brings other limits in force. Levels stay, cut to the new capacities, and so
    /// does what was spent.
    pub(crate) fn configure(
        &mut self,
        limits: &RateLimits,
        budgets: &[Budget],
        saved: Option<&Saved>,
        known: &Known,
        now: Millis,
    ) {
        for (i, limit) in [limits.rpm, limits.itpm, limits.otpm].into_iter().enumerate() {
            match (limit, &mut self.buckets[i]) {
                (None, bucket) => *bucket = None,
                (Some(limit), Some(bucket)) => {
                    bucket.refill(now);
                    bucket.resize(limit, limit);
                }
                (Some(limit), none) => {
                    let mut bucket = Bucket::new(limit, limit, now);
                    if let Some((saved, floor)) = saved.and_then(|s| s.floors[i].map(|f| (s, f))) {
                        bucket.restore(floor, 0, saved.at, now);
                    }
                    *none = Some(bucket);
                }
            }
        }
        self.concurrent = limits.concurrent;
        self.budgets.configure(budgets, known, now);
    }

    /// Brings buckets and budgets to `now`; before any check.
    pub(crate) fn refill(&mut self, now: Millis) {
        self.buckets.iter_mut().flatten().for_each(|bucket| bucket.refill(now));
        self.budgets.roll(now);
    }

    /// The first limit that does not take `need`, if any. Takes nothing.
    pub(crate) fn blocks(&self, need: &Need, now: Millis) -> Option<Block> {
        if need.job.is_none()
            && let Some(block) =
                self.shut_for(&need.day(), &need.day_prior(), need.lists, need.is_background, now)
        {
            return Some(block);
        }
        if self.concurrent.is_some_and(|most| self.taken(now) >= most) {
            let given_up = self.places.given_up_at(now);
            let span = given_up.map_or(Millis::MAX, |at| at.saturating_sub(now));
            return Some(Block { kind: CONCURRENT, until: Until::Release(span), list: 0 });
        }
        let rates = need.rates();
        let mut longest: Option<Block> = None;
        for (i, bucket) in self.buckets.iter().enumerate() {
            let Some(bucket) = bucket else { continue };
            if i == 1 && need.input_least > bucket.capacity() {
                return Some(Block { kind: RATES[i], until: Until::Never, list: 0 });
            }
            let wait = bucket.wait_ms(rates[i].min(bucket.capacity()), self.owed_of(i));
            let longer = match longest {
                Some(Block { until: Until::Refill(most), .. }) => wait > most,
                _ => wait > 0,
            };
            if longer {
                longest = Some(Block { kind: RATES[i], until: Until::Refill(wait), list: 0 });
            }
        }
        longest
    }

    /// The budget that does not take `amounts`, if any; one that `least` is too much for
    /// never does.
    pub(crate) fn shut_for(
        &self,
        amounts: &Three,
        least: &Three,
        lists: Lists,
        is_background: bool,
        now: Millis,
    ) -> Option<Block> {
        let (kind, list, shut) = self.budgets.refuses(amounts, least, lists, is_background, now)?;
        let until = match shut {
            Shut::TooLarge => Until::Never,
            Shut::Spent(span) => Until::Opens(span),
            Shut::Over => Until::Over,
            Shut::Held(span) => Until::Release(span),
        };
        Some(Block { kind, until, list })
    }

    /// Reserves `need` in every limit, as `hold` says; `generated` is what one that runs
    /// has generated so far, `is_young` whether it may have run before a restart.
    pub(crate) fn take(&mut self, need: &Need, hold: Hold, generated: Tokens, is_young: bool) {
        self.open += u64::from(hold != Hold::Lent);
        let rest = owed(need.output, generated);
        self.owed += rest;
        self.budgets.reserve(&need.reserves(hold), need.lists);
        match hold {
            Hold::Covered => {
                // The level that was restored lies below its rest.
                if let Some(bucket) = self.buckets[2].as_mut().filter(|_| is_young) {
                    bucket.take(-rest);
                }
            }
            Hold::Taken => self.take_start(need),
            Hold::Lent => self.promise(need, 1),
        }
    }

    /// A lent ticket turned out to be used: it holds what others hold.
    pub(crate) fn claim(&mut self, need: &Need) {
        self.promise(need, -1);
        self.open += 1;
        self.take_start(need);
    }

    fn take_start(&mut self, need: &Need) {
        for (i, bucket) in self.buckets.iter_mut().take(2).enumerate() {
            if let Some(bucket) = bucket {
                bucket.take(signed(need.rates()[i]));
            }
        }
    }

    fn promise(&mut self, need: &Need, sign: i64) {
        self.lent[0] += sign;
        self.lent[1] += sign * signed(need.input);
        debug_assert!(self.lent[0] >= 0 && self.lent[1] >= 0, "lent = sum of the lent tickets");
    }

    /// How many requests like `need` can be lent while this scope stays far from
    /// every limit. None where a ticket itself is limited, or the end of a budget
    /// is in sight: each request asks there.
    pub(crate) fn lendable(&self, need: &Need, now: Millis) -> u64 {
        if self.concurrent.is_some() || self.budgets.has_lists() {
            return 0;
        }
        let day = need.day();
        let budgets = self.budgets.ends(now);
        let budgets = budgets.map(|(i, limit, left)| lend::of_budget(limit, left, day[i]));
        // Of output the most there can be: a lost isolate's tickets count as that.
        let each = [1, need.input, need.output_max];
        let buckets = (0..3).filter_map(|i| {
            Some(lend::of_bucket(self.buckets[i].as_ref()?, each[i], self.owed_of(i)))
        });
        budgets.chain(buckets).min().unwrap_or(u64::MAX)
    }

    /// A running request told how far it is.
    pub(crate) fn progress(&mut self, need: &Need, before: Tokens, after: Tokens) {
        self.owed += owed(need.output, after) - owed(need.output, before);
        if let Some(bucket) = &mut self.buckets[2] {
            bucket.take(signed(after) - signed(before));
        }
    }

    /// Puts what was used in the place of the reservation. `used` is requests,
    /// input, output as the rate limits count them; `spent` as the budgets do.
    pub(crate) fn settle(
        &mut self,
        need: &Need,
        hold: Hold,
        generated: Tokens,
        used: &Three,
        spent: &Three,
    ) {
        if hold != Hold::Lent {
            debug_assert!(self.open > 0, "settled more tickets than were opened");
            self.open = self.open.saturating_sub(1);
        }
        self.owed -= owed(need.output, generated);
        debug_assert!(self.owed >= 0, "owed = sum of the open tickets");
        let taken = match hold {
            Hold::Taken => need.rates(),
            Hold::Covered => *used,
            Hold::Lent => [0; 3],
        };
        if hold == Hold::Lent {
            self.promise(need, -1);
        }
        self.budgets.settle(&need.reserves(hold), spent, need.lists);
        self.correct(&taken, generated, used);
    }

    /// It is on other lists of models than `from` now.
    pub(crate) fn relist(&mut self, need: &Need, hold: Hold, from: Lists) {
        let counted = if hold == Hold::Covered { need.day() } else { [0; 3] };
        self.budgets.relist(&need.reserves(hold), &counted, from, need.lists);
    }

    /// Charges what nothing was reserved for.
    pub(crate) fn charge(&mut self, used: &Three, spent: &Three, lists: Lists) {
        self.budgets.settle(&[0; 3], spent, lists);
        self.correct(&[0; 3], 0, used);
    }

    fn correct(&mut self, reserved: &Three, generated: Tokens, used: &Three) {
        for (i, bucket) in self.buckets.iter_mut().enumerate() {
            let before = if i == 2 { generated } else { reserved[i] };
            if let Some(bucket) = bucket {
                bucket.take(signed(used[i]) - signed(before));
            }
        }
    }

    /// The span until `ahead` (requests, input, output that go first) and
    /// `need` fit the buckets.
    pub(crate) fn wait_ms(&self, need: &Need, ahead: &Three) -> Millis {
        let rates = need.rates();
        (0..3)
            .filter_map(|i| {
                let bucket = self.buckets[i].as_ref()?;
                let ahead = signed(ahead[i]).saturating_add(self.owed_of(i));
                Some(bucket.wait_ms(rates[i].min(bucket.capacity()), ahead))
            })
            .max()
            .unwrap_or(0)
    }

    /// Open tickets, lent ones included.
    pub(crate) fn held(&self) -> u64 {
        self.open + self.lent[0].max(0) as u64
    }

    pub(crate) fn concurrent(&self) -> Option<u64> {
        self.concurrent
    }

    /// Places that are taken, or may be since before a restart.
    pub(crate) fn taken(&self, now: Millis) -> u64 {
        self.open + self.places.silent(now)
    }

    /// One that had a place before a restart told that it runs, or how it ended.
    pub(crate) fn told(&mut self, now: Millis) {
        self.places.told(now);
    }

    /// What new requests could use now, by a visitor's token where it is one's:
    /// requests, input, output, over buckets, concurrency and budgets; none: no limit.
    pub(crate) fn available(&self, token: Lists, now: Millis) -> [Option<i64>; 3] {
        let least = |limits: [Option<i64>; 3]| limits.into_iter().flatten().min();
        std::array::from_fn(|kind| {
            let bucket = self.buckets[kind].as_ref();
            let level = bucket.map(|bucket| bucket.level().saturating_sub(self.owed_of(kind)));
            match kind {
                0 => {
                    let taken = signed(self.taken(now));
                    let slots = self.concurrent.map(|most| signed(most) - taken);
                    least([level, slots, self.budgets.left(0, token, now)])
                }
                _ => least([level, self.budgets.left(1, token, now), None]),
            }
        })
    }

    /// Its limits, as their owner may see them; of visitor tokens' the one's named.
    pub(crate) fn views(&self, scope: &str, token: Lists, now: Millis) -> Vec<LimitView> {
        let view = |kind: &str, level, capacity, per_minute: u64, resets_ms| LimitView {
            scope: scope.to_owned(),
            kind: kind.to_owned(),
            level,
            capacity,
            per_s: per_minute / 60,
            per_minute,
            resets_ms,
            held: 0,
            models: Vec::new(),
        };
        let mut views = Vec::new();
        for (i, bucket) in self.buckets.iter().enumerate() {
            if let Some(b) = bucket {
                let level = b.level().saturating_sub(self.owed_of(i));
                views.push(view(RATES[i], level, b.capacity(), b.per_minute(), b.wait_full_ms()));
            }
        }
        if let Some(most) = self.concurrent {
            views.push(view(CONCURRENT, signed(most) - signed(self.taken(now)), most, 0, 0));
        }
        for left in self.budgets.lefts(token, now) {
            let Left { kind, level, limit, held, ends_in, models } = left;
            views.push(LimitView { held, models, ..view(kind, level, limit, 0, ends_in) });
        }
        views
    }

    /// The row to store, where the marks no longer cover what is used.
    pub(crate) fn save(&mut self, durability: &Durability, now: Millis) -> Option<Saved> {
        let raised = self.budgets.raise_ceilings(durability, now);
        let below = (0..3).any(|i| {
            let owed = self.owed_of(i);
            self.buckets[i].as_ref().is_some_and(|bucket| bucket.is_below_floor(owed))
        });
        // A restart must not give places away twice.
        let places = self.concurrent.is_some() && self.places.must_store(self.open, now);
        (raised || below || places).then(|| self.row(Some(durability.bucket_permille), now))
    }

    /// The row with exact ceilings and floors, where those stored are looser.
    pub(crate) fn save_exactly(&mut self, now: Millis) -> Option<Saved> {
        self.refill(now);
        let places = self.concurrent.is_some() && self.places.is_loose(self.open, now);
        let above = (0..3).any(|i| {
            let owed = self.owed_of(i);
            self.buckets[i].as_ref().is_some_and(|bucket| bucket.is_above_floor(owed))
        });
        (self.budgets.tighten() || places || above).then(|| self.row(None, now))
    }

    fn row(&mut self, chunk_permille: Option<u32>, now: Millis) -> Saved {
        let owed: [i64; 3] = std::array::from_fn(|i| self.owed_of(i));
        let ((day, ceiling), books) = self.budgets.row();
        let mut floors = [None; 3];
        for (i, bucket) in self.buckets.iter_mut().enumerate() {
            if let Some(bucket) = bucket {
                floors[i] = Some(bucket.put_floor(owed[i], chunk_permille));
            }
        }
        let is_limited = self.concurrent.is_some();
        let places = if is_limited { self.places.row(self.open, now) } else { Row::new() };
        Saved { at: now, day, ceiling, floors, books, places }
    }

    /// What of a bucket's level is promised.
    fn owed_of(&self, kind: usize) -> i64 {
        match kind {
            2 => self.owed,
            _ => self.lent[kind],
        }
    }
}

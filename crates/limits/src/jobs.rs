//! Jobs: budget that a tenant reserves for many requests, so that none of them
//! is refused half-way.
//!
//! A job holds its amounts in the budgets of its tenant and of the deployment
//! from the moment it is granted, as a ticket does; a request that names it takes
//! from these and asks no budget. Rate limits are not reserved: its requests queue
//! for them like all others. What a job still holds when a budget's window ends
//! goes over into the next one, as open tickets do. What is left of it goes back
//! when it is released or expires; its requests that still run keep what they hold.

mod rows;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::admin::Amounts;
use crate::admit::longest;
use crate::amounts::{Three, add, less, signed};
use crate::budgets::Lists;
use crate::gate::{Gate, ScopeId};
use crate::map::{Map, Name};
use crate::message::{Admit, LimitView, Millis, Priority, Reason, Refusal, Tokens};
use crate::policy::is_name;
use crate::scope::{Need, Until};
use crate::ticket::{Hold, Ticket};

/// Jobs that one tenant may hold at once, about 300 bytes each.
pub const JOBS_MAX: usize = 100;
/// The longest that a job lives without being renewed.
pub const TTL_MS_MAX: Millis = 7 * 86_400_000;
/// Places in the queue that a job keeps for requests whose patience ran out.
const PLACES_MAX: usize = 64;

/// A job's number: never used again.
pub(crate) type Number = u64;

/// What a tenant's server asks about its jobs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JobInput {
    /// Reserves; with the id of a job that lives, renews and resizes it.
    Reserve {
        /// Its name within the tenant.
        id: String,
        /// For all of the job.
        amounts: Amounts,
        /// When it ends, from now, unless it is renewed.
        ttl_ms: Millis,
    },
    /// One job.
    Show {
        /// Which.
        id: String,
    },
    /// All of the tenant's.
    List,
    /// Gives back what is left.
    Release {
        /// Which.
        id: String,
    },
}

/// The Gate's answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JobReply {
    /// The job as it is, or as it was when it was released.
    Job(JobView),
    /// The tenant's, by id.
    Jobs(Vec<JobView>),
    /// Nothing was reserved or changed.
    Refused(Refusal),
}

/// A job, as its tenant and operators may see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobView {
    /// Its name within the tenant.
    pub id: String,
    /// Whose it is.
    pub tenant: String,
    /// When it was first reserved.
    pub created_ms: Millis,
    /// When it ends, unless it is renewed.
    pub expires_ms: Millis,
    /// For all of the job.
    pub reserved: Amounts,
    /// Settled by its requests.
    pub used: Amounts,
    /// Held by its requests that run or wait: the most that they can use.
    pub held: Amounts,
    /// What its next requests may take.
    pub left: Amounts,
}

/// The jobs of all tenants.
#[derive(Clone, Debug, Default)]
pub(crate) struct Jobs {
    jobs: BTreeMap<Number, Job>,
    names: Map<(usize, String), Number>,
    ends: BTreeSet<(Millis, Number)>,
    numbers: Number,
}

#[derive(Clone, Debug)]
struct Job {
    tenant: usize,
    id: String,
    created: Millis,
    expires: Millis,
    total: Three,
    used: Three,
    held: Three,
    /// What of it those hold that wait: a crash undoes it.
    waiting: Three,
    /// Requests that wait or run.
    open: u64,
    /// Released or expired: kept for its open requests only.
    is_over: bool,
    /// What its row says was used: never below [`Job::spent`] (invariant 8).
    mark: Three,
    /// The tenant's budget holds it; after a restart once the tenant is met.
    is_held: bool,
    /// When requests first asked that could not wait for their turn.
    places: BTreeSet<Millis>,
}

impl Job {
    /// What its scopes hold for it: what it has left, and at least what its requests
    /// hold.
    fn rest(&self) -> Three {
        let left = less(&self.total, &self.used);
        std::array::from_fn(|kind| left[kind].max(self.held[kind]))
    }

    /// The most that was used, when all that run are lost.
    fn spent(&self) -> Three {
        let mut spent = less(&self.held, &self.waiting);
        add(&mut spent, &self.used);
        spent
    }

    fn is_beyond_mark(&self) -> bool {
        let spent = self.spent();
        !self.is_over && (0..3).any(|kind| spent[kind] > self.mark[kind])
    }

    fn left(&self) -> Three {
        less(&self.rest(), &self.held)
    }

    fn view(&self, tenant: &str) -> JobView {
        JobView {
            id: self.id.clone(),
            tenant: tenant.to_owned(),
            created_ms: self.created,
            expires_ms: self.expires,
            reserved: self.total.into(),
            used: self.used.into(),
            held: self.held.into(),
            left: self.left().into(),
        }
    }
}

impl Jobs {
    /// When the first ends.
    pub(crate) fn ends_at(&self) -> Option<Millis> {
        self.ends.first().map(|(at, _)| *at)
    }

    fn live(&self, tenant: usize, id: &str) -> Option<Number> {
        self.names.get(&(tenant, id.to_owned())).copied()
    }

    fn insert(&mut self, job: Job) -> Number {
        self.numbers += 1;
        self.names.insert((job.tenant, job.id.clone()), self.numbers);
        self.ends.insert((job.expires, self.numbers));
        self.jobs.insert(self.numbers, job);
        self.numbers
    }

    /// Gives its name up: who reserves by it next has another job.
    fn end(&mut self, number: Number) {
        let Some(job) = self.jobs.get_mut(&number) else { return };
        job.is_over = true;
        self.ends.remove(&(job.expires, number));
        self.names.remove(&(job.tenant, job.id.clone()));
    }

    fn of(&self, tenant: usize) -> impl Iterator<Item = &Job> {
        self.jobs.values().filter(move |job| job.tenant == tenant && !job.is_over)
    }
}

/// A job may ask any model: it holds of every list's budget.
const EVERY_LIST: Lists = Lists::MAX;

/// Whose budgets hold a job.
fn holders(tenant: usize) -> [ScopeId; 2] {
    [ScopeId::Deployment, ScopeId::Tenant(tenant)]
}

impl Gate {
    /// A tenant's server asks about its jobs.
    pub(crate) fn job(&mut self, tenant: &str, key: &str, input: JobInput) -> JobReply {
        let tenant = self.tenant_index.get(tenant).copied();
        let tenant = match self.bearer(tenant, key) {
            Ok(tenant) => tenant,
            Err(reason) => return JobReply::Refused(told(reason)),
        };
        if !self.tenants[tenant].configured {
            self.configure(tenant);
        }
        match input {
            JobInput::Reserve { id, amounts, ttl_ms } => {
                self.reserve_job(tenant, id, amounts.into(), ttl_ms)
            }
            JobInput::Show { id } => match self.jobs.live(tenant, &id) {
                Some(number) => self.shown(number),
                None => JobReply::Refused(told(Reason::JobUnknown)),
            },
            JobInput::List => {
                let name = &self.tenants[tenant].name;
                let mut jobs = Vec::new();
                jobs.extend(self.jobs.of(tenant).map(|job| job.view(name)));
                JobReply::Jobs(jobs)
            }
            JobInput::Release { id } => match self.jobs.live(tenant, &id) {
                Some(number) => {
                    let shown = self.shown(number);
                    self.release_job(number);
                    shown
                }
                None => JobReply::Refused(told(Reason::JobUnknown)),
            },
        }
    }

    /// All jobs, for operators.
    pub(crate) fn all_jobs(&self) -> Vec<JobView> {
        let mut jobs = Vec::new();
        let live = self.jobs.jobs.values().filter(|job| !job.is_over);
        jobs.extend(live.map(|job| job.view(&self.tenants[job.tenant].name)));
        jobs
    }

    fn shown(&self, number: Number) -> JobReply {
        match self.jobs.jobs.get(&number) {
            Some(job) => JobReply::Job(job.view(&self.tenants[job.tenant].name)),
            None => JobReply::Refused(told(Reason::JobUnknown)),
        }
    }

    /// All of it or nothing (invariant 1).
    fn reserve_job(&mut self, tenant: usize, id: String, total: Three, ttl: Millis) -> JobReply {
        if !is_name(&id) {
            return JobReply::Refused(told(Reason::JobUnknown));
        }
        let known = self.jobs.live(tenant, &id);
        let before = known.and_then(|number| self.jobs.jobs.get(&number));
        if known.is_none() && self.jobs.of(tenant).count() >= JOBS_MAX {
            return JobReply::Refused(told(Reason::JobsFull));
        }
        let (had, bound) = before.map_or(([0; 3], [0; 3]), |job| {
            let mut bound = job.used;
            add(&mut bound, &job.held);
            (job.total, bound)
        });
        // What its requests have used or hold is not given back under them.
        let total: Three = std::array::from_fn(|kind| total[kind].max(bound[kind]));
        let more = less(&total, &had);
        if let Some(refusal) = (more != [0; 3]).then(|| self.refuses_job(tenant, &more)).flatten() {
            return JobReply::Refused(refusal);
        }
        let (now, expires) = (self.now, self.now + ttl.min(TTL_MS_MAX));
        let number = known.unwrap_or_else(|| {
            self.jobs.insert(Job {
                tenant,
                id,
                created: now,
                expires,
                total: [0; 3],
                used: [0; 3],
                held: [0; 3],
                waiting: [0; 3],
                open: 0,
                is_over: false,
                mark: [0; 3],
                is_held: true,
                places: BTreeSet::new(),
            })
        });
        let Some(job) = self.jobs.jobs.get_mut(&number) else {
            return JobReply::Refused(told(Reason::JobUnknown));
        };
        let rest = job.rest();
        self.jobs.ends.remove(&(job.expires, number));
        self.jobs.ends.insert((expires, number));
        (job.total, job.expires) = (total, expires);
        let after = job.rest();
        self.rehold(tenant, &rest, &after);
        self.write_job(number);
        self.shown(number)
    }

    /// The budget that does not take `more`, all of it at once: of several the one that
    /// shuts longest.
    fn refuses_job(&mut self, tenant: usize, more: &Three) -> Option<Refusal> {
        // Where requests are background work unless they say otherwise, so is a job.
        let policy = self.tenants[tenant].policy.as_ref();
        let is_background = policy.is_some_and(|of| of.priority.default == Priority::Background);
        let now = self.now;
        let mut most = None;
        for payer in holders(tenant) {
            self.scope_mut(payer).refill(now);
            let shut = self.scope(payer).shut_for(more, more, EVERY_LIST, is_background, now);
            longest(&mut most, payer, shut);
        }
        let (payer, block) = most?;
        let (reason, span) = match (block.until, payer) {
            (Until::Never, _) => (Reason::TooLarge, None),
            (Until::Opens(span), ScopeId::Deployment) => {
                (Reason::DeploymentBudgetSpent, Some(span))
            }
            (Until::Opens(span), _) => (Reason::BudgetSpent, Some(span)),
            (until, _) => {
                let opens = if let Until::Release(span) = until { span } else { Millis::MAX };
                let frees = self.held_by_jobs(payer, [more; 2], EVERY_LIST, is_background, opens);
                let reason = match payer {
                    ScopeId::Deployment => Reason::DeploymentBudgetSpent,
                    _ => Reason::BudgetSpent,
                };
                (reason, Some(frees.unwrap_or(HELD_MS)))
            }
        };
        Some(self.refusal(payer, &block, reason, span))
    }

    /// The span until jobs hold so little of a budget that it takes `need`: to the end of
    /// one of them, or to when more of it `opens`. None: they do not now, but requests
    /// hold it, that may give it back at their ends.
    pub(crate) fn held_by_jobs(
        &self,
        payer: ScopeId,
        [need, least]: [&Three; 2],
        lists: Lists,
        is_background: bool,
        opens: Millis,
    ) -> Option<Millis> {
        let budgets = &self.scope(payer).budgets;
        let of = |job: &&Job| !job.is_over && holders(job.tenant).contains(&payer);
        let mut held = [0; 3];
        self.jobs.jobs.values().filter(of).for_each(|job| add(&mut held, &job.rest()));
        let fits = |held: &Three, then: Millis| {
            let later = budgets.later(held, EVERY_LIST, then);
            later.refuses(need, least, lists, is_background, then).is_none()
        };
        if fits(&held, self.now) {
            return None;
        }
        let opens = self.now.saturating_add(opens);
        let mut opened = false;
        for (at, number) in &self.jobs.ends {
            let Some(job) = self.jobs.jobs.get(number).filter(of) else { continue };
            if opens < *at && !std::mem::replace(&mut opened, true) && fits(&held, opens) {
                return Some(opens.saturating_sub(self.now).max(1));
            }
            held = less(&held, &job.rest());
            if fits(&held, *at) {
                return Some(at.saturating_sub(self.now).max(1));
            }
        }
        None
    }

    /// The scopes hold `after` for a job in place of `before`.
    fn rehold(&mut self, tenant: usize, before: &Three, after: &Three) {
        if before == after {
            return;
        }
        let now = self.now;
        for payer in holders(tenant) {
            let scope = self.scope_mut(payer);
            scope.refill(now);
            scope.budgets.settle(before, &[0; 3], EVERY_LIST);
            scope.budgets.reserve(after, EVERY_LIST);
            self.touch(payer);
            self.freed(payer);
        }
    }

    /// Which job a request draws on, or why it may not.
    pub(crate) fn job_of(
        &self,
        tenant: usize,
        name: Name,
        admit: &Admit,
    ) -> Result<Option<Number>, Reason> {
        let Some(id) = &admit.job else { return Ok(None) };
        if let Some(number) = self.waiting_ids.get(&name) {
            return Ok(self.waiting.get(number).and_then(|waiter| waiter.need.job));
        }
        match self.jobs.live(tenant, id) {
            Some(number) => Ok(Some(number)),
            // What runs is accounted for in any case.
            None if admit.running.is_some() => Ok(None),
            None => Err(Reason::JobUnknown),
        }
    }

    /// The most input that a request of a job is to hold of it: where it is more than
    /// all that the job will have by what was learned alone, then what is left.
    pub(crate) fn of_job(&self, number: Number, need: &Need) -> Tokens {
        let Some(job) = self.jobs.jobs.get(&number) else { return need.input_max };
        let (left, rest) = (job.left()[1], job.rest()[1]);
        if need.day()[1] <= rest {
            return need.input_max;
        }
        left.saturating_sub(need.output_max).clamp(need.input_prior, need.input_max)
    }

    /// A request does not fit what its job has left. A retry helps where other
    /// requests of the job hold it.
    pub(crate) fn beyond_job(&self, number: Number, need: &Need, usual: Millis) -> Option<Refusal> {
        let job = self.jobs.jobs.get(&number)?;
        let (left, rest, need) = (job.left(), job.rest(), need.day());
        let kind = (0..3).find(|kind| need[*kind] > left[*kind])?;
        let fits_later = (0..3).all(|kind| need[kind] <= rest[kind]);
        let limit = Box::new(LimitView {
            scope: "job".to_owned(),
            kind: ["requests", "tokens", "microusd"][kind].to_owned(),
            level: signed(left[kind]),
            capacity: job.total[kind],
            per_s: 0,
            per_minute: 0,
            held: 0,
            models: Vec::new(),
            resets_ms: job.expires.saturating_sub(self.now),
        });
        let retry_after_ms = fits_later.then_some(usual.max(1_000));
        Some(Refusal { reason: Reason::JobSpent, retry_after_ms, limit: Some(limit) })
    }

    /// A request of a job waits: it holds its worst case.
    pub(crate) fn draw(&mut self, number: Option<Number>, need: &Three) {
        let Some(job) = number.and_then(|number| self.jobs.jobs.get_mut(&number)) else { return };
        job.open += 1;
        add(&mut job.held, need);
        add(&mut job.waiting, need);
    }

    /// It runs from now on: its row counts that as used.
    pub(crate) fn go(&mut self, number: Option<Number>, need: &Three) {
        let Some(number) = number else { return };
        let Some(job) = self.jobs.jobs.get_mut(&number) else { return };
        job.waiting = less(&job.waiting, need);
        if job.is_beyond_mark() {
            self.write_job(number);
        }
    }

    /// It waits no more, and goes nowhere.
    pub(crate) fn undraw(&mut self, number: Option<Number>, need: &Three) {
        if let Some(job) = number.and_then(|number| self.jobs.jobs.get_mut(&number)) {
            job.waiting = less(&job.waiting, need);
        }
        self.end_draw(number, need, &[0; 3]);
    }

    /// A settlement comes for which no ticket held anything: the job pays all the
    /// same.
    pub(crate) fn charge_job(&mut self, tenant: usize, id: &str, used: &Three) {
        let Some(number) = self.jobs.live(tenant, id) else { return };
        let Some(job) = self.jobs.jobs.get_mut(&number) else { return };
        let before = job.rest();
        add(&mut job.used, used);
        let (after, is_beyond) = (job.rest(), job.is_beyond_mark());
        self.rehold(tenant, &before, &after);
        if is_beyond {
            self.write_job(number);
        }
    }

    /// A ticket of a job ends, and `used` takes the place of what it held.
    pub(crate) fn close_draw(&mut self, ticket: &Ticket, used: &Three) {
        let held = match ticket.hold {
            Hold::Covered => [0; 3],
            _ => ticket.need.day(),
        };
        self.end_draw(ticket.need.job, &held, used);
    }

    fn end_draw(&mut self, number: Option<Number>, held: &Three, used: &Three) {
        let Some(number) = number else { return };
        let Some(job) = self.jobs.jobs.get_mut(&number) else { return };
        debug_assert!(job.open > 0, "more requests of a job ended than began");
        job.open = job.open.saturating_sub(1);
        let before = job.rest();
        job.held = less(&job.held, held);
        add(&mut job.used, used);
        if job.is_over {
            job.total = job.used;
            add(&mut job.total, &job.held);
        }
        let (tenant, after, is_done) = (job.tenant, job.rest(), job.is_over && job.open == 0);
        let is_beyond = job.is_beyond_mark();
        self.rehold(tenant, &before, &after);
        if is_beyond {
            self.write_job(number);
        }
        if is_done {
            self.jobs.jobs.remove(&number);
        }
    }

    /// A running request's job after a restart: its row counts it as used.
    pub(crate) fn cover_draw(&mut self, number: Option<Number>) {
        if let Some(job) = number.and_then(|number| self.jobs.jobs.get_mut(&number)) {
            job.open += 1;
        }
    }

    /// The place of the job's request that could not wait, for its next one.
    pub(crate) fn place_of(&self, number: Number) -> Option<Millis> {
        self.jobs.jobs.get(&number)?.places.first().copied()
    }

    /// It waits there.
    pub(crate) fn take_place(&mut self, number: Option<Number>, asked: Millis) {
        if let Some(job) = number.and_then(|number| self.jobs.jobs.get_mut(&number)) {
            job.places.remove(&asked);
        }
    }

    /// A request's patience ran out: its place is kept for the job's next one.
    pub(crate) fn keep_place(&mut self, number: Option<Number>, asked: Millis) {
        if let Some(job) = number.and_then(|number| self.jobs.jobs.get_mut(&number))
            && job.places.len() < PLACES_MAX
        {
            job.places.insert(asked);
        }
    }

    /// What is left goes back; what its open requests hold stays held for them.
    fn release_job(&mut self, number: Number) {
        self.jobs.end(number);
        let Some(job) = self.jobs.jobs.get_mut(&number) else { return };
        let before = job.rest();
        job.total = job.used;
        add(&mut job.total, &job.held);
        let (tenant, after, is_done) = (job.tenant, job.rest(), job.open == 0);
        self.rehold(tenant, &before, &after);
        self.write_job(number);
        if is_done {
            self.jobs.jobs.remove(&number);
        }
    }

    /// A tenant is removed, and its jobs with it.
    pub(crate) fn release_jobs_of(&mut self, tenant: usize) {
        let mut numbers = Vec::new();
        let of = |(number, job): (&Number, &Job)| {
            (job.tenant == tenant && !job.is_over).then_some(*number)
        };
        numbers.extend(self.jobs.jobs.iter().filter_map(of));
        if numbers.is_empty() {
            return;
        }
        if !self.tenants[tenant].configured {
            self.configure(tenant);
        }
        numbers.into_iter().for_each(|number| self.release_job(number));
    }

    /// Jobs that nobody renewed.
    pub(crate) fn expire_jobs(&mut self) {
        while let Some(&(at, number)) = self.jobs.ends.first() {
            if at > self.now {
                return;
            }
            let tenant = self.jobs.jobs.get(&number).map(|job| job.tenant);
            if let Some(tenant) = tenant.filter(|tenant| !self.tenants[*tenant].configured) {
                // Its budget has not met it since the start.
                self.configure(tenant);
            }
            self.release_job(number);
        }
    }
}

/// A held budget is worth another try after this where no job holds it: requests
/// that run give back what they do not use.
const HELD_MS: Millis = 15_000;

fn told(reason: Reason) -> Refusal {
    Refusal { reason, retry_after_ms: None, limit: None }
}

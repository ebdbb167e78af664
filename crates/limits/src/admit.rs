//! How a request is admitted: every limit at once or none (invariant 1), or a
//! place in the queue, or a refusal that knows when.

use std::collections::BTreeSet;

use crate::amounts::add;
use crate::crowd::full;
use crate::gate::{Gate, PoolState, ScopeId};
use crate::map::Name;
use crate::message::{
    Admit, Decision, EndUser, LimitView, Millis, Priority, Reason, Refusal, Tokens, VisitorBounds,
};
use crate::policy::Tenant;
use crate::queue::line_of;
use crate::scope::{Block, CONCURRENT, Need, RATES, Until};
use crate::ticket::{Hold, Ticket, Waiter};
use crate::wait::lost_after;

/// By this part more is told of a turn behind others than is expected: then 19 of 20
/// go that come back (measured, `crates/simulator/tests/returns.rs`).
const LATER: Millis = 20;
/// And by this, since turns come in bunches: with 2 s of patience 97.0 % of 100 seeds'
/// returns went, without it 96.4 %.
const LATER_MS: Millis = 1_000;
/// Half of the patience beyond this is taken off what is told: who comes a little early
/// waits for the rest, and who comes late has lost that time, which may be nobody's.
const IMPATIENT_MS: Millis = 10_000;
/// But not more of the turn than this part: with a twentieth another tenant waited 3.07 s
/// at p95 for the room that is left to them, in one of 20 seeds, and 2.93 s with this
/// (`crates/simulator/tests/returns.rs`).
const EARLY: Millis = 25;
/// What turns took of late tells at most four times what the limits do, and this.
const UNSURE_MS: Millis = 60_000;
/// All limits of a pool but that of output.
const BUT_OUTPUT: usize = 2;
/// The longest ticket, key or model id, in bytes.
const ID_MAX: usize = 256;

/// How a request stands for what the pool has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stands {
    /// It comes, and leaves room to those of its line who are about to come back.
    Comes,
    /// It waits. Left room would hold up all who stand behind it.
    Waits,
    /// It waited long: it leaves nobody room.
    Aged,
}

/// What is in a request's way.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Obstacle {
    /// The account's spend cap.
    Stopped,
    /// A limit of a payer.
    Scope(ScopeId, Block),
    /// The pool has no room for this span.
    Pool(Millis),
}

impl Gate {
    /// Decides on an admit that may have come before. None: parked, its answer comes later.
    pub(crate) fn decide(
        &mut self,
        name: Name,
        admit: &mut Admit,
        tenant: Option<usize>,
        bounds: Option<&VisitorBounds>,
        may_park: bool,
    ) -> Option<Decision> {
        let attempt = admit.attempt;
        let tenant = match self.entitled(tenant, admit) {
            Ok(tenant) => tenant,
            Err(reason) => {
                let refusal = Refusal { reason, retry_after_ms: None, limit: None };
                self.refuse_waiter(name, refusal.clone());
                return Some(Decision::Refused(refusal));
            }
        };
        if let Some(decision) = self.known(name, admit) {
            return Some(decision);
        }
        let user = self.user(tenant, admit.user.as_deref());
        let user = user.and_then(|user| Ok((user, self.bound(user, bounds)?)));
        let (user, token) = match user {
            Ok(user) => user,
            // Its tenant pays.
            Err(_) if admit.running.is_some() => (None, 0),
            Err(retry) => return Some(refused(Reason::UserLimit, Some(retry), None)),
        };
        let job = match self.job_of(tenant, name, admit) {
            Ok(job) => job,
            Err(reason) => return Some(refused(reason, None, None)),
        };
        let is_new = !self.waiting_ids.contains_key(&name);
        if admit.running.is_none() && !is_new {
            return self.waits(name, admit.patience_ms, may_park);
        }
        let pool = self.pool(&admit.pool);
        let need = self.need(name, admit, pool);
        let mut asker = Waiter {
            attempt,
            class: class_of(admit.priority),
            // It went before those of the same moment that still wait.
            asked: admit.asked_ms.saturating_sub(u64::from(attempt > 0)),
            bytes: admit.bytes,
            size: [admit.bytes, admit.input_tokens, admit.max_tokens],
            is_back: attempt > 0,
            kept_until: 0,
            tenant,
            user,
            line: line_of(user.map(|user| self.users[user].line), admit.user.as_deref()),
            pool,
            need: Need { job, lists: need.lists | token, ..need },
            queued: self.now,
            expected: self.now,
            deadline: self.deadline(admit.patience_ms),
            lost: self.now + lost_after(admit.patience_ms),
            parked: false,
            name,
            id: std::mem::take(&mut admit.ticket),
            key: std::mem::take(&mut admit.key),
            model: std::mem::take(&mut admit.model),
        };
        if let Some(progress) = admit.running {
            // Runs already: a restart forgot it.
            self.free_waiter(name);
            self.cover_draw(job);
            let generated = progress.output_tokens.min(asker.need.output_max);
            self.open(&mut asker, 0, Hold::Covered, generated);
            return Some(Decision::Granted { waited_ms: 0 });
        }
        if let Some(place) = job.and_then(|job| self.place_of(job)) {
            (asker.asked, asker.is_back) = (asker.asked.min(place), true);
        }
        self.pools[pool].tick(self.now);
        self.came_back(&mut asker, admit.is_retry);
        self.arrive(asker, admit.patience_ms, may_park)
    }

    /// Whether the tenant is known and the key lives.
    pub(crate) fn bearer(&self, tenant: Option<usize>, key: &str) -> Result<usize, Reason> {
        let index = tenant.ok_or(Reason::UnknownTenant)?;
        let state = &self.tenants[index];
        state.policy.as_ref().ok_or(Reason::UnknownTenant)?;
        let lives = state.keys.get(key).is_some_and(|key| key.lives(self.now));
        if lives { Ok(index) } else { Err(Reason::KeyRevoked) }
    }

    /// Whether the key, tenant, model and priority may ask at all.
    fn entitled(&mut self, tenant: Option<usize>, admit: &Admit) -> Result<usize, Reason> {
        let index = match admit.running {
            // What runs was granted, and is accounted for, whatever became of its key since.
            Some(_) => tenant.unwrap_or_else(|| self.tenant(&admit.tenant)),
            None => self.bearer(tenant, &admit.key)?,
        };
        let ids = [&admit.ticket, &admit.model, &admit.pool.account, &admit.pool.class];
        if ids.into_iter().chain([&admit.pool.speed]).any(|id| id.len() > ID_MAX) {
            return Err(Reason::ModelNotAllowed);
        }
        if admit.running.is_some() {
            return Ok(index);
        }
        let policy = self.tenants[index].policy.as_ref().ok_or(Reason::UnknownTenant)?;
        // The isolate's copy of the policy may be older.
        let is_public = admit.user.as_deref().is_some_and(|user| EndUser::of(user).is_public());
        permitted(policy, &admit.model, class_of(admit.priority), is_public)?;
        Ok(index)
    }

    /// A tenant's keys or policy changed: who waits and may not ask any more is not
    /// granted, parked or between two polls.
    pub(crate) fn refuse_unentitled(&mut self, tenant: usize) {
        let its = self.waiting.iter().filter(|(_, waiter)| waiter.tenant == tenant);
        let mut waiting = BTreeSet::new();
        waiting.extend(its.map(|(number, waiter)| (*number, waiter.name)));
        for (number, name) in waiting {
            let waiter = self.waiting.get(&number);
            if let Some(reason) = waiter.and_then(|waiter| self.still(waiter).err()) {
                self.refuse_waiter(name, Refusal { reason, retry_after_ms: None, limit: None });
            }
        }
    }

    /// As [`Gate::entitled`], of one that was and waits.
    fn still(&self, waiter: &Waiter) -> Result<(), Reason> {
        let tenant = self.bearer(Some(waiter.tenant), &waiter.key)?;
        let policy = self.tenants[tenant].policy.as_ref().ok_or(Reason::UnknownTenant)?;
        // A visitor is always limited, and so known.
        let is_public = waiter.user.is_some_and(|user| self.users[user].is_public);
        permitted(policy, &waiter.model, waiter.class, is_public)
    }

    /// The answer to an attempt that was met before: admit is idempotent.
    fn known(&mut self, name: Name, admit: &Admit) -> Option<Decision> {
        let attempt = admit.attempt;
        if let Some(ticket) = self.tickets.get_mut(name, attempt) {
            let waited_ms = ticket.waited;
            if std::mem::take(&mut ticket.unclaimed) {
                self.pools[ticket.pool].mirror.goes_late(ticket.granted, self.now);
            }
            let generated = admit.running.map_or(0, |progress| progress.output_tokens);
            self.renew(name, attempt, generated);
            return Some(Decision::Granted { waited_ms });
        }
        // Over: whoever still asks gets the answer it was given, and nothing.
        if self.over.contains(name, attempt) {
            return Some(Decision::Granted { waited_ms: 0 });
        }
        // What runs was let go by a Worker that never heard of the refusal.
        if admit.running.is_some() { None } else { self.refused_before(name, attempt) }
    }

    /// What a request needs, by what was learned.
    fn need(&self, name: Name, admit: &Admit, pool: usize) -> Need {
        let (tenant, model) = (&admit.tenant, &admit.model);
        let estimate = admit.input_tokens;
        let input_total = self.calibrations.input(model, &admit.kinds, estimate);
        let reads = match admit.attempt {
            0 => self.reads.expected(tenant, model, admit.cached, self.now),
            // The provider refused it: perhaps because less was read than was thought.
            _ => 0,
        };
        let input = match reads {
            0 => input_total,
            // The part of it that is not read.
            reads => {
                let unread = u128::from(input_total) * u128::from(estimate.saturating_sub(reads));
                // Not above `input_total`.
                ((unread / u128::from(estimate.max(1))) as u64).max(1)
            }
        };
        let least = if admit.attempt > 0 { self.larger.get(&name) } else { None };
        let least = least.copied().unwrap_or_default();
        let input = input.max(least);
        // What is read of a marked prompt only the provider knows, and it alone refuses one
        // for good.
        let surely = if admit.cached.is_some() { least } else { estimate.max(least) };
        let output = self.lengths.output(tenant, model, admit.max_tokens);
        let running = &self.pools[pool].mirror.running;
        let output = running.unbiased(output, self.now).min(admit.max_tokens.max(1));
        Need {
            input,
            input_least: input.min(surely),
            input_max: input_total.max(estimate).max(least),
            input_prior: estimate,
            output,
            output_max: admit.max_tokens,
            microusd_max: admit.microusd_max,
            job: None,
            lists: self.known.lists_of(&admit.model),
            is_background: admit.priority == Priority::Background,
        }
    }

    /// A request asks for the first time: granted, refused, or it waits; parked
    /// (none) where it may be.
    fn arrive(&mut self, mut asker: Waiter, patience: Millis, may_park: bool) -> Option<Decision> {
        let Waiter { name, class, tenant, user, pool, mut need, attempt, .. } = asker;
        let state = &mut self.pools[pool];
        state.mirror.refill(self.now);
        if attempt == 0 {
            state.mirror.arrived(class, &need, self.now);
        }
        if let Some(kind) = state.mirror.too_large(need.input_least, need.output_max) {
            let limit = withheld("account", kind, 0);
            return Some(refused(Reason::TooLarge, None, Some(limit)));
        }
        if let Some(job) = need.job {
            let usual = state.mirror.running.service_ms(need.output);
            need.input_max = self.of_job(job, &need);
            if let Some(refusal) = self.beyond_job(job, &need, usual) {
                return Some(Decision::Refused(refusal));
            }
            asker.need = need;
        }
        for payer in self.payers(tenant, user) {
            let now = self.now;
            self.scope_mut(payer).refill(now);
        }
        let obstacle = self.obstacle(&asker, Stands::Comes);
        let must_queue = self.pools[pool].queue.is_before(class, tenant);
        match obstacle {
            None if !must_queue => {
                self.draw(need.job, &need.day());
                self.go(need.job, &need.day());
                self.turn(&asker);
                self.open(&mut asker, 0, Hold::Taken, 0);
                return Some(Decision::Granted { waited_ms: 0 });
            }
            Some(obstacle) => {
                if let Some(mut refusal) = self.shut(obstacle) {
                    self.keep_for(&asker, &mut refusal);
                    return Some(Decision::Refused(refusal));
                }
            }
            None => {}
        }
        let (wait, mut refusal) = self.expect(&asker);
        // A provider refusal puts a request back, whatever is expected
        // (invariant 4), a job's waits as long as it can, and so does one that came
        // when it was told to; their deadlines hold.
        let stays = need.job.is_some() || asker.is_back;
        // Nor is one refused for what nobody knows, how long answers of its kind are.
        let is_guess =
            || self.lengths.guesses(&self.tenants[tenant].name, &asker.model, need.output_max);
        let may_fit = || is_guess() && self.expect_by(&asker, BUT_OUTPUT).0 <= patience;
        if wait > patience && (patience == 0 || !(stays || may_fit())) {
            self.keep_for(&asker, &mut refusal);
            return Some(Decision::Refused(refusal));
        }
        if !self.make_room(&asker) {
            let mut refusal = full(wait);
            self.keep_for(&asker, &mut refusal);
            return Some(Decision::Refused(refusal));
        }
        asker.expected = self.now.saturating_add(wait);
        self.take_place(need.job, asker.asked);
        self.enqueue(asker);
        self.serve();
        if let Some(ticket) = self.tickets.get_mut(name, attempt) {
            ticket.unclaimed = false;
            return Some(Decision::Granted { waited_ms: 0 });
        }
        self.waits(name, patience, may_park)
    }

    /// What is in the way, if anything: of payers' limits the one that shuts longest.
    /// Takes nothing. Payers and pool were brought to now.
    pub(crate) fn obstacle(&self, asker: &Waiter, stands: Stands) -> Option<Obstacle> {
        let Waiter { tenant, user, pool, ref need, class, is_back, .. } = *asker;
        let state = &self.pools[pool];
        if self.stopped.get(&state.pool.account).is_some_and(|until| **until > self.now) {
            return Some(Obstacle::Stopped);
        }
        let mut most = None;
        for payer in self.payers(tenant, user) {
            longest(&mut most, payer, self.scope(payer).blocks(need, self.now));
        }
        if let Some((payer, block)) = most {
            return Some(Obstacle::Scope(payer, block));
        }
        let mut room = match stands {
            Stands::Aged => [0; 3],
            Stands::Waits | Stands::Comes => state.mirror.room(class, self.now),
        };
        if stands == Stands::Comes && !is_back {
            add(&mut room, &state.queue.soon(&asker.spot(0)));
        }
        let mut wait = state.mirror.wait_ms(need, &room, self.now);
        if stands != Stands::Comes {
            wait = wait.max(state.mirror.paced_ms());
        }
        (wait > 0).then_some(Obstacle::Pool(wait))
    }

    /// The refusal, where waiting does not help.
    pub(crate) fn shut(&self, obstacle: Obstacle) -> Option<Refusal> {
        match obstacle {
            Obstacle::Stopped => Some(Refusal {
                reason: Reason::ProviderSpendCap,
                retry_after_ms: None,
                limit: None,
            }),
            Obstacle::Scope(payer, block) => match block.until {
                Until::Never => Some(self.refusal(payer, &block, Reason::TooLarge, None)),
                Until::Over => Some(self.refusal(payer, &block, Reason::BudgetSpent, None)),
                Until::Opens(span) => {
                    let reason = match payer {
                        ScopeId::Deployment => Reason::DeploymentBudgetSpent,
                        _ => Reason::BudgetSpent,
                    };
                    Some(self.refusal(payer, &block, reason, Some(span)))
                }
                Until::Refill(_) | Until::Release(_) => None,
            },
            Obstacle::Pool(_) => None,
        }
    }

    pub(crate) fn refusal(
        &self,
        payer: ScopeId,
        &Block { kind, list, .. }: &Block,
        reason: Reason,
        retry_after_ms: Option<Millis>,
    ) -> Refusal {
        let models = self.known.models_of(list);
        let view = |views: Vec<LimitView>| {
            let its = views.into_iter().find(|view| view.kind == kind && view.models == models);
            its.map(Box::new)
        };
        let limit = match payer {
            // The deployment's numbers are no tenant's business.
            ScopeId::Deployment => {
                Some(withheld("deployment", kind, retry_after_ms.unwrap_or_default()))
            }
            ScopeId::Tenant(index) => view(self.tenants[index].scope.views("tenant", 0, self.now)),
            // What all visitors spend is no visitor's business.
            ScopeId::Public(_) => {
                Some(withheld("publishable", kind, retry_after_ms.unwrap_or_default()))
            }
            ScopeId::User(index) => view(self.users[index].views(list, self.now)),
        };
        Refusal { reason, retry_after_ms, limit }
    }

    /// How long a request would wait from now on, and the refusal that says so: the
    /// longest of the pool's and its payers'.
    pub(crate) fn expect(&self, asker: &Waiter) -> (Millis, Refusal) {
        self.expect_by(asker, RATES.len())
    }

    /// The same by the first `kinds` of the pool's limits.
    fn expect_by(&self, asker: &Waiter, kinds: usize) -> (Millis, Refusal) {
        let Waiter { tenant, user, pool, ref need, class, is_back, .. } = *asker;
        let (spot, weight) = (asker.spot(0), self.weight(tenant));
        let PoolState { queue, mirror, .. } = &self.pools[pool];
        let mut ahead = queue.ahead(&spot, weight, is_back);
        if !is_back {
            add(&mut ahead, &queue.soon(&spot));
        }
        let (mut wait, kind) = mirror.wait_behind(need, &ahead, class, kinds, self.now);
        let mut refusal = Refusal {
            reason: Reason::ProviderLimit,
            retry_after_ms: None,
            limit: Some(withheld("account", kind, wait)),
        };
        // Others of its priority ask on. Who has patience is not refused for that.
        let told = queue.turn_in(&spot, weight, is_back, |needs| mirror.cost_of(needs));
        let [of_tenant, of_line] = queue.ahead_within(&spot, is_back, false);
        let service = mirror.running.service_ms(need.output);
        for payer in self.payers(tenant, user) {
            let scope = self.scope(payer);
            let mut reason = match payer {
                ScopeId::User(_) => Reason::UserLimit,
                ScopeId::Tenant(_) => Reason::TenantLimit,
                ScopeId::Public(_) => Reason::BudgetSpent,
                ScopeId::Deployment => Reason::DeploymentBudgetSpent,
            };
            let ahead = match payer {
                ScopeId::Tenant(_) => of_tenant,
                ScopeId::User(_) => of_line,
                // Who of the other visitors goes before is not counted.
                ScopeId::Public(_) | ScopeId::Deployment => [0; 3],
            };
            let mut longest = scope.wait_ms(need, &ahead);
            if let Some(most) = scope.concurrent() {
                let over = (scope.taken(self.now) + ahead[0] + 1).saturating_sub(most);
                longest = longest.max(over.saturating_mul(service) / most);
            }
            let block = scope.blocks(need, self.now);
            if let Some(Block { kind, until: Until::Release(opens), .. }) = block {
                // When one of its tickets ends: about a request's time.
                longest = longest.max(service).max(1);
                let needs = [&need.day(), &need.day_prior()];
                let by_jobs = (kind != CONCURRENT)
                    .then(|| self.held_by_jobs(payer, needs, need.lists, need.is_background, opens))
                    .flatten();
                if let Some(frees) = by_jobs {
                    longest = longest.max(frees);
                    if payer != ScopeId::Deployment {
                        reason = Reason::BudgetSpent;
                    }
                }
            }
            if longest > wait {
                wait = longest;
                let unknown = Block { kind: RATES[0], until: Until::Refill(longest), list: 0 };
                let block = block.unwrap_or(unknown);
                refusal = self.refusal(payer, &block, reason, Some(longest));
            }
        }
        let later = if told > 0 { told / LATER + LATER_MS } else { 0 };
        let patience = asker.deadline.saturating_sub(asker.queued);
        let spare = patience.saturating_sub(IMPATIENT_MS) / 2;
        let earliest = told - told / EARLY;
        let told = told.saturating_add(later).saturating_sub(spare).max(earliest);
        let told = told.min(wait.saturating_mul(4).saturating_add(UNSURE_MS));
        refusal.retry_after_ms = Some(wait.max(told).max(1));
        (wait, refusal)
    }

    /// Opens a ticket, of a request that has `generated` so much already.
    pub(crate) fn open(
        &mut self,
        asker: &mut Waiter,
        waited: Millis,
        hold: Hold,
        generated: Tokens,
    ) {
        let Waiter { attempt, class, tenant, user, line, pool, need, .. } = *asker;
        let ticket = Ticket {
            attempt,
            class,
            tenant,
            user,
            line,
            pool,
            model: std::mem::take(&mut asker.model),
            need,
            generated,
            granted: self.now,
            heard: self.now,
            renewed: self.now,
            expires: self.now + self.settings.ticket_ttl_ms,
            waited,
            hold,
            unclaimed: false,
            asked_lease: false,
            doubted: None,
        };
        self.hold(asker.name, ticket);
    }

    /// Every limit holds for a ticket what it is to hold.
    pub(crate) fn hold(&mut self, name: Name, ticket: Ticket) {
        let is_young = self.is_young();
        let now = self.now;
        for payer in self.payers(ticket.tenant, ticket.user) {
            if ticket.hold == Hold::Covered {
                self.scope_mut(payer).told(now);
            }
            self.scope_mut(payer).take(&ticket.need, ticket.hold, ticket.generated, is_young);
            self.touch(payer);
        }
        let mirror = &mut self.pools[ticket.pool].mirror;
        match ticket.hold {
            Hold::Taken => mirror.take(&ticket.need, self.now),
            Hold::Covered => mirror.resume(&ticket.part(), self.now),
            Hold::Lent => mirror.lend(&ticket.need),
        }
        self.step.touched.push(ticket.pool);
        self.tickets.insert(name, ticket);
    }

    /// Counts a grant as the turn of its tenant and end user.
    pub(crate) fn turn(&mut self, asker: &Waiter) {
        let weight = self.weight(asker.tenant);
        let state = &mut self.pools[asker.pool];
        let cost = state.mirror.cost(&asker.need);
        let has_waited = asker.queued < self.now;
        state.queue.served(asker.class, (asker.tenant, asker.line), weight, cost, has_waited);
    }

    pub(crate) fn weight(&self, tenant: usize) -> u32 {
        self.tenants[tenant].policy.as_ref().map_or(1, |policy| policy.weight)
    }
}

/// Of payers' limits in the way, the one that shuts longest.
pub(crate) fn longest(most: &mut Option<(ScopeId, Block)>, payer: ScopeId, next: Option<Block>) {
    let Some(next) = next else { return };
    if most.is_none_or(|(_, most)| next.until.outlasts(most.until)) {
        *most = Some((payer, next));
    }
}

/// Whether a policy lets a model be asked for at this priority, and by a page's visitor.
fn permitted(policy: &Tenant, model: &str, class: usize, is_public: bool) -> Result<(), Reason> {
    if !crate::policy::allows(&policy.models, model) {
        return Err(Reason::ModelNotAllowed);
    }
    if is_public {
        let publishable = policy.publishable.as_ref().filter(|of| of.visitor.is_some());
        let publishable = publishable.ok_or(Reason::KeyRevoked)?;
        if !crate::policy::allows(&publishable.models, model) {
            return Err(Reason::ModelNotAllowed);
        }
    }
    if class < class_of(policy.priority.highest) {
        return Err(Reason::PriorityNotAllowed);
    }
    Ok(())
}

pub(crate) fn class_of(priority: Priority) -> usize {
    priority as usize
}

fn refused(
    reason: Reason,
    retry_after_ms: Option<Millis>,
    limit: Option<Box<LimitView>>,
) -> Decision {
    Decision::Refused(Refusal { reason, retry_after_ms, limit })
}

/// A limit whose numbers its callers may not see.
pub(crate) fn withheld(scope: &str, kind: &str, resets_ms: Millis) -> Box<LimitView> {
    Box::new(LimitView {
        scope: scope.to_owned(),
        kind: kind.to_owned(),
        level: 0,
        capacity: 0,
        per_s: 0,
        per_minute: 0,
        resets_ms,
        held: 0,
        models: Vec::new(),
    })
}

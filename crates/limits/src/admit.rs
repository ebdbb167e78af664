//! How a request is admitted: every limit at once or none (invariant 1), or a
//! place in the queue, or a refusal that knows when.

use crate::amounts::add;
use crate::crowd::full;
use crate::gate::{Gate, PoolState, ScopeId};
use crate::map::{Name, name};
use crate::message::{
    Admit, Decision, EndUser, LimitView, Millis, Priority, Reason, Refusal, Tokens, VisitorBounds,
};
use crate::queue::line_of;
use crate::scope::{Block, Need, RATES, Until};
use crate::ticket::{Hold, Ticket, Waiter};
use crate::wait::lost_after;

/// By this part more is told of a turn behind others than is expected: then 19 of 20
/// go that come back (measured, `crates/simulator/tests/returns.rs`).
const LATER: Millis = 20;
/// What turns took of late tells at most four times what the limits do, and this.
const UNSURE_MS: Millis = 60_000;
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
    /// Decides on one admit. None: parked, its answer comes later.
    pub(crate) fn admit(
        &mut self,
        admit: &mut Admit,
        tenant: Option<usize>,
        bounds: Option<&VisitorBounds>,
        may_park: bool,
    ) -> Option<Decision> {
        let (name, attempt) = (name(&admit.ticket), admit.attempt);
        if admit.running.is_some()
            && let Some(decision) = self.known(name, admit)
        {
            // What runs is accounted for, whatever became of its key since.
            return Some(decision);
        }
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
        let user = match self.user(tenant, admit.user.as_deref()) {
            Ok(user) => user,
            Err(retry) => return Some(refused(Reason::UserLimit, Some(retry), None)),
        };
        let token = match self.bound(user, bounds) {
            Ok(token) => token,
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
        let need = self.need(admit, pool);
        let mut asker = Waiter {
            attempt,
            class: class_of(admit.priority),
            // It went before those of the same moment that still wait.
            asked: admit.asked_ms.saturating_sub(u64::from(attempt > 0)),
            bytes: admit.bytes,
            size: [admit.bytes, admit.input_tokens, admit.max_tokens],
            is_back: attempt > 0,
            tenant,
            user,
            line: line_of(user, admit.user.as_deref()),
            pool,
            need: Need { job, lists: need.lists | token, ..need },
            queued: self.now,
            expected: self.now,
            deadline: self.deadline(admit.patience_ms),
            lost: self.now + lost_after(admit.patience_ms),
            parked: false,
            name,
            id: std::mem::take(&mut admit.ticket),
        };
        if let Some(progress) = admit.running {
            // Runs already: a restart forgot it.
            self.free_waiter(name);
            self.cover_draw(job);
            let generated = progress.output_tokens.min(asker.need.output_max);
            self.open(&asker, 0, Hold::Covered, generated);
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
    fn entitled(&self, tenant: Option<usize>, admit: &Admit) -> Result<usize, Reason> {
        let index = self.bearer(tenant, &admit.key)?;
        let policy = self.tenants[index].policy.as_ref().ok_or(Reason::UnknownTenant)?;
        let ids = [&admit.ticket, &admit.model, &admit.pool.account, &admit.pool.class];
        if ids.into_iter().chain([&admit.pool.speed]).any(|id| id.len() > ID_MAX) {
            return Err(Reason::ModelNotAllowed);
        }
        if !crate::policy::allows(&policy.models, &admit.model) {
            return Err(Reason::ModelNotAllowed);
        }
        if admit.user.as_deref().is_some_and(|user| EndUser::of(user).is_public()) {
            // The isolate's copy of the policy may be older.
            let publishable = policy.publishable.as_ref().filter(|of| of.visitor.is_some());
            let publishable = publishable.ok_or(Reason::KeyRevoked)?;
            if !crate::policy::allows(&publishable.models, &admit.model) {
                return Err(Reason::ModelNotAllowed);
            }
        }
        if admit.priority < policy.priority.highest {
            return Err(Reason::PriorityNotAllowed);
        }
        Ok(index)
    }

    /// The answer to an attempt that was met before: admit is idempotent.
    fn known(&mut self, name: Name, admit: &Admit) -> Option<Decision> {
        let attempt = admit.attempt;
        if let Some(ticket) = self.tickets.get_mut(name, attempt) {
            ticket.unclaimed = false;
            let waited_ms = ticket.waited;
            let generated = admit.running.map_or(0, |progress| progress.output_tokens);
            self.renew(name, attempt, generated);
            return Some(Decision::Granted { waited_ms });
        }
        // Over: whoever still asks gets the answer it was given, and nothing.
        self.over.contains(name, attempt).then_some(Decision::Granted { waited_ms: 0 })
    }

    /// What a request needs, by what was learned.
    fn need(&self, admit: &Admit, pool: usize) -> Need {
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
        let output = self.lengths.output(tenant, model, admit.max_tokens);
        let running = &self.pools[pool].mirror.running;
        let output = running.unbiased(output, self.now).min(admit.max_tokens.max(1));
        Need {
            input,
            input_least: input.min(estimate),
            input_max: input_total.max(estimate),
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
        let Waiter { name, class, tenant, user, pool, need, attempt, .. } = asker;
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
            if let Some(refusal) = self.beyond_job(job, &need.day(), usual) {
                return Some(Decision::Refused(refusal));
            }
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
                self.open(&asker, 0, Hold::Taken, 0);
                return Some(Decision::Granted { waited_ms: 0 });
            }
            Some(obstacle) => {
                if let Some(refusal) = self.shut(obstacle) {
                    return Some(Decision::Refused(refusal));
                }
            }
            None => {}
        }
        let (wait, refusal) = self.expect(&asker);
        // A provider refusal puts a request back, whatever is expected
        // (invariant 4), a job's waits as long as it can, and so does one that came
        // when it was told to; their deadlines hold.
        let stays = need.job.is_some() || asker.is_back;
        if wait > patience && (!stays || patience == 0) {
            self.keep_for(&asker, &refusal);
            return Some(Decision::Refused(refusal));
        }
        if !self.make_room(&asker) {
            let refusal = full(wait);
            self.keep_for(&asker, &refusal);
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

    /// The first thing in the way, if any. Takes nothing. Payers and pool were
    /// brought to now.
    pub(crate) fn obstacle(&self, asker: &Waiter, stands: Stands) -> Option<Obstacle> {
        let Waiter { tenant, user, pool, ref need, class, is_back, .. } = *asker;
        let state = &self.pools[pool];
        if self.stopped.get(&state.pool.account).is_some_and(|until| **until > self.now) {
            return Some(Obstacle::Stopped);
        }
        for payer in self.payers(tenant, user) {
            if let Some(block) = self.scope(payer).blocks(need, self.now) {
                return Some(Obstacle::Scope(payer, block));
            }
        }
        let mut room = match stands {
            Stands::Aged => [0; 3],
            Stands::Waits | Stands::Comes => state.mirror.room(class, self.now),
        };
        if stands == Stands::Comes && !is_back {
            add(&mut room, &state.queue.soon(&asker.spot(0)));
        }
        let wait = state.mirror.wait_ms(need, &room, self.now);
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
        let view =
            |views: Vec<LimitView>| views.into_iter().find(|view| view.kind == kind).map(Box::new);
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
    /// longest of the pool's, the tenant's and the end user's.
    pub(crate) fn expect(&self, asker: &Waiter) -> (Millis, Refusal) {
        let Waiter { tenant, user, pool, ref need, class, is_back, .. } = *asker;
        let (spot, weight) = (asker.spot(0), self.weight(tenant));
        let PoolState { queue, mirror, .. } = &self.pools[pool];
        let mut ahead = queue.ahead(&spot, weight, is_back);
        if !is_back {
            add(&mut ahead, &queue.soon(&spot));
        }
        let (mut wait, kind) = mirror.wait_behind(need, &ahead, class, self.now);
        let mut refusal = Refusal {
            reason: Reason::ProviderLimit,
            retry_after_ms: None,
            limit: Some(withheld("account", kind, wait)),
        };
        // Others of its priority ask on. Who has patience is not refused for that.
        let told = queue.turn_in(&spot, weight, is_back, |needs| mirror.cost_of(needs));
        let [of_tenant, of_line] = queue.ahead_within(&spot, is_back);
        let service = mirror.running.service_ms(need.output);
        for payer in self.payers(tenant, user).skip(1) {
            let (scope, reason) = match payer {
                ScopeId::User(index) => (&self.users[index].scope, Reason::UserLimit),
                ScopeId::Tenant(index) => (&self.tenants[index].scope, Reason::TenantLimit),
                ScopeId::Public(index) => (&self.tenants[index].public, Reason::BudgetSpent),
                ScopeId::Deployment => continue,
            };
            let ahead = match payer {
                ScopeId::Tenant(_) => of_tenant,
                ScopeId::User(_) => of_line,
                // Who of the other visitors goes before is not counted.
                ScopeId::Public(_) | ScopeId::Deployment => [0; 3],
            };
            let mut longest = scope.wait_ms(need, &ahead);
            if let Some(most) = scope.concurrent() {
                let over = (scope.open + ahead[0] + 1).saturating_sub(most);
                longest = longest.max(over.saturating_mul(service) / most);
            }
            let block = scope.blocks(need, self.now);
            if block.is_some_and(|block| matches!(block.until, Until::Release(_))) {
                // When one of its tickets ends: about a request's time.
                longest = longest.max(service).max(1);
            }
            if longest > wait {
                wait = longest;
                let unknown = Block { kind: RATES[0], until: Until::Refill(longest), list: 0 };
                refusal = self.refusal(payer, &block.unwrap_or(unknown), reason, None);
            }
        }
        let told =
            told.saturating_add(told / LATER).min(wait.saturating_mul(4).saturating_add(UNSURE_MS));
        refusal.retry_after_ms = Some(wait.max(told).max(1));
        (wait, refusal)
    }

    /// Opens a ticket, of a request that has `generated` so much already.
    pub(crate) fn open(&mut self, asker: &Waiter, waited: Millis, hold: Hold, generated: Tokens) {
        let Waiter { attempt, class, tenant, user, line, pool, need, .. } = *asker;
        let ticket = Ticket {
            attempt,
            class,
            tenant,
            user,
            line,
            pool,
            need,
            generated,
            granted: self.now,
            heard: self.now,
            renewed: self.now,
            expires: self.now + self.settings.ticket_ttl_ms,
            waited,
            hold,
            unclaimed: false,
            has_lease: false,
            observed: false,
            doubted: None,
        };
        self.hold(asker.name, ticket);
    }

    /// Every limit holds for a ticket what it is to hold.
    pub(crate) fn hold(&mut self, name: Name, ticket: Ticket) {
        let is_young = self.is_young();
        for payer in self.payers(ticket.tenant, ticket.user) {
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

//! The Gate: one machine that holds every limit and the queue.
//!
//! [`Gate::handle`] decides and returns what the shell must do: store the
//! writes atomically *before* anything else leaves, then send the reply and the
//! answers, then set its one timer. Called from the Durable Object
//! (`edge/src/objects/gate.rs`) and the simulator. How a request is admitted is
//! in `admit`, how it ends in `settle`, what operators do in `manage`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::admin::{AdminInput, AdminReply, Key};
use crate::amounts::Three;
use crate::budgets::{Known, Reached};
use crate::calibrations::Calibrations;
use crate::crowd::Crowd;
use crate::jobs::{JobInput, JobReply, Jobs};
use crate::lend::Wish;
use crate::lengths::Lengths;
use crate::map::{ByName, Map, Name};
use crate::message::{
    Call, Decision, Event, Millis, Pool, Reply, TicketId, Tokens, VERSION, View, VisitorBounds,
};
use crate::mirror::Mirror;
use crate::policy::{RateLimits, Tenant};
use crate::queue::{Line, Queue};
use crate::reads::Reads;
use crate::scope::Scope;
use crate::settings::{AccountSettings, GateSettings};
use crate::ticket::{Over, Tickets, Waiter};
use crate::window::Zone;

/// Pools remembered. A dozen model classes, two speeds, some accounts: far
/// below; beyond, an idle one is forgotten.
pub(crate) const POOLS_MAX: usize = 256;
/// End users remembered, about 400 bytes each, shared among tenants. Beyond,
/// idle ones without spend today are forgotten.
pub(crate) const USERS_MAX: usize = 50_000;
/// With no call for this long the Gate is quiet: ceilings are written exactly,
/// because the platform may end it any time after 10 s (platform docs, 2026-11).
const QUIET_MS: Millis = 5_000;

/// What the shell hands in.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// A call that is answered at once.
    Call(Call),
    /// The same call again for a queued request: decided at once, or parked and
    /// answered later through [`Output::answers`].
    Poll(Call),
    /// A parked call's slice is over: answered `Queued` through
    /// [`Output::answers`], unless it was answered before.
    Release {
        /// Whose call.
        ticket: TicketId,
    },
    /// The timer rang, or the alarm.
    Wake,
    /// What one caller may still use.
    View {
        /// The caller's tenant.
        tenant: String,
        /// Its end user.
        user: Option<String>,
        /// Whether the key may see the accounts' own levels.
        account_scope: bool,
        /// What its visitor token allows.
        visitor: Option<VisitorBounds>,
    },
    /// A tenant's server asks about its jobs.
    Job {
        /// Whose.
        tenant: String,
        /// The key's id, checked against those that live.
        key: String,
        /// What is asked.
        input: JobInput,
    },
    /// An operator's request.
    Admin(AdminInput),
}

/// What the shell must do, in this order: writes, then reply and answers, then
/// the timer.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    /// The answer to this input.
    pub reply: Answer,
    /// Answers to parked calls.
    pub answers: Vec<(TicketId, Reply)>,
    /// Rows to store, all or none, before anything else leaves.
    pub writes: Vec<Write>,
    /// When to send [`Input::Wake`]; replaces the time told before.
    pub wake_at: Option<Millis>,
    /// Budgets of which a part was used that their owners want to hear of, by
    /// scope: `deployment`, `tenant/NAME`, `publishable/NAME`. Of end users none is told.
    pub reached: Vec<(String, Reached)>,
}

/// The answer to one input.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// To a call, or a poll that could be decided.
    Reply(Reply),
    /// The poll is parked: its answer comes later.
    Parked,
    /// To a view.
    View(View),
    /// To a job's owner.
    Job(JobReply),
    /// To an operator.
    Admin(AdminReply),
    /// To a release or wake: nothing.
    None,
}

impl Answer {
    fn reply_mut(&mut self) -> Option<&mut Reply> {
        if let Self::Reply(reply) = self { Some(reply) } else { None }
    }
}

/// One row to store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// Its key: at most 512 bytes.
    pub key: String,
    /// Its value; none: delete the row.
    pub value: Option<String>,
}

/// The machine.
#[derive(Clone, Debug)]
pub struct Gate {
    pub(crate) settings: GateSettings,
    pub(crate) now: Millis,
    pub(crate) started: Millis,
    /// Grows with every change of a tenant or key.
    pub(crate) version: u64,
    pub(crate) deployment: Scope,
    pub(crate) known: Known,
    pub(crate) tenants: Vec<TenantState>,
    pub(crate) tenant_index: Map<String, usize>,
    pub(crate) users: Vec<UserState>,
    pub(crate) user_index: Map<String, usize>,
    pub(crate) users_hand: usize,
    pub(crate) pools: Vec<PoolState>,
    pub(crate) pool_index: Map<Pool, usize>,
    /// Accounts that a spend cap stopped, and until when.
    pub(crate) stopped: ByName<Millis>,
    pub(crate) jobs: Jobs,
    pub(crate) lengths: Lengths,
    pub(crate) calibrations: Calibrations,
    /// When what was learned was last written.
    pub(crate) learned_at: Millis,
    pub(crate) reads: Reads,
    pub(crate) tickets: Tickets,
    pub(crate) over: Over,
    /// Attempts that were refused here.
    pub(crate) refused: Over,
    /// Provider refusals that were learned from.
    pub(crate) refusals: Over,
    pub(crate) waiting: Map<u64, Waiter>,
    pub(crate) waiting_ids: Map<Name, u64>,
    /// When to look at a waiter: (time, number).
    pub(crate) timers: BTreeSet<(Millis, u64)>,
    /// What those who wait hold of the queue: places, bytes, tokens.
    pub(crate) waiting_held: Three,
    /// The same by flow, while the queue is about full.
    pub(crate) crowd: Option<Crowd>,
    pub(crate) numbers: u64,
    /// Stored rows whose owner was not met since the start.
    pub(crate) saved: BTreeMap<String, String>,
    /// Requests that the provider found larger than was reserved, and what they need at
    /// least.
    pub(crate) larger: Map<Name, Tokens>,
    pub(crate) step: Step,
    /// Scopes whose stored ceiling lies above what they use.
    pub(crate) loose: Vec<ScopeId>,
    pub(crate) active_at: Millis,
    /// Calls since the start.
    pub(crate) calls: u64,
}

/// What one step touched and gives out.
#[derive(Clone, Debug, Default)]
pub(crate) struct Step {
    pub(crate) answers: Vec<(TicketId, Reply)>,
    pub(crate) writes: Vec<Write>,
    /// Scopes whose books changed.
    pub(crate) scopes: Vec<ScopeId>,
    /// Pools whose queues may move.
    pub(crate) pools: Vec<usize>,
    /// Pools whose levels changed.
    pub(crate) touched: Vec<usize>,
    pub(crate) reached: Vec<(String, Reached)>,
}

/// One payer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ScopeId {
    Deployment,
    Tenant(usize),
    /// All visitors of a tenant's pages together.
    Public(usize),
    User(usize),
}

#[derive(Clone, Debug)]
pub(crate) struct TenantState {
    pub(crate) name: String,
    /// None: removed, while its open tickets end.
    pub(crate) policy: Option<Tenant>,
    pub(crate) version: u64,
    pub(crate) scope: Scope,
    /// The day's budget of all visitors of its pages.
    pub(crate) public: Scope,
    /// False until its limits and what was stored of it are in the scopes.
    pub(crate) configured: bool,
    pub(crate) keys: ByName<Key>,
    pub(crate) waiting: usize,
    /// How many of its end users are remembered,
    pub(crate) users: usize,
    /// and how many of those are visitors by their address alone.
    pub(crate) addresses: usize,
}

#[derive(Clone, Debug)]
pub(crate) struct UserState {
    pub(crate) tenant: usize,
    /// Whether it is a visitor: with what limits, and who pays beside it.
    pub(crate) is_public: bool,
    /// Whether it is one by its address alone.
    pub(crate) is_address: bool,
    /// Its row's key.
    pub(crate) key: String,
    pub(crate) version: u64,
    pub(crate) scope: Scope,
    pub(crate) touched: Millis,
    pub(crate) waiting: usize,
    /// Its line in queues: its index is another user's later.
    pub(crate) line: Line,
}

#[derive(Clone, Debug)]
pub(crate) struct PoolState {
    pub(crate) pool: Pool,
    pub(crate) mirror: Mirror,
    pub(crate) queue: Queue,
    /// When the first in line fits, unless something happens before.
    pub(crate) retry_at: Option<Millis>,
    pub(crate) touched: Millis,
}

impl PoolState {
    /// Time goes on for those who wait: before any of them comes or goes.
    pub(crate) fn tick(&mut self, now: Millis) {
        self.queue.tick(now, self.mirror.held_until);
    }
}

impl Gate {
    /// An empty Gate. Rows of an earlier one are given to [`Gate::restore`]
    /// before the first [`Gate::handle`].
    pub fn new(settings: GateSettings, now: Millis) -> Self {
        let mut deployment = Scope::new(None, now, now);
        let mut known = Known::default();
        known.learn(&settings.budgets);
        deployment.configure(&RateLimits::default(), &settings.budgets, None, &known, now);
        Self {
            settings,
            now,
            started: now,
            version: 0,
            deployment,
            known,
            tenants: Vec::new(),
            tenant_index: Map::default(),
            users: Vec::new(),
            user_index: Map::default(),
            users_hand: 0,
            pools: Vec::new(),
            pool_index: Map::default(),
            stopped: ByName::new(),
            jobs: Jobs::default(),
            lengths: Lengths::default(),
            calibrations: Calibrations::default(),
            learned_at: 0,
            reads: Reads::default(),
            tickets: Tickets::default(),
            over: Over::default(),
            refused: Over::default(),
            refusals: Over::default(),
            waiting: Map::default(),
            waiting_ids: Map::default(),
            timers: BTreeSet::new(),
            waiting_held: [0; 3],
            crowd: None,
            numbers: 0,
            saved: BTreeMap::new(),
            larger: Map::default(),
            step: Step::default(),
            loose: Vec::new(),
            active_at: 0,
            calls: 0,
        }
    }

    /// Decides. `now` in ms since the epoch; a clock that steps back stands
    /// still. Never fails: a wrong input is answered with a refusal.
    pub fn handle(&mut self, now: Millis, mut input: Input) -> Output {
        self.now = self.now.max(now);
        let mut reply = match input {
            Input::Call(ref mut call) => {
                Answer::Reply(self.call(call, false).unwrap_or_else(reply))
            }
            Input::Poll(ref mut call) => {
                self.call(call, true).map_or(Answer::Parked, Answer::Reply)
            }
            Input::Release { ticket } => {
                self.release(&ticket);
                Answer::None
            }
            Input::Wake => {
                self.wake_all();
                Answer::None
            }
            Input::View { tenant, user, account_scope, visitor } => {
                Answer::View(self.view(&tenant, user.as_deref(), account_scope, visitor))
            }
            Input::Job { tenant, key, input } => {
                self.active_at = self.now;
                Answer::Job(self.job(&tenant, &key, input))
            }
            Input::Admin(input) => Answer::Admin(self.manage(input)),
        };
        self.expire();
        self.serve();
        self.flush();
        let wake_at = self.wake_at();
        let Step { answers, writes, reached, .. } = &mut self.step;
        let (mut answers, writes) = (std::mem::take(answers), std::mem::take(writes));
        let replies = answers.iter_mut().map(|(_, reply)| reply);
        for reply in replies.chain(reply.reply_mut()) {
            reply.started_ms = self.started;
        }
        Output { reply, answers, writes, wake_at, reached: std::mem::take(reached) }
    }

    /// A call's events, then its admit. None: parked.
    fn call(&mut self, call: &mut Call, may_park: bool) -> Option<Reply> {
        self.active_at = self.now;
        self.calls += 1;
        for event in &call.events {
            match event {
                Event::Settled(settle) => self.settle(settle),
                Event::Observed(observation) => self.observe(observation),
                Event::Cancelled { ticket, attempt } => self.cancel(ticket, *attempt),
                Event::Returned { lease, from } => self.take_back(lease, *from),
            }
        }
        let Some(admit) = &mut call.admit else { return Some(reply()) };
        let tenant = self.tenant_index.get(&admit.tenant).copied();
        if !call.events.is_empty() {
            // What the events freed goes to those who wait before a newcomer.
            self.serve();
        }
        let wish = (call.lend > 0 && admit.job.is_none()).then(|| Wish::of(admit, call.lend));
        let decision = self.admit(admit, tenant, call.visitor.as_ref(), may_park)?;
        let granted = decision == Decision::Granted { waited_ms: 0 };
        let lease = wish.filter(|_| granted).and_then(|wish| self.lend(wish));
        let is_news = call.policy_version != Some(self.version_of(tenant));
        let policy = is_news.then(|| Box::new(self.policy_view(tenant)));
        Some(Reply { decision: Some(decision), policy, lease, ..reply() })
    }

    /// When time alone changes something.
    fn wake_at(&self) -> Option<Millis> {
        let mut first = Millis::MAX;
        let mut due = |at: Option<Millis>| first = first.min(at.unwrap_or(Millis::MAX));
        for PoolState { queue, retry_at, .. } in &self.pools {
            if queue.len > 0 {
                due(*retry_at);
                due(queue.wakes_at());
            }
        }
        due(self.timers.first().map(|(at, _)| *at));
        // Expiry is coarse: nobody waits for it to the second.
        let coarse = |at: Millis| at.div_ceil(10_000) * 10_000;
        let Tickets { doubts, expiries, leases, unclaimed, .. } = &self.tickets;
        due(doubts.front().map(|(at, ..)| coarse(*at)));
        due(expiries.front().map(|(at, ..)| coarse(*at)));
        due(leases.front().map(|(at, ..)| coarse(*at)));
        due(unclaimed.first().map(|(at, ..)| *at));
        due((!self.loose.is_empty()).then_some(self.active_at + QUIET_MS));
        due(self.jobs.ends_at());
        (first < Millis::MAX).then_some(first.max(self.now + 1))
    }

    /// The timer rang: pools whose time has come are served.
    fn wake_all(&mut self) {
        let waiting = (0..self.pools.len()).filter(|index| self.pools[*index].queue.len > 0);
        self.step.pools.extend(waiting);
        if self.now >= self.active_at + QUIET_MS {
            self.tighten();
        }
    }

    /// Time zones of budgets whose offsets are not known for `ms` more: the shell
    /// tells them by [`Gate::set_zone`], after the rows and again when time passes.
    pub fn zones_wanted(&self, ms: Millis) -> Vec<String> {
        let until = self.now.saturating_add(ms);
        let policies = self.tenants.iter().filter_map(|state| state.policy.as_ref());
        let budgets = policies.flat_map(Tenant::budget_lists).flat_map(|(_, budgets)| budgets);
        let zones = budgets.chain(&self.settings.budgets).filter_map(|budget| budget.zone.clone());
        let mut wanted = BTreeSet::new();
        wanted.extend(zones.filter(|zone| {
            zone != "UTC" && self.known.zones.get(zone).is_none_or(|known| known.1 < until)
        }));
        wanted.into_iter().collect()
    }

    /// The offsets of a time zone, known until `until`.
    pub fn set_zone(&mut self, name: &str, zone: Zone, until: Millis) {
        let zone = Arc::new(zone);
        self.known.zones.insert(name.to_owned(), Box::new((zone.clone(), until)));
        let now = self.now;
        let tell = |scope: &mut Scope| scope.budgets.rezone(name, &zone, now);
        tell(&mut self.deployment);
        for state in &mut self.tenants {
            tell(&mut state.scope);
            tell(&mut state.public);
        }
        self.users.iter_mut().for_each(|user| tell(&mut user.scope));
    }

    /// A scope's books change in this step, and are looked at at its end.
    pub(crate) fn touch(&mut self, id: ScopeId) {
        if !std::mem::replace(&mut self.scope_mut(id).is_touched, true) {
            self.step.scopes.push(id);
        }
    }

    /// Its stored ceiling may lie above what it uses.
    pub(crate) fn loosen(&mut self, id: ScopeId) {
        if !std::mem::replace(&mut self.scope_mut(id).is_loose, true) {
            self.loose.push(id);
        }
    }

    pub(crate) fn scope_mut(&mut self, id: ScopeId) -> &mut Scope {
        match id {
            ScopeId::Deployment => &mut self.deployment,
            ScopeId::Tenant(index) => &mut self.tenants[index].scope,
            ScopeId::Public(index) => &mut self.tenants[index].public,
            ScopeId::User(index) => &mut self.users[index].scope,
        }
    }

    pub(crate) fn scope(&self, id: ScopeId) -> &Scope {
        match id {
            ScopeId::Deployment => &self.deployment,
            ScopeId::Tenant(index) => &self.tenants[index].scope,
            ScopeId::Public(index) => &self.tenants[index].public,
            ScopeId::User(index) => &self.users[index].scope,
        }
    }

    /// The payers of a request: deployment, tenant, end user; of a visitor's also
    /// all visitors together.
    pub(crate) fn payers(
        &self,
        tenant: usize,
        user: Option<usize>,
    ) -> impl Iterator<Item = ScopeId> + use<> {
        let (all, of_tenant) = (ScopeId::Deployment, ScopeId::Tenant(tenant));
        let (payers, count) = match user {
            None => ([all, of_tenant, all, all], 2),
            Some(user) if !self.users[user].is_public => {
                ([all, of_tenant, ScopeId::User(user), all], 3)
            }
            Some(user) => ([all, of_tenant, ScopeId::Public(tenant), ScopeId::User(user)], 4),
        };
        payers.into_iter().take(count)
    }

    /// The pool's state, made when it is first met.
    pub(crate) fn pool(&mut self, pool: &Pool) -> usize {
        if let Some(index) = self.pool_index.get(pool) {
            self.pools[*index].touched = self.now;
            return *index;
        }
        let default = AccountSettings::default();
        let account = self.settings.accounts.get(&pool.account).map_or(&default, |known| known);
        let mut mirror = Mirror::new(account, &pool.class, self.now);
        if let Some(row) = self.saved.remove(&pool_key(pool))
            && let Ok(saved) = json::from_str(&row)
        {
            mirror.restore(&saved, self.started, self.now);
        }
        let state = PoolState {
            pool: pool.clone(),
            mirror,
            queue: Queue::default(),
            retry_at: None,
            touched: self.now,
        };
        let idle = |pool: &&PoolState| pool.queue.len == 0 && pool.mirror.is_idle();
        // Rather one to which nobody is to come back.
        let by_use = |pool: &&PoolState| (pool.queue.is_kept(self.now), pool.touched);
        let oldest = || self.pools.iter().filter(idle).min_by_key(by_use);
        let index = match (self.pools.len() >= POOLS_MAX).then(oldest).flatten() {
            Some(oldest) => {
                let index = self.pool_index[&oldest.pool];
                let key = pool_key(&oldest.pool);
                self.pool_index.remove(&self.pools[index].pool);
                self.step.writes.push(Write { key, value: None });
                self.pools[index] = state;
                index
            }
            None => {
                self.pools.push(state);
                self.pools.len() - 1
            }
        };
        self.pool_index.insert(pool.clone(), index);
        index
    }
}

/// The row's key of a pool.
pub(crate) fn pool_key(pool: &Pool) -> String {
    format!("pool/{}/{}/{}", pool.account, pool.class, pool.speed)
}

/// A reply without a decision.
pub(crate) fn reply() -> Reply {
    Reply { v: VERSION, decision: None, policy: None, lease: None, started_ms: 0 }
}

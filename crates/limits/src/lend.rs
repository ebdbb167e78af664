//! Leases, at the Gate: tickets lent to an isolate for seconds, far from every
//! limit, so that it need not ask for each request.
//!
//! A lease is nothing but tickets opened before their requests come: each is
//! settled, renewed or expires like any other, and what is not used is returned.
//! The isolate's half is [`crate::borrow`].

use crate::amounts::{Three, signed};
use crate::bucket::{Bucket, TokenBucket};
use crate::gate::Gate;
use crate::map::{Name, name};
use crate::message::{Admit, Lease, MicroUsd, Millis, TicketId, Tokens, Used, lent_ticket};
use crate::mirror::Mirror;
use crate::scope::Need;
use crate::settle::Usage;
use crate::ticket::{DOUBT_MS, Hold, Ticket};

/// How long an isolate draws on a lease: as long as a revoked key or a lowered
/// limit may go unnoticed by it.
const TTL_MS: Millis = 2_000;
/// Tickets a lease. The call that brings one costs some 30 times what lending and
/// settling a ticket do, so more would gain little, and strand more.
pub(crate) const MOST: u32 = 64;
/// Fewer are not worth it.
pub(crate) const FEWEST: u32 = 4;
/// A ticket is good for requests up to so many times the size of the one that it
/// was lent with: sizes vary, and what does not fit asks.
const LARGER: u64 = 2;
/// A lease takes no more than this part of a bucket: other isolates ask, too.
const PART_OF_BUCKET: u64 = 8;
/// A budget of which less than this part is left lends nothing: its end is in sight.
const BUDGET_END: u64 = 10;
/// A lease holds no more than this part of what a budget has left, since it holds
/// the worst case of each ticket.
const PART_OF_BUDGET: u64 = 16;

/// The most of a bucket that is out on loan at one time: half is for who asks.
fn lent_max<const UNIT: i64>(bucket: &TokenBucket<UNIT>) -> i64 {
    signed(bucket.capacity() / 2)
}

/// How many requests of `each` tokens a bucket can lend while `owed` of its level
/// is promised.
pub(crate) fn of_bucket<const UNIT: i64>(bucket: &TokenBucket<UNIT>, each: u64, owed: i64) -> u64 {
    let spare = bucket.level().saturating_sub(owed).saturating_sub(lent_max(bucket));
    u64::try_from(spare).unwrap_or(0).min(bucket.capacity() / PART_OF_BUCKET) / each.max(1)
}

/// How many requests of `each` a budget can lend of which `left` is left.
pub(crate) fn of_budget(limit: u64, left: i64, each: u64) -> u64 {
    let left = u64::try_from(left).unwrap_or(0);
    if left < limit / BUDGET_END { 0 } else { left / PART_OF_BUDGET / each.max(1) }
}

/// What a call would like to be lent: tickets like the one it asks for.
pub(crate) struct Wish {
    id: TicketId,
    tickets: u32,
    input_tokens: Tokens,
    max_tokens: Tokens,
    microusd_max: MicroUsd,
    is_cached: bool,
}

impl Wish {
    pub(crate) fn of(admit: &Admit, tickets: u32) -> Self {
        Self {
            id: admit.ticket.clone(),
            tickets: tickets.min(MOST),
            input_tokens: admit.input_tokens.saturating_mul(LARGER),
            max_tokens: admit.max_tokens,
            microusd_max: admit.microusd_max.saturating_mul(LARGER),
            is_cached: admit.cached.is_some(),
        }
    }

    fn lease(self, tickets: u32) -> Lease {
        let Self { id, input_tokens, max_tokens, microusd_max, .. } = self;
        Lease { id, tickets, input_tokens, max_tokens, microusd_max, ttl_ms: TTL_MS }
    }
}

impl Gate {
    /// Lends tickets beside the one just granted. None where a limit is near,
    /// somebody waits, or the request names an end user, whose limits are its own.
    pub(crate) fn lend(&mut self, wish: Wish) -> Option<Lease> {
        let Wish { tickets, input_tokens, microusd_max, is_cached, .. } = wish;
        let id = wish.id.clone();
        let like = self.tickets.open.get_mut(&name(&id))?;
        if std::mem::replace(&mut like.asked_lease, true) {
            // The same admit again: whichever reply is read, the isolate has one lease.
            let mut lent = self.tickets.leases.iter().filter(|(_, of, _)| *of == id);
            let tickets = lent.next()?.2;
            let is_unused = self.is_lent(name(&lent_ticket(&id, 0)));
            return is_unused.then(|| wish.lease(tickets));
        }
        let is_plain = like.user.is_none()
            && like.need.job.is_none()
            && like.attempt == 0
            && like.hold == Hold::Taken;
        if !self.settings.leases || !is_plain {
            return None;
        }
        let (tenant, pool) = (like.tenant, like.pool);
        let queue = &self.pools[pool].queue;
        let is_awaited = queue.awaits(self.now.saturating_add(TTL_MS));
        if queue.len > 0 || is_awaited || self.tenants[tenant].waiting > 0 {
            return None;
        }
        // Whether the prompts to come are in the provider's cache is not known.
        let input = if is_cached { like.need.input_max } else { like.need.input };
        let need = Need {
            input: input.saturating_mul(LARGER),
            input_max: like.need.input_max.saturating_mul(LARGER),
            input_prior: input_tokens,
            microusd_max,
            ..like.need
        };
        let like = Ticket { need, hold: Hold::Lent, ..like.clone() };
        let scopes =
            self.payers(tenant, None).map(|payer| self.scope(payer).lendable(&need, self.now));
        let most = scopes.min()?.min(self.pools[pool].mirror.lendable(&need, self.now));
        let tickets = tickets.min(u32::try_from(most).unwrap_or(MOST));
        if tickets < FEWEST {
            return None;
        }
        for number in 0..tickets {
            self.hold(name(&lent_ticket(&id, number)), like.clone());
        }
        self.tickets.leases.push_back((self.now + DOUBT_MS, id, tickets));
        Some(wish.lease(tickets))
    }

    /// Lent tickets come back, from a number on. A second time, nothing changes.
    pub(crate) fn take_back(&mut self, lease: &str, from: u32) {
        for number in from..MOST {
            let id = name(&lent_ticket(lease, number));
            let lent = self.is_lent(id);
            let Some(ticket) = lent.then(|| self.tickets.remove(id, 0)).flatten() else { return };
            self.close(id, &ticket, &Usage::of(&Used::Nothing), None);
        }
    }

    /// Lent tickets that were neither settled, told of nor returned for long:
    /// their isolate is gone, and what it did with them unknown.
    pub(crate) fn expire_leases(&mut self) {
        while self.tickets.leases.front().is_some_and(|(due, ..)| *due <= self.now) {
            let Some((_, lease, tickets)) = self.tickets.leases.pop_front() else { break };
            for number in 0..tickets {
                let id = name(&lent_ticket(&lease, number));
                if self.is_lent(id)
                    && let Some(ticket) = self.tickets.remove(id, 0)
                {
                    self.close(id, &ticket, &Usage::most(&ticket.need), None);
                }
            }
        }
    }

    fn is_lent(&self, id: Name) -> bool {
        self.tickets.open.get(&id).is_some_and(|ticket| ticket.hold == Hold::Lent)
    }

    /// A lent ticket is told of while its request runs: from now on it is a
    /// ticket like any other. False where it is one already.
    pub(crate) fn claim(&mut self, id: Name, attempt: u32) -> bool {
        let now = self.now;
        let Some(ticket) = self.tickets.get_mut(id, attempt) else { return false };
        if ticket.hold != Hold::Lent {
            return false;
        }
        ticket.hold = Hold::Taken;
        (ticket.heard, ticket.renewed) = (now, now);
        ticket.expires = now + self.settings.ticket_ttl_ms;
        let (tenant, pool, need) = (ticket.tenant, ticket.pool, ticket.need);
        self.tickets.watch(id, attempt);
        for payer in self.payers(tenant, None) {
            self.scope_mut(payer).claim(&need);
            self.touch(payer);
        }
        let mirror = &mut self.pools[pool].mirror;
        mirror.unlend(&need);
        mirror.take(&need, now);
        self.step.touched.push(pool);
        true
    }
}

impl Mirror {
    /// Lent tickets.
    pub(crate) fn lent(&self) -> u64 {
        self.lent[0].max(0) as u64
    }

    /// What lent tickets hold of a bucket. Half of it is the most that is lent; there
    /// are more where the limit fell since. Those were mostly used before, and must
    /// not shut everyone out until the last of them is settled.
    pub(crate) fn held_lent<const UNIT: i64>(
        &self,
        kind: usize,
        bucket: &TokenBucket<UNIT>,
    ) -> i64 {
        self.lent[kind].min(lent_max(bucket))
    }

    /// How many requests like `need` can be lent while the pool stays far from
    /// each of its limits.
    pub(crate) fn lendable(&self, need: &Need, now: Millis) -> u64 {
        if self.ramp.is_some() || self.concurrent.is_some() || self.held_until > now {
            return 0;
        }
        let rates = self.rates(need);
        let owed = [0, 0, self.promised(now)];
        let each = self.buckets.iter().enumerate().map(|(kind, bucket)| {
            let owed = owed[kind].saturating_add(self.lent[kind]);
            // Unknown limits are met by the window, one request at a time.
            bucket.as_ref().map_or(0, |bucket| of_bucket(bucket, rates[kind], owed))
        });
        let second = self.second.as_ref().map(|bucket| of_bucket(bucket, 1, self.lent[0]));
        each.chain(second).min().unwrap_or(0)
    }

    /// A ticket was lent: promised, not taken, for nobody knows when it is used,
    /// and a bucket that refills until then must not promise it twice.
    pub(crate) fn lend(&mut self, need: &Need) {
        self.promise(need, 1);
    }

    /// It came back, or runs like any other from now on.
    pub(crate) fn unlend(&mut self, need: &Need) {
        self.promise(need, -1);
    }

    fn promise(&mut self, need: &Need, sign: i64) {
        let rates = self.rates(need);
        for (lent, rate) in self.lent.iter_mut().zip(rates) {
            *lent += sign * signed(rate);
        }
        debug_assert!(self.lent.iter().all(|lent| *lent >= 0), "lent = sum of the lent tickets");
    }

    /// A lent ticket's request is over: what it used is taken now.
    pub(crate) fn end_lent(
        &mut self,
        need: &Need,
        used: &Three,
        output: Option<(Tokens, Millis)>,
        now: Millis,
    ) {
        self.unlend(need);
        if used[0] == 0 {
            return;
        }
        self.history.record(now);
        for (kind, used) in used.map(signed).into_iter().enumerate().take(2) {
            // One beyond what may be lent held nothing: the larger bucket, of before
            // the limit fell, gave it.
            let lent = self.lent[kind];
            let gave = |bucket: &&mut Bucket| lent < lent_max(bucket);
            if let Some(bucket) = self.buckets[kind].as_mut().filter(gave) {
                bucket.take(used);
            }
            self.history.taken[kind] = self.history.taken[kind].saturating_add(used);
        }
        let lent = self.lent[0];
        if let Some(second) = self.second.as_mut().filter(|second| lent < lent_max(second)) {
            second.take(1);
        }
        if let Some(ramp) = &mut self.ramp {
            ramp.bucket.take(1);
        }
        let Some((output, ms)) = output else { return };
        self.take_output(signed(output));
        if output > 0 {
            self.running.learn(need.output, output, ms);
        }
    }
}

//! How a request ends: settled, cancelled, expired, and what its response
//! taught. Every attempt that was sent is settled exactly once (invariant 2).

use std::collections::BTreeSet;

use crate::amounts::{Three, less, signed};
use crate::gate::{Gate, ScopeId};
use crate::map::{Name, name};
use crate::message::{Level, Millis, Observation, Reason, Refusal, Settle, Tokens, Used};
use crate::observe::ROUNDING;
use crate::scope::Need;
use crate::ticket::{DOUBT_MS, Hold, Ticket, Waiter};
use crate::window::{DAY_MS, month};

/// 429s that stop an account until its month ends, or until an operator
/// resumes it (error codes of the SDKs 1.6.0 to 1.10.0, 2026-11).
const UNTIL_MONTH_END: &str = "enforced_spend_limit_reached";
const UNTIL_RESUMED: &str = "contract_spend_limit_reached";
/// The acceleration limit's code (SDK 1.6.0, 2026-11-05).
const RAMP: &str = "ramp_limit_exceeded";

/// What an attempt used: as rate limits count it, and as budgets do.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    rates: Three,
    day: Three,
    /// Output, where it was generated as far as is known.
    output: Option<Tokens>,
    /// The tokens are the Worker's own bounds, not the provider's count.
    is_estimated: bool,
}

impl Usage {
    pub(crate) fn of(used: &Used) -> Self {
        match *used {
            Used::Nothing => Self { output: Some(0), ..Self::default() },
            Used::Tokens { input, input_total, output, microusd, estimated } => Self {
                rates: [1, input, output],
                day: [1, input_total.max(input).saturating_add(output), microusd],
                output: Some(output),
                is_estimated: estimated,
            },
        }
    }

    /// The most that it can have been: input and `max_tokens`.
    pub(crate) fn most(need: &Need) -> Self {
        let rates = [1, need.input, need.output_max];
        Self { rates, day: need.day(), output: None, is_estimated: true }
    }
}

/// Requests remembered that are larger than estimated: those of which an attempt comes.
const LARGER_MAX: usize = 256;

impl Gate {
    /// Settles one attempt. A second time, it changes nothing.
    pub(crate) fn settle(&mut self, settle: &Settle) {
        let (id, attempt) = (name(&settle.ticket), settle.attempt);
        if self.over.has(id, Some(attempt)) {
            return;
        }
        if settle.unasked {
            // Its admit may have come after all: nobody waits for the place.
            self.free_attempt(id, attempt);
            self.take_back(&settle.ticket, 0);
        }
        let usage = Usage::of(&settle.used);
        match self.tickets.remove(id, attempt) {
            Some(ticket) => {
                self.learn(settle);
                let ran = (settle.ran_ms > 0).then_some(settle.ran_ms);
                self.close(id, &ticket, &usage, ran);
            }
            None => self.settle_forgotten(settle, &usage),
        }
    }

    /// Puts what was used in the place of a ticket's reservations. `ran`: for how
    /// long it ran, where that was told.
    pub(crate) fn close(&mut self, id: Name, ticket: &Ticket, usage: &Usage, ran: Option<Millis>) {
        // What came back unused settles nothing, and there can be much of it.
        if ticket.hold != Hold::Lent || usage.rates[0] > 0 {
            self.over.add(id, Some(ticket.attempt));
        }
        // A restart counted the reservation as spent; only what goes beyond is
        // new (invariant 8).
        let covered = ticket.hold == Hold::Covered;
        let day = if covered { less(&usage.day, &ticket.need.day()) } else { usage.day };
        self.close_draw(ticket, &day);
        for payer in self.payers(ticket.tenant, ticket.user) {
            let (need, generated) = (&ticket.need, ticket.generated);
            let scope = self.scope_mut(payer);
            scope.settle(need, ticket.hold, generated, &usage.rates, &day);
            self.touch(payer);
            self.freed(payer);
        }
        let now = self.now;
        let pool = &mut self.pools[ticket.pool];
        pool.mirror.refill(now);
        let span = ran.unwrap_or_else(|| now.saturating_sub(ticket.granted));
        // A client that left before it was told of tokens pays for `max_tokens`. What the
        // provider generated of them is not known, so what was assumed stands.
        let is_bound = usage.is_estimated
            && ticket.hold != Hold::Lent
            && usage.rates[2] >= ticket.need.output_max;
        let output = usage.output.filter(|_| !is_bound).map(|output| (output, span));
        match (ticket.hold, ticket.doubted) {
            (Hold::Lent, _) => {
                // One that expires tells nothing of demand.
                if usage.rates[0] > 0 && output.is_some() {
                    pool.mirror.arrived(ticket.class, &ticket.need, now);
                }
                pool.mirror.end_lent(&ticket.need, &usage.rates, output, now);
            }
            (_, None) => pool.mirror.end(&ticket.part(), output, now),
            (_, Some(assumed)) => {
                let output = output.map(|(output, _)| output);
                pool.mirror.end_doubted(&ticket.part(), assumed, output);
            }
        }
        if ticket.hold == Hold::Taken && usage.output.is_some() {
            let (taken, used) = (ticket.need.input, usage.rates[1]);
            pool.mirror.counted(taken, used, ticket.granted);
            if used > 0 && !usage.is_estimated {
                pool.mirror.input_spread.learn(taken, used);
            }
        }
        self.step.touched.push(ticket.pool);
        self.step.pools.push(ticket.pool);
    }

    /// Lengths and estimates are learned from the provider's own figures only.
    fn learn(&mut self, settle: &Settle) {
        if let Used::Tokens { input_total, output, estimated: false, .. } = settle.used {
            let (tenant, model) = (&settle.tenant, &settle.model);
            self.lengths.learn(tenant, model, settle.max_tokens, output);
            self.calibrations.learn(tenant, model, &settle.kinds, input_total, self.now);
            self.reads.learn(settle, self.now);
        }
    }

    /// A settlement of an attempt that is not open here. Within one ticket's
    /// lifetime after a start, its reservation was counted as spent by what was
    /// written ahead, so only what goes beyond is charged. Later, or where it
    /// says so, it was never asked for (limits that fail open): all of it is.
    fn settle_forgotten(&mut self, settle: &Settle, usage: &Usage) {
        let id = name(&settle.ticket);
        self.over.add(id, Some(settle.attempt));
        // A cancel gave back what was reserved.
        let is_young = !settle.unasked && self.is_young() && !self.over.has(id, None);
        let reserved = [1, settle.input_estimate.saturating_add(settle.max_tokens), u64::MAX];
        let day = if is_young { less(&usage.day, &reserved) } else { usage.day };
        if day != [0; 3] || !is_young {
            self.charge(settle, if is_young { &[0; 3] } else { &usage.rates }, &day);
        }
        if is_young {
            self.free_place(settle);
        }
        // The provider's bucket gave it in any case.
        let pool = self.pool(&settle.pool);
        let (now, mirror) = (self.now, &mut self.pools[pool].mirror);
        mirror.refill(now);
        if is_young {
            mirror.end_before(usage.rates[2], settle.max_tokens, now);
        } else {
            mirror.charge(usage.rates[2], usage.rates[1]);
        }
        self.step.touched.push(pool);
        self.step.pools.push(pool);
    }

    /// Whether tickets may be open that were granted before the start.
    pub(crate) fn is_young(&self) -> bool {
        self.now < self.started.saturating_add(self.settings.ticket_ttl_ms)
    }

    /// It had its place before a restart, which may be another's now.
    fn free_place(&mut self, settle: &Settle) {
        let Some(&tenant) = self.tenant_index.get(&settle.tenant) else { return };
        let Ok(user) = self.user(tenant, settle.user.as_deref()) else { return };
        let now = self.now;
        for payer in self.payers(tenant, user) {
            self.scope_mut(payer).told(now);
            self.touch(payer);
            self.freed(payer);
        }
    }

    fn charge(&mut self, settle: &Settle, rates: &Three, day: &Three) {
        let tenant = self.tenant_index.get(&settle.tenant).copied();
        let user = tenant.and_then(|t| self.user(t, settle.user.as_deref()).ok().flatten());
        let payers = tenant.map(|tenant| self.payers(tenant, user)).into_iter().flatten();
        // A tenant that is gone has no scopes; the deployment pays in any case.
        let alone = tenant.is_none().then_some(ScopeId::Deployment);
        let (now, lists) = (self.now, self.known.lists_of(&settle.model));
        for payer in alone.into_iter().chain(payers) {
            let scope = self.scope_mut(payer);
            scope.refill(now);
            scope.charge(rates, day, lists);
            self.touch(payer);
        }
        if let (Some(tenant), Some(job)) = (tenant, &settle.job) {
            self.charge_job(tenant, job, day);
        }
    }

    /// The client left before this attempt was granted, or before it knew.
    pub(crate) fn cancel(&mut self, ticket: &str, attempt: u32) {
        let id = name(ticket);
        self.free_waiter(id);
        if let Some(ticket) = self.tickets.remove(id, attempt) {
            self.close(id, &ticket, &Usage::of(&Used::Nothing), None);
            // What was used all the same is charged when it is told.
            self.over.forget(id, attempt);
        }
        // Whoever gave up on the reply did not hear of its lease.
        self.take_back(ticket, 0);
        // Also where the cancel came before its admit.
        self.over.add(id, None);
    }

    /// A running request told how far it is: its ticket lives on.
    pub(crate) fn renew(&mut self, id: Name, attempt: u32, generated: Tokens) {
        let (now, ttl) = (self.now, self.settings.ticket_ttl_ms);
        self.claim(id, attempt);
        let Some(ticket) = self.tickets.get_mut(id, attempt) else { return };
        ticket.expires = now + ttl;
        ticket.renewed = now;
        let generated = generated.min(ticket.need.output_max).max(ticket.generated);
        let (before, from, doubted) = (ticket.part(), ticket.generated, ticket.doubted.take());
        if generated == from && doubted.is_none() {
            return;
        }
        ticket.generated = generated;
        ticket.heard = now;
        let (need, after) = (ticket.need, ticket.part());
        let (pool, tenant, user) = (ticket.pool, ticket.tenant, ticket.user);
        if doubted.is_some() {
            self.tickets.doubts.push_back((now + DOUBT_MS, id, attempt));
        }
        for payer in self.payers(tenant, user) {
            let scope = self.scope_mut(payer);
            scope.refill(now);
            scope.progress(&need, from, generated);
            self.touch(payer);
        }
        let mirror = &mut self.pools[pool].mirror;
        mirror.refill(now);
        match doubted {
            None => mirror.progress(&before, &after, now),
            Some(assumed) => mirror.trust(&before, &after, assumed),
        }
        self.step.touched.push(pool);
    }

    /// Waiters past their deadlines, waiters and grants nobody came back for,
    /// and tickets that were not renewed.
    pub(crate) fn expire(&mut self) {
        while let Some(&(due, number)) = self.timers.first() {
            if due > self.now {
                break;
            }
            self.timers.remove(&(due, number));
            let Some(waiter) = self.waiting.get(&number) else { continue };
            let waiter = Waiter { is_back: true, ..waiter.clone() };
            let (_, mut refusal) = self.expect(&waiter);
            refusal.reason = Reason::Deadline;
            self.keep_place(waiter.need.job, waiter.asked);
            if waiter.parked {
                // Else nobody is told.
                self.keep_for(&waiter, &mut refusal);
            }
            self.refuse_waiter(waiter.name, refusal);
        }
        while let Some(&(due, id, attempt)) = self.tickets.unclaimed.first() {
            if due > self.now {
                break;
            }
            self.tickets.unclaimed.remove(&(due, id, attempt));
            if self.tickets.get_mut(id, attempt).is_some_and(|ticket| ticket.unclaimed)
                && let Some(ticket) = self.tickets.remove(id, attempt)
            {
                // Nobody was told, so nothing was sent; a late poll asks anew.
                self.close(id, &ticket, &Usage::of(&Used::Nothing), None);
                self.over.forget(id, attempt);
            }
        }
        self.expire_jobs();
        while self.tickets.doubts.front().is_some_and(|(due, ..)| *due <= self.now) {
            let Some((_, id, attempt)) = self.tickets.doubts.pop_front() else { break };
            let Some(ticket) = self.tickets.get_mut(id, attempt) else { continue };
            let due = ticket.renewed + DOUBT_MS;
            if due > self.now {
                self.tickets.doubts.push_back((due, id, attempt));
            } else if ticket.doubted.is_none() {
                let (part, pool) = (ticket.part(), ticket.pool);
                let mirror = &mut self.pools[pool].mirror;
                mirror.refill(self.now);
                ticket.doubted = Some(mirror.doubt(&part, self.now));
                self.step.pools.push(pool);
            }
        }
        self.expire_leases();
        while self.tickets.expiries.front().is_some_and(|(due, ..)| *due <= self.now) {
            let Some((_, id, attempt)) = self.tickets.expiries.pop_front() else { break };
            let Some(ticket) = self.tickets.get_mut(id, attempt) else { continue };
            if ticket.expires > self.now {
                let again = (ticket.expires, id, attempt);
                self.tickets.expiries.push_back(again);
            } else if let Some(ticket) = self.tickets.remove(id, attempt) {
                // Unknown usage is never refunded (invariant 2).
                self.close(id, &ticket, &Usage::most(&ticket.need), None);
            }
        }
    }

    /// A response's levels and status teach the mirror.
    /// Reports are resent until acknowledged: a refusal teaches once.
    pub(crate) fn observe(&mut self, seen: &Observation) {
        if seen.status == 429 {
            // The time tells attempts apart of a Worker that does not count them.
            let once = name(&format!("{}/{}", seen.ticket, seen.sent_ms));
            if self.refusals.contains(once, seen.attempt) {
                return;
            }
            self.refusals.add(once, Some(seen.attempt));
        }
        let index = self.pool(&seen.pool);
        let now = self.now;
        // What the levels tell of must have been taken before they are believed.
        let id = name(&seen.ticket);
        let was_lent = self.claim(id, seen.attempt);
        let (granted, own, payer) = match self.tickets.get_mut(id, seen.attempt) {
            Some(ticket) if ticket.hold != Hold::Covered => {
                let need = ticket.need;
                // A lent one took no turn.
                let payer = (ticket.tenant, ticket.line, ticket.class, need);
                let payer = (!was_lent).then_some(payer);
                let output = self.pools[index].mirror.reserved_output(&need);
                (ticket.granted, [1, signed(need.input), output], payer)
            }
            // Granted before a restart or settled: its time is only known by the
            // Worker's clock, so allow for skew.
            _ => (seen.sent_ms.min(now).saturating_sub(5_000), [1, 0, 0], None),
        };
        let account = &seen.pool.account;
        let code = seen.error_code.as_deref();
        match (seen.status, code) {
            (429, Some(UNTIL_MONTH_END)) => {
                self.stop(account.clone(), month_end(now));
                return;
            }
            (429, Some(UNTIL_RESUMED)) => {
                self.stop(account.clone(), Millis::MAX);
                return;
            }
            _ => {}
        }
        if let Some((tenant, line, class, need)) = payer.filter(|_| seen.status == 429) {
            // Its turn comes again with its next attempt.
            let (weight, state) = (self.weight(tenant), &mut self.pools[index]);
            let cost = state.mirror.cost(&need);
            state.queue.unserved(class, (tenant, line), weight, cost);
            self.larger(id, &need, seen);
        }
        // A lent ticket was granted long before it was used. When it was sent, by
        // this clock, is known but for the way of the message.
        let ran = seen.at_ms.saturating_sub(seen.sent_ms);
        let sent = if was_lent { now.saturating_sub(ran).max(granted) } else { granted };
        let mirror = &mut self.pools[index].mirror;
        mirror.observe(seen, granted, sent, own, now);
        match seen.status {
            429 => mirror.refused(seen.retry_after_ms, code == Some(RAMP), now),
            200..=299 => mirror.accepted(granted, now),
            _ => {}
        }
        self.step.touched.push(index);
        self.step.pools.push(index);
    }

    /// A large request was refused though the provider says that there was room for what
    /// was reserved: it is larger than that. One that a full bucket does not take never
    /// goes, and would come to its turn again and again, before all others.
    fn larger(&mut self, id: Name, need: &Need, seen: &Observation) {
        let Some(Level { limit, remaining, .. }) = seen.input else { return };
        let others = [&seen.requests, &seen.output];
        let is_other = others.into_iter().flatten().any(|level| level.remaining == 0);
        // As far as one can tell from rounded figures.
        let full = limit.saturating_sub(ROUNDING[1].unsigned_abs());
        let is_large = need.input >= limit / 2 && remaining >= need.input.min(full);
        if is_other || !is_large || seen.error_code.is_some() {
            return;
        }
        if self.larger.len() >= LARGER_MAX {
            self.larger.clear();
        }
        let was_full = self.larger.get(&id).is_some_and(|least| *least >= full);
        let least = if was_full && remaining >= full { limit + 1 } else { remaining.min(limit) };
        self.larger.insert(id, least);
    }

    /// A spend cap stops the account: who waits for it is told.
    fn stop(&mut self, account: String, until: Millis) {
        self.write_stop(&account, Some(until));
        let refusal =
            Refusal { reason: Reason::ProviderSpendCap, retry_after_ms: None, limit: None };
        let of_account = |pool: usize| self.pools[pool].pool.account == account;
        let its = self.waiting.iter().filter(|(_, waiter)| of_account(waiter.pool));
        // A set, here and in `sleepers`: its code is there, a sort's would come for this.
        let mut waiting = BTreeSet::new();
        waiting.extend(its.map(|(number, waiter)| (*number, waiter.name)));
        for (_, id) in waiting {
            self.refuse_waiter(id, refusal.clone());
        }
        self.stopped.insert(account, Box::new(until));
    }

    /// Something of a payer's limits came back: who sleeps for them may look.
    pub(crate) fn freed(&mut self, payer: ScopeId) {
        if self.waiting.is_empty() {
            return;
        }
        for (index, pool) in self.pools.iter_mut().enumerate() {
            if pool.queue.len > 0 && pool.queue.freed(payer) {
                self.step.pools.push(index);
            }
        }
    }

    /// A tenant's sleepers may go: its limits changed.
    pub(crate) fn wake_tenant(&mut self, tenant: usize) {
        for index in 0..self.pools.len() {
            if self.pools[index].queue.len > 0 {
                self.pools[index].queue.wake_tenant(tenant);
                self.step.pools.push(index);
            }
        }
    }
}

/// 00:00 UTC on the first of the next month, when an API tier's spend cap
/// resumes (rate-limit page, copies of September 2026).
fn month_end(now: Millis) -> Millis {
    let (_, next) = month((now / DAY_MS) as i64);
    next as Millis * DAY_MS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_ends_on_the_first_of_the_next() {
        // Checked against `date -u -d`.
        for (now, end) in [
            (0, 2_678_400_000),
            (1_764_028_800_000, 1_764_547_200_000),
            (1_798_761_599_999, 1_798_761_600_000),
            (1_771_000_000_000, 1_772_323_200_000),
            (1_835_000_000_000, 1_835_481_600_000),
            (951_782_400_000, 951_868_800_000),
            (4_107_456_000_000, 4_107_542_400_000),
        ] {
            assert_eq!(month_end(now), end, "{now}");
        }
    }
}

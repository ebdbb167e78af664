//! Leases, at the Gate: tickets lent to an isolate for seconds, far from every
//! limit, so that it need not ask for each request.
//!
//! A lease is nothing but tickets opened before their requests come: each is
//! settled, renewed or expires like any other, and what is not used is returned.
//! The isolate's half is [`crate::borrow`].

use crate::gate::Gate;
use crate::message::{Admit, Lease, MicroUsd, Millis, TicketId, Tokens, Used, lent_ticket};
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
/// In the memory of what is over: that an admit's lease went out.
const LENT: u32 = u32::MAX;
/// A ticket is good for requests up to so many times the size of the one that
/// it was lent with.
const LARGER: u64 = 2;

/// What a call would like to be lent: tickets like the one it asks for.
pub(crate) struct Wish {
    id: TicketId,
    tickets: u32,
    input_tokens: Tokens,
    max_tokens: Tokens,
    microusd_max: MicroUsd,
}

impl Wish {
    pub(crate) fn of(admit: &Admit, tickets: u32) -> Self {
        Self {
            id: admit.ticket.clone(),
            tickets: tickets.min(MOST),
            input_tokens: admit.input_tokens.saturating_mul(LARGER),
            max_tokens: admit.max_tokens,
            microusd_max: admit.microusd_max.saturating_mul(LARGER),
        }
    }
}

impl Gate {
    /// Lends tickets beside the one just granted. None where a limit is near,
    /// somebody waits, or the request names an end user, whose limits are its own.
    pub(crate) fn lend(&mut self, wish: Wish) -> Option<Lease> {
        let Wish { id, tickets, input_tokens, max_tokens, microusd_max } = wish;
        let like = self.tickets.open.get(&id)?;
        let is_plain = like.user.is_none() && like.attempt == 0 && like.hold == Hold::Taken;
        if !self.settings.leases || !is_plain {
            return None;
        }
        let (tenant, pool) = (like.tenant, like.pool);
        if self.pools[pool].queue.len > 0 || self.tenants[tenant].waiting > 0 {
            return None;
        }
        let need = Need {
            input: like.need.input.saturating_mul(LARGER),
            input_max: like.need.input_max.saturating_mul(LARGER),
            microusd_max,
            ..like.need
        };
        let like = Ticket { need, hold: Hold::Lent, observed: false, ..like.clone() };
        let scopes = self.payers(tenant, None).map(|payer| self.scope(payer).lendable(&need));
        let most = scopes.min()?.min(self.pools[pool].mirror.lendable(&need, self.now));
        let tickets = tickets.min(u32::try_from(most).unwrap_or(MOST));
        let first = lent_ticket(&id, 0);
        // The same admit again: its lease went with the first reply.
        let again = self.over.contains(&id, LENT) || self.tickets.open.contains_key(&first);
        if tickets < FEWEST || again {
            return None;
        }
        for number in 0..tickets {
            self.hold(&lent_ticket(&id, number), like.clone());
        }
        self.over.add(&id, Some(LENT));
        self.tickets.leases.push_back((self.now + DOUBT_MS, id.clone(), tickets));
        Some(Lease { id, tickets, input_tokens, max_tokens, microusd_max, ttl_ms: TTL_MS })
    }

    /// Lent tickets come back, from a number on. A second time, nothing changes.
    pub(crate) fn take_back(&mut self, lease: &str, from: u32) {
        for number in from..MOST {
            let id = lent_ticket(lease, number);
            let lent = self.is_lent(&id);
            let Some(ticket) = lent.then(|| self.tickets.remove(&id, 0)).flatten() else { return };
            self.close(&id, &ticket, &Usage::of(&Used::Nothing), None);
        }
    }

    /// Lent tickets that were neither settled, told of nor returned for long:
    /// their isolate is gone, and what it did with them unknown.
    pub(crate) fn expire_leases(&mut self) {
        while self.tickets.leases.front().is_some_and(|(due, ..)| *due <= self.now) {
            let Some((_, lease, tickets)) = self.tickets.leases.pop_front() else { break };
            for number in 0..tickets {
                let id = lent_ticket(&lease, number);
                if self.is_lent(&id)
                    && let Some(ticket) = self.tickets.remove(&id, 0)
                {
                    self.close(&id, &ticket, &Usage::most(&ticket.need), None);
                }
            }
        }
    }

    fn is_lent(&self, id: &str) -> bool {
        self.tickets.open.get(id).is_some_and(|ticket| ticket.hold == Hold::Lent)
    }

    /// A lent ticket is told of while its request runs: from now on it is a
    /// ticket like any other. False where it is one already.
    pub(crate) fn claim(&mut self, id: &str, attempt: u32) -> bool {
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
            self.step.scopes.insert(payer);
        }
        let mirror = &mut self.pools[pool].mirror;
        mirror.unlend(&need);
        mirror.take(&need, now);
        self.step.touched.push(pool);
        true
    }
}

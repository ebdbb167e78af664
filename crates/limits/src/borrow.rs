//! Leases, in an isolate: what it holds of lent tickets, and how many it asks
//! for. The Gate's half is `lend`.

use crate::lend::{FEWEST, MOST};
use crate::message::{Event, Lease, MicroUsd, Millis, Pool, TicketId, Tokens, lent_ticket};

/// A question that is not answered within this span will not be: the Worker
/// gives the Gate as long (invariant 11).
const ANSWER_MS: Millis = 2_000;
/// Demand is counted in spans as long as a lease roughly lives.
const SPAN_MS: Millis = 1_000;
/// After the provider refused, every request asks for this long.
const PAUSE_MS: Millis = 2_000;

/// How large a request is, for a ticket to be good for it.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Estimated input.
    pub input_tokens: Tokens,
    /// Its limit on the output.
    pub max_tokens: Tokens,
    /// The most that it can cost.
    pub microusd_max: MicroUsd,
}

/// What one isolate holds, by tenant and pool.
#[derive(Clone, Debug, Default)]
pub struct Borrowed {
    /// Those that asked within the last seconds: a handful, so a list.
    purses: Vec<Purse>,
    /// To be told: leases that ended or were replaced, and what is left of them.
    returns: Vec<(TicketId, u32)>,
}

/// One tenant's lease on one pool, and its demand there.
#[derive(Clone, Debug)]
struct Purse {
    tenant: String,
    pool: Pool,
    lease: Option<Lease>,
    next: u32,
    until: Millis,
    /// When the question under way was asked; none: there is none.
    asked: Option<Millis>,
    paused_until: Millis,
    span: Millis,
    count: u32,
    before: u32,
}

impl Borrowed {
    /// Counts a request, and gives it a ticket where a lease has one for it.
    pub fn draw(
        &mut self,
        tenant: &str,
        pool: &Pool,
        size: &Size,
        now: Millis,
    ) -> Option<TicketId> {
        let purse = self.purse(tenant, pool, now);
        purse.count += 1;
        let lease = purse.lease.as_ref().filter(|_| now < purse.until)?;
        let fits = size.input_tokens <= lease.input_tokens
            && size.max_tokens <= lease.max_tokens
            && size.microusd_max <= lease.microusd_max;
        if !fits || purse.next >= lease.tickets {
            return None;
        }
        purse.next += 1;
        Some(lent_ticket(&lease.id, purse.next - 1))
    }

    /// How many tickets to ask for with a request that asks: about a span's
    /// demand; none where that is little, or a question is under way.
    pub fn wanted(&mut self, tenant: &str, pool: &Pool, now: Millis) -> u32 {
        let purse = self.purse(tenant, pool, now);
        let asks = purse.asked.is_some_and(|at| now < at + ANSWER_MS);
        let demand = purse.count.max(purse.before);
        if asks || now < purse.paused_until || demand < FEWEST {
            return 0;
        }
        purse.asked = Some(now);
        demand.min(MOST)
    }

    /// The reply to a question of then, with a lease or without.
    pub fn replied(&mut self, tenant: &str, pool: &Pool, lease: Option<Lease>, asked: Millis) {
        let purse = self.purse(tenant, pool, asked);
        purse.asked = None;
        let Some(lease) = lease else { return };
        if asked < purse.paused_until {
            // The provider refused while the question was under way.
            self.returns.push((lease.id, 0));
            return;
        }
        let left = purse.rest();
        purse.until = asked + lease.ttl_ms;
        purse.lease = Some(lease);
        purse.next = 0;
        self.returns.extend(left);
    }

    /// The provider refused: limits are nearer than the Gate thought.
    pub fn refused(&mut self, pool: &Pool, now: Millis) {
        for purse in self.purses.iter_mut().filter(|purse| purse.pool == *pool) {
            purse.paused_until = now + PAUSE_MS;
            self.returns.extend(purse.rest());
        }
    }

    /// What to tell of leases that are over.
    pub fn take_returns(&mut self, now: Millis) -> Vec<Event> {
        for purse in self.purses.iter_mut().filter(|purse| now >= purse.until) {
            self.returns.extend(purse.rest());
        }
        self.purses.retain(|purse| purse.lease.is_some() || now < purse.span + 2 * SPAN_MS);
        let returns = std::mem::take(&mut self.returns);
        returns.into_iter().map(|(lease, from)| Event::Returned { lease, from }).collect()
    }

    /// When the last of its leases ends, if it holds one.
    pub fn held_until(&self) -> Option<Millis> {
        let held = self.purses.iter().filter(|purse| purse.lease.is_some());
        held.map(|purse| purse.until).max()
    }

    fn purse(&mut self, tenant: &str, pool: &Pool, now: Millis) -> &mut Purse {
        let is_it = |purse: &Purse| purse.tenant == tenant && purse.pool == *pool;
        let at = self.purses.iter().position(is_it).unwrap_or_else(|| {
            self.purses.push(Purse {
                tenant: tenant.to_owned(),
                pool: pool.clone(),
                lease: None,
                next: 0,
                until: 0,
                asked: None,
                paused_until: 0,
                span: now,
                count: 0,
                before: 0,
            });
            self.purses.len() - 1
        });
        let purse = &mut self.purses[at];
        if now >= purse.span + SPAN_MS {
            let is_next = now < purse.span + 2 * SPAN_MS;
            purse.before = if is_next { purse.count } else { 0 };
            (purse.count, purse.span) = (0, now);
        }
        purse
    }
}

impl Purse {
    /// Gives the lease up: its name and its first unused ticket, where one is.
    fn rest(&mut self) -> Option<(TicketId, u32)> {
        let lease = self.lease.take()?;
        (self.next < lease.tickets).then_some((lease.id, self.next))
    }
}

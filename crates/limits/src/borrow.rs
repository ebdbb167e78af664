//! Leases, in an isolate: what it holds of lent tickets, and how many it asks
//! for. The Gate's half is `lend`.

use crate::lend::{FEWEST, MOST};
use crate::message::{Event, Lease, MicroUsd, Millis, Pool, TicketId, Tokens, lent_ticket};

/// A question that is not answered within this span will not be: the Worker
/// gives the Gate as long (invariant 11).
const ANSWER_MS: Millis = 2_000;
/// Demand is counted in spans of this length: half a lease's life, so that what is
/// asked for is used up before it ends.
const SPAN_MS: Millis = 1_000;
/// After the provider refused, every request asks for this long: a lease's life,
/// so that those which were out are over.
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
    /// The number of its first unused ticket, and its end.
    next: u32,
    until: Millis,
    /// The lease after that, and its end: asked for before it is needed.
    spare: Option<(Lease, Millis)>,
    /// The last question brought no lease: this one is used up before the next.
    in_vain: bool,
    /// The question under way is for the next lease; else for one that is larger.
    early: bool,
    /// When the question under way was asked; none: there is none.
    asked: Option<Millis>,
    paused_until: Millis,
    /// When the span under way began, its requests, and those of the one before.
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
        let at = self.purse_at(tenant, pool, now);
        let purse = &mut self.purses[at];
        purse.count += 1;
        let is_used_up = purse.lease.as_ref().is_none_or(|lease| purse.next >= lease.tickets);
        if is_used_up || now >= purse.until {
            self.returns.extend(purse.move_on());
        }
        let lease = purse.lease.as_ref().filter(|_| now < purse.until)?;
        let fits = size.input_tokens <= lease.input_tokens
            && size.max_tokens <= lease.max_tokens
            && size.microusd_max <= lease.microusd_max;
        // Half used: one request asks, the others go on by the other half. Only of
        // the largest: a smaller one says that demand or limits want no second.
        let refills = purse.spare.is_none()
            && !purse.in_vain
            && lease.tickets >= MOST
            && purse.next >= lease.tickets / 2
            && purse.asks_for(now) > 0;
        if !fits || refills {
            purse.early = fits;
            return None;
        }
        purse.next += 1;
        Some(lent_ticket(&lease.id, purse.next - 1))
    }

    /// How many tickets to ask for with a request that asks.
    pub fn wanted(&mut self, tenant: &str, pool: &Pool, now: Millis) -> u32 {
        let purse = self.purse(tenant, pool, now);
        let wanted = purse.asks_for(now);
        if wanted > 0 {
            purse.asked = Some(now);
        }
        wanted
    }

    /// The reply to a question of then, with a lease or without.
    pub fn replied(&mut self, tenant: &str, pool: &Pool, lease: Option<Lease>, asked: Millis) {
        let purse = self.purse(tenant, pool, asked);
        purse.asked = None;
        purse.in_vain = lease.is_none();
        let Some(lease) = lease else { return };
        if asked < purse.paused_until {
            // The provider refused while the question was under way.
            self.returns.push((lease.id, 0));
            return;
        }
        let until = asked + lease.ttl_ms;
        let spare = purse.spare.replace((lease, until));
        let mut left: Vec<_> = spare.map(|(lease, _)| (lease.id, 0)).into_iter().collect();
        if !std::mem::take(&mut purse.early) || purse.lease.is_none() {
            left.extend(purse.move_on());
        }
        self.returns.extend(left);
    }

    /// The provider refused: limits are nearer than the Gate thought.
    pub fn refused(&mut self, pool: &Pool, now: Millis) {
        for purse in self.purses.iter_mut().filter(|purse| purse.pool == *pool) {
            purse.paused_until = now + PAUSE_MS;
            self.returns.extend(purse.move_on());
            self.returns.extend(purse.move_on());
        }
    }

    /// What to tell of leases that are over.
    pub fn take_returns(&mut self, now: Millis) -> Vec<Event> {
        for purse in self.purses.iter_mut().filter(|purse| now >= purse.until) {
            self.returns.extend(purse.move_on());
            if now >= purse.until {
                self.returns.extend(purse.move_on());
            }
        }
        self.purses.retain(|purse| purse.lease.is_some() || now < purse.span + 2 * SPAN_MS);
        let returns = std::mem::take(&mut self.returns);
        returns.into_iter().map(|(lease, from)| Event::Returned { lease, from }).collect()
    }

    /// When the last of its leases ends, if it holds one.
    pub fn held_until(&self) -> Option<Millis> {
        let held = self.purses.iter().filter(|purse| purse.lease.is_some());
        held.map(|purse| purse.spare.as_ref().map_or(purse.until, |(_, until)| *until)).max()
    }

    fn purse(&mut self, tenant: &str, pool: &Pool, now: Millis) -> &mut Purse {
        let at = self.purse_at(tenant, pool, now);
        &mut self.purses[at]
    }

    /// Its place in the list, made where it is new, its demand brought to now.
    fn purse_at(&mut self, tenant: &str, pool: &Pool, now: Millis) -> usize {
        let is_it = |purse: &Purse| purse.tenant == tenant && purse.pool == *pool;
        let at = self.purses.iter().position(is_it).unwrap_or_else(|| {
            self.purses.push(Purse {
                tenant: tenant.to_owned(),
                pool: pool.clone(),
                lease: None,
                next: 0,
                until: 0,
                spare: None,
                in_vain: false,
                early: false,
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
        at
    }
}

impl Purse {
    /// How many tickets to ask for now: about a span's demand; none where that is
    /// little, or a question is under way.
    fn asks_for(&self, now: Millis) -> u32 {
        let asks = self.asked.is_some_and(|at| now < at + ANSWER_MS);
        let demand = self.count.max(self.before);
        if asks || now < self.paused_until || demand < FEWEST { 0 } else { demand.min(MOST) }
    }

    /// Gives the lease up for the spare one: its name and its first unused ticket,
    /// where one is.
    fn move_on(&mut self) -> Option<(TicketId, u32)> {
        let next = std::mem::take(&mut self.next);
        let lease = match self.spare.take() {
            Some((lease, until)) => {
                self.until = until;
                self.lease.replace(lease)
            }
            None => self.lease.take(),
        };
        let lease = lease?;
        (next < lease.tickets).then_some((lease.id, next))
    }
}

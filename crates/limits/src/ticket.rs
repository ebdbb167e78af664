//! Open tickets, and a bounded memory of those that are over.

use std::collections::{BTreeSet, VecDeque};

use crate::amounts::Three;
use crate::map::{Map, Name};
use crate::message::{Millis, TicketId, Tokens};
use crate::queue::{Line, Spot};
use crate::running::Part;
use crate::scope::Need;

/// Attempts whose end is remembered: at 1,000 a second more than a minute,
/// many times the 50 ms for which a Worker holds a settlement back.
const OVER_MAX: usize = 65_536;
/// A ticket that was neither renewed nor settled for this long is doubted: its
/// isolate is probably gone. Renewals come several times as often.
pub(crate) const DOUBT_MS: Millis = 120_000;

/// What a ticket has of the limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hold {
    /// Its request and input were taken from the buckets, its worst case is
    /// reserved in the budgets.
    Taken,
    /// Rebuilt after a restart, which counted all of it as spent.
    Covered,
    /// Lent: nobody knows yet whether it is used. The budgets hold its worst
    /// case; of the buckets it is promised, and taken when it is settled.
    Lent,
}

/// One attempt that holds reservations.
#[derive(Clone, Debug)]
pub(crate) struct Ticket {
    pub(crate) attempt: u32,
    pub(crate) class: usize,
    pub(crate) tenant: usize,
    pub(crate) user: Option<usize>,
    /// Its end user's line in the queue.
    pub(crate) line: Line,
    pub(crate) pool: usize,
    /// Its tenant may be given a budget of it while it runs.
    pub(crate) model: String,
    pub(crate) need: Need,
    pub(crate) generated: Tokens,
    pub(crate) granted: Millis,
    /// When it last told that it got further.
    pub(crate) heard: Millis,
    /// When it last told that it runs.
    pub(crate) renewed: Millis,
    pub(crate) expires: Millis,
    pub(crate) waited: Millis,
    pub(crate) hold: Hold,
    /// Granted in the queue and not yet told to anyone.
    pub(crate) unclaimed: bool,
    /// Tickets like it were asked for with it, to be lent.
    pub(crate) asked_lease: bool,
    /// Not heard of for long: what it was assumed to have generated beyond
    /// `generated`. The pool no longer counts it as running.
    pub(crate) doubted: Option<i64>,
}

impl Ticket {
    /// Its part of the pool's sums.
    pub(crate) fn part(&self) -> Part {
        Part {
            input: self.need.input,
            expected: self.need.output,
            generated: self.generated,
            max: self.need.output_max,
            since: self.heard,
        }
    }
}

/// A bounded memory of attempts: those that are over (settled, expired or
/// cancelled), those that were refused here, or those whose refusal by the provider
/// was learned from.
#[derive(Clone, Debug, Default)]
pub(crate) struct Over {
    /// With a note each.
    set: Map<u64, u64>,
    order: VecDeque<u64>,
}

impl Over {
    /// Remembers an attempt, or with none all of a ticket. The oldest is
    /// forgotten for it.
    pub(crate) fn add(&mut self, name: Name, attempt: Option<u32>) {
        self.note(name, attempt, 0);
    }

    /// The same with a note.
    pub(crate) fn note(&mut self, name: Name, attempt: Option<u32>, note: u64) {
        let key = key(name, attempt);
        if self.set.insert(key, note).is_some() {
            return;
        }
        self.order.push_back(key);
        if self.order.len() > OVER_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.set.remove(&oldest);
        }
    }

    /// Takes an attempt out again: it may ask anew.
    pub(crate) fn forget(&mut self, name: Name, attempt: u32) {
        // Its place in `order` stays, and forgets nothing when its time comes.
        self.set.remove(&key(name, Some(attempt)));
    }

    pub(crate) fn contains(&self, name: Name, attempt: u32) -> bool {
        self.has(name, Some(attempt)) || self.has(name, None)
    }

    /// The same of what was remembered as just this: the attempt, or the whole ticket.
    pub(crate) fn has(&self, name: Name, attempt: Option<u32>) -> bool {
        self.noted(name, attempt).is_some()
    }

    /// What was noted of it.
    pub(crate) fn noted(&self, name: Name, attempt: Option<u32>) -> Option<u64> {
        self.set.get(&key(name, attempt)).copied()
    }
}

fn key(name: Name, attempt: Option<u32>) -> u64 {
    // All of a ticket is the number before the first attempt's.
    name.wrapping_add(attempt.map_or(0, |attempt| u64::from(attempt) + 1))
}

/// A request that waits. What its admit said beside this, its poll says again.
#[derive(Clone, Debug)]
pub(crate) struct Waiter {
    pub(crate) id: TicketId,
    /// By which it asks, and for what: either may be taken from its tenant while it waits.
    pub(crate) key: String,
    pub(crate) model: String,
    pub(crate) name: Name,
    pub(crate) attempt: u32,
    pub(crate) class: usize,
    /// When it first asked.
    pub(crate) asked: Millis,
    pub(crate) bytes: u64,
    /// By which it is known if it comes back: bytes, input as it was estimated,
    /// `max_tokens`.
    pub(crate) size: Three,
    /// It stands at a place of its own, not behind all others.
    pub(crate) is_back: bool,
    /// Until when its place was kept, where one was.
    pub(crate) kept_until: Millis,
    pub(crate) tenant: usize,
    pub(crate) user: Option<usize>,
    pub(crate) line: Line,
    pub(crate) pool: usize,
    pub(crate) need: Need,
    pub(crate) queued: Millis,
    /// When it is expected to go, as it was told.
    pub(crate) expected: Millis,
    /// Answered by then, granted or not.
    pub(crate) deadline: Millis,
    /// Dropped then, unless its poll comes back.
    pub(crate) lost: Millis,
    /// A call is parked for it.
    pub(crate) parked: bool,
}

impl Waiter {
    /// Where it stands in its pool's queue.
    pub(crate) fn spot(&self, number: u64) -> Spot {
        let Self { class, tenant, line, asked, .. } = *self;
        Spot { class, tenant, line, place: (asked, number) }
    }

    /// What it holds of the queue's bounds: places, bytes, tokens.
    pub(crate) fn holds(&self) -> Three {
        [1, self.bytes, self.need.input.saturating_add(self.need.output)]
    }

    /// When something must be done about it.
    pub(crate) fn due(&self) -> Millis {
        if self.parked { self.deadline } else { self.deadline.min(self.lost) }
    }
}

/// Tickets by name; an attempt that is not settled when the next one asks moves
/// to `stragglers`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tickets {
    pub(crate) open: Map<Name, Ticket>,
    pub(crate) stragglers: Map<(Name, u32), Ticket>,
    /// When to doubt a ticket, about in order.
    pub(crate) doubts: VecDeque<(Millis, Name, u32)>,
    /// When leases expire, and how many tickets they were.
    pub(crate) leases: VecDeque<(Millis, TicketId, u32)>,
    /// When a ticket expires, about in order.
    pub(crate) expiries: VecDeque<(Millis, Name, u32)>,
    /// Granted in the queue while no call was parked: given up then, unless the
    /// poll comes.
    pub(crate) unclaimed: BTreeSet<(Millis, Name, u32)>,
}

impl Tickets {
    pub(crate) fn insert(&mut self, name: Name, ticket: Ticket) {
        let (attempt, is_lent) = (ticket.attempt, ticket.hold == Hold::Lent);
        let (doubt, expires) = (ticket.renewed + DOUBT_MS, ticket.expires);
        if let Some(before) = self.open.insert(name, ticket) {
            self.stragglers.insert((name, before.attempt), before);
        }
        if !is_lent {
            self.doubts.push_back((doubt, name, attempt));
            self.expiries.push_back((expires, name, attempt));
        }
    }

    /// Notes when to doubt a ticket, and when it expires.
    pub(crate) fn watch(&mut self, name: Name, attempt: u32) {
        let Some(Ticket { renewed, expires, .. }) = self.get_mut(name, attempt) else { return };
        let (doubt, expires) = (*renewed + DOUBT_MS, *expires);
        self.doubts.push_back((doubt, name, attempt));
        self.expiries.push_back((expires, name, attempt));
    }

    pub(crate) fn get_mut(&mut self, name: Name, attempt: u32) -> Option<&mut Ticket> {
        if let Some(ticket) = self.open.get_mut(&name).filter(|ticket| ticket.attempt == attempt) {
            return Some(ticket);
        }
        self.stragglers.get_mut(&(name, attempt))
    }

    pub(crate) fn remove(&mut self, name: Name, attempt: u32) -> Option<Ticket> {
        let is_open = self.open.get(&name).is_some_and(|ticket| ticket.attempt == attempt);
        let ticket = match is_open {
            true => self.open.remove(&name),
            false => self.stragglers.remove(&(name, attempt)),
        };
        self.forget_closed();
        ticket
    }

    /// Drops what is over from the front of the lists, so that a quiet Gate
    /// sets no timer.
    fn forget_closed(&mut self) {
        let Self { open, stragglers, doubts, expiries, .. } = self;
        for list in [doubts, expiries] {
            while let Some((_, name, attempt)) = list.front() {
                let is_open = open.get(name).is_some_and(|ticket| ticket.attempt == *attempt)
                    || stragglers.contains_key(&(*name, *attempt));
                if is_open {
                    break;
                }
                list.pop_front();
            }
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.open.len() + self.stragglers.len()
    }
}

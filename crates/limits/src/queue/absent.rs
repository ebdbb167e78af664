//! Who was refused and told when to come back.
//!
//! They keep when they first asked, and newcomers of their line are told as if they
//! stood before them. Nothing is held for them until they are about to come: then
//! newcomers leave them room. Not everybody comes back: how many do is learned of each
//! tenant, of those who were told a short time and of the others.

use std::collections::BTreeSet;

use super::{Index, Line};
use crate::amounts::{Three, add, less};
use crate::map::{Map, Name};
use crate::message::Millis;

/// Places kept in one pool: some 200 bytes each, and 1 KB where each is of another end
/// user.
const KEPT_MAX: usize = 8_192;
/// And for one tenant: a flood does not take all of them.
const OF_TENANT_MAX: u64 = 2_048;
/// Tenants of which is remembered how many come, 20 bytes each. Beyond, all is learned
/// anew, in a few requests.
const TENANTS_MAX: usize = 1_024;
/// For so much of the time that it was told one is about to come, before and after:
/// what was expected was about right, and some spread their retries.
const ABOUT: Millis = 8;
/// It is given up later by this, for its timer and its way.
const LATE_MS: Millis = 1_000;
/// So many at most, half of them at least, tell how many come.
const MEMORY: u8 = 64;
/// The longest of a short time: any official SDK comes back by itself when it is told
/// to within it (`openai` for JavaScript waits no longer; `@anthropic-ai/sdk` 1.13.0 and
/// `anthropic` 2.13.0 for Python wait any length, but those who called them may not).
const SHORT_MS: Millis = 60_000;

/// Amounts of those who were told a short time, and of the others.
pub(super) type Away = [Three; 2];

/// A place that is kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kept {
    /// The request that was refused.
    pub(crate) by: Name,
    /// By which it is known again: who comes back sends the same request.
    pub(crate) size: Three,
    /// When it first asked.
    pub(crate) asked: Millis,
    /// When it was told to come.
    pub(crate) due: Millis,
    /// It waited before, and stands about first.
    pub(crate) is_first: bool,
}

/// Whose it is, and what it needs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Absentee {
    pub(super) class: usize,
    pub(super) tenant: Index,
    pub(super) line: Line,
    pub(super) place: Kept,
    pub(super) rates: Three,
    /// 0 where the time that it was told is short, else 1.
    pub(super) group: usize,
    /// It was about to come when it left.
    pub(super) is_soon: bool,
}

/// What the requests of a line, a tenant or a priority need.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Needs {
    /// Those that wait.
    pub(super) here: Three,
    /// Those that are to come back,
    pub(super) away: Away,
    /// of these what is expected to be asked for, of a tenant or a priority,
    pub(super) expected: Three,
    /// and those that stand about first.
    pub(super) first: Three,
}

impl Needs {
    /// How many places are kept: each is for a request.
    pub(super) fn kept(&self) -> u64 {
        self.away[0][0] + self.away[1][0]
    }

    /// What of them goes before a newcomer, or before one that is back at its place.
    pub(super) fn before(&self, is_back: bool) -> Three {
        let mut before = self.here;
        add(&mut before, if is_back { &self.first } else { &self.expected });
        before
    }

    pub(super) fn keep(&mut self, absentee: &Absentee) {
        add(&mut self.away[absentee.group], &absentee.rates);
        if absentee.place.is_first {
            add(&mut self.first, &absentee.rates);
        }
    }

    pub(super) fn give_up(&mut self, absentee: &Absentee) {
        let away = &mut self.away[absentee.group];
        *away = less(away, &absentee.rates);
        if absentee.place.is_first {
            self.first = less(&self.first, &absentee.rates);
        }
    }
}

/// From when one is about to come until it is given up.
type Span = (Millis, Millis);

/// All of one pool.
#[derive(Clone, Debug, Default)]
pub(super) struct Absentees {
    all: Map<u64, (Absentee, Span)>,
    /// By the request that was refused.
    names: Map<Name, u64>,
    /// Who is not about to come yet, and when it will be.
    later: BTreeSet<(Millis, u64)>,
    /// When each is given up.
    ends: BTreeSet<(Millis, u64)>,
    numbers: u64,
    /// By tenant, packed: this map's code is there already.
    comers: Map<u64, u64>,
}

/// Who came of late, of how many.
#[derive(Clone, Copy, Debug)]
struct Comers {
    came: u8,
    of: u8,
}

impl Absentees {
    /// 0 for a short time.
    pub(super) fn group(told: Millis) -> usize {
        usize::from(told > SHORT_MS)
    }

    /// Its number; none: too many are away.
    pub(super) fn add(&mut self, absentee: &Absentee, of_tenant: u64, now: Millis) -> Option<u64> {
        if self.all.len() >= KEPT_MAX || of_tenant >= OF_TENANT_MAX {
            return None;
        }
        self.numbers += 1;
        let due = absentee.place.due;
        let part = due.saturating_sub(now) / ABOUT;
        let (from, until) = (due - part, due.saturating_add(LATE_MS + part));
        self.all.insert(self.numbers, (*absentee, (from, until)));
        self.names.insert(absentee.place.by, self.numbers);
        self.later.insert((from, self.numbers));
        self.ends.insert((until, self.numbers));
        Some(self.numbers)
    }

    /// It came; too early, that tells nothing yet.
    pub(super) fn came(&mut self, number: u64, is_early: bool) -> Option<Absentee> {
        let absentee = self.remove(number)?;
        if !is_early {
            self.learn(&absentee, 1);
        }
        Some(absentee)
    }

    fn remove(&mut self, number: u64) -> Option<Absentee> {
        let (absentee, (from, until)) = self.all.remove(&number)?;
        self.names.remove(&absentee.place.by);
        self.ends.remove(&(until, number));
        Some(Absentee { is_soon: !self.later.remove(&(from, number)), ..absentee })
    }

    /// The next one that is about to come.
    pub(super) fn comes(&mut self, now: Millis) -> Option<Absentee> {
        let (from, number) = *self.later.first().filter(|(from, _)| *from <= now)?;
        self.later.remove(&(from, number));
        self.all.get(&number).map(|(absentee, _)| *absentee)
    }

    /// The next one that did not come.
    pub(super) fn missing(&mut self, now: Millis) -> Option<(u64, Absentee)> {
        let (_, number) = *self.ends.first().filter(|(until, _)| *until <= now)?;
        let absentee = self.remove(number)?;
        self.learn(&absentee, 0);
        Some((number, absentee))
    }

    pub(super) fn of_name(&self, name: Name) -> Option<Kept> {
        let (absentee, _) = self.all.get(self.names.get(&name)?)?;
        Some(absentee.place)
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// When the last one is given up.
    pub(super) fn last_until(&self) -> Millis {
        self.ends.last().map_or(0, |(until, _)| *until)
    }

    /// Whether one is about to come by then.
    pub(super) fn awaits(&self, until: Millis) -> bool {
        self.later.len() < self.all.len()
            || self.later.first().is_some_and(|(from, _)| *from <= until)
    }

    fn learn(&mut self, absentee: &Absentee, came: u8) {
        let mut comers = self.comers(absentee.tenant);
        comers[absentee.group].learn(came);
        if self.comers.len() >= TENANTS_MAX {
            self.comers.clear();
        }
        let [short, long] = comers.map(|Comers { came, of }| u64::from(came) << 8 | u64::from(of));
        self.comers.insert(absentee.tenant as u64, short << 16 | long);
    }

    fn comers(&self, tenant: Index) -> [Comers; 2] {
        // Who was told long counts only once somebody came at all: were more expected
        // than come, nobody would wait here for what they leave.
        let none = [Comers { came: 1, of: 1 }, Comers { came: 0, of: 0 }];
        self.comers.get(&(tenant as u64)).map_or(none, |packed| {
            let [.., came, of, came_long, of_long] = packed.to_be_bytes();
            [Comers { came, of }, Comers { came: came_long, of: of_long }]
        })
    }

    /// What of the needs of those of a tenant who are away is expected to be asked for.
    pub(super) fn expected(&self, tenant: Index, away: &Away) -> Three {
        self.supposed(tenant, away, false)
    }

    /// The same, `or_all` of those who were told a long time where nothing is known of any.
    pub(super) fn supposed(&self, tenant: Index, away: &Away, or_all: bool) -> Three {
        let [of_short, of_long] = self.comers(tenant);
        let long_is_known = of_long.of > 0 || of_short.of == 1 && !or_all;
        let short = of_short.expected(&away[0]);
        let long = if long_is_known { of_long } else { of_short }.expected(&away[1]);
        std::array::from_fn(|kind| short[kind].saturating_add(long[kind]))
    }
}

impl Comers {
    fn learn(&mut self, came: u8) {
        if self.of >= MEMORY {
            *self = Self { came: self.came / 2, of: self.of / 2 };
        }
        *self = Self { came: self.came + came, of: self.of + 1 };
    }

    fn expected(&self, away: &Three) -> Three {
        away.map(|away| away.saturating_mul(self.came.into()) / u64::from(self.of.max(1)))
    }
}

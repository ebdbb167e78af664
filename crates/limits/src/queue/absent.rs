//! Who was refused and told when to come back.
//!
//! They keep when they first asked, and newcomers of their line are told as if they
//! stood before them. Nothing is held for them until they are about to come: then
//! newcomers leave them room. Not everybody comes back: how many do is learned, of
//! those who were told a short time and of the others.

use std::collections::BTreeSet;

use super::{Index, Line};
use crate::amounts::{Three, add, less};
use crate::map::Map;
use crate::message::Millis;

/// Places kept in one pool: some 200 bytes each, and 1 KB where each is of another end
/// user.
const KEPT_MAX: usize = 8_192;
/// And for one tenant: a flood does not take all of them.
const OF_TENANT_MAX: u64 = 2_048;
/// For so much of the time that it was told one is about to come, before and after:
/// what was expected was about right, and some spread their retries.
const ABOUT: Millis = 8;
/// It is given up later by this, for its timer and its way.
const LATE_MS: Millis = 1_000;
/// So many at most, half of them at least, tell how many come.
const MEMORY: u64 = 64;
/// The longest of a short time: any official SDK comes back by itself when it is told
/// to within it (`openai` for JavaScript waits no longer; `@anthropic-ai/sdk` 1.13.0 and
/// `anthropic` 2.13.0 for Python wait any length, but those who called them may not).
const SHORT_MS: Millis = 60_000;

/// Amounts of those who were told a short time, and of the others.
pub(super) type Away = [Three; 2];

/// A place that is kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kept {
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
    /// and of these, those that stand about first.
    first: Three,
}

impl Needs {
    /// How many places are kept: each is for a request.
    pub(super) fn kept(&self) -> u64 {
        self.away[0][0] + self.away[1][0]
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
#[derive(Clone, Debug)]
pub(super) struct Absentees {
    all: Map<u64, (Absentee, Span)>,
    /// Who is not about to come yet, and when it will be.
    later: BTreeSet<(Millis, u64)>,
    /// When each is given up.
    ends: BTreeSet<(Millis, u64)>,
    numbers: u64,
    comers: [Comers; 2],
}

/// Who came of late, of how many.
#[derive(Clone, Copy, Debug)]
struct Comers {
    came: u64,
    of: u64,
}

impl Default for Absentees {
    fn default() -> Self {
        // Who was told long counts only once somebody came at all: were more expected
        // than come, nobody would wait here for what they leave.
        let comers = [Comers { came: 1, of: 1 }, Comers { came: 0, of: 0 }];
        Self {
            all: Map::default(),
            later: BTreeSet::new(),
            ends: BTreeSet::new(),
            numbers: 0,
            comers,
        }
    }
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
        self.later.insert((from, self.numbers));
        self.ends.insert((until, self.numbers));
        Some(self.numbers)
    }

    /// It came.
    pub(super) fn came(&mut self, number: u64) -> Option<Absentee> {
        self.remove(number).inspect(|absentee| self.comers[absentee.group].learn(1))
    }

    fn remove(&mut self, number: u64) -> Option<Absentee> {
        let (absentee, (from, until)) = self.all.remove(&number)?;
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
        self.comers[absentee.group].learn(0);
        Some((number, absentee))
    }

    /// What of some needs goes before a newcomer, or before one that is back at its
    /// place.
    pub(super) fn before(&self, needs: &Needs, is_back: bool) -> Three {
        let mut before = needs.here;
        match is_back {
            true => add(&mut before, &needs.first),
            false => add(&mut before, &self.expected(&needs.away)),
        }
        before
    }

    /// What of the needs of those who are away is expected to be asked for.
    pub(super) fn expected(&self, away: &Away) -> Three {
        let [of_short, of_long] = self.comers;
        let long_is_known = of_long.of > 0 || of_short.of == 1;
        let short = of_short.expected(&away[0]);
        let long = if long_is_known { of_long } else { of_short }.expected(&away[1]);
        std::array::from_fn(|kind| short[kind].saturating_add(long[kind]))
    }
}

impl Comers {
    fn learn(&mut self, came: u64) {
        if self.of >= MEMORY {
            *self = Self { came: self.came / 2, of: self.of / 2 };
        }
        *self = Self { came: self.came + came, of: self.of + 1 };
    }

    fn expected(&self, away: &Three) -> Three {
        away.map(|away| away.saturating_mul(self.came) / self.of.max(1))
    }
}

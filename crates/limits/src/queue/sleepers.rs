//! Who waits for a limit of its own, by time and by limit.
//!
//! Nobody looks in between: the limit's refill is known in advance, and what a
//! request gives back at its end wakes the one that has slept longest for it.

use std::collections::BTreeSet;

use super::{Index, Line};
use crate::budgets::Lists;
use crate::gate::ScopeId;
use crate::map::Map;
use crate::message::Millis;

/// What is shut for those whose size decides: a budget's kind, and the list that it is
/// of. The default: anything, for those who have slept longest.
pub(super) type Shutter = (&'static str, Lists);

/// A line, or a whole tenant, that sleeps.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sleeper {
    pub(super) class: usize,
    pub(super) tenant: Index,
    /// None: the whole tenant.
    pub(super) line: Option<Line>,
    /// Whose limit is shut.
    pub(super) scope: ScopeId,
    /// The budget of which others hold too much for it, and what it needs of that:
    /// another that needs less may go.
    pub(super) held: Option<(Shutter, u64)>,
    /// When it opens by itself; `MAX`: not.
    pub(super) until: Millis,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Sleepers {
    all: Map<u64, Sleeper>,
    by_time: BTreeSet<(Millis, u64)>,
    /// By what is shut and what is needed of it; all also by no more than their numbers.
    by_scope: BTreeSet<(ScopeId, usize, Shutter, u64, u64)>,
    numbers: u64,
}

impl Sleepers {
    /// Its number: the longer it sleeps the lower.
    pub(super) fn add(&mut self, sleeper: Sleeper) -> u64 {
        self.numbers += 1;
        if sleeper.until < Millis::MAX {
            self.by_time.insert((sleeper.until, self.numbers));
        }
        let Sleeper { class, scope, held, .. } = sleeper;
        self.by_scope.insert((scope, class, Shutter::default(), 0, self.numbers));
        if let Some((shutter, needs)) = held {
            self.by_scope.insert((scope, class, shutter, needs, self.numbers));
        }
        self.all.insert(self.numbers, sleeper);
        self.numbers
    }

    pub(super) fn remove(&mut self, number: u64) -> Option<Sleeper> {
        let sleeper = self.all.remove(&number)?;
        self.by_time.remove(&(sleeper.until, number));
        let Sleeper { class, scope, held, .. } = sleeper;
        self.by_scope.remove(&(scope, class, Shutter::default(), 0, number));
        if let Some((shutter, needs)) = held {
            self.by_scope.remove(&(scope, class, shutter, needs, number));
        }
        Some(sleeper)
    }

    pub(super) fn get(&self, number: u64) -> Option<&Sleeper> {
        self.all.get(&number)
    }

    pub(super) fn first_at(&self) -> Option<Millis> {
        self.by_time.first().map(|(until, _)| *until)
    }

    /// Takes out one whose time has come.
    pub(super) fn due(&mut self, now: Millis) -> Option<Sleeper> {
        let (_, number) = *self.by_time.first().filter(|(until, _)| *until <= now)?;
        self.remove(number)
    }

    /// Takes out the one of a class that is next to look at what came back of a scope's
    /// limits, and tells what is shut for it: of those after `shutter` where that is
    /// still shut, and of its own else, who needs least. At first who has slept longest.
    pub(super) fn next_of(
        &mut self,
        scope: ScopeId,
        class: usize,
        shutter: Shutter,
        is_shut: bool,
    ) -> Option<(Sleeper, Shutter)> {
        let from = if is_shut { u64::MAX } else { 0 };
        let mut after = self.by_scope.range((scope, class, shutter, from, from)..);
        let (of, its, shutter, _, number) = *after.next()?;
        let is_of = (of, its) == (scope, class);
        if !is_of {
            return None;
        }
        Some((self.remove(number)?, shutter))
    }

    /// Takes out all of one tenant.
    pub(super) fn of_tenant(&mut self, tenant: Index) -> Vec<Sleeper> {
        let its = self.all.iter().filter(|(_, sleeper)| sleeper.tenant == tenant);
        // Whoever has slept longest first, whatever the map's order.
        let mut numbers = BTreeSet::new();
        numbers.extend(its.map(|(number, _)| *number));
        numbers.into_iter().filter_map(|number| self.remove(number)).collect()
    }
}

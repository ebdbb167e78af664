//! Who waits for a limit of its own, by time and by limit.
//!
//! Nobody looks in between: the limit's refill is known in advance, and what a
//! request gives back at its end wakes the one that has slept longest for it.

use std::collections::BTreeSet;

use super::{Index, Line};
use crate::gate::ScopeId;
use crate::map::Map;
use crate::message::Millis;

/// A line, or a whole tenant, that sleeps.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sleeper {
    pub(super) class: usize,
    pub(super) tenant: Index,
    /// None: the whole tenant.
    pub(super) line: Option<Line>,
    /// Whose limit is shut.
    pub(super) scope: ScopeId,
    /// When it opens by itself; `MAX`: not.
    pub(super) until: Millis,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Sleepers {
    all: Map<u64, Sleeper>,
    by_time: BTreeSet<(Millis, u64)>,
    by_scope: BTreeSet<(ScopeId, usize, u64)>,
    numbers: u64,
}

impl Sleepers {
    /// Its number: the longer it sleeps the lower.
    pub(super) fn add(&mut self, sleeper: Sleeper) -> u64 {
        self.numbers += 1;
        if sleeper.until < Millis::MAX {
            self.by_time.insert((sleeper.until, self.numbers));
        }
        self.by_scope.insert((sleeper.scope, sleeper.class, self.numbers));
        self.all.insert(self.numbers, sleeper);
        self.numbers
    }

    pub(super) fn remove(&mut self, number: u64) -> Option<Sleeper> {
        let sleeper = self.all.remove(&number)?;
        self.by_time.remove(&(sleeper.until, number));
        self.by_scope.remove(&(sleeper.scope, sleeper.class, number));
        Some(sleeper)
    }

    pub(super) fn scope(&self, number: u64) -> Option<ScopeId> {
        self.all.get(&number).map(|sleeper| sleeper.scope)
    }

    pub(super) fn first_at(&self) -> Option<Millis> {
        self.by_time.first().map(|(until, _)| *until)
    }

    /// Takes out one whose time has come.
    pub(super) fn due(&mut self, now: Millis) -> Option<Sleeper> {
        let (_, number) = *self.by_time.first().filter(|(until, _)| *until <= now)?;
        self.remove(number)
    }

    /// Takes out the one of a class that has slept longest for a scope's limits.
    pub(super) fn first_of(&mut self, scope: ScopeId, class: usize) -> Option<Sleeper> {
        let (of, its, number) = *self.by_scope.range((scope, class, 0)..).next()?;
        if (of, its) == (scope, class) { self.remove(number) } else { None }
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

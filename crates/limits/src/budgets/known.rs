//! What the Gate knows beside a budget's own words: time zones, and which lists of
//! models there are.

use std::sync::Arc;

use crate::map::ByName;
use crate::message::Millis;
use crate::policy::{Budget, LISTS_MAX, allows};
use crate::window::Zone;

/// Which lists of models a request's model is on, by the Gate's numbers for them;
/// above [`LISTS_MAX`], which of its visitor's tokens it was asked with.
pub(crate) type Lists = u128;

/// What the Gate knows beside a budget's own words.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    /// By name, with the time until which they are known; one that was not told is
    /// taken for UTC.
    pub(crate) zones: ByName<(Arc<Zone>, Millis)>,
    /// Lists of models that budgets are for; an empty one was given up, and its bit is free.
    lists: Vec<Vec<String>>,
}

impl Known {
    /// Gives each budget's list of models its bit.
    pub(crate) fn learn(&mut self, budgets: &[Budget]) {
        for Budget { models, .. } in budgets {
            if models.is_empty() || self.lists.contains(models) {
                continue;
            }
            if let Some(free) = self.lists.iter_mut().find(|list| list.is_empty()) {
                free.clone_from(models);
            } else if self.lists.len() < LISTS_MAX {
                self.lists.push(models.clone());
            }
        }
    }

    /// Whether another list has no bit.
    pub(crate) fn is_full(&self) -> bool {
        self.lists.len() == LISTS_MAX && self.lists.iter().all(|list| !list.is_empty())
    }

    /// Gives up the lists that no budget is for any more. What was granted under one counts
    /// for the next that has its bit: too much, never too little.
    pub(crate) fn forget(&mut self, is_used: impl Fn(&Vec<String>) -> bool) {
        self.lists.iter_mut().filter(|list| !is_used(list)).for_each(Vec::clear);
    }

    /// The lists that a model is on.
    pub(crate) fn lists_of(&self, model: &str) -> Lists {
        let lists = self.lists.iter().enumerate().filter(|(_, list)| !list.is_empty());
        let on = lists.filter(|(_, list)| allows(list, model));
        on.fold(0, |lists, (bit, _)| lists | 1 << bit)
    }

    /// The same anew for a request that was on `before`: a token's stays.
    pub(crate) fn relisted(&self, model: &str, before: Lists) -> Lists {
        self.lists_of(model) | before >> LISTS_MAX << LISTS_MAX
    }

    /// The bit of a list; zero, every request's, for none and for one too many.
    pub(super) fn list(&self, models: &[String]) -> Lists {
        let at = self.lists.iter().position(|list| !models.is_empty() && list == models);
        at.map_or(0, |bit| 1 << bit)
    }

    /// The models of a list; none of every request's.
    pub(crate) fn models_of(&self, list: Lists) -> &[String] {
        let bit = list.trailing_zeros() as usize;
        self.lists.get(bit).map_or(&[], Vec::as_slice)
    }

    pub(super) fn zone(&self, name: &str) -> Arc<Zone> {
        self.zones.get(name).map(|known| known.0.clone()).unwrap_or_default()
    }
}

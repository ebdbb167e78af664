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
    /// Lists of models that budgets are for.
    lists: Vec<Vec<String>>,
}

impl Known {
    /// Gives each budget's list of models its bit.
    pub(crate) fn learn(&mut self, budgets: &[Budget]) {
        for Budget { models, .. } in budgets {
            let is_new = !models.is_empty() && !self.lists.contains(models);
            if is_new && self.lists.len() < LISTS_MAX {
                self.lists.push(models.clone());
            }
        }
    }

    /// The lists that a model is on.
    pub(crate) fn lists_of(&self, model: &str) -> Lists {
        let on = self.lists.iter().enumerate().filter(|(_, list)| allows(list, model));
        on.fold(0, |lists, (bit, _)| lists | 1 << bit)
    }

    /// The bit of a list; zero, every request's, for none and for one too many.
    pub(super) fn list(&self, models: &[String]) -> Lists {
        self.lists.iter().position(|list| list == models).map_or(0, |bit| 1 << bit)
    }

    pub(super) fn zone(&self, name: &str) -> Arc<Zone> {
        self.zones.get(name).map(|known| known.0.clone()).unwrap_or_default()
    }
}

//! How fast turns come.
//!
//! A tenant with a backlog has what the pool's limit, higher priorities and those
//! with less to ask leave it. None of it needs to be known: the clock of turns goes
//! on by what such a tenant is served, over its weight.

use crate::message::Millis;

/// What is older than this to twice this weighs less: long enough to tell a rate by,
/// and some requests' lifetime.
const MEMORY_MS: Millis = 64_000;
/// Before so much was seen it tells nothing.
const LEAST_MS: Millis = MEMORY_MS / 8;

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pace {
    /// So far the clock went on,
    turns: u64,
    /// while somebody waited for so long.
    ms: Millis,
}

impl Pace {
    /// Somebody waited.
    pub(super) fn waited(&mut self, span: Millis) {
        self.ms = self.ms.saturating_add(span);
        if self.ms > MEMORY_MS {
            *self = Self { turns: self.turns / 2, ms: self.ms / 2 };
        }
    }

    /// A turn came to one that waited.
    pub(super) fn went_on(&mut self, turns: u64) {
        self.turns = self.turns.saturating_add(turns);
    }

    /// How long so many turns take; 0 where nothing was seen.
    pub(super) fn span(&self, turns: u64) -> Millis {
        if self.ms < LEAST_MS || self.turns == 0 {
            return 0;
        }
        let span = u128::from(turns) * u128::from(self.ms) / u128::from(self.turns);
        u64::try_from(span).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pace_is_of_late_and_unknown_at_first() {
        let mut pace = Pace::default();
        assert_eq!(pace.span(1_000), 0);
        for _ in 0..1_000 {
            pace.waited(1_000);
            pace.went_on(10);
        }
        assert!((58_000..=60_000).contains(&pace.span(600)), "{}", pace.span(600));
        for _ in 0..300 {
            pace.waited(1_000);
            pace.went_on(20);
        }
        assert!((29_000..=30_200).contains(&pace.span(600)), "{}", pace.span(600));
    }
}

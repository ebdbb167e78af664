//! Places of a concurrency limit that were taken before a restart.
//!
//! Who holds them tells that it runs, or how it ended, and is counted by itself from then
//! on. Until each isolate has told, nobody knows which of the others are free, and a place
//! that is given away twice is one too many for the provider: rate limits forget sooner
//! (`restart`), for a few tokens are not.

use crate::message::Millis;

/// By then whoever runs has told: a Worker renews a ticket after 30 s at a beat of 5 s
/// (edge/js/carry.mjs), and a call takes at most 2 s (invariant 11). The rest is for
/// timers that ring late.
pub(crate) const TOLD_MS: Millis = 40_000;
/// Most tell in the first seconds: then the row is written anew, so that the next restart
/// waits no longer for those that were silent.
const MOST_TOLD_MS: Millis = 7_000;

/// As rows hold them: until when, and how many; until 0 are those that were known to run.
pub(crate) type Row = Vec<(Millis, u64)>;

/// Places that somebody may hold of whom nothing is known.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    silent: Row,
    /// How many are taken by the stored row.
    stored: u64,
    /// When to store one although no more are taken.
    stores_at: Millis,
}

impl Default for Places {
    fn default() -> Self {
        Self { silent: Row::new(), stored: 0, stores_at: Millis::MAX }
    }
}

impl Places {
    /// As a Gate that `started` then finds them.
    pub(crate) fn restored(row: &[(Millis, u64)], started: Millis) -> Self {
        let until = |until| if until == 0 { started + TOLD_MS } else { until };
        let silent = row.iter().map(|&(at, count)| (until(at), count)).collect();
        let stored = row.iter().map(|(_, count)| count).sum();
        let stores_at = if stored > 0 { started + MOST_TOLD_MS } else { Millis::MAX };
        Self { silent, stored, stores_at }
    }

    /// How many may be taken beside those that are known.
    pub(crate) fn silent(&self, now: Millis) -> u64 {
        self.silent.iter().filter(|(until, _)| *until > now).map(|(_, count)| count).sum()
    }

    /// When the first of them are given up.
    pub(crate) fn given_up_at(&self, now: Millis) -> Option<Millis> {
        self.silent.iter().map(|(until, _)| *until).filter(|until| *until > now).min()
    }

    /// One told that it runs, or how it ended. Which is not known: most that tell were known
    /// to the Gate before. Counted as the eldest, a lost request's place would be handed on
    /// from restart to restart, and with one each half minute never come back.
    pub(crate) fn told(&mut self, now: Millis) {
        self.silent.retain(|(until, count)| *until > now && *count > 0);
        if let Some((_, count)) = self.silent.iter_mut().max_by_key(|(until, _)| *until) {
            *count -= 1;
        }
    }

    /// Whether a row must be stored before more is given away; `open` are known to run.
    pub(crate) fn must_store(&self, open: u64, now: Millis) -> bool {
        open + self.silent(now) > self.stored || now >= self.stores_at
    }

    /// Whether the stored row says that more are taken than are.
    pub(crate) fn is_loose(&self, open: u64, now: Millis) -> bool {
        open + self.silent(now) < self.stored
    }

    /// The row to store.
    pub(crate) fn row(&mut self, open: u64, now: Millis) -> Row {
        if now >= self.stores_at {
            self.stores_at = Millis::MAX;
        }
        self.stored = open + self.silent(now);
        let mut row = self.silent.clone();
        row.push((0, open));
        row.retain(|(until, count)| *count > 0 && (*until == 0 || *until > now));
        row
    }
}

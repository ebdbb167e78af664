//! The provider's prompt cache, as far as limits see it: one prompt a flow, whose
//! beginning is written by the first and read by those after it.

use limits::message::{Millis, Tokens};

use super::World;

/// An entry lives so long after its last use (docs, prompt caching, 2026-10).
const TTL_MS: Millis = 300_000;

/// One flow's entry: readable from the first time to the second.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Entry {
    since: Millis,
    until: Millis,
}

impl World<'_> {
    /// What of a request's input counts, if the provider takes it now.
    pub(super) fn counted(&self, index: usize) -> Tokens {
        let request = &self.requests[index];
        let Entry { since, until } = self.cache[request.flow];
        if (since..until).contains(&self.now) { request.counted } else { request.input }
    }

    /// The provider took a request, whose response begins then.
    pub(super) fn cache(&mut self, index: usize, begins: Millis) {
        let entry = &mut self.cache[self.requests[index].flow];
        if self.now >= entry.until {
            entry.since = begins;
        }
        entry.until = self.now + TTL_MS;
    }
}

//! A request at the provider: taken or refused, generating, over.

use super::{CHUNK_MS, Happens, START, World};
use crate::scenario::Fault;

impl World<'_> {
    /// A request reaches the provider.
    pub(super) fn upstream(&mut self, index: usize) {
        self.report.attempts += 1;
        let counted = self.counted(index);
        let max_tokens = self.scenario.flows[self.requests[index].flow].max_tokens;
        let started = self.provider.start(self.now, counted, max_tokens);
        let levels = self.provider.levels(self.now);
        let first = match started {
            Ok(()) => {
                self.report.used(self.now - START, [1, counted, 0]);
                self.started(index);
                let first = self.chance.between(200, 1_200);
                self.cache(index, self.now + first);
                self.requests[index].counted = counted;
                first
            }
            Err(_) => 0,
        };
        let dies = |fault: &Fault| match fault {
            Fault::IsolateDies(permille) => Some(*permille),
            _ => None,
        };
        if let Some(permille) = self.scenario.faults.iter().find_map(dies) {
            self.requests[index].dead |= self.chance.is(permille);
        }
        let at = self.now + first + self.latency();
        self.at(at, Happens::Head(index, started.err(), Box::new(levels)));
        if started.is_ok() {
            self.at(self.now + first + CHUNK_MS, Happens::Generate(index));
            self.at(self.now + self.scenario.renew_ms, Happens::Renew(index));
        }
    }

    /// The provider generates one more chunk.
    pub(super) fn generate(&mut self, index: usize) {
        let leaves = self.scenario.flows[self.requests[index].flow].leave_permille;
        let request = &mut self.requests[index];
        let tokens = request.speed.min(request.output - request.generated);
        request.generated += tokens;
        self.provider.generate(self.now, tokens);
        let flow = request.flow;
        self.report.used(self.now - START, [0, 0, tokens]);
        self.report.flows[flow].served[2] += tokens;
        // Spread over the chunks of a mean answer.
        let has_left = leaves > 0 && self.chance.is(leaves.div_ceil(20));
        if self.requests[index].generated < self.requests[index].output && !has_left {
            self.at(self.now + CHUNK_MS, Happens::Generate(index));
            return;
        }
        let max_tokens = self.scenario.flows[flow].max_tokens;
        self.provider.finish(self.now, max_tokens, self.requests[index].generated);
        self.finish(index);
    }
}

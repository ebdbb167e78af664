//! The Gate's shell: stores its rows, sends its answers, parks polls, keeps its
//! one timer.

use limits::message::Reply;
use limits::{Answer, Input, Output};

use super::{Happens, SLICE_MS, World, index_of, ticket};

impl World<'_> {
    /// The Gate's shell: steps the machine, sends what it answers.
    pub(super) fn reach_gate(&mut self, input: Input, asker: Option<usize>) {
        self.report.calls += 1;
        let is_poll = matches!(input, Input::Poll(_));
        let output = self.step(input);
        let Some(index) = asker else { return };
        match output.reply {
            Answer::Reply(reply) => self.deliver(index, reply),
            Answer::Parked => {
                assert!(is_poll, "{}: only polls are parked", self.scenario.seed);
                self.number += 1;
                let slice = self.number;
                self.parked.insert(ticket(index), slice);
                self.at(self.now + SLICE_MS, Happens::SliceOver(ticket(index), slice));
            }
            other => panic!("seed {}: a call was answered {other:?}", self.scenario.seed),
        }
    }

    fn deliver(&mut self, index: usize, reply: Reply) {
        let (at, attempt) = (self.now + self.latency(), self.requests[index].attempt);
        self.at(at, Happens::FromGate(index, attempt, Box::new(reply)));
    }

    /// One step of the machine, and what the shell owes it.
    pub(super) fn step(&mut self, input: Input) -> Output {
        let mut output = self.gate.handle(self.now, input);
        for write in output.writes.drain(..) {
            self.report.rows += 1;
            assert!(write.key.len() <= 512);
            match write.value {
                Some(value) => self.rows.insert(write.key, value),
                None => self.rows.remove(&write.key),
            };
        }
        for (ticket, reply) in std::mem::take(&mut output.answers) {
            let waited = self.parked.remove(&ticket);
            assert!(waited.is_some(), "seed {}: {ticket} was not parked", self.scenario.seed);
            self.deliver(index_of(&ticket), reply);
        }
        if let Some(at) = output.wake_at {
            assert!(at > self.now, "seed {}: a timer in the past", self.scenario.seed);
            self.timer += 1;
            self.at(at, Happens::GateTimer(self.timer));
        }
        if self.steps.is_multiple_of(64) {
            self.check();
        }
        output
    }
}

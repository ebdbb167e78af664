//! The Gate's shell: stores its rows, sends its answers, parks polls, keeps its
//! one timer.

use limits::message::Reply;
use limits::{Answer, Input, Output};

use super::{Happens, World};

/// The slice that a call is parked for.
const SLICE_MS: u64 = 10_000;

/// A call parked in the Gate.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parked {
    /// The number of its slice: polls of one ticket follow each other.
    pub(super) slice: u64,
    /// Whose request.
    pub(super) index: usize,
}

impl World<'_> {
    /// The Gate's shell: steps the machine, sends what it answers.
    pub(super) fn reach_gate(&mut self, input: Input, asker: Option<usize>) {
        self.report.calls += 1;
        if let (Input::Poll(_), Some(index)) = (&input, asker) {
            // Parked before the step, for it may be decided within it.
            self.number += 1;
            let parked = Parked { slice: self.number, index };
            self.parked.insert(self.requests[index].ticket.clone(), parked);
        }
        let output = self.step(input);
        let Some(index) = asker else { return };
        let ticket = self.requests[index].ticket.clone();
        match output.reply {
            Answer::Reply(reply) => {
                self.parked.remove(&ticket);
                self.deliver(index, reply);
            }
            Answer::Parked => {
                if let Some(Parked { slice, .. }) = self.parked.get(&ticket).copied() {
                    self.at(self.now + SLICE_MS, Happens::SliceOver(ticket, slice));
                }
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
            let Some(Parked { index, .. }) = self.parked.remove(&ticket) else {
                panic!("seed {}: {ticket} was not parked", self.scenario.seed)
            };
            self.deliver(index, reply);
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

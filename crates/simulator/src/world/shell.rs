//! The Gate's shell: stores its rows, sends its answers, parks polls, keeps its
//! one timer.

use limits::message::{Decision, Reply, TicketId, VERSION};
use limits::{Answer, Input, Output};

use super::{Happens, Message, World};

/// The slice that a call is parked for.
const SLICE_MS: u64 = 10_000;
/// After this the Worker gives a lost reply up.
const SILENCE_MS: u64 = 2_000;

/// A call parked in the Gate.
#[derive(Clone, Debug)]
pub(super) struct Parked {
    /// The number of its slice: polls of one ticket follow each other.
    pub(super) slice: u64,
    /// Whose request, and the number of its asking.
    pub(super) asker: (usize, u32),
    /// The call, where its reply will be lost.
    lost: Option<Box<Message>>,
}

impl World<'_> {
    /// The Gate's shell: steps the machine, sends what it answers.
    pub(super) fn reach_gate(&mut self, message: Message) {
        self.report.calls += 1;
        let lost = message.loses_reply.then(|| Box::new(message.clone()));
        let Message { input, asker, isolate, .. } = message;
        let Some(asker) = asker else {
            let reply = self.step(input).reply;
            if let Some(message) = lost {
                self.at(self.now + SILENCE_MS, Happens::Unanswered(message));
            } else if let Answer::Reply(Reply { started_ms, .. }) = reply
                && started_ms != self.isolates[isolate].gate_started
            {
                let at = self.now + self.latency();
                self.at(at, Happens::Heard(isolate, started_ms));
            }
            return;
        };
        let (Input::Call(call) | Input::Poll(call)) = &input else {
            panic!("only calls are asked")
        };
        let ticket = call.admit.as_ref().map(|admit| admit.ticket.clone()).unwrap_or_default();
        let Output { reply, answers, .. } = self.advance(input);
        if reply == Answer::Parked {
            // It may have been decided within the step.
            self.park(ticket, asker, lost.clone());
        }
        self.give(answers);
        match reply {
            Answer::Reply(reply) => self.deliver(asker, reply, lost),
            Answer::Parked => {}
            other => panic!("seed {}: a call was answered {other:?}", self.scenario.seed),
        }
    }

    fn park(&mut self, ticket: String, asker: (usize, u32), lost: Option<Box<Message>>) {
        // A client asks once at a time: an older call of its is over.
        self.unpark(&ticket);
        self.slices += 1;
        self.at(self.now + SLICE_MS, Happens::SliceOver(ticket.clone(), self.slices));
        self.parked.insert(ticket, Parked { slice: self.slices, asker, lost });
    }

    /// Whoever is still parked is to ask again.
    pub(super) fn unpark(&mut self, ticket: &str) {
        let Some(Parked { asker, lost, .. }) = self.parked.remove(ticket) else { return };
        let started_ms = self.isolates[self.requests[asker.0].isolate].gate_started;
        let decision = Some(Decision::Queued { wait_ms: 0 });
        let reply = Reply { v: VERSION, decision, policy: None, lease: None, started_ms };
        self.deliver(asker, reply, lost);
    }

    fn deliver(&mut self, (index, asking): (usize, u32), reply: Reply, lost: Option<Box<Message>>) {
        let at = self.now + self.latency();
        match lost {
            Some(message) => self.at(self.now + SILENCE_MS, Happens::Unanswered(message)),
            None => self.at(at, Happens::FromGate(index, asking, Box::new(reply))),
        }
    }

    /// One step of the machine, and what the shell owes it.
    pub(super) fn step(&mut self, input: Input) -> Output {
        let mut output = self.advance(input);
        self.give(std::mem::take(&mut output.answers));
        output
    }

    fn give(&mut self, answers: Vec<(TicketId, Reply)>) {
        for (ticket, reply) in answers {
            let Some(Parked { asker, lost, .. }) = self.parked.remove(&ticket) else {
                panic!("seed {}: {ticket} was not parked", self.scenario.seed)
            };
            self.deliver(asker, reply, lost);
        }
    }

    /// The same, but that the answers are still to be given.
    fn advance(&mut self, input: Input) -> Output {
        let mut output = self.gate.handle(self.now, input);
        for write in output.writes.drain(..) {
            self.report.rows += 1;
            assert!(write.key.len() <= 512);
            match write.value {
                Some(value) => self.rows.insert(write.key, value),
                None => self.rows.remove(&write.key),
            };
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

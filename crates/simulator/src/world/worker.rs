//! The Worker: each request's way through its isolate, as far as the Gate and the
//! provider see it.

use limits::Input;
use limits::borrow::Size;
use limits::message::{
    Admit, Call, Decision, Event, Millis, Observation, Progress, Reply, Settle, Used, VERSION,
};

use super::traffic::Stage;
use super::{Happens, World};
use crate::provider::Levels;
use crate::scenario::Fault;

/// Price of a token, so that money is checked too.
const INPUT_PRICE: u64 = 3;
const OUTPUT_PRICE: u64 = 15;

impl World<'_> {
    /// A request arrives: it goes by a lent ticket, or asks.
    pub(super) fn arrive(&mut self, index: usize) {
        self.report.asked += 1;
        self.set_stage(index, Stage::Asks);
        let request = &self.requests[index];
        let flow = &self.scenario.flows[request.flow];
        let size = Size {
            input_tokens: request.estimate,
            max_tokens: flow.max_tokens,
            microusd_max: self.microusd_max(index),
        };
        let clock = self.now + self.skew;
        let borrowed = &mut self.isolates[request.isolate].borrowed;
        match borrowed.draw(&flow.tenant, &self.pool, &size, clock) {
            Some(ticket) => {
                self.requests[index].ticket = ticket;
                self.report.drawn += 1;
                self.granted(index);
            }
            None => self.ask(index, false),
        }
    }

    /// Asks the Gate, or polls it, and tells what waited for a call.
    pub(super) fn ask(&mut self, index: usize, is_poll: bool) {
        let admit = Some(self.admit(index, None));
        let clock = self.now + self.skew;
        let request = &mut self.requests[index];
        let tenant = &self.scenario.flows[request.flow].tenant;
        let isolate = &mut self.isolates[request.isolate];
        let events = isolate.take_reports();
        let mut lend = 0;
        if !is_poll && request.attempt == 0 {
            lend = isolate.borrowed.wanted(tenant, &self.pool, clock);
            request.borrows_since = (lend > 0).then_some(clock);
        }
        let call = Call { v: VERSION, admit, events, lend, ..Call::default() };
        let input = if is_poll { Input::Poll(call) } else { Input::Call(call) };
        self.send(input, Some(index));
    }

    pub(super) fn send(&mut self, input: Input, asker: Option<usize>) {
        let at = self.now + self.latency();
        self.at(at, Happens::ToGate(Box::new(input), asker));
    }

    fn admit(&self, index: usize, running: Option<Progress>) -> Admit {
        let request = &self.requests[index];
        let flow = &self.scenario.flows[request.flow];
        Admit {
            ticket: request.ticket.clone(),
            attempt: request.attempt,
            asked_ms: request.asked + self.skew,
            tenant: flow.tenant.clone(),
            user: None,
            key: flow.tenant.clone(),
            pool: self.pool.clone(),
            model: "model".into(),
            priority: flow.priority,
            input_tokens: request.estimate,
            max_tokens: flow.max_tokens,
            microusd_max: self.microusd_max(index),
            patience_ms: request.deadline.saturating_sub(self.now),
            bytes: 4 * request.estimate,
            running,
        }
    }

    /// The most that a request can cost: twice its estimated input, and all of its
    /// output.
    fn microusd_max(&self, index: usize) -> u64 {
        let request = &self.requests[index];
        let flow = &self.scenario.flows[request.flow];
        2 * request.estimate * INPUT_PRICE + flow.max_tokens * OUTPUT_PRICE
    }

    /// A reply reached the Worker.
    pub(super) fn answered(&mut self, index: usize, attempt: u32, reply: &Reply) {
        let seed = self.scenario.seed;
        let slack = 2 * self.scenario.latency_ms.1 + 1;
        let request = &mut self.requests[index];
        if request.dead || request.attempt != attempt || request.stage != Stage::Asks {
            return;
        }
        let late = self.now.saturating_sub(request.deadline);
        assert!(late <= slack, "seed {seed}: request {index} was answered {late} ms late");
        if let Some(asked) = request.borrows_since.take() {
            let tenant = &self.scenario.flows[request.flow].tenant;
            let borrowed = &mut self.isolates[request.isolate].borrowed;
            borrowed.replied(tenant, &self.pool, reply.lease.clone(), asked);
        }
        match reply.decision.as_ref() {
            Some(Decision::Granted { .. }) => self.granted(index),
            Some(Decision::Queued { wait_ms }) => {
                request.told.get_or_insert((*wait_ms, self.now));
                self.ask(index, true);
            }
            Some(Decision::Refused(refusal)) => {
                self.report.count_refusal(refusal.reason);
                self.set_stage(index, Stage::Over);
            }
            None => panic!("seed {seed}: an admit without a decision"),
        }
    }

    /// A request may go: to the provider.
    fn granted(&mut self, index: usize) {
        self.set_stage(index, Stage::Runs);
        let request = &mut self.requests[index];
        if request.granted.replace(self.now).is_none() {
            let tenant = self.scenario.flows[request.flow].tenant.clone();
            let wait = self.now - request.asked;
            self.report.waits.entry(tenant).or_default().add(wait);
            if let Some((told, at)) = request.told {
                self.report.told.push((told, self.now - at));
            }
        }
        request.sent = self.now;
        let at = self.now + self.latency();
        self.at(at, Happens::Upstream(index));
    }

    /// A response's head reaches the Worker.
    pub(super) fn head(&mut self, index: usize, wait: Option<Millis>, levels: Levels) {
        if wait.is_some() {
            self.report.refused_upstream += 1;
        }
        let clock = self.now + self.skew;
        let request = &self.requests[index];
        let (isolate, attempt) = (request.isolate, request.attempt);
        let observation = Observation {
            pool: self.pool.clone(),
            ticket: request.ticket.clone(),
            attempt,
            sent_ms: request.sent + self.skew,
            at_ms: clock,
            status: if wait.is_some() { 429 } else { 200 },
            error_code: None,
            retry_after_ms: wait.map(|wait| wait.div_ceil(1_000) * 1_000),
            requests: Some(levels[0]),
            input: Some(levels[1]),
            output: Some(levels[2]),
        };
        if wait.is_none() {
            if !request.dead && self.isolates[isolate].are_levels_news(clock) {
                self.tell(isolate, Event::Observed(observation));
            }
            return;
        }
        if self.requests[index].lost {
            self.set_stage(index, Stage::Over);
            return;
        }
        self.set_stage(index, Stage::Asks);
        self.isolates[isolate].borrowed.refused(&self.pool, clock);
        self.tell(isolate, Event::Observed(observation));
        let settle = self.settle_of(index, attempt, Used::Nothing);
        self.tell(isolate, Event::Settled(settle));
        let request = &mut self.requests[index];
        request.attempt += 1;
        request.dead = false;
        self.ask(index, false);
    }

    /// An answer is over: what it used is told, unless nobody is left to tell it.
    pub(super) fn finish(&mut self, index: usize) {
        self.set_stage(index, Stage::Over);
        let request = &self.requests[index];
        let (input, output, attempt) = (request.input, request.generated, request.attempt);
        let (is_dead, isolate) = (request.dead, request.isolate);
        self.report.answered += 1;
        let microusd = input * INPUT_PRICE + output * OUTPUT_PRICE;
        self.real.0 += 1;
        self.real.1 += input + output;
        self.real.2 += microusd;
        if is_dead {
            return;
        }
        let used = Used::Tokens { input, input_total: input, output, microusd, estimated: false };
        let settle = Event::Settled(self.settle_of(index, attempt, used));
        let doubles = |fault: &Fault| match fault {
            Fault::Doubled(permille) => Some(*permille),
            _ => None,
        };
        let permille = self.scenario.faults.iter().find_map(doubles).unwrap_or(0);
        if self.chance.is(permille) {
            let events = vec![settle.clone()];
            self.send(Input::Call(Call { v: VERSION, events, ..Call::default() }), None);
        }
        self.tell(isolate, settle);
    }

    fn settle_of(&self, index: usize, attempt: u32, used: Used) -> Settle {
        let request = &self.requests[index];
        let flow = &self.scenario.flows[request.flow];
        Settle {
            ticket: request.ticket.clone(),
            attempt,
            tenant: flow.tenant.clone(),
            user: None,
            key: flow.tenant.clone(),
            pool: self.pool.clone(),
            model: "model".into(),
            max_tokens: flow.max_tokens,
            input_estimate: request.estimate,
            used,
            unasked: false,
            at_ms: self.now + self.skew,
            ran_ms: self.now - request.sent,
        }
    }

    /// A request that still runs says so, and how far it is.
    pub(super) fn renew(&mut self, index: usize) {
        let request = &self.requests[index];
        if request.stage != Stage::Runs || request.dead {
            return;
        }
        let progress = Progress { output_tokens: request.generated };
        let admit = Some(self.admit(index, Some(progress)));
        self.send(Input::Call(Call { v: VERSION, admit, ..Call::default() }), None);
        self.at(self.now + self.scenario.renew_ms, Happens::Renew(index));
    }
}

//! The Workers: each request's way through its isolate, as far as the Gate and
//! the provider see it.

use limits::Input;
use limits::message::{
    Admit, Call, Decision, Event, Millis, Observation, Progress, Reply, Settle, Used, VERSION,
};

use super::traffic::Stage;
use super::{Happens, INPUT_PRICE, OUTPUT_PRICE, World, ticket};
use crate::provider::Levels;

impl World<'_> {
    /// The Worker of a request asks, or polls.
    pub(super) fn ask(&mut self, index: usize, is_poll: bool, events: Vec<Event>) {
        let admit = Some(self.admit(index, None));
        let call = Call { v: VERSION, admit, events, ..Call::default() };
        let input = if is_poll { Input::Poll(call) } else { Input::Call(call) };
        self.send(input, Some(index));
    }

    fn send(&mut self, input: Input, asker: Option<usize>) {
        let at = self.now + self.latency();
        self.at(at, Happens::ToGate(Box::new(input), asker));
    }

    pub(super) fn tell(&mut self, events: Vec<Event>) {
        self.send(Input::Call(Call { v: VERSION, events, ..Call::default() }), None);
    }

    fn admit(&self, index: usize, running: Option<Progress>) -> Admit {
        let request = &self.requests[index];
        let flow = &self.scenario.flows[request.flow];
        let input_most = request.estimate * 2;
        Admit {
            ticket: ticket(index),
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
            microusd_max: input_most * INPUT_PRICE + flow.max_tokens * OUTPUT_PRICE,
            patience_ms: request.deadline.saturating_sub(self.now),
            bytes: 4 * request.estimate,
            running,
        }
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
        match reply.decision.as_ref() {
            Some(Decision::Granted { .. }) => {
                request.stage = Stage::Runs;
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
            Some(Decision::Queued { wait_ms }) => {
                request.told.get_or_insert((*wait_ms, self.now));
                self.ask(index, true, Vec::new());
            }
            Some(Decision::Refused(refusal)) => {
                request.stage = Stage::Over;
                let reason = refusal.reason;
                self.report.count_refusal(reason);
            }
            None => panic!("seed {seed}: an admit without a decision"),
        }
    }

    /// A response's head reaches the Worker.
    pub(super) fn head(&mut self, index: usize, wait: Option<Millis>, levels: Levels) {
        if wait.is_some() {
            self.report.refused_upstream += 1;
        }
        let request = &self.requests[index];
        let (sent, attempt) = (request.sent, request.attempt);
        let observation = Observation {
            pool: self.pool.clone(),
            ticket: ticket(index),
            attempt,
            sent_ms: sent + self.skew,
            at_ms: self.now + self.skew,
            status: if wait.is_some() { 429 } else { 200 },
            error_code: None,
            retry_after_ms: wait.map(|wait| wait.div_ceil(1_000) * 1_000),
            requests: Some(levels[0]),
            input: Some(levels[1]),
            output: Some(levels[2]),
        };
        let mut events = vec![Event::Observed(observation)];
        if wait.is_none() {
            if !request.dead {
                self.tell(events);
            }
            return;
        }
        events.push(Event::Settled(self.settle_of(index, attempt, Used::Nothing)));
        let request = &mut self.requests[index];
        request.attempt += 1;
        request.stage = Stage::Asks;
        request.dead = false;
        self.ask(index, false, events);
    }

    pub(super) fn settle_of(&self, index: usize, attempt: u32, used: Used) -> Settle {
        let request = &self.requests[index];
        let flow = &self.scenario.flows[request.flow];
        Settle {
            ticket: ticket(index),
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

//! The Worker: each request's way through its isolate, as far as the Gate and the
//! provider see it.

use limits::Input;
use limits::borrow::Size;
use limits::message::{
    Admit, CachedPrompt, Call, Decision, Event, Millis, Observation, Progress, Refusal, Reply,
    Settle, Used, VERSION,
};

use super::traffic::{Request, Stage};
use super::{Happens, Message, World};
use crate::provider::{Levels, Refused};
use crate::report::add;
use crate::scenario::Fault;

/// Price of a token, so that money is checked too.
const INPUT_PRICE: u64 = 3;
const OUTPUT_PRICE: u64 = 15;
/// The provider's code for the ramp limit (SDK 1.6.0, 2026-11).
const RAMP: &str = "ramp_limit_exceeded";
/// The longest that the Worker waits for a reply.
const ANSWER_MS: Millis = 2_000;
/// A client that was refused so often stays away.
const RETURNS_MAX: u32 = 20;

impl World<'_> {
    /// A request arrives: it goes by a lent ticket, or asks.
    pub(super) fn arrive(&mut self, index: usize) {
        let Request { flow, input, output, .. } = self.requests[index];
        self.report.asked += 1;
        add(&mut self.report.flows[flow].asked, [1, input, output]);
        self.enter(index);
    }

    /// A client that was refused comes back: a new request, the same question.
    pub(super) fn come_back(&mut self, index: usize) {
        let patience = self.scenario.flows[self.requests[index].flow].patience_ms;
        let request = &mut self.requests[index];
        request.returned += 1;
        request.ticket = format!("t{index}r{}", request.returned);
        (request.asked, request.deadline) = (self.now, self.now + patience);
        (request.attempt, request.is_back) = (0, true);
        self.report.came_back += 1;
        self.enter(index);
    }

    fn enter(&mut self, index: usize) {
        self.set_stage(index, Stage::Asks);
        let request = &self.requests[index];
        let flow = &self.scenario.flows[request.flow];
        let size = Size {
            input_tokens: request.estimate,
            max_tokens: flow.max_tokens,
            microusd_max: self.microusd_max(index),
        };
        let clock = self.clock(request.isolate);
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
        let clock = self.clock(self.requests[index].isolate);
        let request = &mut self.requests[index];
        request.asking += 1;
        let asker = Some((index, request.asking));
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
        let isolate = self.requests[index].isolate;
        self.send(input, isolate, asker);
    }

    /// Sends a message to the Gate, once or twice, or loses it. Of the replies to a message
    /// and its double the first is read.
    pub(super) fn send(&mut self, input: Input, isolate: usize, asker: Option<(usize, u32)>) {
        let (is_lost, loses_reply) = (self.loses(), self.loses());
        let doubled = self.doubled_permille();
        if doubled > 0 && self.chance.is(doubled) {
            let at = self.now + self.latency() + self.lateness();
            let double = Message { input: input.clone(), isolate, asker, loses_reply: false };
            self.at(at, Happens::ToGate(Box::new(double)));
        }
        let at = self.now + self.latency() + self.lateness();
        let message = Box::new(Message { input, isolate, asker, loses_reply });
        if is_lost {
            self.at(self.now + ANSWER_MS, Happens::Unanswered(message));
        } else {
            self.at(at, Happens::ToGate(message));
        }
    }

    /// No reply came. What the message told is told again; the request that asked
    /// fails, and takes back what it asked for (invariant 11).
    pub(super) fn unanswered(&mut self, message: Message) {
        let (Input::Call(call) | Input::Poll(call)) = message.input else { return };
        for event in call.events {
            self.tell(message.isolate, event);
        }
        let Some((index, asking)) = message.asker else { return };
        let request = &mut self.requests[index];
        if request.dead || request.asking != asking || request.stage != Stage::Asks {
            return;
        }
        let borrowed = &mut self.isolates[request.isolate].borrowed;
        if let Some(asked) = request.borrows_since.take() {
            let tenant = &self.scenario.flows[request.flow].tenant;
            borrowed.replied(tenant, &self.pool, None, asked);
        }
        let (ticket, attempt) = (request.ticket.clone(), request.attempt);
        let cancelled = Event::Cancelled { ticket, attempt };
        self.tell(message.isolate, cancelled);
        self.report.unreachable += 1;
        self.set_stage(index, Stage::Over);
    }

    fn admit(&self, index: usize, running: Option<Progress>) -> Admit {
        let request = &self.requests[index];
        let flow = &self.scenario.flows[request.flow];
        Admit {
            ticket: request.ticket.clone(),
            attempt: request.attempt,
            asked_ms: request.asked.saturating_add_signed(self.skew(request.isolate)),
            tenant: flow.tenant.clone(),
            user: flow.user.clone(),
            job: None,
            key: flow.tenant.clone(),
            pool: self.pool.clone(),
            model: "model".into(),
            priority: flow.priority,
            input_tokens: request.estimate,
            kinds: [request.estimate, 0, 0, 0, 0, 0, 0, 0],
            max_tokens: flow.max_tokens,
            microusd_max: self.microusd_max(index),
            patience_ms: request.deadline.saturating_sub(self.now),
            is_retry: Some(request.returned > 0),
            bytes: 4 * request.estimate,
            cached: self.cached(index),
            running,
        }
    }

    /// What a request marks for the provider's prompt cache.
    fn cached(&self, index: usize) -> Option<CachedPrompt> {
        let flow = self.requests[index].flow;
        let marks = self.scenario.flows[flow].cached > 0;
        marks.then_some(CachedPrompt { prefix: flow as u32, hour: false })
    }

    /// The most that a request can cost: twice its estimated input, and all of its
    /// output.
    fn microusd_max(&self, index: usize) -> u64 {
        let request = &self.requests[index];
        let flow = &self.scenario.flows[request.flow];
        2 * request.estimate * INPUT_PRICE + flow.max_tokens * OUTPUT_PRICE
    }

    /// A reply reached the Worker.
    pub(super) fn answered(&mut self, index: usize, asking: u32, reply: &Reply) {
        let seed = self.scenario.seed;
        // A message's way there and back, and the longest that one is late.
        let late = self.scenario.faults.iter().map(|fault| match fault {
            Fault::Late(_, most) => *most,
            _ => 0,
        });
        let slack = 2 * self.scenario.latency_ms.1 + 1 + 2 * late.max().unwrap_or(0);
        self.heard(self.requests[index].isolate, reply.started_ms);
        let request = &mut self.requests[index];
        if request.dead || request.asking != asking || request.stage != Stage::Asks {
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
            Some(Decision::Refused(refusal)) => self.refused(index, refusal),
            None => panic!("seed {seed}: an admit without a decision"),
        }
    }

    fn refused(&mut self, index: usize, refusal: &Refusal) {
        self.set_stage(index, Stage::Over);
        let request = &self.requests[index];
        let flow = &self.scenario.flows[request.flow];
        self.report.visible_upstream += u64::from(request.attempt > 0);
        if let Some(wait) = refusal.retry_after_ms.filter(|_| flow.comes_back)
            && request.returned < RETURNS_MAX
        {
            if request.returned == 0 {
                self.report.told_back.push((index, self.now - super::START, wait));
            }
            self.at(self.now + wait, Happens::Return(index));
            return;
        }
        self.report.count_refusal(request.flow, refusal.reason);
    }

    /// A request may go: to the provider.
    fn granted(&mut self, index: usize) {
        self.set_stage(index, Stage::Runs);
        let now = self.now;
        let request = &mut self.requests[index];
        if let Some((told, at)) = request.told.take() {
            self.report.told.push((told, now - at));
        }
        if std::mem::take(&mut request.is_back) {
            self.report.back_in_time += 1;
        }
        request.sent = now;
        self.report.turns.push((index, now - super::START));
        let at = now + self.latency();
        self.at(at, Happens::Upstream(index));
    }

    /// The provider took a request.
    pub(super) fn started(&mut self, index: usize) {
        let Request { flow, arrived, input, .. } = self.requests[index];
        add(&mut self.report.flows[flow].served, [1, input, 0]);
        self.report.flows[flow].waits.add(self.now - arrived);
    }

    /// A response's head reaches the Worker.
    pub(super) fn head(&mut self, index: usize, refused: Option<Refused>, levels: Levels) {
        if refused.is_some() {
            self.report.refused_upstream += 1;
        }
        let request = &self.requests[index];
        let clock = self.clock(request.isolate);
        let skew = self.skew(request.isolate);
        let (isolate, attempt) = (request.isolate, request.attempt);
        let observation = Observation {
            pool: self.pool.clone(),
            ticket: request.ticket.clone(),
            attempt,
            sent_ms: request.sent.saturating_add_signed(skew),
            at_ms: clock,
            status: if refused.is_some() { 429 } else { 200 },
            error_code: refused.filter(|refused| refused.is_ramp).map(|_| RAMP.to_owned()),
            retry_after_ms: refused.map(|refused| refused.wait.div_ceil(1_000) * 1_000),
            requests: Some(levels[0]),
            input: Some(levels[1]),
            output: Some(levels[2]),
        };
        if refused.is_none() {
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
        let counted = request.counted;
        let (is_dead, isolate) = (request.dead, request.isolate);
        self.report.answered += 1;
        let microusd = input * INPUT_PRICE + output * OUTPUT_PRICE;
        self.real.0 += 1;
        self.real.1 += input + output;
        self.real.2 += microusd;
        if is_dead {
            return;
        }
        let used =
            Used::Tokens { input: counted, input_total: input, output, microusd, estimated: false };
        let settle = Event::Settled(self.settle_of(index, attempt, used));
        // Reports are told again where no reply came: then two messages tell the same.
        let permille = self.doubled_permille();
        if self.chance.is(permille) {
            let events = vec![settle.clone()];
            self.send(Input::Call(Call { v: VERSION, events, ..Call::default() }), isolate, None);
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
            user: flow.user.clone(),
            job: None,
            key: flow.tenant.clone(),
            pool: self.pool.clone(),
            model: "model".into(),
            max_tokens: flow.max_tokens,
            input_estimate: request.estimate,
            kinds: [request.estimate, 0, 0, 0, 0, 0, 0, 0],
            cached: self.cached(index),
            used,
            unasked: false,
            at_ms: self.clock(request.isolate),
            ran_ms: self.now - request.sent,
        }
    }

    /// A request that still runs says so, and how far it is.
    pub(super) fn renew(&mut self, index: usize) {
        let request = &self.requests[index];
        if request.stage != Stage::Runs || request.dead {
            return;
        }
        self.tell_running(index);
        self.at(self.now + self.scenario.renew_ms, Happens::Renew(index));
    }

    /// Renews a ticket.
    pub(super) fn tell_running(&mut self, index: usize) {
        let progress = Progress { output_tokens: self.requests[index].generated };
        let admit = Some(self.admit(index, Some(progress)));
        let isolate = self.requests[index].isolate;
        self.send(Input::Call(Call { v: VERSION, admit, ..Call::default() }), isolate, None);
    }
}

//! The virtual world: clients, isolates, the Gate's shell, the provider, and one
//! queue of events.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use limits::admin::{AdminInput, AdminReply, Key, KeyKind};
use limits::message::{
    Admit, Call, Decision, Event, Millis, Observation, Pool, Progress, Reply, Settle, Tokens, Used,
    VERSION,
};
use limits::policy::Tenants;
use limits::{Answer, Gate, Input, Output};

use crate::chance::Chance;
use crate::provider::{Levels, Provider};
use crate::report::Report;
use crate::scenario::{Fault, Scenario};

/// Simulations start here, so that no time is zero: 2026-11-24, 10:00 UTC.
const START: Millis = 1_795_514_400_000;
/// Price of a token, so that money is checked too.
const INPUT_PRICE: u64 = 3;
const OUTPUT_PRICE: u64 = 15;
/// A step of generation.
const CHUNK_MS: Millis = 200;
/// The shell's slice for a parked call.
const SLICE_MS: Millis = 10_000;

/// Plays a scenario. Panics, naming the seed, when an invariant breaks.
pub fn run(scenario: &Scenario) -> Report {
    let mut world = World::new(scenario);
    world.play();
    world.close()
}

/// One client's request and how far it is.
#[derive(Clone, Debug)]
struct Request {
    flow: usize,
    asked: Millis,
    deadline: Millis,
    estimate: Tokens,
    input: Tokens,
    output: Tokens,
    generated: Tokens,
    /// Tokens in a chunk.
    speed: Tokens,
    attempt: u32,
    stage: Stage,
    /// Its isolate is gone: it sends nothing more.
    dead: bool,
    granted: Option<Millis>,
    told: Option<(Millis, Millis)>,
    sent: Millis,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Asks,
    Runs,
    Over,
}

/// What happens at one time.
#[derive(Clone, Debug)]
enum Happens {
    Arrive(usize),
    /// A message reaches the Gate.
    ToGate(Box<Input>, Option<usize>),
    /// A reply reaches the Worker of a request.
    FromGate(usize, u32, Box<Reply>),
    SliceOver(String, u64),
    GateTimer(u64),
    Upstream(usize),
    Head(usize, Option<Millis>, Levels),
    Generate(usize),
    Renew(usize),
    Restart,
    Limits(usize),
    Drain,
}

struct World<'a> {
    scenario: &'a Scenario,
    now: Millis,
    chance: Chance,
    events: BinaryHeap<Reverse<(Millis, u64)>>,
    what: BTreeMap<u64, Happens>,
    number: u64,
    gate: Gate,
    rows: BTreeMap<String, String>,
    /// Calls parked in the Gate by ticket, with the number of their slice.
    parked: BTreeMap<String, u64>,
    timer: u64,
    provider: Provider,
    requests: Vec<Request>,
    report: Report,
    pool: Pool,
    /// Settled for certain: tokens and money, all tenants.
    real: (u64, u64, u64),
    skew: Millis,
    steps: u64,
}

impl<'a> World<'a> {
    fn new(scenario: &'a Scenario) -> Self {
        let mut world = Self {
            scenario,
            now: START,
            chance: Chance::new(scenario.seed),
            events: BinaryHeap::new(),
            what: BTreeMap::new(),
            number: 0,
            gate: Gate::new(scenario.settings.clone(), START),
            rows: BTreeMap::new(),
            parked: BTreeMap::new(),
            timer: 0,
            provider: Provider::new(scenario.limits),
            requests: Vec::new(),
            report: Report { seed: scenario.seed, ..Report::default() },
            pool: Pool { account: "acct".into(), class: "class".into(), speed: "standard".into() },
            real: (0, 0, 0),
            skew: 0,
            steps: 0,
        };
        world.set_up();
        world
    }

    fn set_up(&mut self) {
        let scenario = self.scenario;
        let of = |flow: &crate::scenario::Flow| (flow.tenant.clone(), flow.policy.clone());
        let tenants = Tenants { tenants: scenario.flows.iter().map(of).collect() };
        let apply = AdminInput::Apply { tenants, prune: false, dry_run: false };
        let output = self.step(Input::Admin(apply));
        let Answer::Admin(AdminReply::Applied { .. }) = output.reply else {
            panic!("the scenario's tenants are unsound: {:?}", output.reply)
        };
        for flow in &scenario.flows {
            let key = Key {
                id: flow.tenant.clone(),
                tenant: flow.tenant.clone(),
                kind: KeyKind::Secret,
                created_ms: START,
                expires_ms: None,
                revoked_ms: None,
            };
            self.step(Input::Admin(AdminInput::AddKey(key)));
        }
        for (index, flow) in scenario.flows.iter().enumerate() {
            let mut at = 0.0;
            loop {
                at += self.chance.exponential(60_000.0 / flow.per_minute);
                if at >= scenario.span_ms as f64 {
                    break;
                }
                let request = self.draw(index, START + at as Millis);
                self.at(request.asked, Happens::Arrive(self.requests.len()));
                self.requests.push(request);
            }
        }
        for (index, fault) in scenario.faults.iter().enumerate() {
            match *fault {
                Fault::Restart(at) => self.at(START + at, Happens::Restart),
                Fault::RestartEvery(span) => {
                    for n in 1..=scenario.span_ms / span {
                        self.at(START + n * span, Happens::Restart);
                    }
                }
                Fault::LimitsChange(at, _) => self.at(START + at, Happens::Limits(index)),
                Fault::Outside(from, ..) => self.at(START + from, Happens::Drain),
                Fault::ClocksAhead(span) => self.skew = span,
                Fault::IsolateDies(_) | Fault::Doubled(_) => {}
            }
        }
    }

    fn draw(&mut self, index: usize, asked: Millis) -> Request {
        let flow = &self.scenario.flows[index];
        let exponential = |chance: &mut Chance, mean: u64| chance.exponential(mean as f64) as u64;
        let estimate = exponential(&mut self.chance, flow.input).clamp(1, 20 * flow.input);
        let (low, high) = self.scenario.estimate_permille;
        let input = (estimate * self.chance.between(low, high) / 1_000).max(1);
        let output = exponential(&mut self.chance, flow.output).clamp(1, flow.max_tokens);
        Request {
            flow: index,
            asked,
            deadline: asked + flow.patience_ms,
            estimate,
            input,
            output,
            generated: 0,
            speed: self.chance.between(40, 100) * CHUNK_MS / 1_000,
            attempt: 0,
            stage: Stage::Asks,
            dead: false,
            granted: None,
            told: None,
            sent: 0,
        }
    }

    fn is_measured(&self) -> bool {
        let scenario = self.scenario;
        (scenario.measure_from_ms..scenario.span_ms).contains(&(self.now - START))
    }

    fn at(&mut self, time: Millis, what: Happens) {
        self.number += 1;
        self.events.push(Reverse((time, self.number)));
        self.what.insert(self.number, what);
    }

    fn latency(&mut self) -> Millis {
        let (low, high) = self.scenario.latency_ms;
        self.chance.between(low, high)
    }

    fn play(&mut self) {
        while let Some(Reverse((time, number))) = self.events.pop() {
            let Some(what) = self.what.remove(&number) else { continue };
            debug_assert!(time >= self.now);
            self.now = time;
            self.steps += 1;
            self.happen(what);
        }
    }

    fn happen(&mut self, what: Happens) {
        match what {
            Happens::Arrive(index) => {
                self.report.asked += 1;
                self.ask(index, false, Vec::new());
            }
            Happens::ToGate(input, asker) => self.reach_gate(*input, asker),
            Happens::FromGate(index, attempt, reply) => self.answered(index, attempt, &reply),
            Happens::SliceOver(ticket, slice) => {
                if self.parked.get(&ticket) == Some(&slice) {
                    self.step(Input::Release { ticket });
                }
            }
            Happens::GateTimer(timer) => {
                if timer == self.timer {
                    self.step(Input::Wake);
                }
            }
            Happens::Upstream(index) => self.upstream(index),
            Happens::Head(index, wait, levels) => self.head(index, wait, levels),
            Happens::Generate(index) => self.generate(index),
            Happens::Renew(index) => self.renew(index),
            Happens::Restart => self.restart(),
            Happens::Limits(fault) => {
                if let Fault::LimitsChange(_, limits) = self.scenario.faults[fault] {
                    self.provider.resize(self.now, limits);
                }
            }
            Happens::Drain => self.drain(),
        }
    }

    /// The Worker of a request asks, or polls.
    fn ask(&mut self, index: usize, is_poll: bool, events: Vec<Event>) {
        let admit = Some(self.admit(index, None));
        let call = Call { v: VERSION, admit, events, ..Call::default() };
        let input = if is_poll { Input::Poll(call) } else { Input::Call(call) };
        self.send(input, Some(index));
    }

    fn send(&mut self, input: Input, asker: Option<usize>) {
        let at = self.now + self.latency();
        self.at(at, Happens::ToGate(Box::new(input), asker));
    }

    fn tell(&mut self, events: Vec<Event>) {
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

    /// The Gate's shell: steps the machine, sends what it answers.
    fn reach_gate(&mut self, input: Input, asker: Option<usize>) {
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
    fn step(&mut self, input: Input) -> Output {
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

    /// A reply reached the Worker.
    fn answered(&mut self, index: usize, attempt: u32, reply: &Reply) {
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

    /// A request reaches the provider.
    fn upstream(&mut self, index: usize) {
        self.report.attempts += 1;
        let input = self.requests[index].input;
        let started = self.provider.start(self.now, input);
        let levels = self.provider.levels(self.now);
        let first = match started {
            Ok(()) => {
                if self.is_measured() {
                    self.report.requests.0 += 1;
                    self.report.input.0 += input;
                }
                self.chance.between(200, 1_200)
            }
            Err(_) => 0,
        };
        let dies = |fault: &Fault| match fault {
            Fault::IsolateDies(permille) => Some(*permille),
            _ => None,
        };
        if let Some(permille) = self.scenario.faults.iter().find_map(dies) {
            self.requests[index].dead = self.chance.is(permille);
        }
        let at = self.now + first + self.latency();
        self.at(at, Happens::Head(index, started.err(), levels));
        if started.is_ok() {
            self.at(self.now + first + CHUNK_MS, Happens::Generate(index));
            self.at(self.now + self.scenario.renew_ms, Happens::Renew(index));
        }
    }

    /// A response's head reaches the Worker.
    fn head(&mut self, index: usize, wait: Option<Millis>, levels: Levels) {
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

    /// The provider generates one more chunk.
    fn generate(&mut self, index: usize) {
        let leaves = self.scenario.flows[self.requests[index].flow].leave_permille;
        let request = &mut self.requests[index];
        let tokens = request.speed.min(request.output - request.generated);
        request.generated += tokens;
        self.provider.generate(self.now, tokens);
        if self.is_measured() {
            self.report.output.0 += tokens;
        }
        // Spread over the chunks of a mean answer.
        let has_left = leaves > 0 && self.chance.is(leaves.div_ceil(20));
        if self.requests[index].generated < self.requests[index].output && !has_left {
            self.at(self.now + CHUNK_MS, Happens::Generate(index));
            return;
        }
        self.finish(index);
    }

    fn finish(&mut self, index: usize) {
        let request = &mut self.requests[index];
        request.stage = Stage::Over;
        let (input, output, attempt) = (request.input, request.generated, request.attempt);
        let is_dead = request.dead;
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
            self.tell(vec![settle.clone()]);
        }
        self.tell(vec![settle]);
    }

    fn settle_of(&self, index: usize, attempt: u32, used: Used) -> Settle {
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

    fn renew(&mut self, index: usize) {
        let request = &self.requests[index];
        if request.stage != Stage::Runs || request.dead {
            return;
        }
        let progress = Progress { output_tokens: request.generated };
        let admit = Some(self.admit(index, Some(progress)));
        self.send(Input::Call(Call { v: VERSION, admit, ..Call::default() }), None);
        self.at(self.now + self.scenario.renew_ms, Happens::Renew(index));
    }

    /// The Gate dies and comes back with what it wrote; parked calls fail, and
    /// their Workers ask again at once.
    fn restart(&mut self) {
        self.gate = Gate::new(self.scenario.settings.clone(), self.now);
        for (key, value) in &self.rows {
            self.gate.restore(key, value);
        }
        self.timer += 1;
        for ticket in std::mem::take(&mut self.parked).into_keys() {
            let index = index_of(&ticket);
            if !self.requests[index].dead {
                self.ask(index, true, Vec::new());
            }
        }
        let (recorded, seed) = (self.totals().0.spent, self.scenario.seed);
        let forgot = recorded.requests < self.real.0
            || recorded.tokens < self.real.1
            || recorded.microusd < self.real.2;
        assert!(!forgot, "seed {seed}: a restart forgot spend");
    }

    fn drain(&mut self) {
        let Some((until, permille)) = self.scenario.faults.iter().find_map(|fault| match fault {
            Fault::Outside(_, until, permille) => Some((START + until, *permille)),
            _ => None,
        }) else {
            return;
        };
        // A tenth of a second's use, ten times a second.
        let part = |limit: u64| limit * permille / 600_000;
        let limits = self.scenario.limits;
        let requests = u64::from(self.chance.is(((limits.rpm * permille / 600) % 1_000) as u32));
        self.provider.drain(
            self.now,
            part(limits.rpm) + requests,
            part(limits.itpm),
            part(limits.otpm),
        );
        if self.now < until {
            self.at(self.now + 100, Happens::Drain);
        }
    }

    fn totals(&mut self) -> (limits::admin::Spend, bool) {
        let output = self.gate.handle(self.now, Input::Admin(AdminInput::Totals));
        let Answer::Admin(AdminReply::Totals(totals)) = output.reply else {
            panic!("totals were asked for")
        };
        let sound = totals.scopes.values().all(|spend| {
            let least = [
                (spend.spent.requests + spend.reserved.requests, spend.ceiling.requests),
                (spend.spent.tokens + spend.reserved.tokens, spend.ceiling.tokens),
                (spend.spent.microusd + spend.reserved.microusd, spend.ceiling.microusd),
            ];
            least.iter().all(|(used, ceiling)| used <= ceiling)
        });
        (totals.scopes["deployment"], sound)
    }

    /// The invariants that can be seen from outside.
    fn check(&mut self) {
        let seed = self.scenario.seed;
        let (spend, is_covered) = self.totals();
        assert!(is_covered, "seed {seed}: spend passed the stored ceiling");
        let runs = |request: &&Request| request.stage == Stage::Runs;
        let running = self.requests.iter().filter(runs).count() as u64;
        if self.scenario.faults.is_empty() {
            // Grants on their way to the Worker, settlements on theirs back.
            assert!(spend.open >= running, "seed {seed}: a running request has no ticket");
            self.check_mirror();
        }
    }

    /// Invariant 4: what the mirror lets new requests have is there. Requests
    /// exactly; output, whose generation is estimated, within 3 % of a minute.
    fn check_mirror(&mut self) {
        let output = self.gate.handle(self.now, Input::Admin(AdminInput::State));
        let Answer::Admin(AdminReply::State(state)) = output.reply else {
            panic!("the state was asked for")
        };
        let left = self.provider.left(self.now);
        let slack = [0, i64::MAX / 2, self.scenario.limits.otpm as i64 * 3 / 100];
        for limit in state.pools.iter().flat_map(|pool| &pool.limits) {
            let kinds = ["requests", "input_tokens", "output_tokens"];
            let kind = kinds.iter().position(|kind| *kind == limit.kind).expect("a bucket's kind");
            assert!(
                limit.level <= left[kind] + slack[kind],
                "seed {}: {} mirrored as {}, really {}",
                self.scenario.seed,
                limit.kind,
                limit.level,
                left[kind]
            );
        }
    }

    /// The end: everything was answered, and the books balance.
    fn close(mut self) -> Report {
        let seed = self.scenario.seed;
        let asks = self.requests.iter().filter(|request| request.stage != Stage::Over).count();
        assert_eq!(asks, 0, "seed {seed}: {asks} requests were never answered");
        // Tickets that nobody settles expire.
        self.now += 2 * self.scenario.settings.ticket_ttl_ms;
        self.step(Input::Wake);
        let (spend, is_covered) = self.totals();
        assert!(is_covered, "seed {seed}: spend passed the stored ceiling");
        let open = (spend.open, spend.reserved.requests, spend.reserved.microusd);
        assert_eq!(open, (0, 0, 0), "seed {seed}: reservations leaked");
        let exact = (spend.spent.requests, spend.spent.tokens, spend.spent.microusd);
        let loses = |fault: &Fault| {
            matches!(fault, Fault::Restart(_) | Fault::RestartEvery(_) | Fault::IsolateDies(_))
        };
        if self.scenario.faults.iter().any(loses) {
            assert!(
                exact.0 >= self.real.0 && exact.1 >= self.real.1 && exact.2 >= self.real.2,
                "seed {seed}: recorded {exact:?} is below the real {:?}",
                self.real
            );
        } else {
            assert_eq!(exact, self.real, "seed {seed}: the books do not balance");
        }
        self.report.microusd = (self.real.2, spend.spent.microusd);
        let span = self.scenario.span_ms - self.scenario.measure_from_ms;
        let could = |limit: u64| limit * span / 60_000;
        self.report.output.1 = could(self.scenario.limits.otpm);
        self.report.input.1 = could(self.scenario.limits.itpm);
        self.report.requests.1 = could(self.scenario.limits.rpm);
        self.report
    }
}

fn ticket(index: usize) -> String {
    format!("t{index}")
}

fn index_of(ticket: &str) -> usize {
    ticket[1..].parse().expect("tickets are made by `ticket`")
}

//! The virtual world: one clock and one queue of events, in which the parts meet.
//!
//! A request arrives (`traffic`). Its Worker (`worker`) takes a ticket that its
//! isolate was lent (`isolate`) or asks the Gate (`shell`); the provider answers it
//! (`upstream`), and its Worker settles it. `faults` come in between; `books` looks
//! on and holds the invariants.

mod books;
mod cache;
mod faults;
mod isolate;
mod shell;
pub(crate) mod traffic;
mod upstream;
mod worker;

use std::collections::BTreeMap;

use limits::admin::{AdminInput, AdminReply, Key, KeyKind};
use limits::message::{Millis, Pool, Reply};
use limits::policy::Tenants;
use limits::{Answer, Gate, Input};

use crate::chance::Chance;
use crate::clock::Clock;
use crate::moments::{self, Moment};
use crate::provider::{Levels, Provider, Refused};
use crate::report::Report;
use crate::scenario::{Fault, Flow, Scenario};
use isolate::Isolate;
use shell::Parked;
use traffic::{Request, Stage};

/// Simulations start here, so that no time is zero: 2026-11-24, 10:00 UTC.
pub(crate) const START: Millis = 1_795_514_400_000;
/// A step of generation.
pub(crate) const CHUNK_MS: Millis = 200;

/// Plays a scenario. Panics, naming the seed, when an invariant breaks.
pub fn run(scenario: &Scenario) -> Report {
    let mut world = World::new(scenario);
    world.play();
    world.close()
}

/// What happens at one time.
#[derive(Clone, Debug)]
enum Happens {
    /// The next request arrives, by its number in time.
    Arrive(usize),
    /// A refused client comes back when it was told to.
    Return(usize),
    /// A message reaches the Gate.
    ToGate(Box<Message>),
    /// A reply reaches the Worker of a request, for its asking of this number.
    FromGate(usize, u32, Box<Reply>),
    /// A reply reaches an isolate: when the Gate that sent it started.
    Heard(usize, Millis),
    /// No reply came to a message in time.
    Unanswered(Box<Message>),
    SliceOver(String, u64),
    GateTimer(u64),
    Upstream(usize),
    Head(usize, Option<Refused>, Box<Levels>),
    Generate(usize),
    Renew(usize),
    /// What waits in an isolate goes to the Gate.
    Flush(usize),
    Restart,
    IsolateLost(usize),
    Limits(usize),
    Drain,
}

/// A message to the Gate, and whose it is.
#[derive(Clone, Debug)]
struct Message {
    input: Input,
    isolate: usize,
    /// The request that waits for the reply, and the number of its asking.
    asker: Option<(usize, u32)>,
    /// Its reply will be lost.
    loses_reply: bool,
}

struct World<'a> {
    scenario: &'a Scenario,
    now: Millis,
    chance: Chance,
    events: Clock<Happens>,
    /// Slices so far.
    slices: u64,
    gate: Gate,
    rows: BTreeMap<String, String>,
    /// Calls parked in the Gate, by ticket.
    parked: BTreeMap<String, Parked>,
    timer: u64,
    provider: Provider,
    /// The prompt cache, by flow.
    cache: Vec<cache::Entry>,
    isolates: Vec<Isolate>,
    requests: Vec<Request>,
    /// Their numbers in the order in which they arrive.
    arrivals: Vec<usize>,
    /// How many of them run.
    running: u64,
    /// And of each flow.
    running_of: Vec<u64>,
    report: Report,
    pool: Pool,
    /// Settled for certain: tokens and money, all tenants.
    real: (u64, u64, u64),
    steps: u64,
}

impl<'a> World<'a> {
    fn new(scenario: &'a Scenario) -> Self {
        let mut world = Self {
            scenario,
            now: START,
            chance: Chance::new(scenario.seed),
            events: Clock::new(START),
            slices: 0,
            gate: Gate::new(scenario.settings.clone(), START),
            rows: BTreeMap::new(),
            parked: BTreeMap::new(),
            timer: 0,
            // From 3.7 s behind to 3.7 s ahead.
            provider: Provider::new(scenario.limits, scenario.concurrent)
                .with_clock_ahead((scenario.seed % 7) as i64 * 1_237 - 3_711)
                .with_reserves(scenario.reserves_most)
                .with_ramp(scenario.ramp),
            cache: vec![cache::Entry::default(); scenario.flows.len()],
            isolates: vec![Isolate::default(); scenario.isolates.max(1)],
            requests: Vec::new(),
            arrivals: Vec::new(),
            running: 0,
            running_of: vec![0; scenario.flows.len()],
            report: Report::new(scenario),
            pool: Pool { account: "acct".into(), class: "class".into(), speed: "standard".into() },
            real: (0, 0, 0),
            steps: 0,
        };
        world.set_up();
        world
    }

    fn set_up(&mut self) {
        let scenario = self.scenario;
        let of = |flow: &Flow| (flow.tenant.clone(), Box::new(flow.policy.clone()));
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
        self.requests = traffic::requests(scenario, &mut self.chance);
        self.arrivals = traffic::in_time(&self.requests);
        self.next_arrival(0);
        self.set_faults();
    }

    /// A request goes on to another stage.
    fn set_stage(&mut self, index: usize, stage: Stage) {
        let before = std::mem::replace(&mut self.requests[index].stage, stage);
        let flow = self.requests[index].flow;
        let (comes, goes) = (u64::from(stage == Stage::Runs), u64::from(before == Stage::Runs));
        self.running = self.running + comes - goes;
        self.running_of[flow] = self.running_of[flow] + comes - goes;
    }

    fn next_arrival(&mut self, number: usize) {
        if let Some(index) = self.arrivals.get(number) {
            self.at(self.requests[*index].asked, Happens::Arrive(number));
        }
    }

    fn at(&mut self, time: Millis, what: Happens) {
        self.events.push(time, what);
    }

    fn latency(&mut self) -> Millis {
        let (low, high) = self.scenario.latency_ms;
        self.chance.between(low, high)
    }

    /// An isolate's own clock.
    fn clock(&self, isolate: usize) -> Millis {
        self.now.saturating_add_signed(self.skew(isolate))
    }

    fn play(&mut self) {
        while let Some((time, what)) = self.events.pop() {
            self.look(time);
            self.report.occupied(self.now - START, time - START, self.provider.running());
            self.now = time;
            self.steps += 1;
            self.happen(what);
        }
    }

    /// Looks at the account at each second before `time`.
    fn look(&mut self, time: Millis) {
        let span = if self.scenario.looks { self.scenario.span_ms } else { 0 };
        loop {
            let at_ms = self.report.moments.len() as Millis * 1_000;
            let at = START + at_ms;
            if at_ms >= span || at >= time {
                return;
            }
            let of = |request: &Request| (request.output - request.generated, request.speed);
            let running = self.requests.iter().filter(|request| request.stage == Stage::Runs);
            let running = running.map(of).filter(|(rest, _)| *rest > 0).collect();
            let left = self.provider.left(at)[2];
            let least = moments::least(left, self.scenario.limits_at(at_ms)[2], running);
            let free = moments::free(&self.gate, at);
            self.report.moments.push(Moment { at_ms, left, least: Some(least), free });
        }
    }

    fn happen(&mut self, what: Happens) {
        match what {
            Happens::Arrive(number) => {
                self.next_arrival(number + 1);
                self.arrive(self.arrivals[number]);
            }
            Happens::Return(index) => self.come_back(index),
            Happens::ToGate(message) => self.reach_gate(*message),
            Happens::FromGate(index, asking, reply) => self.answered(index, asking, &reply),
            Happens::Heard(isolate, started) => self.heard(isolate, started),
            Happens::Unanswered(message) => self.unanswered(*message),
            Happens::SliceOver(ticket, slice) => {
                if self.parked.get(&ticket).is_some_and(|parked| parked.slice == slice) {
                    self.step(Input::Release { ticket: ticket.clone() });
                    self.unpark(&ticket);
                }
            }
            Happens::GateTimer(timer) => {
                if timer == self.timer {
                    self.step(Input::Wake);
                }
            }
            Happens::Upstream(index) => self.upstream(index),
            Happens::Head(index, refused, levels) => self.head(index, refused, *levels),
            Happens::Generate(index) => self.generate(index),
            Happens::Renew(index) => self.renew(index),
            Happens::Flush(isolate) => self.flush(isolate),
            Happens::Restart => self.restart(),
            Happens::IsolateLost(isolate) => self.lose_isolate(isolate),
            Happens::Limits(fault) => {
                if let Fault::LimitsChange(_, limits) = self.scenario.faults[fault] {
                    self.provider.resize(self.now, limits);
                }
            }
            Happens::Drain => self.drain(),
        }
    }
}

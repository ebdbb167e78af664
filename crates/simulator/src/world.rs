//! The virtual world: one clock and one queue of events, in which the parts meet.
//!
//! A request arrives (`traffic`). Its Worker (`worker`) takes a ticket that its
//! isolate was lent (`isolate`) or asks the Gate (`shell`); the provider answers it
//! (`upstream`), and its Worker settles it. `faults` come in between; `books` looks
//! on and holds the invariants.

mod books;
mod faults;
mod isolate;
mod shell;
mod traffic;
mod upstream;
mod worker;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use limits::admin::{AdminInput, AdminReply, Key, KeyKind};
use limits::message::{Millis, Pool, Reply};
use limits::policy::Tenants;
use limits::{Answer, Gate, Input};

use crate::chance::Chance;
use crate::provider::{Levels, Provider};
use crate::report::Report;
use crate::scenario::{Fault, Flow, Scenario};
use isolate::Isolate;
use shell::Parked;
use traffic::{Request, Stage};

/// Simulations start here, so that no time is zero: 2026-11-24, 10:00 UTC.
const START: Millis = 1_795_514_400_000;
/// A step of generation.
const CHUNK_MS: Millis = 200;

/// Plays a scenario. Panics, naming the seed, when an invariant breaks.
pub fn run(scenario: &Scenario) -> Report {
    let mut world = World::new(scenario);
    world.play();
    world.close()
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
    /// What waits in an isolate goes to the Gate.
    Flush(usize),
    Restart,
    IsolateLost(usize),
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
    /// Calls parked in the Gate, by ticket.
    parked: BTreeMap<String, Parked>,
    timer: u64,
    provider: Provider,
    isolates: Vec<Isolate>,
    requests: Vec<Request>,
    /// How many of them run.
    running: u64,
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
            isolates: vec![Isolate::default(); scenario.isolates.max(1)],
            requests: Vec::new(),
            running: 0,
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
        let of = |flow: &Flow| (flow.tenant.clone(), flow.policy.clone());
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
        for index in 0..self.requests.len() {
            self.at(self.requests[index].asked, Happens::Arrive(index));
        }
        self.set_faults();
    }

    /// A request goes on to another stage.
    fn set_stage(&mut self, index: usize, stage: Stage) {
        let before = std::mem::replace(&mut self.requests[index].stage, stage);
        self.running += u64::from(stage == Stage::Runs);
        self.running -= u64::from(before == Stage::Runs);
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
            Happens::Arrive(index) => self.arrive(index),
            Happens::ToGate(input, asker) => self.reach_gate(*input, asker),
            Happens::FromGate(index, attempt, reply) => self.answered(index, attempt, &reply),
            Happens::SliceOver(ticket, slice) => {
                if self.parked.get(&ticket).is_some_and(|parked| parked.slice == slice) {
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

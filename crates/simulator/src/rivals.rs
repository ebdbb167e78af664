//! What else one could do: the same requests against the same provider, without
//! the Gate.
//!
//! Rivals are given what is best for them: one process with no latency to ask it,
//! a queue where they have a gate, exact knowledge of the limits by the minute and of the input.
//! Clients retry as the official SDKs do.

use std::collections::VecDeque;

use limits::message::{Millis, Reason};

use crate::chance::Chance;
use crate::clock::Clock;
use crate::moments::Moment;
use crate::provider::{Provider, Refused};
use crate::report::{Amounts, Report, add};
use crate::scenario::{Fault, Scenario};
use crate::world::traffic::{self, Request};
use crate::world::{CHUNK_MS, START};

/// Retries of the official SDKs (2.13.0, facts of 2026-11): two, at `retry-after`.
const RETRIES: u32 = 2;

/// One way to share an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rival {
    /// Every client by itself: nothing but the SDK's retries.
    NoGate,
    /// Counts what was used in each minute of the clock, output when it is known,
    /// and lets the rest wait for the next minute.
    FixedWindow,
    /// Buckets that reserve `max_tokens` at the start and give back what was not
    /// used at the end.
    StaticReserve,
    /// Buckets that are charged with the output when the answer is complete.
    ChargeAfter,
}

impl Rival {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::NoGate, Self::FixedWindow, Self::StaticReserve, Self::ChargeAfter];

    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Self::NoGate => "no gate, SDK retries",
            Self::FixedWindow => "fixed window",
            Self::StaticReserve => "max_tokens reserved",
            Self::ChargeAfter => "charged afterwards",
        }
    }
}

/// Plays a scenario with a rival in the Gate's place. Of the faults only those of
/// the account itself strike: changed limits and an outside user.
pub fn run(rival: Rival, scenario: &Scenario) -> Report {
    let mut chance = Chance::new(scenario.seed);
    let requests = traffic::requests(scenario, &mut chance);
    let mut world = World {
        rival,
        scenario,
        now: START,
        chance,
        events: Clock::new(START),
        provider: Provider::new(scenario.limits, scenario.concurrent)
            .with_reserves(scenario.reserves_most)
            .with_ramp(scenario.ramp),
        budget: Budget::new(scenario.limits_at(0)),
        queue: VecDeque::new(),
        report: Report::new(scenario),
        requests,
    };
    world.play();
    world.report
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Happens {
    Arrive(usize),
    /// Asks the gate, or goes straight on where there is none.
    Ask(usize),
    /// Reaches the provider.
    Upstream(usize),
    Generate(usize),
    GiveUp(usize),
    /// The queue may move.
    Serve,
    Limits(usize),
    Drain,
}

struct World<'a> {
    rival: Rival,
    scenario: &'a Scenario,
    now: Millis,
    chance: Chance,
    events: Clock<Happens>,
    provider: Provider,
    budget: Budget,
    queue: VecDeque<usize>,
    report: Report,
    requests: Vec<Request>,
}

impl World<'_> {
    fn play(&mut self) {
        for index in 0..self.requests.len() {
            self.at(self.requests[index].asked, Happens::Arrive(index));
        }
        for (index, fault) in self.scenario.faults.iter().enumerate() {
            match *fault {
                Fault::LimitsChange(at, _) => self.at(START + at, Happens::Limits(index)),
                Fault::Outside(from, ..) => self.at(START + from, Happens::Drain),
                _ => {}
            }
        }
        while let Some((time, what)) = self.events.pop() {
            self.look(time);
            self.now = time;
            self.happen(what);
        }
    }

    /// Looks at the account at each second before `time`.
    fn look(&mut self, time: Millis) {
        let span = if self.scenario.looks { self.scenario.span_ms } else { 0 };
        loop {
            let at_ms = self.report.moments.len() as Millis * 1_000;
            if at_ms >= span || START + at_ms >= time {
                return;
            }
            let left = self.provider.left(START + at_ms)[2];
            self.report.moments.push(Moment { at_ms, left, least: None, free: None });
        }
    }

    fn at(&mut self, time: Millis, what: Happens) {
        self.events.push(time, what);
    }

    fn happen(&mut self, what: Happens) {
        match what {
            Happens::Arrive(index) => {
                let Request { flow, input, output, .. } = self.requests[index];
                self.report.asked += 1;
                add(&mut self.report.flows[flow].asked, [1, input, output]);
                self.ask(index);
            }
            Happens::Ask(index) => self.ask(index),
            Happens::Upstream(index) => self.upstream(index),
            Happens::Generate(index) => self.generate(index),
            Happens::GiveUp(index) => {
                if let Some(place) = self.queue.iter().position(|waits| *waits == index) {
                    self.queue.remove(place);
                    self.report.count_refusal(self.requests[index].flow, Reason::Deadline);
                    self.serve();
                }
            }
            Happens::Serve => self.serve(),
            Happens::Limits(fault) => {
                if let Fault::LimitsChange(_, limits) = self.scenario.faults[fault] {
                    self.provider.resize(self.now, limits);
                    self.budget.limits = [limits.rpm, limits.itpm, limits.otpm];
                }
            }
            Happens::Drain => self.drain(),
        }
    }

    fn ask(&mut self, index: usize) {
        if self.rival == Rival::NoGate {
            let way = self.latency();
            self.at(self.now + way, Happens::Upstream(index));
            return;
        }
        self.queue.push_back(index);
        self.at(self.requests[index].deadline.max(self.now + 1), Happens::GiveUp(index));
        self.serve();
    }

    /// First come, first served.
    fn serve(&mut self) {
        while let Some(index) = self.queue.front().copied() {
            let need = self.need(index);
            let wait = self.budget.wait(self.rival, self.now, need);
            if wait > 0 {
                self.at(self.now + wait, Happens::Serve);
                return;
            }
            self.budget.take(self.now, need.map(|need| need as i64));
            self.queue.pop_front();
            let way = self.latency();
            self.at(self.now + way, Happens::Upstream(index));
        }
    }

    /// What is taken at the start.
    fn need(&self, index: usize) -> Amounts {
        let Request { flow, counted: input, .. } = self.requests[index];
        let reserved = match self.rival {
            Rival::StaticReserve => self.scenario.flows[flow].max_tokens,
            _ => 0,
        };
        [1, input, reserved]
    }

    fn upstream(&mut self, index: usize) {
        self.report.attempts += 1;
        let Request { flow, counted: input, arrived, .. } = self.requests[index];
        let max_tokens = self.scenario.flows[flow].max_tokens;
        match self.provider.start(self.now, input, max_tokens) {
            Ok(()) => {
                self.report.used(self.now - START, [1, input, 0]);
                add(&mut self.report.flows[flow].served, [1, input, 0]);
                self.report.flows[flow].waits.add(self.now - arrived);
                let first = self.chance.between(200, 1_200);
                self.at(self.now + first + CHUNK_MS, Happens::Generate(index));
            }
            Err(Refused { wait, .. }) => {
                self.report.refused_upstream += 1;
                if self.rival != Rival::NoGate {
                    // What was taken for it comes back.
                    self.budget.take(self.now, self.need(index).map(|need| -(need as i64)));
                    self.at(self.now, Happens::Serve);
                }
                let request = &mut self.requests[index];
                let again = self.now + wait.div_ceil(1_000) * 1_000;
                if request.attempt < RETRIES {
                    request.attempt += 1;
                    request.deadline = again + self.scenario.flows[flow].patience_ms;
                    self.at(again, Happens::Ask(index));
                } else {
                    self.report.visible_upstream += 1;
                    self.report.count_refusal(flow, Reason::ProviderLimit);
                }
            }
        }
    }

    fn generate(&mut self, index: usize) {
        let leaves = self.scenario.flows[self.requests[index].flow].leave_permille;
        let request = &mut self.requests[index];
        let tokens = request.speed.min(request.output - request.generated);
        request.generated += tokens;
        let Request { flow, generated, output, .. } = *request;
        self.provider.generate(self.now, tokens);
        self.report.used(self.now - START, [0, 0, tokens]);
        self.report.flows[flow].served[2] += tokens;
        let has_left = leaves > 0 && self.chance.is(leaves.div_ceil(20));
        if generated < output && !has_left {
            self.at(self.now + CHUNK_MS, Happens::Generate(index));
            return;
        }
        self.report.answered += 1;
        let max_tokens = self.scenario.flows[flow].max_tokens;
        self.provider.finish(self.now, max_tokens, generated);
        let reserved = self.need(index)[2] as i64;
        self.budget.take(self.now, [0, 0, generated as i64 - reserved]);
        self.serve();
    }

    fn drain(&mut self) {
        for fault in &self.scenario.faults {
            if let Fault::Outside(_, until, permille) = *fault {
                let used = self.scenario.limits_at(0).map(|limit| limit * permille / 600_000);
                self.provider.drain(self.now, used);
                self.report.used(self.now - START, used);
                if self.now < START + until {
                    self.at(self.now + 100, Happens::Drain);
                }
                return;
            }
        }
    }

    fn latency(&mut self) -> Millis {
        let (low, high) = self.scenario.latency_ms;
        self.chance.between(low, high)
    }
}

/// What a rival's gate believes to be left: buckets, or counts of this minute.
#[derive(Debug)]
struct Budget {
    limits: Amounts,
    /// Levels in 60,000ths; of a window, what is left of it.
    levels: [i64; 3],
    at: Millis,
}

impl Budget {
    fn new(limits: Amounts) -> Self {
        Self { limits, levels: limits.map(|limit| limit as i64 * 60_000), at: START }
    }

    /// The span until `need` is there: 0 now.
    fn wait(&mut self, rival: Rival, now: Millis, need: Amounts) -> Millis {
        let is_window = rival == Rival::FixedWindow;
        if is_window && now / 60_000 > self.at / 60_000 {
            self.levels = self.limits.map(|limit| limit as i64 * 60_000);
        } else if !is_window {
            for (level, limit) in self.levels.iter_mut().zip(self.limits) {
                *level += (now - self.at) as i64 * limit as i64;
                *level = (*level).min(limit as i64 * 60_000);
            }
        }
        self.at = now;
        let waits = (0..3).map(|kind| {
            // Where output is charged afterwards, something must be left of it.
            let most = self.limits[kind] as i64 * 60_000;
            let need = (need[kind].max(1) as i64 * 60_000).min(most);
            let missing = need - self.levels[kind];
            match missing {
                ..=0 => 0,
                _ if is_window => 60_000 - now % 60_000,
                _ => missing as u64 / self.limits[kind].max(1) + 1,
            }
        });
        waits.max().unwrap_or(0)
    }

    fn take(&mut self, now: Millis, amounts: [i64; 3]) {
        debug_assert!(now >= self.at);
        for ((level, amount), limit) in self.levels.iter_mut().zip(amounts).zip(self.limits) {
            *level = (*level - amount * 60_000).min(limit as i64 * 60_000);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::{File, text};

    /// The table compares like with like: every rival is asked the same requests,
    /// and each has the fault that it is known for.
    #[test]
    fn rivals_fail_as_they_are_known_to() {
        let file = File::parse(text("saturated-output").expect("listed")).expect("sound");
        let mut scenario = file.scenario(1);
        scenario.span_ms = 600_000;
        let [none, window, reserve, after] = Rival::ALL.map(|rival| run(rival, &scenario));
        let gate = crate::run(&scenario);
        for report in [&none, &window, &reserve, &after] {
            assert_eq!(report.asked, gate.asked);
            assert_eq!(report.answered + report.refused(), report.asked);
        }
        assert!(none.visible_upstream > none.asked / 10, "{none}");
        assert!(after.refused_upstream > 0 && window.refused_upstream > 0, "{after}{window}");
        assert!(reserve.output_permille() + 200 < gate.output_permille(), "{reserve}");
        assert_eq!((gate.refused_upstream, gate.visible_upstream), (0, 0));
    }
}

//! The traffic: who asks for what, drawn from the scenario's flows before the
//! first event, so that one seed brings the same requests whatever becomes of them.

use limits::message::{Millis, Tokens};

use super::{CHUNK_MS, START};
use crate::chance::Chance;
use crate::scenario::{Lengths, Scenario};

/// One client's request and how far it is.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) flow: usize,
    /// Where it runs.
    pub(crate) isolate: usize,
    /// Its ticket: its own, or a lent one.
    pub(crate) ticket: String,
    /// When its client first asked, and when it last did.
    pub(crate) arrived: Millis,
    pub(crate) asked: Millis,
    pub(crate) deadline: Millis,
    pub(crate) estimate: Tokens,
    pub(crate) input: Tokens,
    /// What of it counts towards the limit, where its flow's prompt is cached.
    pub(crate) counted: Tokens,
    pub(crate) output: Tokens,
    pub(crate) generated: Tokens,
    /// Tokens in a chunk.
    pub(crate) speed: Tokens,
    pub(crate) attempt: u32,
    /// How often it asked or polled: an answer to an earlier asking is late.
    pub(crate) asking: u32,
    /// How often its client came back after a refusal.
    pub(crate) returned: u32,
    /// It came back, and was neither granted nor refused since.
    pub(crate) is_back: bool,
    pub(crate) stage: Stage,
    /// Its Worker is gone: it sends nothing more.
    pub(crate) dead: bool,
    /// So is its client, with the whole isolate.
    pub(crate) lost: bool,
    pub(crate) told: Option<(Millis, Millis)>,
    pub(crate) sent: Millis,
    /// When it asked for a lease, too, by the Worker's clock.
    pub(crate) borrows_since: Option<Millis>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Not there yet.
    Comes,
    Asks,
    Runs,
    Over,
}

/// All requests of a scenario, flow by flow.
pub(crate) fn requests(scenario: &Scenario, chance: &mut Chance) -> Vec<Request> {
    let mut requests = Vec::new();
    for (index, flow) in scenario.flows.iter().enumerate() {
        for _ in 0..flow.at_once {
            requests.push(draw(scenario, chance, index, START + flow.at_once_ms));
        }
        if flow.per_minute <= 0.0 {
            continue;
        }
        let mut at = 0.0;
        loop {
            at += chance.exponential(60_000.0 / flow.per_minute_at(at as Millis));
            if at >= scenario.span_ms as f64 {
                break;
            }
            requests.push(draw(scenario, chance, index, START + at as Millis));
        }
    }
    // Chance of their own, so that the same requests come to one isolate or ten.
    let mut spread = Chance::new(!scenario.seed);
    for (index, request) in requests.iter_mut().enumerate() {
        request.ticket = format!("t{index}");
        request.isolate = spread.between(0, scenario.isolates as u64 - 1) as usize;
    }
    requests
}

/// Their indices by the time at which they arrive.
pub(crate) fn in_time(requests: &[Request]) -> Vec<usize> {
    let mut order: Vec<_> = (0..requests.len()).collect();
    order.sort_by_key(|index| requests[*index].asked);
    order
}

fn draw(scenario: &Scenario, chance: &mut Chance, index: usize, asked: Millis) -> Request {
    let flow = &scenario.flows[index];
    let exponential = |chance: &mut Chance, mean: u64| chance.exponential(mean as f64) as u64;
    let estimate = exponential(chance, flow.input).clamp(1, flow.input_max);
    let (low, high) = scenario.estimate_permille;
    let input = (estimate * chance.between(low, high) / 1_000).max(1);
    // The estimate of the cached part is off, too, and always by as much.
    let cached = flow.cached * (low + high) / 2_000;
    let output = match flow.lengths {
        Lengths::Memoryless => exponential(chance, flow.output),
        Lengths::HeavyTailed => chance.pareto(flow.output as f64) as u64,
    };
    let output = output.clamp(1, flow.max_tokens);
    Request {
        flow: index,
        isolate: 0,
        ticket: String::new(),
        arrived: asked,
        asked,
        deadline: asked + flow.patience_ms,
        estimate: estimate + flow.cached,
        input: input + cached,
        counted: input,
        output,
        generated: 0,
        speed: chance.between(40, 100) * CHUNK_MS / 1_000,
        attempt: 0,
        asking: 0,
        returned: 0,
        is_back: false,
        stage: Stage::Comes,
        dead: false,
        lost: false,
        told: None,
        sent: 0,
        borrows_since: None,
    }
}

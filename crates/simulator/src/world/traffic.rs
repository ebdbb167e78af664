//! The traffic: who asks for what, drawn from the scenario's flows before the
//! first event, so that one seed brings the same requests whatever becomes of them.

use limits::message::{Millis, Tokens};

use super::{CHUNK_MS, START};
use crate::chance::Chance;
use crate::scenario::Scenario;

/// One client's request and how far it is.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) flow: usize,
    /// Where it runs.
    pub(super) isolate: usize,
    /// Its ticket: its own, or a lent one.
    pub(super) ticket: String,
    pub(super) asked: Millis,
    pub(super) deadline: Millis,
    pub(super) estimate: Tokens,
    pub(super) input: Tokens,
    pub(super) output: Tokens,
    pub(super) generated: Tokens,
    /// Tokens in a chunk.
    pub(super) speed: Tokens,
    pub(super) attempt: u32,
    pub(super) stage: Stage,
    /// Its Worker is gone: it sends nothing more.
    pub(super) dead: bool,
    /// So is its client, with the whole isolate.
    pub(super) lost: bool,
    pub(super) granted: Option<Millis>,
    pub(super) told: Option<(Millis, Millis)>,
    pub(super) sent: Millis,
    /// When it asked for a lease, too, by the Worker's clock.
    pub(super) borrows_since: Option<Millis>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Not there yet.
    Comes,
    Asks,
    Runs,
    Over,
}

/// All requests of a scenario, flow by flow.
pub(super) fn requests(scenario: &Scenario, chance: &mut Chance) -> Vec<Request> {
    let mut requests = Vec::new();
    for (index, flow) in scenario.flows.iter().enumerate() {
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

fn draw(scenario: &Scenario, chance: &mut Chance, index: usize, asked: Millis) -> Request {
    let flow = &scenario.flows[index];
    let exponential = |chance: &mut Chance, mean: u64| chance.exponential(mean as f64) as u64;
    let estimate = exponential(chance, flow.input).clamp(1, 20 * flow.input);
    let (low, high) = scenario.estimate_permille;
    let input = (estimate * chance.between(low, high) / 1_000).max(1);
    let output = exponential(chance, flow.output).clamp(1, flow.max_tokens);
    Request {
        flow: index,
        isolate: 0,
        ticket: String::new(),
        asked,
        deadline: asked + flow.patience_ms,
        estimate,
        input,
        output,
        generated: 0,
        speed: chance.between(40, 100) * CHUNK_MS / 1_000,
        attempt: 0,
        stage: Stage::Comes,
        dead: false,
        lost: false,
        granted: None,
        told: None,
        sent: 0,
        borrows_since: None,
    }
}

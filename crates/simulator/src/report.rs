//! What a simulation found.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use limits::message::{Millis, Priority, Reason};

use crate::moments::Moment;
use crate::scenario::Scenario;

/// Requests, input tokens, output tokens.
pub(crate) type Amounts = [u64; 3];

/// Sums of one simulation.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Its seed.
    pub seed: u64,
    /// Requests that were asked for.
    pub asked: u64,
    /// Requests that went by a lent ticket, without asking the Gate.
    pub drawn: u64,
    /// Requests whose isolate was lost before they were granted.
    pub lost: u64,
    /// Requests answered in full, or left by their clients.
    pub answered: u64,
    /// Refusals by the Gate, by reason.
    pub refused: BTreeMap<String, u64>,
    /// Requests whose call to the Gate was lost.
    pub unreachable: u64,
    /// Attempts that the provider refused.
    pub refused_upstream: u64,
    /// Requests that failed after the provider had refused one of their attempts:
    /// what a client may take for the provider's 429.
    pub visible_upstream: u64,
    /// Attempts that reached the provider.
    pub attempts: u64,
    /// How often refused clients came back when they were told to, and how often
    /// they were then granted.
    pub came_back: u64,
    /// The latter.
    pub back_in_time: u64,
    /// Who was refused first, when, and the time it was told, where its client comes
    /// back.
    pub told_back: Vec<(usize, Millis, Millis)>,
    /// Who was granted, and when.
    pub turns: Vec<(usize, Millis)>,
    /// Who asked, and what it got.
    pub flows: Vec<FlowReport>,
    /// Waits as the Gate first told them and as they came, in ms.
    pub told: Vec<(Millis, Millis)>,
    /// Calls that the Gate answered, and rows that it wrote.
    pub calls: u64,
    /// Rows written.
    pub rows: u64,
    /// Real money settled, and what the Gate recorded as spent at the end.
    pub microusd: (u64, u64),
    /// Looks at the account, where the scenario wants them.
    pub moments: Vec<Moment>,
    /// What the account gave in each second, to anybody.
    gave: Vec<Amounts>,
    /// What its limits allowed in each second, in 60ths.
    allowed: Vec<Amounts>,
    /// The seconds that are measured.
    measured: Range<usize>,
    /// Places at the provider, and for how many ms one of them was taken while it was
    /// measured.
    places: (u64, u64),
}

/// One flow's part.
#[derive(Clone, Debug)]
pub struct FlowReport {
    /// Its tenant, and its end user after a stroke.
    pub tenant: String,
    /// Its priority.
    pub priority: Priority,
    /// Its tenant's weight.
    pub weight: u32,
    /// Times from first asking to being taken by the provider.
    pub waits: Waits,
    /// Requests that were refused for good.
    pub refused: u64,
    /// What it asked for: requests, input and output tokens.
    pub asked: [u64; 3],
    /// What it got.
    pub served: [u64; 3],
}

/// The waits of granted requests, in ms.
#[derive(Clone, Debug, Default)]
pub struct Waits(Vec<Millis>);

impl Waits {
    pub(crate) fn add(&mut self, wait: Millis) {
        self.0.push(wait);
    }

    /// How many were granted.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The wait that `permille` of the requests did not exceed.
    pub fn quantile(&self, permille: usize) -> Millis {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let index = (sorted.len() * permille / 1_000).min(sorted.len().saturating_sub(1));
        sorted.get(index).copied().unwrap_or(0)
    }
}

impl Report {
    pub(crate) fn new(scenario: &Scenario) -> Self {
        let seconds = scenario.span_ms.div_ceil(1_000);
        let flows = scenario.flows.iter().map(|flow| FlowReport {
            tenant: flow.name(),
            priority: flow.priority,
            weight: flow.policy.weight,
            waits: Waits::default(),
            refused: 0,
            asked: [0; 3],
            served: [0; 3],
        });
        Self {
            seed: scenario.seed,
            flows: flows.collect(),
            gave: vec![[0; 3]; seconds as usize],
            allowed: (0..seconds).map(|second| scenario.limits_at(second * 1_000)).collect(),
            places: (scenario.concurrent.unwrap_or(0), 0),
            measured: (scenario.measure_from_ms / 1_000) as usize..seconds as usize,
            ..Self::default()
        }
    }

    /// The account gave this, at a time of the scenario.
    pub(crate) fn used(&mut self, at: Millis, amounts: Amounts) {
        // What is given after the last request arrived is not measured.
        if let Some(gave) = self.gave.get_mut((at / 1_000) as usize) {
            add(gave, amounts);
        }
    }

    /// So many places were taken from one time of the scenario to another.
    pub(crate) fn occupied(&mut self, from: Millis, to: Millis, places: u64) {
        let measured = |at: Millis| {
            at.clamp(self.measured.start as u64 * 1_000, self.measured.end as u64 * 1_000)
        };
        self.places.1 += places * (measured(to) - measured(from));
    }

    /// The time for which places were taken, in permille of all there was.
    pub fn places_permille(&self) -> u64 {
        let span = self.measured.len() as u64 * 1_000;
        permille((self.places.1, self.places.0 * span))
    }

    /// What was given and what the limit allowed while requests arrived and were
    /// measured: of requests (0), input (1) or output (2).
    pub fn used_of(&self, kind: usize) -> (u64, u64) {
        self.within(kind, self.measured.clone())
    }

    fn within(&self, kind: usize, seconds: Range<usize>) -> (u64, u64) {
        let sum = |of: &[Amounts]| of.iter().map(|amounts| amounts[kind]).sum::<u64>();
        (sum(&self.gave[seconds.clone()]), sum(&self.allowed[seconds]) / 60)
    }

    /// Use of a limit in permille of what it allowed.
    pub fn permille_of(&self, kind: usize) -> u64 {
        permille(self.used_of(kind))
    }

    /// The least use of a limit over any such span of what is measured, in permille;
    /// over all of it where that is shorter.
    pub fn least_permille_of(&self, kind: usize, span_ms: Millis) -> u64 {
        let span = ((span_ms / 1_000) as usize).min(self.measured.len());
        let starts = self.measured.start..=self.measured.end - span;
        let of = |start: usize| permille(self.within(kind, start..start + span));
        starts.step_by(5).map(of).min().unwrap_or(0)
    }

    /// Use of the output limit, in permille of what it allowed.
    pub fn output_permille(&self) -> u64 {
        self.permille_of(2)
    }

    /// Use of the input limit, in permille.
    pub fn input_permille(&self) -> u64 {
        self.permille_of(1)
    }

    /// Use of the request limit, in permille.
    pub fn requests_permille(&self) -> u64 {
        self.permille_of(0)
    }

    /// Calls that the Gate answered for 1,000 requests: admits, polls, renewals, and
    /// reports that found none of them to ride on.
    pub fn calls_permille(&self) -> u64 {
        permille((self.calls, self.asked))
    }

    /// All refusals by the Gate.
    pub fn refused(&self) -> u64 {
        self.refused.values().sum()
    }

    /// The waits of one tenant.
    pub fn waits(&self, tenant: &str) -> Waits {
        self.waits_where(|flow| flow.tenant == tenant)
    }

    /// The waits of the flows for which it holds.
    pub fn waits_where(&self, holds: impl Fn(&FlowReport) -> bool) -> Waits {
        let flows = self.flows.iter().filter(|flow| holds(flow));
        Waits(flows.flat_map(|flow| flow.waits.0.iter().copied()).collect())
    }

    /// Jain's index over what each flow got, in parts of what max-min fairness by
    /// weight would have given it of the same whole: 1 is fair, 1/n is one for all.
    pub fn fairness(&self) -> f64 {
        let limits = self.allowed.first().copied().unwrap_or([1; 3]);
        // A flow's share of the scarcest limit is what counts.
        let cost = |amounts: &Amounts| {
            (0..3).map(|kind| amounts[kind] as f64 / limits[kind].max(1) as f64).fold(0.0, f64::max)
        };
        let flows = self.flows.iter().filter(|flow| flow.asked[0] > 0);
        let of: Vec<(f64, f64, f64)> = flows
            .map(|flow| (cost(&flow.asked), cost(&flow.served), f64::from(flow.weight.max(1))))
            .collect();
        let fair = max_min(&of, of.iter().map(|(_, served, _)| served).sum());
        let parts = of.iter().zip(&fair).map(|((_, served, _), fair)| served / fair.max(1e-9));
        let (sum, squares) =
            parts.fold((0.0, 0.0), |(sum, squares), part: f64| (sum + part, squares + part * part));
        if squares == 0.0 { 1.0 } else { sum * sum / (of.len() as f64 * squares) }
    }

    /// Adds another seed's findings.
    pub fn merge(&mut self, other: &Self) {
        self.asked += other.asked;
        self.drawn += other.drawn;
        self.lost += other.lost;
        self.answered += other.answered;
        self.unreachable += other.unreachable;
        self.refused_upstream += other.refused_upstream;
        self.visible_upstream += other.visible_upstream;
        self.attempts += other.attempts;
        self.came_back += other.came_back;
        self.back_in_time += other.back_in_time;
        self.calls += other.calls;
        self.rows += other.rows;
        self.places = (self.places.0 + other.places.0, self.places.1 + other.places.1);
        for (reason, count) in &other.refused {
            *self.refused.entry(reason.clone()).or_default() += count;
        }
        self.told.extend_from_slice(&other.told);
        for (mine, others) in self.flows.iter_mut().zip(&other.flows) {
            mine.waits.0.extend_from_slice(&others.waits.0);
            mine.refused += others.refused;
            add(&mut mine.asked, others.asked);
            add(&mut mine.served, others.served);
        }
        for (mine, others) in self.gave.iter_mut().zip(&other.gave) {
            add(mine, *others);
        }
        for (mine, others) in self.allowed.iter_mut().zip(&other.allowed) {
            add(mine, *others);
        }
    }

    pub(crate) fn count_refusal(&mut self, flow: usize, reason: Reason) {
        self.flows[flow].refused += 1;
        *self.refused.entry(format!("{reason:?}")).or_default() += 1;
    }
}

/// Divides `whole` by weight, nobody more than it asked for. Of (asked, _, weight).
fn max_min(of: &[(f64, f64, f64)], mut whole: f64) -> Vec<f64> {
    let mut shares = vec![0.0; of.len()];
    let mut order: Vec<usize> = (0..of.len()).collect();
    order.sort_by(|a, b| (of[*a].0 / of[*a].2).total_cmp(&(of[*b].0 / of[*b].2)));
    let mut weights: f64 = of.iter().map(|(.., weight)| weight).sum();
    for index in order {
        let (asked, _, weight) = of[index];
        shares[index] = asked.min(whole * weight / weights);
        whole -= shares[index];
        weights -= weight;
    }
    shares
}

pub(crate) fn add(sum: &mut Amounts, part: Amounts) {
    for (sum, part) in sum.iter_mut().zip(part) {
        *sum += part;
    }
}

fn permille((used, could): (u64, u64)) -> u64 {
    used * 1_000 / could.max(1)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "seed {}: asked {} drawn {} lost {} answered {} refused {:?}; upstream {} attempts {} refused; \
             use in permille: output {} input {} requests {}; {} calls {} rows",
            self.seed,
            self.asked,
            self.drawn,
            self.lost,
            self.answered,
            self.refused,
            self.attempts,
            self.refused_upstream,
            self.output_permille(),
            self.input_permille(),
            self.requests_permille(),
            self.calls,
            self.rows,
        )?;
        if !self.told.is_empty() {
            let mut ratios: Vec<_> =
                self.told.iter().map(|(told, real)| told * 100 / (real + 1)).collect();
            ratios.sort_unstable();
            let at = |percent: usize| ratios[(ratios.len() * percent / 100).min(ratios.len() - 1)];
            writeln!(
                f,
                "  {} waits told, in percent of the real ones: p5 {} p50 {} p95 {}",
                ratios.len(),
                at(5),
                at(50),
                at(95)
            )?;
        }
        if self.came_back > 0 {
            writeln!(
                f,
                "  {} came back when they were told to, {} were then granted",
                self.came_back, self.back_in_time
            )?;
        }
        for FlowReport { tenant, waits, .. } in &self.flows {
            writeln!(
                f,
                "  {tenant}: {} granted, wait p50 {} p95 {} p99 {} ms",
                waits.count(),
                waits.quantile(500),
                waits.quantile(950),
                waits.quantile(990)
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_is_divided_by_weight_and_nobody_gets_more_than_it_asked_for() {
        assert_eq!(
            max_min(&[(1.0, 0.0, 1.0), (9.0, 0.0, 1.0), (9.0, 0.0, 3.0)], 9.0),
            [1.0, 2.0, 6.0]
        );
        assert_eq!(max_min(&[(1.0, 0.0, 1.0), (2.0, 0.0, 1.0)], 3.0), [1.0, 2.0]);
    }
}

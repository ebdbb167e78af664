//! What a simulation found.

use std::collections::BTreeMap;
use std::fmt;

use limits::message::{Millis, Reason};

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
    /// Attempts that the provider refused.
    pub refused_upstream: u64,
    /// Attempts that reached the provider.
    pub attempts: u64,
    /// Output tokens generated while requests arrived, and what the output
    /// limit allowed in that time.
    pub output: (u64, u64),
    /// The same of input tokens.
    pub input: (u64, u64),
    /// The same of requests.
    pub requests: (u64, u64),
    /// Time from asking to grant, by tenant.
    pub waits: BTreeMap<String, Waits>,
    /// Waits as the Gate first told them and as they came, in ms.
    pub told: Vec<(Millis, Millis)>,
    /// Calls that the Gate answered, and rows that it wrote.
    pub calls: u64,
    /// Rows written.
    pub rows: u64,
    /// Real money settled, and what the Gate recorded as spent at the end.
    pub microusd: (u64, u64),
}

/// The waits of one tenant's granted requests, in ms.
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
    /// Use of the output limit, in permille of what it allowed.
    pub fn output_permille(&self) -> u64 {
        permille(self.output)
    }

    /// Use of the input limit, in permille.
    pub fn input_permille(&self) -> u64 {
        permille(self.input)
    }

    /// Use of the request limit, in permille.
    pub fn requests_permille(&self) -> u64 {
        permille(self.requests)
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

    pub(crate) fn count_refusal(&mut self, reason: Reason) {
        *self.refused.entry(format!("{reason:?}")).or_default() += 1;
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
        for (tenant, waits) in &self.waits {
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

//! Scenarios as TOML files: what is played, and what must hold for every seed.
//!
//! Those of this crate are in `scenarios/`; [`NAMES`] lists them. Times are in
//! seconds, parts in permille, limits a minute. Unknown keys are refused.

use std::num::NonZeroU64;

use serde::Deserialize;

use limits::message::{Millis, Priority, Tokens};
use limits::policy::{RateLimits, Tenant};
use limits::settings::{GateSettings, QueueSettings, Reserves};

use crate::provider::{Limits, Ramp};
use crate::report::Report;
use crate::scenario::{Fault, Flow, Growth, Lengths, Scenario};

macro_rules! scenarios {
    ($($name:literal),* $(,)?) => {
        /// The scenarios that come with the simulator.
        pub const NAMES: &[&str] = &[$($name),*];

        /// The text of one of them.
        pub fn text(name: &str) -> Option<&'static str> {
            match name {
                $($name => Some(include_str!(concat!("../scenarios/", $name, ".toml"))),)*
                _ => None,
            }
        }
    };
}

scenarios![
    "saturated-requests",
    "saturated-input",
    "saturated-output",
    "small-input",
    "small-output",
    "reserved-output",
    "noisy-neighbour",
    "user-floods",
    "flood-over-the-queue",
    "priorities",
    "fifty-at-once",
    "fifty-of-large-answers",
    "fifty-of-a-new-kind",
    "ten-at-once",
    "prompts-cached",
    "limits-lowered-and-raised",
    "limits-unknown",
    "small-unknown",
    "estimates-off",
    "heavy-tailed",
    "disconnects",
    "outside-user",
    "steep-rise",
    "skewed-clocks",
    "gate-restarts",
    "cached-restarts",
    "messages-lost-and-doubled",
    "faults-requests",
    "faults-input",
    "faults-output",
    "isolates-lost",
    "refused-and-back",
    "million",
];

/// A scenario's file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// What it shows, in a sentence.
    pub about: String,
    /// How long requests arrive.
    span_s: u64,
    /// From when on use is measured: when the burst of full buckets is used up.
    #[serde(default)]
    measure_from_s: u64,
    limits: FileLimits,
    /// Whether the provider holds `max_tokens` while a request runs; the Gate is told.
    #[serde(default)]
    reserves_most: bool,
    /// The provider's ramp limit; the Gate is not told.
    ramp: Option<FileRamp>,
    /// Whether the Gate is told the limits.
    #[serde(default = "yes")]
    limits_known: bool,
    /// The queue's bound.
    #[serde(default = "queue_length_max")]
    queue_length_max: usize,
    /// Whether isolates are lent tickets.
    #[serde(default = "yes")]
    leases: bool,
    #[serde(default = "four")]
    isolates: usize,
    /// Real input tokens per 1,000 estimated: from, to.
    #[serde(default = "estimates")]
    estimate_permille: (u64, u64),
    /// How often running requests tell how far they are.
    #[serde(default = "half_a_minute")]
    renew_s: u64,
    flow: Vec<FileFlow>,
    #[serde(default)]
    fault: Vec<FileFault>,
    /// What must hold.
    #[serde(default)]
    pub holds: Holds,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileLimits {
    rpm: u64,
    itpm: Tokens,
    otpm: Tokens,
    /// Requests that run at one time.
    concurrent: Option<u64>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileRamp {
    /// Requests a minute that may always go.
    free: u64,
    /// What their pace is measured over.
    over_s: NonZeroU64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileFlow {
    tenant: String,
    /// The end user that its requests name: its flow goes by `TENANT/USER`.
    user: Option<String>,
    /// Requests of its tenant that run at one time.
    concurrent: Option<u64>,
    #[serde(default)]
    per_minute: f64,
    /// So many more at one time.
    #[serde(default)]
    at_once: u32,
    #[serde(default)]
    at_once_s: u64,
    /// Grows to so many times its requests from one second to another.
    growth: Option<FileGrowth>,
    input: Tokens,
    /// No estimate is above this: 20 times the mean where it is not told.
    input_max: Option<Tokens>,
    output: Tokens,
    #[serde(default = "max_tokens")]
    max_tokens: Tokens,
    #[serde(default)]
    lengths: Lengths,
    #[serde(default)]
    priority: Priority,
    #[serde(default = "one")]
    weight: u32,
    patience_s: Option<u64>,
    #[serde(default)]
    leave_permille: u32,
    #[serde(default)]
    cached: Tokens,
    #[serde(default)]
    comes_back: bool,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileGrowth {
    from_s: u64,
    to_s: u64,
    times: f64,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, tag = "what")]
enum FileFault {
    RestartEvery { s: u64 },
    IsolateDies { permille: u32 },
    IsolatesLost { every_s: u64, until_s: u64 },
    Doubled { permille: u32 },
    Lost { permille: u32 },
    Late { permille: u32, ms: Millis },
    ClocksApart { s: u64 },
    LimitsChange { at_s: u64, rpm: u64, itpm: Tokens, otpm: Tokens },
    Outside { from_s: u64, to_s: u64, permille: u64 },
}

/// What must hold of each seed. Beside it, always: no client sees a refusal after
/// the provider's, and what `run` asserts (books, deadlines, the mirror).
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Holds {
    /// The limit that binds, and the least use of it in permille over any ten
    /// minutes that are measured, or all of them where they are fewer.
    pub used: Option<Used>,
    /// The most attempts that the provider refuses, in 1,000.
    #[serde(default)]
    pub refused_upstream_permille: u64,
    /// The most attempts, refused ones among them, for 1,000 answers.
    pub attempts_permille: Option<u64>,
    /// Flows of which nobody is refused.
    #[serde(default)]
    pub never_refused: Vec<String>,
    /// This flow floods: without it the others' p95 wait is shorter by at most
    /// this.
    pub flood: Option<Flood>,
    /// The longest p95 wait of a flow.
    #[serde(default)]
    pub p95_ms: std::collections::BTreeMap<String, Millis>,
    /// Of 1,000 clients that come back when they were told to, in all seeds together,
    /// so many are granted.
    pub back_in_time_permille: Option<u64>,
}

/// How much of which limit.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Used {
    /// The limit.
    pub limit: Kind,
    /// How much of it.
    pub permille: u64,
}

/// A kind of limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)] // The words say it.
pub enum Kind {
    Requests,
    Input,
    Output,
    Places,
}

/// Who floods.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flood {
    /// Its flow.
    pub tenant: String,
    /// One service time.
    pub costs_ms: Millis,
}

impl File {
    /// Reads a scenario; an error names the line.
    pub fn parse(text: &str) -> Result<Self, String> {
        toml::from_str(text).map_err(|error| error.to_string())
    }

    /// The scenario with this seed.
    pub fn scenario(&self, seed: u64) -> Scenario {
        let FileLimits { rpm, itpm, otpm, concurrent } = self.limits;
        let limits = Limits { rpm, itpm, otpm };
        let flows = self.flow.iter().map(FileFlow::flow).collect();
        let mut scenario = Scenario::new(seed, self.span_s * 1_000, limits, flows);
        if !self.limits_known {
            scenario.settings = GateSettings {
                accounts: [("acct".to_owned(), Box::default())].into(),
                ..GateSettings::default()
            };
        }
        scenario = scenario.with_places(concurrent);
        scenario.settings.leases = self.leases;
        scenario.settings.queue.length_max = self.queue_length_max;
        scenario.reserves_most = self.reserves_most;
        if self.reserves_most {
            let accounts = scenario.settings.accounts.values_mut();
            accounts.for_each(|account| account.reserves = Reserves::MaxTokens);
        }
        scenario.ramp =
            self.ramp.map(|FileRamp { free, over_s }| Ramp { free, over_ms: over_s.get() * 1_000 });
        scenario.measure_from_ms = self.measure_from_s * 1_000;
        scenario.isolates = self.isolates;
        scenario.estimate_permille = self.estimate_permille;
        scenario.renew_ms = self.renew_s * 1_000;
        scenario.faults = self.fault.iter().map(FileFault::fault).collect();
        scenario
    }

    /// What did not hold, in words.
    pub fn broken(&self, scenario: &Scenario, report: &Report) -> Vec<String> {
        let Holds { used, attempts_permille, .. } = &self.holds;
        let mut broken = Vec::new();
        let mut hold = |holds: bool, what: String| {
            if !holds {
                broken.push(what);
            }
        };
        if let Some(Used { limit, permille }) = used {
            let least = match limit {
                Kind::Places => report.places_permille(),
                _ => report.least_permille_of(*limit as usize, 600_000),
            };
            hold(
                least >= *permille,
                format!("{least} of {permille} permille of the {limit:?} limit used"),
            );
        }
        let upstream = (report.refused_upstream, self.holds.refused_upstream_permille);
        let is_rare = upstream.0 * 1_000 <= upstream.1 * report.attempts;
        hold(is_rare, format!("{} of {} attempts refused", upstream.0, report.attempts));
        let visible = report.visible_upstream;
        hold(visible == 0, format!("{visible} clients failed after the provider refused"));
        if let Some(most) = attempts_permille {
            let Report { attempts, answered, .. } = report;
            let holds = attempts * 1_000 <= most * answered;
            hold(holds, format!("{attempts} attempts for {answered} answers"));
        }
        for flow in &report.flows {
            let is_never = self.holds.never_refused.contains(&flow.tenant);
            let (tenant, refused) = (&flow.tenant, flow.refused);
            hold(!is_never || refused == 0, format!("{tenant} was refused {refused} times"));
        }
        if let Some(Flood { tenant, costs_ms }) = &self.holds.flood {
            let mut alone = scenario.clone();
            alone.flows.retain(|flow| flow.name() != *tenant);
            let alone = crate::run(&alone);
            for flow in report.flows.iter().filter(|flow| flow.tenant != *tenant) {
                let of = |report: &Report| report.waits(&flow.tenant).quantile(950);
                let (with, without) = (of(report), of(&alone));
                let holds = with <= without + costs_ms;
                hold(holds, format!("{} waits {with} ms, {without} without", flow.tenant));
            }
        }
        for (tenant, most) in &self.holds.p95_ms {
            let p95 = report.waits(tenant).quantile(950);
            hold(p95 <= *most, format!("{tenant} waits {p95} ms, {most} are allowed"));
        }
        broken
    }

    /// What does not hold of all seeds together.
    pub fn broken_together(&self, all: &Report) -> Option<String> {
        let least = self.holds.back_in_time_permille?;
        let (back, granted) = (all.came_back, all.back_in_time);
        let holds = back > 0 && granted * 1_000 >= least * back;
        (!holds).then(|| format!("{granted} of {back} that came back were granted"))
    }
}

impl FileFlow {
    fn flow(&self) -> Flow {
        let growth = self.growth.map(|FileGrowth { from_s, to_s, times }| Growth {
            from_ms: from_s * 1_000,
            to_ms: to_s * 1_000,
            times,
        });
        let limits = RateLimits { concurrent: self.concurrent, ..RateLimits::default() };
        let plain = Flow::new(&self.tenant, self.per_minute, self.input, self.output);
        Flow {
            policy: Tenant { weight: self.weight, limits, ..Tenant::default() },
            user: self.user.clone(),
            at_once: self.at_once,
            at_once_ms: self.at_once_s * 1_000,
            growth,
            input_max: self.input_max.unwrap_or(plain.input_max),
            lengths: self.lengths,
            max_tokens: self.max_tokens,
            priority: self.priority,
            patience_ms: self.patience_s.map_or(plain.patience_ms, |s| s * 1_000),
            leave_permille: self.leave_permille,
            cached: self.cached,
            comes_back: self.comes_back,
            ..plain
        }
    }
}

impl FileFault {
    fn fault(&self) -> Fault {
        match *self {
            Self::RestartEvery { s } => Fault::RestartEvery(s * 1_000),
            Self::IsolateDies { permille } => Fault::IsolateDies(permille),
            Self::IsolatesLost { every_s, until_s } => {
                Fault::IsolatesLost(every_s * 1_000, until_s * 1_000)
            }
            Self::Doubled { permille } => Fault::Doubled(permille),
            Self::Lost { permille } => Fault::Lost(permille),
            Self::Late { permille, ms } => Fault::Late(permille, ms),
            Self::ClocksApart { s } => Fault::ClocksApart(s * 1_000),
            Self::LimitsChange { at_s, rpm, itpm, otpm } => {
                Fault::LimitsChange(at_s * 1_000, Limits { rpm, itpm, otpm })
            }
            Self::Outside { from_s, to_s, permille } => {
                Fault::Outside(from_s * 1_000, to_s * 1_000, permille)
            }
        }
    }
}

fn yes() -> bool {
    true
}

fn queue_length_max() -> usize {
    QueueSettings::default().length_max
}

fn one() -> u32 {
    1
}

fn four() -> usize {
    4
}

fn half_a_minute() -> u64 {
    30
}

fn max_tokens() -> Tokens {
    4_096
}

/// The error of an estimate by a text's features (docs/bench.md).
fn estimates() -> (u64, u64) {
    (850, 1_150)
}

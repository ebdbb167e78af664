//! What a simulation plays: traffic, limits, faults.

use limits::message::{Millis, Priority, Tokens};
use limits::policy::Tenant;
use limits::settings::GateSettings;

use crate::provider::Limits;

/// One simulation.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Its seed: all chance comes from it.
    pub seed: u64,
    /// How long requests arrive.
    pub span_ms: Millis,
    /// Use is measured from here to the end of `span_ms`.
    pub measure_from_ms: Millis,
    /// What the provider allows.
    pub limits: Limits,
    /// What the Gate is told. The account is `acct`, the class `class`.
    pub settings: GateSettings,
    /// Who asks, each a tenant of its own.
    pub flows: Vec<Flow>,
    /// Over how many isolates requests spread, each for itself: 1 at least.
    pub isolates: usize,
    /// What goes wrong.
    pub faults: Vec<Fault>,
    /// Messages take this long one way between Worker and Gate, and between
    /// Worker and provider: from, to.
    pub latency_ms: (Millis, Millis),
    /// Running requests tell how far they are this often.
    pub renew_ms: Millis,
    /// Real input tokens per 1,000 estimated.
    pub estimate_permille: (u64, u64),
}

impl Scenario {
    /// Traffic without faults against these limits, which the Gate knows.
    pub fn new(seed: u64, span_ms: Millis, limits: Limits, flows: Vec<Flow>) -> Self {
        let belief = limits::settings::ClassLimits {
            rpm: Some(limits.rpm),
            itpm: Some(limits.itpm),
            otpm: Some(limits.otpm),
        };
        let account = limits::settings::AccountSettings {
            limits: [("*".to_owned(), belief)].into(),
            ..Default::default()
        };
        Self {
            seed,
            span_ms,
            measure_from_ms: 0,
            limits,
            settings: GateSettings {
                accounts: [("acct".to_owned(), account)].into(),
                ..Default::default()
            },
            flows,
            isolates: 4,
            faults: Vec::new(),
            latency_ms: (2, 30),
            renew_ms: 30_000,
            estimate_permille: (850, 1_150),
        }
    }
}

/// One tenant's traffic: requests at random, independent times.
#[derive(Clone, Debug)]
pub struct Flow {
    /// The tenant's name.
    pub tenant: String,
    /// Its policy.
    pub policy: Tenant,
    /// Requests a minute, on average.
    pub per_minute: f64,
    /// How its traffic grows, if it does.
    pub growth: Option<Growth>,
    /// Mean input tokens, exponentially distributed.
    pub input: Tokens,
    /// Mean output tokens, exponentially distributed up to `max_tokens`.
    pub output: Tokens,
    /// Each request's own limit.
    pub max_tokens: Tokens,
    /// Its priority.
    pub priority: Priority,
    /// How long its clients wait.
    pub patience_ms: Millis,
    /// This many of 1,000 clients leave before their answer is complete.
    pub leave_permille: u32,
}

impl Flow {
    /// Requests of normal priority that wait for two minutes.
    pub fn new(tenant: &str, per_minute: f64, input: Tokens, output: Tokens) -> Self {
        Self {
            tenant: tenant.to_owned(),
            policy: Tenant::default(),
            per_minute,
            growth: None,
            input,
            output,
            max_tokens: 4_096,
            priority: Priority::Normal,
            patience_ms: 120_000,
            leave_permille: 0,
        }
    }

    /// Requests a minute at this time of the scenario.
    pub(crate) fn per_minute_at(&self, at: Millis) -> f64 {
        let Some(Growth { from_ms, to_ms, times }) = self.growth else { return self.per_minute };
        let span = to_ms.saturating_sub(from_ms).max(1) as f64;
        let part = (at.saturating_sub(from_ms) as f64 / span).min(1.0);
        self.per_minute * (1.0 + (times - 1.0) * part)
    }
}

/// Traffic that grows from one time to another, evenly, and stays so.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Growth {
    /// Until then it is as before.
    pub from_ms: Millis,
    /// From then on it has grown.
    pub to_ms: Millis,
    /// To so many times the requests.
    pub times: f64,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The Gate restarts at this time with the rows it wrote.
    Restart(Millis),
    /// The Gate restarts this often.
    RestartEvery(Millis),
    /// This many of 1,000 requests lose their isolate while they run: no
    /// settlement, no renewal.
    IsolateDies(u32),
    /// Until the second time, one isolate after the other is lost this often, with
    /// the tickets it was lent, what it had to tell and its clients.
    IsolatesLost(Millis, Millis),
    /// This many of 1,000 settlements are sent twice.
    Doubled(u32),
    /// The provider's limits change.
    LimitsChange(Millis, Limits),
    /// From the first time to the second, somebody else uses this part, in
    /// permille, of each limit.
    Outside(Millis, Millis, u64),
    /// The Workers' clocks are ahead of the Gate's by this.
    ClocksAhead(Millis),
}

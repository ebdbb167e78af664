//! What a simulation plays: traffic, limits, faults.

use limits::message::{Millis, Priority, Tokens};
use limits::policy::Tenant;
use limits::settings::GateSettings;

use crate::provider::{Limits, Ramp};

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
    /// How many requests it lets run at one time, where it bounds them. The Gate is
    /// told by [`Scenario::with_places`].
    pub concurrent: Option<u64>,
    /// The provider holds `max_tokens` of the output limit while a request runs.
    pub reserves_most: bool,
    /// The provider refuses sharp rises; nobody tells the Gate.
    pub ramp: Option<Ramp>,
    /// What the Gate is told. The account is `acct`, the class `class`.
    pub settings: GateSettings,
    /// Who asks: tenants, or end users of one.
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
    /// Whether the report is to have a look at the account each second.
    pub looks: bool,
}

impl Scenario {
    /// Traffic without faults against these limits, which the Gate knows.
    pub fn new(seed: u64, span_ms: Millis, limits: Limits, flows: Vec<Flow>) -> Self {
        let belief = limits::settings::ClassLimits {
            rpm: Some(limits.rpm),
            itpm: Some(limits.itpm),
            otpm: Some(limits.otpm),
            concurrent: None,
        };
        let account = limits::settings::AccountSettings {
            limits: [("*".to_owned(), Box::new(belief))].into(),
            ..Default::default()
        };
        Self {
            seed,
            span_ms,
            measure_from_ms: 0,
            limits,
            concurrent: None,
            reserves_most: false,
            ramp: None,
            settings: GateSettings {
                accounts: [("acct".to_owned(), Box::new(account))].into(),
                ..Default::default()
            },
            flows,
            isolates: 4,
            faults: Vec::new(),
            latency_ms: (2, 30),
            renew_ms: 30_000,
            estimate_permille: (850, 1_150),
            looks: false,
        }
    }
}

impl Scenario {
    /// The provider lets so many requests run at one time, as the Gate knows.
    pub fn with_places(mut self, concurrent: Option<u64>) -> Self {
        self.concurrent = concurrent;
        let accounts = self.settings.accounts.values_mut();
        accounts.flat_map(|account| account.limits.values_mut()).for_each(|limits| {
            limits.concurrent = concurrent;
        });
        self
    }

    /// What the provider allows at this time, as far as faults change it.
    pub(crate) fn limits_at(&self, at: Millis) -> [u64; 3] {
        let changes = self.faults.iter().filter_map(|fault| match *fault {
            Fault::LimitsChange(from, limits) if from <= at => Some((from, limits)),
            _ => None,
        });
        let last = changes.max_by_key(|(from, _)| *from);
        let Limits { rpm, itpm, otpm } = last.map_or(self.limits, |(_, limits)| limits);
        [rpm, itpm, otpm]
    }
}

/// One tenant's traffic, or one end user's: requests at random, independent times.
#[derive(Clone, Debug)]
pub struct Flow {
    /// The tenant's name. Flows of one tenant have the same policy.
    pub tenant: String,
    /// The end user that its requests name.
    pub user: Option<String>,
    /// Its policy.
    pub policy: Tenant,
    /// Requests a minute, on average.
    pub per_minute: f64,
    /// So many more at one time.
    pub at_once: u32,
    /// That time.
    pub at_once_ms: Millis,
    /// How its traffic grows, if it does.
    pub growth: Option<Growth>,
    /// Mean input tokens, exponentially distributed.
    pub input: Tokens,
    /// No estimate is above this.
    pub input_max: Tokens,
    /// Mean output tokens, up to `max_tokens`.
    pub output: Tokens,
    /// How they are distributed.
    pub lengths: Lengths,
    /// Each request's own limit.
    pub max_tokens: Tokens,
    /// Its priority.
    pub priority: Priority,
    /// How long its clients wait.
    pub patience_ms: Millis,
    /// This many of 1,000 clients leave before their answer is complete.
    pub leave_permille: u32,
    /// Refused clients come back when they were told to.
    pub comes_back: bool,
    /// Each prompt begins with so many tokens more, the same ones, marked for the
    /// provider's prompt cache.
    pub cached: Tokens,
}

impl Flow {
    /// Requests of normal priority that wait for two minutes.
    pub fn new(tenant: &str, per_minute: f64, input: Tokens, output: Tokens) -> Self {
        Self {
            tenant: tenant.to_owned(),
            user: None,
            policy: Tenant::default(),
            per_minute,
            at_once: 0,
            at_once_ms: 0,
            growth: None,
            input,
            input_max: 20 * input,
            output,
            lengths: Lengths::Memoryless,
            max_tokens: 4_096,
            priority: Priority::Normal,
            patience_ms: 120_000,
            leave_permille: 0,
            comes_back: false,
            cached: 0,
        }
    }

    /// What it goes by: `TENANT`, or `TENANT/USER`.
    pub fn name(&self) -> String {
        match &self.user {
            Some(user) => format!("{}/{user}", self.tenant),
            None => self.tenant.clone(),
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

/// How the lengths of answers are distributed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lengths {
    /// Exponentially: how much was generated says nothing of what is left.
    #[default]
    Memoryless,
    /// By Pareto's law with the exponent 1.5: a few are very long.
    HeavyTailed,
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
    /// This many of 1,000 messages between Worker and Gate are sent twice, whatever they
    /// ask or tell, and as many settlements by two messages; any copy may be late.
    Doubled(u32),
    /// The provider's limits change.
    LimitsChange(Millis, Limits),
    /// From the first time to the second, somebody else uses this part, in
    /// permille, of each limit.
    Outside(Millis, Millis, u64),
    /// The Workers' clocks are ahead of the Gate's by this.
    ClocksAhead(Millis),
    /// Every second isolate's clock is ahead of the Gate's by this, the others'
    /// are behind.
    ClocksApart(Millis),
    /// This many of 1,000 messages between Worker and Gate are lost, and as many
    /// replies.
    Lost(u32),
    /// This many of 1,000 messages take up to this long, and are overtaken.
    Late(u32, Millis),
}

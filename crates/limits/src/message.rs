//! The messages between the Worker and the Gate: plain data, JSON on the wire.
//!
//! Both sides accept version N and N-1, because a deploy runs both for minutes.
//! Unknown fields are ignored; a field added later has a default. Enums are
//! tagged from outside (`{"granted":{…}}`): serde reads other forms through a
//! buffer, which costs time and a fifth of the Worker's size.

mod refusal;

use serde::{Deserialize, Serialize};
use tokens::calibration::{Kinds, SIZES};

pub use refusal::{LimitView, Reason, Refusal};

/// The version that this build writes. It reads this one and the one before.
pub const VERSION: u32 = 1;

/// Milliseconds since the Unix epoch, or a span of them where the name says so.
pub type Millis = u64;
/// Tokens as a provider counts them.
pub type Tokens = u64;
/// Millionths of a US dollar.
pub type MicroUsd = u64;
/// A ticket's name: made by the Worker, unique for one request.
pub type TicketId = String;

/// Who comes first in the queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// A person waits and others depend on it.
    Critical,
    /// A person waits.
    #[default]
    Normal,
    /// Nobody waits.
    Background,
}

/// One provider account × model class × speed: the unit whose buckets the
/// provider enforces.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Pool {
    /// The account's name in `TOLLGATE_ACCOUNTS`.
    pub account: String,
    /// The model class, e.g. `sonnet-5-5`; `count_tokens` for token counting.
    pub class: String,
    /// `standard` or `fast`.
    pub speed: String,
}

/// "May this request go?" Also sent, whole, by every poll of a queued request
/// and every renewal of a running one, so that a restarted Gate rebuilds its
/// tickets and places from them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Admit {
    /// The request's ticket; admit is idempotent by (ticket, attempt).
    pub ticket: TicketId,
    /// 0 for the first; one more after each provider refusal.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub attempt: u32,
    /// When the request first asked, by the Worker's clock: its place in the
    /// queue survives a restart and a provider refusal.
    pub asked_ms: Millis,
    /// The tenant that pays.
    pub tenant: String,
    /// The tenant's end user, where the request names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The job of the tenant's that it draws on, where it names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// The key's id, checked against those that live.
    pub key: String,
    /// Where the request goes.
    pub pool: Pool,
    /// The model's id as asked for: lengths are learned by it.
    pub model: String,
    /// The queue's class.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub priority: Priority,
    /// Estimated input tokens that count towards the provider's input bucket.
    pub input_tokens: Tokens,
    /// The part of them that is corrected by what the model's real counts taught.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub kinds: Kinds,
    /// The request's own limit on its output.
    pub max_tokens: Tokens,
    /// The most that the request can cost: the input's upper bound at its
    /// dearest rate, and `max_tokens`.
    pub microusd_max: MicroUsd,
    /// How long the client still waits, from this message on.
    pub patience_ms: Millis,
    /// Whether its client says that it asks again, or for the first time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_retry: Option<bool>,
    /// Bytes that the waiting request holds in its isolate.
    #[serde(default)]
    pub bytes: u64,
    /// What of it is marked for the provider's prompt cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached: Option<CachedPrompt>,
    /// True for a renewal: the request runs, and this is how far it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running: Option<Progress>,
}

/// A prompt that is marked for the provider's prompt cache. What is read from there
/// is outside its input limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CachedPrompt {
    /// A fingerprint of its static part: equal prompts have equal ones.
    pub prefix: u32,
    /// Whether it is to be kept for an hour, not for five minutes.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hour: bool,
}

/// How far a running request is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Output tokens generated so far, estimated from the bytes seen.
    pub output_tokens: Tokens,
}

/// One call of the Worker: an admit, and what waited to be told.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Call {
    /// [`VERSION`] of the writer.
    pub v: u32,
    /// Hash of the deployment settings that the Worker runs with.
    #[serde(default)]
    pub config: u32,
    /// The request that asks, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admit: Option<Admit>,
    /// Settlements, observations and cancels, resent until acknowledged.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<Event>,
    /// The version of the tenant's policy that the isolate holds, if any: an
    /// older one is answered with the new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_version: Option<u64>,
    /// Tickets like this admit's that the isolate would like to be lent.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub lend: u32,
    /// What the visitor token of this admit allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub visitor: Option<VisitorBounds>,
}

/// The most that may be used by a visitor token in its whole life, beside its
/// tenant's own budgets; none: no bound of the token's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VisitorBounds {
    /// Its id.
    #[serde(default)]
    pub token: String,
    /// When it ends.
    #[serde(default)]
    pub ends_ms: Millis,
    /// Tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<Tokens>,
    /// Money.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub microusd: Option<MicroUsd>,
}

/// Who an end user is. [`Admit::user`] and all that repeats it hold its text
/// form. Ids of `x-tollgate-user` have no spaces, so no kind can pass for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndUser<'a> {
    /// Named by a tenant's server.
    Named(&'a str),
    /// The bearer of a visitor token, by the user that the token names.
    Visitor(&'a str),
    /// Whoever calls from this address with a publishable key.
    Address(&'a str),
}

impl<'a> EndUser<'a> {
    /// From its text form.
    pub fn of(text: &'a str) -> Self {
        match text.split_once(' ') {
            Some(("visitor", user)) => Self::Visitor(user),
            Some(("address", address)) => Self::Address(address),
            _ => Self::Named(text),
        }
    }

    /// Its text form.
    pub fn text(self) -> String {
        match self {
            Self::Named(user) => user.to_owned(),
            Self::Visitor(user) => ["visitor ", user].concat(),
            Self::Address(address) => ["address ", address].concat(),
        }
    }

    /// Whether it comes from a page, with what everybody can read.
    pub fn is_public(self) -> bool {
        !matches!(self, Self::Named(_))
    }
}

fn is_zero<T: Default + PartialEq>(number: &T) -> bool {
    *number == T::default()
}

/// Something that happened to a request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Event {
    /// An attempt ended. Idempotent by (ticket, attempt).
    Settled(Settle),
    /// The provider answered with its levels.
    Observed(Observation),
    /// The client left before it was granted: its place is free.
    Cancelled {
        /// Whose place.
        ticket: TicketId,
        /// The attempt that it asked for and that nobody sends. Those before it end by
        /// their own settlements, which may come later.
        #[serde(default, skip_serializing_if = "is_zero")]
        attempt: u32,
    },
    /// Lent tickets that nobody used.
    Returned {
        /// The lease.
        lease: TicketId,
        /// The number of the first unused one: tickets are used in order.
        from: u32,
    },
}

/// How one attempt ended. Carries what a Gate that forgot the ticket needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settle {
    /// Whose attempt.
    pub ticket: TicketId,
    /// Which attempt.
    pub attempt: u32,
    /// The tenant that pays.
    pub tenant: String,
    /// Its end user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The job that it drew on, where it named one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// The key's id.
    pub key: String,
    /// Where it ran.
    pub pool: Pool,
    /// The model, as asked for.
    pub model: String,
    /// The request's own limit on its output.
    pub max_tokens: Tokens,
    /// What its input was estimated at.
    pub input_estimate: Tokens,
    /// As in its [`Admit`], where the request had nothing else: how far they are off
    /// is learned.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub kinds: Kinds,
    /// As in its [`Admit`]: how much of it was read is learned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached: Option<CachedPrompt>,
    /// What was used.
    pub used: Used,
    /// True where it was sent without asking, under limits that fail open: no
    /// Gate ever reserved for it, so all of it is charged.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unasked: bool,
    /// When the attempt ended, by the Worker's clock.
    pub at_ms: Millis,
    /// How long it ran by that clock, where it was sent: a lent ticket's own
    /// time says nothing of it.
    #[serde(default)]
    pub ran_ms: Millis,
}

/// What an attempt used. Limit-tokens and billed money are kept apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Used {
    /// Proof that nothing was used: never sent, or refused by the provider.
    Nothing,
    /// The provider's own figures, or an upper bound flagged `estimated`.
    Tokens {
        /// Input that counts towards the provider's input bucket.
        input: Tokens,
        /// All input: uncached, cache creation and cache reads.
        input_total: Tokens,
        /// Output, thinking included.
        output: Tokens,
        /// What it costs.
        microusd: MicroUsd,
        /// True where `input`, `output` or the money is not the provider's own.
        estimated: bool,
    },
}

/// The provider's levels, as one response told them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// Which pool.
    pub pool: Pool,
    /// Whose response: requests granted later than this one are not in it.
    pub ticket: TicketId,
    /// Which attempt. A refusal is idempotent by (ticket, attempt, `sent_ms`).
    #[serde(default)]
    pub attempt: u32,
    /// When the attempt was sent, by the Worker's clock.
    pub sent_ms: Millis,
    /// When the response head came, by the Worker's clock.
    pub at_ms: Millis,
    /// The response's status.
    pub status: u16,
    /// `details.error_code` of an error, e.g. `ramp_limit_exceeded`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
    /// `retry-after`, as a span.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<Millis>,
    /// The request bucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<Level>,
    /// The input bucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Level>,
    /// The output bucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Level>,
}

/// `limit`, `remaining` and `reset` of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Level {
    /// The bucket's capacity, a minute's worth.
    pub limit: u64,
    /// What was left: exact for requests, rounded to the nearest 1,000 tokens.
    pub remaining: u64,
    /// When the bucket is full again, by the provider's clock, to the second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reset_ms: Option<Millis>,
}

/// The Gate's answer to a [`Call`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// [`VERSION`] of the writer.
    pub v: u32,
    /// The decision on `admit`; none where there was no admit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<Decision>,
    /// The tenant's policy, where the isolate's is older.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<Box<PolicyView>>,
    /// Tickets lent to the isolate, where it asked for some and limits are far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<Lease>,
    /// When the Gate started. Another time than before: it has forgotten what runs, and
    /// the isolate renews all its tickets at once.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub started_ms: Millis,
}

/// What became of an admit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    /// It may go now; every limit holds its reservation.
    Granted {
        /// How long it waited in the queue.
        waited_ms: Millis,
    },
    /// It has a place: poll with the same admit.
    Queued {
        /// The expected wait from now.
        wait_ms: Millis,
    },
    /// It may not go.
    Refused(Refusal),
}

/// What an isolate keeps of a tenant for at most 10 s.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PolicyView {
    /// Grows with every change of the tenant or its keys.
    pub version: u64,
    /// False where the tenant is unknown.
    pub known: bool,
    /// Ids of this tenant's keys that live.
    pub keys: Vec<String>,
    /// Model ids or prefixes ending in `*`; empty: all.
    pub models: Vec<String>,
    /// The tenant's cache setting, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<bool>,
    /// The priority of requests that name none.
    pub priority_default: Priority,
    /// The highest that requests may ask for.
    pub priority_highest: Priority,
    /// What its publishable keys and visitor tokens may do; none: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publishable: Option<PublishableView>,
}

/// What a page may do with a tenant's publishable key: the part of the policy
/// that the isolate enforces. Limits are the Gate's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishableView {
    /// Origins; `*`: any, and none.
    pub origins: Vec<String>,
    /// Model ids or prefixes ending in `*`.
    pub models: Vec<String>,
    /// The highest `max_tokens`.
    pub max_tokens: Tokens,
    /// Betas by their names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub betas: Vec<String>,
    /// The system prompt that requests must carry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
}

impl PublishableView {
    /// Whether they may use this model.
    pub fn allows(&self, model: &str) -> bool {
        !self.models.is_empty() && crate::policy::allows(&self.models, model)
    }
}

impl PolicyView {
    /// Whether the tenant may use this model.
    pub fn allows(&self, model: &str) -> bool {
        crate::policy::allows(&self.models, model)
    }
}

/// What `/v1/limits` needs, for one caller.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct View {
    /// [`VERSION`] of the writer.
    pub v: u32,
    /// The tenant's policy.
    pub policy: PolicyView,
    /// The caller's own limits: tenant, and its end user.
    pub limits: Vec<LimitView>,
    /// The accounts' limits; empty unless the caller has the scope `account`.
    pub account_limits: Vec<AccountLimits>,
    /// For each pool that is known: what this caller could use now, over all limits.
    pub available: Vec<Available>,
    /// Expected waits by priority: critical, normal, background.
    pub queue_ms: [Millis; 3],
    /// What was learned of estimates, by the model's id without a date.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calibrations: Vec<(String, Calibration)>,
}

/// How a model's estimates are to be corrected: a [`tokens::calibration::Calibration`],
/// as the npm package applies it (wasm-client/js/calibration.js).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Calibration {
    /// Thousandths of a token for each estimated one, by kind of text.
    pub weights: Kinds,
    /// The lower bound by size, in thousandths of the corrected estimate; 0: none.
    pub lower: [u64; SIZES],
    /// The upper bound, likewise.
    pub upper: [u64; SIZES],
}

/// One pool's buckets, for those who may see them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AccountLimits {
    /// Which pool.
    pub pool: Pool,
    /// Its buckets.
    pub limits: Vec<LimitView>,
}

/// What one caller could use of one pool now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Available {
    /// Which pool.
    pub pool: Pool,
    /// Requests.
    pub requests: u64,
    /// Input tokens.
    pub input_tokens: Tokens,
    /// Output tokens.
    pub output_tokens: Tokens,
}

/// Tickets lent to an isolate for seconds, all like the one that was granted
/// with them: it admits requests of the same tenant and pool by them without
/// asking. Each is settled, or returned, like any other ticket.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Lease {
    /// Its name: that of the ticket granted with it. Its tickets are
    /// [`lent_ticket`]s of it, numbered from 0.
    pub id: TicketId,
    /// How many.
    pub tickets: u32,
    /// The largest request that one is good for: estimated input,
    pub input_tokens: Tokens,
    /// limit on the output,
    pub max_tokens: Tokens,
    /// and money.
    pub microusd_max: MicroUsd,
    /// How long it may be drawn on, counted from before the isolate asked.
    pub ttl_ms: Millis,
}

/// The name of a lease's ticket. A Worker's own names hold no dot.
pub fn lent_ticket(lease: &str, number: u32) -> TicketId {
    format!("{lease}.{number}")
}

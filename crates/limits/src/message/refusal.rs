//! Why a request may not go, by which limit, and when it may.

use serde::{Deserialize, Serialize};

use super::{Millis, is_zero};

/// Why not, and when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Refusal {
    /// Stable reason: the user sees it as `tollgate_<reason>`, with its row in
    /// docs/errors.md.
    pub reason: Reason,
    /// The span until a retry can succeed; none where waiting does not help.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<Millis>,
    /// The limit that refused, where one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<Box<LimitView>>,
}

/// The reasons of the Gate's refusals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Reason {
    /// The tenant does not exist (401).
    UnknownTenant,
    /// The key was revoked or never registered (401).
    KeyRevoked,
    /// The tenant may not use this model (403).
    ModelNotAllowed,
    /// A rate limit of the provider account: the wait exceeds the patience (429).
    ProviderLimit,
    /// A rate limit of the tenant (429).
    TenantLimit,
    /// A rate limit of the end user (429).
    UserLimit,
    /// The tenant's or the end user's budget is spent (429, waits do not help
    /// before the window ends).
    BudgetSpent,
    /// The deployment's budget is spent (429).
    DeploymentBudgetSpent,
    /// The request alone is larger than a limit's capacity: it can never go (400).
    TooLarge,
    /// The queue is full by length or bytes (503).
    QueueFull,
    /// Its time ran out in the queue (429).
    Deadline,
    /// The provider account's spend cap: until it resumes (429, no retry).
    ProviderSpendCap,
    /// The priority asked for is above the tenant's highest (403).
    PriorityNotAllowed,
    /// The tenant has no such job: never reserved, released or expired (404).
    JobUnknown,
    /// The job's own amounts do not hold this request any more (429).
    JobSpent,
    /// The tenant has as many jobs as it may (429).
    JobsFull,
}

impl Reason {
    /// Whether who is refused for it keeps its place until the time that it is told.
    pub fn keeps_place(self) -> bool {
        matches!(self, Self::ProviderLimit | Self::TenantLimit | Self::UserLimit | Self::Deadline)
    }
}

/// One limit, as its owner may see it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LimitView {
    /// `account`, `tenant`, `user`, `visitor`, `publishable` (all visitors
    /// together), `deployment`, `job`.
    pub scope: String,
    /// `requests`, `input_tokens`, `output_tokens`, `concurrent`; of budgets
    /// `requests_…`, `tokens_…`, `microusd_…` with `day`, `week` or `month`, or
    /// `life`: of the visitor token that asks.
    pub kind: String,
    /// What is left.
    pub level: i64,
    /// The most it holds.
    pub capacity: u64,
    /// Refill a second, rounded down: 0 below 60 a minute, and for what does not
    /// refill.
    pub per_s: u64,
    /// Refill a minute, exact; 0 for what does not refill: `concurrent` and
    /// budgets.
    #[serde(default)]
    pub per_minute: u64,
    /// The span until it is full again, or its window ends.
    pub resets_ms: Millis,
    /// What open requests hold of a budget beside what is spent: it may come back
    /// when they settle.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub held: u64,
    /// The models that a budget counts; empty: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<String>,
}

//! What operators ask of the Gate, and its answers.

use serde::{Deserialize, Serialize};

use crate::jobs::JobView;
use crate::map::ByName;
use crate::message::{LimitView, MicroUsd, Millis, Pool, Tokens};
use crate::policy::{PolicyError, Tenants};

/// An operator's request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AdminInput {
    /// Brings a tenants' file in force, whole or not at all.
    Apply {
        /// The file.
        tenants: Tenants,
        /// Whether tenants that the file does not name are removed.
        #[serde(default)]
        prune: bool,
        /// Whether to only tell what would change.
        #[serde(default)]
        dry_run: bool,
    },
    /// The tenants' file in force.
    Export,
    /// Registers a key that was signed elsewhere. Idempotent by id.
    AddKey(Key),
    /// Revokes a key, for good.
    RevokeKey {
        /// Which.
        id: String,
    },
    /// The keys: of one tenant, or all.
    ListKeys {
        /// Whose.
        #[serde(default)]
        tenant: Option<String>,
    },
    /// Lets an account go on that a spend cap had stopped.
    Resume {
        /// The account's name.
        account: String,
    },
    /// The pools, queue and accounts as they are now.
    State,
    /// What was spent today, by scope.
    Totals,
    /// The jobs of all tenants.
    Jobs,
}

/// A registered key. Its secret is nowhere: keys are signed, not looked up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// Its id: 1 to 64 of `[A-Za-z0-9_.-]`.
    pub id: String,
    /// Whose it is.
    pub tenant: String,
    /// What it may do.
    pub kind: KeyKind,
    /// When it was made.
    pub created_ms: Millis,
    /// When it ends, if ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_ms: Option<Millis>,
    /// When it was revoked, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_ms: Option<Millis>,
}

impl Key {
    /// Whether it was neither revoked nor has ended.
    pub(crate) fn lives(&self, now: Millis) -> bool {
        self.revoked_ms.is_none() && self.expires_ms.is_none_or(|end| end > now)
    }
}

/// The kinds of keys that the Gate lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyKind {
    /// For servers.
    Secret,
    /// For browsers.
    Publishable,
}

/// The Gate's answer to an operator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AdminReply {
    /// What an apply changed, or would change.
    Applied {
        /// One entry a changed value.
        changes: Vec<Change>,
        /// True where nothing was changed.
        dry_run: bool,
    },
    /// The tenants' file in force.
    Tenants(Tenants),
    /// The key as registered or revoked.
    Key(Key),
    /// The keys.
    Keys {
        /// By id.
        keys: Vec<Key>,
    },
    /// Pools, queue, accounts.
    State(State),
    /// Spend of today.
    Totals(Totals),
    /// The jobs of all tenants.
    Jobs(Vec<JobView>),
    /// Done; nothing to tell.
    Done,
    /// The file is unsound; nothing was changed (400).
    Unsound {
        /// Every mistake.
        errors: Vec<PolicyError>,
    },
    /// There is no such tenant, key or account (404).
    NotFound {
        /// What was looked for: a sentence.
        message: String,
    },
    /// The request cannot be done (400 or 409).
    Rejected {
        /// Why, and what to do: a sentence.
        message: String,
    },
}

/// One changed value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// Its path, e.g. `tenants.acme.limits.rpm`.
    pub path: String,
    /// Its JSON before; none: it was absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<serde_json::Value>,
    /// Its JSON after; none: removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<serde_json::Value>,
}

/// The machine's state, for operators.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// When.
    pub at_ms: Millis,
    /// Each known pool.
    pub pools: Vec<PoolState>,
    /// Waiting requests by priority: critical, normal, background.
    pub waiting: [usize; 3],
    /// Bytes that they hold.
    pub waiting_bytes: u64,
    /// Open tickets, lent ones included.
    pub open: usize,
    /// Calls of Workers since this Gate started.
    #[serde(default)]
    pub calls: u64,
    /// Accounts stopped by a spend cap, and until when.
    pub stopped: ByName<Millis>,
    /// Tenants, and keys.
    pub tenants: usize,
    /// Registered keys, revoked ones included.
    pub keys: usize,
}

/// One pool, for operators.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PoolState {
    /// Which.
    pub pool: Pool,
    /// Its buckets as mirrored.
    pub limits: Vec<LimitView>,
    /// Its open tickets, without lent ones.
    pub open: u64,
    /// Tickets that isolates were lent, and have neither settled nor returned.
    #[serde(default)]
    pub lent: u64,
    /// Waiting requests.
    pub waiting: usize,
    /// Nothing is sent before this time, where a 429 said so.
    pub held_until_ms: Millis,
    /// The margin of the burst that adaptive headroom keeps now, in permille.
    pub headroom_permille: u32,
    /// Observed refusals by the provider since the start of this Gate.
    pub refused_upstream: u64,
}

/// Spend of today by scope: `deployment`, `tenant/NAME`, `publishable/NAME` (all
/// visitors of its pages), `user/NAME/USER`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// By scope.
    pub scopes: ByName<Spend>,
}

/// What one scope spent, what it holds reserved, and the durable mark.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spend {
    /// Settled.
    pub spent: Amounts,
    /// Reserved by open tickets.
    pub reserved: Amounts,
    /// What a restart would count as spent: never below `spent + reserved`.
    pub ceiling: Amounts,
    /// Open tickets.
    pub open: u64,
}

/// The three things a budget counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amounts {
    /// Requests.
    pub requests: u64,
    /// Input and output tokens.
    pub tokens: Tokens,
    /// Money.
    pub microusd: MicroUsd,
}

impl From<[u64; 3]> for Amounts {
    fn from([requests, tokens, microusd]: [u64; 3]) -> Self {
        Self { requests, tokens, microusd }
    }
}

impl From<Amounts> for [u64; 3] {
    fn from(amounts: Amounts) -> Self {
        [amounts.requests, amounts.tokens, amounts.microusd]
    }
}

//! What the deployment tells its Gate: accounts, queue bounds, budgets, chunks.
//!
//! Plain data with sound defaults; the settings crate fills it from
//! wrangler.toml. Each constant carries its reason.

use crate::map::ByName;
use crate::message::{MicroUsd, Millis, Tokens};
use crate::policy::Budget;

/// Everything that a Gate is told at its start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GateSettings {
    /// Provider accounts by name. A pool of an account that is not here gets
    /// [`AccountSettings::default`].
    pub accounts: ByName<AccountSettings>,
    /// The queue's bounds.
    pub queue: QueueSettings,
    /// The deployment's own budgets.
    pub budgets: Vec<Budget>,
    /// How far ahead spend is written.
    pub durability: Durability,
    /// Whether isolates are lent tickets while limits are far.
    pub leases: bool,
    /// How long a ticket lives without renewal. 15 minutes: beyond the official
    /// SDKs' time-out of 10 minutes (facts of 2026-11, SDK 2.13.0).
    pub ticket_ttl_ms: Millis,
}

impl Default for GateSettings {
    fn default() -> Self {
        Self {
            accounts: ByName::new(),
            queue: QueueSettings::default(),
            budgets: Vec::new(),
            durability: Durability::default(),
            leases: true,
            ticket_ttl_ms: 15 * 60_000,
        }
    }
}

/// One provider account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountSettings {
    /// First beliefs by model class, `*` for every other; the provider's
    /// headers win. Absent: learned.
    pub limits: ByName<ClassLimits>,
    /// How much of the account's limits this deployment uses, in permille.
    pub share_permille: u32,
    /// The margin kept below the limits.
    pub headroom: Headroom,
    /// What a request takes of the output limit while it runs.
    pub reserves: Reserves,
    /// What the Worker does when it cannot reach the Gate.
    pub fail: Fail,
}

impl Default for AccountSettings {
    fn default() -> Self {
        Self {
            limits: ByName::new(),
            share_permille: 1_000,
            headroom: Headroom::Adaptive,
            reserves: Reserves::Generated,
            fail: Fail::Closed,
        }
    }
}

/// A model class's limits a minute and its places, as far as they are known beforehand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClassLimits {
    /// Requests.
    pub rpm: Option<u64>,
    /// Input tokens.
    pub itpm: Option<Tokens>,
    /// Output tokens.
    pub otpm: Option<Tokens>,
    /// Requests that run at one time. Never learned: no provider's headers tell it.
    pub concurrent: Option<u64>,
}

/// The margin kept below a provider's limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Headroom {
    /// A little of the burst, none of the rate; wider after a 429, narrower
    /// with success.
    #[default]
    Adaptive,
    /// This much of rate and burst, in permille, by kind.
    Fixed {
        /// Of requests.
        rpm: u32,
        /// Of input tokens.
        itpm: u32,
        /// Of output tokens.
        otpm: u32,
    },
    /// The user's guide: 48 of 50 requests, 28k of 30k tokens.
    Guide,
}

/// What a request takes of a provider's output limit while it runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reserves {
    /// What it generates, as it generates it (Claude API, rate-limit page of September
    /// 2026; Bedrock's mantle endpoint).
    #[default]
    Generated,
    /// `max_tokens` from its start; what it did not generate comes back at its end
    /// (Bedrock's runtime, quotas page of 2026-11; Azure and OpenAI reserve it, too).
    MaxTokens,
}

/// What happens to requests while the Gate cannot be reached (invariant 11).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fail {
    /// Refused with 503.
    #[default]
    Closed,
    /// Admitted and recorded.
    Open,
}

/// The queue's bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueSettings {
    /// Waiting requests. 10,000 at about 1 KB each is a tenth of the object's
    /// 128 MB (platform limits, 2026-11).
    pub length_max: usize,
    /// Bytes that waiting requests hold in their isolates. 1 GiB: some twenty
    /// isolates filled to their own bound of 48 MB.
    pub bytes_max: u64,
    /// Tokens that waiting requests are expected to use. A billion: more than the
    /// largest published limits of a model class serve in the longest wait (12
    /// million a minute, facts of 2026-11).
    pub tokens_max: Tokens,
    /// How long requests of each priority wait where the client names no time:
    /// critical, normal, background (design.md §4).
    pub patience_ms: [Millis; 3],
    /// The longest that any request may wait.
    pub patience_max_ms: Millis,
}

impl Default for QueueSettings {
    fn default() -> Self {
        Self {
            length_max: 10_000,
            bytes_max: 1 << 30,
            tokens_max: 1_000_000_000,
            patience_ms: [30_000, 120_000, 600_000],
            patience_max_ms: 3_600_000,
        }
    }
}

/// How far ahead of the real spend the durable marks are written. Larger
/// chunks: fewer writes, more that a restart counts as spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Durability {
    /// A bucket's chunk, in permille of its capacity. 5 %: a restart costs at
    /// most 3 s of refill, which heals itself.
    pub bucket_permille: u32,
    /// A budget's largest chunk, in permille of the budget; a quarter of what
    /// is left when that is less.
    pub budget_permille: u32,
    /// Largest chunk of requests where no budget limits them; a sixteenth of it
    /// where rows would come less than once a second.
    pub requests_chunk: u64,
    /// The same of tokens.
    pub tokens_chunk: Tokens,
    /// The same of money.
    pub microusd_chunk: MicroUsd,
    /// How often learned lengths are written, at most.
    pub learned_every_ms: Millis,
}

impl Default for Durability {
    fn default() -> Self {
        Self {
            bucket_permille: 50,
            budget_permille: 20,
            requests_chunk: 1_600,
            tokens_chunk: 8_000_000,
            microusd_chunk: 16_000_000,
            learned_every_ms: 60_000,
        }
    }
}

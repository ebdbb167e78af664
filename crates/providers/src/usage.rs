//! What one answer used, as the provider reports it.

/// Tokens and conditions of one answer. Every number is a total, never an increment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Input that was neither read from nor written to the cache.
    pub input: u64,
    /// Input written to the cache, all of it.
    pub cache_creation: u64,
    /// The part of it that lives 5 minutes.
    pub cache_creation_5m: u64,
    /// The part of it that lives an hour.
    pub cache_creation_1h: u64,
    /// Input read from the cache.
    pub cache_read: u64,
    /// Output, thinking included.
    pub output: u64,
    /// The thinking within `output`.
    pub thinking: u64,
    /// Web searches made by the provider.
    pub web_searches: u64,
    /// How it was served.
    pub service_tier: Option<ServiceTier>,
    /// At which speed it was served.
    pub speed: Option<Speed>,
    /// Where it was served, e.g. `us`.
    pub inference_geo: Option<String>,
    /// Passes within the answer. Those of kind compaction and advisor are not in
    /// the totals above.
    pub iterations: Vec<Iteration>,
}

/// One pass of the model within an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Iteration {
    /// What ran.
    pub kind: IterationKind,
    /// The model that ran, where it is told.
    pub model: Option<String>,
    /// As in [`Usage`].
    pub input: u64,
    /// As in [`Usage`].
    pub cache_creation: u64,
    /// As in [`Usage`].
    pub cache_creation_5m: u64,
    /// As in [`Usage`].
    pub cache_creation_1h: u64,
    /// As in [`Usage`].
    pub cache_read: u64,
    /// As in [`Usage`].
    pub output: u64,
}

/// The kinds of passes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum IterationKind {
    /// The request's model.
    #[default]
    Message,
    /// A fallback model, whose answer was served.
    Fallback,
    /// An advisor's model, billed at its own price.
    Advisor,
    /// The compaction of the conversation, billed at the request's model.
    Compaction,
    /// A kind that this build does not know.
    Unknown,
}

/// `service_tier` of a usage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServiceTier {
    /// Pay as you go.
    Standard,
    /// A priority commitment.
    Priority,
    /// A batch.
    Batch,
}

/// Speed of a request or an answer: each its own pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Speed {
    /// The default.
    #[default]
    Standard,
    /// Fast mode.
    Fast,
}

impl Speed {
    /// `standard` or `fast`, as a pool names it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Fast => "fast",
        }
    }
}

impl Usage {
    /// Input that counts towards the provider's input bucket: cache reads do not.
    pub fn limit_input(&self) -> u64 {
        self.input.saturating_add(self.cache_creation)
    }

    /// All input: uncached, written to and read from the cache.
    pub fn input_total(&self) -> u64 {
        self.limit_input().saturating_add(self.cache_read)
    }
}

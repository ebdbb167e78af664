//! What an answer costs and the most that a request can cost, in micro-dollars.

use crate::{Speed, Usage};

/// Money, and whether it is the price list's own or an upper bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Millionths of a US dollar, rounded up.
    pub microusd: u64,
    /// True where something had to be assumed (always the dearer case).
    pub estimated: bool,
}

/// What decides the price of a request before it runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// Asked for; dearer where the model has it.
    pub speed: Speed,
    /// True where `inference_geo` rules out the United States surcharge.
    pub not_us: bool,
    /// What the request may write to the prompt cache.
    pub cache: CacheWrites,
    /// The most web searches it may make.
    pub web_searches: u64,
}

/// The dearest cache write that a request can cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CacheWrites {
    /// No `cache_control` in it.
    No,
    /// 5 minutes.
    FiveMinutes,
    /// An hour, or not known.
    #[default]
    Hour,
}

/// What this usage of `model` costs at the prices of `at_ms` (Unix epoch).
pub fn cost(_model: &str, _usage: &Usage, _at_ms: u64) -> Cost {
    todo!()
}

/// The most that a request can cost: `input` tokens at their dearest rate and
/// `max_tokens` of output.
pub fn most(_model: &str, _input: u64, _max_tokens: u64, _terms: Terms, _at_ms: u64) -> Cost {
    todo!()
}

//! The models and the tiers' limits, from data/models.toml and data/tiers.toml.

use tokens::Family;

/// What is known of one model.
#[derive(Debug, PartialEq, Eq)]
pub struct ModelInfo {
    /// Its id, without a date suffix.
    pub id: &'static str,
    /// The class that shares its rate limits: the pool's class.
    pub class: &'static str,
    /// fable, mythos, opus, sonnet, haiku.
    pub line: &'static str,
    /// Which tokenizer it has.
    pub family: Family,
    /// The context window, tokens.
    pub context_tokens: u64,
    /// The most output a request may ask for, tokens.
    pub max_output_tokens: u64,
    /// Whether it may still be used.
    pub lifecycle: Lifecycle,
    /// Tokens of the tools' system prompt with tool choice auto or none, where known.
    pub tools_auto: Option<u64>,
    /// The same with tool choice any or a named tool.
    pub tools_any: Option<u64>,
}

/// A model's lifecycle, as `GET /v1/models` tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifecycle {
    /// In service.
    Active,
    /// In service until its date.
    Deprecated,
    /// Out of service.
    Retired,
}

/// A class's limits in one tier: a first belief, the provider's headers win.
#[derive(Debug, PartialEq, Eq)]
pub struct TierLimits {
    /// Requests a minute.
    pub rpm: u64,
    /// Input tokens a minute.
    pub itpm: u64,
    /// Output tokens a minute.
    pub otpm: u64,
}

/// The model of this id; a date suffix is ignored.
pub fn class_of(_model: &str) -> Option<&'static ModelInfo> {
    todo!()
}

/// The class that a model's requests are pooled by: an unknown model is its own.
pub fn class(model: &str) -> &str {
    class_of(model).map_or(model, |info| info.class)
}

/// A class's limits in `start`, `build` or `scale`.
pub fn tier(_tier: &str, _class: &str) -> Option<&'static TierLimits> {
    todo!()
}

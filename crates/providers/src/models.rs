//! The models and the tiers' limits, from data/models.toml, data/tiers.toml and
//! data/tools.toml.

use tokens::{Estimate, Family, undated};

include!(concat!(env!("OUT_DIR"), "/models.rs"));

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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TierLimits {
    /// Requests a minute.
    pub rpm: u64,
    /// Input tokens a minute; `None`: no such limit.
    pub itpm: Option<u64>,
    /// Output tokens a minute; `None`: no such limit.
    pub otpm: Option<u64>,
}

/// Who runs a tool of a type that the provider defines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Runs {
    /// The client; defined by the client, too.
    Custom,
    /// The client.
    Client,
    /// The provider.
    Server,
}

/// All models, for a list.
pub fn all() -> &'static [ModelInfo] {
    MODELS
}

/// The model of this id; a date suffix is ignored.
pub fn class_of(model: &str) -> Option<&'static ModelInfo> {
    let id = undated(model);
    MODELS.iter().find(|info| info.id == id)
}

/// The class that a model's requests are pooled by: an unknown model is its own.
pub fn class(model: &str) -> &str {
    class_of(model).map_or(model, |info| info.class)
}

/// A class's limits in `start`, `build` or `scale`; the class `count_tokens` is
/// token counting.
pub fn tier(tier: &str, class: &str) -> Option<TierLimits> {
    TIERS.iter().find(|(t, c, _)| *t == tier && *c == class).map(|(_, _, limits)| *limits)
}

pub(crate) fn runs(tool_type: &[u8]) -> Runs {
    let row = TOOLS.iter().find(|(prefix, _)| tool_type.starts_with(prefix.as_bytes()));
    row.map_or(Runs::Server, |(_, runs)| *runs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_suffix_does_not_change_the_model() {
        let info = class_of("claude-haiku-4-5-20251001").expect("it is in the table");
        assert_eq!(
            (info.id, info.class, info.context_tokens),
            ("claude-haiku-4-5", "haiku-4-5", 200_000)
        );
        assert_eq!(class_of("claude-haiku-4-5-2025100"), None);
    }

    #[test]
    fn generations_pool_as_the_provider_pools_them() {
        let classes =
            ["opus-4-8", "opus-4-5", "opus-5", "opus-5-5", "fable-5-2", "fable-5", "mythos-5-2"]
                .map(|name| class(&format!("claude-{name}")).to_string());
        assert_eq!(
            classes,
            ["opus-4", "opus-4", "opus-5", "opus-5-5", "fable-5", "fable-5", "mythos-5"]
        );
    }

    #[test]
    fn an_unknown_model_is_its_own_class() {
        assert_eq!(class("claude-saga-6"), "claude-saga-6");
    }

    #[test]
    fn every_model_in_service_has_limits_in_every_tier() {
        for info in MODELS.iter().filter(|info| info.lifecycle != Lifecycle::Retired) {
            for name in ["start", "build", "scale"] {
                assert!(tier(name, info.class).is_some(), "{name} {}", info.class);
            }
        }
        assert_eq!(
            tier("start", "sonnet-5-5"),
            Some(TierLimits { rpm: 1000, itpm: Some(2_000_000), otpm: Some(400_000) })
        );
        assert_eq!(tier("start", "count_tokens").map(|limits| limits.itpm), Some(None));
    }

    #[test]
    fn a_tool_of_an_unknown_type_counts_as_the_providers() {
        assert_eq!(runs(b"bash_20250124"), Runs::Client);
        assert_eq!(runs(b"web_search_20260318"), Runs::Server);
        assert_eq!(runs(b"custom"), Runs::Custom);
        assert_eq!(runs(b"teleport_20270101"), Runs::Server);
    }
}

//! The `usage` object of answers and events (SDK 2.13.0, types/usage.py,
//! message_delta_usage.py, beta/beta_*_iteration_usage.py, 2026-11-23).

use serde_json::Value;

use crate::{Iteration, IterationKind, ServiceTier, Speed, Usage};

/// Brings the figures that `value` has into `usage`. All are totals: the last one
/// counts, and what is left out stays (message_delta tells no lifetimes of cache
/// writes, no tier, no speed, no place).
pub(super) fn update(usage: &mut Usage, value: &Value) {
    let tokens = Tokens::of(value);
    let set = |field: &mut u64, told: Option<u64>| *field = told.unwrap_or(*field);
    set(&mut usage.input, tokens.input);
    set(&mut usage.cache_creation_5m, tokens.cache_creation_5m);
    set(&mut usage.cache_creation_1h, tokens.cache_creation_1h);
    set(&mut usage.cache_creation, tokens.cache_creation());
    set(&mut usage.cache_read, tokens.cache_read);
    set(&mut usage.output, tokens.output);
    set(&mut usage.thinking, value["output_tokens_details"]["thinking_tokens"].as_u64());
    set(&mut usage.web_searches, value["server_tool_use"]["web_search_requests"].as_u64());
    match value["service_tier"].as_str() {
        Some("standard") => usage.service_tier = Some(ServiceTier::Standard),
        Some("priority") => usage.service_tier = Some(ServiceTier::Priority),
        Some("batch") => usage.service_tier = Some(ServiceTier::Batch),
        _ => {}
    }
    match value["speed"].as_str() {
        Some("standard") => usage.speed = Some(Speed::Standard),
        Some("fast") => usage.speed = Some(Speed::Fast),
        _ => {}
    }
    if let Some(geo) = value["inference_geo"].as_str() {
        usage.inference_geo = Some(geo.chars().take(32).collect());
    }
    if let Some(passes) = value["iterations"].as_array() {
        usage.iterations = passes.iter().map(iteration).collect();
    }
}

fn iteration(value: &Value) -> Iteration {
    let tokens = Tokens::of(value);
    Iteration {
        kind: match value["type"].as_str() {
            Some("message") => IterationKind::Message,
            Some("fallback_message") => IterationKind::Fallback,
            Some("advisor_message") => IterationKind::Advisor,
            Some("compaction") => IterationKind::Compaction,
            _ => IterationKind::Unknown,
        },
        model: value["model"].as_str().map(|model| model.chars().take(128).collect()),
        input: tokens.input.unwrap_or(0),
        cache_creation: tokens.cache_creation().unwrap_or(0),
        cache_creation_5m: tokens.cache_creation_5m.unwrap_or(0),
        cache_creation_1h: tokens.cache_creation_1h.unwrap_or(0),
        cache_read: tokens.cache_read.unwrap_or(0),
        output: tokens.output.unwrap_or(0),
    }
}

struct Tokens {
    input: Option<u64>,
    created: Option<u64>,
    cache_creation_5m: Option<u64>,
    cache_creation_1h: Option<u64>,
    cache_read: Option<u64>,
    output: Option<u64>,
}

impl Tokens {
    fn of(value: &Value) -> Self {
        let lifetimes = &value["cache_creation"];
        Self {
            input: value["input_tokens"].as_u64(),
            created: value["cache_creation_input_tokens"].as_u64(),
            cache_creation_5m: lifetimes["ephemeral_5m_input_tokens"].as_u64(),
            cache_creation_1h: lifetimes["ephemeral_1h_input_tokens"].as_u64(),
            cache_read: value["cache_read_input_tokens"].as_u64(),
            output: value["output_tokens"].as_u64(),
        }
    }

    /// The total, also where only the parts are told.
    fn cache_creation(&self) -> Option<u64> {
        self.created.or_else(|| {
            let parts = [self.cache_creation_5m, self.cache_creation_1h];
            let told = parts.iter().any(Option::is_some);
            told.then(|| parts.iter().flatten().fold(0u64, |sum, n| sum.saturating_add(*n)))
        })
    }
}

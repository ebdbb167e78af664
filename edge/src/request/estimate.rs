//! Step 4: what the request will take, before anything is asked.

use limits::message::{CachedPrompt, MicroUsd, Millis, Tokens};
use providers::anthropic::request::{Api, Facts};
use tokens::calibration::Kinds;

use super::errors::Problem;
use super::parse::Endpoint;

/// A request's size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Best guess of its input, for rate limits.
    pub input_tokens: Tokens,
    /// The part of it that the Gate corrects by what it learned of the model.
    pub kinds: Kinds,
    /// Whether the provider's count will tell what those kinds were worth: the request
    /// has nothing else, nothing is added to it, and no other model may answer.
    pub teaches: bool,
    /// Upper bound of its input, for settling what is unknown.
    pub input_upper: Tokens,
    /// Its own limit on the output.
    pub max_tokens: Tokens,
    /// The most that it can cost.
    pub microusd_max: MicroUsd,
    /// What of it the provider may read from its prompt cache.
    pub cached: Option<CachedPrompt>,
}

/// Sizes a request; refuses what cannot fit its model's context window.
pub fn size(endpoint: &Endpoint, facts: &Facts, now: Millis) -> Result<Size, Problem> {
    let Endpoint::Post(api) = endpoint else { return Ok(Size::default()) };
    let input = facts.input();
    if let Some(model) = providers::models::class_of(&facts.model)
        && input.lower > model.context_tokens
    {
        return Err(Problem::new(
            413,
            "request_too_large",
            "tollgate_context_window",
            format!(
                "messages: the prompt has at least {} tokens, and {} takes {} at most. Shorten it.",
                input.lower, facts.model, model.context_tokens
            ),
        ));
    }
    if *api == Api::CountTokens {
        // Counting is free and limited by requests alone (facts: docs of 2026-09).
        return Ok(Size { input_upper: input.upper, ..Size::default() });
    }
    let kinds = facts.kinds();
    Ok(Size {
        input_tokens: input.estimate,
        kinds,
        teaches: kinds.iter().sum::<Tokens>() == input.estimate
            && !facts.open_ended()
            && !facts.fallbacks_default
            && facts.other_models.is_empty(),
        input_upper: input.upper,
        max_tokens: facts.max_tokens,
        microusd_max: facts.cost_most(now).microusd,
        cached: facts.cached_prefix().map(|prefix| CachedPrompt { prefix, hour: facts.cache_1h }),
    })
}

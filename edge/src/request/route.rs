//! Step 3: model → account and pool, time-outs, cache setting.

use limits::message::{Millis, Pool};
use providers::Speed;
use providers::anthropic::request::{Api, Facts};
use settings::{Account, Fail};

use super::errors::Problem;
use super::parse::Endpoint;
use crate::isolate::Isolate;

/// Where one request goes.
#[derive(Clone, Debug, PartialEq)]
pub struct Chosen {
    /// The pool: account × class × speed.
    pub pool: Pool,
    /// The API's base URL.
    pub base_url: String,
    /// The provider's name, for `x-tollgate-provider`.
    pub provider: &'static str,
    /// The name of the secret that holds the provider's key.
    pub secret: String,
    /// Whether requests go while the Gate cannot be reached.
    pub fail_open: bool,
    /// From sending to the response's head.
    pub first_byte_ms: Millis,
    /// Between two pieces of a body.
    pub between_bytes_ms: Millis,
    /// From sending to the body's end.
    pub total_ms: Millis,
    /// What atomic delivery may do.
    pub atomic: settings::Atomic,
    /// Added to what the provider's `retry-after` says.
    pub retry_after_extra_ms: Millis,
    /// Whether an answer may be kept, where tenant and request say nothing.
    pub cache_enabled: bool,
    /// How long.
    pub cache_ttl_s: u64,
}

/// The account and pool for a request.
pub fn choose(isolate: &Isolate, endpoint: &Endpoint, facts: &Facts) -> Result<Chosen, Problem> {
    let deployment = isolate.deployment.as_ref().ok_or_else(unconfigured)?;
    let settings = deployment.settings.as_ref().map_err(|findings| {
        let findings: Vec<String> = findings.iter().map(ToString::to_string).collect();
        Problem::unavailable(
            "tollgate_not_configured",
            format!(
                "This gate's settings are unsound: {}. `make check` tells the same offline.",
                findings.join("; ")
            ),
        )
    })?;
    let target = settings.target(&facts.model);
    let Account { base_url, secret, fail, .. } = target.account;
    if deployment.provider_key(secret).is_none() {
        return Err(Problem::unavailable(
            "tollgate_not_configured",
            format!(
                "The account {:?} has no key: run `wrangler secret put {secret}`.",
                target.account_name
            ),
        ));
    }
    let class = match endpoint {
        Endpoint::Post(Api::CountTokens) => "count_tokens",
        Endpoint::Unmetered(_) => "unmetered",
        Endpoint::Post(Api::Messages)
            if is_claude(&facts.model) || settings.routes.contains_key(&facts.model) =>
        {
            providers::models::class(target.model)
        }
        Endpoint::Post(Api::Messages) => {
            return Err(Problem::new(
                404,
                "not_found_error",
                "tollgate_unknown_model",
                format!(
                    "model: {:?} is not a Claude model and no TOLLGATE_ROUTES entry names it. Use a Claude model's id, or let the operator add a route.",
                    clipped(&facts.model)
                ),
            ));
        }
    };
    let speed = match facts.speed {
        Speed::Fast => "fast",
        Speed::Standard => "standard",
    };
    Ok(Chosen {
        pool: Pool {
            account: target.account_name.into(),
            class: clipped(class).into(),
            speed: speed.into(),
        },
        base_url: base_url.as_str().to_owned(),
        provider: "anthropic",
        secret: secret.clone(),
        fail_open: *fail == Fail::Open,
        first_byte_ms: Millis::from(target.timeouts.first_byte_s) * 1000,
        between_bytes_ms: Millis::from(target.timeouts.between_bytes_s) * 1000,
        total_ms: Millis::from(target.timeouts.total_s) * 1000,
        atomic: target.atomic,
        retry_after_extra_ms: Millis::from(settings.gate.retry_after_extra) * 1000,
        cache_enabled: target.cache_enabled,
        cache_ttl_s: target.cache_ttl_s.into(),
    })
}

/// Ids that Anthropic's API may know, today's or tomorrow's.
fn is_claude(model: &str) -> bool {
    model.starts_with("claude-")
        && model.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._@".contains(&b))
}

/// A model's name for messages and pool names: bounded.
pub(super) fn clipped(model: &str) -> &str {
    let end = model.char_indices().nth(64).map_or(model.len(), |(at, _)| at);
    &model[..end]
}

fn unconfigured() -> Problem {
    Problem::unavailable("tollgate_not_configured", "This gate has no settings yet.")
}

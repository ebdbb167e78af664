//! `POST /v1/visitors`: a tenant's server mints a token for one of its visitors.
//! Signed and not stored: it dies with the key that minted it, or at its end.

use ::keys::{Claims, Kind};
use limits::message::{Millis, PolicyView, Reason, Refusal, Tokens, View};
use limits::policy::Usd;
use serde::Deserialize;

use super::json;
use crate::isolate::Isolate;
use crate::journey::{Answer, Head};
use crate::request::auth::{self, Caller};
use crate::request::errors::Problem;

/// A day: a page asks its server for the next one.
const TTL_S_MAX: u64 = 86_400;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ask {
    user: String,
    ttl_s: u64,
    #[serde(default)]
    models: Vec<String>,
    #[serde(default)]
    tokens: Option<Tokens>,
    #[serde(default)]
    usd: Option<Usd>,
}

#[derive(serde::Serialize)]
struct Minted {
    token: String,
    expires_ms: Millis,
}

/// Who mints: a secret key's holder.
pub(super) fn caller(isolate: &Isolate, head: &Head, now: Millis) -> Result<Caller, Problem> {
    if head.method != "POST" {
        return Err(Problem::new(
            405,
            "invalid_request_error",
            "tollgate_wrong_method",
            "/v1/visitors takes POST only.",
        ));
    }
    let caller = auth::caller(isolate, &head.headers, &Default::default(), now)?;
    if caller.claims.kind != Kind::Secret {
        return Err(Problem::forbidden(
            "tollgate_wrong_key_kind",
            "x-api-key: visitor tokens are minted with a secret key (tg_sk_…), by a server.",
        ));
    }
    Ok(caller)
}

/// The token, by a policy that came with the Gate's view.
pub(super) fn replied(
    isolate: &mut Isolate,
    caller: &Caller,
    body: &str,
    text: &str,
    now: Millis,
) -> Result<Answer, Problem> {
    let view: View = ::json::from_str(text).map_err(|_| super::gate_unreachable())?;
    isolate.learn_policy(&caller.tenant, view.policy, now);
    let policy = isolate.policy(&caller.tenant, now).filter(|policy| policy.known);
    let reason = match policy {
        None => Reason::UnknownTenant,
        Some(policy) if !policy.keys.iter().any(|key| key == caller.key()) => Reason::KeyRevoked,
        Some(policy) => return mint(isolate, caller, policy, body, now),
    };
    Err(Problem::refused(&Refusal { reason, retry_after_ms: None, limit: None }))
}

/// The token, by a policy that this key lives by.
pub(super) fn mint(
    isolate: &Isolate,
    caller: &Caller,
    policy: &PolicyView,
    body: &str,
    now: Millis,
) -> Result<Answer, Problem> {
    let bad = |message: String| Problem::bad("tollgate_bad_request", message);
    if policy.publishable.is_none() {
        return Err(Problem::forbidden(
            "tollgate_publishable_key",
            "x-api-key: this tenant has no `publishable` table, which says what visitors may do. The operator applies one (docs/configure.md).",
        ));
    }
    let ask: Ask = super::read(body)?;
    if !(1..=TTL_S_MAX).contains(&ask.ttl_s) {
        return Err(bad("ttl_s: must be 1 to 86400 seconds (a day).".into()));
    }
    if ask.tokens == Some(0) || ask.usd == Some(Usd(0)) {
        return Err(bad("tokens, usd: must be above 0, or left out.".into()));
    }
    let end = now + ask.ttl_s * 1000;
    let expires_ms = caller.claims.expires_ms.map_or(end, |minter| minter.min(end));
    let claims = Claims {
        user: Some(ask.user),
        minted_by: Some(caller.claims.id.clone()),
        expires_ms: Some(expires_ms),
        models: ask.models,
        tokens: ask.tokens,
        microusd: ask.usd.map(|usd| usd.0),
        priority_highest: caller.claims.priority_highest,
        ..Claims::tenant_key(Kind::Visitor, caller.tenant.clone(), super::key_calls::new_id()?)
    };
    let keyring = isolate
        .keyring()
        .map_err(|missing| Problem::unavailable("tollgate_not_configured", missing))?;
    let token = keyring.sign(&claims).map_err(|error| bad(format!("{error}.")))?;
    Ok(json(200, &Minted { token, expires_ms }))
}

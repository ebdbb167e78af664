//! `/admin/keys`: made (signed here, shown once), listed, revoked.

use ::keys::{Claims, Kind};
use limits::admin::{AdminInput, Key, KeyKind};
use limits::message::{Millis, Priority};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::isolate::Isolate;
use crate::request::errors::Problem;

/// Longest lifetime that may be asked for: ten years.
const TTL_S_MAX: u64 = 10 * 366 * 86_400;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Create {
    tenant: String,
    #[serde(default)]
    kind: Option<String>,
    #[serde(default)]
    scope: Option<String>,
    #[serde(default)]
    priority: Option<Priority>,
    #[serde(default)]
    ttl_s: Option<u64>,
}

/// A key, signed and not yet registered.
#[derive(Clone)]
pub(super) struct Created {
    key: String,
}

/// The answer that shows it, once.
#[derive(Serialize)]
pub(super) struct Shown<'a> {
    key: &'a str,
    id: &'a Value,
    tenant: &'a Value,
    expires_ms: &'a Value,
}

impl Created {
    /// `registered`: the [`Key`] as the Gate told it.
    pub(super) fn answer<'a>(&'a self, registered: &'a Value) -> Shown<'a> {
        Shown {
            key: &self.key,
            id: &registered["id"],
            tenant: &registered["tenant"],
            expires_ms: &registered["expires_ms"],
        }
    }
}

/// `POST`: signs a key and asks the Gate to register it.
pub(super) fn create(
    isolate: &Isolate,
    body: &str,
    created: &mut Option<Created>,
    now: Millis,
) -> Result<AdminInput, Problem> {
    let bad = |message: String| Problem::bad("tollgate_bad_request", message);
    let ask: Create = super::read(body)?;
    if !::keys::tenant_name_ok(&ask.tenant) {
        return Err(bad("tenant: not a tenant's name.".into()));
    }
    let (kind, listed) = match ask.kind.as_deref() {
        None | Some("secret") => (Kind::Secret, KeyKind::Secret),
        Some("publishable") => (Kind::Publishable, KeyKind::Publishable),
        Some(_) => return Err(bad("kind: must be secret or publishable. Visitor tokens are minted by POST /v1/visitors, admin tokens by `make token`.".into())),
    };
    let scope_account = match ask.scope.as_deref() {
        None | Some("") => false,
        Some("account") => true,
        Some(_) => return Err(bad("scope: must be account, or left out.".into())),
    };
    if ask.ttl_s.is_some_and(|ttl| ttl == 0 || ttl > TTL_S_MAX) {
        return Err(bad("ttl_s: must be 1 to 316224000 seconds (ten years), or left out.".into()));
    }
    let mut claims = Claims::tenant_key(kind, ask.tenant, new_id()?);
    claims.scope_account = scope_account;
    claims.priority_highest = ask.priority;
    claims.expires_ms = ask.ttl_s.map(|ttl| now + ttl * 1000);
    let keyring = isolate
        .keyring()
        .map_err(|missing| Problem::unavailable("tollgate_not_configured", missing))?;
    let key = keyring.sign(&claims).map_err(|error| bad(error.to_string()))?;
    *created = Some(Created { key });
    Ok(AdminInput::AddKey(Key {
        id: claims.id,
        tenant: claims.tenant.unwrap_or_default(),
        kind: listed,
        created_ms: now,
        expires_ms: claims.expires_ms,
        revoked_ms: None,
    }))
}

/// A fresh id for a key or token.
pub(super) fn new_id() -> Result<String, Problem> {
    let mut bytes = [0; 7];
    getrandom::fill(&mut bytes).map_err(|_| {
        Problem::unavailable("tollgate_internal", "No randomness for a key's id. Retry.")
    })?;
    Ok(::keys::key_id(bytes))
}

/// What can be a key's id in a path.
pub(super) fn id_ok(id: &str) -> bool {
    (1..=64).contains(&id.len())
        && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

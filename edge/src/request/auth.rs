//! Step 2: who asks. A signed key is verified without a look-up; forgeries die here.

use keys::{Claims, KeyError, Kind};
use limits::message::{EndUser, Millis, Priority, VisitorBounds};

use super::errors::Problem;
use super::headers::Headers;
use super::parse::Wishes;
use super::publishable;
use crate::isolate::Isolate;

/// A verified caller.
#[derive(Clone, Debug, PartialEq)]
pub struct Caller {
    /// What the key says.
    pub claims: Claims,
    /// The tenant that pays.
    pub tenant: String,
    /// Its end user, where one is named or is a visitor: [`EndUser`]'s text.
    pub user: Option<String>,
}

impl Caller {
    /// The id of the key that must live: a visitor token's is its minter's.
    pub fn key(&self) -> &str {
        self.claims.minted_by.as_deref().unwrap_or(&self.claims.id)
    }

    /// Whether everybody can read the credential.
    pub fn is_public(&self) -> bool {
        matches!(self.claims.kind, Kind::Publishable | Kind::Visitor)
    }

    /// What its token says that may be used by it, where it does.
    pub fn bounds(&self) -> Option<VisitorBounds> {
        let Claims { tokens, microusd, .. } = self.claims;
        (tokens.is_some() || microusd.is_some()).then(|| VisitorBounds {
            token: self.claims.id.clone(),
            ends_ms: self.claims.expires_ms.unwrap_or_default(),
            tokens,
            microusd,
        })
    }
}

/// Verifies the one credential of a request to the provider's API.
pub fn caller(
    isolate: &Isolate,
    headers: &Headers,
    wishes: &Wishes,
    now: Millis,
) -> Result<Caller, Problem> {
    let claims = claims(isolate, headers, now)?;
    match claims.kind {
        Kind::Secret => {}
        Kind::Admin => {
            return Err(Problem::forbidden(
                "tollgate_wrong_key_kind",
                "This is an admin token: it opens /admin only. Use a secret key (tg_sk_…) from `make key TENANT=NAME`.",
            ));
        }
        Kind::Publishable | Kind::Visitor => publishable::headers(headers)?,
    }
    let tenant = claims.tenant.clone().unwrap_or_default();
    if let (Some(most), Some(asked)) = (claims.priority_highest, wishes.priority)
        && asked < most
    {
        return Err(Problem::forbidden(
            "tollgate_priority_not_allowed",
            "x-tollgate-priority: above the highest of this key. Lower it, or use another key.",
        ));
    }
    let user = match (claims.kind, claims.user.as_deref()) {
        (Kind::Visitor, Some(user)) => Some(EndUser::Visitor(user).text()),
        (Kind::Publishable, _) => {
            let address = publishable::address(headers, isolate.address_header());
            Some(EndUser::Address(&address).text())
        }
        _ => wishes.user.clone(),
    };
    Ok(Caller { claims, tenant, user })
}

/// The claims of the one credential.
pub fn claims(isolate: &Isolate, headers: &Headers, now: Millis) -> Result<Claims, Problem> {
    let keyring = isolate.keyring().map_err(|missing| {
        Problem::unavailable(
            "tollgate_not_configured",
            format!("This gate cannot verify keys: {missing}."),
        )
    })?;
    let key = credential(headers)?.ok_or_else(|| {
        Problem::unauthorized(
            "tollgate_no_key",
            "x-api-key: missing. Send a Tollgate key as `x-api-key` or `authorization: Bearer`; `make key TENANT=NAME` prints one.",
        )
    })?;
    if !key.starts_with("tg_") {
        return Err(Problem::unauthorized(
            "tollgate_not_a_key",
            "x-api-key: not a Tollgate key. A provider's key stays with the gate's operator; use a key that starts with tg_ (`make key TENANT=NAME`).",
        ));
    }
    keyring.verify(key, now).map_err(|error| match error {
        KeyError::Expired { .. } => Problem::unauthorized(
            "tollgate_key_expired",
            "x-api-key: this key has expired. Create a new one with `make key TENANT=NAME`.",
        ),
        _ => Problem::unauthorized(
            "tollgate_key_invalid",
            "x-api-key: not a key of this gate (wrong signature or damaged). Copy it whole, or create one with `make key TENANT=NAME`.",
        ),
    })
}

/// The one credential; two different ones are refused (invariant 10).
fn credential(headers: &Headers) -> Result<Option<&str>, Problem> {
    let bearer = headers.get("authorization").map(|value| {
        let scheme = value.get(..7).is_some_and(|s| s.eq_ignore_ascii_case("bearer "));
        if scheme { value[7..].trim() } else { value }
    });
    match (headers.get("x-api-key").map(str::trim), bearer) {
        (Some(a), Some(b)) if a != b => Err(Problem::unauthorized(
            "tollgate_two_credentials",
            "x-api-key and authorization carry different credentials: send one of them.",
        )),
        (a, b) => Ok(a.or(b).filter(|key| !key.is_empty())),
    }
}

/// The priority a request runs at.
pub fn priority(caller: &Caller, wishes: &Wishes, default: Priority) -> Priority {
    let lowest_allowed = caller.claims.priority_highest.unwrap_or(Priority::Critical);
    wishes.priority.unwrap_or(default).max(lowest_allowed)
}

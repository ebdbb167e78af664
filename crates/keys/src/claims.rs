//! What a key says, and which of it each kind may say.

use std::fmt;
use std::str::FromStr;

use limits::message::{MicroUsd, Millis, Priority, Tokens};
use serde::{Deserialize, Serialize};

/// The longest tenant name, in bytes.
pub const TENANT_BYTES_MAX: usize = 64;

const ID_BYTES_MAX: usize = 32;
/// An end user's id as callers make them: a UUID, an e-mail address, a hash.
const USER_BYTES_MAX: usize = 128;
const MODEL_BYTES_MAX: usize = 128;
const MODELS_MAX: usize = 16;

/// What a key says. Built by [`Claims::tenant_key`] or [`Claims::admin`]; what
/// its kind may not say is refused at signing and at verifying.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// Who may hold it, and for what.
    pub kind: Kind,
    /// The tenant; none for admin keys.
    pub tenant: Option<String>,
    /// The key's own id, by which it is listed and revoked.
    pub id: String,
    /// The end of its life, in milliseconds since the Unix epoch.
    pub expires_ms: Option<Millis>,
    /// May see the accounts' own levels (secret keys).
    pub scope_account: bool,
    /// The highest priority that it may ask for (secret and publishable keys).
    pub priority_highest: Option<Priority>,
    /// What an admin key may do; none for the others.
    pub role: Option<Role>,
    /// The end user of a visitor token.
    pub user: Option<String>,
    /// The key that minted a visitor token, which it dies with.
    pub minted_by: Option<String>,
    /// A visitor token's models; empty: all of its tenant's.
    pub models: Vec<String>,
    /// The most tokens that a visitor token may use.
    pub tokens: Option<Tokens>,
    /// The most money that a visitor token may spend.
    pub microusd: Option<MicroUsd>,
}

impl Claims {
    /// A key of a tenant that says nothing further.
    pub fn tenant_key(kind: Kind, tenant: impl Into<String>, id: impl Into<String>) -> Self {
        Self { tenant: Some(tenant.into()), ..Self::bare(kind, id.into()) }
    }

    /// An admin key that says nothing further.
    pub fn admin(role: Role, id: impl Into<String>) -> Self {
        Self { role: Some(role), ..Self::bare(Kind::Admin, id.into()) }
    }

    pub(crate) fn bare(kind: Kind, id: String) -> Self {
        Self {
            kind,
            tenant: None,
            id,
            expires_ms: None,
            scope_account: false,
            priority_highest: None,
            role: None,
            user: None,
            minted_by: None,
            models: Vec::new(),
            tokens: None,
            microusd: None,
        }
    }

    pub(crate) fn check(&self) -> Result<(), ClaimsError> {
        let is = |kind| self.kind == kind;
        let rules = [
            (self.tenant.is_none() == is(Kind::Admin), "tenant"),
            (self.tenant.as_deref().is_none_or(tenant_name_ok), "tenant"),
            (self.role.is_some() == is(Kind::Admin), "role"),
            (id_ok(&self.id), "id"),
            (!self.scope_account || is(Kind::Secret), "scope"),
            (self.priority_highest.is_none() || !is(Kind::Admin), "priority"),
            (self.user.is_some() == is(Kind::Visitor), "user"),
            (self.user.as_ref().is_none_or(|user| text_ok(user, USER_BYTES_MAX)), "user"),
            (self.minted_by.is_some() == is(Kind::Visitor), "minted_by"),
            (self.minted_by.as_deref().is_none_or(id_ok), "minted_by"),
            (self.expires_ms.is_some() || !is(Kind::Visitor), "expires_ms"),
            (self.models.is_empty() || is(Kind::Visitor), "models"),
            (self.models.len() <= MODELS_MAX, "models"),
            (self.models.iter().all(|model| text_ok(model, MODEL_BYTES_MAX)), "models"),
            (self.tokens.is_none() || is(Kind::Visitor), "tokens"),
            (self.microusd.is_none() || is(Kind::Visitor), "microusd"),
        ];
        match rules.into_iter().find(|(holds, _)| !holds) {
            Some((_, claim)) => Err(ClaimsError::NotAllowed { claim, kind: self.kind }),
            None => Ok(()),
        }
    }
}

/// Who holds a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A server of the tenant.
    Secret,
    /// A page: anybody can read it.
    Publishable,
    /// One visitor of a page, for minutes.
    Visitor,
    /// Whoever runs the deployment.
    Admin,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Secret, Self::Publishable, Self::Visitor, Self::Admin];

    /// `secret`, `publishable`, `visitor` or `admin`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Secret => "secret",
            Self::Publishable => "publishable",
            Self::Visitor => "visitor",
            Self::Admin => "admin",
        }
    }

    /// What its keys begin with, e.g. `tg_sk_`. All have six characters, so
    /// that no prefix and payload can read as another's.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Secret => "tg_sk_",
            Self::Publishable => "tg_pk_",
            Self::Visitor => "tg_vt_",
            Self::Admin => "tg_ad_",
        }
    }

    pub(crate) fn split(text: &str) -> Option<(Self, &str)> {
        Self::ALL.iter().find_map(|kind| Some((*kind, text.strip_prefix(kind.prefix())?)))
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|kind| kind.name() == text);
        found.ok_or_else(|| "expected secret, publishable, visitor or admin".into())
    }
}

/// What an admin key may do. Each role may do what the ones before it may:
/// compare with `>=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Reads.
    Viewer,
    /// Also makes and revokes keys, and changes tenants.
    Operator,
    /// All.
    Owner,
}

impl Role {
    /// `viewer`, `operator` or `owner`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Owner => "owner",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = [Self::Viewer, Self::Operator, Self::Owner].into_iter();
        let found = found.into_iter().find(|role| role.name() == text);
        found.ok_or_else(|| "expected viewer, operator or owner".into())
    }
}

/// A key's id from random bytes: ten characters of base32, 50 bits.
pub fn key_id(random: [u8; 7]) -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let bits = random.iter().fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
    (0..10).map(|digit| char::from(ALPHABET[(bits >> (5 * digit) & 31) as usize])).collect()
}

/// True for a name that a tenant may have: 1 to [`TENANT_BYTES_MAX`] letters,
/// digits, `-`, `_` and `.`, so that it is safe in a header, a path and a shell.
pub fn tenant_name_ok(name: &str) -> bool {
    let safe = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (1..=TENANT_BYTES_MAX).contains(&name.len()) && name.bytes().all(safe)
}

fn id_ok(id: &str) -> bool {
    (1..=ID_BYTES_MAX).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

fn text_ok(text: &str, bytes_max: usize) -> bool {
    (1..=bytes_max).contains(&text.len()) && !text.contains(char::is_control)
}

/// Claims that no key can carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClaimsError {
    /// A claim is missing, beyond its bound, or not this kind's.
    NotAllowed {
        /// Which.
        claim: &'static str,
        /// The key's kind.
        kind: Kind,
    },
    /// Together they exceed [`crate::KEY_CHARS_MAX`].
    TooLong,
}

impl fmt::Display for ClaimsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAllowed { claim, kind } => {
                write!(f, "`{claim}` is missing, too long or not allowed in a {kind} key")
            }
            Self::TooLong => {
                write!(f, "the key would have more than {} characters", crate::KEY_CHARS_MAX)
            }
        }
    }
}

impl std::error::Error for ClaimsError {}

//! The bytes of a key: a version, then fields of tag, length and value in
//! ascending order of tags, so that there is one form of each key.
//!
//! A field added later gets a new tag. A reader refuses tags that it does not
//! know, because each may be a restriction.

use limits::message::Priority;

use crate::{Claims, KeyError, Kind, Role};

const VERSION: u8 = 1;

const TENANT: u8 = 1;
const ID: u8 = 2;
const EXPIRES_MS: u8 = 3;
const SCOPE_ACCOUNT: u8 = 4;
const PRIORITY_HIGHEST: u8 = 5;
const ROLE: u8 = 6;
const USER: u8 = 7;
const MINTED_BY: u8 = 8;
/// The only tag that may repeat.
const MODEL: u8 = 9;
const TOKENS: u8 = 10;
const MICROUSD: u8 = 11;

/// Expects claims that passed their check: every value is shorter than 256 bytes.
pub(crate) fn encode(claims: &Claims) -> Vec<u8> {
    let mut out = vec![VERSION];
    let mut put = |tag: u8, value: &[u8]| {
        debug_assert!(value.len() <= usize::from(u8::MAX));
        out.extend_from_slice(&[tag, value.len() as u8]);
        out.extend_from_slice(value);
    };
    if let Some(tenant) = &claims.tenant {
        put(TENANT, tenant.as_bytes());
    }
    put(ID, claims.id.as_bytes());
    if let Some(at) = claims.expires_ms {
        put(EXPIRES_MS, &at.to_be_bytes());
    }
    if claims.scope_account {
        put(SCOPE_ACCOUNT, &[]);
    }
    if let Some(priority) = claims.priority_highest {
        put(PRIORITY_HIGHEST, &[priority_byte(priority)]);
    }
    if let Some(role) = claims.role {
        put(ROLE, &[role_byte(role)]);
    }
    if let Some(user) = &claims.user {
        put(USER, user.as_bytes());
    }
    if let Some(key) = &claims.minted_by {
        put(MINTED_BY, key.as_bytes());
    }
    for model in &claims.models {
        put(MODEL, model.as_bytes());
    }
    if let Some(tokens) = claims.tokens {
        put(TOKENS, &tokens.to_be_bytes());
    }
    if let Some(microusd) = claims.microusd {
        put(MICROUSD, &microusd.to_be_bytes());
    }
    out
}

/// Asked before the signature is: another version may be signed in another way.
pub(crate) fn check_version(bytes: &[u8]) -> Result<(), KeyError> {
    match bytes.first() {
        Some(&VERSION) => Ok(()),
        Some(_) => Err(KeyError::WrongVersion),
        None => Err(KeyError::Malformed),
    }
}

/// Expects bytes whose version and signature were checked.
pub(crate) fn decode(kind: Kind, bytes: &[u8]) -> Result<Claims, KeyError> {
    let mut claims = Claims::bare(kind, String::new());
    let mut rest = bytes.get(1..).ok_or(KeyError::Malformed)?;
    let mut tag_before = 0;
    while let [tag, length, tail @ ..] = rest {
        let (value, tail) = tail.split_at_checked((*length).into()).ok_or(KeyError::Malformed)?;
        if *tag < tag_before || (*tag == tag_before && *tag != MODEL) {
            return Err(KeyError::Malformed);
        }
        match *tag {
            TENANT => claims.tenant = Some(text(value)?),
            ID => claims.id = text(value)?,
            EXPIRES_MS => claims.expires_ms = Some(number(value)?),
            SCOPE_ACCOUNT if value.is_empty() => claims.scope_account = true,
            SCOPE_ACCOUNT => return Err(KeyError::Malformed),
            PRIORITY_HIGHEST => claims.priority_highest = Some(priority(value)?),
            ROLE => claims.role = Some(role(value)?),
            USER => claims.user = Some(text(value)?),
            MINTED_BY => claims.minted_by = Some(text(value)?),
            MODEL => claims.models.push(text(value)?),
            TOKENS => claims.tokens = Some(number(value)?),
            MICROUSD => claims.microusd = Some(number(value)?),
            _ => return Err(KeyError::WrongVersion),
        }
        (tag_before, rest) = (*tag, tail);
    }
    if rest.is_empty() { Ok(claims) } else { Err(KeyError::Malformed) }
}

fn text(value: &[u8]) -> Result<String, KeyError> {
    String::from_utf8(value.to_vec()).map_err(|_| KeyError::Malformed)
}

fn number(value: &[u8]) -> Result<u64, KeyError> {
    value.try_into().map(u64::from_be_bytes).map_err(|_| KeyError::Malformed)
}

fn priority_byte(priority: Priority) -> u8 {
    match priority {
        Priority::Critical => 0,
        Priority::Normal => 1,
        Priority::Background => 2,
    }
}

fn priority(value: &[u8]) -> Result<Priority, KeyError> {
    match value {
        [0] => Ok(Priority::Critical),
        [1] => Ok(Priority::Normal),
        [2] => Ok(Priority::Background),
        _ => Err(KeyError::Malformed),
    }
}

fn role_byte(role: Role) -> u8 {
    match role {
        Role::Viewer => 0,
        Role::Operator => 1,
        Role::Owner => 2,
    }
}

fn role(value: &[u8]) -> Result<Role, KeyError> {
    match value {
        [0] => Ok(Role::Viewer),
        [1] => Ok(Role::Operator),
        [2] => Ok(Role::Owner),
        _ => Err(KeyError::Malformed),
    }
}

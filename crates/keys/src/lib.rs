//! Tollgate's keys: signed, not looked up.
//!
//! A key is `tg_sk_…`, `tg_pk_…`, `tg_vt_…` or `tg_ad_…`: a prefix that names
//! its kind, then base64url of what it says and of a truncated HMAC-SHA-256
//! over prefix and payload. The Worker verifies it on each request without
//! asking anybody; whether it was revoked is the Gate's to say.
//!
//! No clock and no randomness: `now_ms` and the bytes of an id come as arguments.
#![forbid(unsafe_code)]

mod claims;
mod payload;

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

pub use claims::{Claims, ClaimsError, Kind, Role, TENANT_BYTES_MAX, key_id, tenant_name_ok};

/// The shortest signing secret: as many bytes as HMAC-SHA-256 puts out, below
/// which the key is the weakest part (RFC 2104 §3).
pub const SECRET_BYTES_MIN: usize = 32;

/// The longest key, in characters. A secret key has about 60; a visitor token
/// that lists models and a user some hundreds.
pub const KEY_CHARS_MAX: usize = 1024;

/// 128 bits: half of the digest, which RFC 2104 §5 names as the least.
const MAC_BYTES: usize = 16;

/// The signing secrets of a deployment, prepared once: signs with the current
/// one, verifies with all.
#[derive(Clone)]
pub struct Keyring {
    current: Hmac<Sha256>,
    previous: Vec<Hmac<Sha256>>,
}

impl Keyring {
    /// `current` signs; `previous` is accepted while keys signed by it live.
    ///
    /// # Errors
    /// [`WeakSecret`] where one is shorter than [`SECRET_BYTES_MIN`].
    pub fn new(current: &[u8], previous: &[&[u8]]) -> Result<Self, WeakSecret> {
        let previous = previous.iter().map(|secret| prepare(secret)).collect::<Result<_, _>>()?;
        Ok(Self { current: prepare(current)?, previous })
    }

    /// The key that says `claims`.
    ///
    /// # Errors
    /// [`ClaimsError`] where they contradict their kind or a bound.
    pub fn sign(&self, claims: &Claims) -> Result<String, ClaimsError> {
        claims.check()?;
        let prefix = claims.kind.prefix();
        let mut bytes = payload::encode(claims);
        let mac = keyed(&self.current, prefix, &bytes).finalize().into_bytes();
        bytes.extend_from_slice(&mac[..MAC_BYTES]);
        let key = format!("{prefix}{}", URL_SAFE_NO_PAD.encode(bytes));
        if key.len() > KEY_CHARS_MAX { Err(ClaimsError::TooLong) } else { Ok(key) }
    }

    /// What `text` says, where one of the secrets signed it and it has not
    /// expired at `now_ms`. Compares in constant time.
    ///
    /// # Errors
    /// [`KeyError`]; none of them repeats the text.
    pub fn verify(&self, text: &str, now_ms: u64) -> Result<Claims, KeyError> {
        if text.len() > KEY_CHARS_MAX {
            return Err(KeyError::Malformed);
        }
        let (kind, rest) = Kind::split(text).ok_or(KeyError::Malformed)?;
        let bytes = URL_SAFE_NO_PAD.decode(rest).map_err(|_| KeyError::Malformed)?;
        let (said, mac) = bytes.split_last_chunk::<MAC_BYTES>().ok_or(KeyError::Malformed)?;
        payload::check_version(said)?;
        let signed = std::iter::once(&self.current)
            .chain(&self.previous)
            .any(|secret| keyed(secret, kind.prefix(), said).verify_truncated_left(mac).is_ok());
        if !signed {
            return Err(KeyError::Forged);
        }
        let claims = payload::decode(kind, said)?;
        claims.check().map_err(|_| KeyError::Malformed)?;
        match claims.expires_ms {
            Some(at_ms) if at_ms <= now_ms => Err(KeyError::Expired { at_ms }),
            _ => Ok(claims),
        }
    }
}

/// Nothing of a secret: not even its state after the key schedule.
impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring").field("secrets", &(1 + self.previous.len())).finish()
    }
}

fn prepare(secret: &[u8]) -> Result<Hmac<Sha256>, WeakSecret> {
    if secret.len() < SECRET_BYTES_MIN {
        return Err(WeakSecret { bytes: secret.len() });
    }
    // HMAC takes keys of any length, so the error cannot occur.
    Hmac::new_from_slice(secret).map_err(|_| WeakSecret { bytes: secret.len() })
}

fn keyed(secret: &Hmac<Sha256>, prefix: &str, payload: &[u8]) -> Hmac<Sha256> {
    let mut mac = secret.clone();
    mac.update(prefix.as_bytes());
    mac.update(payload);
    mac
}

/// Why a key is not accepted: always the caller's fault, a retry never helps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyError {
    /// Not a key of Tollgate, or cut.
    Malformed,
    /// No secret of this deployment signed it.
    Forged,
    /// It was good until `at_ms`.
    Expired {
        /// Milliseconds since the Unix epoch.
        at_ms: u64,
    },
    /// Made by a newer Tollgate: it says something that this one cannot read.
    WrongVersion,
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "this is not a Tollgate key (tg_sk_…, tg_pk_…, tg_vt_…, tg_ad_…)",
            Self::Forged => "this deployment did not sign this key",
            Self::Expired { .. } => "this key has expired",
            Self::WrongVersion => "this key was made by a newer version of Tollgate",
        })
    }
}

impl std::error::Error for KeyError {}

/// A signing secret that is too short to be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WeakSecret {
    /// Its length.
    pub bytes: usize,
}

impl fmt::Display for WeakSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the signing secret has {} bytes and needs {SECRET_BYTES_MIN}: `openssl rand -hex 32` makes one",
            self.bytes
        )
    }
}

impl std::error::Error for WeakSecret {}

#[cfg(test)]
mod tests;

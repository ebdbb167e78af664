//! `TOLLGATE_CACHE`: whether complete answers are kept, and how long.

use serde::de::{self, Deserializer};
use serde::{Deserialize, Serialize};

/// The answer cache. Off by default: a repeated question may deserve a new answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Cache {
    /// Whether requests are answered from it where route and tenant say nothing.
    pub enabled: bool,
    /// How long an answer is kept, in seconds.
    #[serde(deserialize_with = "ttl_s")]
    pub ttl_s: u32,
}

impl Default for Cache {
    fn default() -> Self {
        Self { enabled: false, ttl_s: 3_600 }
    }
}

/// 60 s is the least that Workers KV keeps an entry (Cloudflare's KV limits,
/// 2026-11); 30 days keep a changed model's answers from living for ever.
pub(crate) fn ttl_s<'de, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
    match u32::deserialize(from)? {
        ttl_s @ 60..=2_592_000 => Ok(ttl_s),
        _ => Err(de::Error::custom("out of range; write 60 (a minute) to 2592000 (30 days)")),
    }
}

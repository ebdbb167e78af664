//! Step 5: may the answer come from the cache, and under which key?
//!
//! The key is a SHA-256 of everything that decides the answer, with tenant and
//! end user (invariant 7). Only complete, successful answers are kept
//! (invariant 12). Storage is `edge/js/cache.mjs`.

use keys::Kind;
use limits::message::{Millis, PolicyView};
use serde::{Deserialize, Serialize};
use sha2::Digest;

use super::auth::Caller;
use super::delivery::Atomic;
use super::errors::Problem;
use super::parse::{CacheMode, Wishes};
use super::route::Chosen;
use super::{Headers, Passage, digest};
use crate::isolate::Isolate;
use crate::journey::{Answer, Step};

/// Larger bodies are not cached: the canonical form is made in wasm memory.
const BODY_BYTES_MAX: usize = 1024 * 1024;

/// A request's place in the cache.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Hex; never a word of the prompt.
    pub key: String,
    /// How long an answer is kept.
    pub ttl_s: u64,
    /// Whether a kept answer may serve.
    pub read: bool,
    /// Whether the provider may be asked.
    pub only: bool,
}

/// How a kept answer is served.
#[derive(Debug, Serialize, Deserialize)]
pub struct Meta {
    /// Its content-type.
    pub content_type: String,
    /// The model that answered.
    pub model: String,
    /// The provider's own id.
    #[serde(default)]
    pub request_id: String,
}

impl Meta {
    /// Of an answer that is to be kept.
    pub fn of(headers: &Headers) -> Self {
        let get = |name| headers.get(name).unwrap_or_default().to_owned();
        Self {
            content_type: get("content-type"),
            model: get("x-tollgate-model"),
            request_id: get("request-id"),
        }
    }

    /// Of the answer when it is served to another request.
    pub(super) fn headers(&self, id: &str) -> Headers {
        let mut headers = Headers::default();
        headers.add("content-type", &self.content_type);
        headers.add("x-tollgate-request-id", id);
        headers.add("x-tollgate-model", &self.model);
        headers
    }
}

/// The body, kept for its canonical form where the cache may be used.
pub struct Canonical {
    body: Vec<u8>,
}

impl Canonical {
    /// Whether it is needed, by what is known before the body is read.
    pub fn wanted(
        isolate: &Isolate,
        caller: &Caller,
        wishes: &Wishes,
        now: Millis,
    ) -> Option<Self> {
        // Several people may share an address, but not each other's answers.
        let is_address = caller.claims.kind == Kind::Publishable;
        let wanted = match wishes.cache.mode {
            _ if is_address => false,
            CacheMode::Skip => false,
            CacheMode::Default | CacheMode::Only | CacheMode::Refresh => true,
            CacheMode::Unset => {
                let of_tenant = isolate.policy(&caller.tenant, now).map(|policy| policy.cache);
                let of_settings = isolate.settings().is_some_and(|settings| {
                    settings.cache.enabled
                        || settings.routes.values().any(|route| route.cache.enabled == Some(true))
                });
                // Unknown: the policy is asked for first.
                of_tenant.is_none_or(|cache| cache.unwrap_or(of_settings))
            }
        };
        wanted.then(|| Self { body: Vec::new() })
    }

    /// The next window of the body.
    pub fn feed(&mut self, window: &[u8]) {
        if self.body.len() <= BODY_BYTES_MAX {
            self.body.extend_from_slice(window);
        }
    }

    /// The entry, unless the cache is off for this request.
    pub fn entry(
        self,
        caller: &Caller,
        wishes: &Wishes,
        headers: &Headers,
        route: &Chosen,
        atomic: Option<Atomic>,
        policy: Option<&PolicyView>,
    ) -> Option<Entry> {
        let mode = wishes.cache.mode;
        let of_tenant = policy.and_then(|policy| policy.cache);
        let on = match mode {
            CacheMode::Skip => false,
            CacheMode::Unset => of_tenant.unwrap_or(route.cache_enabled),
            // A request may ask for it, but not against its tenant's word.
            CacheMode::Default | CacheMode::Only | CacheMode::Refresh => of_tenant != Some(false),
        };
        if !on || self.body.len() > BODY_BYTES_MAX {
            return None;
        }
        // Maps sort their keys: order and blanks of the body do not matter.
        let value: serde_json::Value =
            json::from_str(std::str::from_utf8(&self.body).ok()?).ok()?;
        let mut hash = digest::of(&[
            "1",
            &caller.tenant,
            caller.user.as_deref().unwrap_or(""),
            &route.pool.account,
            headers.get("anthropic-version").unwrap_or(""),
            headers.get("anthropic-beta").unwrap_or(""),
            &value.to_string(),
        ]);
        // Plain requests keep the keys that they have.
        if let Some(atomic) = atomic {
            hash.update(atomic.name());
        }
        Some(Entry {
            key: digest::hex(hash),
            ttl_s: wishes.cache.ttl_s.unwrap_or(route.cache_ttl_s),
            read: mode != CacheMode::Refresh,
            only: mode == CacheMode::Only,
        })
    }
}

/// To `x-tollgate-cache: only`.
pub(super) fn nothing_kept() -> Problem {
    Problem::new(
        504,
        "timeout_error",
        "tollgate_cache_miss",
        "x-tollgate-cache: only, and there is no kept answer to this request.",
    )
}

/// The cache was looked into.
pub(super) fn looked(
    passage: &mut Passage,
    meta: Option<String>,
    body: Vec<u8>,
) -> Result<(), Problem> {
    let meta: Option<Meta> = meta.and_then(|meta| json::from_str(&meta).ok());
    let only = passage.call()?.cache.as_ref().is_some_and(|entry| entry.only);
    let Some(meta) = meta else {
        if only {
            return Err(nothing_kept());
        }
        passage.call()?.admission.missed();
        passage.step = Step::Ask;
        return Ok(());
    };
    let mut headers = meta.headers(&passage.head.id);
    headers.add("request-id", &passage.head.id);
    headers.add("x-tollgate-cache", "hit");
    passage.answer = Answer { status: 200, headers, body, code: None };
    passage.is_complete = true;
    passage.step = Step::Answer;
    Ok(())
}

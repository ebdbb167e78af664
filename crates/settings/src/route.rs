//! `TOLLGATE_ROUTES`: which account answers for a model.

use limits::ByName;
use serde::de::{self, Deserializer};
use serde::{Deserialize, Serialize};

use crate::account::Account;
use crate::cache;
use crate::finding::Finding;
use crate::{Settings, read};

/// Where the requests for a model, or for all that begin alike, go.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Route {
    /// The account by name; none: the first by name.
    pub account: Option<String>,
    /// How long the provider may take.
    pub timeouts: Timeouts,
    /// What `x-tollgate-delivery: atomic` may do.
    pub atomic: Atomic,
    /// Overrides of `TOLLGATE_CACHE`.
    pub cache: RouteCache,
}

/// A route's overrides of `TOLLGATE_CACHE`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RouteCache {
    /// Whether answers are kept; none: as `TOLLGATE_CACHE` says.
    pub enabled: Option<bool>,
    /// How long, in seconds; none: as `TOLLGATE_CACHE` says.
    #[serde(deserialize_with = "ttl_s")]
    pub ttl_s: Option<u32>,
}

/// What `x-tollgate-delivery: atomic` may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Atomic {
    /// Attempts for one answer, the first included; each is charged.
    #[serde(deserialize_with = "attempts")]
    pub attempts: u32,
    /// Whether an answer that was cut by `max_tokens` or the context window
    /// counts as complete.
    pub allow_cut: bool,
}

impl Default for Atomic {
    fn default() -> Self {
        Self { attempts: 3, allow_cut: false }
    }
}

/// How long a provider may take, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Timeouts {
    /// From sending to the response head. Without streaming that is the whole
    /// generation: the official SDKs wait 600 s (anthropic 2.13.0, 2026-11).
    #[serde(deserialize_with = "seconds")]
    pub first_byte_s: u32,
    /// Between two pieces of a body. The API sends pings between, so silence
    /// means a dead connection.
    #[serde(deserialize_with = "seconds")]
    pub between_bytes_s: u32,
    /// From sending to the end of the body.
    #[serde(deserialize_with = "seconds")]
    pub total_s: u32,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { first_byte_s: 600, between_bytes_s: 120, total_s: 3_600 }
    }
}

/// Where one request goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Target<'a> {
    /// The account's name.
    pub account_name: &'a str,
    /// The account.
    pub account: &'a Account,
    /// The model to ask of the provider: the one asked for.
    pub model: &'a str,
    /// How long it may take.
    pub timeouts: Timeouts,
    /// What atomic delivery may do.
    pub atomic: Atomic,
    /// Whether the answer may be kept, where tenant and request say nothing.
    pub cache_enabled: bool,
    /// How long, in seconds.
    pub cache_ttl_s: u32,
}

impl Settings {
    /// Where a request for `model` goes: by the route of that name, else by the
    /// longest prefix, else to the first account by name.
    pub fn target<'a>(&'a self, model: &'a str) -> Target<'a> {
        let by_prefix = || {
            let matches = |pattern: &str| {
                pattern.strip_suffix('*').is_some_and(|prefix| model.starts_with(prefix))
            };
            let routes = self.routes.iter().filter(|(pattern, _)| matches(pattern));
            routes.max_by_key(|(pattern, _)| pattern.len()).map(|(_, route)| route)
        };
        let route = self.routes.get(model).or_else(by_prefix);
        let named = route.and_then(|route| route.account.as_deref());
        let named = named.and_then(|name| self.accounts.get_key_value(name));
        let (account_name, account) = named
            .or_else(|| self.accounts.first_key_value())
            .expect("parse leaves at least one account");
        let cache = route.map(|route| route.cache).unwrap_or_default();
        Target {
            account_name,
            account,
            model,
            timeouts: route.map(|route| route.timeouts).unwrap_or_default(),
            atomic: route.map(|route| route.atomic).unwrap_or_default(),
            cache_enabled: cache.enabled.unwrap_or(self.cache.enabled),
            cache_ttl_s: cache.ttl_s.unwrap_or(self.cache.ttl_s),
        }
    }
}

pub(crate) fn contradictions(routes: &ByName<Route>, accounts: &ByName<Account>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (pattern, route) in routes {
        let at = |key: &str| read::path(&["TOLLGATE_ROUTES", pattern, key]);
        if !pattern_ok(pattern) {
            findings.push(Finding::new(
                read::path(&["TOLLGATE_ROUTES", pattern]),
                "neither a model id nor a prefix",
                "write \"claude-sonnet-5-5\" or \"claude-*\"",
            ));
        }
        if route.account.as_ref().is_some_and(|name| !accounts.contains_key(name)) {
            let names: Vec<&str> = accounts.keys().map(String::as_str).collect();
            findings.push(Finding::new(
                at("account"),
                "there is no account of this name",
                format!("name one of {}", names.join(", ")),
            ));
        }
        let Timeouts { first_byte_s, between_bytes_s, total_s } = route.timeouts;
        if first_byte_s > total_s || between_bytes_s > total_s {
            findings.push(Finding::new(
                at("timeouts"),
                "total_s is shorter than a part of it",
                "make it the longest of the three",
            ));
        }
    }
    findings
}

fn pattern_ok(pattern: &str) -> bool {
    let id = pattern.strip_suffix('*').unwrap_or(pattern);
    (1..=128).contains(&pattern.len()) && id.bytes().all(|b| b.is_ascii_graphic() && b != b'*')
}

/// A day bounds them all: no provider works on one request for longer.
fn seconds<'de, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
    match u32::deserialize(from)? {
        seconds @ 1..=86_400 => Ok(seconds),
        _ => Err(de::Error::custom("out of range; write 1 to 86400 seconds")),
    }
}

/// Each attempt is charged: more than a few is a loop.
fn attempts<'de, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
    match u32::deserialize(from)? {
        attempts @ 1..=10 => Ok(attempts),
        _ => Err(de::Error::custom("out of range; write 1 to 10 attempts")),
    }
}

fn ttl_s<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u32>, D::Error> {
    cache::ttl_s(from).map(Some)
}

//! The facts the emulator serves by: models and tier limits, read from data
//! files that name source and date. Nothing here is a number of its own.

use crate::pool::Limits;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The pool of token counting, independent of messages.
pub const COUNT_TOKENS: &str = "count_tokens";

/// One model as the models endpoint tells it, and how it counts.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// The id that answers carry.
    pub id: String,
    /// A second id that is accepted.
    pub alias: Option<String>,
    /// The name for people.
    pub name: String,
    /// The pool it shares: one of the rate-limit page's model classes.
    pub class: String,
    /// haiku, sonnet, opus, fable or mythos.
    pub line: String,
    /// The context window, in tokens.
    pub max_input_tokens: u64,
    /// The most output of one answer, in tokens.
    pub max_tokens: u64,
    /// active, deprecated or retired.
    pub lifecycle: Lifecycle,
    /// The day it retires, `YYYY-MM-DD`.
    pub retires: Option<String>,
    /// The day it was released, `YYYY-MM-DD`.
    pub created: Option<String>,
    /// The key of its [`Counting`].
    pub counting: String,
    /// True if `speed: "fast"` is served.
    #[serde(default)]
    pub fast: bool,
    /// Shorter prefixes are not kept in the prompt cache, in tokens.
    pub cached_tokens_min: u64,
    /// Tokens added once where tools are present: for `tool_choice` auto or
    /// none, and for any or tool.
    pub tool_tokens: [u64; 2],
    /// What of this entry is assumed.
    #[serde(default)]
    pub assumed: String,
    /// Where it comes from.
    pub source: String,
    /// The day it was read, `YYYY-MM-DD`.
    pub as_of: String,
}

/// Where a model is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lifecycle {
    /// Served.
    Active,
    /// Served until `retires`.
    Deprecated,
    /// Answered with 404.
    Retired,
}

/// How one family counts: the emulator's own, deterministic convention.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counting {
    /// Tokens for 100 tokens of o200k.
    pub percent: u64,
    /// Images are scaled to this long edge, in pixels.
    pub image_edge_max: u64,
    /// No image counts more tokens.
    pub image_tokens_max: u64,
    /// Where it comes from.
    pub source: String,
    /// The day it was read, `YYYY-MM-DD`.
    pub as_of: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ModelFile {
    counting: BTreeMap<String, Counting>,
    model: Vec<Model>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct LimitFile {
    limit: Vec<TierLimit>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TierLimit {
    tier: String,
    class: String,
    rpm: u64,
    itpm: u64,
    otpm: u64,
    #[serde(default)]
    #[allow(dead_code, reason = "a caveat for readers of the file")]
    note: String,
    source: String,
    as_of: String,
}

/// Every model that the emulator knows.
#[derive(Debug)]
pub struct Catalog {
    counting: BTreeMap<String, Counting>,
    models: Vec<Model>,
}

impl Catalog {
    /// The built-in data file.
    pub fn new() -> Result<Self, String> {
        let file: ModelFile =
            toml::from_str(include_str!("../data/models.toml")).map_err(|e| e.to_string())?;
        for model in &file.model {
            if !file.counting.contains_key(&model.counting) {
                return Err(format!("{}: no counting.{}", model.id, model.counting));
            }
            dated(&model.id, &model.source, &model.as_of)?;
        }
        for (name, counting) in &file.counting {
            dated(name, &counting.source, &counting.as_of)?;
        }
        Ok(Self { counting: file.counting, models: file.model })
    }

    /// The model of that id or alias, and how it counts; none where it is
    /// unknown or retired.
    pub fn model(&self, id: &str) -> Option<(&Model, &Counting)> {
        let model = self
            .served()
            .find(|model| model.id == id || model.alias.as_deref().is_some_and(|a| a == id))?;
        Some((model, self.counting.get(&model.counting)?))
    }

    /// The models that are served, newest first.
    pub fn served(&self) -> impl Iterator<Item = &Model> {
        self.models.iter().filter(|model| model.lifecycle != Lifecycle::Retired)
    }
}

/// Limits by pool name: a class, `count_tokens`, or `CLASS/fast`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LimitTable {
    by_pool: BTreeMap<String, Limits>,
}

impl LimitTable {
    /// A published tier: start, build or scale.
    pub fn tier(name: &str) -> Result<Self, String> {
        let file: LimitFile =
            toml::from_str(include_str!("../data/limits.toml")).map_err(|e| e.to_string())?;
        let mut by_pool = BTreeMap::new();
        for limit in file.limit {
            dated(&limit.class, &limit.source, &limit.as_of)?;
            if limit.tier == name {
                let TierLimit { rpm, itpm, otpm, .. } = limit;
                by_pool.insert(limit.class, Limits { rpm, itpm, otpm, by_second: false });
            }
        }
        if by_pool.is_empty() {
            return Err(format!("no tier `{name}`: start, build or scale"));
        }
        Ok(Self { by_pool })
    }

    /// Puts `changes` over the table. `*` is every class, token counting and
    /// fast mode apart, and takes the place of every single class before it.
    pub fn apply(&mut self, changes: &BTreeMap<String, LimitChange>) {
        if let Some(change) = changes.get("*") {
            self.by_pool.retain(|pool, _| pool == "*" || pool == COUNT_TOKENS || pool == "fast");
            self.change("*", change);
        }
        for (pool, change) in changes.iter().filter(|(pool, _)| *pool != "*") {
            self.change(pool, change);
        }
    }

    fn change(&mut self, pool: &str, change: &LimitChange) {
        let old = self.of(pool);
        let new = Limits {
            rpm: change.rpm.unwrap_or(old.rpm),
            itpm: change.itpm.unwrap_or(old.itpm),
            otpm: change.otpm.unwrap_or(old.otpm),
            by_second: change.by_second.unwrap_or(old.by_second),
        };
        self.by_pool.insert(pool.to_owned(), new);
    }

    /// The limits of a pool. Fast mode falls back to `fast`, all else to `*`.
    pub fn of(&self, pool: &str) -> Limits {
        let fallback = if pool.ends_with("/fast") { "fast" } else { "*" };
        let none = Limits { rpm: 0, itpm: 0, otpm: 0, by_second: false };
        [pool, fallback].iter().find_map(|p| self.by_pool.get(*p).copied()).unwrap_or(none)
    }
}

/// Some of a pool's limits; what is absent stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitChange {
    /// Requests a minute.
    pub rpm: Option<u64>,
    /// Input tokens a minute.
    pub itpm: Option<u64>,
    /// Output tokens a minute.
    pub otpm: Option<u64>,
    /// Requests limited to a second's share too.
    pub by_second: Option<bool>,
}

fn dated(what: &str, source: &str, as_of: &str) -> Result<(), String> {
    let day = humantime::parse_rfc3339(&format!("{as_of}T00:00:00Z"));
    if source.is_empty() || day.is_err() {
        return Err(format!("{what}: needs a source and a date YYYY-MM-DD"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_has_its_source_and_date() {
        Catalog::new().unwrap();
        for tier in ["start", "build", "scale"] {
            LimitTable::tier(tier).unwrap();
        }
        assert!(dated("x", "", "2026-11-24").is_err());
        assert!(dated("x", "docs", "yesterday").is_err());
    }

    #[test]
    fn the_start_tier_is_as_published() {
        let table = LimitTable::tier("start").unwrap();
        let start = |rpm, itpm, otpm| Limits { rpm, itpm, otpm, by_second: false };
        assert_eq!(table.of("fable-5"), start(1_000, 500_000, 100_000));
        assert_eq!(table.of("sonnet-5-5"), start(1_000, 2_000_000, 400_000));
    }

    #[test]
    fn changes_to_every_class_leave_counting_and_fast_mode() {
        let mut table = LimitTable::tier("start").unwrap();
        let counting = table.of(COUNT_TOKENS);
        let rpm = |n| LimitChange { rpm: Some(n), ..LimitChange::default() };
        table.apply(&BTreeMap::from([("*".into(), rpm(5)), ("opus-5".into(), rpm(7))]));
        assert_eq!((table.of("fable-5").rpm, table.of("opus-5").rpm), (5, 7));
        assert_eq!(table.of("opus-5").otpm, 400_000);
        assert_eq!(table.of(COUNT_TOKENS), counting);
        assert_eq!(table.of("opus-5/fast").rpm, 100);
    }

    #[test]
    fn aliases_are_served_and_retired_models_are_not() {
        let catalog = Catalog::new().unwrap();
        assert_eq!(catalog.model("claude-haiku-4-5").unwrap().0.id, "claude-haiku-4-5-20251001");
        assert!(catalog.model("claude-mythos-preview").is_none());
        assert!(catalog.model("claude-3-opus-20240229").is_none());
    }
}

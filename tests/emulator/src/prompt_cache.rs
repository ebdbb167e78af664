//! The prompt cache of one key: which prefixes it holds until when, and what of a
//! prompt is read from it, written to it, or neither.

use crate::prompt::{Prefix, Prompt, Ttl};
use std::collections::HashMap;

/// Prefixes remembered for one key: beyond it those that are over go, then all.
const CACHED_PREFIXES_MAX: usize = 10_000;

/// The input side of `usage`. The four add up to all input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InputUsage {
    /// Neither read from the cache nor written to it.
    pub uncached: u64,
    /// Written to the cache for five minutes.
    pub written_5m: u64,
    /// Written for an hour.
    pub written_1h: u64,
    /// Read from the cache: free of the input limit.
    pub read: u64,
}

impl InputUsage {
    /// What the input limit counts.
    pub fn limited(&self) -> u64 {
        self.uncached + self.written_5m + self.written_1h
    }
}

/// The prefixes that one key has cached.
#[derive(Debug, Default)]
pub struct PromptCache {
    entries: HashMap<u64, Entry>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    until_ms: u64,
    ttl: Ttl,
}

impl PromptCache {
    /// What a request that comes now reads and writes. Nothing is remembered before
    /// [`PromptCache::store`].
    pub fn usage(&self, prompt: &Prompt, now_ms: u64) -> InputUsage {
        let read = self.hit(prompt, now_ms).map_or(0, |prefix| prefix.tokens);
        // Where the last mark for an hour ends, and the last of all, beyond the hit.
        let ends = |hour_only: bool| {
            let marked = prompt.marked().filter(|(_, ttl)| !hour_only || *ttl == Ttl::Hour);
            marked.map(|(prefix, _)| prefix.tokens).fold(read, u64::max)
        };
        let (hour, last) = (ends(true), ends(false));
        InputUsage {
            uncached: prompt.tokens() - last,
            written_5m: last - hour,
            written_1h: hour - read,
            read,
        }
    }

    /// The response to a request of `asked_ms` begins: what it marks can be read from
    /// now on, and what it read lives on. An entry keeps the lifetime that it was
    /// written with.
    pub fn store(&mut self, prompt: &Prompt, asked_ms: u64) {
        let hit = self.hit(prompt, asked_ms).map(|prefix| (prefix, Ttl::Minutes5));
        for (prefix, ttl) in hit.into_iter().chain(prompt.marked()) {
            let live = self.entries.get(&prefix.hash).filter(|entry| entry.until_ms > asked_ms);
            let ttl = live.map_or(ttl, |entry| entry.ttl);
            let until_ms = live.map_or(0, |entry| entry.until_ms).max(asked_ms + ttl.ms());
            self.entries.insert(prefix.hash, Entry { until_ms, ttl });
        }
        if self.entries.len() > CACHED_PREFIXES_MAX {
            self.entries.retain(|_, entry| entry.until_ms > asked_ms);
        }
        if self.entries.len() > CACHED_PREFIXES_MAX {
            self.entries.clear();
        }
    }

    /// The longest prefix that is there among those looked for.
    fn hit(&self, prompt: &Prompt, now_ms: u64) -> Option<Prefix> {
        let is_live = |prefix: &Prefix| {
            self.entries.get(&prefix.hash).is_some_and(|entry| entry.until_ms > now_ms)
        };
        prompt.looked_for().filter(is_live).max_by_key(|prefix| prefix.tokens)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;
    use serde_json::{Value, json};

    const MINUTES_5: u64 = 300_000;
    const HOUR: u64 = 3_600_000;

    fn prompt_of(model: &str, body: &Value) -> Prompt {
        let catalog = Catalog::new().unwrap();
        let (model, counting) = catalog.model(model).unwrap();
        Prompt::of(body.as_object().unwrap(), 0, model, counting).unwrap()
    }

    fn prompt(body: &Value) -> Prompt {
        prompt_of("claude-sonnet-5-5", body)
    }

    /// Some 1,500 tokens that begin with a name.
    fn long(name: &str) -> String {
        name.to_owned() + &" many words".repeat(500)
    }

    fn text(text: &str, ttl: Option<&str>) -> Value {
        let mut block = json!({"type": "text", "text": text});
        if let Some(ttl) = ttl {
            block["cache_control"] = json!({"type": "ephemeral", "ttl": ttl});
        }
        block
    }

    fn asked(system: &[Value], question: &str) -> Prompt {
        prompt(&json!({"system": system, "messages": [{"role": "user", "content": question}]}))
    }

    #[test]
    fn a_prefix_is_written_once_and_then_read_until_its_time_is_over() {
        for (ttl, lives) in [("5m", MINUTES_5), ("1h", HOUR)] {
            let system = [text(&long("a"), Some(ttl))];
            let (first, second) = (asked(&system, "one?"), asked(&system, "two, then?"));
            let mut cache = PromptCache::default();
            let written = cache.usage(&first, 0);
            assert!(written.limited() == first.tokens() && written.read == 0);
            let split = [written.written_5m, written.written_1h];
            assert!(split[usize::from(ttl == "1h")] > 1_024 && split.contains(&0), "{split:?}");
            // Nothing is there before the first response begins.
            assert_eq!(cache.usage(&second, 0).read, 0);
            cache.store(&first, 0);
            let read = cache.usage(&second, lives - 1);
            assert_eq!(read.read, written.written_5m + written.written_1h);
            assert_eq!((read.written_5m, read.written_1h), (0, 0));
            assert_eq!(cache.usage(&second, lives).read, 0);
        }
    }

    #[test]
    fn each_use_begins_an_entrys_time_anew_with_the_lifetime_it_was_written_with() {
        let hour = asked(&[text(&long("a"), Some("1h"))], "q");
        let five = asked(&[text(&long("a"), Some("5m"))], "q");
        let mut cache = PromptCache::default();
        cache.store(&five, 0);
        cache.store(&five, MINUTES_5 - 1);
        assert!(cache.usage(&five, 2 * MINUTES_5 - 2).read > 0);
        assert_eq!(cache.usage(&five, 2 * MINUTES_5 - 1).read, 0);
        let mut cache = PromptCache::default();
        cache.store(&hour, 0);
        cache.store(&five, HOUR - 1);
        assert!(cache.usage(&five, 2 * HOUR - 2).read > 0);
    }

    #[test]
    fn a_conversation_reads_what_the_turn_before_wrote() {
        let system = json!([text(&long("rules"), None)]);
        let mut messages = vec![];
        let mut cache = PromptCache::default();
        let mut before = 0;
        for turn in 0..5 {
            messages.push(json!({"role": "user", "content": format!("question {turn}")}));
            let body = json!({"system": system, "messages": messages,
                "cache_control": {"type": "ephemeral"}});
            let prompt = prompt(&body);
            let usage = cache.usage(&prompt, turn);
            assert_eq!((usage.read, usage.uncached), (before, 0), "turn {turn}");
            cache.store(&prompt, turn);
            before = prompt.tokens();
            messages.push(json!({"role": "assistant", "content": format!("answer {turn}")}));
        }
    }

    #[test]
    fn a_breakpoint_looks_back_twenty_positions_and_no_further() {
        let blocks = |more: &[Value]| {
            let mut content = vec![text(&long("a"), None)];
            content.extend_from_slice(more);
            let end = content.len() - 1;
            content[end]["cache_control"] = json!({"type": "ephemeral"});
            prompt(&json!({"messages": [{"role": "user", "content": content}]}))
        };
        let mut cache = PromptCache::default();
        let first = blocks(&[]);
        cache.store(&first, 0);
        let words = |count: usize| vec![text("more", None); count];
        assert_eq!(cache.usage(&blocks(&words(19)), 1).read, first.tokens());
        assert_eq!(cache.usage(&blocks(&words(20)), 1).read, 0);
        // A run of results is one position.
        let result = json!({"type": "tool_result", "tool_use_id": "t", "content": "c"});
        let results = vec![result; 40];
        assert_eq!(cache.usage(&blocks(&results), 1).read, first.tokens());
    }

    #[test]
    fn a_second_breakpoint_finds_what_the_last_is_too_far_from() {
        let system = [text(&long("a"), Some("5m"))];
        let mut cache = PromptCache::default();
        cache.store(&asked(&system, "q"), 0);
        let mut content = vec![text("more", None); 30];
        content[29]["cache_control"] = json!({"type": "ephemeral"});
        let both = prompt(&json!({"system": system,
            "messages": [{"role": "user", "content": content}]}));
        let usage = cache.usage(&both, 1);
        assert!(usage.read > 1_024 && usage.written_5m > 0 && usage.uncached == 0, "{usage:?}");
    }

    #[test]
    fn lifetimes_are_billed_from_the_hit_to_the_last_hour_and_on_to_the_last_mark() {
        let system = |names: [&str; 3]| {
            let ttls = ["1h", "1h", "5m"];
            [0, 1, 2].map(|at| text(&long(names[at]), Some(ttls[at])))
        };
        let all = asked(&system(["a", "b", "c"]), "q");
        let ends: Vec<u64> = all.marked().map(|(prefix, _)| prefix.tokens).collect();
        let mut cache = PromptCache::default();
        let usage = cache.usage(&all, 0);
        assert_eq!((usage.written_1h, usage.written_5m), (ends[1], ends[2] - ends[1]));
        cache.store(&all, 0);
        let other = cache.usage(&asked(&system(["a", "x", "y"]), "q"), 1);
        assert_eq!(other.read, ends[0], "exact prefixes only");
        assert_eq!((other.written_1h, other.written_5m), (ends[1] - ends[0], ends[2] - ends[1]));
    }

    #[test]
    fn shorter_prefixes_than_the_models_minimum_are_not_cached() {
        // Tokens of 400 pairs of words: over 512, below 1,024 for Claude 4.
        let body = json!({"system": [text(&"many words ".repeat(400), Some("5m"))],
            "messages": [{"role": "user", "content": "q"}]});
        for (model, is_cached) in
            [("claude-opus-5-5", true), ("claude-sonnet-4-6", false), ("claude-haiku-4-5", false)]
        {
            let prompt = prompt_of(model, &body);
            let mut cache = PromptCache::default();
            assert_eq!(cache.usage(&prompt, 0).written_5m > 0, is_cached, "{model}");
            cache.store(&prompt, 0);
            assert_eq!(cache.usage(&prompt, 1).read > 0, is_cached, "{model}");
        }
    }

    #[test]
    fn the_parts_always_add_up_to_the_whole() {
        let mut cache = PromptCache::default();
        for (at, system) in
            [("1h", "a"), ("1h", "a"), ("5m", "b"), ("5m", "short")].iter().enumerate()
        {
            let (ttl, name) = system;
            let block =
                if *name == "short" { text(name, Some(ttl)) } else { text(&long(name), Some(ttl)) };
            let prompt = asked(&[block], "a question");
            let usage = cache.usage(&prompt, at as u64);
            assert_eq!(usage.limited() + usage.read, prompt.tokens());
            cache.store(&prompt, at as u64);
        }
    }
}

//! A request's input as the prompt cache sees it: parts in the documented order
//! tools, system, messages, each with its tokens and the hash of everything up
//! to it. A part may carry a breakpoint.

use crate::catalog::Counting;
use crate::count;
use crate::error::ApiError;
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Breakpoints that one request may set (docs, prompt caching).
const BREAKPOINTS_MAX: usize = 4;
/// Shorter prefixes are not cached: the documented minimum of most models.
const CACHED_TOKENS_MIN: u64 = 1_024;
/// Prefixes remembered for one key: beyond it the oldest go.
const CACHED_PREFIXES_MAX: usize = 10_000;

/// How long a cached prefix lives after its last use, ms.
pub const TTL_5M_MS: u64 = 300_000;
/// The longer of the two.
pub const TTL_1H_MS: u64 = 3_600_000;

/// The input of one request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prompt {
    tokens: u64,
    breakpoints: Vec<Breakpoint>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Breakpoint {
    prefix: u64,
    tokens: u64,
    ttl_ms: u64,
}

/// The input side of `usage`. The three add up to all input.
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

impl Prompt {
    /// From a request's body; `overhead` is the tools' own.
    pub fn of(
        body: &Map<String, Value>,
        overhead: u64,
        counting: &Counting,
    ) -> Result<Self, ApiError> {
        let mut builder = Builder { prompt: Self::default(), hash: DefaultHasher::new() };
        // What changes how the prefix is read invalidates it (docs).
        for name in ["model", "speed", "tool_choice"] {
            body.get(name).map(Value::to_string).hash(&mut builder.hash);
        }
        builder.prompt.tokens = count::FRAMING + overhead;
        for tool in body.get("tools").and_then(Value::as_array).into_iter().flatten() {
            builder.add(tool, count::text(&bare(tool).to_string(), counting))?;
        }
        match body.get("system") {
            Some(Value::String(text)) => {
                let tokens = count::FRAMING_MESSAGE + count::text(text, counting);
                builder.add(&Value::from(text.as_str()), tokens)?;
            }
            Some(Value::Array(blocks)) => {
                builder.prompt.tokens += count::FRAMING_MESSAGE;
                for block in blocks {
                    builder.add(block, count::block(block, counting))?;
                }
            }
            _ => {}
        }
        let messages = body.get("messages").and_then(Value::as_array);
        for (at, message) in messages.into_iter().flatten().enumerate() {
            if at > 0 {
                builder.prompt.tokens += count::FRAMING_MESSAGE;
            }
            message["role"].to_string().hash(&mut builder.hash);
            match &message["content"] {
                Value::Array(blocks) => {
                    for block in blocks {
                        builder.add(block, count::block(block, counting))?;
                    }
                }
                content => builder.add(content, count::content(Some(content), counting))?,
            }
        }
        if let Some(control) = body.get("cache_control").filter(|control| !control.is_null()) {
            builder.breakpoint(control)?; // automatic: the end of the last part
        }
        Ok(builder.prompt)
    }

    /// All input tokens.
    pub fn tokens(&self) -> u64 {
        self.tokens
    }
}

struct Builder {
    prompt: Prompt,
    hash: DefaultHasher,
}

impl Builder {
    fn add(&mut self, part: &Value, tokens: u64) -> Result<(), ApiError> {
        bare(part).to_string().hash(&mut self.hash);
        self.prompt.tokens += tokens;
        match part.get("cache_control") {
            Some(control) if !control.is_null() => self.breakpoint(control),
            _ => Ok(()),
        }
    }

    fn breakpoint(&mut self, control: &Value) -> Result<(), ApiError> {
        let ttl_ms = match control.get("ttl").and_then(Value::as_str) {
            None | Some("5m") => TTL_5M_MS,
            Some("1h") => TTL_1H_MS,
            Some(_) => {
                return Err(ApiError::invalid("cache_control.ttl: Input should be '5m' or '1h'"));
            }
        };
        if control.get("type").and_then(Value::as_str) != Some("ephemeral") {
            return Err(ApiError::invalid("cache_control.type: Input should be 'ephemeral'"));
        }
        if self.prompt.breakpoints.len() == BREAKPOINTS_MAX {
            return Err(ApiError::invalid(
                "A maximum of 4 blocks with cache_control may be provided.",
            ));
        }
        let prefix = self.hash.finish();
        let tokens = self.prompt.tokens;
        self.prompt.breakpoints.push(Breakpoint { prefix, tokens, ttl_ms });
        Ok(())
    }
}

/// A part without its `cache_control`, which is not part of what is cached.
fn bare(part: &Value) -> std::borrow::Cow<'_, Value> {
    match part.as_object() {
        Some(fields) if fields.contains_key("cache_control") => {
            let mut fields = fields.clone();
            fields.remove("cache_control");
            std::borrow::Cow::Owned(Value::Object(fields))
        }
        _ => std::borrow::Cow::Borrowed(part),
    }
}

/// The prefixes that one key has cached, until when.
#[derive(Debug, Default)]
pub struct PromptCache {
    until_ms: HashMap<u64, u64>,
}

impl PromptCache {
    /// What of the prompt is read, written or neither. Nothing is remembered
    /// before [`PromptCache::store`]: a refused request writes nothing.
    pub fn usage(&self, prompt: &Prompt, now_ms: u64) -> InputUsage {
        let cachable = || prompt.breakpoints.iter().filter(|b| b.tokens >= CACHED_TOKENS_MIN);
        let live = |b: &&Breakpoint| self.until_ms.get(&b.prefix).is_some_and(|t| *t > now_ms);
        let read = cachable().filter(live).map(|b| b.tokens).max().unwrap_or(0);
        let mut usage = InputUsage { read, ..InputUsage::default() };
        let mut upto = read;
        for breakpoint in cachable().filter(|b| b.tokens > read) {
            let written = breakpoint.tokens - upto;
            match breakpoint.ttl_ms {
                TTL_1H_MS => usage.written_1h += written,
                _ => usage.written_5m += written,
            }
            upto = breakpoint.tokens;
        }
        usage.uncached = prompt.tokens - upto;
        usage
    }

    /// Remembers the prompt's prefixes, or that they were used again.
    pub fn store(&mut self, prompt: &Prompt, now_ms: u64) {
        for breakpoint in prompt.breakpoints.iter().filter(|b| b.tokens >= CACHED_TOKENS_MIN) {
            self.until_ms.insert(breakpoint.prefix, now_ms + breakpoint.ttl_ms);
        }
        if self.until_ms.len() > CACHED_PREFIXES_MAX {
            self.until_ms.retain(|_, until| *until > now_ms);
        }
        if self.until_ms.len() > CACHED_PREFIXES_MAX {
            self.until_ms.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;
    use serde_json::json;

    fn prompt(body: Value) -> Prompt {
        let catalog = Catalog::new().unwrap();
        let counting = catalog.model("claude-sonnet-5-5").unwrap().1;
        Prompt::of(body.as_object().unwrap(), 0, counting).unwrap()
    }

    fn cached(system: &str, ttl: &str, question: &str) -> Prompt {
        let cache_control = json!({"type": "ephemeral", "ttl": ttl});
        prompt(json!({
            "system": [{"type": "text", "text": system, "cache_control": cache_control}],
            "messages": [{"role": "user", "content": question}]
        }))
    }

    #[test]
    fn a_prefix_is_written_once_and_then_read_until_its_time_is_over() {
        let long = "many words ".repeat(1_000);
        let (first, second) = (cached(&long, "5m", "one?"), cached(&long, "5m", "two, then?"));
        let mut cache = PromptCache::default();
        let written = cache.usage(&first, 0);
        assert!(written.written_5m > 1_024 && written.read == 0);
        cache.store(&first, 0);
        let read = cache.usage(&second, TTL_5M_MS - 1);
        assert_eq!((read.read, read.written_5m), (written.written_5m, 0));
        assert_eq!(cache.usage(&second, TTL_5M_MS).read, 0);
    }

    #[test]
    fn the_parts_always_add_up_to_the_whole() {
        let long = "many words ".repeat(1_000);
        let mut cache = PromptCache::default();
        for (at, prompt) in
            [cached(&long, "1h", "a"), cached(&long, "1h", "b"), cached("short", "5m", "c")]
                .iter()
                .enumerate()
        {
            let usage = cache.usage(prompt, at as u64);
            assert_eq!(usage.limited() + usage.read, prompt.tokens());
            cache.store(prompt, at as u64);
        }
    }

    #[test]
    fn short_prefixes_are_not_cached() {
        let short = cached("a few words", "5m", "x");
        let mut cache = PromptCache::default();
        cache.store(&short, 0);
        assert_eq!(cache.usage(&short, 1).uncached, short.tokens());
    }

    #[test]
    fn five_breakpoints_are_too_many() {
        let catalog = Catalog::new().unwrap();
        let counting = catalog.model("claude-sonnet-5-5").unwrap().1;
        let block = json!({"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}});
        let body = json!({"system": vec![block; 5], "messages": []});
        assert!(Prompt::of(body.as_object().unwrap(), 0, counting).is_err());
    }

    #[test]
    fn a_one_word_message_counts_its_framing() {
        let bare = prompt(json!({"messages": [{"role": "user", "content": "hi"}]}));
        assert_eq!(bare.tokens(), count::FRAMING + 1);
    }
}

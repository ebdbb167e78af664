//! A request's input as the prompt cache sees it: blocks in the documented order
//! tools, system, messages, each with its tokens and the hash of everything up
//! to it. A block may carry a breakpoint. What of it is read and written decides
//! [`crate::prompt_cache`].
//!
//! The rules are those of platform.claude.com, prompt caching (copies of August
//! to October 2026).

use crate::catalog::{Counting, Model};
use crate::count;
use crate::error::ApiError;
use serde_json::{Map, Value, json};
use std::borrow::Cow;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Breakpoints that one request may set, the automatic one included.
const BREAKPOINTS_MAX: usize = 4;
/// Positions at which one breakpoint looks for an entry, itself the first.
const LOOKBACK: usize = 20;

/// How long an entry lives after its last use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ttl {
    /// Five minutes.
    Minutes5,
    /// An hour.
    Hour,
}

impl Ttl {
    /// In milliseconds.
    pub fn ms(self) -> u64 {
        match self {
            Self::Minutes5 => 300_000,
            Self::Hour => 3_600_000,
        }
    }
}

/// The input of one request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prompt {
    tokens: u64,
    cached_tokens_min: u64,
    blocks: Vec<Block>,
    breakpoints: Vec<Breakpoint>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Block {
    /// Where it ends.
    end: Prefix,
    /// Its place for the look-back: a run of tool calls has one, and so has a run
    /// of their results.
    position: usize,
    is_cachable: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Breakpoint {
    block: usize,
    ttl: Ttl,
}

/// Everything up to the end of one block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    /// Equal for equal beginnings.
    pub hash: u64,
    /// Its tokens.
    pub tokens: u64,
}

impl Prompt {
    /// From a request's body; `overhead` is the tools' own.
    pub fn of(
        body: &Map<String, Value>,
        overhead: u64,
        model: &Model,
        counting: &Counting,
    ) -> Result<Self, ApiError> {
        let prompt = Self {
            tokens: count::FRAMING + overhead,
            cached_tokens_min: model.cached_tokens_min,
            ..Self::default()
        };
        let mut builder = Builder { prompt, hash: DefaultHasher::new(), kind: String::new() };
        let field = |name: &str| body.get(name).map(Value::to_string);
        // What changes how a level is read invalidates it and those after it.
        (field("model"), field("speed")).hash(&mut builder.hash);
        for tool in body.get("tools").and_then(Value::as_array).into_iter().flatten() {
            builder.add(tool, count::text(&bare(tool).to_string(), counting))?;
        }
        let messages = body.get("messages").and_then(Value::as_array);
        let messages = || messages.into_iter().flatten();
        let blocks = || messages().filter_map(|message| message["content"].as_array()).flatten();
        blocks().any(|block| block["citations"]["enabled"] == true).hash(&mut builder.hash);
        if let Some(system) = body.get("system") {
            builder.prompt.tokens += count::FRAMING_MESSAGE;
            builder.add_content(system, counting)?;
        }
        let has_images = blocks().any(|block| block["type"] == "image");
        (field("tool_choice"), field("thinking"), has_images).hash(&mut builder.hash);
        for (at, message) in messages().enumerate() {
            if at > 0 {
                builder.prompt.tokens += count::FRAMING_MESSAGE;
            }
            message["role"].to_string().hash(&mut builder.hash);
            builder.add_content(&message["content"], counting)?;
        }
        if let Some(control) = body.get("cache_control").filter(|control| !control.is_null()) {
            builder.automatic(control)?;
        }
        Ok(builder.prompt)
    }

    /// All input tokens.
    pub fn tokens(&self) -> u64 {
        self.tokens
    }

    /// The prefixes that it marks and that are long enough to be kept, in order.
    pub fn marked(&self) -> impl Iterator<Item = (Prefix, Ttl)> {
        let marked = self.breakpoints.iter().map(|mark| (self.blocks[mark.block].end, mark.ttl));
        marked.filter(|(prefix, _)| prefix.tokens >= self.cached_tokens_min)
    }

    /// The prefixes that it looks for: from each breakpoint back, its own first.
    pub fn looked_for(&self) -> impl Iterator<Item = Prefix> {
        self.breakpoints.iter().flat_map(|mark| {
            let last = self.blocks[mark.block].position;
            let back = self.blocks[..=mark.block].iter().rev();
            back.take_while(move |block| last - block.position < LOOKBACK).map(|block| block.end)
        })
    }
}

struct Builder {
    prompt: Prompt,
    hash: DefaultHasher,
    /// `type` of the last block.
    kind: String,
}

impl Builder {
    /// A string is short for one block of text.
    fn add_content(&mut self, content: &Value, counting: &Counting) -> Result<(), ApiError> {
        match content {
            Value::Array(blocks) => {
                blocks.iter().try_for_each(|block| self.add(block, count::block(block, counting)))
            }
            Value::String(text) => {
                let block = json!({"type": "text", "text": text});
                self.add(&block, count::text(text, counting))
            }
            _ => Ok(()),
        }
    }

    fn add(&mut self, block: &Value, tokens: u64) -> Result<(), ApiError> {
        bare(block).to_string().hash(&mut self.hash);
        self.prompt.tokens += tokens;
        let kind = block["type"].as_str().unwrap_or_default();
        let is_run = matches!(kind, "tool_use" | "tool_result") && kind == self.kind;
        let position = self.prompt.blocks.last().map_or(0, |last| last.position);
        let is_empty = kind == "text" && block["text"].as_str().is_none_or(str::is_empty);
        self.prompt.blocks.push(Block {
            end: Prefix { hash: self.hash.finish(), tokens: self.prompt.tokens },
            position: position + usize::from(!is_run),
            is_cachable: !is_empty && !matches!(kind, "thinking" | "redacted_thinking"),
        });
        kind.clone_into(&mut self.kind);
        match block.get("cache_control").filter(|control| !control.is_null()) {
            Some(control) => self.mark(self.prompt.blocks.len() - 1, ttl(control)?),
            None => Ok(()),
        }
    }

    /// A breakpoint at the last block that may have one; none where none may.
    fn automatic(&mut self, control: &Value) -> Result<(), ApiError> {
        let ttl = ttl(control)?;
        let Some(block) = self.prompt.blocks.iter().rposition(|block| block.is_cachable) else {
            return Ok(());
        };
        match self.prompt.breakpoints.last().filter(|mark| mark.block == block) {
            Some(mark) if mark.ttl == ttl => Ok(()),
            Some(_) => Err(ApiError::invalid(
                "cache_control.ttl: the last block's own cache_control has another ttl",
            )),
            None => self.mark(block, ttl),
        }
    }

    fn mark(&mut self, block: usize, ttl: Ttl) -> Result<(), ApiError> {
        let marks = &mut self.prompt.breakpoints;
        if marks.len() == BREAKPOINTS_MAX {
            return Err(ApiError::invalid(
                "A maximum of 4 blocks with cache_control may be provided.",
            ));
        }
        if !self.prompt.blocks[block].is_cachable {
            return Err(ApiError::invalid(
                "cache_control cannot be set for empty text blocks or thinking blocks",
            ));
        }
        if ttl == Ttl::Hour && marks.last().is_some_and(|last| last.ttl == Ttl::Minutes5) {
            return Err(ApiError::invalid(
                "cache_control.ttl: a '1h' block must not come after a '5m' block",
            ));
        }
        marks.push(Breakpoint { block, ttl });
        Ok(())
    }
}

fn ttl(control: &Value) -> Result<Ttl, ApiError> {
    if control.get("type").and_then(Value::as_str) != Some("ephemeral") {
        return Err(ApiError::invalid("cache_control.type: Input should be 'ephemeral'"));
    }
    match control.get("ttl").filter(|ttl| !ttl.is_null()).map(Value::as_str) {
        None | Some(Some("5m")) => Ok(Ttl::Minutes5),
        Some(Some("1h")) => Ok(Ttl::Hour),
        Some(_) => Err(ApiError::invalid("cache_control.ttl: Input should be '5m' or '1h'")),
    }
}

/// A block without its `cache_control`, which is not part of what is cached.
fn bare(block: &Value) -> Cow<'_, Value> {
    match block.as_object() {
        Some(fields) if fields.contains_key("cache_control") => {
            let mut fields = fields.clone();
            fields.remove("cache_control");
            Cow::Owned(Value::Object(fields))
        }
        _ => Cow::Borrowed(block),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;

    fn read(body: Value) -> Result<Prompt, ApiError> {
        let catalog = Catalog::new().unwrap();
        let (model, counting) = catalog.model("claude-sonnet-5-5").unwrap();
        Prompt::of(body.as_object().unwrap(), 0, model, counting)
    }

    fn block(text: &str) -> Value {
        json!({"type": "text", "text": text})
    }

    fn marked(block: &Value, ttl: &str) -> Value {
        let mut block = block.clone();
        block["cache_control"] = json!({"type": "ephemeral", "ttl": ttl});
        block
    }

    #[test]
    fn a_one_word_message_counts_its_framing() {
        let prompt = read(json!({"messages": [{"role": "user", "content": "hi"}]})).unwrap();
        assert_eq!(prompt.tokens(), count::FRAMING + 1);
    }

    #[test]
    fn what_may_not_be_marked_is_refused() {
        let text = block("x");
        let thought = json!({"type": "thinking", "thinking": "hm", "signature": "s"});
        let (five, hour) = (marked(&text, "5m"), marked(&text, "1h"));
        for (system, automatic, says) in [
            (json!(vec![five.clone(); 5]), Value::Null, Some("maximum of 4")),
            (json!(vec![five.clone(); 4]), Value::Null, None),
            (json!(vec![five.clone(); 4]), json!({"type": "ephemeral"}), Some("maximum of 4")),
            (json!([hour, five]), Value::Null, None),
            (json!([five, hour]), Value::Null, Some("must not come after")),
            (json!([marked(&block(""), "5m")]), Value::Null, Some("empty text")),
            (json!([marked(&thought, "5m")]), Value::Null, Some("thinking blocks")),
            (json!([marked(&text, "2h")]), Value::Null, Some("'5m' or '1h'")),
            (json!("x"), json!({"type": "forever"}), Some("'ephemeral'")),
        ] {
            let body = json!({"system": system, "cache_control": automatic,
                "messages": [{"role": "user", "content": "hi"}]});
            let refusal = read(body).err().map(|error| error.message);
            assert_eq!(refusal.is_some(), says.is_some(), "{says:?}: {refusal:?}");
            assert!(refusal.unwrap_or_default().contains(says.unwrap_or_default()), "{says:?}");
        }
    }

    #[test]
    fn the_automatic_breakpoint_is_at_the_last_block_that_may_have_one() {
        let ends = |content: Value, ttl: &str| {
            read(json!({"cache_control": {"type": "ephemeral", "ttl": ttl},
                "messages": [{"role": "user", "content": content}]}))
            .map(|prompt| prompt.breakpoints)
        };
        let thought = json!({"type": "thinking", "thinking": "hm", "signature": "s"});
        let one = |block| vec![Breakpoint { block, ttl: Ttl::Hour }];
        assert_eq!(ends(json!([block("a"), block("b")]), "1h").unwrap(), one(1));
        assert_eq!(ends(json!([block("a"), thought, block("")]), "1h").unwrap(), one(0));
        assert_eq!(ends(json!([thought]), "1h").unwrap(), vec![]);
        // The same again is no second one; another lifetime is an error.
        assert_eq!(ends(json!([marked(&block("a"), "1h")]), "1h").unwrap(), one(0));
        assert!(ends(json!([marked(&block("a"), "1h")]), "5m").is_err());
    }

    #[test]
    fn a_level_is_invalidated_by_what_changes_how_it_is_read() {
        // Prefixes after tools, system and messages that stay the same.
        let same = |change: Value| {
            let mut body = json!({
                "model": "m", "tools": [{"name": "t", "input_schema": {"type": "object"}}],
                "system": "s", "messages": [{"role": "user", "content": "q"}]});
            let ends = |body: &Value| {
                let blocks = read(body.clone()).unwrap().blocks;
                blocks.into_iter().map(|block| block.end.hash).take(3).collect::<Vec<_>>()
            };
            let before = ends(&body);
            for (name, value) in change.as_object().unwrap() {
                body[name] = value.clone();
            }
            ends(&body).iter().zip(&before).take_while(|(now, then)| now == then).count()
        };
        let image = json!([block("q"), {"type": "image", "source": {"type": "url", "url": "u"}}]);
        let cited = json!([{"type": "document", "citations": {"enabled": true},
            "source": {"type": "text", "media_type": "text/plain", "data": "d"}}]);
        for (change, levels) in [
            (json!({"model": "n"}), 0),
            (json!({"tools": [{"name": "u", "input_schema": {"type": "object"}}]}), 0),
            (json!({"messages": [{"role": "user", "content": cited}]}), 1),
            (json!({"system": "t"}), 1),
            (json!({"tool_choice": {"type": "any"}}), 2),
            (json!({"thinking": {"type": "adaptive"}}), 2),
            (json!({"messages": [{"role": "user", "content": image}]}), 2),
            (json!({"max_tokens": 5, "stream": true, "system": [block("s")]}), 3),
        ] {
            assert_eq!(same(change.clone()), levels, "{change}");
        }
    }
}

//! What the emulator answers to a request: planned whole, from the request and a
//! seed alone, so that the same request always gets the same answer.

use crate::control::Controls;
use crate::count;
use crate::request::{Request, Thinking, ToolChoice};
use crate::words::{self, Piece, below};
use rand_chacha::ChaCha8Rng;
use serde_json::{Map, Value, json};

/// How answers are drawn, where a request does not say.
#[derive(Clone, Copy, Debug)]
pub struct Service {
    /// Mean output length, tokens.
    pub output_tokens: u64,
    /// Mean time to the first byte, ms.
    pub ttft_ms: u64,
    /// Mean output tokens a second of one stream; 0: no delay.
    pub tokens_per_s: u64,
    /// Output tokens in one delta.
    pub tokens_per_delta: u64,
    /// Draws everything.
    pub seed: u64,
}

/// An answer before it is sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// `content`.
    pub blocks: Vec<Block>,
    /// `stop_reason`.
    pub stop_reason: &'static str,
    /// `stop_sequence`.
    pub stop_sequence: Option<String>,
    /// All output, thinking included.
    pub output_tokens: u64,
    /// Thinking among it; billed in full though only a summary is sent.
    pub thinking_tokens: u64,
    /// Time to the first byte, ms.
    pub ttft_ms: u64,
    /// Output tokens a second; 0: no delay.
    pub tokens_per_s: u64,
}

/// One content block in deltas.
#[derive(Clone, Debug, PartialEq)]
pub enum Block {
    /// Thinking, summarised, and its signature.
    Thinking {
        /// What is shown of it; empty when omitted.
        pieces: Vec<Piece>,
        /// Opaque.
        signature: String,
        /// All its tokens: what `pieces` don't carry comes with the signature.
        tokens: u64,
    },
    /// Text.
    Text {
        /// Its deltas.
        pieces: Vec<Piece>,
        /// `citations`, where a document asked for them.
        citation: Option<Value>,
    },
    /// A call of a client tool.
    ToolUse {
        /// `toolu_…`.
        id: String,
        /// Which tool.
        name: String,
        /// Its input.
        input: Value,
        /// Its input as JSON, in deltas.
        pieces: Vec<Piece>,
    },
}

/// 16 quantiles of a log-normal length (sigma 0.8), in thousandths of the mean:
/// long tails are what limits have to live with.
const LENGTHS: [u64; 16] =
    [169, 261, 334, 403, 472, 544, 620, 704, 799, 907, 1035, 1192, 1396, 1683, 2153, 3329];

/// Thinking is summarised to about this part of its tokens.
const SUMMARY_PART: u64 = 4;

impl Answer {
    /// Plans the answer; `seed` should differ for every body.
    pub fn plan(request: &Request<'_>, controls: &Controls, service: &Service, seed: u64) -> Self {
        let mut rng = words::rng(seed);
        let per_piece = controls.tokens_per_delta.unwrap_or(service.tokens_per_delta).max(1);
        let drawn = service.output_tokens * LENGTHS[below(&mut rng, 16) as usize] / 1_000;
        let wanted = controls.output_tokens.unwrap_or(drawn.max(1));
        // 75 to 125 %, and 80 to 120 %.
        let ttft_ms = service.ttft_ms * (750 + below(&mut rng, 501)) / 1_000;
        let mut tokens_per_s = service.tokens_per_s * (800 + below(&mut rng, 401)) / 1_000;
        if service.tokens_per_s > 0 {
            tokens_per_s = tokens_per_s.max(1);
        }
        let window = request.model.max_input_tokens.saturating_sub(request.prompt.tokens());
        let room = request.max_tokens.min(window);
        let mut answer = Self {
            blocks: Vec::new(),
            stop_reason: "end_turn",
            stop_sequence: None,
            output_tokens: wanted,
            thinking_tokens: 0,
            ttft_ms: controls.ttft_ms.unwrap_or(ttft_ms),
            tokens_per_s: controls.tokens_per_s.unwrap_or(tokens_per_s),
        };
        if let Some(thinking) = request.thinking {
            let tokens = controls.thinking_tokens.unwrap_or(wanted / 2);
            answer.think(thinking, tokens.min(wanted), room, per_piece, request, &mut rng);
        }
        let tool = tool(request, controls).map(|(name, schema)| {
            let input = example(schema, &mut rng, 0);
            call(name, input, per_piece, request, &mut rng)
        });
        match tool {
            Some((block, tokens)) if answer.thinking_tokens + tokens <= room => {
                answer.output_tokens = answer.thinking_tokens + tokens;
                // A wanted length is kept: what the call leaves is said before it.
                let before = controls
                    .output_tokens
                    .map_or(0, |wanted| wanted.min(room).saturating_sub(answer.output_tokens));
                if before > 0 {
                    answer.say(before, per_piece, request, &mut rng);
                    answer.output_tokens += before;
                }
                answer.blocks.push(block);
                answer.stop_reason = "tool_use";
            }
            // A call that doesn't fit would be cut in its JSON: text is cut instead.
            tool => {
                let wanted = if tool.is_some() { u64::MAX } else { wanted };
                answer.output_tokens = wanted.min(room);
                let rest = answer.output_tokens - answer.thinking_tokens;
                if rest > 0 {
                    answer.say(rest, per_piece, request, &mut rng);
                }
                if wanted > room || room == 0 {
                    let whose = ["model_context_window_exceeded", "max_tokens"];
                    answer.stop_reason = whose[usize::from(request.max_tokens <= window)];
                }
                answer.stop_at(&request.stop_sequences, request);
            }
        }
        answer
    }

    fn think(
        &mut self,
        thinking: Thinking,
        tokens: u64,
        room: u64,
        per_piece: u64,
        request: &Request<'_>,
        rng: &mut ChaCha8Rng,
    ) {
        let tokens = tokens.min(thinking.budget).min(room);
        if tokens == 0 {
            return;
        }
        self.thinking_tokens = tokens;
        let mut pieces = Vec::new();
        if !thinking.omitted {
            let summary = (tokens / SUMMARY_PART).max(1);
            pieces = words::write(rng, "Let me see:", summary, per_piece, request.counting);
            // The summary carries the tokens that it stands for.
            let (count, mut left) = (pieces.len() as u64, tokens);
            for (at, piece) in pieces.iter_mut().enumerate() {
                piece.tokens = left / (count - at as u64);
                left -= piece.tokens;
            }
        }
        let signature = (0..6).map(|_| format!("{:016x}", below(rng, u64::MAX))).collect();
        self.blocks.push(Block::Thinking { pieces, signature, tokens });
    }

    fn say(&mut self, tokens: u64, per_piece: u64, request: &Request<'_>, rng: &mut ChaCha8Rng) {
        let opening = words::opening(&request.question);
        let pieces = words::write(rng, &opening, tokens, per_piece, request.counting);
        let citation = request.citable.as_ref().map(|(index, text)| {
            json!({
                "type": "char_location",
                "cited_text": text,
                "document_index": index,
                "document_title": null,
                "file_id": null,
                "start_char_index": 0,
                "end_char_index": text.chars().count(),
            })
        });
        self.blocks.push(Block::Text { pieces, citation });
    }

    /// Ends the text before the first stop sequence in it.
    fn stop_at(&mut self, sequences: &[&str], request: &Request<'_>) {
        let Some(Block::Text { pieces, .. }) = self.blocks.last_mut() else { return };
        let text: String = pieces.iter().map(|piece| piece.text.as_str()).collect();
        let found = sequences.iter().filter_map(|s| Some((text.find(s)?, *s))).min();
        let Some((end, sequence)) = found else { return };
        let mut left = end;
        for piece in pieces.iter_mut() {
            piece.text.truncate(piece.text.floor_char_boundary(left));
            left -= piece.text.len();
        }
        pieces.retain(|piece| !piece.text.is_empty());
        // The sequence itself was generated, though it is not sent.
        let said = count::text(&text[..end + sequence.len()], request.counting);
        let whole: u64 = pieces.iter().map(|piece| piece.tokens).sum();
        self.output_tokens = self.thinking_tokens + said.max(whole);
        self.stop_reason = "stop_sequence";
        self.stop_sequence = Some(sequence.to_owned());
    }
}

/// The tool that is called: the one asked for, the one that must be, or, unless
/// a result was just brought, the one that the question names, else the first.
fn tool<'a>(request: &Request<'a>, controls: &Controls) -> Option<(&'a str, &'a Value)> {
    let named = |name: &str| request.tools.iter().find(|(known, _)| *known == name).copied();
    match (&controls.tool, request.tool_choice) {
        (Some(name), _) => named(name),
        (None, ToolChoice::None) => None,
        (None, ToolChoice::Tool(name)) => named(name),
        (None, ToolChoice::Auto) if request.answers_tool => None,
        (None, ToolChoice::Auto | ToolChoice::Any) => {
            let asked = request.tools.iter().find(|(name, _)| request.question.contains(name));
            asked.or(request.tools.first()).copied()
        }
    }
}

fn call(
    name: &str,
    input: Value,
    per_piece: u64,
    request: &Request<'_>,
    rng: &mut ChaCha8Rng,
) -> (Block, u64) {
    let text = input.to_string();
    let tokens = count::FRAMING_MESSAGE
        + count::text(name, request.counting)
        + count::text(&text, request.counting);
    let parts = tokens.div_ceil(per_piece).max(1) as usize;
    let size = text.chars().count().div_ceil(parts).max(1);
    let chars: Vec<char> = text.chars().collect();
    let chunks: Vec<String> = chars.chunks(size).map(|chunk| chunk.iter().collect()).collect();
    let (count, mut left) = (chunks.len() as u64, tokens);
    let pieces = chunks
        .into_iter()
        .enumerate()
        .map(|(at, text)| {
            let tokens = left / (count - at as u64);
            left -= tokens;
            Piece { text, tokens }
        })
        .collect();
    let id = format!("toolu_{:016x}{:08x}", below(rng, u64::MAX), below(rng, 1 << 32));
    (Block::ToolUse { id, name: name.to_owned(), input, pieces }, tokens)
}

/// A value that a schema of a tool's input accepts: its required properties,
/// eight levels deep at most.
fn example(schema: &Value, rng: &mut ChaCha8Rng, depth: u32) -> Value {
    if let Some(value) = schema.get("const") {
        return value.clone();
    }
    if let Some(values) = schema.get("enum").and_then(Value::as_array).filter(|v| !v.is_empty()) {
        return values[below(rng, values.len() as u64) as usize].clone();
    }
    let kind = match schema.get("type") {
        Some(Value::String(kind)) => kind.as_str(),
        Some(Value::Array(kinds)) => kinds.first().and_then(Value::as_str).unwrap_or("null"),
        _ if schema.get("properties").is_some() => "object",
        _ => "string",
    };
    let bound = |name: &str| schema.get(name).and_then(Value::as_i64);
    match kind {
        "object" if depth < 8 => {
            let properties = schema.get("properties").and_then(Value::as_object);
            let required = schema.get("required").and_then(Value::as_array);
            let mut fields = Map::new();
            for name in required.into_iter().flatten().filter_map(Value::as_str) {
                let property = properties.and_then(|p| p.get(name)).unwrap_or(&Value::Null);
                fields.insert(name.to_owned(), example(property, rng, depth + 1));
            }
            Value::Object(fields)
        }
        "object" => json!({}),
        "array" if depth < 8 && bound("minItems").unwrap_or(1) > 0 => {
            let items = schema.get("items").unwrap_or(&Value::Null);
            json!([example(items, rng, depth + 1)])
        }
        "array" => json!([]),
        "integer" | "number" => {
            json!(bound("minimum").or(bound("maximum")).unwrap_or(below(rng, 100) as i64))
        }
        "boolean" => json!(true),
        "null" => Value::Null,
        _ => json!(format!("word {}", below(rng, 1_000))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;
    use crate::prompt_cache::InputUsage;
    use crate::request::Version;
    use crate::sse::{Envelope, frames};
    use proptest::prelude::*;

    const SERVICE: Service = Service {
        output_tokens: 300,
        ttft_ms: 400,
        tokens_per_s: 80,
        tokens_per_delta: 4,
        seed: 1,
    };

    fn plan(fields: Value, controls: &Controls, seed: u64) -> Answer {
        let mut body = json!({
            "model": "claude-sonnet-5-5", "max_tokens": 1_000,
            "messages": [{"role": "user", "content": "a question of the sea"}]
        });
        for (name, value) in fields.as_object().unwrap() {
            body[name] = value.clone();
        }
        let catalog = Catalog::new().unwrap();
        let request = Request::read(&body, &catalog, Version::V2026).unwrap();
        Answer::plan(&request, controls, &SERVICE, seed)
    }

    #[test]
    fn a_seed_draws_one_answer_and_seeds_draw_the_wanted_mean() {
        let none = Controls::default();
        assert_eq!(plan(json!({}), &none, 7), plan(json!({}), &none, 7));
        let lengths: Vec<u64> = (0..400)
            .map(|seed| plan(json!({"max_tokens": 9_000}), &none, seed).output_tokens)
            .collect();
        let mean = lengths.iter().sum::<u64>() / 400;
        assert!((270..=330).contains(&mean), "{mean}");
        assert!(lengths.iter().max() > Some(&900) && lengths.iter().min() < Some(&60));
    }

    #[test]
    fn a_full_window_ends_the_answer_by_its_own_reason() {
        let words = "word ".repeat(130_000); // 152,000 of the 200,000 tokens
        let long = json!({"model": "claude-haiku-4-5", "max_tokens": 60_000,
            "messages": [{"role": "user", "content": words}]});
        let wanted = Controls { output_tokens: Some(59_000), ..Controls::default() };
        let answer = plan(long, &wanted, 1);
        assert_eq!(answer.stop_reason, "model_context_window_exceeded");
        assert!(answer.output_tokens < 59_000);
    }

    #[test]
    fn max_tokens_zero_answers_nothing() {
        let answer = plan(json!({"max_tokens": 0}), &Controls::default(), 1);
        let blocks = answer.blocks.len();
        assert_eq!((answer.output_tokens, blocks, answer.stop_reason), (0, 0, "max_tokens"));
    }

    #[test]
    fn omitted_thinking_is_charged_and_not_shown() {
        let thinking = json!({"max_tokens": 3_000,
            "thinking": {"type": "enabled", "budget_tokens": 2_000, "display": "omitted"}});
        let answer = plan(thinking, &Controls::default(), 1);
        let Block::Thinking { pieces, tokens, .. } = &answer.blocks[0] else { panic!("thinks") };
        assert!(pieces.is_empty());
        assert_eq!(*tokens, answer.thinking_tokens);
        assert!(answer.thinking_tokens > 0);
    }

    #[test]
    fn a_tools_input_fits_its_schema() {
        let schema = json!({
            "type": "object",
            "required": ["n", "on", "list", "inner", "kind"],
            "properties": {
                "n": {"type": "integer", "minimum": 5},
                "on": {"type": "boolean"},
                "list": {"type": "array", "items": {"type": "string"}},
                "inner": {"type": "object", "required": ["x"], "properties": {"x": {"const": 1}}},
                "kind": {"enum": ["a"]},
                "optional": {"type": "string"}
            }
        });
        let value = example(&schema, &mut words::rng(1), 0);
        assert_eq!(
            (&value["n"], &value["on"], &value["kind"]),
            (&json!(5), &json!(true), &json!("a"))
        );
        assert!(value["list"][0].is_string());
        assert_eq!(value["inner"], json!({"x": 1}));
        assert!(value.get("optional").is_none());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn every_answer_keeps_its_bound_and_its_frames_add_up(
            max_tokens in 0_u64..3_000,
            output in prop::option::of(0_u64..4_000),
            thinks in prop::option::of(0_u64..4_000),
            per_delta in 1_u64..50,
            tools in any::<bool>(),
            stops in any::<bool>(),
            seed in any::<u64>(),
        ) {
            let mut fields = json!({"max_tokens": max_tokens});
            if thinks.is_some() {
                fields["thinking"] = json!({"type": "adaptive"});
            }
            if tools {
                fields["tools"] = json!([{"name": "find", "input_schema": {
                    "type": "object", "required": ["a"], "properties": {"a": {}}}}]);
            }
            if stops {
                fields["stop_sequences"] = json!(["the", " of"]);
            }
            let controls = Controls {
                output_tokens: output,
                thinking_tokens: thinks,
                tokens_per_delta: Some(per_delta),
                ..Controls::default()
            };
            let answer = plan(fields, &controls, seed);
            prop_assert!(answer.output_tokens <= max_tokens);
            prop_assert!(answer.thinking_tokens <= answer.output_tokens);
            let envelope = Envelope {
                id: String::new(),
                model: String::new(),
                input: InputUsage::default(),
                fast: false,
            };
            let output = answer.output_tokens;
            prop_assert_eq!(frames(answer, envelope).map(|frame| frame.tokens).sum::<u64>(), output);
        }
    }
}

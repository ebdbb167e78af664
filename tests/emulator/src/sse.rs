//! An answer on the wire: one JSON message, or the documented order of events.
//!
//! Order and delta types: types/raw_message_stream_event of pip anthropic 2.13.0
//! and the streaming page. Every number in `message_delta.usage` is cumulative.

use crate::answer::{Answer, Block};
use crate::ordered::{json, list, object};
use crate::prompt_cache::InputUsage;
use crate::words::Piece;
use bytes::Bytes;
use std::collections::VecDeque;

/// What the answer says of itself beside its content.
#[derive(Clone, Debug)]
pub struct Envelope {
    /// `msg_…`.
    pub id: String,
    /// The model's id.
    pub model: String,
    /// The input side of `usage`.
    pub input: InputUsage,
    /// Fast mode.
    pub fast: bool,
}

/// One event: its bytes, and the output tokens that were generated for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// `event: …\ndata: …\n\n`.
    pub bytes: Bytes,
    /// Output tokens that this event adds.
    pub tokens: u64,
    /// True for `content_block_delta`: faults count these.
    pub delta: bool,
}

/// One event's bytes; `data` is JSON.
pub fn event(name: &str, data: &str) -> Bytes {
    Bytes::from(format!("event: {name}\ndata: {data}\n\n"))
}

/// The whole message as one JSON.
pub fn message(answer: &Answer, envelope: &Envelope) -> String {
    message_json(
        envelope,
        list(answer.blocks.iter().map(whole)),
        json(answer.stop_reason),
        json(&answer.stop_sequence),
        usage(answer, envelope, answer.output_tokens, Place::Message),
    )
}

/// The whole message as events. The tokens of all frames add up to the answer's
/// output; what whole words left over comes with `message_delta`.
pub fn frames(answer: Answer, envelope: Envelope) -> Frames {
    Frames { at: At::Start, ready: VecDeque::new(), generated: 0, ahead: 0, answer, envelope }
}

/// The events of one answer, formatted one at a time.
#[derive(Debug)]
pub struct Frames {
    answer: Answer,
    envelope: Envelope,
    at: At,
    ready: VecDeque<Frame>,
    generated: u64,
    /// Tokens told before their piece came.
    ahead: u64,
}

#[derive(Clone, Copy, Debug)]
enum At {
    Start,
    Open { block: usize },
    Delta { block: usize, piece: usize },
    Done,
}

impl Iterator for Frames {
    type Item = Frame;

    fn next(&mut self) -> Option<Frame> {
        while self.ready.is_empty() && !matches!(self.at, At::Done) {
            self.step();
        }
        self.ready.pop_front()
    }
}

impl Frames {
    fn step(&mut self) {
        self.at = match self.at {
            At::Start => {
                // The first token is there when the message starts: `usage` says
                // so, as the API's does.
                let told = self.answer.output_tokens.min(1);
                self.ahead = told;
                self.generated = told;
                let usage = usage(&self.answer, &self.envelope, told, Place::Start);
                let null = || "null".to_owned();
                let message = message_json(&self.envelope, list([]), null(), null(), usage);
                let data = object! { "type": json("message_start"), "message": message };
                self.push("message_start", &data, told);
                At::Open { block: 0 }
            }
            At::Open { block } => match self.answer.blocks.get(block).map(opened) {
                Some(start) => {
                    let data = object! {
                        "type": json("content_block_start"),
                        "index": json(block),
                        "content_block": start,
                    };
                    self.push("content_block_start", &data, 0);
                    if block == 0 {
                        self.push("ping", &object! { "type": json("ping") }, 0);
                    }
                    At::Delta { block, piece: 0 }
                }
                None => {
                    self.close();
                    At::Done
                }
            },
            At::Delta { block, piece } => match deltas(&self.answer.blocks[block], piece) {
                Some((deltas, tokens)) => {
                    let told = tokens.min(self.ahead);
                    self.ahead -= told;
                    // Never more than the answer's sum, whatever the pieces say.
                    let new = (tokens - told).min(self.answer.output_tokens - self.generated);
                    self.generated += new;
                    for (at, delta) in deltas.into_iter().enumerate() {
                        let data = object! {
                            "type": json("content_block_delta"),
                            "index": json(block),
                            "delta": delta,
                        };
                        self.push("content_block_delta", &data, if at == 0 { new } else { 0 });
                    }
                    At::Delta { block, piece: piece + 1 }
                }
                None => {
                    let data = object! {
                        "type": json("content_block_stop"),
                        "index": json(block),
                    };
                    self.push("content_block_stop", &data, 0);
                    At::Open { block: block + 1 }
                }
            },
            At::Done => At::Done,
        };
    }

    fn close(&mut self) {
        let answer = &self.answer;
        let data = object! {
            "type": json("message_delta"),
            "delta": object! {
                "stop_reason": json(answer.stop_reason),
                "stop_sequence": json(&answer.stop_sequence),
            },
            "usage": usage(answer, &self.envelope, answer.output_tokens, Place::Delta),
        };
        let rest = answer.output_tokens - self.generated;
        self.generated += rest;
        self.push("message_delta", &data, rest);
        self.push("message_stop", &object! { "type": json("message_stop") }, 0);
    }

    fn push(&mut self, name: &str, data: &str, tokens: u64) {
        let delta = name == "content_block_delta";
        self.ready.push_back(Frame { bytes: event(name, data), tokens, delta });
    }
}

fn message_json(
    envelope: &Envelope,
    content: String,
    stop_reason: String,
    stop_sequence: String,
    usage: String,
) -> String {
    object! {
        "model": json(&envelope.model),
        "id": json(&envelope.id),
        "type": json("message"),
        "role": json("assistant"),
        "content": content,
        "stop_reason": stop_reason,
        "stop_sequence": stop_sequence,
        "usage": usage,
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Message,
    Start,
    Delta,
}

fn usage(answer: &Answer, envelope: &Envelope, output_tokens: u64, place: Place) -> String {
    let input = envelope.input;
    let mut fields = vec![
        ("input_tokens", json(input.uncached)),
        ("cache_creation_input_tokens", json(input.written_5m + input.written_1h)),
        ("cache_read_input_tokens", json(input.read)),
    ];
    // Absent from message_delta in the SDK's type: kept from message_start.
    let once = place != Place::Delta;
    if once {
        let split = object! {
            "ephemeral_5m_input_tokens": json(input.written_5m),
            "ephemeral_1h_input_tokens": json(input.written_1h),
        };
        fields.push(("cache_creation", split));
    }
    fields.push(("output_tokens", json(output_tokens)));
    if answer.thinking_tokens > 0 && place != Place::Start {
        let details = object! { "thinking_tokens": json(answer.thinking_tokens) };
        fields.push(("output_tokens_details", details));
    }
    if once {
        fields.push(("service_tier", json("standard")));
        if envelope.fast {
            fields.push(("speed", json("fast")));
        }
    }
    crate::ordered::join(&fields)
}

fn whole(block: &Block) -> String {
    let text = |pieces: &[Piece]| -> String {
        json(pieces.iter().map(|piece| piece.text.as_str()).collect::<String>())
    };
    match block {
        Block::Thinking { pieces, signature, .. } => object! {
            "type": json("thinking"),
            "thinking": text(pieces),
            "signature": json(signature),
        },
        Block::Text { pieces, citation: None } => {
            object! { "type": json("text"), "text": text(pieces) }
        }
        Block::Text { pieces, citation: Some(citation) } => object! {
            "type": json("text"),
            "text": text(pieces),
            "citations": list([json(citation)]),
        },
        Block::ToolUse { id, name, input, .. } => tool_use(id, name, json(input)),
    }
}

fn opened(block: &Block) -> String {
    match block {
        Block::Thinking { .. } => object! {
            "type": json("thinking"),
            "thinking": json(""),
            "signature": json(""),
        },
        Block::Text { citation: None, .. } => object! { "type": json("text"), "text": json("") },
        Block::Text { .. } => object! {
            "type": json("text"),
            "text": json(""),
            "citations": list([]),
        },
        Block::ToolUse { id, name, .. } => tool_use(id, name, object! {}),
    }
}

fn tool_use(id: &str, name: &str, input: String) -> String {
    object! { "type": json("tool_use"), "id": json(id), "name": json(name), "input": input }
}

/// The deltas of a block's piece, and their tokens; none after the last.
fn deltas(block: &Block, at: usize) -> Option<(Vec<String>, u64)> {
    let delta = |kind: &str, field: &str, value: String| {
        crate::ordered::join(&[("type", json(kind)), (field, value)])
    };
    match block {
        Block::Thinking { pieces, signature, tokens } => match pieces.get(at) {
            Some(piece) => {
                let delta = delta("thinking_delta", "thinking", json(&piece.text));
                Some((vec![delta], piece.tokens))
            }
            None if at == pieces.len() => {
                let shown: u64 = pieces.iter().map(|piece| piece.tokens).sum();
                let delta = delta("signature_delta", "signature", json(signature));
                Some((vec![delta], tokens.saturating_sub(shown)))
            }
            None => None,
        },
        Block::Text { pieces, citation } => {
            let piece = pieces.get(at)?;
            let mut list = vec![delta("text_delta", "text", json(&piece.text))];
            if let (0, Some(citation)) = (at, citation) {
                list.push(delta("citations_delta", "citation", json(citation)));
            }
            Some((list, piece.tokens))
        }
        Block::ToolUse { pieces, .. } => {
            let delta =
                |json_part: &str| delta("input_json_delta", "partial_json", json(json_part));
            // The API opens a tool's input with an empty delta.
            let Some(at) = at.checked_sub(1) else { return Some((vec![delta("")], 0)) };
            let piece = pieces.get(at)?;
            Some((vec![delta(&piece.text)], piece.tokens))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::rng;
    use serde_json::{Value, json as value};

    fn answer(output_tokens: u64, thinking: bool) -> (Answer, Envelope) {
        let catalog = crate::catalog::Catalog::new().unwrap();
        let counting = catalog.model("claude-sonnet-5-5").unwrap().1;
        let piece = |text: &str, tokens| Piece { text: text.to_owned(), tokens };
        let mut blocks = Vec::new();
        if thinking {
            let pieces = vec![piece("Let me see", 8)];
            blocks.push(Block::Thinking { pieces, signature: "sig".into(), tokens: 8 });
        }
        let pieces = crate::words::write(&mut rng(1), "Well,", output_tokens, 4, counting);
        let citation = Some(value!({ "type": "char_location", "cited_text": "x" }));
        blocks.push(Block::Text { pieces, citation });
        let input = value!({ "city": "Köln \"am Rhein\"" });
        let text = input.to_string();
        let (head, tail) = text.split_at(5);
        let pieces = vec![piece(head, 3), piece(tail, 9)];
        blocks.push(Block::ToolUse { id: "toolu_1".into(), name: "w".into(), input, pieces });
        let answer = Answer {
            blocks,
            stop_reason: "tool_use",
            stop_sequence: None,
            output_tokens: output_tokens + 12 + if thinking { 8 } else { 0 },
            thinking_tokens: if thinking { 8 } else { 0 },
            ttft_ms: 0,
            tokens_per_s: 0,
        };
        let envelope = Envelope {
            id: "msg_1".into(),
            model: "claude-sonnet-5-5".into(),
            input: InputUsage { uncached: 5, written_5m: 2, written_1h: 3, read: 7 },
            fast: false,
        };
        (answer, envelope)
    }

    fn parsed(frames: &[Frame]) -> Vec<(String, Value)> {
        let event = |frame: &Frame| {
            let text = std::str::from_utf8(&frame.bytes).unwrap();
            let (name, data) = text.trim_end().split_once('\n').unwrap();
            let name = name.strip_prefix("event: ").unwrap();
            let data: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
            assert_eq!(data["type"], name, "the event's name is its type");
            (name.to_owned(), data)
        };
        frames.iter().map(event).collect()
    }

    #[test]
    fn events_come_in_the_documented_order_and_rebuild_the_message() {
        let (answer, envelope) = answer(60, true);
        let whole: Value = serde_json::from_str(&message(&answer, &envelope)).unwrap();
        let frames: Vec<Frame> = frames(answer, envelope).collect();
        let events = parsed(&frames);
        let (mut rebuilt, mut json_parts) = (Value::Null, String::new());
        for (at, (name, data)) in events.iter().enumerate() {
            let index = data["index"].as_u64().unwrap_or(0) as usize;
            match name.as_str() {
                "message_start" => {
                    assert_eq!(at, 0);
                    assert_eq!(data["message"]["stop_reason"], Value::Null);
                    rebuilt = data["message"].clone();
                }
                "content_block_start" => {
                    let content = rebuilt["content"].as_array_mut().unwrap();
                    assert_eq!(content.len(), index);
                    content.push(data["content_block"].clone());
                    json_parts.clear();
                }
                "content_block_delta" => {
                    let (block, delta) = (&mut rebuilt["content"][index], &data["delta"]);
                    let mut append = |field: &str| {
                        let so_far = block[field].as_str().unwrap().to_owned();
                        block[field] = (so_far + delta[field].as_str().unwrap()).into();
                    };
                    match delta["type"].as_str().unwrap() {
                        "text_delta" => append("text"),
                        "thinking_delta" => append("thinking"),
                        "signature_delta" => append("signature"),
                        "citations_delta" => {
                            block["citations"]
                                .as_array_mut()
                                .unwrap()
                                .push(delta["citation"].clone());
                        }
                        "input_json_delta" => {
                            json_parts.push_str(delta["partial_json"].as_str().unwrap());
                        }
                        other => panic!("no such delta: {other}"),
                    }
                }
                "content_block_stop" if !json_parts.is_empty() => {
                    rebuilt["content"][index]["input"] = serde_json::from_str(&json_parts).unwrap();
                }
                "content_block_stop" | "ping" => {}
                "message_delta" => {
                    rebuilt["stop_reason"] = data["delta"]["stop_reason"].clone();
                    for (field, value) in data["usage"].as_object().unwrap() {
                        rebuilt["usage"][field] = value.clone();
                    }
                }
                "message_stop" => assert_eq!(at, events.len() - 1),
                other => panic!("no such event: {other}"),
            }
        }
        assert_eq!(rebuilt, whole);
    }

    #[test]
    fn tokens_of_the_frames_add_up_to_the_usage() {
        for (tokens, thinking) in [(1, false), (2, true), (57, true), (1_000, false)] {
            let (answer, envelope) = answer(tokens, thinking);
            let output = answer.output_tokens;
            let sum: u64 = frames(answer, envelope).map(|frame| frame.tokens).sum();
            assert_eq!(sum, output);
        }
    }

    #[test]
    fn message_delta_has_no_field_that_only_message_start_has() {
        let (answer, envelope) = answer(10, false);
        let frames: Vec<Frame> = frames(answer, envelope).collect();
        let events = parsed(&frames);
        let (_, delta) = events.iter().find(|(name, _)| name == "message_delta").unwrap();
        for field in ["cache_creation", "service_tier", "speed", "inference_geo"] {
            assert!(delta["usage"].get(field).is_none(), "{field}");
        }
        assert_eq!(delta["usage"]["cache_creation_input_tokens"], 5);
    }

    #[test]
    fn type_is_the_first_field() {
        let (answer, envelope) = answer(10, false);
        for frame in frames(answer, envelope) {
            let text = std::str::from_utf8(&frame.bytes).unwrap();
            assert!(text.contains("\ndata: {\"type\":"), "{text}");
        }
    }
}

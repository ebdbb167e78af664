//! An answer on the wire: one JSON message, or the documented order of events.
//!
//! Order and delta types: types/raw_message_stream_event of pip anthropic 2.13.0
//! and the streaming page. Every number in `message_delta.usage` is cumulative.

use crate::answer::{Answer, Block};
use crate::prompt::InputUsage;
use bytes::Bytes;
use serde_json::{Value, json};
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

/// One event's bytes.
pub fn event(name: &str, data: &Value) -> Bytes {
    Bytes::from(format!("event: {name}\ndata: {data}\n\n"))
}

/// The whole message as one JSON.
pub fn message(answer: &Answer, envelope: &Envelope) -> Value {
    let content: Vec<Value> = answer.blocks.iter().map(whole).collect();
    let mut message = skeleton(envelope);
    message["content"] = content.into();
    message["stop_reason"] = answer.stop_reason.into();
    message["stop_sequence"] = answer.stop_sequence.clone().into();
    message["usage"] = usage(answer, envelope, answer.output_tokens);
    message
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
                let mut message = skeleton(&self.envelope);
                let told = self.answer.output_tokens.min(1);
                message["usage"] = usage(&self.answer, &self.envelope, told);
                if let Some(usage) = message["usage"].as_object_mut() {
                    usage.remove("output_tokens_details");
                }
                // The first token is there when the message starts: `usage` says
                // so, as the API's does.
                self.ahead = told;
                self.generated = told;
                let data = json!({ "type": "message_start", "message": message });
                self.push("message_start", &data, told);
                At::Open { block: 0 }
            }
            At::Open { block } => match self.answer.blocks.get(block).map(opened) {
                Some(start) => {
                    let data = json!({ "type": "content_block_start", "index": block, "content_block": start });
                    self.push("content_block_start", &data, 0);
                    if block == 0 {
                        self.push("ping", &json!({ "type": "ping" }), 0);
                    }
                    At::Delta { block, piece: 0 }
                }
                None => {
                    self.close();
                    At::Done
                }
            },
            At::Delta { block, piece } => match deltas(&self.answer.blocks[block], piece) {
                Some((list, tokens)) => {
                    let new = tokens - tokens.min(self.ahead);
                    self.ahead -= tokens.min(self.ahead);
                    // Never more than the answer's sum, whatever the pieces say.
                    let new = new.min(self.answer.output_tokens - self.generated);
                    self.generated += new;
                    let count = list.len();
                    for (at, delta) in list.into_iter().enumerate() {
                        let data = json!({ "type": "content_block_delta", "index": block, "delta": delta });
                        self.push(
                            "content_block_delta",
                            &data,
                            if at + 1 == count { new } else { 0 },
                        );
                    }
                    At::Delta { block, piece: piece + 1 }
                }
                None => {
                    let data = json!({ "type": "content_block_stop", "index": block });
                    self.push("content_block_stop", &data, 0);
                    At::Open { block: block + 1 }
                }
            },
            At::Done => At::Done,
        };
    }

    fn close(&mut self) {
        let answer = &self.answer;
        let mut usage = usage(answer, &self.envelope, answer.output_tokens);
        if let Some(usage) = usage.as_object_mut() {
            // Absent from message_delta in the SDK's type: kept from message_start.
            for name in ["cache_creation", "service_tier", "speed", "inference_geo"] {
                usage.remove(name);
            }
        }
        let data = json!({
            "type": "message_delta",
            "delta": { "stop_reason": answer.stop_reason, "stop_sequence": answer.stop_sequence },
            "usage": usage,
        });
        let rest = answer.output_tokens - self.generated;
        self.generated += rest;
        self.push("message_delta", &data, rest);
        self.push("message_stop", &json!({ "type": "message_stop" }), 0);
    }

    fn push(&mut self, name: &str, data: &Value, tokens: u64) {
        let delta = name == "content_block_delta";
        self.ready.push_back(Frame { bytes: event(name, data), tokens, delta });
    }
}

fn skeleton(envelope: &Envelope) -> Value {
    json!({
        "model": envelope.model,
        "id": envelope.id,
        "type": "message",
        "role": "assistant",
        "content": [],
        "stop_reason": null,
        "stop_sequence": null,
        "usage": null,
    })
}

fn usage(answer: &Answer, envelope: &Envelope, output_tokens: u64) -> Value {
    let input = envelope.input;
    let mut usage = json!({
        "input_tokens": input.uncached,
        "cache_creation_input_tokens": input.written_5m + input.written_1h,
        "cache_read_input_tokens": input.read,
        "cache_creation": {
            "ephemeral_5m_input_tokens": input.written_5m,
            "ephemeral_1h_input_tokens": input.written_1h,
        },
        "output_tokens": output_tokens,
        "service_tier": "standard",
    });
    if answer.thinking_tokens > 0 {
        usage["output_tokens_details"] = json!({ "thinking_tokens": answer.thinking_tokens });
    }
    if envelope.fast {
        usage["speed"] = "fast".into();
    }
    usage
}

fn whole(block: &Block) -> Value {
    let join = |pieces: &[crate::words::Piece]| -> String {
        pieces.iter().map(|piece| piece.text.as_str()).collect()
    };
    match block {
        Block::Thinking { pieces, signature } => {
            json!({ "type": "thinking", "thinking": join(pieces), "signature": signature })
        }
        Block::Text { pieces, citation: None } => json!({ "type": "text", "text": join(pieces) }),
        Block::Text { pieces, citation: Some(citation) } => {
            json!({ "type": "text", "text": join(pieces), "citations": [citation] })
        }
        Block::ToolUse { id, name, input, .. } => {
            json!({ "type": "tool_use", "id": id, "name": name, "input": input })
        }
    }
}

fn opened(block: &Block) -> Value {
    match block {
        Block::Thinking { .. } => json!({ "type": "thinking", "thinking": "", "signature": "" }),
        Block::Text { citation: None, .. } => json!({ "type": "text", "text": "" }),
        Block::Text { .. } => json!({ "type": "text", "text": "", "citations": [] }),
        Block::ToolUse { id, name, .. } => {
            json!({ "type": "tool_use", "id": id, "name": name, "input": {} })
        }
    }
}

/// The deltas of a block's piece, and their tokens; none after the last.
fn deltas(block: &Block, at: usize) -> Option<(Vec<Value>, u64)> {
    match block {
        Block::Thinking { pieces, signature } => match pieces.get(at) {
            Some(piece) => Some((
                vec![json!({ "type": "thinking_delta", "thinking": piece.text })],
                piece.tokens,
            )),
            None if at == pieces.len() => {
                Some((vec![json!({ "type": "signature_delta", "signature": signature })], 0))
            }
            None => None,
        },
        Block::Text { pieces, citation } => {
            let piece = pieces.get(at)?;
            let mut list = vec![json!({ "type": "text_delta", "text": piece.text })];
            if let (0, Some(citation)) = (at, citation) {
                list.push(json!({ "type": "citations_delta", "citation": citation }));
            }
            Some((list, piece.tokens))
        }
        Block::ToolUse { pieces, .. } => {
            // The API opens a tool's input with an empty delta.
            if at == 0 {
                let empty = json!({ "type": "input_json_delta", "partial_json": "" });
                return Some((vec![empty], 0));
            }
            let piece = pieces.get(at - 1)?;
            let delta = json!({ "type": "input_json_delta", "partial_json": piece.text });
            Some((vec![delta], piece.tokens))
        }
    }
}

//! A Messages request, checked as the API checks it: bytes become a typed value
//! or the API's error. Fields that nobody knows are left alone.

mod check;

use crate::catalog::{Catalog, Counting, Model};
use crate::error::ApiError;
use crate::prompt::Prompt;
use check::{object, optional, required};
use serde_json::{Map, Value};

/// The API's versions (SDK 2.13.0 sends the newer; the older keeps working).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// `2023-06-01`.
    V2023,
    /// `2026-10-21`: no sampling parameters, and a `system` role in messages.
    V2026,
}

impl Version {
    /// From the `anthropic-version` header.
    pub fn read(header: Option<&str>) -> Result<Self, ApiError> {
        match header {
            Some("2023-06-01") => Ok(Self::V2023),
            Some("2026-10-21") => Ok(Self::V2026),
            Some(other) => {
                Err(ApiError::invalid(format!("anthropic-version: {other} is not a valid version")))
            }
            None => Err(ApiError::invalid("anthropic-version: header is required")),
        }
    }
}

/// A request that the API would take.
#[derive(Debug)]
pub struct Request<'a> {
    /// The model.
    pub model: &'a Model,
    /// How it counts.
    pub counting: &'a Counting,
    /// The input, in parts.
    pub prompt: Prompt,
    /// The bound on the output, thinking included. May be 0: it only warms the
    /// prompt cache.
    pub max_tokens: u64,
    /// SSE or one JSON.
    pub stream: bool,
    /// Fast mode.
    pub fast: bool,
    /// Thinking, where it is on.
    pub thinking: Option<Thinking>,
    /// Client tools: names and schemas.
    pub tools: Vec<(&'a str, &'a Value)>,
    /// `tool_choice`.
    pub tool_choice: ToolChoice<'a>,
    /// Sequences that end the answer.
    pub stop_sequences: Vec<&'a str>,
    /// The text of the last message.
    pub question: String,
    /// True where the last message brings a tool's result.
    pub answers_tool: bool,
    /// The first document that may be cited: its index and its text.
    pub citable: Option<(u64, String)>,
}

/// Thinking that is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thinking {
    /// The most it may take, in tokens.
    pub budget: u64,
    /// `display: "omitted"`: only the signature is sent.
    pub omitted: bool,
}

/// Whether a tool is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToolChoice<'a> {
    /// The model's choice.
    Auto,
    /// No tool.
    None,
    /// Some tool.
    Any,
    /// This tool.
    Tool(&'a str),
}

/// The question's text that is kept: the answer only quotes a few words of it.
const QUESTION_BYTES: usize = 2_000;

impl<'a> Request<'a> {
    /// Checks a request to `/v1/messages`.
    pub fn read(body: &'a Value, catalog: &'a Catalog, version: Version) -> Result<Self, ApiError> {
        let body = object(body)?;
        let model = required(body, "model", Value::as_str, "string")?;
        let max_tokens = required(body, "max_tokens", Value::as_u64, "non-negative integer")?;
        let mut request = Self::common(body, model, catalog, version)?;
        request.max_tokens = max_tokens;
        if max_tokens > request.model.max_tokens {
            return Err(ApiError::invalid(format!(
                "max_tokens: {max_tokens} > {}, which is the maximum allowed number of output tokens for {model}",
                request.model.max_tokens
            )));
        }
        request.stream = optional(body, "stream", Value::as_bool, "boolean")?.unwrap_or(false);
        request.thinking = check::thinking(body, max_tokens)?;
        request.fast = match optional(body, "speed", Value::as_str, "string")? {
            None | Some("standard") => false,
            Some("fast") if request.model.fast => true,
            // "4.6 silently runs standard, 4.7 errors" (prices table, 2026-11).
            Some("fast") if request.model.id == "claude-opus-4-6" => false,
            Some("fast") => {
                return Err(ApiError::invalid(format!("speed: fast is not supported by {model}")));
            }
            Some(_) => {
                return Err(ApiError::invalid("speed: Input should be 'standard' or 'fast'"));
            }
        };
        check::sampling(body, request.model, version)?;
        let input = request.prompt.tokens();
        if input > request.model.max_input_tokens {
            return Err(ApiError::invalid(format!(
                "prompt is too long: {input} tokens > {} maximum",
                request.model.max_input_tokens
            )));
        }
        Ok(request)
    }

    /// Checks a request to `/v1/messages/count_tokens`. It takes neither server
    /// tools nor sources by URL or file (docs, token counting).
    pub fn read_count(
        body: &'a Value,
        catalog: &'a Catalog,
        version: Version,
    ) -> Result<Self, ApiError> {
        let body = object(body)?;
        let model = required(body, "model", Value::as_str, "string")?;
        let request = Self::common(body, model, catalog, version)?;
        if body
            .get("tools")
            .and_then(Value::as_array)
            .is_some_and(|t| t.iter().any(check::is_server))
        {
            return Err(ApiError::invalid("tools: server tools cannot be counted"));
        }
        if body.contains_key("mcp_servers") {
            return Err(ApiError::invalid("mcp_servers: cannot be counted"));
        }
        let remote = |block: &Value| {
            let kind = block.pointer("/source/type").and_then(Value::as_str);
            matches!(kind, Some("url" | "file"))
        };
        for message in body.get("messages").and_then(Value::as_array).into_iter().flatten() {
            let blocks = message.get("content").and_then(Value::as_array);
            if blocks.is_some_and(|blocks| blocks.iter().any(remote)) {
                return Err(ApiError::invalid("messages: url and file sources cannot be counted"));
            }
        }
        Ok(request)
    }

    fn common(
        body: &'a Map<String, Value>,
        id: &str,
        catalog: &'a Catalog,
        version: Version,
    ) -> Result<Self, ApiError> {
        let messages = required(body, "messages", Value::as_array, "array")?;
        let (model, counting) =
            catalog.model(id).ok_or_else(|| ApiError::not_found(format!("model: {id}")))?;
        if messages.is_empty() {
            return Err(ApiError::invalid("messages: at least one message is required"));
        }
        for (at, message) in messages.iter().enumerate() {
            check::check_message(at, message, version)?;
        }
        if messages[0]["role"] != "user" {
            return Err(ApiError::invalid("messages: first message must use the \"user\" role"));
        }
        match body.get("system") {
            None | Some(Value::Null | Value::String(_)) => {}
            Some(Value::Array(blocks)) => {
                for (at, block) in blocks.iter().enumerate() {
                    check::check_block(&format!("system.{at}"), block)?;
                }
            }
            Some(_) => return Err(check::wrong("system", "string or array")),
        }
        let all_tools = optional(body, "tools", Value::as_array, "array")?;
        let tools = check::tools(all_tools.map(Vec::as_slice).unwrap_or_default())?;
        let tool_choice = check::tool_choice(body, &tools)?;
        let stop = optional(body, "stop_sequences", Value::as_array, "array")?;
        let stop_sequences = stop
            .into_iter()
            .flatten()
            .map(|sequence| match sequence.as_str() {
                Some(text) if !text.trim().is_empty() => Ok(text),
                _ => Err(ApiError::invalid("stop_sequences: each must contain non-whitespace")),
            })
            .collect::<Result<_, _>>()?;
        if let Some(metadata) = optional(body, "metadata", Value::as_object, "object")? {
            optional(metadata, "user_id", Value::as_str, "string")?;
        }
        let forced = matches!(tool_choice, ToolChoice::Any | ToolChoice::Tool(_));
        let overhead = if all_tools.is_some_and(|tools| !tools.is_empty()) {
            model.tool_tokens[usize::from(forced)]
        } else {
            0
        };
        let last = messages.last().map_or(&Value::Null, |message| &message["content"]);
        let blocks = last.as_array().map(Vec::as_slice).unwrap_or_default();
        Ok(Self {
            model,
            counting,
            prompt: Prompt::of(body, overhead, model, counting)?,
            max_tokens: 0,
            stream: false,
            fast: false,
            thinking: None,
            tools,
            tool_choice,
            stop_sequences,
            question: question(last),
            answers_tool: blocks.iter().any(|block| block["type"] == "tool_result"),
            citable: citable(messages),
        })
    }
}

fn question(content: &Value) -> String {
    let cut = |text: &str| text[..text.floor_char_boundary(QUESTION_BYTES)].to_owned();
    match content {
        Value::String(text) => cut(text),
        Value::Array(blocks) => blocks
            .iter()
            .rev()
            .find_map(|block| block.get("text").and_then(Value::as_str))
            .map(cut)
            .unwrap_or_default(),
        _ => String::new(),
    }
}

fn citable(messages: &[Value]) -> Option<(u64, String)> {
    let blocks = messages.iter().filter_map(|message| message["content"].as_array()).flatten();
    let documents = blocks.filter(|block| block["type"] == "document");
    documents.enumerate().find_map(|(index, document)| {
        let enabled = document.pointer("/citations/enabled") == Some(&Value::Bool(true));
        let text = document.pointer("/source/data").and_then(Value::as_str)?;
        let plain = document.pointer("/source/type").is_some_and(|kind| kind == "text");
        (enabled && plain && !text.is_empty())
            .then(|| (index as u64, text[..text.floor_char_boundary(200)].to_owned()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn refusal(change: Value, version: Version) -> Option<(u16, String)> {
        let mut body = json!({
            "model": "claude-sonnet-5-5", "max_tokens": 10,
            "messages": [{"role": "user", "content": "hi"}]
        });
        for (name, value) in change.as_object().unwrap() {
            if value == "ABSENT" {
                body.as_object_mut().unwrap().remove(name);
            } else {
                body[name] = value.clone();
            }
        }
        let catalog = Catalog::new().unwrap();
        let error = Request::read(&body, &catalog, version).err()?;
        Some((error.status, error.message))
    }

    #[test]
    fn what_is_wrong_is_named() {
        let text = |n: usize| Value::from("word ".repeat(n));
        for (change, status, says) in [
            (json!({"max_tokens": "ABSENT"}), 400, "max_tokens: Field required"),
            (json!({"model": "ABSENT"}), 400, "model: Field required"),
            (json!({"messages": "ABSENT"}), 400, "messages: Field required"),
            (json!({"model": "claude-3-opus-20240229"}), 404, "model: claude-3-opus-20240229"),
            (json!({"max_tokens": "7"}), 400, "max_tokens: Input should"),
            (json!({"max_tokens": -1}), 400, "max_tokens: Input should"),
            (json!({"max_tokens": 128_001}), 400, "max_tokens: 128001 > 128000"),
            (json!({"messages": []}), 400, "at least one message"),
            (json!({"messages": [{"role": "assistant", "content": "x"}]}), 400, "first message"),
            (json!({"messages": [{"role": "robot", "content": "x"}]}), 400, "messages.0.role"),
            (json!({"messages": [{"role": "user"}]}), 400, "messages.0.content: Field"),
            (json!({"messages": [{"role": "user", "content": 5}]}), 400, "messages.0.content"),
            (
                json!({"messages": [{"role": "user", "content": [{"type": "text", "text": ""}]}]}),
                400,
                "non-empty",
            ),
            (json!({"stream": "yes"}), 400, "stream"),
            (json!({"system": 5}), 400, "system"),
            (json!({"tools": [{"name": "a"}]}), 400, "tools.0.input_schema"),
            (json!({"tool_choice": {"type": "any"}}), 400, "tool_choice"),
            (json!({"thinking": {"type": "enabled", "budget_tokens": 5}}), 400, "budget_tokens"),
            (json!({"speed": "fast"}), 400, "speed"),
            (json!({"metadata": {"user_id": 5}}), 400, "user_id"),
            (
                json!({"model": "claude-haiku-4-5", "messages": [{"role": "user", "content": text(200_000)}]}),
                400,
                "prompt is too long",
            ),
        ] {
            let (got, message) = refusal(change.clone(), Version::V2023).expect("refused");
            assert_eq!(got, status, "{says}: {message}");
            assert!(message.contains(says), "{says}: {message}");
        }
    }

    #[test]
    fn the_versions_differ_where_documented() {
        let system = json!({"messages": [
            {"role": "user", "content": "a"}, {"role": "system", "content": "b"}]});
        assert!(refusal(system.clone(), Version::V2023).is_some());
        assert_eq!(refusal(system, Version::V2026), None);
        let neutral = json!({"temperature": 1.0});
        assert_eq!(refusal(neutral.clone(), Version::V2023), None);
        assert!(refusal(neutral, Version::V2026).is_some());
        assert!(refusal(json!({"temperature": 0.5}), Version::V2023).is_some());
        let older = json!({"temperature": 0.5, "model": "claude-opus-4-6"});
        assert_eq!(refusal(older, Version::V2023), None);
        assert_eq!(Version::read(None).unwrap_err().status, 400);
        assert_eq!(Version::read(Some("2024-01-01")).unwrap_err().status, 400);
    }

    #[test]
    fn unknown_fields_and_zero_max_tokens_pass() {
        assert_eq!(refusal(json!({"x_new": [1], "max_tokens": 0}), Version::V2026), None);
    }
}

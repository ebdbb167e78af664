//! A Messages request, checked as the API checks it: bytes become a typed value
//! or the API's error. Fields that nobody knows are left alone.

use crate::catalog::{Catalog, Counting, Model};
use crate::error::ApiError;
use crate::prompt::Prompt;
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
        request.thinking = thinking(body, max_tokens)?;
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
        sampling(body, request.model, version)?;
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
        if body.get("tools").and_then(Value::as_array).is_some_and(|t| t.iter().any(is_server)) {
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
            check_message(at, message, version)?;
        }
        if messages[0]["role"] != "user" {
            return Err(ApiError::invalid("messages: first message must use the \"user\" role"));
        }
        match body.get("system") {
            None | Some(Value::Null | Value::String(_)) => {}
            Some(Value::Array(blocks)) => {
                for (at, block) in blocks.iter().enumerate() {
                    check_block(&format!("system.{at}"), block)?;
                }
            }
            Some(_) => return Err(wrong("system", "string or array")),
        }
        let all_tools = optional(body, "tools", Value::as_array, "array")?;
        let tools = tools(all_tools.map(Vec::as_slice).unwrap_or_default())?;
        let tool_choice = tool_choice(body, &tools)?;
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
            prompt: Prompt::of(body, overhead, counting)?,
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

fn object(body: &Value) -> Result<&Map<String, Value>, ApiError> {
    body.as_object().ok_or_else(|| ApiError::invalid("Input should be a valid dictionary"))
}

fn wrong(field: &str, kind: &str) -> ApiError {
    ApiError::invalid(format!("{field}: Input should be a valid {kind}"))
}

fn required<'a, T>(
    body: &'a Map<String, Value>,
    field: &str,
    read: impl Fn(&'a Value) -> Option<T>,
    kind: &str,
) -> Result<T, ApiError> {
    let value = body.get(field);
    let value = value.ok_or_else(|| ApiError::invalid(format!("{field}: Field required")))?;
    read(value).ok_or_else(|| wrong(field, kind))
}

fn optional<'a, T>(
    body: &'a Map<String, Value>,
    field: &str,
    read: impl Fn(&'a Value) -> Option<T>,
    kind: &str,
) -> Result<Option<T>, ApiError> {
    match body.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => read(value).map(Some).ok_or_else(|| wrong(field, kind)),
    }
}

fn check_message(at: usize, message: &Value, version: Version) -> Result<(), ApiError> {
    let place = format!("messages.{at}");
    let message = message.as_object().ok_or_else(|| wrong(&place, "dictionary"))?;
    match message.get("role").and_then(Value::as_str) {
        Some("user" | "assistant") => {}
        Some("system") if version == Version::V2026 => {}
        Some("system") => {
            return Err(ApiError::invalid(format!(
                "{place}.role: Unexpected role \"system\". The Messages API accepts a top-level `system` parameter, not \"system\" as an input message role."
            )));
        }
        _ => {
            return Err(ApiError::invalid(format!(
                "{place}.role: Input should be 'user' or 'assistant'"
            )));
        }
    }
    match message.get("content") {
        Some(Value::String(_)) => Ok(()),
        Some(Value::Array(blocks)) => blocks
            .iter()
            .enumerate()
            .try_for_each(|(n, block)| check_block(&format!("{place}.content.{n}"), block)),
        Some(_) => Err(wrong(&format!("{place}.content"), "string or array")),
        None => Err(ApiError::invalid(format!("{place}.content: Field required"))),
    }
}

fn check_block(place: &str, block: &Value) -> Result<(), ApiError> {
    let fields = block.as_object().ok_or_else(|| wrong(place, "dictionary"))?;
    let required = |name: &str| {
        fields
            .contains_key(name)
            .then_some(())
            .ok_or_else(|| ApiError::invalid(format!("{place}.{name}: Field required")))
    };
    match fields.get("type").and_then(Value::as_str) {
        None => required("type").and(Err(wrong(&format!("{place}.type"), "string"))),
        Some("text") => match fields.get("text").and_then(Value::as_str) {
            None => required("text").and(Err(wrong(&format!("{place}.text"), "string"))),
            Some("") => Err(ApiError::invalid(format!(
                "{place}.text: text content blocks must be non-empty"
            ))),
            Some(_) => Ok(()),
        },
        Some("image" | "document") => required("source"),
        Some("tool_use") => ["id", "name", "input"].iter().try_for_each(|name| required(name)),
        Some("tool_result") => required("tool_use_id"),
        Some(_) => Ok(()),
    }
}

fn is_server(tool: &Value) -> bool {
    !matches!(tool.get("type").and_then(Value::as_str), None | Some("custom"))
}

fn tools(tools: &[Value]) -> Result<Vec<(&str, &Value)>, ApiError> {
    let mut client = Vec::new();
    for (at, tool) in tools.iter().enumerate() {
        let name = tool.get("name").and_then(Value::as_str);
        let name =
            name.ok_or_else(|| ApiError::invalid(format!("tools.{at}.name: Field required")))?;
        if is_server(tool) {
            continue;
        }
        let schema = tool.get("input_schema").filter(|schema| schema.is_object());
        let schema = schema
            .ok_or_else(|| ApiError::invalid(format!("tools.{at}.input_schema: Field required")))?;
        if client.iter().any(|(known, _)| *known == name) {
            return Err(ApiError {
                code: Some("tool_name_conflict"),
                ..ApiError::invalid("tools: Tool names must be unique.")
            });
        }
        client.push((name, schema));
    }
    Ok(client)
}

fn tool_choice<'a>(
    body: &'a Map<String, Value>,
    tools: &[(&str, &Value)],
) -> Result<ToolChoice<'a>, ApiError> {
    let Some(choice) = optional(body, "tool_choice", Value::as_object, "object")? else {
        return Ok(ToolChoice::Auto);
    };
    match choice.get("type").and_then(Value::as_str) {
        Some("auto") => Ok(ToolChoice::Auto),
        Some("none") => Ok(ToolChoice::None),
        Some("any") if !tools.is_empty() => Ok(ToolChoice::Any),
        Some("any") => Err(ApiError::invalid("tool_choice: tools are required")),
        Some("tool") => {
            let name = required(choice, "name", Value::as_str, "string")?;
            if tools.iter().any(|(known, _)| *known == name) {
                Ok(ToolChoice::Tool(name))
            } else {
                Err(ApiError::invalid(format!("tool_choice: Tool '{name}' not found in tools")))
            }
        }
        _ => Err(ApiError::invalid(
            "tool_choice.type: Input should be 'auto', 'any', 'tool' or 'none'",
        )),
    }
}

fn thinking(body: &Map<String, Value>, max_tokens: u64) -> Result<Option<Thinking>, ApiError> {
    let Some(thinking) = optional(body, "thinking", Value::as_object, "object")? else {
        return Ok(None);
    };
    let omitted = thinking.get("display").is_some_and(|display| display == "omitted");
    match thinking.get("type").and_then(Value::as_str) {
        Some("disabled") => Ok(None),
        Some("adaptive") => Ok(Some(Thinking { budget: max_tokens, omitted })),
        Some("enabled") => {
            let budget = required(thinking, "budget_tokens", Value::as_u64, "integer")
                .map_err(|e| ApiError::invalid(format!("thinking.{}", e.message)))?;
            if budget < 1_024 {
                return Err(ApiError::invalid(
                    "thinking.budget_tokens: Input should be greater than or equal to 1024",
                ));
            }
            if budget >= max_tokens {
                return Err(ApiError::invalid(
                    "`max_tokens` must be greater than `thinking.budget_tokens`",
                ));
            }
            Ok(Some(Thinking { budget, omitted }))
        }
        _ => Err(ApiError::invalid(
            "thinking.type: Input should be 'enabled', 'disabled' or 'adaptive'",
        )),
    }
}

/// Version 2026-10-21 has no sampling parameters any more; models after Opus 4.6
/// reject every temperature but 1.0 in both.
fn sampling(body: &Map<String, Value>, model: &Model, version: Version) -> Result<(), ApiError> {
    for name in ["temperature", "top_p", "top_k"] {
        let Some(value) = body.get(name).filter(|value| !value.is_null()) else { continue };
        if version == Version::V2026 {
            return Err(ApiError::invalid(format!("{name}: Extra inputs are not permitted")));
        }
        let number = value.as_f64().ok_or_else(|| wrong(name, "number"))?;
        if name == "temperature" {
            if !(0.0..=1.0).contains(&number) {
                return Err(ApiError::invalid("temperature: range: 0..1"));
            }
            if model.counting == "new" && number != 1.0 {
                return Err(ApiError::invalid(format!(
                    "temperature: {} accepts only 1.0",
                    model.id
                )));
            }
        }
    }
    Ok(())
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

//! The checks of a request's fields: each gives the value or the API's error,
//! which names the field as the API does.

use super::{Thinking, ToolChoice, Version};
use crate::catalog::Model;
use crate::error::ApiError;
use serde_json::{Map, Value};

pub(super) fn object(body: &Value) -> Result<&Map<String, Value>, ApiError> {
    body.as_object().ok_or_else(|| ApiError::invalid("Input should be a valid dictionary"))
}

pub(super) fn wrong(field: &str, kind: &str) -> ApiError {
    ApiError::invalid(format!("{field}: Input should be a valid {kind}"))
}

pub(super) fn required<'a, T>(
    body: &'a Map<String, Value>,
    field: &str,
    read: impl Fn(&'a Value) -> Option<T>,
    kind: &str,
) -> Result<T, ApiError> {
    let value = body.get(field);
    let value = value.ok_or_else(|| ApiError::invalid(format!("{field}: Field required")))?;
    read(value).ok_or_else(|| wrong(field, kind))
}

pub(super) fn optional<'a, T>(
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

pub(super) fn check_message(at: usize, message: &Value, version: Version) -> Result<(), ApiError> {
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

pub(super) fn check_block(place: &str, block: &Value) -> Result<(), ApiError> {
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

pub(super) fn is_server(tool: &Value) -> bool {
    !matches!(tool.get("type").and_then(Value::as_str), None | Some("custom"))
}

pub(super) fn tools(tools: &[Value]) -> Result<Vec<(&str, &Value)>, ApiError> {
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

pub(super) fn tool_choice<'a>(
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

pub(super) fn thinking(
    body: &Map<String, Value>,
    max_tokens: u64,
) -> Result<Option<Thinking>, ApiError> {
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
pub(super) fn sampling(
    body: &Map<String, Value>,
    model: &Model,
    version: Version,
) -> Result<(), ApiError> {
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

//! `GET /v1/models` and `/v1/models/{id}`.

use super::Exchange;
use crate::catalog::Model;
use crate::error::ApiError;
use crate::ordered::{json, list as json_list, object};
use crate::request::Version;
use axum::response::Response;

/// The documented bounds of `limit`.
const LIMIT_MAX: usize = 1_000;
const LIMIT_DEFAULT: usize = 20;

/// A page of models, newest first.
pub(super) fn list(exchange: &Exchange) -> Result<Response, ApiError> {
    version(exchange)?;
    let query = exchange.query.as_deref().unwrap_or_default();
    let field =
        |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    let limit = match field("limit").map(str::parse::<usize>) {
        None => LIMIT_DEFAULT,
        Some(Ok(limit @ 1..=LIMIT_MAX)) => limit,
        Some(_) => return Err(ApiError::invalid("limit: Input should be between 1 and 1000")),
    };
    let mut models: Vec<&Model> = exchange.state.catalog.served().collect();
    let place = |models: &[&Model], id: &str| models.iter().position(|model| model.id == id);
    let unknown = || ApiError::invalid("Invalid cursor");
    if let Some(id) = field("after_id") {
        let at = place(&models, id).ok_or_else(unknown)?;
        models.drain(..=at);
    }
    let mut earlier = 0;
    if let Some(id) = field("before_id") {
        let at = place(&models, id).ok_or_else(unknown)?;
        models.truncate(at);
        earlier = models.len().saturating_sub(limit);
        models.drain(..earlier);
    }
    let has_more = models.len() > limit || earlier > 0;
    models.truncate(limit);
    let page = object! {
        "data": json_list(models.iter().map(|model| describe(model))),
        "has_more": json(has_more),
        "first_id": json(models.first().map(|model| &model.id)),
        "last_id": json(models.last().map(|model| &model.id)),
    };
    Ok(exchange.whole_body(200, page))
}

/// One model, by id or alias.
pub(super) fn one(exchange: &Exchange, id: &str) -> Result<Response, ApiError> {
    version(exchange)?;
    let known = exchange.state.catalog.model(id);
    let (model, _) = known.ok_or_else(|| ApiError::not_found(format!("model: {id}")))?;
    Ok(exchange.whole_body(200, describe(model)))
}

fn version(exchange: &Exchange) -> Result<Version, ApiError> {
    Version::read(exchange.headers.get("anthropic-version").and_then(|v| v.to_str().ok()))
}

fn describe(model: &Model) -> String {
    let midnight = |day: &String| format!("{day}T00:00:00Z");
    // "May be set to an epoch value if the release date is unknown" (docs).
    let created = model.created.as_ref().map(midnight);
    object! {
        "type": json("model"),
        "id": json(&model.id),
        "display_name": json(&model.name),
        "created_at": json(created.unwrap_or_else(|| "1970-01-01T00:00:00Z".to_owned())),
        "line": json(&model.line),
        "lifecycle": json(model.lifecycle),
        "retires_at": json(model.retires.as_ref().map(midnight)),
        "max_input_tokens": json(model.max_input_tokens),
        "max_tokens": json(model.max_tokens),
    }
}

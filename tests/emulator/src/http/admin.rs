//! `/emulator/…`: what a test tells the emulator and asks of it. No key needed;
//! it listens on loopback unless told otherwise.

use crate::catalog::LimitChange;
use crate::fault::{Entry, Schedule};
use crate::pool::Amounts;
use crate::state::{State, lock};
use axum::extract::{Query, State as Shared};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

type Told = Result<Json<Value>, (StatusCode, String)>;

/// The routes.
pub(super) fn routes(router: Router<Arc<State>>) -> Router<Arc<State>> {
    router
        .route("/emulator/stats", get(stats))
        .route("/emulator/requests", get(requests))
        .route("/emulator/faults", get(faults).post(set_faults).delete(clear_faults))
        .route("/emulator/limits", post(limits))
        .route("/emulator/drain", post(drain))
        .route("/emulator/reset", post(reset))
}

async fn stats(Shared(state): Shared<Arc<State>>) -> Json<Value> {
    Json(state.statistics())
}

#[derive(Deserialize)]
struct Last {
    last: Option<usize>,
}

async fn requests(Shared(state): Shared<Arc<State>>, Query(query): Query<Last>) -> Json<Value> {
    Json(json!(state.seen(query.last.unwrap_or(usize::MAX))))
}

async fn faults(Shared(state): Shared<Arc<State>>) -> Json<Value> {
    Json(json!(lock(&state.schedule).entries()))
}

/// The list takes the place of the schedule before it.
async fn set_faults(Shared(state): Shared<Arc<State>>, body: Bytes) -> Told {
    let entries: Vec<Entry> = parse(&body)?;
    let schedule = Schedule::new(entries, state.now_ms()).map_err(bad)?;
    let told = json!(schedule.entries());
    *lock(&state.schedule) = schedule;
    Ok(Json(told))
}

async fn clear_faults(Shared(state): Shared<Arc<State>>) -> Json<Value> {
    *lock(&state.schedule) = Schedule::default();
    Json(json!([]))
}

/// Other limits from now on; levels and statistics stay.
async fn limits(Shared(state): Shared<Arc<State>>, body: Bytes) -> Told {
    let changes: BTreeMap<String, LimitChange> = parse(&body)?;
    state.change_limits(&changes);
    Ok(Json(state.statistics()))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Drain {
    key: String,
    pool: String,
    #[serde(default)]
    requests: u64,
    #[serde(default)]
    input_tokens: u64,
    #[serde(default)]
    output_tokens: u64,
}

/// Somebody else used the account.
async fn drain(Shared(state): Shared<Arc<State>>, body: Bytes) -> Told {
    let Drain { key, pool, requests, input_tokens, output_tokens } = parse(&body)?;
    let organisation = state.organisation(&key).ok_or_else(|| bad("unknown key".to_owned()))?;
    let pool = state.pool(&organisation, &pool);
    let now_ms = state.now_ms();
    lock(&pool).drain(now_ms, Amounts { requests, input_tokens, output_tokens });
    let levels = lock(&pool).levels(now_ms);
    Ok(Json(json!(levels)))
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Reset {
    #[serde(default)]
    limits: BTreeMap<String, LimitChange>,
}

/// New limits, if told; then all from the beginning.
async fn reset(Shared(state): Shared<Arc<State>>, body: Bytes) -> Told {
    let reset: Reset = if body.is_empty() { Reset::default() } else { parse(&body)? };
    state.change_limits(&reset.limits);
    state.reset();
    Ok(Json(state.statistics()))
}

fn parse<T: DeserializeOwned>(body: &Bytes) -> Result<T, (StatusCode, String)> {
    serde_json::from_slice(body).map_err(|e| bad(e.to_string()))
}

fn bad(message: String) -> (StatusCode, String) {
    (StatusCode::BAD_REQUEST, message)
}

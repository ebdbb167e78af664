//! An emulator in this process, and the requests that tests make of it.

#![allow(dead_code, reason = "each test file uses its part")]

use emulator::answer::Service;
use emulator::catalog::{LimitChange, LimitTable};
use emulator::clock::Clock;
use emulator::http::{Running, start};
use emulator::state::Settings;
use reqwest::{Client, RequestBuilder, Response};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tokio::net::TcpListener;

pub(crate) const KEY: &str = "sk-ant-emulator-test";
pub(crate) const MODEL: &str = "claude-sonnet-5-5";
pub(crate) const POOL: &str = "sonnet-5-5";

/// A Start tier emulator without delays whose clock stands still.
pub(crate) async fn emulator() -> (Running, Client) {
    emulator_with(LimitChange::default()).await
}

/// The same with other limits for every class.
pub(crate) async fn emulator_with(limits: LimitChange) -> (Running, Client) {
    let mut table = LimitTable::tier("start").unwrap();
    table.apply(&BTreeMap::from([("*".to_owned(), limits)]));
    let settings = Settings {
        keys: Vec::new(),
        limits: table,
        service: Service {
            output_tokens: 100,
            ttft_ms: 0,
            tokens_per_s: 0,
            tokens_per_delta: 4,
            seed: 1,
        },
        remembered: 100,
        clock: Clock::manual(1_795_000_000_000),
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    (start(listener, settings).unwrap(), Client::new())
}

/// A small request.
pub(crate) fn body() -> Value {
    json!({
        "model": MODEL, "max_tokens": 1_000,
        "messages": [{"role": "user", "content": "say something of the sea"}]
    })
}

/// [`body`] with fields put over it.
pub(crate) fn with(fields: Value) -> Value {
    let mut all = body();
    for (name, value) in fields.as_object().unwrap() {
        all[name] = value.clone();
    }
    all
}

pub(crate) fn post(emulator: &Running, client: &Client, path: &str) -> RequestBuilder {
    client
        .post(format!("{}{path}", emulator.url()))
        .header("x-api-key", KEY)
        .header("anthropic-version", "2026-10-21")
}

pub(crate) fn get(emulator: &Running, client: &Client, path: &str) -> RequestBuilder {
    client
        .get(format!("{}{path}", emulator.url()))
        .header("x-api-key", KEY)
        .header("anthropic-version", "2026-10-21")
}

/// Sends a body to `/v1/messages`.
pub(crate) async fn message(emulator: &Running, client: &Client, body: &Value) -> Response {
    post(emulator, client, "/v1/messages").json(body).send().await.unwrap()
}

pub(crate) async fn json_of(response: Response) -> Value {
    response.json().await.unwrap()
}

/// A response's header, or "".
pub(crate) fn header(response: &Response, name: &str) -> String {
    let value = response.headers().get(name).and_then(|value| value.to_str().ok());
    value.unwrap_or_default().to_owned()
}

/// The row of a pool in `/emulator/stats`.
pub(crate) async fn stats(emulator: &Running, client: &Client, pool: &str) -> Value {
    let all: Value = json_of(get(emulator, client, "/emulator/stats").send().await.unwrap()).await;
    let rows = all["pools"].as_array().unwrap();
    rows.iter().find(|row| row["pool"] == pool).cloned().unwrap_or(Value::Null)
}

/// Asks for the statistics until they say what is waited for: the emulator learns
/// of a closed connection only when it looks.
pub(crate) async fn until(
    emulator: &Running,
    client: &Client,
    pool: &str,
    is: impl Fn(&Value) -> bool,
) -> Value {
    for _ in 0..20_000 {
        let row = stats(emulator, client, pool).await;
        if is(&row) {
            return row;
        }
    }
    panic!("never so: {}", stats(emulator, client, pool).await);
}

/// Names and data of the whole events in a stream's text.
pub(crate) fn events(text: &str) -> Vec<(String, Value)> {
    let whole = text.rfind("\n\n").map_or("", |end| &text[..end]);
    let event = |event: &str| {
        let (name, data) = event.split_once('\n').unwrap();
        let data = data.strip_prefix("data: ").unwrap();
        (name.strip_prefix("event: ").unwrap().to_owned(), serde_json::from_str(data).unwrap())
    };
    whole.split("\n\n").filter(|text| !text.is_empty()).map(event).collect()
}

/// All that comes of a body before it ends or breaks, and whether it broke.
pub(crate) async fn drain(mut response: Response) -> (String, bool) {
    let mut bytes = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
            Ok(None) => return (String::from_utf8(bytes).unwrap(), false),
            Err(_) => return (String::from_utf8(bytes).unwrap(), true),
        }
    }
}

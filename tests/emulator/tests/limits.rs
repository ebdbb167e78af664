//! Limits over HTTP, with a clock that stands still until it is moved.

#![allow(clippy::unwrap_used, reason = "a test's panic is its report")]

mod common;

use common::*;
use emulator::catalog::LimitChange;
use serde_json::{Value, json};

fn limits(rpm: u64, itpm: u64, otpm: u64) -> LimitChange {
    LimitChange { rpm: Some(rpm), itpm: Some(itpm), otpm: Some(otpm), by_second: None }
}

#[tokio::test]
async fn the_requests_limit_refuses_and_its_retry_after_comes_true() {
    let (emulator, client) = emulator_with(limits(2, 1_000_000, 1_000_000)).await;
    for remaining in ["1", "0"] {
        let response = message(&emulator, &client, &body()).await;
        assert_eq!(header(&response, "anthropic-ratelimit-requests-remaining"), remaining);
    }
    let refused = message(&emulator, &client, &body()).await;
    assert_eq!(refused.status(), 429);
    assert_eq!(header(&refused, "retry-after"), "30");
    assert_eq!(header(&refused, "anthropic-ratelimit-requests-limit"), "2");
    // Full in a minute, not when the retry succeeds.
    assert_eq!(header(&refused, "anthropic-ratelimit-requests-reset"), "2026-11-18T11:07:40Z");
    let body_ = json_of(refused).await;
    assert_eq!(body_["error"]["type"], "rate_limit_error");
    assert_eq!(body_["error"].get("details"), None);
    emulator.state().settings.clock.advance(29_999);
    assert_eq!(message(&emulator, &client, &body()).await.status(), 429);
    emulator.state().settings.clock.advance(1);
    assert_eq!(message(&emulator, &client, &body()).await.status(), 200);
}

#[tokio::test]
async fn input_is_checked_at_the_start_and_max_tokens_is_not() {
    let (emulator, client) = emulator_with(limits(1_000, 1_000, 1_000)).await;
    let request = with(json!({"max_tokens": 100_000,
        "metadata": {"user_id": "emulator:output-tokens=10"}}));
    assert_eq!(message(&emulator, &client, &request).await.status(), 200);
    let long = with(json!({"messages": [{"role": "user", "content": "word ".repeat(2_000)}]}));
    let refused = message(&emulator, &client, &long).await;
    assert_eq!(refused.status(), 429);
    let row = stats(&emulator, &client, POOL).await;
    assert_eq!((&row["granted"], &row["refused_input"]), (&json!(1), &json!(1)));
    assert_eq!(row["output_tokens"], 10);
}

/// A request whose system prompt of some 3,800 tokens is marked.
fn marked(user_id: &str) -> Value {
    let rules = "a rule of the house ".repeat(500);
    with(json!({
        "system": [{"type": "text", "text": rules, "cache_control": {"type": "ephemeral"}}],
        "metadata": {"user_id": user_id}
    }))
}

#[tokio::test]
async fn what_is_read_from_the_prompt_cache_is_outside_the_input_limit() {
    let (emulator, client) = emulator_with(limits(1_000, 5_000, 1_000_000)).await;
    for _ in 0..20 {
        assert_eq!(message(&emulator, &client, &marked("u")).await.status(), 200);
    }
    let row = stats(&emulator, &client, POOL).await;
    let [counted, read] = ["input_tokens", "cache_read_tokens"].map(|f| row[f].as_u64().unwrap());
    assert!(counted <= 5_000 && read > 10 * 5_000, "{row}");
    // Nobody used it for longer than it lives: to write it again counts.
    emulator.state().settings.clock.advance(300_000);
    assert_eq!(message(&emulator, &client, &marked("u")).await.status(), 200);
    assert_eq!(message(&emulator, &client, &marked("u")).await.status(), 200);
    let again = stats(&emulator, &client, POOL).await;
    assert!(again["input_tokens"].as_u64().unwrap() > counted + 3_000, "{again}");
}

#[tokio::test]
async fn a_prompt_can_be_read_once_the_response_that_writes_it_begins() {
    let (emulator, client) = emulator().await;
    let usage = |body: Value| {
        let request = post(&emulator, &client, "/v1/messages").json(&body).send();
        async move {
            let usage = json_of(request.await.unwrap()).await["usage"].take();
            ["cache_creation_input_tokens", "cache_read_input_tokens"]
                .map(|field| usage[field].as_u64().unwrap())
        }
    };
    // Its response does not begin while this test runs.
    let slow = tokio::spawn(
        post(&emulator, &client, "/v1/messages").json(&marked("emulator:ttft-ms=1000000")).send(),
    );
    until(&emulator, &client, POOL, |row| row["granted"] == 1).await;
    let [written, read] = usage(marked("u")).await;
    assert!(written > 3_000 && read == 0, "{written} {read}");
    assert_eq!(usage(marked("u")).await, [0, written]);
    slow.abort();
}

#[tokio::test]
async fn output_runs_into_debt_and_refuses_until_it_is_paid() {
    let (emulator, client) = emulator_with(limits(1_000, 1_000_000, 600)).await;
    let request = with(json!({"metadata": {"user_id": "emulator:output-tokens=900"}}));
    assert_eq!(message(&emulator, &client, &request).await.status(), 200);
    let refused = message(&emulator, &client, &request).await;
    assert_eq!(refused.status(), 429);
    assert_eq!(header(&refused, "anthropic-ratelimit-output-tokens-remaining"), "0");
    // 300 tokens of debt at 10 a second, and the first millisecond above it.
    assert_eq!(header(&refused, "retry-after"), "31");
    emulator.state().settings.clock.advance(31_000);
    assert_eq!(message(&emulator, &client, &request).await.status(), 200);
}

#[tokio::test]
async fn pools_of_keys_classes_and_speeds_are_apart() {
    let (emulator, client) = emulator_with(limits(1, 1_000_000, 1_000_000)).await;
    let status = |key: &'static str, model: &'static str, speed: &'static str| {
        let request = client
            .post(format!("{}/v1/messages", emulator.url()))
            .header("x-api-key", key)
            .header("anthropic-version", "2026-10-21")
            .json(&with(json!({"model": model, "speed": speed})));
        async move { request.send().await.unwrap().status().as_u16() }
    };
    assert_eq!(status("sk-ant-emulator-a", "claude-opus-5", "standard").await, 200);
    assert_eq!(status("sk-ant-emulator-a", "claude-opus-5", "standard").await, 429);
    assert_eq!(status("sk-ant-emulator-a", "claude-opus-5", "fast").await, 200);
    assert_eq!(status("sk-ant-emulator-a", "claude-opus-4-8", "standard").await, 200);
    // 4.x share one pool.
    assert_eq!(status("sk-ant-emulator-a", "claude-opus-4-6", "standard").await, 429);
    assert_eq!(status("sk-ant-emulator-b", "claude-opus-5", "standard").await, 200);
}

#[tokio::test]
async fn limits_change_while_it_runs_and_a_reset_begins_anew() {
    let (emulator, client) = emulator_with(limits(10, 1_000_000, 1_000_000)).await;
    assert_eq!(message(&emulator, &client, &body()).await.status(), 200);
    let lower = post(&emulator, &client, "/emulator/limits").json(&json!({"*": {"rpm": 1}}));
    assert_eq!(lower.send().await.unwrap().status(), 200);
    assert_eq!(message(&emulator, &client, &body()).await.status(), 200);
    assert_eq!(message(&emulator, &client, &body()).await.status(), 429);
    let reset = json!({"limits": {POOL: {"rpm": 2}}});
    let reset = post(&emulator, &client, "/emulator/reset").json(&reset).send().await.unwrap();
    let reset: Value = json_of(reset).await;
    assert_eq!(reset["pools"][0]["granted"], 0);
    for status in [200, 200, 429] {
        assert_eq!(message(&emulator, &client, &body()).await.status(), status);
    }
    let unknown = post(&emulator, &client, "/emulator/limits").json(&json!({"*": {"rpn": 1}}));
    assert_eq!(unknown.send().await.unwrap().status(), 400);
}

#[tokio::test]
async fn another_user_of_the_account_shows_in_the_headers_only() {
    let (emulator, client) = emulator_with(limits(1_000, 1_000_000, 100_000)).await;
    let drain = json!({"key": KEY, "pool": POOL, "output_tokens": 60_000});
    post(&emulator, &client, "/emulator/drain").json(&drain).send().await.unwrap();
    let response = message(&emulator, &client, &body()).await;
    assert_eq!(header(&response, "anthropic-ratelimit-output-tokens-remaining"), "40000");
    let row = stats(&emulator, &client, POOL).await;
    assert_eq!(row["output_tokens"], json_of(response).await["usage"]["output_tokens"]);
}

#[tokio::test]
async fn use_is_measured_against_what_could_have_been_granted() {
    let (emulator, client) = emulator_with(limits(60, 1_000_000, 6_000)).await;
    let request = with(json!({"max_tokens": 5_000,
        "metadata": {"user_id": "emulator:output-tokens=3000"}}));
    message(&emulator, &client, &request).await;
    emulator.state().settings.clock.advance(60_000);
    let row = stats(&emulator, &client, POOL).await;
    assert_eq!(row["could"]["output_tokens"], 12_000);
    assert_eq!(row["used_permille"]["output_tokens"], 250);
    assert_eq!(row["could"]["requests"], 120);
}

//! The wire formats, against the provider's documentation.

#![allow(clippy::unwrap_used, reason = "a test's panic is its report")]

mod common;

use common::*;
use serde_json::{Value, json};

#[tokio::test]
async fn a_message_has_the_documented_shape() {
    let (emulator, client) = emulator().await;
    let response = message(&emulator, &client, &body()).await;
    assert_eq!(response.status(), 200);
    assert!(header(&response, "request-id").starts_with("req_"));
    for what in ["requests", "tokens", "input-tokens", "output-tokens"] {
        for part in ["limit", "remaining", "reset"] {
            let name = format!("anthropic-ratelimit-{what}-{part}");
            assert!(response.headers().contains_key(&name), "{name}");
        }
    }
    let message = json_of(response).await;
    assert!(message["id"].as_str().unwrap().starts_with("msg_"));
    assert_eq!((&message["type"], &message["role"]), (&json!("message"), &json!("assistant")));
    assert_eq!(message["stop_reason"], "end_turn");
    assert!(message["content"][0]["text"].as_str().unwrap().contains("something of the sea"));
    assert!(message["usage"]["input_tokens"].as_u64().unwrap() > 7);
}

/// pip anthropic 2.13.0 sends a key so.
#[tokio::test]
async fn a_key_may_come_as_a_bearer_token() {
    let (emulator, client) = emulator().await;
    let url = format!("{}/v1/models", emulator.url());
    let request = client.get(url).header("anthropic-version", "2026-10-21").bearer_auth(KEY);
    assert_eq!(request.send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_stream_and_a_whole_answer_to_one_request_are_the_same() {
    let (emulator, client) = emulator().await;
    let whole = with(json!({"metadata": {"user_id": "emulator:output-tokens=77"}}));
    let whole = json_of(message(&emulator, &client, &whole).await).await;
    let request = with(json!({
        "stream": true, "metadata": {"user_id": "emulator:output-tokens=77"}}));
    let response = message(&emulator, &client, &request).await;
    assert_eq!(header(&response, "content-type"), "text/event-stream; charset=utf-8");
    let (text, broke) = drain(response).await;
    assert!(!broke);
    let events = events(&text);
    let (last, _) = events.last().unwrap();
    assert_eq!(last, "message_stop");
    let (_, delta) = events.iter().find(|(name, _)| name == "message_delta").unwrap();
    assert_eq!(delta["usage"]["output_tokens"], 77);
    assert_eq!(whole["usage"]["output_tokens"], 77);
    assert_eq!(delta["usage"]["input_tokens"], whole["usage"]["input_tokens"]);
}

#[tokio::test]
async fn an_answer_is_cut_at_max_tokens() {
    let (emulator, client) = emulator().await;
    let request =
        with(json!({"max_tokens": 9, "metadata": {"user_id": "emulator:output-tokens=50"}}));
    let message = json_of(message(&emulator, &client, &request).await).await;
    assert_eq!(message["stop_reason"], "max_tokens");
    assert_eq!(message["usage"]["output_tokens"], 9);
}

#[tokio::test]
async fn an_answer_ends_at_a_stop_sequence() {
    let (emulator, client) = emulator().await;
    let request = with(json!({"stop_sequences": ["of the", "zzz"]}));
    let message = json_of(message(&emulator, &client, &request).await).await;
    assert_eq!(message["stop_reason"], "stop_sequence");
    assert_eq!(message["stop_sequence"], "of the");
    assert!(message["content"][0]["text"].as_str().unwrap().ends_with("something "));
}

#[tokio::test]
async fn tools_are_called_and_their_results_answered() {
    let (emulator, client) = emulator().await;
    let schema = json!({
        "type": "object", "required": ["city", "unit"],
        "properties": {"city": {"type": "string"}, "unit": {"enum": ["c", "f"]}}
    });
    let tools = json!([{"name": "clock", "input_schema": {"type": "object"}},
                       {"name": "weather", "input_schema": schema}]);
    let asked = json!([{"role": "user", "content": "ask weather of the sea"}]);
    let request = with(json!({"tools": tools, "messages": asked}));
    let answer = json_of(message(&emulator, &client, &request).await).await;
    assert_eq!(answer["stop_reason"], "tool_use");
    let call = answer["content"].as_array().unwrap().last().unwrap();
    assert_eq!(call["name"], "weather");
    assert!(call["input"]["city"].is_string());
    assert!(["c", "f"].contains(&call["input"]["unit"].as_str().unwrap()));

    let result = json!({"type": "tool_result", "tool_use_id": call["id"], "content": "rain"});
    let told = json!([asked[0], {"role": "assistant", "content": [call]},
                      {"role": "user", "content": [result]}]);
    let request = with(json!({"tools": tools, "messages": told}));
    let answer = json_of(message(&emulator, &client, &request).await).await;
    assert_eq!(
        (&answer["stop_reason"], &answer["content"][0]["type"]),
        (&json!("end_turn"), &json!("text"))
    );
}

#[tokio::test]
async fn thinking_and_citations_are_sent() {
    let (emulator, client) = emulator().await;
    let document = json!({"type": "document", "citations": {"enabled": true},
        "source": {"type": "text", "media_type": "text/plain", "data": "The sea is wide."}});
    let request = with(json!({
        "stream": true, "max_tokens": 3_000,
        "thinking": {"type": "enabled", "budget_tokens": 2_000},
        "messages": [{"role": "user", "content": [document, {"type": "text", "text": "the sea?"}]}],
        "metadata": {"user_id": "emulator:output-tokens=300;thinking-tokens=200"}
    }));
    let (text, _) = drain(message(&emulator, &client, &request).await).await;
    let events = events(&text);
    let deltas: Vec<&str> =
        events.iter().filter_map(|(_, e)| e["delta"]["type"].as_str()).collect();
    let first = |kind: &str| deltas.iter().position(|delta| *delta == kind).expect(kind);
    assert!(first("thinking_delta") < first("signature_delta"));
    assert!(first("signature_delta") < first("text_delta"));
    let citation = events.iter().find(|(_, e)| e["delta"]["type"] == "citations_delta").unwrap();
    assert_eq!(citation.1["delta"]["citation"]["cited_text"], "The sea is wide.");
    let (_, delta) = events.iter().find(|(name, _)| name == "message_delta").unwrap();
    assert_eq!(delta["usage"]["output_tokens_details"]["thinking_tokens"], 200);
    assert_eq!(delta["usage"]["output_tokens"], 300);
}

#[tokio::test]
async fn counting_agrees_with_the_usage_of_the_same_request() {
    let (emulator, client) = emulator().await;
    let request = with(json!({"system": "Be brief.", "tools": [
        {"name": "t", "input_schema": {"type": "object"}}]}));
    let counted = post(&emulator, &client, "/v1/messages/count_tokens").json(&request);
    let counted = counted.send().await.unwrap();
    assert_eq!(header(&counted, "anthropic-ratelimit-requests-limit"), "2000");
    let counted = json_of(counted).await;
    let used = json_of(message(&emulator, &client, &request).await).await;
    assert_eq!(counted["input_tokens"], used["usage"]["input_tokens"]);

    let server = with(json!({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}));
    let refused = post(&emulator, &client, "/v1/messages/count_tokens").json(&server);
    assert_eq!(refused.send().await.unwrap().status(), 400);
}

#[tokio::test]
async fn a_cached_prefix_is_written_then_read_and_all_input_adds_up() {
    let (emulator, client) = emulator().await;
    let system = json!([{"type": "text", "text": "a rule of the house ".repeat(500),
                         "cache_control": {"type": "ephemeral"}}]);
    let request = with(json!({"system": system}));
    let usage = |message: Value| {
        let usage = &message["usage"];
        ["input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens"]
            .map(|field| usage[field].as_u64().unwrap())
    };
    let first = usage(json_of(message(&emulator, &client, &request).await).await);
    let second = usage(json_of(message(&emulator, &client, &request).await).await);
    assert!(first[1] > 1_024 && first[2] == 0, "{first:?}");
    assert_eq!(second, [first[0], 0, first[1]]);
    let row = stats(&emulator, &client, POOL).await;
    assert_eq!(row["input_tokens"], 2 * first[0] + first[1]);
    assert_eq!(row["cache_read_tokens"], first[1]);
}

#[tokio::test]
async fn models_are_listed_in_pages_with_their_limits() {
    let (emulator, client) = emulator().await;
    let mut ids = Vec::new();
    let mut path = "/v1/models?limit=7".to_owned();
    loop {
        let page = json_of(get(&emulator, &client, &path).send().await.unwrap()).await;
        for model in page["data"].as_array().unwrap() {
            assert!(model["max_input_tokens"].as_u64().unwrap() >= 200_000);
            assert_ne!(model["lifecycle"], "retired");
            ids.push(model["id"].as_str().unwrap().to_owned());
        }
        if page["has_more"] == false {
            break;
        }
        path = format!("/v1/models?limit=7&after_id={}", page["last_id"].as_str().unwrap());
    }
    let served: Vec<&str> =
        emulator.state().catalog.served().map(|model| model.id.as_str()).collect();
    assert_eq!(ids, served);
    let one = get(&emulator, &client, "/v1/models/claude-haiku-4-5").send().await.unwrap();
    let one = json_of(one).await;
    assert_eq!(one["id"], "claude-haiku-4-5-20251001");
    assert_eq!(one["max_tokens"], 64_000);
    let none = get(&emulator, &client, "/v1/models/gpt-5").send().await.unwrap();
    assert_eq!(none.status(), 404);
}

#[tokio::test]
async fn bad_requests_get_the_documented_error() {
    let (emulator, client) = emulator().await;
    let url = format!("{}/v1/messages", emulator.url());
    let error = |response: reqwest::Response| async move {
        let status = response.status().as_u16();
        let id = header(&response, "request-id");
        let body = json_of(response).await;
        assert_eq!(body["type"], "error");
        assert_eq!(body["request_id"], id.as_str());
        (status, body["error"]["type"].as_str().unwrap().to_owned())
    };
    let plain = || client.post(&url).header("anthropic-version", "2026-10-21");
    let keyed = || plain().header("x-api-key", KEY);
    for (response, status, kind) in [
        (plain().json(&body()).send().await, 401, "authentication_error"),
        (
            plain().header("x-api-key", "sk-ant-api03-x").json(&body()).send().await,
            401,
            "authentication_error",
        ),
        (
            client.post(&url).header("x-api-key", KEY).json(&body()).send().await,
            400,
            "invalid_request_error",
        ),
        (
            plain().bearer_auth("sk-ant-api03-x").json(&body()).send().await,
            401,
            "authentication_error",
        ),
        (keyed().body("{").send().await, 400, "invalid_request_error"),
        (keyed().body("[".repeat(100_000)).send().await, 400, "invalid_request_error"),
        (keyed().json(&with(json!({"model": "claude-9"}))).send().await, 404, "not_found_error"),
        (keyed().body(vec![b' '; 33 << 20]).send().await, 413, "request_too_large"),
        (get(&emulator, &client, "/v1/messages").send().await, 405, "invalid_request_error"),
        (get(&emulator, &client, "/v1/files").send().await, 404, "not_found_error"),
    ] {
        let got = error(response.unwrap()).await;
        assert_eq!(got, (status, kind.to_owned()));
    }
    assert_eq!(stats(&emulator, &client, POOL).await, Value::Null, "nothing reached a pool");
}

#[tokio::test]
async fn what_came_and_went_is_remembered_without_the_key() {
    let (emulator, client) = emulator().await;
    let response = post(&emulator, &client, "/v1/messages?beta=true")
        .header("x-api-key", KEY)
        .header("x-extra", "1")
        .body(body().to_string())
        .send()
        .await
        .unwrap();
    let answer = response.bytes().await.unwrap();
    plain_bearer(&emulator, &client).await;
    let all = get(&emulator, &client, "/emulator/requests").send().await.unwrap();
    let all = json_of(all).await;
    let seen = &all[1];
    assert_eq!(seen["path"], "/v1/messages?beta=true");
    assert_eq!(seen["body_sha256"], emulator::state::sha256(body().to_string().as_bytes()));
    assert_eq!(seen["answer_sha256"], emulator::state::sha256(&answer));
    assert!(seen["headers"].as_array().unwrap().contains(&json!(["x-extra", "1"])));
    assert!(!all.to_string().contains("a-real-secret"), "{all}");
    let bearer = json!(["authorization", "Bearer …cret"]);
    assert!(all[0]["headers"].as_array().unwrap().contains(&bearer), "{all}");
}

async fn plain_bearer(emulator: &emulator::http::Running, client: &reqwest::Client) {
    let url = format!("{}/v1/models", emulator.url());
    let response = client.get(url).bearer_auth("sk-ant-api03-a-real-secret").send().await.unwrap();
    assert_eq!(response.status(), 401);
}

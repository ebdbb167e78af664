//! Every fault, and what a closed connection stops.

#![allow(clippy::unwrap_used, reason = "a test's panic is its report")]

mod common;

use common::*;
use serde_json::{Value, json};

#[tokio::test]
async fn faults_that_stand_in_for_the_answer() {
    let (emulator, client) = emulator().await;
    for (fault, status, kind, code, retry_after) in [
        ("429-requests", 429, "rate_limit_error", "", "1"),
        ("429-input;retry-after=7", 429, "rate_limit_error", "", "7"),
        ("429-output", 429, "rate_limit_error", "", "1"),
        ("429-ramp;retry-after=20", 429, "rate_limit_error", "ramp_limit_exceeded", "20"),
        ("429-spend", 429, "rate_limit_error", "enforced_spend_limit_reached", ""),
        ("429-contract", 429, "rate_limit_error", "contract_spend_limit_reached", ""),
        ("400-spend", 400, "invalid_request_error", "", ""),
        ("401", 401, "authentication_error", "", ""),
        ("402", 402, "billing_error", "", ""),
        ("403", 403, "permission_error", "", ""),
        ("413", 413, "request_too_large", "", ""),
        ("500", 500, "api_error", "", ""),
        ("503", 503, "api_error", "cmek_key_unreachable", ""),
        ("504", 504, "timeout_error", "", ""),
        ("529", 529, "overloaded_error", "", ""),
        ("529;retry-after=3", 529, "overloaded_error", "", "3"),
    ] {
        let request = with(json!({"metadata": {"user_id": format!("emulator:fault={fault}")}}));
        let response = message(&emulator, &client, &request).await;
        assert_eq!(response.status(), status, "{fault}");
        assert_eq!(header(&response, "retry-after"), retry_after, "{fault}");
        let body = json_of(response).await;
        assert_eq!(body["error"]["type"], kind, "{fault}");
        let got = body["error"]["details"]["error_code"].as_str().unwrap_or_default();
        assert_eq!(got, code, "{fault}");
    }
    let granted = stats(&emulator, &client, POOL).await["granted"].clone();
    assert_eq!(granted, 0, "none was charged");
}

#[tokio::test]
async fn a_feigned_429_tells_that_its_limit_is_empty() {
    let (emulator, client) = emulator().await;
    for (fault, empty) in [
        ("429-requests", "requests"),
        ("429-input", "input-tokens"),
        ("429-output", "output-tokens"),
    ] {
        let response = post(&emulator, &client, "/v1/messages")
            .header("x-emulator-fault", fault)
            .json(&body())
            .send()
            .await
            .unwrap();
        let remaining = header(&response, &format!("anthropic-ratelimit-{empty}-remaining"));
        assert_eq!(remaining, "0", "{fault}");
    }
}

async fn broken(fault: &str, stream: bool) -> (u16, String, bool) {
    let (emulator, client) = emulator().await;
    let user = format!("emulator:output-tokens=100;fault={fault}");
    let request = with(json!({"stream": stream, "metadata": {"user_id": user}}));
    let response = message(&emulator, &client, &request).await;
    let status = response.status().as_u16();
    let (text, broke) = drain(response).await;
    (status, text, broke)
}

fn deltas(events: &[(String, Value)]) -> usize {
    events.iter().filter(|(name, _)| name == "content_block_delta").count()
}

#[tokio::test]
async fn an_error_event_ends_the_stream_after_so_many_deltas() {
    let (status, text, broke) = broken("error-mid-stream;after=3", true).await;
    let events = events(&text);
    let (name, error) = events.last().unwrap();
    assert_eq!((status, broke, name.as_str(), deltas(&events)), (200, false, "error", 3));
    assert_eq!(error["error"]["type"], "overloaded_error");
    let (status, ..) = broken("error-mid-stream", false).await;
    assert_eq!(status, 500);
}

#[tokio::test]
async fn a_cut_breaks_between_events_and_mid_event_within_one() {
    let (_, text, broke) = broken("cut;after=2", true).await;
    assert!(broke && text.ends_with("\n\n"));
    assert_eq!(deltas(&events(&text)), 2);
    let (_, text, broke) = broken("cut-mid-event;after=2", true).await;
    assert!(broke && !text.ends_with("\n\n"));
    assert_eq!(deltas(&events(&text)), 2);
    let (_, text, broke) = broken("cut", false).await;
    assert!(broke && serde_json::from_str::<Value>(&text).is_err());
}

#[tokio::test]
async fn an_early_end_is_a_proper_body_without_the_protocols_end_mark() {
    let (_, text, broke) = broken("end-early;after=2", true).await;
    assert!(!broke);
    assert!(events(&text).iter().all(|(name, _)| name != "message_stop"));
    let (_, text, broke) = broken("end-early", false).await;
    assert!(!broke && serde_json::from_str::<Value>(&text).is_err());
}

#[tokio::test]
async fn a_short_stall_and_an_unknown_event_leave_the_answer_whole() {
    for fault in ["stall;after=2;ms=1", "unknown-event;after=2"] {
        let (_, text, broke) = broken(fault, true).await;
        let events = events(&text);
        assert!(!broke);
        assert_eq!(events.last().unwrap().0, "message_stop");
        let novel = events.iter().any(|(name, _)| name == "novelty");
        assert_eq!(novel, fault.starts_with("unknown"));
    }
    let (_, text, _) = broken("stall;ms=1", false).await;
    assert!(serde_json::from_str::<Value>(&text).is_ok());
}

#[tokio::test]
async fn a_stalled_stream_sends_nothing_more_until_the_client_leaves() {
    let (emulator, client) = emulator().await;
    let user = "emulator:output-tokens=100;fault=stall;after=2";
    let request = with(json!({"stream": true, "metadata": {"user_id": user}}));
    let mut response = message(&emulator, &client, &request).await;
    let mut text = String::new();
    while deltas(&events(&text)) < 2 {
        let chunk = response.chunk().await.unwrap().unwrap();
        text.push_str(std::str::from_utf8(&chunk).unwrap());
    }
    let row = stats(&emulator, &client, POOL).await;
    assert_eq!((&row["in_flight"], &row["closed_early"]), (&json!(1), &json!(0)));
    drop(response);
    let row = until(&emulator, &client, POOL, |row| row["in_flight"] == 0).await;
    assert_eq!(row["closed_early"], 1);
    assert!(row["output_tokens"].as_u64().unwrap() < 100, "{row}");
}

#[tokio::test]
async fn generation_stops_when_the_client_leaves() {
    let (emulator, client) = emulator().await;
    let slow = "emulator:output-tokens=90000;tokens-per-s=1000";
    for stream in [true, false] {
        post(&emulator, &client, "/emulator/reset").send().await.unwrap();
        let request = with(json!({
            "stream": stream, "max_tokens": 100_000, "metadata": {"user_id": slow}}));
        let send = post(&emulator, &client, "/v1/messages").json(&request).send();
        let sent = tokio::spawn(send);
        let begun = |row: &Value| row["output_tokens"].as_u64() > Some(20);
        until(&emulator, &client, POOL, begun).await;
        sent.abort();
        drop(sent.await);
        let row = until(&emulator, &client, POOL, |row| row["in_flight"] == 0).await;
        assert_eq!(row["closed_early"], 1, "stream: {stream}");
        // 90 s of generation were ahead: none of it was charged.
        assert!(row["output_tokens"].as_u64().unwrap() < 90_000);
        let seen = emulator.state().seen(1).remove(0);
        assert!(!seen.complete);
    }
}

#[tokio::test]
async fn leaving_before_the_first_byte_costs_the_input_alone() {
    let (emulator, client) = emulator().await;
    let request = with(json!({"metadata": {"user_id": "emulator:ttft-ms=3600000"}}));
    let sent = tokio::spawn(post(&emulator, &client, "/v1/messages").json(&request).send());
    until(&emulator, &client, POOL, |row| row["in_flight"] == 1).await;
    sent.abort();
    let row = until(&emulator, &client, POOL, |row| row["in_flight"] == 0).await;
    assert_eq!((&row["closed_early"], &row["output_tokens"]), (&json!(1), &json!(0)));
    assert!(row["input_tokens"].as_u64().unwrap() > 0);
}

#[tokio::test]
async fn an_outage_closes_connections_for_its_seconds() {
    let (emulator, client) = emulator().await;
    let schedule = json!([{"what": "outage", "for_s": 5}]);
    let posted = post(&emulator, &client, "/emulator/faults").json(&schedule).send().await.unwrap();
    assert_eq!(posted.status(), 200);
    let send = || post(&emulator, &client, "/v1/messages").json(&body()).send();
    assert!(send().await.is_err());
    assert!(get(&emulator, &client, "/v1/models").send().await.is_err());
    emulator.state().settings.clock.advance(5_000);
    assert_eq!(send().await.unwrap().status(), 200);
    let all = get(&emulator, &client, "/emulator/stats").send().await.unwrap();
    assert_eq!(json_of(all).await["faults"]["outage"], 2);
}

#[tokio::test]
async fn a_schedule_counts_requests_and_can_be_cleared() {
    let (emulator, client) = emulator().await;
    let schedule = json!([{"what": "529", "next": 2, "path": "/v1/messages"}, {"what": "500"}]);
    post(&emulator, &client, "/emulator/faults").json(&schedule).send().await.unwrap();
    for status in [529, 529, 500, 500] {
        assert_eq!(message(&emulator, &client, &body()).await.status(), status);
    }
    let url = format!("{}/emulator/faults", emulator.url());
    client.delete(url).send().await.unwrap();
    assert_eq!(message(&emulator, &client, &body()).await.status(), 200);
    let wrong = json!([{"what": "earthquake"}]);
    let wrong = post(&emulator, &client, "/emulator/faults").json(&wrong).send().await.unwrap();
    assert_eq!(wrong.status(), 400);
}

#[tokio::test]
async fn the_edge_answers_413_in_html_and_a_slow_first_byte_still_comes() {
    let (status, text, _) = broken("413-html", false).await;
    assert_eq!(status, 413);
    assert!(text.starts_with("<html>"));
    let (status, text, _) = broken("slow-first-byte;ms=2", false).await;
    assert_eq!(status, 200);
    assert!(serde_json::from_str::<Value>(&text).is_ok());
}

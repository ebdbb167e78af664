//! `load upstream`: a fake of the Messages API that is far faster than any
//! gateway, so that a throughput run measures the gateway. It has no limits
//! and no faults: for those there is the emulator.
//!
//! A stream has as many events as its request's `max_tokens` (at least 6: the
//! frame and one delta), each in its own chunk and its own write, and as many
//! microseconds apart as `metadata.user_id` says: `gap_us=1000`. So one
//! upstream serves every run, and the settings pass every gateway.

use crate::http::{Wire, find};
use std::io::Result;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

/// Events of a stream whose request names no `max_tokens`.
const EVENTS_DEFAULT: usize = 20;
/// Events that are not deltas: message_start, content_block_start,
/// content_block_stop, message_delta, message_stop.
const EVENTS_FRAME: usize = 5;
/// What stands before a request's gap.
const GAP: &[u8] = b"gap_us=";
/// A minute: longer ones test the patience of whoever runs them.
const GAP_US_MAX: usize = 60_000_000;
/// The part of a request's body that is looked through for its settings.
const BODY_SEEN_MAX: usize = 64 * 1024;

/// Answers whoever connects to `listener`, without end.
pub(crate) async fn serve(listener: TcpListener) -> Result<()> {
    loop {
        let (socket, _) = listener.accept().await?;
        // A connection that breaks concerns nobody else: benchmarks end by
        // closing theirs.
        tokio::spawn(async move { answer_all(socket).await.unwrap_or_default() });
    }
}

async fn answer_all(socket: TcpStream) -> Result<()> {
    let mut wire = Wire::new(socket)?;
    let mut body = Vec::new();
    let mut reply = Reply::new();
    while let Some(head) = wire.head().await? {
        body.clear();
        wire.body(head.length, |part| {
            let room = BODY_SEEN_MAX - body.len();
            body.extend_from_slice(&part[..part.len().min(room)]);
        })
        .await?;
        if is_stream(&body) {
            stream(&mut wire, &mut reply, events(&body), gap(&body)).await?;
        } else {
            wire.socket.write_all(reply.message()).await?;
        }
        if head.close {
            break;
        }
    }
    Ok(())
}

async fn stream(wire: &mut Wire, reply: &mut Reply, events: usize, gap: Duration) -> Result<()> {
    wire.socket.write_all(reply.stream_head()).await?;
    let deltas = events.saturating_sub(EVENTS_FRAME).max(1);
    let pause = || async move {
        if gap.is_zero() {
            // Others get their turn between two events, as they would if the
            // events were generated.
            tokio::task::yield_now().await;
        } else {
            tokio::time::sleep(gap).await;
        }
    };
    wire.socket.write_all(&chunk(MESSAGE_START)).await?;
    pause().await;
    wire.socket.write_all(&chunk(BLOCK_START)).await?;
    let delta = chunk(BLOCK_DELTA);
    for _ in 0..deltas {
        pause().await;
        wire.socket.write_all(&delta).await?;
    }
    let message_delta = format!(
        "event: message_delta\ndata: {{\"type\":\"message_delta\",\"delta\":{{\"stop_reason\":\"end_turn\",\"stop_sequence\":null}},\"usage\":{{\"input_tokens\":25,\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":0,\"output_tokens\":{deltas}}}}}\n\n"
    );
    for event in [BLOCK_STOP, &message_delta, MESSAGE_STOP] {
        pause().await;
        wire.socket.write_all(&chunk(event)).await?;
    }
    wire.socket.write_all(b"0\r\n\r\n").await
}

fn is_stream(body: &[u8]) -> bool {
    field(body, b"\"stream\"").is_some_and(|value| value.starts_with(b"true"))
}

fn events(body: &[u8]) -> usize {
    field(body, b"\"max_tokens\"").and_then(number).unwrap_or(EVENTS_DEFAULT)
}

/// The time between two events; the timer's step is 1 ms.
fn gap(body: &[u8]) -> Duration {
    let us = find(body, GAP).and_then(|at| number(&body[at + GAP.len()..]));
    Duration::from_micros(us.unwrap_or(0).min(GAP_US_MAX) as u64)
}

fn number(value: &[u8]) -> Option<usize> {
    let digits = value.iter().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(&value[..digits]).ok()?.parse().ok()
}

/// What follows the first `"name":`. The bodies are the benchmark's own: no
/// parser is needed, and one would cost what the gateways are measured for.
fn field<'a>(body: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let rest = body[find(body, name)? + name.len()..].trim_ascii_start();
    Some(rest.strip_prefix(b":")?.trim_ascii_start())
}

fn chunk(event: &str) -> Vec<u8> {
    format!("{:x}\r\n{event}\r\n", event.len()).into_bytes()
}

/// The two answers, rendered again each second because the reset headers tell
/// the time.
struct Reply {
    second: u64,
    message: Vec<u8>,
    stream_head: Vec<u8>,
}

impl Reply {
    fn new() -> Self {
        Self { second: 0, message: Vec::new(), stream_head: Vec::new() }
    }

    fn message(&mut self) -> &[u8] {
        self.refresh();
        &self.message
    }

    fn stream_head(&mut self) -> &[u8] {
        self.refresh();
        &self.stream_head
    }

    fn refresh(&mut self) {
        let second =
            SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        if second == self.second {
            return;
        }
        self.second = second;
        let limits = limit_headers(second);
        self.message = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n{limits}\r\n{MESSAGE}",
            MESSAGE.len()
        )
        .into_bytes();
        self.stream_head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\ntransfer-encoding: chunked\r\n{limits}\r\n"
        )
        .into_bytes();
    }
}

/// The headers of an account that is far from every limit, full again now
/// (names and forms: https://docs.claude.com/en/api/rate-limits, 2026-11).
fn limit_headers(second: u64) -> String {
    let reset = rfc3339(second);
    let mut headers = String::from("request-id: req_011CTtnzxQW5TnhQoJ1qVhYa\r\n");
    for kind in ["requests", "tokens", "input-tokens", "output-tokens"] {
        let level = if kind == "requests" { 100_000_000_u64 } else { 100_000_000_000 };
        for (what, value) in [
            ("limit", level.to_string()),
            ("remaining", level.to_string()),
            ("reset", reset.clone()),
        ] {
            headers.push_str(&format!("anthropic-ratelimit-{kind}-{what}: {value}\r\n"));
        }
    }
    headers
}

/// `second` since the Unix epoch as UTC (Howard Hinnant's days-to-civil).
fn rfc3339(second: u64) -> String {
    let (days, rest) = (second / 86_400 + 719_468, second % 86_400);
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (rest / 3_600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

const MESSAGE: &str = r#"{"id":"msg_01XFDUDYJgAACzvnptvVoYEL","type":"message","role":"assistant","model":"claude-sonnet-5-5","content":[{"type":"text","text":"Hello! How can I help you today? I can answer questions, write and explain code, or look at a text with you."}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":25,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"cache_creation":{"ephemeral_5m_input_tokens":0,"ephemeral_1h_input_tokens":0},"output_tokens":28,"service_tier":"standard"}}"#;
const MESSAGE_START: &str = concat!(
    "event: message_start\ndata: ",
    r#"{"type":"message_start","message":{"id":"msg_01XFDUDYJgAACzvnptvVoYEL","type":"message","role":"assistant","model":"claude-sonnet-5-5","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":25,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"cache_creation":{"ephemeral_5m_input_tokens":0,"ephemeral_1h_input_tokens":0},"output_tokens":1,"service_tier":"standard"}}}"#,
    "\n\n"
);
const BLOCK_START: &str = "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n";
const BLOCK_DELTA: &str = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\" and a few more words\"}}\n\n";
const BLOCK_STOP: &str =
    "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n";
const MESSAGE_STOP: &str = "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_found_in_a_body() {
        for (body, stream, count, gap_us) in [
            (r#"{"stream":true,"max_tokens":2000}"#, true, 2000, 0),
            (r#"{"max_tokens" : 7 , "stream" : true}"#, true, 7, 0),
            (
                r#"{"stream":false,"metadata":{"user_id":"gap_us=1500"}}"#,
                false,
                EVENTS_DEFAULT,
                1500,
            ),
            (r#"{"max_tokens":99999999999999999999999,"x":"gap_us="}"#, false, EVENTS_DEFAULT, 0),
            ("gap_us=99999999999", false, EVENTS_DEFAULT, 60_000_000),
            ("", false, EVENTS_DEFAULT, 0),
        ] {
            assert_eq!(gap(body.as_bytes()), Duration::from_micros(gap_us), "{body}");
            assert_eq!(
                (is_stream(body.as_bytes()), events(body.as_bytes())),
                (stream, count),
                "{body}"
            );
        }
    }

    #[test]
    fn reset_headers_are_rfc_3339() {
        for (second, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_827_696, "2000-02-29T12:34:56Z"),
            (1_767_225_599, "2025-12-31T23:59:59Z"),
            (1_796_083_200, "2026-12-01T00:00:00Z"),
        ] {
            assert_eq!(rfc3339(second), text);
        }
    }
}

//! `load run`: C connections, each sends its next request when the answer to
//! the last one is complete. What a client of an API sees: latency to the last
//! byte, time to the first, statuses, and streams without their end mark.

use crate::histogram::Histogram;
use crate::http::{Wire, find};
use serde_json::{Map, Value, json};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{Error, ErrorKind, Result};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::LocalSet;

/// So many connections broken in a row without one answer end the run: what it
/// would measure is gone.
const BROKEN_MAX: u64 = 1_000;

/// What to press, and how hard.
#[derive(clap::Args, Clone)]
pub(crate) struct Plan {
    /// Where to: http://HOST:PORT/PATH.
    #[arg(long)]
    url: String,
    /// Connections, each with one request in flight.
    #[arg(long, default_value_t = 1)]
    connections: usize,
    /// Stop after so many seconds.
    #[arg(long, required_unless_present = "requests")]
    seconds: Option<u64>,
    /// Stop after so many requests.
    #[arg(long)]
    requests: Option<u64>,
    /// No more requests a second than this, over all connections.
    #[arg(long)]
    rate: Option<u64>,
    /// Sent as x-api-key.
    #[arg(long)]
    key: Option<String>,
    /// Another header, NAME: VALUE; may be repeated.
    #[arg(long = "header")]
    headers: Vec<String>,
    /// The file that holds the body; without it the request is a GET.
    #[arg(long)]
    body: Option<PathBuf>,
    /// The answers are event streams and must end with message_stop.
    #[arg(long)]
    stream: bool,
}

/// Runs `plan` to its end and says what happened.
///
/// # Errors
/// When the URL or the body cannot be read, or the first connection fails.
pub(crate) async fn run(plan: Plan) -> Result<Value> {
    let (address, request) = request(&plan)?;
    TcpStream::connect(&address).await?;
    let start = Instant::now();
    let pace = plan
        .rate
        .map(|rate| Duration::from_secs(1) / u32::try_from(rate.max(1)).unwrap_or(u32::MAX));
    let tally = Rc::new(RefCell::new(Tally::new(plan.requests, start, pace)));
    let end = plan.seconds.map(|seconds| start + Duration::from_secs(seconds));
    let local = LocalSet::new();
    for _ in 0..plan.connections.max(1) {
        let (address, request, tally) = (address.clone(), request.clone(), tally.clone());
        local.spawn_local(async move {
            while tally.borrow().left() && end.is_none_or(|end| Instant::now() < end) {
                if press(&address, &request, plan.stream, end, &tally).await.is_err() {
                    tally.borrow_mut().broke();
                }
            }
        });
    }
    local.await;
    let seconds = start.elapsed().as_secs_f64();
    Ok(tally.borrow().report(seconds))
}

/// One connection's life: requests one after the other until the plan ends or
/// the connection does.
async fn press(
    address: &str,
    request: &[u8],
    stream: bool,
    end: Option<Instant>,
    tally: &RefCell<Tally>,
) -> Result<()> {
    let mut wire = Wire::new(TcpStream::connect(address).await?)?;
    while tally.borrow_mut().begin() {
        let due = tally.borrow_mut().due();
        if let Some(due) = due.filter(|due| end.is_none_or(|end| *due < end)) {
            tokio::time::sleep_until(due.into()).await;
        }
        let sent = Instant::now();
        wire.socket.write_all(request).await?;
        let head = wire.head().await?.ok_or(ErrorKind::UnexpectedEof)?;
        let (mut first, mut tail, mut bytes) = (None, Tail::new(), 0);
        wire.body(head.length, |part| {
            bytes += part.len() as u64;
            if stream {
                first.get_or_insert_with(Instant::now);
                tail.push(part);
            }
        })
        .await?;
        let now = Instant::now();
        let mut tally = tally.borrow_mut();
        tally.done(head.status, bytes, now - sent);
        if stream && head.status == 200 {
            if let Some(first) = first {
                tally.first_byte.record(micros(first - sent));
            }
            if !tail.is_stopped() {
                tally.unfinished += 1;
            }
        }
        if head.close || end.is_some_and(|end| now >= end) {
            break;
        }
    }
    Ok(())
}

/// The last bytes of a stream, where its end mark has to be.
struct Tail {
    bytes: [u8; 64],
    length: usize,
}

impl Tail {
    fn new() -> Self {
        Self { bytes: [0; 64], length: 0 }
    }

    fn push(&mut self, part: &[u8]) {
        let size = self.bytes.len();
        let part = &part[part.len().saturating_sub(size)..];
        let kept = self.length.min(size - part.len());
        self.bytes.copy_within(self.length - kept..self.length, 0);
        self.bytes[kept..kept + part.len()].copy_from_slice(part);
        self.length = kept + part.len();
    }

    fn is_stopped(&self) -> bool {
        find(&self.bytes[..self.length], b"\"message_stop\"").is_some()
    }
}

struct Tally {
    to_send: Option<u64>,
    /// When the next request may be sent, and the time between two.
    next: Instant,
    pace: Option<Duration>,
    statuses: BTreeMap<u16, u64>,
    bytes: u64,
    /// Connections that ended within an answer.
    broken: u64,
    broken_in_a_row: u64,
    /// Streams that ended without message_stop.
    unfinished: u64,
    latency: Histogram,
    first_byte: Histogram,
}

impl Tally {
    fn new(to_send: Option<u64>, next: Instant, pace: Option<Duration>) -> Self {
        Self {
            to_send,
            next,
            pace,
            statuses: BTreeMap::new(),
            bytes: 0,
            broken: 0,
            broken_in_a_row: 0,
            unfinished: 0,
            latency: Histogram::new(),
            first_byte: Histogram::new(),
        }
    }

    fn left(&self) -> bool {
        self.to_send != Some(0) && self.broken_in_a_row < BROKEN_MAX
    }

    fn broke(&mut self) {
        self.broken += 1;
        self.broken_in_a_row += 1;
    }

    /// Takes one request of those to send; false when none is left.
    fn begin(&mut self) -> bool {
        let left = self.left();
        self.to_send = self.to_send.map(|count| count.saturating_sub(1));
        left
    }

    /// When the request that begins may be sent; none: now.
    fn due(&mut self) -> Option<Instant> {
        let due = self.next;
        self.next += self.pace?;
        Some(due)
    }

    fn done(&mut self, status: u16, bytes: u64, latency: Duration) {
        *self.statuses.entry(status).or_default() += 1;
        self.bytes += bytes;
        self.broken_in_a_row = 0;
        self.latency.record(micros(latency));
    }

    fn report(&self, seconds: f64) -> Value {
        let total = self.latency.total();
        let ok = self.statuses.get(&200).copied().unwrap_or_default();
        let statuses: Map<String, Value> = self
            .statuses
            .iter()
            .map(|(status, count)| (status.to_string(), json!(count)))
            .collect();
        json!({
            "seconds": seconds,
            "requests": total,
            "ok": ok,
            "ok_per_s": ok as f64 / seconds,
            "statuses": statuses,
            "broken": self.broken,
            "unfinished": self.unfinished,
            "bytes": self.bytes,
            "latency_us": quantiles(&self.latency),
            "first_byte_us": quantiles(&self.first_byte),
        })
    }
}

fn quantiles(histogram: &Histogram) -> Value {
    json!({
        "p50": histogram.quantile(500),
        "p90": histogram.quantile(900),
        "p95": histogram.quantile(950),
        "p99": histogram.quantile(990),
        "p999": histogram.quantile(999),
        "max": histogram.max(),
    })
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// The address to connect to and the bytes to send each time.
fn request(plan: &Plan) -> Result<(String, Rc<[u8]>)> {
    let invalid = |what: &str| Error::new(ErrorKind::InvalidInput, what.to_owned());
    let rest =
        plan.url.strip_prefix("http://").ok_or_else(|| invalid("--url must begin with http://"))?;
    let (host, path) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, "/"),
    };
    let body = plan.body.as_ref().map(std::fs::read).transpose()?;
    let method = if body.is_some() { "POST" } else { "GET" };
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\n");
    if let Some(key) = &plan.key {
        head.push_str(&format!("x-api-key: {key}\r\n"));
    }
    for header in &plan.headers {
        head.push_str(&format!("{header}\r\n"));
    }
    if let Some(body) = &body {
        head.push_str(&format!(
            "anthropic-version: 2023-06-01\r\ncontent-type: application/json\r\ncontent-length: {}\r\n",
            body.len()
        ));
    }
    head.push_str("\r\n");
    let mut bytes = head.into_bytes();
    bytes.extend(body.unwrap_or_default());
    Ok((host.to_owned(), bytes.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream;
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;

    fn plan(address: std::net::SocketAddr, body: &str, name: &str) -> Plan {
        let file =
            std::env::temp_dir().join(format!("tollgate-load-{}-{name}", std::process::id()));
        std::fs::write(&file, body).expect("the temporary directory can be written");
        Plan {
            url: format!("http://{address}/v1/messages"),
            connections: 4,
            seconds: None,
            requests: Some(100),
            rate: None,
            key: Some("tg_sk_test".into()),
            headers: vec![],
            body: Some(file),
            stream: body.contains("stream"),
        }
    }

    /// What a run of `body` against the fast provider reports.
    async fn against_upstream(body: &str, name: &str) -> Value {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let plan = plan(listener.local_addr().expect("it is bound"), body, name);
        tokio::select! {
            _ = upstream::serve(listener) => unreachable!("it serves without end"),
            report = run(plan) => report.expect("the provider answers"),
        }
    }

    /// What a run reports when every connection gets `answer` and is closed.
    async fn against_bytes(answer: &'static [u8], name: &str) -> Value {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let plan = plan(listener.local_addr().expect("it is bound"), r#"{"stream":true}"#, name);
        let serve = async {
            loop {
                let (mut socket, _) = listener.accept().await.expect("loopback connects");
                let mut request = [0; 1024];
                // The probe connection of `run` closes without a request.
                if socket.read(&mut request).await.unwrap_or_default() > 0 {
                    socket.write_all(answer).await.unwrap_or_default();
                }
            }
        };
        tokio::select! {
            () = serve => unreachable!("it serves without end"),
            report = run(plan) => report.expect("the first connection stands"),
        }
    }

    #[tokio::test]
    async fn exactly_the_requests_asked_for_are_sent_and_counted() {
        let report = against_upstream(r#"{"max_tokens":20}"#, "plain").await;
        assert_eq!(report["statuses"], json!({"200": 100}));
        assert_eq!(report["broken"], 0);
        assert!(report["latency_us"]["p50"].as_u64() > Some(0));
    }

    #[tokio::test]
    async fn a_stream_has_as_many_events_as_max_tokens_and_its_end_mark() {
        let short = against_upstream(r#"{"stream": true, "max_tokens": 20}"#, "short").await;
        let long = against_upstream(r#"{"stream": true, "max_tokens": 220}"#, "long").await;
        for report in [&short, &long] {
            assert_eq!(
                (&report["ok"], &report["unfinished"]),
                (&json!(100), &json!(0)),
                "{report}"
            );
        }
        let bytes = |report: &Value| report["bytes"].as_u64().expect("a count");
        let delta = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\" and a few more words\"}}\n\n";
        // 200 more deltas each, and output_tokens has a digit more (15, 215).
        assert_eq!(bytes(&long) - bytes(&short), 100 * (200 * delta.len() as u64 + 1));
    }

    #[tokio::test]
    async fn a_stream_without_message_stop_is_unfinished() {
        let answer = b"HTTP/1.1 200 OK\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n5\r\nevent\r\n0\r\n\r\n";
        let report = against_bytes(answer, "unfinished").await;
        assert_eq!((&report["ok"], &report["unfinished"]), (&json!(100), &json!(100)), "{report}");
    }

    #[tokio::test]
    async fn a_connection_cut_within_an_answer_is_broken_and_not_counted_as_an_answer() {
        let report =
            against_bytes(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf", "cut").await;
        assert_eq!((&report["requests"], &report["broken"]), (&json!(0), &json!(100)), "{report}");
    }

    #[tokio::test]
    async fn refusals_are_counted_by_status() {
        let report =
            against_bytes(b"HTTP/1.1 429 Too Many\r\nconnection: close\r\n\r\n", "429").await;
        assert_eq!(
            (&report["statuses"], &report["ok"]),
            (&json!({"429": 100}), &json!(0)),
            "{report}"
        );
    }

    #[test]
    fn a_rate_spaces_requests_over_all_connections() {
        let start = Instant::now();
        let mut tally = Tally::new(None, start, Some(Duration::from_millis(20)));
        let due: Vec<_> = (0..3).filter_map(|_| tally.due()).map(|due| due - start).collect();
        assert_eq!(due, [0, 20, 40].map(Duration::from_millis));
        assert_eq!(Tally::new(None, start, None).due(), None);
    }

    #[test]
    fn the_end_mark_is_found_across_pieces() {
        for cut in 0..30 {
            let text = b"data: {\"type\":\"message_stop\"}\n\n";
            let mut tail = Tail::new();
            [&[b'x'; 200][..], &text[..cut], &text[cut..]].iter().for_each(|part| tail.push(part));
            assert!(tail.is_stopped(), "{cut}");
        }
    }
}

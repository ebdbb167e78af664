//! Sending an answer at its pace: output is deducted as it is generated, and
//! generation stops when the connection closes, because then hyper drops the
//! handler or the body, and with it [`Running`].

use super::messages::SharedPool;
use super::{Exchange, Refusal, digest_hex, json_response};
use crate::answer::Answer;
use crate::error::ApiError;
use crate::fault::{Fault, What, overloaded};
use crate::sse::{self, Envelope, Frame, Frames};
use crate::state::{Seen, State, lock, sha256};
use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use bytes::Bytes;
use sha2::{Digest, Sha256};
use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;

/// A whole answer is generated in steps of this, so that a closed connection
/// stops it soon.
const STEP_MS: u64 = 50;

/// An admitted request while it runs.
pub(super) struct Running {
    pool: SharedPool,
    state: Arc<State>,
    complete: bool,
}

impl Running {
    /// Of a request that `pool` admitted.
    pub(super) fn new(pool: SharedPool, state: Arc<State>) -> Self {
        Self { pool, state, complete: false }
    }

    fn generated(&self, tokens: u64) {
        if tokens > 0 {
            lock(&self.pool).generated(self.state.now_ms(), tokens);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        lock(&self.pool).end(!self.complete);
    }
}

/// What is to be sent.
pub(super) struct Generation {
    pub(super) answer: Answer,
    pub(super) envelope: Envelope,
    pub(super) running: Running,
    pub(super) fault: Option<Fault>,
}

impl Exchange {
    /// A whole JSON answer, remembered.
    pub(super) fn whole_body(&self, status: u16, body: String) -> Response {
        let mut seen = lock(&self.seen);
        seen.answer_bytes = body.len() as u64;
        seen.answer_sha256 = Some(sha256(body.as_bytes()));
        seen.complete = true;
        drop(seen);
        json_response(status, body)
    }
}

/// One JSON when everything is generated.
pub(super) async fn whole(
    generation: Generation,
    exchange: &Exchange,
) -> Result<Response, Refusal> {
    let Generation { answer, envelope, mut running, fault } = generation;
    let begun = Instant::now();
    let mut generated = 0;
    while generated < answer.output_tokens {
        let upto = match answer.tokens_per_s {
            0 => answer.output_tokens,
            rate => {
                let left = span(answer.output_tokens, rate).saturating_sub(begun.elapsed());
                tokio::time::sleep(left.min(Duration::from_millis(STEP_MS))).await;
                let elapsed = begun.elapsed().as_millis() as u64;
                (elapsed.saturating_mul(rate) / 1_000).min(answer.output_tokens)
            }
        };
        running.generated(upto.saturating_sub(generated));
        generated = upto.max(generated);
    }
    let body = sse::message(&answer, &envelope);
    let half = body.floor_char_boundary(body.len() / 2);
    let (first, rest) = body.split_at(half);
    let (first, rest) = (first.to_owned(), rest.to_owned());
    let what = fault.map(|fault| fault.what);
    let broken: Vec<Part> = match what {
        Some(What::ErrorMidStream) => {
            running.complete = true;
            return Err(ApiError::new(500, "api_error", "Internal server error").into());
        }
        Some(What::Cut | What::CutMidEvent) => vec![Part::Bytes(first.into()), Part::Cut],
        Some(What::EndEarly) => vec![Part::Bytes(first.into())],
        Some(What::Stall) => {
            let span = fault.and_then(|fault| fault.ms);
            vec![Part::Bytes(first.into()), Part::Wait(span), Part::Bytes(rest.into())]
        }
        _ => {
            running.complete = true;
            return Ok(exchange.whole_body(200, body));
        }
    };
    let parts = Parts { parts: broken.into(), record: Record::new(exchange), running };
    let mut response = Response::new(Body::from_stream(futures_util::stream::unfold(
        parts,
        |mut parts| async move { Some((parts.next().await?, parts)) },
    )));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    Ok(response)
}

enum Part {
    Bytes(Bytes),
    Wait(Option<u64>),
    Cut,
}

struct Parts {
    parts: VecDeque<Part>,
    record: Record,
    running: Running,
}

impl Parts {
    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        loop {
            match self.parts.pop_front() {
                Some(Part::Bytes(bytes)) => return Some(Ok(self.record.add(bytes))),
                Some(Part::Wait(span)) => wait(span).await,
                Some(Part::Cut) => return Some(Err(cut().await)),
                None => {
                    self.record.end();
                    self.running.complete = true;
                    return None;
                }
            }
        }
    }
}

/// Server-sent events, one at a time.
pub(super) fn events(generation: Generation, exchange: &Exchange) -> Response {
    let Generation { answer, envelope, running, fault } = generation;
    let sending = Sending {
        tokens_per_s: answer.tokens_per_s,
        begun: Instant::now(),
        frames: sse::frames(answer, envelope),
        generated: 0,
        deltas: 0,
        fault,
        ends: None,
        request_id: exchange.request_id.clone(),
        record: Record::new(exchange),
        running,
    };
    let stream = futures_util::stream::unfold(sending, |mut sending| async move {
        Some((sending.next().await?, sending))
    });
    let mut response = Response::new(Body::from_stream(stream));
    let headers = response.headers_mut();
    let content_type = HeaderValue::from_static("text/event-stream; charset=utf-8");
    headers.insert(header::CONTENT_TYPE, content_type);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

struct Sending {
    frames: Frames,
    begun: Instant,
    tokens_per_s: u64,
    generated: u64,
    deltas: u64,
    fault: Option<Fault>,
    ends: Option<Ending>,
    request_id: String,
    record: Record,
    running: Running,
}

#[derive(Clone, Copy)]
enum Ending {
    /// The body ends.
    Quietly,
    /// The connection breaks.
    Cut,
}

impl Sending {
    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        match self.ends {
            Some(Ending::Cut) => return Some(Err(cut().await)),
            Some(Ending::Quietly) => return self.over(),
            None => {}
        }
        let due = self.fault.filter(|fault| self.deltas >= fault.after());
        if let Some(fault) = due {
            self.fault = None;
            if let Some(bytes) = self.strike(fault).await {
                return Some(Ok(self.record.add(bytes)));
            }
            match self.ends {
                Some(Ending::Cut) => return Some(Err(cut().await)),
                Some(Ending::Quietly) => return self.over(),
                None => {}
            }
        }
        let Some(frame) = self.frames.next() else { return self.over() };
        self.generate(&frame).await;
        self.deltas += u64::from(frame.delta);
        Some(Ok(self.record.add(frame.bytes)))
    }

    /// Waits until the frame's tokens are due, and deducts them.
    async fn generate(&mut self, frame: &Frame) {
        self.generated += frame.tokens;
        if self.tokens_per_s > 0 && frame.tokens > 0 {
            let due = self.begun + span(self.generated, self.tokens_per_s);
            tokio::time::sleep_until(due).await;
        }
        self.running.generated(frame.tokens);
    }

    /// A fault's own bytes, if it has any; `ends` says how it goes on.
    async fn strike(&mut self, fault: Fault) -> Option<Bytes> {
        match fault.what {
            What::ErrorMidStream => {
                self.ends = Some(Ending::Quietly);
                Some(sse::event("error", &overloaded().body(&self.request_id)))
            }
            What::Cut => {
                self.ends = Some(Ending::Cut);
                None
            }
            What::CutMidEvent => {
                self.ends = Some(Ending::Cut);
                let frame = self.frames.next()?;
                self.generate(&frame).await;
                Some(frame.bytes.slice(..frame.bytes.len() / 2))
            }
            What::EndEarly => {
                self.ends = Some(Ending::Quietly);
                None
            }
            What::Stall => {
                wait(fault.ms).await;
                None
            }
            What::UnknownEvent => {
                Some(sse::event("novelty", r#"{"type":"novelty","novel":{"field":1}}"#))
            }
            _ => None,
        }
    }

    fn over(&mut self) -> Option<io::Result<Bytes>> {
        self.record.end();
        self.running.complete = true;
        None
    }
}

/// What was handed to the connection, hashed on the way.
struct Record {
    seen: Arc<Mutex<Seen>>,
    digest: Option<Sha256>,
    bytes: u64,
    complete: bool,
}

impl Record {
    fn new(exchange: &Exchange) -> Self {
        let digest = Some(Sha256::new());
        Self { seen: exchange.seen.clone(), digest, bytes: 0, complete: false }
    }

    fn add(&mut self, bytes: Bytes) -> Bytes {
        self.bytes += bytes.len() as u64;
        if let Some(digest) = &mut self.digest {
            digest.update(&bytes);
        }
        bytes
    }

    fn end(&mut self) {
        self.complete = true;
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let mut seen = lock(&self.seen);
        seen.answer_bytes = self.bytes;
        seen.answer_sha256 = self.digest.take().map(digest_hex);
        seen.complete = self.complete;
    }
}

fn span(tokens: u64, tokens_per_s: u64) -> Duration {
    Duration::from_millis(tokens.saturating_mul(1_000) / tokens_per_s.max(1))
}

async fn wait(ms: Option<u64>) {
    match ms {
        Some(ms) => tokio::time::sleep(Duration::from_millis(ms)).await,
        None => std::future::pending().await,
    }
}

/// Hyper throws away what it has not flushed when a body fails, and flushes when
/// a body has nothing ready: so the events before the cut reach the client.
async fn cut() -> io::Error {
    tokio::task::yield_now().await;
    io::Error::other("cut, as asked for")
}

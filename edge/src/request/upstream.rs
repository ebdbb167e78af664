//! Step 7: what goes to the provider, and what its response means.
//!
//! Headers pass by allow-list both ways (invariant 10): the caller's credential
//! never goes up, the account's identity never comes down.

use limits::message::{self, Event, Millis, Observation};
use providers::anthropic::answer;
use providers::anthropic::errors::{Class, classify};
use providers::anthropic::headers::{Level, RateHeaders, levels};
use providers::anthropic::request::Api;
use providers::anthropic::stream::Meter;

use super::errors::Problem;
use super::parse::Endpoint;
use super::{Call, Headers, Passage, admit, delivery, meter};
use crate::isolate::Isolate;
use crate::journey::{Answer, Close, Step};

/// Request headers that pass as they are.
const UP: [&str; 5] =
    ["content-type", "accept", "user-agent", "anthropic-version", "anthropic-beta"];
/// Response headers that pass as they are.
const DOWN: [&str; 5] =
    ["content-type", "request-id", "retry-after", "retry-after-ms", "x-should-retry"];
/// In production a connection that could not be made comes as a response of
/// Cloudflare's: down, timed out, unreachable, TLS failed, certificate refused
/// (Cloudflare's 5xx errors, 2026-11). The origin saw nothing of the request.
const UNCONNECTED: [u16; 5] = [521, 522, 523, 525, 526];
/// One attempt more where the connection could not be made.
const CONNECTS_MAX: u32 = 2;
/// Attempts before a rate limit of the provider's reaches the client: the mirror
/// is wrong by then, and the free plan allows 50 calls a request.
const ATTEMPTS_MAX: u32 = 10;
/// A running stream renews its ticket this often: well within the ticket's 15
/// minutes, and a stream of ten minutes stays below the free plan's 50 calls.
const RENEW_MS: Millis = 30_000;

/// What to send.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outgoing {
    /// Where.
    pub url: String,
    /// With which headers.
    pub headers: Headers,
    /// How long until the response's head.
    pub first_byte_ms: Millis,
    /// How long between two pieces of the body.
    pub between_bytes_ms: Millis,
    /// How long from sending to the body's end.
    pub total_ms: Millis,
}

/// One attempt upstream.
pub struct Attempt {
    sent_ms: Millis,
    connects: u32,
    status: u16,
    rate: RateHeaders,
    /// Of a stream.
    pub meter: Meter,
    renewed_ms: Millis,
    streams: bool,
}

impl Attempt {
    /// Whether its answer is a stream.
    pub fn streams(&self) -> bool {
        self.streams
    }

    /// Whether its ticket should be renewed.
    pub fn renewal_due(&self, now: Millis) -> bool {
        now.saturating_sub(self.renewed_ms) >= RENEW_MS
    }

    /// It was renewed.
    pub fn renewed(&mut self, now: Millis) {
        self.renewed_ms = now;
    }
}

/// What to send, now.
pub(super) fn outgoing(passage: &mut Passage, isolate: &Isolate, now: Millis) -> Outgoing {
    let Some(call) = &passage.call else { return Outgoing::default() };
    let query = &passage.head.query;
    let query = if query.is_empty() { String::new() } else { format!("?{query}") };
    let path = match &passage.endpoint {
        // The SDK's beta namespace asks with `?beta=true`.
        Endpoint::Post(Api::Messages) => format!("/v1/messages{query}"),
        Endpoint::Post(Api::CountTokens) => format!("/v1/messages/count_tokens{query}"),
        Endpoint::Unmetered(path) => path.clone(),
    };
    let mut headers = Headers::default();
    for (name, value) in passage.head.headers.iter().filter(|(name, _)| UP.contains(name)) {
        headers.add(name, value);
    }
    // What is compressed could not be metered, and would be decoded on the way.
    headers.add("accept-encoding", "identity");
    let key = isolate.deployment.as_ref().and_then(|d| d.provider_key(&call.route.secret));
    headers.add("x-api-key", key.unwrap_or_default());
    let connects = passage.attempt.as_ref().map_or(0, |attempt| attempt.connects) + 1;
    passage.attempt = Some(Attempt {
        sent_ms: now,
        connects,
        status: 0,
        rate: RateHeaders::default(),
        meter: Meter::new(),
        renewed_ms: now,
        streams: false,
    });
    let left_ms = |ms| call.atomic.map_or(ms, |atomic| atomic.left_ms(ms, now));
    let outgoing = Outgoing {
        url: format!("{}{path}", call.route.base_url),
        headers,
        first_byte_ms: left_ms(call.route.first_byte_ms),
        between_bytes_ms: call.route.between_bytes_ms,
        total_ms: left_ms(call.route.total_ms),
    };
    if let Some(call) = &mut passage.call {
        call.ticket.sent(now);
    }
    outgoing
}

/// No response came.
pub(super) fn unanswered(passage: &mut Passage, error: &str, now: Millis) -> Result<(), Problem> {
    let connects = passage.attempt.as_ref().map_or(0, |attempt| attempt.connects);
    let never_sent = never_sent(error);
    if never_sent && connects < CONNECTS_MAX && !passage.client_left {
        passage.step = Step::Send;
        return Ok(());
    }
    let limited = matches!(passage.endpoint, Endpoint::Post(Api::Messages));
    let ticket = &mut passage.call()?.ticket;
    let event = match (never_sent, limited) {
        (true, _) => ticket.nothing(now),
        (false, true) => ticket.bound(None, None, now),
        (false, false) => ticket.counted(now),
    };
    passage.tell_some(event);
    let problem = if error.contains("first byte") {
        Problem::new(504, "timeout_error", "tollgate_upstream_timeout", "The provider sent no response in time (timeouts.first_byte_s). Stream long answers, or raise the route's time-out.")
            .after(1_000)
    } else {
        Problem::new(502, "api_error", "tollgate_upstream_unreachable", "The provider could not be reached, or closed the connection before it answered. Retry in 1 second.")
            .after(1_000)
    };
    delivery::again_or(passage, problem, now)
}

/// What a runtime says when no connection could be made, so that nothing was
/// sent. workerd alone says "Network connection lost." of that as of a connection
/// that broke later: there nothing is proven, and nothing sent again.
fn never_sent(error: &str) -> bool {
    let error = error.to_ascii_lowercase();
    [NOT_CONNECTED, "connect()", "dns lookup failed", "could not connect"]
        .iter()
        .any(|text| error.contains(text))
}

const NOT_CONNECTED: &str = "connection refused";

/// The response's head came.
pub(super) fn response(
    passage: &mut Passage,
    status: u16,
    headers: &Headers,
    now: Millis,
) -> Result<(), Problem> {
    let rate = levels(headers.iter());
    let stream = status == 200
        && headers.get("content-type").is_some_and(|kind| kind.starts_with("text/event-stream"));
    if let Some(attempt) = &mut passage.attempt {
        attempt.status = status;
        attempt.rate = rate;
        attempt.streams = stream;
        if !UNCONNECTED.contains(&status) {
            attempt.connects = 0;
        }
    }
    let mut down = Headers::default();
    let account = passage.caller.claims.scope_account;
    for (name, value) in headers.iter() {
        if DOWN.contains(&name) || (account && name.starts_with("anthropic-ratelimit-")) {
            down.add(name, value);
        }
    }
    tollgate_headers(passage, &mut down);
    passage.answer = Answer { status, headers: down, body: Vec::new(), code: None };
    if status == 200 {
        observe(passage, None, now);
    }
    let holds = status == 200 && passage.call()?.atomic.is_some();
    passage.step = match (stream, holds) {
        (true, false) => Step::Relay,
        (true, true) => Step::Hold,
        (false, true) => Step::HoldWhole,
        (false, false) => Step::Whole,
    };
    Ok(())
}

/// Our own headers on a provider's answer.
fn tollgate_headers(passage: &Passage, headers: &mut Headers) {
    headers.add("x-tollgate-request-id", &passage.head.id);
    let Some(call) = &passage.call else { return };
    headers.add("x-tollgate-provider", call.route.provider);
    if !call.ticket.model.is_empty() {
        headers.add("x-tollgate-model", &call.ticket.model);
        headers.add("x-tollgate-wait-ms", &call.admission.waited_ms.to_string());
        headers.add("x-tollgate-attempts", &(call.admission.attempt + 1).to_string());
    }
    if call.cache.is_some() {
        headers.add("x-tollgate-cache", "miss");
    }
}

/// Whether all of a response's headers are to be read, or `content-type` and
/// `request-id` do: each header read costs as much as a step of the Gate.
pub(super) fn reads_all(
    passage: &Passage,
    isolate: &mut Isolate,
    status: u16,
    now: Millis,
) -> bool {
    let Some(call) = &passage.call else { return true };
    status != 200
        || passage.caller.claims.scope_account
        || isolate.levels_due(call.ticket.pool(), now)
}

/// Tells the mirror what the response's headers said.
fn observe(passage: &mut Passage, error_code: Option<String>, now: Millis) {
    let (Some(call), Some(attempt)) = (&passage.call, &passage.attempt) else { return };
    if !matches!(passage.endpoint, Endpoint::Post(_)) {
        return;
    }
    let rate = &attempt.rate;
    let fast = call.ticket.pool().speed == "fast";
    let level = |level: Option<Level>| {
        level.map(|Level { limit, remaining, reset_ms }| message::Level {
            limit,
            remaining,
            reset_ms,
        })
    };
    let (input, output) =
        if fast { (rate.fast_input, rate.fast_output) } else { (rate.input, rate.output) };
    if attempt.status == 200 && rate.requests.is_none() && input.is_none() && output.is_none() {
        return;
    }
    let observation = Observation {
        pool: call.ticket.pool().clone(),
        ticket: call.ticket.id().to_owned(),
        attempt: call.ticket.attempt,
        sent_ms: attempt.sent_ms,
        at_ms: now,
        status: attempt.status,
        error_code,
        retry_after_ms: rate.retry_after_ms.map(|ms| ms + call.route.retry_after_extra_ms),
        requests: level(rate.requests),
        input: level(input),
        output: level(output),
    };
    passage.tell(Event::Observed(observation));
}

/// The response's whole body came.
pub(super) fn whole(passage: &mut Passage, bytes: &[u8], now: Millis) -> Result<(), Problem> {
    let status = passage.attempt.as_ref().map_or(0, |attempt| attempt.status);
    passage.step = Step::Answer;
    passage.passes_body = true;
    if status != 200 {
        return not_ok(passage, status, bytes, now);
    }
    match passage.endpoint {
        Endpoint::Post(Api::Messages) => {
            let parsed = answer::parse(bytes);
            let ticket = &mut passage.call()?.ticket;
            let event = match &parsed {
                Some(answer) => ticket.used(&answer.model, &answer.usage, now),
                None => ticket.bound(None, None, now),
            };
            passage.tell_some(event);
            tell_cost(passage)?;
            match parsed {
                Some(answer) => delivery::ended(passage, answer.stop_reason.as_deref(), now)?,
                None if passage.call()?.atomic.is_some() => delivery::ended(passage, None, now)?,
                None => passage.forget_cache_entry(),
            }
        }
        Endpoint::Post(Api::CountTokens) => {
            let event = passage.call()?.ticket.counted(now);
            passage.tell_some(event);
        }
        Endpoint::Unmetered(_) => {}
    }
    Ok(())
}

/// What all attempts cost: a head that goes at the end can tell.
fn tell_cost(passage: &mut Passage) -> Result<(), Problem> {
    let spent = passage.call()?.ticket.spent.to_string();
    passage.answer.headers.add("x-tollgate-cost-microusd", &spent);
    Ok(())
}

/// The response's stream was held to its end.
pub(super) fn held(passage: &mut Passage, now: Millis) -> Result<(), Problem> {
    passage.step = Step::Answer;
    passage.passes_body = true;
    let complete = meter::settle(passage, now);
    tell_cost(passage)?;
    let meter = passage.attempt.as_ref().map(|attempt| &attempt.meter).filter(|_| complete);
    let stop_reason = meter.and_then(|meter| meter.stop_reason()).map(str::to_owned);
    delivery::ended(passage, stop_reason.as_deref(), now)
}

/// An error of the provider's: a rate limit goes back to the queue, all else to
/// the client as it is.
fn not_ok(passage: &mut Passage, status: u16, bytes: &[u8], now: Millis) -> Result<(), Problem> {
    passage.forget_cache_entry();
    if UNCONNECTED.contains(&status) {
        return unanswered(passage, NOT_CONNECTED, now);
    }
    let error = classify(status, bytes);
    observe(passage, error.error_code.clone(), now);
    let event = passage.call()?.ticket.nothing(now);
    if let Endpoint::Post(_) = passage.endpoint {
        passage.tell_some(event);
        let waits = matches!(error.class, Class::Rate | Class::Ramp);
        let Call { admission, ticket, .. } = passage.call()?;
        let again = !ticket.unasked && admission.attempt + 1 < ATTEMPTS_MAX;
        if status == 429 && waits && again && !passage.client_left {
            return admit::again(passage);
        }
    }
    if passage.answer.headers.get("x-should-retry").is_none() {
        passage.answer.headers.add("x-should-retry", if error.retry { "true" } else { "false" });
    }
    Ok(())
}

/// The connection broke within a body that was to be read whole.
pub(super) fn broke(passage: &mut Passage, why: Close, now: Millis) -> Result<(), Problem> {
    if passage.attempt.as_ref().is_some_and(Attempt::streams) {
        meter::settle(passage, now);
    } else {
        let event = passage.call()?.ticket.bound(None, None, now);
        passage.tell_some(event);
    }
    match why {
        Close::TooLarge => Err(delivery::too_large()),
        _ => delivery::again_or(passage, Problem::upstream_broken(), now),
    }
}

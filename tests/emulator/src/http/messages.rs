//! `POST /v1/messages` and `/v1/messages/count_tokens`: check, admit, generate.

use super::send::{self, Generation};
use super::{COUNTED_INLINE_BYTES_MAX, Exchange, Refusal, headers};
use crate::answer::Answer;
use crate::catalog::COUNT_TOKENS;
use crate::error::ApiError;
use crate::fault::{Fault, What};
use crate::ordered::{json, object};
use crate::pool::{Kind, Levels, Pool, Refused};
use crate::prompt::Prompt;
use crate::request::{Request, Version};
use crate::sse::Envelope;
use crate::state::{Organisation, lock};
use axum::http::HeaderMap;
use axum::response::Response;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A slow first byte where no span is told: longer than most time-outs.
const SLOW_FIRST_BYTE_MS: u64 = 30_000;

/// Answers a Messages request.
pub(super) async fn create(
    exchange: &Exchange,
    organisation: &Organisation,
) -> Result<Response, Refusal> {
    let Admitted { generation, levels, stream, prompt, asked_ms } = admit(exchange, organisation)?;
    let first_byte_ms = match exchange.fault {
        Some(Fault { what: What::SlowFirstByte, ms, .. }) => ms.unwrap_or(SLOW_FIRST_BYTE_MS),
        _ => generation.answer.ttft_ms,
    };
    if first_byte_ms > 0 {
        tokio::time::sleep(Duration::from_millis(first_byte_ms)).await;
    }
    // Others read what this one writes once its response begins (docs, prompt caching).
    lock(&organisation.cache).store(&prompt, asked_ms);
    let mut response = if stream {
        send::events(generation, exchange)
    } else {
        send::whole(generation, exchange).await?
    };
    response.headers_mut().extend(levels);
    Ok(response)
}

struct Admitted {
    generation: Generation,
    levels: HeaderMap,
    stream: bool,
    prompt: Prompt,
    asked_ms: u64,
}

fn admit(exchange: &Exchange, organisation: &Organisation) -> Result<Admitted, Refusal> {
    let state = &exchange.state;
    let request = heavy(exchange, |body, version| Request::read(body, &state.catalog, version))?;
    let pool = state.pool(organisation, &pool_name(&request.model.class, request.fast));
    let now_ms = state.now_ms();
    let input = lock(&organisation.cache).usage(&request.prompt, now_ms);
    let (admitted, levels) = {
        let mut pool = lock(&pool);
        (pool.admit(now_ms, input.limited(), input.read), pool.levels(now_ms))
    };
    let levels = headers::rate_limit(&levels, request.fast);
    if let Err(refused) = admitted {
        return Err(refusal(&refused, levels));
    }
    let running = send::Running::new(pool, state.clone());
    let service = &state.settings.service;
    let seed = service.seed ^ u64::from_le_bytes(exchange.body_sha256) ^ exchange.controls.seed;
    let answer = Answer::plan(&request, &exchange.controls, service, seed);
    let envelope = Envelope {
        id: format!("msg_emulator{:012x}", exchange.number + 1),
        model: request.model.id.clone(),
        input,
        fast: request.fast,
    };
    let generation = Generation { answer, envelope, running, fault: exchange.fault };
    let Request { stream, prompt, .. } = request;
    Ok(Admitted { generation, levels, stream, prompt, asked_ms: now_ms })
}

/// Answers a token counting request: free, with a requests limit of its own.
pub(super) async fn count(
    exchange: &Exchange,
    organisation: &Organisation,
) -> Result<Response, Refusal> {
    let state = &exchange.state;
    let request =
        heavy(exchange, |body, version| Request::read_count(body, &state.catalog, version))?;
    let pool = state.pool(organisation, COUNT_TOKENS);
    let now_ms = state.now_ms();
    let mut pool = lock(&pool);
    let admitted = pool.admit(now_ms, 0, 0);
    let headers = headers::requests_only(&pool.levels(now_ms));
    match admitted {
        Err(refused) => Err(refusal(&refused, headers)),
        Ok(()) => {
            pool.end(false);
            let counted = object! { "input_tokens": json(request.prompt.tokens()) };
            let mut response = exchange.whole_body(200, counted);
            response.headers_mut().extend(headers);
            Ok(response)
        }
    }
}

/// The levels that a feigned 429 tells: the pool's own, with nothing left of the
/// limit that refuses. None where key or model mean nothing.
pub(super) fn feigned_levels(exchange: &Exchange, fault: &Fault) -> HeaderMap {
    let levels = || -> Option<HeaderMap> {
        let body = exchange.body.as_ref()?;
        let (model, _) = exchange.state.catalog.model(body.get("model")?.as_str()?)?;
        let organisation = exchange.state.organisation(exchange.key()?)?;
        let fast = model.fast && body.get("speed").is_some_and(|speed| speed == "fast");
        let pool = exchange.state.pool(&organisation, &pool_name(&model.class, fast));
        let now_ms = exchange.state.now_ms();
        let mut levels: Levels = lock(&pool).levels(now_ms);
        let empty = match fault.limit()? {
            Kind::Requests => &mut levels.requests,
            Kind::Input => &mut levels.input,
            Kind::Output => &mut levels.output,
        };
        empty.remaining = 0;
        empty.full_at_ms = now_ms + 60_000; // a minute's worth is missing
        Some(headers::rate_limit(&levels, fast))
    };
    levels().unwrap_or_default()
}

fn refusal(refused: &Refused, levels: HeaderMap) -> Refusal {
    Refusal { error: ApiError::rate_limited(refused), headers: Box::new(levels) }
}

fn pool_name(class: &str, fast: bool) -> String {
    if fast { format!("{class}/fast") } else { class.to_owned() }
}

/// Checks and counts; a large body does not hold up the runtime's thread.
fn heavy<'a, T>(
    exchange: &'a Exchange,
    check: impl FnOnce(&'a serde_json::Value, Version) -> Result<T, ApiError>,
) -> Result<T, ApiError> {
    let version = exchange.headers.get("anthropic-version").and_then(|v| v.to_str().ok());
    let version = Version::read(version)?;
    let body = exchange.body.as_ref().unwrap_or(&serde_json::Value::Null);
    let multi_thread = tokio::runtime::Handle::current().runtime_flavor()
        == tokio::runtime::RuntimeFlavor::MultiThread;
    if multi_thread && lock(&exchange.seen).body_bytes > COUNTED_INLINE_BYTES_MAX as u64 {
        tokio::task::block_in_place(|| check(body, version))
    } else {
        check(body, version)
    }
}

/// A pool, shared.
pub(super) type SharedPool = Arc<Mutex<Pool>>;

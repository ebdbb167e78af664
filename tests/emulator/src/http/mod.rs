//! HTTP around the cores: connections, the way of a request, and what every
//! answer carries. Called by `main` and by tests.

mod admin;
mod headers;
mod messages;
mod models;
mod send;

use crate::control::Controls;
use crate::error::ApiError;
use crate::fault::{Asker, Fault, What};
use crate::state::{Seen, Settings, State, hex, lock, redacted, sha256};
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State as Shared};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use serde_json::Value;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

/// The API's limit on a request's body: 32 MB for Messages and token counting.
const BODY_BYTES_MAX: usize = 32 * 1024 * 1024;
/// A body over the limit is read and thrown away up to here, so that the client
/// gets to read its 413 and not a reset connection.
const DISCARDED_BYTES_MAX: usize = 256 * 1024 * 1024;
/// A larger body is counted outside the runtime's threads.
const COUNTED_INLINE_BYTES_MAX: usize = 64 * 1024;

/// A running emulator. Dropping it ends every connection.
#[derive(Debug)]
pub struct Running {
    address: SocketAddr,
    state: Arc<State>,
    accepting: JoinHandle<()>,
}

/// Starts an emulator on a bound listener.
pub fn start(listener: TcpListener, settings: Settings) -> Result<Running, String> {
    crate::words::warm_up();
    let address = listener.local_addr().map_err(|e| e.to_string())?;
    let state = Arc::new(State::new(settings)?);
    let router = admin::routes(Router::new()).fallback(answer).with_state(state.clone());
    let accepting = tokio::spawn(accept(listener, router));
    Ok(Running { address, state, accepting })
}

impl Running {
    /// `http://ADDRESS:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What its requests share.
    pub fn state(&self) -> &State {
        &self.state
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, router: Router) {
    // Dropped with this task, and with it every connection.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    // Without it small events wait for acknowledgements.
                    let _ = stream.set_nodelay(true);
                    connections.spawn(connection(stream, router.clone()));
                }
                // Out of file handles: those in use will be given back.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(stream: tokio::net::TcpStream, router: Router) {
    let service = TowerToHyperService::new(router);
    let service =
        hyper::service::service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
            let answer = hyper::service::Service::call(&service, request);
            async move {
                let Ok(response) = answer.await;
                match response.extensions().get::<Closed>() {
                    Some(Closed) => Err(io::Error::other("closed without an answer")),
                    None => Ok(response),
                }
            }
        });
    // An error here is the peer's leaving, or a fault that was asked for.
    let _ = http1::Builder::new()
        // Idle connections stay: a client that keeps one must not find it closed.
        .header_read_timeout(None)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

/// Marks a response that is never sent: its connection closes.
#[derive(Clone, Copy)]
struct Closed;

/// One request on its way through the API.
struct Exchange {
    state: Arc<State>,
    request_id: String,
    number: u64,
    headers: HeaderMap,
    path: String,
    query: Option<String>,
    body: Option<Value>,
    body_sha256: [u8; 8],
    controls: Controls,
    fault: Option<Fault>,
    seen: Arc<Mutex<Seen>>,
}

async fn answer(Shared(state): Shared<Arc<State>>, request: Request) -> Response {
    let number = state.next();
    let request_id = format!("req_emulator{:012x}", number + 1);
    let (parts, body) = request.into_parts();
    let bytes = read(body).await;
    let digest = bytes.as_ref().map(|bytes| sha256(bytes)).unwrap_or_default();
    let seen = state.remember(Seen {
        request_id: request_id.clone(),
        at_ms: state.now_ms(),
        method: parts.method.to_string(),
        path: parts.uri.to_string(),
        headers: shown(&parts.headers),
        body_bytes: bytes.as_ref().map_or(0, |bytes| bytes.len() as u64),
        body_sha256: digest.clone(),
        ..Seen::default()
    });
    let mut exchange = Exchange {
        request_id,
        number,
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().map(str::to_owned),
        headers: parts.headers,
        body: None,
        body_sha256: [0; 8],
        controls: Controls::default(),
        fault: None,
        seen,
        state,
    };
    exchange.body_sha256.copy_from_slice(digest.as_bytes().get(..8).unwrap_or(b"no  body"));
    let outcome = match bytes {
        Ok(bytes) => route(&mut exchange, &parts.method, &bytes).await,
        Err(error) => Err(Refusal::from(error)),
    };
    let response = match outcome {
        Ok(response) => response,
        Err(refusal) => exchange.refuse(refusal),
    };
    exchange.finish(response)
}

/// An error, with the levels that its headers tell.
struct Refusal {
    error: ApiError,
    headers: Box<HeaderMap>,
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        Self { error, headers: Box::default() }
    }
}

async fn route(
    exchange: &mut Exchange,
    method: &Method,
    bytes: &Bytes,
) -> Result<Response, Refusal> {
    let mut broken = None;
    if method == Method::POST {
        match serde_json::from_slice(bytes) {
            Ok(body) => exchange.body = Some(body),
            Err(error) => broken = Some(error),
        }
    }
    exchange.controls = Controls::read(&exchange.headers, exchange.body.as_ref())?;
    exchange.fault = exchange.controls.fault.or_else(|| exchange.scheduled());
    if let Some(fault) = exchange.fault
        && let Some(response) = exchange.strike(fault)?
    {
        return Ok(response);
    }
    let key = exchange
        .key()
        .ok_or_else(|| ApiError::authentication("x-api-key or authorization header is required"))?;
    let organisation = exchange
        .state
        .organisation(key)
        .ok_or_else(|| ApiError::authentication("invalid x-api-key"))?;
    let path = exchange.path.clone();
    match (method, path.as_str()) {
        (&Method::POST, "/v1/messages" | "/v1/messages/count_tokens") => {
            if let Some(error) = broken {
                let message = format!("The request body is not valid JSON: {error}");
                return Err(ApiError::invalid(message).into());
            }
            if path == "/v1/messages" {
                messages::create(exchange, &organisation).await
            } else {
                messages::count(exchange, &organisation).await
            }
        }
        (&Method::GET, "/v1/models") => Ok(models::list(exchange)?),
        (&Method::GET, other) if other.starts_with("/v1/models/") => {
            Ok(models::one(exchange, &other["/v1/models/".len()..])?)
        }
        (_, "/v1/messages" | "/v1/messages/count_tokens" | "/v1/models") => {
            Err(ApiError::new(405, "invalid_request_error", "Method Not Allowed").into())
        }
        _ => Err(ApiError::not_found("Not Found").into()),
    }
}

impl Exchange {
    /// `x-api-key`, or the bearer token that pip anthropic 2.13.0 sends a key as.
    fn key(&self) -> Option<&str> {
        if let Some(key) = self.headers.get("x-api-key") {
            return key.to_str().ok();
        }
        self.headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")
    }

    fn scheduled(&self) -> Option<Fault> {
        let asker = Asker {
            key: self.key(),
            model: self.body.as_ref().and_then(|body| body.get("model")?.as_str()),
            path: &self.path,
        };
        lock(&self.state.schedule).take(self.state.now_ms(), asker)
    }

    /// Faults that stand in for the whole answer. The others are kept.
    fn strike(&self, fault: Fault) -> Result<Option<Response>, Refusal> {
        match fault.what {
            What::Outage => {
                let mut response = Response::new(Body::empty());
                response.extensions_mut().insert(Closed);
                return Ok(Some(response));
            }
            What::TooLargeHtml => {
                let page = "<html><head><title>413 Request Entity Too Large</title></head></html>";
                let mut response = Response::new(Body::from(page));
                *response.status_mut() = axum::http::StatusCode::PAYLOAD_TOO_LARGE;
                let html = HeaderValue::from_static("text/html");
                response.headers_mut().insert(header::CONTENT_TYPE, html);
                return Ok(Some(response));
            }
            _ => {}
        }
        let Some(error) = fault.error() else { return Ok(None) };
        let headers = messages::feigned_levels(self, &fault);
        Err(Refusal { error, headers: Box::new(headers) })
    }

    fn refuse(&self, refusal: Refusal) -> Response {
        let Refusal { error, headers } = refusal;
        let mut response = self.whole_body(error.status, error.body(&self.request_id));
        response.headers_mut().extend(*headers);
        if let Some(seconds) = error.retry_after_s {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }

    /// What every answer carries, and what is remembered of it.
    fn finish(self, mut response: Response) -> Response {
        let closed = response.extensions().get::<Closed>().is_some();
        let status = if closed { 0 } else { response.status().as_u16() };
        let fault = self
            .fault
            .and_then(|fault| serde_json::to_value(fault.what).ok()?.as_str().map(str::to_owned));
        self.state.tally(status, fault.as_deref());
        let headers = response.headers_mut();
        put(headers, "request-id", &self.request_id);
        if let Some(organisation) = self.key().and_then(|key| self.state.organisation(key)) {
            put(headers, "anthropic-organization-id", &organisation.id);
            put(headers, "anthropic-workspace-id", "wrkspc_emulator");
        }
        // The edge before the API sends these; nobody behind a gateway may see
        // the cookie.
        put(headers, "via", "1.1 google");
        put(headers, "cf-ray", "0000000000000000-EMU");
        put(headers, "set-cookie", "_cfuvid=emulator; path=/; HttpOnly; Secure");
        let mut seen = lock(&self.seen);
        seen.status = status;
        seen.fault = fault;
        drop(seen);
        response
    }
}

fn put(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(HeaderName::from_static(name), value);
    }
}

fn json_response(status: u16, body: String) -> Response {
    let mut response = Response::new(Body::from(body));
    if let Ok(status) = axum::http::StatusCode::from_u16(status) {
        *response.status_mut() = status;
    }
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

async fn read(body: Body) -> Result<Bytes, ApiError> {
    let mut frames = body.into_data_stream();
    let (mut kept, mut total) = (BytesMut::new(), 0);
    while let Some(frame) = frames.next().await {
        let frame = frame.map_err(|_| ApiError {
            code: Some("request_body_encoding_invalid"),
            ..ApiError::invalid("The request body could not be read")
        })?;
        total += frame.len();
        if total > DISCARDED_BYTES_MAX {
            break;
        }
        if total > BODY_BYTES_MAX {
            kept = BytesMut::new();
        } else {
            kept.extend_from_slice(&frame);
        }
    }
    if total > BODY_BYTES_MAX { Err(ApiError::too_large()) } else { Ok(kept.freeze()) }
}

fn shown(headers: &HeaderMap) -> Vec<(String, String)> {
    let show = |(name, value): (&HeaderName, &HeaderValue)| {
        let value = String::from_utf8_lossy(value.as_bytes());
        let value = match (name.as_str(), value.strip_prefix("Bearer ")) {
            ("authorization", Some(key)) => format!("Bearer {}", redacted(key)),
            ("x-api-key" | "authorization" | "cookie", _) => redacted(&value),
            _ => value.into_owned(),
        };
        (name.as_str().to_owned(), value)
    };
    headers.iter().map(show).collect()
}

fn digest_hex(digest: sha2::Sha256) -> String {
    hex(&sha2::Digest::finalize(digest))
}

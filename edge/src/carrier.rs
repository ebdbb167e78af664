//! The exports that `edge/js/carry.mjs` calls: one [`Passage`] a request.

use std::cell::RefCell;
use std::collections::BTreeMap;

use limits::message::{Millis, Reply};
use serde_json::Value;
use wasm_bindgen::prelude::*;

use crate::admin::Errand;
use crate::isolate::{Deployment, Isolate};
use crate::journey::{Close, GateMethod, Head, Journey, Step, Unread};
use crate::objects::relay::Claim;
use crate::request::cache::Meta;
use crate::request::upstream::Outgoing;
use crate::request::{Headers, Passage as ToProvider, cors, parse};

thread_local! {
    static ISOLATE: RefCell<Isolate> = RefCell::default();
}

/// Opened, used and shut within one synchronous call.
fn isolate<T>(act: impl FnOnce(&mut Isolate) -> T) -> T {
    ISOLATE.with_borrow_mut(act)
}

/// Hands the isolate its settings and secrets, and whether it runs at Cloudflare.
#[wasm_bindgen]
pub fn configure(env: &JsValue, at_cloudflare: bool) {
    // Where, and never what: a panic's message can quote the text it was about.
    std::panic::set_hook(Box::new(|info| {
        let at = info.location().map_or_else(String::new, ToString::to_string);
        let line = serde_json::json!({ "event": "panic", "at": at }).to_string();
        web_sys::console::error_1(&line.into());
    }));
    isolate(|isolate| {
        isolate.deployment = Some(deployment(env));
        isolate.at_cloudflare = at_cloudflare;
    });
}

/// Traps, for the test that a re-initialised isolate loses nothing.
#[cfg(feature = "debug-panic")]
#[wasm_bindgen]
pub fn debug_panic() {
    panic!("debug_panic was called");
}

/// The deployment that an environment describes.
pub fn deployment(env: &JsValue) -> Deployment {
    let text = |name: &str| js_sys::Reflect::get(env, &name.into()).ok()?.as_string();
    let mut variables = BTreeMap::new();
    if let Some(object) = env.dyn_ref::<js_sys::Object>() {
        for name in js_sys::Object::keys(object).iter().filter_map(|name| name.as_string()) {
            if !name.starts_with("TOLLGATE_") || settings::SECRETS.contains(&name.as_str()) {
                continue;
            }
            let value =
                js_sys::Reflect::get(env, &name.as_str().into()).unwrap_or(JsValue::UNDEFINED);
            // What is not plain data is no setting: parse refuses it by name. As
            // text, because serde-wasm-bindgen would cost 4 KB gzip here alone.
            let text = js_sys::JSON::stringify(&value).ok().and_then(|text| text.as_string());
            let value = text.and_then(|text| json::from_str(&text).ok());
            variables.insert(name, value.unwrap_or(Value::Null));
        }
    }
    let bound =
        |name: &str| js_sys::Reflect::get(env, &name.into()).is_ok_and(|value| value.is_object());
    let bindings = ["GATE", "RELAY", "CACHE", "ASSETS"].map(|name| (name, bound(name)));
    Deployment::new(&variables, text, bindings)
}

/// One request, from its head to its settlement.
#[wasm_bindgen]
pub struct Passage {
    journey: Box<dyn Journey>,
    outgoing: Outgoing,
}

#[wasm_bindgen]
impl Passage {
    /// From the request's head: `headers` is `name NUL value NUL …`.
    #[wasm_bindgen(constructor)]
    pub fn new(method: String, url: &str, headers: String, now: f64) -> Passage {
        let (path, query) = path_and_query(url);
        isolate(|isolate| {
            let head = Head {
                id: isolate.request_id(),
                method,
                path,
                query,
                headers: Headers::from_flat(headers),
            };
            Self { journey: begin(isolate, head, now as Millis), outgoing: Outgoing::default() }
        })
    }

    /// What comes next.
    pub fn step(&self) -> Step {
        self.journey.step()
    }

    /// The longest body it takes, bytes.
    pub fn body_bytes_max(&self) -> f64 {
        self.journey.body_bytes_max() as f64
    }

    /// The body could not be read.
    pub fn unread(&mut self, why: Unread) {
        self.journey.unread(why);
    }

    /// A window of the body.
    pub fn read(&mut self, window: &[u8]) {
        self.journey.read(window);
    }

    /// The body was read.
    pub fn parsed(&mut self, now: f64) {
        isolate(|isolate| self.journey.parsed(isolate, now as Millis));
    }

    /// Its key in the answer cache.
    pub fn cache_key(&self) -> Option<String> {
        self.journey.cache().map(|entry| entry.key.clone())
    }

    /// How long its answer is kept there.
    pub fn cache_ttl_s(&self) -> f64 {
        self.journey.cache().map_or(0.0, |entry| entry.ttl_s as f64)
    }

    /// How a kept answer is served.
    pub fn answer_meta(&mut self) -> String {
        serde_json::to_string(&Meta::of(&self.journey.answer().headers)).unwrap_or_default()
    }

    /// Whether its answer is to be kept: known for sure only at its end.
    pub fn cacheable(&mut self) -> bool {
        self.journey.cache().is_some() && self.journey.answer().status == 200
    }

    /// What the cache held.
    pub fn looked(&mut self, meta: Option<String>, body: Option<Vec<u8>>) {
        self.journey.looked(meta, body.unwrap_or_default());
    }

    /// Which Relay to ask for its idempotency key, `NUL`, for what, `NUL`, and how
    /// long that may be parked.
    pub fn claim_ask(&self, now: f64) -> String {
        self.journey.claim_ask(now as Millis)
    }

    /// What the key is to it; of a kept answer, how it is served.
    pub fn claimed(&mut self, claim: Claim, meta: Option<String>, now: f64) {
        isolate(|isolate| self.journey.claimed(isolate, claim, meta, now as Millis));
    }

    /// The Relay did not answer.
    pub fn unclaimed(&mut self) {
        self.journey.unclaimed();
    }

    /// How long the answer is kept for a repeat of the request; 0: not at all.
    pub fn keeps_s(&mut self) -> f64 {
        let is_good = self.journey.answer().status == 200;
        if is_good { self.journey.keeps_s() as f64 } else { 0.0 }
    }

    /// Whether a lease spares the question to the Gate: the step has changed then.
    pub fn borrow(&mut self, now: f64) -> bool {
        isolate(|isolate| self.journey.borrow(isolate, now as Millis))
    }

    /// Which of the Gate's methods to call.
    pub fn gate_method(&self) -> GateMethod {
        self.journey.gate_method()
    }

    /// How long that call may be parked.
    pub fn gate_parks_ms(&self) -> f64 {
        self.journey.gate_parks_ms() as f64
    }

    /// The message to the Gate, on which events may ride. Empty: there is none, and
    /// the step has changed.
    pub fn gate_message(&mut self, now: f64) -> String {
        isolate(|isolate| self.journey.gate_message(isolate, now as Millis))
    }

    /// The Gate's reply. True where the Gate has restarted, and what runs is to be
    /// renewed.
    pub fn replied(&mut self, text: &str, now: f64) -> bool {
        isolate(|isolate| {
            self.journey.replied(isolate, text, now as Millis);
            isolate.gate_restarted()
        })
    }

    /// The Gate did not reply.
    pub fn gate_failed(&mut self, overloaded: bool) {
        isolate(|isolate| self.journey.gate_failed(isolate, overloaded));
    }

    /// An attempt begins: where to, NUL, and with which headers.
    pub fn begin_attempt(&mut self, now: f64) -> String {
        self.outgoing = isolate(|isolate| self.journey.upstream(isolate, now as Millis));
        format!("{}\0{}", self.outgoing.url, self.outgoing.headers.flat())
    }

    /// How long until the response's head.
    pub fn first_byte_ms(&self) -> f64 {
        self.outgoing.first_byte_ms as f64
    }

    /// How long between two pieces of a body.
    pub fn between_bytes_ms(&self) -> f64 {
        self.outgoing.between_bytes_ms as f64
    }

    /// How long from sending to the body's end.
    pub fn total_ms(&self) -> f64 {
        self.outgoing.total_ms as f64
    }

    /// No response came.
    pub fn unanswered(&mut self, error: &str, now: f64) {
        self.journey.unanswered(error, now as Millis);
    }

    /// Whether all headers of a response are to be read, or `content-type` and
    /// `request-id` do.
    pub fn reads_all(&self, status: u16, now: f64) -> bool {
        isolate(|isolate| self.journey.reads_all(isolate, status, now as Millis))
    }

    /// The response's head.
    pub fn response(&mut self, status: u16, headers: String, now: f64) {
        let headers = Headers::from_flat(headers);
        isolate(|isolate| self.journey.response(isolate, status, headers, now as Millis));
    }

    /// The response's whole body.
    pub fn whole(&mut self, bytes: &[u8], now: f64) {
        self.journey.whole(bytes, now as Millis);
    }

    /// The response's stream was held to its end.
    pub fn held(&mut self, now: f64) {
        self.journey.held(now as Millis);
    }

    /// The response's body broke off.
    pub fn broke(&mut self, why: Close, now: f64) {
        self.journey.broke(why, now as Millis);
    }

    /// The next bytes of a relayed stream.
    pub fn chunk(&mut self, bytes: &[u8]) {
        self.journey.chunk(bytes);
    }

    /// Whether the running stream should renew its ticket.
    pub fn renewal_due(&self, now: f64) -> bool {
        self.journey.renewal_due(now as Millis)
    }

    /// The message that renews it.
    pub fn renewal(&mut self, now: f64) -> String {
        isolate(|isolate| self.journey.renewal(isolate, now as Millis))
    }

    /// The stream is over; what to write to the client before its end.
    pub fn ended(&mut self, why: Close, now: f64) -> String {
        self.journey.ended(why, now as Millis)
    }

    /// The client left.
    pub fn left(&mut self) {
        self.journey.left();
    }

    /// What there is to tell the Gate: one event a line, as JSON.
    pub fn take_reports(&mut self) -> String {
        let reports: Vec<_> = std::iter::from_fn(|| self.journey.take_report()).collect();
        reports.join("\n")
    }

    /// The answer's status.
    pub fn answer_status(&mut self) -> u16 {
        self.journey.answer().status
    }

    /// One line for the log on an answer that is an error: ids, never a key or
    /// a word of the prompt.
    pub fn log_line(&mut self) -> String {
        let Head { id, method, path, .. } = self.journey.head();
        let (id, method, path) = (id.clone(), method.clone(), path.clone());
        let tenant = self.journey.tenant().map(str::to_owned);
        let answer = self.journey.answer();
        serde_json::json!({
            "event": "error_answer", "request_id": id, "method": method, "path": path, "tenant": tenant,
            "status": answer.status, "provider_request_id": answer.headers.get("request-id"),
            "code": answer.code,
        })
        .to_string()
    }

    /// The answer's headers.
    pub fn answer_headers(&mut self) -> String {
        let mut headers = self.journey.answer().headers.clone();
        if self.journey.head().method == "OPTIONS" {
            return headers.flat().to_owned();
        }
        isolate(|isolate| {
            cors::expose(&self.journey.head().headers, isolate.origins(), &mut headers)
        });
        headers.flat().to_owned()
    }

    /// Whether the answer's body is the response's, byte for byte.
    pub fn passes_body(&self) -> bool {
        self.journey.passes_body()
    }

    /// The answer's body, where it is ours.
    pub fn answer_body(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.journey.answer().body)
    }
}

/// When the last lease of this isolate ends, milliseconds since the Unix epoch; 0
/// without one.
#[wasm_bindgen]
pub fn lent_until() -> f64 {
    isolate(|isolate| isolate.borrowed.held_until().unwrap_or_default() as f64)
}

/// What to tell the Gate of leases that are over, as JSON, comma-separated.
#[wasm_bindgen]
pub fn returns(now: f64) -> String {
    let events = isolate(|isolate| isolate.borrowed.take_returns(now as Millis));
    let texts = events.iter().filter_map(|event| serde_json::to_string(event).ok());
    texts.collect::<Vec<_>>().join(",")
}

/// Reads a reply that nobody waits for. True where the Gate has restarted, and what
/// runs is to be renewed.
#[wasm_bindgen]
pub fn heard(text: &str) -> bool {
    isolate(|isolate| {
        if let Ok(reply) = json::from_str::<Reply>(text) {
            isolate.gate_started(reply.started_ms);
        }
        isolate.gate_restarted()
    })
}

/// Which Gate decides: its name, `NUL`, its location hint, `NUL`, its
/// jurisdiction; empty where unset. One a deployment today; several would each
/// own some pools (design §1).
#[wasm_bindgen]
pub fn gate_place() -> String {
    isolate(|isolate| {
        let gate = isolate.settings().map(|settings| &settings.gate);
        let hint = gate.and_then(|gate| gate.location_hint()).map_or("", |hint| hint.name());
        let jurisdiction = gate.and_then(|gate| gate.jurisdiction).map_or("", |place| place.name());
        format!("gate\0{hint}\0{jurisdiction}")
    })
}

fn begin(isolate: &mut Isolate, head: Head, now: Millis) -> Box<dyn Journey> {
    let endpoint = parse::endpoint(&head.method, &head.path, &head.query).or_else(|| {
        let passes =
            isolate.settings().is_some_and(|settings| settings.target("").account.pass_through);
        let ours = matches!(head.path.as_str(), "/v1/limits" | "/v1/visitors")
            || parse::is_jobs(&head.path)
            || head.method == "OPTIONS";
        if passes && !ours { parse::passed_through(&head.path, &head.query).map(Ok) } else { None }
    });
    if head.method == "OPTIONS" {
        return Box::new(Errand::begin(isolate, head, now));
    }
    match endpoint {
        None => Box::new(Errand::begin(isolate, head, now)),
        Some(Err(problem)) => Box::new(Errand::problem(head, &problem)),
        Some(Ok(endpoint)) => match ToProvider::begin(isolate, head, endpoint, now) {
            Ok(passage) => Box::new(passage),
            Err((head, problem)) => Box::new(Errand::problem(head, &problem)),
        },
    }
}

fn path_and_query(url: &str) -> (String, String) {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let rest = rest.find('/').map_or("/", |at| &rest[at..]);
    let rest = rest.split('#').next().unwrap_or(rest);
    match rest.split_once('?') {
        Some((path, query)) => (path.to_owned(), query.to_owned()),
        None => (rest.to_owned(), String::new()),
    }
}

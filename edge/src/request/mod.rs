//! The way of a request to the provider, a file a step:
//!
//! | step | file | what |
//! |---|---|---|
//! | 1 | parse | head and body become typed values |
//! | 2 | auth | signed key → caller, without a look-up |
//! | 3 | route | model → account, pool, time-outs |
//! |   | publishable | what pages may ask for |
//! | 4 | estimate | input tokens and the most that it can cost |
//! |   | idempotency | whose answer a repeated request gets |
//! | 5 | cache | a scoped key, where an answer may be kept |
//! | 6 | admit | the Gate's decision |
//! | 7 | upstream | what is sent, what came back |
//! |   | delivery | what follows an attempt, where the answer must be whole |
//! | 8 | meter | a stream as it flows by |
//! | 9 | settle | what was used goes to the Gate |
//!
//! No I/O here: [`Passage`] decides what comes next, synchronously, and
//! `edge/js/carry.mjs` does it and tells what came of it.

pub mod admit;
pub mod auth;
pub mod cache;
pub mod cors;
pub mod delivery;
mod digest;
pub mod errors;
pub mod estimate;
pub mod headers;
pub mod idempotency;
pub mod meter;
pub mod parse;
pub mod publishable;
pub mod route;
pub mod settle;
pub mod upstream;

use std::collections::VecDeque;

use limits::message::Millis;
use providers::anthropic::request::{Api, Facts, Scanner};

use crate::isolate::Isolate;
use crate::journey::{Answer, Close, GateMethod, Head, Journey, Step, Unread};
use crate::objects::relay::Claim;
use admit::Admission;
use auth::Caller;
use delivery::Atomic;
use errors::Problem;
pub use headers::Headers;
use idempotency::Key;
use parse::{CacheMode, Endpoint, Wishes};
use settle::Ticket;
use upstream::Attempt;

/// One request to the provider, from its head to its settlement.
pub struct Passage {
    head: Head,
    endpoint: Endpoint,
    wishes: Wishes,
    caller: Caller,
    step: Step,
    body: Body,
    /// From step 3 on.
    call: Option<Call>,
    attempt: Option<Attempt>,
    answer: Answer,
    /// The answer's body is the response's own, which the carrier holds.
    passes_body: bool,
    /// Whether it is a whole good answer, as far as the provider's protocol tells.
    is_complete: bool,
    /// Its idempotency key.
    key: Option<Key>,
    reports: VecDeque<String>,
    client_left: bool,
}

/// What is known once the body was read.
pub struct Call {
    facts: Facts,
    route: route::Chosen,
    size: estimate::Size,
    canonical: Option<cache::Canonical>,
    cache: Option<cache::Entry>,
    admission: Admission,
    ticket: Ticket,
    atomic: Option<Atomic>,
}

enum Body {
    /// Understood as it is read.
    Scanned(Box<Scanner>, Option<cache::Canonical>),
    /// Passed on unread.
    Opaque,
    /// Refused; the rest is not looked at.
    Invalid(Problem),
    Done,
}

impl Passage {
    /// Steps 1 and 2, as far as the head goes.
    pub fn begin(
        isolate: &mut Isolate,
        head: Head,
        endpoint: Endpoint,
        now: Millis,
    ) -> Result<Self, (Head, Problem)> {
        let begun = Wishes::parse(&head.headers).and_then(|wishes| {
            let caller = auth::caller(isolate, &head.headers, &wishes, now)?;
            if caller.is_public() {
                publishable::endpoint(&endpoint)?;
            }
            let key = Key::of(isolate, &caller, &wishes, &head, &endpoint)?;
            Ok((caller, wishes, key))
        });
        let (caller, wishes, key) = match begun {
            Ok(begun) => begun,
            Err(problem) => return Err((head, problem)),
        };
        let body = match &endpoint {
            Endpoint::Post(api) => {
                let caches = *api == Api::Messages;
                let wanted = || cache::Canonical::wanted(isolate, &caller, &wishes, now);
                let scanner = Scanner::new(*api);
                let scanner = if caller.is_public() { scanner.strict() } else { scanner };
                Body::Scanned(Box::new(scanner), if caches { wanted() } else { None })
            }
            Endpoint::Unmetered(_) => Body::Opaque,
        };
        let bodiless = matches!(head.method.as_str(), "GET" | "HEAD");
        let mut passage = Self {
            head,
            endpoint,
            wishes,
            caller,
            step: Step::Read,
            body,
            call: None,
            attempt: None,
            answer: Answer::default(),
            passes_body: false,
            is_complete: false,
            key,
            reports: VecDeque::new(),
            client_left: false,
        };
        if bodiless {
            passage.parsed(isolate, now);
        }
        Ok(passage)
    }

    /// Steps 3 to 5: the body is read, the request is understood.
    fn prepare(
        &mut self,
        isolate: &mut Isolate,
        facts: Facts,
        canonical: Option<cache::Canonical>,
        now: Millis,
    ) -> Result<(), Problem> {
        let route = route::choose(isolate, &self.endpoint, &facts)?;
        let size = estimate::size(&self.endpoint, &facts, now)?;
        let caches = canonical.is_some();
        let admission =
            Admission::new(isolate, &self.endpoint, &self.caller, &self.wishes, caches, now);
        let mut ticket = Ticket::new(&self.head.id, &self.caller, &route, &facts, &size);
        ticket.job.clone_from(&self.wishes.job);
        let atomic = Atomic::wanted(&self.endpoint, &self.wishes, &route, now);
        if let Some(key) = &mut self.key {
            key.read(atomic, self.wishes.ends_ms(route.total_ms, now), now);
        }
        let cache = None;
        self.call = Some(Call { facts, route, size, canonical, cache, admission, ticket, atomic });
        if isolate.policy_of(&self.caller, now).is_some() {
            self.allowed(isolate, now)?;
            self.find_cache_entry(isolate, now)?;
        }
        // Whoever repeats a request may have its answer whatever is refused now.
        if self.key.is_none()
            && let Some(refusal) = admit::remembered(self, isolate, now)
        {
            return Err(Problem::refused(&refusal));
        }
        self.step = self.next_step()?;
        Ok(())
    }

    /// What comes before anything is sent: the policy, the idempotency key, the
    /// cache, the Gate's leave.
    fn next_step(&mut self) -> Result<Step, Problem> {
        let is_open = self.key.as_ref().is_some_and(Key::is_open);
        let Call { admission, ticket, .. } = self.call()?;
        let waits_for_policy = admission.needs_policy() && !ticket.unasked;
        Ok(match admission.next() {
            _ if is_open && !waits_for_policy => Step::Claim,
            _ if ticket.unasked => Step::Send,
            step => step,
        })
    }

    /// What the tenant's policy says of the request: every model that the body
    /// names, advisors and fallbacks included, must be the tenant's to use, and all
    /// of it a page's, where it comes from one.
    fn allowed(&self, isolate: &Isolate, now: Millis) -> Result<(), Problem> {
        if let Some(call) = self.call.as_ref().filter(|_| self.caller.is_public()) {
            let policy = isolate.policy(&self.caller.tenant, now);
            let Self { caller, head, endpoint, .. } = self;
            publishable::request(caller, head, endpoint, &call.facts, policy)?;
        }
        let Some((call, policy)) = self.call.as_ref().zip(isolate.policy(&self.caller.tenant, now))
        else {
            return Ok(());
        };
        let Facts { model, other_models, fallbacks_default, .. } = &call.facts;
        let metered = matches!(self.endpoint, Endpoint::Post(_));
        let refused = metered
            && (!std::iter::once(model).chain(other_models).all(|model| policy.allows(model))
                || (*fallbacks_default && !policy.models.is_empty()));
        if !refused {
            return Ok(());
        }
        let reason = limits::message::Reason::ModelNotAllowed;
        Err(Problem::refused(&limits::message::Refusal {
            reason,
            retry_after_ms: None,
            limit: None,
        }))
    }

    /// The cache's key, once the tenant's policy is known.
    fn find_cache_entry(&mut self, isolate: &Isolate, now: Millis) -> Result<(), Problem> {
        let Some(call) = self.call.as_mut() else { return Ok(()) };
        let policy = isolate.policy(&self.caller.tenant, now);
        let canonical = call.canonical.take();
        call.cache = canonical.and_then(|c| {
            let headers = &self.head.headers;
            c.entry(&self.caller, &self.wishes, headers, &call.route, call.atomic, policy)
        });
        call.admission.look(call.cache.as_ref().is_some_and(|entry| entry.read));
        match self.wishes.cache.mode {
            CacheMode::Only if call.cache.is_none() => Err(cache::nothing_kept()),
            _ => Ok(()),
        }
    }

    /// Keeps an event for the Gate.
    fn tell(&mut self, event: limits::message::Event) {
        if let Endpoint::Unmetered(_) = self.endpoint {
            return;
        }
        // Plain data: serialisation cannot fail.
        self.reports.extend(serde_json::to_string(&event).ok());
    }

    fn tell_some(&mut self, event: Option<limits::message::Event>) {
        if let Some(event) = event {
            self.tell(event);
        }
    }

    fn forget_cache_entry(&mut self) {
        if let Some(call) = &mut self.call {
            call.cache = None;
        }
    }

    fn refuse(&mut self, problem: &Problem) {
        self.answer = problem.answer(&self.head.id);
        self.passes_body = false;
        self.is_complete = false;
        self.step = Step::Answer;
    }

    /// The call; every step that uses it comes after `prepare`.
    fn call(&mut self) -> Result<&mut Call, Problem> {
        self.call.as_mut().ok_or_else(|| {
            Problem::new(500, "api_error", "tollgate_internal", "A step came before its time.")
        })
    }

    fn attempt_to(&mut self, act: impl FnOnce(&mut Self) -> Result<(), Problem>) {
        if let Err(problem) = act(self) {
            self.refuse(&problem);
        }
    }
}

impl Journey for Passage {
    fn head(&self) -> &Head {
        &self.head
    }

    fn step(&self) -> Step {
        self.step
    }

    fn tenant(&self) -> Option<&str> {
        Some(&self.caller.tenant)
    }

    fn body_bytes_max(&self) -> u64 {
        parse::BODY_BYTES_MAX
    }

    fn unread(&mut self, why: Unread) {
        let problem = match why {
            Unread::TooLarge => Problem::new(
                413,
                "request_too_large",
                "tollgate_request_too_large",
                "The body is larger than 32 MB, the provider's own bound. Send less, or use its Files API by id.",
            ),
            Unread::NoRoom => Problem::unavailable(
                "tollgate_no_room",
                "This place holds as many waiting request bodies as it has memory for. Retry in 2 seconds.",
            )
            .after(2_000),
            Unread::Broken => Problem::bad("tollgate_body_incomplete", "The body ended before its content-length. Send it again."),
        };
        self.refuse(&problem);
    }

    fn read(&mut self, window: &[u8]) {
        if let Some(key) = &mut self.key {
            key.feed(window);
        }
        let Body::Scanned(scanner, canonical) = &mut self.body else { return };
        if let Some(canonical) = canonical {
            canonical.feed(window);
        }
        if let Err(invalid) = scanner.feed(window) {
            self.body = Body::Invalid(invalid.into());
        }
    }

    fn parsed(&mut self, isolate: &mut Isolate, now: Millis) {
        let prepared = match std::mem::replace(&mut self.body, Body::Done) {
            Body::Done => Ok(()),
            Body::Invalid(problem) => Err(problem),
            Body::Opaque => self.prepare(isolate, Facts::default(), None, now),
            Body::Scanned(scanner, canonical) => scanner
                .finish()
                .map_err(Problem::from)
                .and_then(|facts| self.prepare(isolate, facts, canonical, now)),
        };
        if let Err(problem) = prepared {
            self.refuse(&problem);
        }
    }

    fn cache(&self) -> Option<&cache::Entry> {
        self.call.as_ref()?.cache.as_ref()
    }

    fn looked(&mut self, meta: Option<String>, body: Vec<u8>) {
        self.attempt_to(|p| cache::looked(p, meta, body));
    }

    fn claim_ask(&self, now: Millis) -> String {
        self.key.as_ref().map_or_else(String::new, |key| key.ask(now))
    }

    fn claimed(&mut self, isolate: &Isolate, claim: Claim, meta: Option<String>, now: Millis) {
        self.attempt_to(|p| idempotency::claimed(p, isolate, claim, meta, now));
    }

    fn unclaimed(&mut self) {
        self.refuse(&idempotency::unreachable());
    }

    fn keeps_s(&self) -> u64 {
        self.key.as_ref().filter(|_| self.is_complete).map_or(0, Key::keeps_s)
    }

    fn borrow(&mut self, isolate: &mut Isolate, now: Millis) -> bool {
        admit::borrow(self, isolate, now)
    }

    fn gate_method(&self) -> GateMethod {
        self.call.as_ref().map_or(GateMethod::Admit, |call| call.admission.method())
    }

    fn gate_parks_ms(&self) -> Millis {
        self.call.as_ref().map_or(0, |call| call.admission.parks_ms())
    }

    fn gate_message(&mut self, isolate: &mut Isolate, now: Millis) -> String {
        admit::message(self, isolate, now)
    }

    fn replied(&mut self, isolate: &mut Isolate, text: &str, now: Millis) {
        self.attempt_to(|p| admit::replied(p, isolate, text, now));
    }

    fn gate_failed(&mut self, _: &Isolate, overloaded: bool) {
        self.attempt_to(|p| admit::gate_failed(p, overloaded));
    }

    fn upstream(&mut self, isolate: &Isolate, now: Millis) -> upstream::Outgoing {
        upstream::outgoing(self, isolate, now)
    }

    fn unanswered(&mut self, error: &str, now: Millis) {
        self.attempt_to(|p| upstream::unanswered(p, error, now));
    }

    fn reads_all(&self, isolate: &mut Isolate, status: u16, now: Millis) -> bool {
        upstream::reads_all(self, isolate, status, now)
    }

    fn response(&mut self, isolate: &mut Isolate, status: u16, headers: Headers, now: Millis) {
        if status == 429
            && let Some(call) = &self.call
        {
            isolate.borrowed.refused(&call.route.pool, now);
        }
        self.attempt_to(|p| upstream::response(p, status, &headers, now));
    }

    fn whole(&mut self, bytes: &[u8], now: Millis) {
        self.attempt_to(|p| upstream::whole(p, bytes, now));
    }

    fn held(&mut self, now: Millis) {
        self.attempt_to(|p| upstream::held(p, now));
    }

    fn broke(&mut self, why: Close, now: Millis) {
        self.attempt_to(|p| upstream::broke(p, why, now));
    }

    fn passes_body(&self) -> bool {
        self.passes_body
    }

    fn chunk(&mut self, bytes: &[u8]) {
        meter::chunk(self, bytes);
    }

    fn renewal_due(&self, now: Millis) -> bool {
        self.attempt.as_ref().is_some_and(|attempt| attempt.renewal_due(now))
    }

    fn renewal(&mut self, isolate: &Isolate, now: Millis) -> String {
        meter::renewal(self, isolate, now)
    }

    fn ended(&mut self, why: Close, now: Millis) -> String {
        meter::ended(self, why, now)
    }

    fn left(&mut self) {
        self.client_left = true;
        admit::left(self);
    }

    fn answer(&mut self) -> &mut Answer {
        &mut self.answer
    }

    fn take_report(&mut self) -> Option<String> {
        self.reports.pop_front()
    }
}

impl From<providers::anthropic::request::Invalid> for Problem {
    fn from(invalid: providers::anthropic::request::Invalid) -> Self {
        let message = match invalid.field {
            Some(field) if !invalid.message.starts_with(&field) => {
                format!("{field}: {}", invalid.message)
            }
            _ => invalid.message,
        };
        match invalid.status {
            413 => Self::new(413, "request_too_large", "tollgate_request_too_large", message),
            _ => Self::bad("tollgate_bad_request", message),
        }
    }
}

#[cfg(test)]
mod tests;

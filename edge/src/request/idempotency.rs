//! Idempotency keys (`idempotency-key`): a repeated request gets the first one's
//! answer and is charged once, also while the first still runs.
//!
//! Before the Gate is asked, the request claims its key at the key's Relay
//! (`edge/js/answers.mjs`), a Durable Object of its own: the name is a hash of
//! tenant, end user and key, so no other tenant or end user can reach it
//! (invariant 7). What the request says is kept there as a hash only.

use limits::message::Millis;
use sha2::{Digest, Sha256};

use super::auth::Caller;
use super::cache::Meta;
use super::delivery::Atomic;
use super::errors::Problem;
use super::parse::{Endpoint, Wishes};
use super::{Api, Head, Passage, admit, digest};
use crate::isolate::Isolate;
use crate::journey::{Answer, Step};
use crate::objects::relay::Claim;

/// A claim asked for while another one runs comes back so soon.
const RUNNING_RETRY_MS: Millis = 2_000;

/// A request's key.
pub struct Key {
    relay: String,
    /// Of what was read so far.
    reading: Sha256,
    fingerprint: String,
    /// How long its answer is kept.
    keeps_s: u64,
    /// When the request came, and when nobody waits for its answer any more.
    asked_ms: Millis,
    ends_ms: Millis,
    is_mine: bool,
}

impl Key {
    /// Of a request that has one. Only what costs something is worth it.
    pub fn of(
        isolate: &Isolate,
        caller: &Caller,
        wishes: &Wishes,
        head: &Head,
        endpoint: &Endpoint,
    ) -> Result<Option<Self>, Problem> {
        let Some(key) = &wishes.idempotency_key else { return Ok(None) };
        if *endpoint != Endpoint::Post(Api::Messages) {
            return Ok(None);
        }
        let keeps_s = isolate.settings().map_or(0, |settings| settings.gate.idempotency_s);
        if keeps_s == 0 {
            return Err(Problem::bad(
                "tollgate_bad_header",
                "idempotency-key: this gate keeps no answers (TOLLGATE_GATE.idempotency_s = 0). Leave the header out.",
            ));
        }
        let user = caller.user.as_deref().unwrap_or_default();
        let of_head = |name| head.headers.get(name).unwrap_or_default();
        let says = [&head.query, of_head("anthropic-version"), of_head("anthropic-beta")];
        Ok(Some(Self {
            relay: digest::hex(digest::of(&["1", &caller.tenant, user, key])),
            reading: digest::of(&says),
            fingerprint: String::new(),
            keeps_s: keeps_s.into(),
            asked_ms: 0,
            ends_ms: Millis::MAX,
            is_mine: false,
        }))
    }

    /// The next window of the body.
    pub fn feed(&mut self, window: &[u8]) {
        self.reading.update(window);
    }

    /// The body was read at `now`.
    pub fn read(&mut self, atomic: Option<Atomic>, ends_ms: Millis, now: Millis) {
        let said = digest::hex(std::mem::take(&mut self.reading));
        // A deploy must not take a repeat of an older, plain request for another one.
        self.fingerprint = match atomic {
            None => said,
            Some(atomic) => digest::hex(digest::of(&[&said, atomic.name()])),
        };
        self.asked_ms = now;
        self.ends_ms = ends_ms;
    }

    /// Whether it must be claimed before anything is asked or sent.
    pub fn is_open(&self) -> bool {
        !self.is_mine
    }

    /// Where to claim it, what for, and how long that may be parked: separated by NUL.
    pub fn ask(&self, now: Millis) -> String {
        let left_ms = self.ends_ms.saturating_sub(now);
        let parks_ms = left_ms.min(admit::slice_ms(self.asked_ms, self.ends_ms));
        format!("{}\0{}\0{parks_ms}", self.relay, self.fingerprint)
    }

    /// How long its answer is to be kept, where it is this request's to keep.
    pub fn keeps_s(&self) -> u64 {
        if self.is_mine { self.keeps_s } else { 0 }
    }
}

/// The Relay told what the key is to this request.
pub(super) fn claimed(
    passage: &mut Passage,
    isolate: &Isolate,
    claim: Claim,
    meta: Option<String>,
    now: Millis,
) -> Result<(), Problem> {
    let Some(key) = &mut passage.key else { return Ok(()) };
    let ends_ms = key.ends_ms;
    match claim {
        Claim::Mine => {
            key.is_mine = true;
            // It may have waited for another one, that failed.
            admit::patient(passage, ends_ms, now)?;
            if let Some(refusal) = admit::remembered(passage, isolate, now) {
                return Err(Problem::refused(&refusal));
            }
            passage.step = passage.next_step()?;
            Ok(())
        }
        Claim::Running if now < ends_ms => Ok(()),
        Claim::Running => Err(Problem::new(
            409,
            "invalid_request_error",
            "tollgate_idempotency_running",
            "idempotency-key: the first request with this key still runs. Retry in 2 seconds.",
        )
        .after(RUNNING_RETRY_MS)),
        Claim::Other => Err(Problem::new(
            422,
            "invalid_request_error",
            "tollgate_idempotency_mismatch",
            "idempotency-key: another request had this key before, with another body, query, anthropic-version, anthropic-beta or x-tollgate-delivery. Use a new key for a new request.",
        )),
        Claim::Kept => {
            let meta: Option<Meta> = meta.and_then(|meta| json::from_str(&meta).ok());
            let meta = meta.ok_or_else(unreachable)?;
            let mut headers = meta.headers(&passage.head.id);
            headers.add("request-id", &meta.request_id);
            headers.add("x-tollgate-replayed", "true");
            headers.add("x-tollgate-cost-microusd", "0");
            passage.answer = Answer { status: 200, headers, body: Vec::new(), code: None };
            passage.passes_body = true;
            passage.step = Step::Answer;
            Ok(())
        }
    }
}

/// The Relay did not answer: without it the request might be charged twice.
pub(super) fn unreachable() -> Problem {
    Problem::unavailable(
        "tollgate_relay_unreachable",
        "The Relay, which keeps answers by idempotency-key, did not answer within 2 seconds. Retry in 2 seconds.",
    )
    .after(2_000)
}

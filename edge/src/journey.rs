//! What every request is to the carrier (`edge/js/carry.mjs`): a journey whose
//! next step it asks for, takes, and tells of.

use limits::message::Millis;
use wasm_bindgen::prelude::*;

use crate::isolate::Isolate;
use crate::objects::relay::Claim;
use crate::request::Headers;
use crate::request::cache::Entry;
use crate::request::upstream::Outgoing;

/// What comes next.
#[wasm_bindgen]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Read the body.
    Read,
    /// Claim the idempotency key.
    Claim,
    /// Look into the answer cache.
    Look,
    /// Ask the Gate.
    Ask,
    /// Send it upstream.
    Send,
    /// Relay the response as a stream.
    Relay,
    /// Read the response whole.
    Whole,
    /// The same, piece by piece and bounded: nobody may see half of it.
    HoldWhole,
    /// Hold the response's stream until its end.
    Hold,
    /// Answer.
    Answer,
    /// Serve a file of the page. In production the platform does so before the
    /// Worker is asked, at no cost; other hosts ask here.
    Asset,
}

/// The Gate's methods (`edge/js/gate.mjs`).
#[wasm_bindgen]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GateMethod {
    /// Decides at once; reports ride on it.
    Admit,
    /// The same again, parked; reports ride on it.
    Poll,
    /// What one caller may still use.
    View,
    /// A tenant's server asks about its jobs.
    Job,
    /// An operator's request.
    Admin,
}

/// Why a body could not be read.
#[wasm_bindgen]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unread {
    /// Larger than `body_bytes_max`.
    TooLarge,
    /// The isolate holds too much already.
    NoRoom,
    /// The client's connection broke.
    Broken,
}

/// How a relayed stream came to its end.
#[wasm_bindgen]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Close {
    /// The upstream ended it; whether it was complete, the meter knows.
    Complete,
    /// The upstream's connection broke.
    Broken,
    /// One side was silent for too long.
    Stalled,
    /// The client left.
    Left,
    /// The gateway failed.
    Failed,
    /// More came than may be held.
    TooLarge,
}

/// A request's head.
#[derive(Clone, Debug)]
pub struct Head {
    /// Our name for the request.
    pub id: String,
    /// GET, POST …
    pub method: String,
    /// The URL's path.
    pub path: String,
    /// The URL's query, without `?`.
    pub query: String,
    /// All headers.
    pub headers: Headers,
}

/// What the client gets.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: Headers,
    /// The body, unless the carrier holds it.
    pub body: Vec<u8>,
    /// Our own code, where the answer is a refusal of ours.
    pub code: Option<&'static str>,
}

/// One request. A journey that never takes a step need not know of it.
#[allow(unused_variables)]
pub trait Journey {
    /// Its head.
    fn head(&self) -> &Head;
    /// What comes next.
    fn step(&self) -> Step;
    /// Who pays, where that is known.
    fn tenant(&self) -> Option<&str> {
        None
    }
    /// The answer, once the step is `Answer` or `Relay`.
    fn answer(&mut self) -> &mut Answer;

    /// The longest body it takes.
    fn body_bytes_max(&self) -> u64 {
        0
    }
    /// The body could not be read.
    fn unread(&mut self, why: Unread) {}
    /// A window of the body.
    fn read(&mut self, window: &[u8]) {}
    /// The body was read.
    fn parsed(&mut self, isolate: &mut Isolate, now: Millis) {}

    /// Its cache entry, where it has one.
    fn cache(&self) -> Option<&Entry> {
        None
    }
    /// What the cache held.
    fn looked(&mut self, meta: Option<String>, body: Vec<u8>) {}

    /// Which Relay to ask for its idempotency key, for what, and how long that may
    /// be parked.
    fn claim_ask(&self, now: Millis) -> String {
        String::new()
    }
    /// What the key is to it.
    fn claimed(&mut self, isolate: &Isolate, claim: Claim, meta: Option<String>, now: Millis) {}
    /// The Relay did not answer.
    fn unclaimed(&mut self) {}
    /// How long its answer is kept for a repeat, seconds; 0: not at all.
    fn keeps_s(&self) -> u64 {
        0
    }

    /// Whether a lease spares the question: the step has changed then.
    fn borrow(&mut self, isolate: &mut Isolate, now: Millis) -> bool {
        false
    }
    /// Which of the Gate's methods to call.
    fn gate_method(&self) -> GateMethod {
        GateMethod::View
    }
    /// How long that call may be parked.
    fn gate_parks_ms(&self) -> Millis {
        0
    }
    /// The message: a JSON object.
    fn gate_message(&mut self, isolate: &mut Isolate, now: Millis) -> String {
        String::new()
    }
    /// The Gate's reply.
    fn replied(&mut self, isolate: &mut Isolate, text: &str, now: Millis) {}
    /// The Gate did not reply.
    fn gate_failed(&mut self, isolate: &Isolate, overloaded: bool) {}

    /// What to send upstream.
    fn upstream(&mut self, isolate: &Isolate, now: Millis) -> Outgoing {
        Outgoing::default()
    }
    /// No response came.
    fn unanswered(&mut self, error: &str, now: Millis) {}
    /// Whether all headers of a response are to be read.
    fn reads_all(&self, isolate: &mut Isolate, status: u16, now: Millis) -> bool {
        true
    }
    /// The response's head.
    fn response(&mut self, isolate: &mut Isolate, status: u16, headers: Headers, now: Millis) {}
    /// The response's whole body.
    fn whole(&mut self, bytes: &[u8], now: Millis) {}
    /// The response's stream was held to its end.
    fn held(&mut self, now: Millis) {}
    /// The response's body broke off.
    fn broke(&mut self, why: Close, now: Millis) {}
    /// Whether the answer's body is the response's, byte for byte.
    fn passes_body(&self) -> bool {
        false
    }

    /// The next bytes of a relayed stream.
    fn chunk(&mut self, bytes: &[u8]) {}
    /// Whether the running stream should renew its ticket.
    fn renewal_due(&self, now: Millis) -> bool {
        false
    }
    /// The message that renews it.
    fn renewal(&mut self, isolate: &Isolate, now: Millis) -> String {
        String::new()
    }
    /// The stream is over. What is to be written to the client before its end.
    fn ended(&mut self, why: Close, now: Millis) -> String {
        String::new()
    }
    /// The client left.
    fn left(&mut self) {}

    /// The next thing to tell the Gate: an event as JSON.
    fn take_report(&mut self) -> Option<String> {
        None
    }
}

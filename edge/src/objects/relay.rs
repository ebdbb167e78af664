//! What a request's idempotency key is to it: the Relay's decision.
//!
//! `edge/js/answers.mjs` is the object itself, one a key. It holds the running
//! claim, which lives as long as its request, and the kept answer in storage.

use wasm_bindgen::prelude::*;

/// What a key is to the request that claims it.
#[wasm_bindgen]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// Nobody had it: the request runs, and its answer is kept.
    Mine,
    /// The same request runs at this moment.
    Running,
    /// The same request has an answer.
    Kept,
    /// Another request has, or had, the key.
    Other,
}

/// Decides by fingerprints: of the request whose answer is kept, until when; of the
/// one that runs; and of the one that asks.
#[wasm_bindgen]
pub fn claim(
    kept: Option<String>,
    until: f64,
    running: Option<String>,
    asks: &str,
    now: f64,
) -> Claim {
    let kept = kept.filter(|_| now < until);
    match (kept.as_deref(), running.as_deref()) {
        (Some(kept), _) if kept == asks => Claim::Kept,
        (None, None) => Claim::Mine,
        (None, Some(running)) if running == asks => Claim::Running,
        _ => Claim::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_one_requests_until_its_answer_expires() {
        let (a, b) = (Some("a"), Some("b"));
        for (kept, running, now, claimed) in [
            (None, None, 0.0, Claim::Mine),
            (None, a, 0.0, Claim::Running),
            (None, b, 0.0, Claim::Other),
            (a, None, 9.0, Claim::Kept),
            (b, None, 9.0, Claim::Other),
            // Whoever ran when the object was restarted may keep its answer under
            // the next one's feet.
            (a, a, 9.0, Claim::Kept),
            (b, a, 9.0, Claim::Other),
            (a, b, 9.0, Claim::Kept),
            // Expired, and the alarm is late.
            (a, None, 10.0, Claim::Mine),
            (b, None, 10.0, Claim::Mine),
            (b, a, 10.0, Claim::Running),
        ] {
            let owned = |text: Option<&str>| text.map(str::to_owned);
            assert_eq!(
                claim(owned(kept), 10.0, owned(running), "a", now),
                claimed,
                "kept {kept:?}, running {running:?}, at {now}"
            );
        }
    }
}

//! Atomic delivery (`x-tollgate-delivery: atomic`): an answer is held until it is
//! complete, and asked for again where it broke, so that nobody acts on half of it.
//!
//! Each attempt is admitted and settled like any other request's; here is only
//! decided what follows one that ended. The bytes are held by `edge/js/hold.mjs`.

use limits::message::Millis;

use super::errors::Problem;
use super::parse::{Delivery, Endpoint, Wishes};
use super::route::Chosen;
use super::{Api, Passage, admit};

/// Ends that the model did not choose (Messages API, `stop_reason`, 2026-11).
const CUT: [&str; 2] = ["max_tokens", "model_context_window_exceeded"];

/// What an atomic delivery may take, and took so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Atomic {
    attempts_max: u32,
    /// Whether an answer that was cut is handed over.
    allows_cut: bool,
    /// Attempts that broke.
    broken: u32,
    /// When nobody waits for it any more.
    ends_ms: Millis,
}

/// What an answer that came to its end is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Whole,
    Cut,
    Broken,
}

impl Atomic {
    /// For a request that asks for it.
    pub fn wanted(
        endpoint: &Endpoint,
        wishes: &Wishes,
        route: &Chosen,
        now: Millis,
    ) -> Option<Self> {
        let wanted =
            wishes.delivery == Delivery::Atomic && *endpoint == Endpoint::Post(Api::Messages);
        wanted.then_some(Self {
            attempts_max: route.atomic.attempts,
            allows_cut: route.atomic.allow_cut,
            broken: 0,
            ends_ms: wishes.ends_ms(route.total_ms, now),
        })
    }

    /// Part of the names under which answers are kept: what is whole enough for
    /// another delivery may be cut for this one.
    pub fn name(self) -> &'static str {
        if self.allows_cut { "atomic, or cut" } else { "atomic" }
    }

    /// How long an attempt may take that begins now, and would have `ms`.
    pub fn left_ms(&self, ms: Millis, now: Millis) -> Millis {
        self.ends_ms.saturating_sub(now).clamp(1, ms.max(1))
    }

    /// An attempt broke: whether another one may begin.
    fn again(&mut self, now: Millis) -> bool {
        self.broken += 1;
        self.broken < self.attempts_max && now < self.ends_ms
    }

    fn ending(&self, stop_reason: Option<&str>) -> Ending {
        match stop_reason {
            // A message that is complete always tells why it ended.
            None => Ending::Broken,
            Some(reason) if CUT.contains(&reason) && !self.allows_cut => Ending::Cut,
            Some(_) => Ending::Whole,
        }
    }
}

/// An answer came to its end, and was settled: it goes to the client, or `atomic`
/// delivery asks again or refuses it.
pub(super) fn ended(
    passage: &mut Passage,
    stop_reason: Option<&str>,
    now: Millis,
) -> Result<(), Problem> {
    let call = passage.call()?;
    match call.atomic.map_or(Ending::Whole, |atomic| atomic.ending(stop_reason)) {
        Ending::Whole => {
            passage.is_complete = true;
            Ok(())
        }
        Ending::Broken => again_or(passage, Problem::upstream_broken(), now),
        Ending::Cut => {
            let at = if stop_reason == Some(CUT[0]) {
                "max_tokens: the answer was cut at its max_tokens. Raise it"
            } else {
                "messages: the answer was cut at the model's context window. Shorten the prompt"
            };
            Err(Problem::new(
                422,
                "invalid_request_error",
                "tollgate_answer_cut",
                format!(
                    "{at}, or let the operator set the route's `atomic.allow_cut`: x-tollgate-delivery: atomic hands over whole answers only. What it used is accounted for."
                ),
            ))
        }
    }
}

/// An attempt broke, and was settled: back to the Gate for another one, where the
/// delivery is atomic and may; else the client is told.
pub(super) fn again_or(
    passage: &mut Passage,
    problem: Problem,
    now: Millis,
) -> Result<(), Problem> {
    let client_left = passage.client_left;
    let Some(atomic) = &mut passage.call()?.atomic else { return Err(problem) };
    if atomic.again(now) && !client_left {
        let ends_ms = atomic.ends_ms;
        return admit::anew(passage, ends_ms, now);
    }
    let tries = match atomic.broken {
        1 => "its only attempt".to_owned(),
        many => format!("{many} attempts"),
    };
    // Without a time to come back: the retries were the gate's, and an SDK's own
    // would multiply them.
    Err(Problem::new(
        502,
        "api_error",
        "tollgate_answer_incomplete",
        format!(
            "x-tollgate-delivery: atomic: no whole answer came in {tries}; the last ended as {} says. What each used is accounted for.",
            problem.code
        ),
    ))
}

/// What the Gate refuses after an attempt broke was not for nothing.
pub(super) fn noted(passage: &Passage, problem: Problem) -> Problem {
    let atomic = passage.call.as_ref().and_then(|call| call.atomic);
    match atomic.map_or(0, |atomic| atomic.broken) {
        0 => problem,
        broken => {
            let message = format!(
                "{} (Attempts that broke before, and are accounted for: {broken}.)",
                problem.message
            );
            Problem { message, ..problem }
        }
    }
}

/// More came than may be held.
pub(super) fn too_large() -> Problem {
    Problem::new(
        502,
        "api_error",
        "tollgate_answer_too_large",
        "x-tollgate-delivery: atomic: the answer is larger than what may be held, 16 MB alone and 48 MB together with all that this place holds. Lower max_tokens, or leave the header out. What it used is accounted for.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const ATOMIC: Atomic = Atomic { attempts_max: 3, allows_cut: false, broken: 0, ends_ms: 100 };

    #[test]
    fn an_answer_is_whole_where_the_model_ended_it() {
        for (reason, ending) in [
            (Some("end_turn"), Ending::Whole),
            (Some("tool_use"), Ending::Whole),
            (Some("stop_sequence"), Ending::Whole),
            (Some("refusal"), Ending::Whole),
            (Some("a_reason_to_come"), Ending::Whole),
            (Some("max_tokens"), Ending::Cut),
            (Some("model_context_window_exceeded"), Ending::Cut),
            (None, Ending::Broken),
        ] {
            assert_eq!(ATOMIC.ending(reason), ending, "{reason:?}");
        }
        let allows = Atomic { allows_cut: true, ..ATOMIC };
        assert_eq!(allows.ending(Some("max_tokens")), Ending::Whole);
        assert_eq!(allows.ending(None), Ending::Broken, "a broken one is never allowed");
    }

    #[test]
    fn attempts_end_by_their_number_and_by_the_time() {
        let mut atomic = ATOMIC;
        assert_eq!([1, 2, 3].map(|now| atomic.again(now)), [true, true, false]);
        let mut late = ATOMIC;
        assert_eq!([99, 100].map(|now| late.again(now)), [true, false]);
        let mut once = Atomic { attempts_max: 1, ..ATOMIC };
        assert!(!once.again(0));
    }

    #[test]
    fn an_attempt_has_the_time_that_is_left() {
        for (ms, now, left) in [(60, 0, 60), (60, 70, 30), (60, 100, 1), (60, 200, 1), (0, 0, 1)] {
            assert_eq!(ATOMIC.left_ms(ms, now), left, "{ms} at {now}");
        }
    }
}

//! Step 8: a stream as it flows by. The bytes go to the client unchanged by a
//! native pipe (`edge/js/relay.mjs`); here they are only read.

use limits::message::{Millis, Progress};
use providers::anthropic::errors::sse_event;

use super::parse::Endpoint;
use super::{Passage, admit};
use crate::isolate::Isolate;
use crate::journey::Close;

/// Ends an event that a cut may have torn: as a ping, which SDKs skip.
const PING: &str = "\nevent: ping\n\n";

/// The next bytes.
pub(super) fn chunk(passage: &mut Passage, bytes: &[u8]) {
    if let Some(attempt) = passage.attempt.as_mut().filter(|attempt| attempt.streams()) {
        attempt.meter.feed(bytes);
    }
}

/// Renews the ticket, and tells how far the stream is.
pub(super) fn renewal(passage: &mut Passage, isolate: &Isolate, now: Millis) -> String {
    let (Some(call), Some(attempt)) = (&passage.call, &mut passage.attempt) else {
        return String::new();
    };
    attempt.renewed(now);
    if call.ticket.unasked
        || call.ticket.settled
        || matches!(passage.endpoint, Endpoint::Unmetered(_))
    {
        // The Gate never knew it, or knows its end.
        return String::new();
    }
    let so_far = attempt.meter.output_so_far(call.ticket.max_tokens(), call.ticket.hidden());
    let progress = Progress { output_tokens: so_far.estimate };
    let admit = admit::admit(passage, now, Some(progress));
    admit::wrap(isolate, admit.as_ref(), passage.caller.bounds(), None, 0)
}

/// The stream is over: settles it. Whether it was complete (invariant 12).
pub(super) fn settle(passage: &mut Passage, now: Millis) -> bool {
    let (Some(call), Some(attempt)) = (&mut passage.call, &passage.attempt) else {
        return false;
    };
    let meter = &attempt.meter;
    let complete = meter.ended();
    let event = match meter.usage() {
        Some(usage) if complete => {
            call.ticket.used(meter.model().unwrap_or(&call.ticket.model.clone()), usage, now)
        }
        reported => {
            // The last figure that came is a lower bound; more may have been generated.
            let told = reported.map_or(0, |usage| usage.output);
            let so_far = meter.output_so_far(call.ticket.max_tokens(), call.ticket.hidden());
            call.ticket.bound(reported, Some(so_far.upper.max(told)), now)
        }
    };
    passage.tell_some(event);
    complete
}

/// The stream is over: settles it, and closes it where the upstream did not.
pub(super) fn ended(passage: &mut Passage, why: Close, now: Millis) -> String {
    let complete = settle(passage, now);
    passage.is_complete = complete;
    if !complete {
        passage.forget_cache_entry();
    }
    // An error event is the upstream's own end.
    let told = passage.attempt.as_ref().is_none_or(|attempt| attempt.meter.error().is_some());
    if complete || told || why == Close::Left {
        return String::new();
    }
    let (kind, message, code) = match why {
        Close::Stalled => (
            "timeout_error",
            "The provider stopped sending in the middle of this stream.",
            "tollgate_stream_stalled",
        ),
        Close::Failed => {
            ("api_error", "Tollgate lost this stream. Retry the request.", "tollgate_internal")
        }
        _ => (
            "api_error",
            "The provider's stream broke off before its end. Retry the request; what was used is accounted for.",
            "tollgate_stream_broken",
        ),
    };
    format!("{PING}{}", sse_event(kind, message, Some(code), Some(&passage.head.id)))
}

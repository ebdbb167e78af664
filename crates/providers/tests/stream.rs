//! Streams and answers: what was used, how far they are, how they ended.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use providers::anthropic::answer;
use providers::anthropic::errors::{self, Class};
use providers::anthropic::stream::Meter;
use providers::{IterationKind, ServiceTier, Speed};

const TOOL_USE: &str = include_str!("fixtures/anthropic/stream_tool_use.sse");
const THINKING: &str = include_str!("fixtures/anthropic/stream_thinking.sse");
const ERROR: &str = include_str!("fixtures/anthropic/stream_error.sse");

fn meter(stream: &str, window: usize) -> Meter {
    let mut meter = Meter::new();
    stream.as_bytes().chunks(window.max(1)).for_each(|part| meter.feed(part));
    meter
}

/// The head of a stream, up to and with the first `marker`.
fn until<'a>(stream: &'a str, marker: &str) -> &'a str {
    &stream[..stream.find(marker).unwrap() + marker.len()]
}

#[test]
fn a_whole_stream_tells_its_usage_and_its_end() {
    let meter = meter(TOOL_USE, 1 << 16);
    let usage = meter.usage().unwrap();
    assert_eq!((usage.input, usage.cache_creation, usage.cache_read), (412, 2048, 1024));
    // The last figure, not the sum; an unknown event's is none.
    assert_eq!(usage.output, 57);
    // Only message_start has these.
    assert_eq!((usage.cache_creation_5m, usage.cache_creation_1h), (48, 2000));
    assert_eq!(
        (usage.service_tier, usage.speed),
        (Some(ServiceTier::Standard), Some(Speed::Standard))
    );
    assert_eq!(usage.inference_geo.as_deref(), Some("us"));
    assert_eq!((usage.limit_input(), usage.input_total()), (2460, 3484));
    assert_eq!((meter.model(), meter.stop_reason()), (Some("claude-sonnet-5-5"), Some("tool_use")));
    assert!(meter.ended() && meter.saw_content() && meter.error().is_none());
    let shown = "Grüezi, \"world\" 😀\n".len() + "get_weather{\"place\": \"Zürich\"}".len();
    assert_eq!(meter.content_bytes(), (shown as u64, 0));
}

#[test]
fn thinking_advisor_and_searches_are_told() {
    let meter = meter(THINKING, 1 << 16);
    let usage = meter.usage().unwrap();
    assert_eq!((usage.input, usage.cache_read, usage.output), (500, 1100, 240));
    assert_eq!((usage.thinking, usage.web_searches), (228, 2));
    let kinds: Vec<_> = usage.iterations.iter().map(|pass| (pass.kind, pass.output)).collect();
    assert_eq!(kinds, [(IterationKind::Message, 240), (IterationKind::Advisor, 80)]);
    assert_eq!(usage.iterations[1].model.as_deref(), Some("claude-fable-5-2"));
    let hidden = "They greet.".len() + "EuYBCkQYAiJA".len();
    assert_eq!(meter.content_bytes(), ("Hello.".len() as u64, hidden as u64));
}

#[test]
fn an_error_event_is_told_and_is_no_end() {
    let meter = meter(ERROR, 1 << 16);
    let error = meter.error().unwrap();
    assert_eq!(error.error_type, "overloaded_error");
    assert_eq!(error.error_code.as_deref(), Some("compaction_unavailable"));
    assert!(!meter.ended() && meter.saw_content());
    assert_eq!(
        errors::classify(0, br#"{"error":{"type":"overloaded_error"}}"#).class,
        Class::Overload
    );
}

#[test]
fn only_message_stop_ends_a_stream() {
    let whole = TOOL_USE.len();
    for cut in 0..whole {
        if let Some(head) = TOOL_USE.get(..cut) {
            assert!(!meter(head, 64).ended(), "ended at {cut} of {whole}");
        }
    }
    assert!(!meter("event: message_stop\n\n", 64).ended(), "an event without data is none");
    assert!(
        !meter("data: {\"type\":\"message_stop\"}\n\n", 64).ended(),
        "nor is one without a name"
    );
}

#[test]
fn progress_is_bounded_by_the_bytes_or_by_the_limit_where_something_is_hidden() {
    let visible = meter(until(TOOL_USE, "😀\\n\"}}\n\n"), 1 << 16);
    let (shown, _) = visible.content_bytes();
    let so_far = visible.output_so_far(4096, false);
    assert!(so_far.lower <= so_far.estimate && so_far.estimate <= so_far.upper);
    assert_eq!(so_far.upper, shown + 32);
    assert_eq!(visible.output_so_far(10, false).upper, 10);
    assert_eq!(visible.output_so_far(4096, true).upper, 4096);
    // Thinking that was not asked for, or shows nothing: still hidden.
    let thought = meter(until(THINKING, "\"signature\":\"\"}}\n\n"), 1 << 16);
    assert_eq!(thought.output_so_far(4096, false).upper, 4096);
    let told = meter(TOOL_USE, 1 << 16).output_so_far(4096, false);
    assert!(told.lower >= 57 && told.upper >= 57);
}

#[test]
fn a_delta_that_cannot_be_read_makes_the_bytes_no_bound() {
    let broken = "event: content_block_delta\ndata: {\"delta\":{\"type\":\"text_delta\",\"text\":\"\\q\"}}\n\n";
    assert_eq!(meter(broken, 1 << 16).output_so_far(4096, false).upper, 4096);
    let compaction = "event: content_block_delta\ndata: {\"delta\":{\"type\":\"compaction_delta\",\"content\":\"abc\"}}\n\n";
    assert_eq!(meter(compaction, 1 << 16).output_so_far(4096, false).upper, 4096);
    let future = "event: content_block_delta\ndata: {\"delta\":{\"type\":\"song_delta\",\"notes\":\"abc\"}}\n\n";
    assert_eq!(meter(future, 1 << 16).output_so_far(4096, false).upper, 4096);
}

#[test]
fn very_long_lines_are_not_held() {
    let mut meter = Meter::new();
    meter
        .feed(b"event: content_block_delta\ndata: {\"delta\":{\"type\":\"text_delta\",\"text\":\"");
    let window = vec![b'a'; 1 << 16];
    (0..64).for_each(|_| meter.feed(&window));
    meter.feed(b"\"}}\n\nevent: message_delta\ndata: {\"x\":\"");
    (0..64).for_each(|_| meter.feed(&window));
    meter.feed(b"\",\"usage\":{\"output_tokens\":5}}\n\nevent: message_delta\ndata: {\"usage\":{\"output_tokens\":7}}\n\n");
    assert_eq!(meter.content_bytes().0, 64 << 16);
    assert_eq!(meter.usage().map(|usage| usage.output), Some(7));
}

#[test]
fn our_closing_event_reads_as_an_error_wherever_the_stream_was_cut() {
    let content = ERROR.find("event: error").unwrap();
    for head in (0..content).filter_map(|cut| ERROR.get(..cut)) {
        let closed = format!("{head}{}", errors::sse_event("api_error", "cut", None, None));
        // As a client reads it: no event of half its data, and the last one is the error.
        let (mut name, mut data, mut events) = (String::new(), Vec::new(), Vec::new());
        for line in closed.lines() {
            match line.split_once(": ") {
                Some(("event", value)) => name = value.into(),
                Some(("data", value)) => data.push(value.to_string()),
                _ if line.is_empty() && !data.is_empty() => {
                    events.push((std::mem::take(&mut name), std::mem::take(&mut data).join("\n")));
                }
                _ => {}
            }
        }
        let (last, before) = events.split_last().unwrap();
        assert_eq!(last.0, "error", "{head}");
        assert!(last.1.ends_with(&errors::body("api_error", "cut", None, None)));
        for (name, data) in before {
            let whole = serde_json::from_str::<serde_json::Value>(data);
            assert!(whole.is_ok() && name != "error", "{name} {data}");
        }
    }
}

#[test]
fn an_answer_tells_its_usage_and_other_bodies_do_not() {
    let answer = answer::parse(include_bytes!("fixtures/anthropic/answer.json")).unwrap();
    assert_eq!(answer.model, "claude-haiku-4-5-20251001");
    assert_eq!(answer.stop_reason.as_deref(), Some("end_turn"));
    assert_eq!((answer.usage.output, answer.usage.web_searches), (57, 1));
    assert_eq!(answer.usage.cache_creation_1h, 2000);
    for other in [
        "",
        "{}",
        "[]",
        r#"{"type":"error","model":"m","usage":{"output_tokens":1}}"#,
        r#"{"type":"message","model":"m","usage":{}}"#,
    ] {
        assert_eq!(answer::parse(other.as_bytes()), None, "{other}");
    }
    assert_eq!(answer::count(br#"{"input_tokens":14}"#), Some(14));
    assert_eq!(answer::count(b"{}"), None);
}

proptest! {
    #[test]
    fn any_split_and_line_end_tells_the_same(window in 1usize..200, end in 0usize..3, which in 0usize..3) {
        let stream = [TOOL_USE, THINKING, ERROR][which];
        let whole = meter(stream, stream.len());
        let split = meter(&stream.replace('\n', ["\n", "\r\n", "\r"][end]), window);
        prop_assert_eq!(whole.usage(), split.usage());
        prop_assert_eq!(whole.content_bytes(), split.content_bytes());
        prop_assert_eq!(whole.error(), split.error());
        prop_assert_eq!((whole.ended(), whole.stop_reason(), whole.model()), (split.ended(), split.stop_reason(), split.model()));
        prop_assert_eq!(whole.output_so_far(9999, false), split.output_so_far(9999, false));
    }

    #[test]
    fn invariant_12_a_stream_without_its_own_end_is_broken(
        cut: prop::sample::Index,
        tail in prop_oneof![Just(""), Just("\n\n"), Just("event: ping\ndata: {\"type\": \"ping\"}\n\n"), Just("data: [DONE]\n\n")],
        window in 1usize..200,
        which in 0usize..3,
    ) {
        let stream = [TOOL_USE, THINKING, ERROR][which];
        let end = stream.find("event: message_stop").unwrap_or(stream.len());
        let head = stream.get(..cut.index(end + 1)).unwrap_or("");
        prop_assert!(!meter(&[head, tail].concat(), window).ended());
    }

    #[test]
    fn random_bytes_never_panic(parts in prop::collection::vec(prop_oneof![
        prop::collection::vec(any::<u8>(), 0..40),
        Just(b"event: content_block_delta\n".to_vec()), Just(b"event: message_delta\r\n".to_vec()),
        Just(b"data: {\"delta\":{\"text\":\"".to_vec()), Just(b"data:{\"usage\":{\"output_tokens\":18446744073709551615}}".to_vec()),
        Just(b"\n\n".to_vec()), Just(b"\r".to_vec()),
    ], 0..20), max_tokens: u64) {
        let mut meter = Meter::new();
        parts.iter().for_each(|part| meter.feed(part));
        let so_far = meter.output_so_far(max_tokens, false);
        prop_assert!(so_far.lower <= so_far.estimate && so_far.estimate <= so_far.upper);
    }
}

//! Request bodies: what is read from them, and what is refused.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use providers::Speed;
use providers::anthropic::request::{Api, Facts, Invalid, Scanner, Thinking, ToolChoice};

fn scan(body: &[u8], window: usize) -> Result<Facts, Invalid> {
    let mut scanner = Scanner::new(Api::Messages);
    for part in body.chunks(window.max(1)) {
        scanner.feed(part)?;
    }
    scanner.finish()
}

fn facts(body: &str) -> Facts {
    scan(body.as_bytes(), 1 << 16).unwrap_or_else(|invalid| panic!("{invalid:?}"))
}

/// A request with one more field.
fn with(field: &str) -> String {
    format!(
        r#"{{"model":"claude-sonnet-5-5","max_tokens":64,"messages":[{{"role":"user","content":"Hi there"}}]{}{field}}}"#,
        if field.is_empty() { "" } else { "," }
    )
}

fn content(blocks: &str) -> String {
    format!(
        r#"{{"model":"claude-sonnet-5-5","max_tokens":64,"messages":[{{"role":"user","content":[{blocks}]}}]}}"#
    )
}

/// Three pages, base64.
const PDF: &str = "JVBERi0xLjQKMyAwIG9iago8PCAvVHlwZSAvUGFnZSAvUGFyZW50IDIgMCBSID4+CmVuZG9iago0IDAgb2JqCjw8IC9UeXBlIC9QYWdlIC9QYXJlbnQgMiAwIFIgPj4KZW5kb2JqCjUgMCBvYmoKPDwgL1R5cGUgL1BhZ2UgL1BhcmVudCAyIDAgUiA+PgplbmRvYmoKMiAwIG9iago8PCAvVHlwZSAvUGFnZXMgL0NvdW50IDMgPj4KZW5kb2JqCiUlRU9G";

#[test]
fn a_pdf_is_estimated_by_its_pages_and_one_that_hides_them_by_its_size() {
    let long = "A".repeat(200_000);
    for (data, pages) in [(PDF, 3), (&long, 3), ("JVBERi0x", 1), ("!", 1)] {
        let block = format!(
            r#"{{"type":"document","source":{{"type":"base64","media_type":"application/pdf","data":"{data}"}}}}"#
        );
        let facts = facts(&content(&block));
        assert_eq!((facts.pdfs, facts.pdf_pages), (1, pages), "{}", &data[..8.min(data.len())]);
        let around = facts.input().estimate - 2_330 * pages;
        assert!(around < 50, "{around}");
    }
}

fn refusal(body: &str) -> Invalid {
    scan(body.as_bytes(), 1 << 16).expect_err(body)
}

#[test]
fn a_request_with_everything_tells_its_facts() {
    let facts = facts(include_str!("fixtures/anthropic/request_full.json"));
    assert_eq!(facts.model, "claude-opus-5-5");
    assert_eq!((facts.max_tokens, facts.stream, facts.speed), (4096, true, Speed::Fast));
    assert_eq!(facts.thinking, Thinking::Enabled { budget: 2048 });
    assert_eq!((facts.tools, facts.server_tools, facts.defined_tools), (4, 1, 1));
    assert_eq!((facts.web_searches_max, facts.tool_choice), (3, ToolChoice::Any));
    assert_eq!((facts.mcp_servers, facts.file_ids), (1, 1));
    assert_eq!((facts.cache_control, facts.cache_1h), (true, true));
    assert_eq!(
        (facts.images, facts.images_sent, facts.image_sizes.as_slice()),
        (2, 1, [(2, 3)].as_slice())
    );
    assert_eq!((facts.documents, facts.pdfs, facts.pdf_pages), (3, 1, 1));
    assert_eq!(facts.remote_sources, 2);
    assert_eq!(facts.messages, 3);
    assert!(facts.system && facts.user_id && facts.open_ended());
    assert_eq!(facts.service_tier.as_deref(), Some("auto"));
    assert_eq!(facts.inference_geo.as_deref(), Some("us"));
    assert_eq!(facts.betas, ["files-api-2025-04-14"]);
    assert_eq!(facts.opaque_bytes, "EuYBCkQYAiJA".len() as u64);
    // "You are a clerk." and the plain text document are text, base64 is not.
    assert_eq!(facts.text.system.bytes, 16);
    assert!(facts.text.messages.bytes < 600, "{:?}", facts.text.messages);
    assert_eq!(facts.bytes, include_str!("fixtures/anthropic/request_full.json").len() as u64);
}

#[test]
fn text_is_counted_decoded() {
    let facts = facts(&content(r#"{"type":"text","text":"\u00e9\n\ud83d\ude00\"a\u0062c"}"#));
    let text = facts.text.messages;
    assert_eq!((text.bytes, text.code_points), (2 + 1 + 4 + 1 + 3, 7));
    assert_eq!((text.latin_accented, text.astral, text.latin_letters, text.words), (1, 1, 3, 1));
}

#[test]
fn the_keys_of_tool_input_count_and_unknown_fields_may_reach_the_model() {
    let long = "k".repeat(1000);
    let facts = facts(&with(&format!(
        r#""tools":[{{"name":"f","input_schema":{{"{long}":true}}}}],"future":"{long}""#
    )));
    assert!(facts.text.tools.latin_letters >= 1000);
    assert!(facts.text.other.latin_letters >= 1000);
    assert!(facts.input().upper >= 2000);
    // A key that is too long to be one of ours counts as well.
    let block = content(&format!(r#"{{"type":"text","text":"a","{long}":1}}"#));
    assert!(self::facts(&block).input().upper >= 700);
}

#[test]
fn image_sizes_come_from_the_first_bytes() {
    let table = [
        // PNG 1920 x 1080; GIF 2 x 3; WebP VP8X 400 x 301, VP8L 5 x 7, VP8 320 x 240.
        ("iVBORw0KGgoAAAANSUhEUgAAB4AAAAQ4CAYAAAAA", Some((1920, 1080))),
        ("R0lGODlhAgADAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7", Some((2, 3))),
        ("UklGRiQAAABXRUJQVlA4WAoAAAAQAAAAjwEALAEA", Some((400, 301))),
        ("UklGRhoAAABXRUJQVlA4TA0AAAAvBIABEAAAAAAA", Some((5, 7))),
        ("UklGRiQAAABXRUJQVlA4IBgAAAAwAQCdASpAAfAAAUAmJaQA", Some((320, 240))),
        // JPEG: APP0, then SOF0 of 200 x 100.
        ("/9j/4AAQSkZJRgABAQAAAQABAAD/wAARCABkAMgDASIAAhEBAxEB", Some((200, 100))),
        ("/9j/2gAA", None),
        ("AAAA", None),
    ];
    for (data, size) in table {
        let body = content(&format!(
            r#"{{"type":"image","source":{{"type":"base64","media_type":"image/png","data":"{data}"}}}}"#
        ));
        for window in [1, 7, 1 << 16] {
            let facts = scan(body.as_bytes(), window).unwrap();
            assert_eq!(facts.image_sizes.first().copied(), size, "{data}");
            assert_eq!((facts.images_sent, facts.text.messages.bytes), (1, 0));
        }
    }
}

#[test]
fn a_sources_keys_come_in_any_order() {
    let png = "iVBORw0KGgoAAAANSUhEUgAAB4AAAAQ4CAYAAAAA";
    let image = facts(&content(&format!(
        r#"{{"source":{{"data":"{png}","type":"base64"}},"type":"image"}}"#
    )));
    assert_eq!(image.image_sizes, [(1920, 1080)]);
    assert_eq!(image.text.messages.bytes, 0);
    let text =
        facts(&content(r#"{"type":"document","source":{"data":"plain words","type":"text"}}"#));
    assert_eq!((text.text.messages.bytes, text.pdfs), (11, 0));
    // No type at all: counted as text, the dearer reading.
    let unknown = facts(&content(r#"{"type":"document","source":{"data":"plain words"}}"#));
    assert_eq!(unknown.text.messages.bytes, 11);
}

#[test]
fn nested_sources_hide_no_text() {
    let inner = r#"{"type":"document","source":{"type":"text","data":"0123456789"}}"#;
    let facts = facts(&content(&format!(
        r#"{{"type":"document","source":{{"data":"abcdefghij","content":[{inner}],"type":"content"}}}}"#
    )));
    assert_eq!(facts.text.messages.bytes, 20);
}

#[test]
fn wrong_types_are_refused_with_path_and_remedy() {
    let table = [
        (with(r#""stream":"yes""#), "stream", "true or false or null, not a string"),
        (with(r#""stream":1"#), "stream", "not a number"),
        (with(r#""speed":"ludicrous""#), "speed", "\"standard\" or \"fast\""),
        (with(r#""tools":{}"#), "tools", "an array or null, not an object"),
        (with(r#""tools":[1]"#), "tools.0", "an object, not a number"),
        (with(r#""tools":[{"name":"a"},{"type":7}]"#), "tools.1.type", "a string"),
        (
            with(r#""thinking":{"type":"enabled","budget_tokens":1.5}"#),
            "thinking.budget_tokens",
            "whole",
        ),
        (with(r#""system":5"#), "system", "a string or an array"),
        (with(r#""metadata":[]"#), "metadata", "an object"),
        (
            with(r#""system":[{"type":"text","text":"a","cache_control":{"ttl":1}}]"#),
            "system.0.cache_control.ttl",
            "a string",
        ),
        (
            content(r#"{"type":"text","text":"a"},{"type":5}"#),
            "messages.0.content.1.type",
            "a string, not a number",
        ),
        (content(r#""loose""#), "messages.0.content.0", "an object"),
        (
            content(r#"{"type":"image","source":{"type":"base64","data":5}}"#),
            "messages.0.content.0.source.data",
            "a string",
        ),
        (r#"{"model":"","max_tokens":1,"messages":[]}"#.into(), "model", "must not be empty"),
        (r#"{"model":7}"#.into(), "model", "must be a string, not a number"),
        (r#"{"model":"m","max_tokens":1}"#.into(), "messages", "required"),
        (r#"{"model":"m","max_tokens":1,"messages":[]}"#.into(), "messages", "at least one"),
        (
            r#"{"model":"m","messages":[{"role":"user","content":"x"}]}"#.into(),
            "max_tokens",
            "required",
        ),
        (
            r#"{"max_tokens":1,"messages":[{"role":"user","content":"x"}]}"#.into(),
            "model",
            "required",
        ),
        (r#"{"model":"m","max_tokens":-1}"#.into(), "max_tokens", "0 or more"),
        (r#"{"model":"m","max_tokens":1e3}"#.into(), "max_tokens", "whole number"),
        (r#"{"model":"m","max_tokens":99999999999999999999}"#.into(), "max_tokens", "whole number"),
        (r#"{"model":"m","max_tokens":"9"}"#.into(), "max_tokens", "a number, not a string"),
        (
            r#"{"messages":[{"role":"user","content":null}]}"#.into(),
            "messages.0.content",
            "not null",
        ),
        ("[]".into(), "body", "an object"),
        ("7".into(), "body", "an object"),
    ];
    for (body, field, says) in table {
        let invalid = refusal(&body);
        assert_eq!(
            (invalid.status, invalid.field.as_deref()),
            (400, Some(field)),
            "{body} {invalid:?}"
        );
        assert!(invalid.message.contains(says), "{body}: {}", invalid.message);
        assert!(invalid.message.starts_with(field), "{}", invalid.message);
    }
}

#[test]
fn a_field_given_twice_is_refused() {
    for (body, field) in [
        (with(r#""model":"claude-haiku-4-5""#), "model"),
        (with(r#""mode\u006c":"claude-haiku-4-5""#), "model"),
        (with(r#""future":1,"future":2"#), "body"),
        (
            content(r#"{"type":"image","source":{"type":"base64","type":"text","data":"x"}}"#),
            "messages.0.content.0.source.type",
        ),
    ] {
        let invalid = refusal(&body);
        assert_eq!(invalid.field.as_deref(), Some(field));
        assert!(invalid.message.contains("twice"), "{}", invalid.message);
    }
    // Not ours: what a tool's input or schema holds.
    facts(&with(r#""tools":[{"name":"f","input_schema":{"a":1,"a":2}}]"#));
}

#[test]
fn nesting_is_bounded_and_the_refusal_says_where() {
    let nested = |levels: usize| {
        with(&format!(
            r#""tools":[{{"name":"f","input_schema":{}{}}}]"#,
            "[".repeat(levels),
            "]".repeat(levels)
        ))
    };
    facts(&nested(124));
    let invalid = refusal(&nested(125));
    assert_eq!((invalid.status, invalid.field.as_deref()), (400, Some("tools.0")));
    assert!(invalid.message.contains("127 levels"), "{}", invalid.message);
}

#[test]
fn a_body_over_the_providers_limit_is_413() {
    let mut scanner = Scanner::new(Api::Messages);
    let head = br#"{"model":"m","max_tokens":1,"messages":[{"role":"user","content":""#;
    scanner.feed(head).unwrap();
    let window = vec![b'a'; 1 << 20];
    let refused = (0..32).find_map(|_| scanner.feed(&window).err()).unwrap();
    assert_eq!(refused.status, 413);
}

#[test]
fn refusals_never_quote_the_prompt() {
    for body in [
        content(r#"{"type":"text","text":"SECRET" "#),
        content("{\"type\":\"text\",\"text\":\"SECRET\u{1}\"}"),
        content(r#"{"SECRET":1,"type":5}"#),
        with(r#""SECRET":1,"SECRET":2"#),
        with(r#""speed":"SECRET""#),
    ] {
        let invalid = refusal(&body);
        assert!(!format!("{invalid:?}").contains("SECRET"), "{invalid:?}");
    }
}

#[test]
fn null_is_absent_for_optional_fields_and_count_tokens_needs_no_limit() {
    let facts = facts(&with(
        r#""stream":null,"speed":null,"tools":null,"system":null,"thinking":null,"cache_control":null,"metadata":{"user_id":null}"#,
    ));
    assert!(!facts.stream && !facts.system && !facts.user_id && !facts.cache_control);
    assert_eq!(facts.thinking, Thinking::Unset);
    let mut scanner = Scanner::new(Api::CountTokens);
    scanner.feed(br#"{"model":"m","messages":[{"role":"user","content":"x"}]}"#).unwrap();
    assert_eq!(scanner.finish().unwrap().max_tokens, 0);
}

#[test]
fn tools_that_come_in_mid_conversation_count() {
    let facts = facts(&content(
        r#"{"type":"tool_addition","tool":{"type":"tool_definition","definition":{"type":"web_search_20260318","name":"web_search"}}}"#,
    ));
    assert_eq!((facts.tools, facts.server_tools, facts.web_searches_max), (1, 1, 10));
}

#[test]
fn other_models_that_the_provider_may_turn_to_are_told_and_priced() {
    let plain = facts(&with(""));
    let chain = facts(&with(
        r#""fallbacks":[{"model":"claude-opus-5-5","max_tokens":128,"speed":"fast"},{"model":"claude-fable-5-2"}]"#,
    ));
    assert_eq!(chain.other_models, ["claude-opus-5-5", "claude-fable-5-2"]);
    assert_eq!((chain.other_max_tokens, chain.fallbacks_default), (128, false));
    // 128 tokens of output at $20 and at $40 a million, and the input twice more.
    assert!(chain.cost_most(0).microusd >= plain.cost_most(0).microusd + 128 * 20 + 128 * 40);
    let default = facts(&with(r#""fallbacks":"default""#));
    assert!(
        default.fallbacks_default
            && default.cost_most(0).estimated
            && !plain.cost_most(0).estimated
    );
    let advisor = facts(&with(
        r#""tools":[{"type":"advisor_20260301","name":"advisor","model":"claude-fable-5-2"}]"#,
    ));
    assert_eq!(
        (advisor.other_models.as_slice(), advisor.server_tools),
        (["claude-fable-5-2".to_string()].as_slice(), 1)
    );
    assert_eq!(
        refusal(&with(r#""fallbacks":[{"model":1}]"#)).field.as_deref(),
        Some("fallbacks.0.model")
    );
    let thread = facts(&with(r#""thread":{"id":"thread_1"}"#));
    assert!(thread.thread && thread.open_ended() && thread.input().upper == 1_000_000);
}

#[test]
fn prompts_that_begin_alike_for_the_prompt_cache_have_one_fingerprint() {
    let marked = |rules: &str, question: &str, tool: &str| {
        facts(&format!(
            r#"{{"model":"claude-opus-5","max_tokens":10,"tools":[{{"name":"{tool}"}}],
            "messages":[{{"role":"user","content":"{question}"}}],
            "system":[{{"type":"text","text":"{rules}","cache_control":{{"type":"ephemeral"}}}}]}}"#
        ))
        .cached_prefix()
    };
    let first = marked("the rules of the house", "why", "find");
    assert!(first.is_some());
    assert_eq!(marked("the rules of the house", "and what then", "find"), first);
    assert_ne!(marked("the rules of this house", "why", "find"), first);
    assert_ne!(marked("the rules of the house", "why", "look"), first);
    // The same counts in the other place.
    assert_ne!(marked("find", "why", "the rules of the house"), first);
    assert_eq!(facts(&with("")).cached_prefix(), None);
}

#[test]
fn the_input_estimate_takes_images_tools_and_unknown_content_in() {
    let plain = facts(&with("")).input();
    assert!(
        plain.lower <= plain.estimate && plain.estimate <= plain.upper && plain.upper < 100,
        "{plain:?}"
    );
    let tools = facts(&with(r#""tools":[{"name":"f","input_schema":{}}]"#)).input();
    assert!(tools.lower >= plain.lower + 290 && tools.upper >= plain.upper + 804);
    let png = "iVBORw0KGgoAAAANSUhEUgAAB4AAAAQ4CAYAAAAA";
    let image = facts(&content(&format!(
        r#"{{"type":"image","source":{{"type":"base64","media_type":"image/png","data":"{png}"}}}}"#
    )));
    assert!(image.input().lower >= 2691 && image.input().upper < 2900, "{:?}", image.input());
    let remote =
        facts(&content(r#"{"type":"document","source":{"type":"file","file_id":"file_1"}}"#));
    assert_eq!(remote.input().upper, 1_000_000);
    let search = facts(&with(r#""tools":[{"type":"web_search_20260318","name":"web_search"}]"#));
    assert_eq!(search.input().upper, 1_000_000);
}

/// JSON of random shape, now and then broken.
fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_string()),
        Just("true".to_string()),
        Just("false".to_string()),
        "-?(0|[1-9][0-9]{0,4})(\\.[0-9]{1,3})?([eE][+-]?[0-9]{1,2})?",
        "[-+0-9.eE]{1,6}",
        "\"[ -!#-\\[\\]-~é漢😀]{0,12}\"",
        "\"(\\\\[\"\\\\/bfnrtux]|\\\\u[0-9a-fA-F]{4}|\\\\u[dD][89abAB][0-9a-f]{2}\\\\u[dD][c-fC-F][0-9a-f]{2}|a){0,5}\"",
        "[\\[\\]{}:,\" \t\ntfn\\\\]{1,4}",
    ];
    leaf.prop_recursive(5, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(|v| format!("[{}]", v.join(" ,"))),
            prop::collection::vec(("\"[a-z]{0,3}\"", inner), 0..5).prop_map(|v| {
                let fields: Vec<_> = v.into_iter().map(|(k, v)| format!("{k}:{v}")).collect();
                format!("{{{}}}", fields.join(","))
            }),
        ]
    })
}

fn agrees_with_serde_json(value: &[u8], window: usize) -> Result<(), TestCaseError> {
    let mut body =
        br#"{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"x"}],"x":"#.to_vec();
    body.extend_from_slice(value);
    body.push(b'}');
    let ours = scan(&body, window);
    match serde_json::from_slice::<serde_json::Value>(&body) {
        // We don't convert numbers that nothing depends on.
        Err(error) if error.to_string().starts_with("number out of range") => {}
        theirs => {
            let twice = ours.as_ref().is_err_and(|invalid| invalid.message.contains("twice"));
            prop_assert!(
                twice || ours.is_ok() == theirs.is_ok(),
                "{ours:?} {theirs:?} {}",
                String::from_utf8_lossy(&body)
            );
        }
    }
    Ok(())
}

#[test]
fn depth_and_numbers_are_serde_jsons() {
    for levels in 120..=130 {
        let arrays = format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        agrees_with_serde_json(arrays.as_bytes(), 16).unwrap();
        let objects = format!("{}1{}", r#"{"a":"#.repeat(levels), "}".repeat(levels));
        agrees_with_serde_json(objects.as_bytes(), 16).unwrap();
    }
    for number in [
        "01", "-", "-0", "1.", ".1", "1e", "1e+", "0e0", "+1", "0x1", "1 2", "NaN", "1E-7",
        "-1.5e+3",
    ] {
        agrees_with_serde_json(number.as_bytes(), 1).unwrap();
    }
}

#[test]
fn surrogates_and_utf8_are_judged_as_serde_json_does_at_any_split() {
    let escapes = [
        r"\ud83d\ude00",
        r"\ud83d",
        r"\ude00",
        r"\ud83d\ud83d",
        r"\udbff\udfff",
        r"\ud800\udc00",
        r"\ud800\udbff",
        r"\ud800\ue000",
        r"\ud800\u0041",
        r"\ud800x",
        r"\ud800\n",
        r"\uD83D\uDE0g",
        r"\u00e9\u0000",
        r"\uFFFF",
    ];
    let bytes: [&[u8]; 14] = [
        "\u{7FF}\u{800}\u{D7FF}\u{E000}\u{FFFF}\u{10000}\u{10FFFF}".as_bytes(),
        b"\xC0\x80",
        b"\xC1\xBF",
        b"\xC2",
        b"\xE0\x9F\xBF",
        b"\xE0\xA0",
        b"\xED\x9F\xBF",
        b"\xED\xA0\x80",
        b"\xED\xBF\xBF",
        b"\xF0\x8F\xBF\xBF",
        b"\xF0\x90\x80",
        b"\xF4\x8F\xBF\xBF",
        b"\xF4\x90\x80\x80",
        b"\xF5\x80\x80\x80",
    ];
    for inside in escapes.iter().map(|escape| escape.as_bytes()).chain(bytes) {
        let value = [b"\"".as_slice(), inside, b"\""].concat();
        (1..8).for_each(|window| agrees_with_serde_json(&value, window).unwrap());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn it_accepts_what_serde_json_accepts(value in json(), window in 1usize..20) {
        agrees_with_serde_json(value.as_bytes(), window)?;
    }

    #[test]
    fn strings_of_any_bytes_agree_too(bytes in prop::collection::vec(prop_oneof![any::<u8>(), 0x80u8..0xC0, Just(0xE2u8), Just(0xF0u8), Just(b'\\')], 0..12), window in 1usize..8) {
        let value = [b"\"".as_slice(), &bytes, b"\""].concat();
        agrees_with_serde_json(&value, window)?;
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), window in 1usize..50) {
        let _ = scan(&bytes, window);
    }

    #[test]
    fn any_window_gives_the_same_facts(
        value in json(), bytes in prop::collection::vec(any::<u8>(), 0..40), window in 1usize..64, cut in 0usize..2000,
    ) {
        let loose = [&br#"{"x":"aaaaaaaaaaaaa"#[..], &bytes, br#"","y":[1]}"#].concat();
        prop_assert_eq!(scan(&loose, loose.len()), scan(&loose, window));
        let full = include_str!("fixtures/anthropic/request_full.json");
        let cut = (0..=cut.min(full.len())).rev().find(|&i| full.is_char_boundary(i)).unwrap_or(0);
        for body in [with(&format!(r#""x":{value}"#)), full.to_string(), full[..cut].to_string()] {
            let once = scan(body.as_bytes(), body.len());
            let split = scan(body.as_bytes(), window);
            prop_assert_eq!(once, split);
        }
    }

    #[test]
    fn the_input_bounds_are_in_order(value in json(), images in 0usize..4) {
        let body = with(&format!(r#""tools":[{{"name":"f","input_schema":{value}}}],"images":{images}"#));
        if let Ok(facts) = scan(body.as_bytes(), 1 << 16) {
            let input = facts.input();
            prop_assert!(input.lower <= input.estimate && input.estimate <= input.upper);
        }
    }
}

#[test]
fn strictly_read_a_request_tells_what_a_page_may_be_forbidden() {
    let strict = |body: &str, window: usize| {
        let mut scanner = Scanner::new(Api::Messages).strict();
        body.as_bytes().chunks(window).try_for_each(|part| scanner.feed(part)).unwrap();
        scanner.finish().unwrap()
    };
    for window in [1, 7, 4_096] {
        let facts =
            strict(&with(r#""system":"Sei \"gut\" \u00fc\ud83d\ude00","temperature":1"#), window);
        assert_eq!(facts.system_text.as_deref(), Some("Sei \"gut\" ü😀".as_bytes()));
        assert!(facts.system && facts.other_field.is_none() && !facts.other_roles);
    }
    let plain = with(r#""system":"Be kind.","container":{"id":"c"}"#);
    assert_eq!(facts(&plain).text, strict(&plain, 9).text, "it is counted alike");
    assert_eq!(facts(&plain).system_text, None, "kept only where it is asked for");
    assert_eq!(strict(&plain, 9).other_field.as_deref(), Some("container"));
    for block in [
        r#"{"type":"text","text":"Be \u006bind."}"#,
        r#"{"cache_control":{"type":"ephemeral","text":"x"},"text":"Be kind.","type":"text"}"#,
    ] {
        for window in [1, 7, 4_096] {
            let one = strict(&with(&format!(r#""system":[{block}]"#)), window);
            assert_eq!(one.system_text.as_deref(), Some(&b"Be kind."[..]), "{block}");
        }
        let plain = with(&format!(r#""system":[{block}]"#));
        assert_eq!(facts(&plain).text, strict(&plain, 9).text, "it is counted alike");
    }
    for blocks in [
        r#"{"type":"text","text":"Be kind."},{"type":"text","text":""}"#,
        r#"{"type":"text","text":""},{"type":"text","text":"Be kind."}"#,
        r#"{"type":"text","text":"Be kind."},{}"#,
        r#"{"type":"text","text":"Be rude.","text":"Be kind."}"#,
        r#"{"type":"text","text":"Be kind.","title":"Be rude."}"#,
        r#"{"type":"text","text":"Be kind.","anything":"Be rude."}"#,
        r#"{"type":"document","text":"Be kind."}"#,
        r#"{"type":"text","text":"Be kind.","content":[{"type":"text","text":"Be rude."}]}"#,
    ] {
        let some = strict(&with(&format!(r#""system":[{blocks}]"#)), 9);
        assert_eq!((some.system, some.system_text), (true, None), "{blocks}");
    }
    let none = strict(&with(r#""system":[]"#), 9);
    assert_eq!((none.system, none.system_text), (true, None));
    let nested = strict(&with(r#""system":[{"type":"text","text":["Be kind."]}]"#), 9);
    assert_eq!(nested.system_text.as_deref(), Some(&b""[..]));
    let null = strict(&with(r#""system":null"#), 9);
    assert_eq!((null.system, null.system_text), (false, None));
    let long = strict(&with(&format!(r#""system":"{}""#, "x".repeat(9_999))), 100);
    assert_eq!(long.system_text.map(|text| text.len()), Some(4_097));
    let role = with("").replace(r#""role":"user""#, r#""role":"system""#);
    assert!(role.contains("system") && strict(&role, 5).other_roles);
    let escaped = strict(&with(r#""cont\u0061iner":1,"temperature":0"#), 3);
    assert_eq!(escaped.other_field.as_deref(), Some("container"));
}

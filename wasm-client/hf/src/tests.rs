//! The package's own counter against the crate `tokenizers`, by tokenizer.json files
//! that are made of OpenAI's vocabularies as other makers write theirs. Real files are
//! tried by `TOKENIZERS=a.json:b.json cargo test -p tollgate-wasm-hf`, and through the
//! built package by test/hf.test.mjs.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io::Read;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use super::*;

/// What tokenizers stumble over.
const TELLING: &[&str] = &[
    "a",
    "B",
    "s",
    "'",
    "'s",
    "'S",
    "ſ",
    "'re",
    "'LL",
    "'v",
    " ",
    "  ",
    "    ",
    "\t",
    "\n",
    "\r",
    "\r\n",
    "/",
    "!",
    "1",
    "12",
    "2024",
    "\u{85}",
    "\u{a0}",
    "\u{feff}",
    "\u{301}",
    "é",
    "e\u{301}",
    "ǅ",
    "ʰ",
    "中",
    "文字",
    "。",
    "²",
    "\u{2028}",
    "😀",
    "\u{200d}",
    "İ",
    "K",
    "\0",
    "한",
    "\u{1112}\u{1161}\u{11ab}",
    "ing",
    " the",
    " return",
    "camelCase",
    "HTTPServer",
    "<",
    "<|",
    "|>",
    "<|end|>",
    "<|end|>>",
    "<tool>",
    "<tool_call>",
    "----",
    "ооо",
    "กำ",
    "\u{fa0e}",
    "Å",
];

fn texts() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        8 => proptest::sample::select(TELLING).prop_map(String::from),
        2 => any::<char>().prop_map(String::from),
        2 => "[a-z]{1,9}",
        1 => (proptest::sample::select(TELLING), 1..40usize).prop_map(|(text, n)| text.repeat(n)),
    ];
    proptest::collection::vec(part, 0..16).prop_map(|parts| parts.concat())
}

/// Where the two are not the same: each has its own Unicode's letters, and
/// `tokenizers` does not fold U+017F, the long s, as the pattern's (?i:'s) says.
fn differs(text: &str) -> bool {
    text.contains("'ſ") || text.chars().any(is_newer)
}

/// Letters and numbers that came with Unicode 17.0 (2025-09), which `tokenizers`
/// 1.0.0-rc.3 knows; the counter has 16.0, as tiktoken. All there are: comparing
/// "{c}.com" for each character c found these (2026-11).
fn is_newer(char: char) -> bool {
    matches!(
        u32::from(char),
        0x88f | 0xc5c | 0xcdc | 0xa7ce..=0xa7d4 | 0xa7f1 | 0x10940..=0x10959 | 0x10ec5..=0x10ec7
            | 0x11db0..=0x11de9 | 0x16ea0..=0x16ed3 | 0x16ff2..=0x16ff6 | 0x187f8..=0x187ff
            | 0x18d09..=0x18d1e | 0x18d80..=0x18df2 | 0x1e6c0..=0x1e6ff | 0x2b73a..=0x2b73f
            | 0x2cea2..=0x2cead | 0x323b0..=0x33479
    )
}

/// Both ways of running a file say the same; answers whether there were two.
fn agree(json: &str, cases: u32) -> bool {
    let form = source::read(json.as_bytes()).expect("it is a tokenizer.json");
    let form = form::read(&form::write(&form)).expect("what was written is read");
    let Form::Quick(parts) = form else { return false };
    let quick = RefCell::new(Quick::new(parts).expect("its parts fit"));
    let canonical = tokenizers::canonicalize_str(json).expect("it converts");
    let general = tokenizers::from_json(&canonical).expect("tokenizers reads it");
    let mut runner =
        TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&(texts(), any::<bool>(), 0..20usize), |(text, framed, limit)| {
        prop_assume!(!differs(&text));
        let mut quick = quick.borrow_mut();
        let ids = quick.encode(&text, framed);
        prop_assert_eq!(&ids, &encode(&general, &text, framed).expect("it encodes"));
        prop_assert_eq!(quick.count(&text, framed, usize::MAX), ids.len());
        prop_assert_eq!(quick.count(&text, framed, limit) <= limit, ids.len() <= limit);
        for bare in [false, true] {
            let decoded = general.decode(&ids, bare).expect("it decodes");
            prop_assert_eq!(quick.decode(&ids, bare), Ok(decoded));
        }
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
    true
}

/// A vocabulary of OpenAI's: the bytes of its tokens by rank, and the two halves.
fn vocabulary(name: &str) -> (Vec<Vec<u8>>, Vec<(usize, usize)>) {
    let file = std::fs::read(format!("../vocabularies/{name}.merges.gz")).expect("it is there");
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(&file[..]).read_to_end(&mut bytes).expect("it is gzipped");
    let mut tokens: Vec<Vec<u8>> = bytes[32..288].iter().map(|&byte| vec![byte]).collect();
    let planes: Vec<&[u8]> = bytes[288..].chunks((bytes.len() - 288) / 6).collect();
    let mut halves = Vec::new();
    for at in 0..(bytes.len() - 288) / 6 {
        let half = |side: usize| {
            planes[3 * side..][..3]
                .iter()
                .rev()
                .fold(0, |id, plane| id << 8 | usize::from(plane[at]))
        };
        let pair = (half(0), half(1));
        // p50k alone has ids without a token.
        assert!(pair.0 < tokens.len(), "{name} has a gap");
        tokens.push([&tokens[pair.0][..], &tokens[pair.1]].concat());
        halves.push(pair);
    }
    (tokens, halves)
}

/// As byte-level vocabularies are written.
fn spelt(bytes: &[u8]) -> String {
    let printable = |byte: u8| matches!(byte, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff);
    let letter = |&byte: &u8| match printable(byte) {
        true => char::from(byte),
        false => {
            let nth = (0..byte).filter(|&before| !printable(before)).count() as u32;
            char::from_u32(0x100 + nth).expect("a letter of Latin Extended-A")
        }
    };
    bytes.iter().map(letter).collect()
}

fn file(tokens: &[Vec<u8>], merges: Vec<Value>, pre_tokenizer: Value, more: Value) -> String {
    // Other makers' ids begin behind their special tokens.
    let mut vocab: serde_json::Map<String, Value> =
        tokens.iter().enumerate().map(|(rank, token)| (spelt(token), json!(rank + 3))).collect();
    vocab.extend(
        [("<|end|>", 0), ("<tool>", 1), ("<tool_call>", 2)].map(|(t, id)| (t.into(), json!(id))),
    );
    let mut root = json!({
        "version": "1.0", "truncation": {"max_length": 4, "strategy": "LongestFirst", "stride": 0, "direction": "Right"},
        "padding": null, "normalizer": null, "pre_tokenizer": pre_tokenizer, "decoder": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
        "added_tokens": [
            added(0, "<|end|>", true), added(1, "<tool>", false), added(2, "<tool_call>", false), added(tokens.len() as u32 + 3, "<|end|>>", true),
        ],
        "post_processor": {"type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "<|end|>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"<|end|>": {"id": "<|end|>", "ids": [0], "tokens": ["<|end|>"]}}},
        "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "vocab": vocab, "merges": merges},
    });
    for (key, value) in more.as_object().expect("an object") {
        match value.as_object().filter(|_| key == "model") {
            Some(fields) => {
                fields.iter().for_each(|(key, value)| root["model"][key] = value.clone())
            }
            None => root[key] = value.clone(),
        }
    }
    root.to_string()
}

fn added(id: u32, content: &str, special: bool) -> Value {
    json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": special})
}

/// As GPT-2's file has it: one merge a token, and the cut built in.
fn like_gpt2(more: Value) -> String {
    let (tokens, halves) = vocabulary("r50k_base");
    let merge = |&(left, right): &(usize, usize)| {
        json!(format!("{} {}", spelt(&tokens[left]), spelt(&tokens[right])))
    };
    let cut = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true});
    file(&tokens, halves.iter().map(merge).collect(), cut, more)
}

fn split(digits: &str) -> Value {
    let pattern = format!(
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}{digits}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    );
    json!({"type": "Sequence", "pretokenizers": [
        {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false},
        {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false}]})
}

/// As Llama 3's file has it: every way to make a token, and merges ignored for what
/// is a token already. A part of the vocabulary, for each takes a while to build.
fn like_llama3() -> String {
    let (tokens, _) = vocabulary("cl100k_base");
    let tokens = &tokens[..20_000];
    let ranks: HashMap<&[u8], usize> =
        tokens.iter().enumerate().map(|(rank, token)| (&token[..], rank)).collect();
    let mut merges = Vec::new();
    for token in &tokens[256..] {
        let known =
            |at: &usize| ranks.contains_key(&token[..*at]) && ranks.contains_key(&token[*at..]);
        let mut ways: Vec<usize> = (1..token.len()).filter(known).collect();
        ways.sort_by_key(|&at| (ranks[&token[..at]], ranks[&token[at..]]));
        merges.extend(ways.iter().map(|&at| json!([spelt(&token[..at]), spelt(&token[at..])])));
    }
    file(tokens, merges, split("{1,3}"), json!({"model": {"ignore_merges": true}}))
}

/// As Qwen's: composed first, each digit alone.
fn like_qwen() -> String {
    let (tokens, halves) = vocabulary("cl100k_base");
    let merge =
        |&(left, right): &(usize, usize)| json!([spelt(&tokens[left]), spelt(&tokens[right])]);
    let merges = halves[..20_000].iter().map(merge).collect();
    file(&tokens[..20_256], merges, split(""), json!({"normalizer": {"type": "NFC"}}))
}

#[test]
fn the_counter_gives_the_ids_of_tokenizers() {
    for json in [like_gpt2(json!({})), like_llama3(), like_qwen()] {
        assert!(agree(&json, 3_000), "it runs on the counter");
    }
}

#[test]
fn given_files_agree_too() {
    for path in std::env::var("TOKENIZERS").iter().flat_map(|list| list.split(':')) {
        let json = std::fs::read_to_string(path).expect("the file is there");
        println!("{path}: quick {}", agree(&json, 20_000));
    }
}

#[test]
fn what_is_not_proven_runs_on_tokenizers() {
    let unproven = |more: Value| {
        let form =
            source::read(like_gpt2(more.clone()).as_bytes()).expect("it is a tokenizer.json");
        assert!(matches!(form, Form::General(_)), "{more}");
    };
    let strips = json!({"id": 0, "content": "<|end|>", "single_word": false, "lstrip": true, "rstrip": false, "normalized": false, "special": true});
    unproven(json!({"added_tokens": [strips]}));
    unproven(json!({"normalizer": {"type": "Lowercase"}}));
    unproven(
        json!({"pre_tokenizer": {"type": "Split", "pattern": {"Regex": r"\d|."}, "behavior": "Isolated", "invert": false}, "model": {"byte_level": true}}),
    );
    unproven(json!({"model": {"merges": [["a", "b"], ["a", "b"]], "vocab": small_vocab(&["ab"])}}));
    // A character of two bytes that no merge makes.
    unproven(json!({"model": {"merges": [], "vocab": small_vocab(&[&spelt("é".as_bytes())])}}));
}

fn small_vocab(more: &[&str]) -> Value {
    let bytes = (0..=u8::MAX).map(|byte| spelt(&[byte]));
    bytes
        .chain(more.iter().map(ToString::to_string))
        .enumerate()
        .map(|(id, token)| (token, json!(id)))
        .collect()
}

#[test]
fn ids_that_no_text_becomes_are_decoded_all_the_same() {
    let model = |whole: bool| json!({"ignore_merges": whole, "merges": [["a", "b"]], "vocab": small_vocab(&["ab", "never", "\u{2581}x"])});
    // As a whole, though, where merges are ignored.
    for (whole, count) in [(false, 5), (true, 1)] {
        let json =
            like_gpt2(json!({"model": model(whole), "added_tokens": [], "post_processor": null}));
        assert!(agree(&json, 200));
        let mut tokenizer =
            Tokenizer::of(json.as_bytes().to_vec()).expect("it is a tokenizer.json");
        let Runs::Quick(quick) = &mut tokenizer.runs else { panic!("it runs on the counter") };
        assert_eq!(quick.count("never", false, usize::MAX), count);
    }
    let json = like_gpt2(
        json!({"model": model(false), "added_tokens": [added(999, "<tool>", false), added(1000, "<|end|>", true)]}),
    );
    let tokenizer = Tokenizer::of(json.as_bytes().to_vec()).expect("it is a tokenizer.json");
    assert!(tokenizer.is_quick());
    assert_eq!(
        tokenizer.decode(&[257, 256, 258, 999], false).as_deref(),
        Ok("neverab\u{2581}x<tool>")
    );
    assert_eq!(tokenizer.decode(&[1000, 97], true).as_deref(), Ok("a"));
    assert_eq!(tokenizer.decode(&[1_000_000], false), Err("No token has the id 1000000.".into()));
}

#[test]
fn damaged_forms_and_files_are_refused_by_a_sentence() {
    let json = like_gpt2(json!({"model": {"merges": [["a", "b"]], "vocab": small_vocab(&["ab"])}}));
    let form = Tokenizer::of(json.as_bytes().to_vec()).expect("it is a tokenizer.json").form();
    assert!(Tokenizer::of(form.clone()).is_ok());
    for end in 4..form.len() {
        assert!(Tokenizer::of(form[..end].to_vec()).is_err(), "cut at {end}");
    }
    for at in 4..form.len() {
        let mut damaged = form.clone();
        damaged[at] ^= 1;
        assert!(Tokenizer::of(damaged).is_err(), "damaged at {at}");
    }
    for (json, problem) in [
        ("", "this is no tokenizer.json: EOF"),
        ("{\"model\":", "this is no tokenizer.json: EOF"),
        ("<html>", "this is no tokenizer.json: expected"),
        ("[]", "it has no \"model\""),
        ("{}", "it has no \"model\""),
        (
            r#"{"version":"1.0","model":{"type":"Markov","vocab":{}}}"#,
            "the model type \"Markov\" is not known",
        ),
    ] {
        let error = Tokenizer::of(json.as_bytes().to_vec()).err().expect(json);
        assert!(error.contains(problem), "{json}: {error}");
    }
}

#[test]
fn every_model_type_is_read() {
    for (model, text, ids) in [
        (
            json!({"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100,
                "vocab": {"[UNK]": 0, "token": 1, "##s": 2, "count": 3}}),
            "count tokens zebra",
            &[3, 1, 2, 0][..],
        ),
        (
            json!({"type": "WordLevel", "unk_token": "[UNK]", "vocab": {"[UNK]": 0, "two": 1, "words": 2}}),
            "two words more",
            &[1, 2, 0],
        ),
        (
            json!({"type": "Unigram", "unk_id": 0, "byte_fallback": false,
                "vocab": [["<unk>", 0.0], ["to", -1.0], ["ken", -1.5], ["token", -3.0], ["s", -2.0]]}),
            "tokens",
            &[1, 2, 4],
        ),
    ] {
        let json = json!({"version": "1.0", "added_tokens": [], "normalizer": null, "pre_tokenizer": {"type": "Whitespace"},
            "post_processor": null, "decoder": null, "truncation": null, "padding": null, "model": model});
        let first = Tokenizer::new(room::write(&json.to_string())).expect("its type is known");
        let again = Tokenizer::of(first.form()).expect("its form is read");
        for mut tokenizer in [first, again] {
            assert!(!tokenizer.is_quick());
            assert_eq!(tokenizer.encode(room::write(text), false).as_deref(), Ok(ids));
            assert_eq!(tokenizer.count(room::write(text), false), Ok(ids.len()));
            assert_eq!(tokenizer.fits(room::write(text), ids.len() - 1, false), Ok(false));
        }
    }
}

//! What `tokenizers` has no way of its own to cut by is cut by its engine.

use std::cell::RefCell;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use super::files::{added, like_gpt2, normalized, split_by};
use super::{differs, texts};
use crate::*;

/// Of words and of single characters; whatever else is cut off is no word of it.
fn of_words(pre_tokenizer: Value) -> Result<Tokenizer, String> {
    let vocab =
        json!({"[UNK]": 0, "two": 1, "words": 2, " ": 3, " words": 4, "two ": 5, "1": 6, "  ": 7});
    let json = json!({"model": {"type": "WordLevel", "unk_token": "[UNK]", "vocab": vocab}, "pre_tokenizer": pre_tokenizer});
    Tokenizer::of(json.to_string().into_bytes())
}

#[test]
fn every_pattern_of_a_split_cuts_as_its_behavior_says() {
    let sequence = |list: &[Value]| json!({"type": "Sequence", "pretokenizers": list});
    for (pre_tokenizer, text, expected) in [
        (split_by(r"\s+", "Isolated", false), "two words", &[1, 3, 2][..]),
        (split_by(r"\s+", "Removed", false), " two  words ", &[1, 2]),
        (split_by(r"\w+", "Removed", true), "two words", &[1, 2]),
        (split_by(r"\s", "MergedWithNext", false), "two words", &[1, 4]),
        (split_by(r"\s", "MergedWithPrevious", false), "two words", &[5, 2]),
        (split_by(r"\s", "Contiguous", false), "two  words", &[1, 7, 2]),
        (split_by(r"\d", "Isolated", false), "two11", &[1, 6, 6]),
        (split_by(r"\s+(?!\S)|\s", "Isolated", false), "two  words", &[1, 3, 3, 2]),
        // A native one, in a way that the native ones are not cut.
        (split_by(GPT2, "Removed", false), "two", &[]),
        (
            sequence(&[split_by(r"\s", "Removed", false), split_by("1", "Isolated", false)]),
            "two 1words",
            &[1, 6, 2],
        ),
        (
            sequence(&[
                json!({"type": "Digits", "individual_digits": true}),
                split_by("(?<=o) ", "Isolated", false),
            ]),
            "two words 1",
            &[1, 3, 0, 6],
        ),
    ] {
        let first = of_words(pre_tokenizer.clone()).expect("its pattern is one");
        let again = Tokenizer::of(first.form()).expect("its form is read");
        for mut tokenizer in [first, again] {
            let ids = tokenizer.encode(room::write(text), false);
            assert_eq!(ids.as_deref(), Ok(expected), "{pre_tokenizer}");
            assert_eq!(tokenizer.count(room::write(text), false), Ok(expected.len()));
        }
    }
}

#[test]
fn a_sequence_cuts_as_its_steps_do_and_so_does_one_within_it() {
    let sequence = |list: &[Value]| json!({"type": "Sequence", "pretokenizers": list});
    let words = json!({"type": "Metaspace", "replacement": "w", "prepend_scheme": "always"});
    for steps in [
        vec![words],
        vec![split_by(r"\s", "Removed", false)],
        vec![split_by(r"\s", "Removed", false), split_by("1", "Isolated", false)],
        vec![json!({"type": "WhitespaceSplit"}), json!({"type": "Punctuation"})],
    ] {
        let ids = |pre_tokenizer: Value| {
            let mut tokenizer = of_words(pre_tokenizer).expect("it is read");
            tokenizer.encode(room::write("two words 1words"), false).expect("it is cut")
        };
        let (first, more) = steps.split_first().expect("a step");
        let flat = if more.is_empty() { first.clone() } else { sequence(&steps) };
        let expected = ids(flat);
        assert!(expected.len() > 2, "{expected:?}");
        for same in [
            sequence(&steps),
            sequence(&[sequence(&steps)]),
            sequence(&[sequence(&[first.clone(), sequence(&[])]), sequence(more)]),
        ] {
            assert_eq!(ids(same.clone()), expected, "{same}");
        }
    }
}

#[test]
fn what_is_no_pattern_is_refused_when_it_is_read() {
    for pattern in ["(", "[a", r"\p{Nonesuch}", "(?<=", "*"] {
        for behavior in ["Isolated", "Removed"] {
            let error = of_words(split_by(pattern, behavior, false)).err().expect(pattern);
            assert!(
                error.contains("its pre_tokenizer's Split has no pattern in "),
                "{pattern}: {error}"
            );
        }
    }
}

#[test]
fn a_text_that_a_pattern_cannot_cut_is_an_error_and_no_other_count() {
    let mut tokenizer =
        of_words(split_by(r"(?:(?=a)a+)+b|\s+(?!\S)|\s+", "Isolated", false)).expect("a pattern");
    // More than the engine goes back by itself.
    let spaces = " ".repeat(600_000);
    assert_eq!(tokenizer.count(room::write(&format!("{spaces}two")), false), Ok(3));
    let endless = format!("{}c two", "a".repeat(40));
    let error = tokenizer.count(room::write(&endless), false).expect_err("it gives up");
    assert!(error.starts_with("The tokenizer's Split cannot cut this text:"), "{error}");
    assert_eq!(tokenizer.count(room::write("aab two"), false), Ok(3));
}

const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

/// The same pattern in other letters is none of the crate's native ones.
#[test]
fn the_engine_cuts_as_the_native_ways_do() {
    let tekken = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
    for pattern in [GPT2, tekken] {
        let general = |pattern: &str, more: Value| {
            let mut file: Value = serde_json::from_str(&like_gpt2(more)).expect("it is JSON");
            file["pre_tokenizer"] = split_by(pattern, "Isolated", false);
            file["model"]["byte_level"] = json!(true);
            let canonical = tokenizers::canonicalize_str(&file.to_string()).expect("it converts");
            RefCell::new(General::new(&canonical).expect("tokenizers reads it"))
        };
        for more in [
            json!({}),
            json!({"normalizer": {"type": "NFD"}, "added_tokens": [added(0, "<|end|>", true), normalized(1, "É")]}),
        ] {
            let native = general(pattern, more.clone());
            let engine = general(&format!("(?:{pattern})"), more);
            assert_eq!((native.borrow().is_native(), engine.borrow().is_native()), (true, false));
            let config = Config { cases: 1_000, failure_persistence: None, ..Config::default() };
            let outcome =
                TestRunner::new(config).run(&(texts(), any::<bool>()), |(text, framed)| {
                    prop_assume!(!differs(&text));
                    let expected = native.borrow_mut().encode(&text, framed);
                    prop_assert!(expected.is_ok());
                    prop_assert_eq!(engine.borrow_mut().encode(&text, framed), expected);
                    Ok(())
                });
            outcome.unwrap_or_else(|error| panic!("{error}"));
        }
    }
}

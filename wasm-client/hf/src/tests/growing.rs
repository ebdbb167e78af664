//! A text that comes in parts fits exactly if the whole does, and no more of it is kept
//! than what follows may change.

use std::cell::RefCell;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::json;
use unicode_normalization::UnicodeNormalization;

use super::files::{added, like_gpt2, like_llama3, like_qwen};
use super::texts;
use crate::growing::Grown;
use crate::quick::COMPOSED_BYTES_MAX;
use crate::*;

fn quick(json: &str) -> Quick {
    match source::read(json.as_bytes()) {
        Ok(Form::Quick(parts)) => Quick::new(parts).expect("its parts fit"),
        _ => panic!("it runs on the counter"),
    }
}

#[test]
fn a_text_in_parts_fits_where_the_whole_does() {
    // With added tokens that reach across blanks and words, and begin within each other.
    let across = ["a 1", " the", "the <tool>", "e\u{301} ", "12 s"];
    let across: Vec<_> =
        (0..).zip(across).map(|(n, text)| added(60_000 + n, text, false)).collect();
    let strange = like_gpt2(json!({"added_tokens": across, "post_processor": null}));
    let composed = like_gpt2(json!({"normalizer": {"type": "NFC"}}));
    for json in [like_gpt2(json!({})), strange, composed, like_llama3(), like_qwen()] {
        let quick = RefCell::new(quick(&json));
        let parts = proptest::collection::vec(texts(), 0..6);
        let config = Config { cases: 1_500, failure_persistence: None, ..Config::default() };
        let outcome = TestRunner::new(config).run(
            &(parts, any::<bool>(), 0..8usize),
            |(parts, framed, near)| {
                let mut quick = quick.borrow_mut();
                let whole = quick.count(&parts.concat(), framed, usize::MAX);
                for most in [near, whole.saturating_sub(1), whole, whole + 1] {
                    let mut grown = Grown::new(if framed { quick.frame_tokens() } else { 0 });
                    let exceeds = parts.iter().any(|part| grown.exceeds(&mut quick, part, most));
                    prop_assert_eq!(!exceeds && grown.fits(&mut quick, most), whole <= most);
                }
                Ok(())
            },
        );
        outcome.unwrap_or_else(|error| panic!("{error}"));
    }
}

#[test]
fn what_was_counted_is_given_up() {
    let mut quick = quick(&like_gpt2(json!({})));
    let mut grown = Grown::new(0);
    let line = "Whoever stands before the gate is told how long to wait. ";
    for _ in 0..100 {
        assert!(!grown.exceeds(&mut quick, line, usize::MAX - 1));
        assert!(grown.rest() < 2 * line.len(), "{}", grown.rest());
    }
    let whole = quick.count(&line.repeat(100), false, usize::MAX);
    assert!(grown.fits(&mut quick, whole) && !grown.fits(&mut quick, whole - 1));
}

#[test]
fn a_run_without_a_cut_is_told_before_its_end() {
    for (json, bytes) in [(like_llama3(), 128), (like_qwen(), 9 * 128)] {
        let mut quick = quick(&json);
        for text in
            ["a", "中", "9", "\u{e01}", "\u{304b}\u{3099}"].map(|letter| letter.repeat(2000))
        {
            let mut grown = Grown::new(0);
            let asked = (1..=1000).find(|_| grown.exceeds(&mut quick, &text, 100));
            let read = asked.expect("it is told") * text.len();
            assert!(read <= 100 * bytes + 2 * text.len(), "{read} bytes of {text:.3}");
            assert_eq!(grown.rest(), read, "it has no cut");
        }
    }
}

#[test]
fn no_text_is_more_bytes_for_those_of_its_nfc() {
    let bytes = |chars: &mut dyn Iterator<Item = char>| chars.map(char::len_utf8).sum::<usize>();
    let most = |of: &dyn Fn(char) -> (usize, usize)| {
        let ratio = |char| {
            let (more, less) = of(char);
            more.div_ceil(less)
        };
        ('\0'..=char::MAX).map(ratio).max().unwrap_or_default()
    };
    let apart = most(&|char| (char.len_utf8(), bytes(&mut std::iter::once(char).nfd())));
    let together = most(&|char| (bytes(&mut std::iter::once(char).nfd()), char.len_utf8()));
    assert_eq!(apart * together, COMPOSED_BYTES_MAX);
}

//! A text that comes in parts fits exactly if the whole does, and no more of it is kept
//! than what follows may change.

use std::cell::RefCell;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::json;

use super::files::{added, like_gpt2, like_llama3, like_qwen};
use super::texts;
use crate::growing::Grown;
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

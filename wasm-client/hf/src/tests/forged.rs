//! A compact form is read from where others may have written. Its checksum is for damage;
//! what was written anew, checksum and all, is refused or runs, and never stops the module.

use std::panic::{AssertUnwindSafe, catch_unwind};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use super::files::{like_gpt2, small_vocab};
use crate::*;

/// With the checksum that it then has.
fn sealed(mut form: Vec<u8>) -> Vec<u8> {
    let sum = form::crc32(&form[8..]).to_le_bytes();
    form[4..8].copy_from_slice(&sum);
    form
}

/// Whether it was read. Panics where the module would stop.
fn runs(form: Vec<u8>) -> bool {
    let Ok(mut tokenizer) = Tokenizer::of(form) else { return false };
    let text = format!("ab abab <|end|> é漢字 {}{}", "ab".repeat(200), "ba ".repeat(40));
    for framed in [false, true] {
        let ids = tokenizer.encode(room::write(&text), framed).unwrap_or_default();
        let _ = tokenizer.count(room::write(&text), framed);
        let _ = tokenizer.fits(room::write(&text), 7, framed);
        let _ = tokenizer.decode(&ids, framed);
    }
    true
}

fn small() -> Value {
    let merges = json!([["a", "b"], ["ab", "ab"], ["abab", "abab"], ["b", "a"]]);
    json!({"model": {"merges": merges, "vocab": small_vocab(&["ab", "abab", "abababab", "ba"])}})
}

#[test]
fn a_form_that_was_written_anew_runs_or_is_refused() {
    let form = Tokenizer::of(like_gpt2(small()).into_bytes()).expect("a tokenizer.json").form();
    let forgeries = proptest::collection::vec((8..form.len(), any::<u8>()), 1..6);
    let config = Config { cases: 20_000, failure_persistence: None, ..Config::default() };
    let read = std::cell::Cell::new(0);
    let outcome = TestRunner::new(config).run(&forgeries, |bytes| {
        let mut forged = form.clone();
        for (at, byte) in bytes {
            forged[at] = byte;
        }
        let outcome = catch_unwind(AssertUnwindSafe(|| runs(sealed(forged))));
        let was_read = outcome.map_err(|_| TestCaseError::fail("the module stopped"))?;
        read.set(read.get() + u32::from(was_read));
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
    assert!(read.get() > 1_000, "{} were read", read.get());
}

#[test]
fn a_form_for_the_crate_is_looked_at_as_its_file_was() {
    let forged = |json: &Value| sealed(form::write(&Form::General(json.to_string())));
    let model = json!({"type": "WordLevel", "unk_token": "?", "vocab": {"?": 0, "å": 1}});
    let sound = json!({"model": model});
    let form = Tokenizer::of(sound.to_string().into_bytes()).expect("a tokenizer.json").form();
    let Ok(Form::General(canonical)) = form::read(&form) else { panic!("it is the crate's") };
    let canonical: Value = serde_json::from_str(&canonical).expect("it is JSON");
    assert!(runs(forged(&canonical)));
    for (part, key, value, problem) in [
        ("/model", "vocab", json!({}), "its model's vocab is empty"),
        ("/model", "vocab", json!({"?": 4_294_967_295_u32}), "the id 4294967295"),
        ("", "decoder", json!({"type": "Strip", "content": "a", "start": 0, "stop": 1}), "Strip"),
        (
            "",
            "normalizer",
            json!({"type": "Precompiled", "precompiled_charsmap": "AAAA"}),
            "precompiled_charsmap is damaged",
        ),
    ] {
        let mut json = canonical.clone();
        json.pointer_mut(part).expect("it is there")[key] = value;
        let error = Tokenizer::of(forged(&json)).err().expect(problem);
        assert!(error.contains(problem), "{problem}: {error}");
    }
    for json in ["", "{", "[]", "{}", "null"] {
        assert!(!runs(sealed(form::write(&Form::General(json.to_owned())))), "{json}");
    }
}

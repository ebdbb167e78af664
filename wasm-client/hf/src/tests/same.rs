//! Whichever way a file runs, the ids are those of `tokenizers`.

use std::cell::RefCell;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use super::files::{added, like_gpt2, like_llama3, like_qwen, small_vocab, spelt, split_by};
use super::{differs, texts};
use crate::*;

/// Both ways of running a file say the same; answers whether there were two.
fn agree(json: &str, cases: u32) -> bool {
    let form = source::read(json.as_bytes()).expect("it is a tokenizer.json");
    let form = form::read(&form::write(&form)).expect("what was written is read");
    let Form::Quick(parts) = form else { return false };
    let quick = RefCell::new(Quick::new(parts).expect("its parts fit"));
    let canonical = tokenizers::canonicalize_str(json).expect("it converts");
    let general = RefCell::new(General::new(&canonical).expect("tokenizers reads it"));
    let mut runner =
        TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&(texts(), any::<bool>(), 0..20usize), |(text, framed, limit)| {
        prop_assume!(!differs(&text));
        let (mut quick, mut general) = (quick.borrow_mut(), general.borrow_mut());
        let ids = quick.encode(&text, framed);
        prop_assert_eq!(&ids, &general.encode(&text, framed).expect("it encodes"));
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

#[test]
fn the_counter_gives_the_ids_of_tokenizers() {
    for json in [like_gpt2(json!({})), like_llama3(), like_qwen()] {
        assert!(agree(&json, 3_000), "it runs on the counter");
    }
}

#[test]
fn what_is_not_proven_runs_on_tokenizers() {
    let ids = |json: &str, text: &str| {
        let mut tokenizer = Tokenizer::of(json.as_bytes().to_vec()).expect("a tokenizer.json");
        let ids = tokenizer.encode(room::write(text), false).expect("it encodes");
        (tokenizer.is_quick(), ids)
    };
    let plain = like_gpt2(json!({}));
    let counted = |text: &str| match ids(&plain, text) {
        (true, ids) => ids,
        (false, _) => panic!("GPT-2's runs on the counter"),
    };
    let unproven = |more: Value, text: &str, expected: &[u32]| {
        assert_eq!(ids(&like_gpt2(more.clone()), text), (false, expected.to_vec()), "{more}");
    };
    let strips = json!({"id": 0, "content": "<|end|>", "single_word": false, "lstrip": true, "rstrip": false, "normalized": false, "special": true});
    let stripped = [&counted("two")[..], &[0], &counted(" words")].concat();
    unproven(json!({"added_tokens": [strips]}), "two   <|end|> words", &stripped);
    unproven(
        json!({"normalizer": {"type": "Lowercase"}}),
        "Two WORDS, İ",
        &counted("two words, i\u{307}"),
    );
    let one_by_one: Vec<u32> = "so 12 é".chars().flat_map(|c| counted(&c.to_string())).collect();
    unproven(
        json!({"pre_tokenizer": split_by(r"\d|.", "Isolated", false), "model": {"byte_level": true}}),
        "so 12 é",
        &one_by_one,
    );
    let a = 97;
    unproven(
        json!({"model": {"merges": [["a", "b"], ["a", "b"]], "vocab": small_vocab(&["ab"])}}),
        "aab",
        &[a, 256],
    );
    // A character of two bytes that no merge makes.
    let whole = json!({"merges": [], "vocab": small_vocab(&[&spelt("é".as_bytes())])});
    unproven(json!({"model": whole}), "é", &[256]);
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

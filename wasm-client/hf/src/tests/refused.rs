//! What is no tokenizer, or would stop the module, is refused by a sentence.

use base64::Engine;
use serde_json::{Value, json};

use super::files::{added, like_gpt2, small_vocab};
use crate::*;

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
fn a_step_that_is_not_read_is_named() {
    let sequence = |list: Value| json!({"type": "Sequence", "pretokenizers": list});
    let digits = || json!({"type": "Digits", "individual_digits": false});
    let metaspace =
        || json!({"type": "Metaspace", "replacement": "\u{2581}", "prepend_scheme": "always"});
    let named = "(step 2, Metaspace, of its pre_tokenizer, which is [Digits, Metaspace, Digits])";
    for steps in [
        json!([digits(), metaspace(), digits()]),
        json!([digits(), sequence(json!([metaspace(), digits()]))]),
    ] {
        let model = json!({"type": "BPE", "vocab": small_vocab(&[]), "merges": []});
        let root = json!({"model": model, "pre_tokenizer": sequence(steps)});
        let error = Tokenizer::of(root.to_string().into_bytes()).err().expect(named);
        assert!(error.ends_with(named), "{error}");
    }
    // Nothing is wrong with how it cuts.
    let model = json!({"type": "BPE", "vocab": small_vocab(&[]), "merges": ["ab"]});
    let root = json!({"model": model, "pre_tokenizer": sequence(json!([digits(), digits()]))});
    let error = Tokenizer::of(root.to_string().into_bytes()).err().expect("a merge is of two");
    assert!(error.ends_with("does not split into exactly two tokens on a space"), "{error}");
}

#[test]
fn what_would_stop_the_module_is_refused_by_its_part() {
    let model = |more: Value| {
        let mut root = json!({"model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": [["a", "b"]]}});
        for (key, value) in more.as_object().expect("an object") {
            match key.as_str() {
                "added_tokens" | "decoder" => root[key] = value.clone(),
                _ => root["model"][key] = value.clone(),
            }
        }
        Tokenizer::of(root.to_string().into_bytes()).err()
    };
    assert_eq!(model(json!({})), None);
    for ids in [0xffff, 0xf_ffff] {
        assert_eq!(model(json!({"vocab": {"a": 0, "b": 1, "ab": ids}})), None);
    }
    let long = "a".repeat(65_536);
    for (more, problem) in [
        (json!({"vocab": {}, "merges": []}), "its model's vocab is empty"),
        (json!({"type": "Unigram", "vocab": [], "merges": null}), "its model's vocab is empty"),
        (json!({"type": "WordLevel", "unk_token": "a", "vocab": {}}), "its model's vocab is empty"),
        (json!({"vocab": null}), "its model has no vocab"),
        (json!({"vocab": "vocab.json"}), "its model has no vocab"),
        (
            json!({"merges": [["ab", "ab"]]}),
            r#"its model's merges make what is not in the vocab: ["ab","ab"]"#,
        ),
        (json!({"merges": ["ab ab"]}), "its model's merges make"),
        (
            json!({"merges": [["a", "b"]], "continuing_subword_prefix": "##"}),
            "its model's merges make",
        ),
        (
            json!({"vocab": {"a": 0, "b": 1, "ab": 4_294_967_295u32}}),
            r#"its model's vocab gives "ab" the id 4294967295, and it has 3 entries"#,
        ),
        (json!({"vocab": {"a": 0, "b": 1, "ab": 4_000_000_000u32}}), "the id 4000000000"),
        (json!({"vocab": {"a": 0, "b": 1, "ab": 3e9}}), "the id 3000000000"),
        (json!({"vocab": {"a": 0, "b": 1, "ab": 1 << 20}}), "the id 1048576"),
        (
            json!({"type": "WordPiece", "unk_token": "a", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100, "merges": null, "vocab": {"a": 4_000_000_000u32}}),
            "the id 4000000000",
        ),
        (
            json!({"type": "WordPiece", "unk_token": "a", "continuing_subword_prefix": "##", "merges": null, "max_input_chars_per_word": 4_000_000_000u32}),
            "max_input_chars_per_word is 4000000000",
        ),
        (
            json!({"added_tokens": [added(4_294_967_295, "<|end|>", true)]}),
            r#"its added_tokens gives "<|end|>" the id 4294967295"#,
        ),
        (
            json!({"added_tokens": [added(3, &long, true)]}),
            "a token of its added_tokens has 65536 bytes",
        ),
        (
            json!({"vocab": {"a": 0, "b": 1, "ab": 2, long.clone(): 3}}),
            "a token of its model's vocab has 65536 bytes",
        ),
        (
            json!({"type": "Unigram", "vocab": [[long, -1.0]], "merges": null}),
            "a token of its model's vocab has 65536 bytes",
        ),
        (
            json!({"decoder": {"type": "Sequence", "decoders": [{"type": "Strip", "content": "a", "start": 1, "stop": 1}]}}),
            "its decoder's Strip",
        ),
    ] {
        let error = model(more).expect(problem);
        assert!(error.contains(problem), "{problem}: {error}");
    }
}

/// A double array of 257 units and the text of its one entry, "A": `map` damages it.
fn charsmap(map: impl FnOnce(&mut Vec<u32>, &mut Vec<u8>)) -> String {
    let mut units = vec![0_u32; 257];
    // From the root to the base 1, whence "A" goes to the base 2, where its leaf is.
    units[0] = 1 << 10;
    units[1 ^ 0x41] = (1 ^ 0x41 ^ 2) << 10 | 1 << 8 | 0x41;
    units[2] = 1 << 31 | 3;
    let mut texts = "é\0å\0".as_bytes().to_vec();
    map(&mut units, &mut texts);
    let mut bytes = (units.len() as u32 * 4).to_le_bytes().to_vec();
    bytes.extend(units.iter().flat_map(|unit| unit.to_le_bytes()));
    bytes.extend(texts);
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

#[test]
fn a_damaged_charsmap_is_refused_and_a_whole_one_read() {
    let normalized = |charsmap: String| {
        let normalizer = json!({"type": "Precompiled", "precompiled_charsmap": charsmap});
        let model =
            json!({"type": "WordLevel", "unk_token": "?", "vocab": {"?": 0, "å": 1, "B": 2}});
        let json = json!({"model": model, "normalizer": {"type": "Sequence", "normalizers": [normalizer]}});
        let mut tokenizer = Tokenizer::of(json.to_string().into_bytes())?;
        ["A", "B", "é"].map(|text| tokenizer.encode(room::write(text), false)).into_iter().collect()
    };
    let whole: Result<Vec<Vec<u32>>, String> = normalized(charsmap(|_, _| ()));
    assert_eq!(whole, Ok(vec![vec![1], vec![2], vec![0]]));
    type Damage = fn(&mut Vec<u32>, &mut Vec<u8>);
    let damages: [Damage; 7] = [
        |units, _| units.clear(),
        |units, _| units.truncate(200),
        |units, _| units[0] = 1 << 20 | 1 << 10,
        |units, _| units[1 ^ 0x41] |= 1 << 30,
        |units, _| units[2] = 1 << 31 | 8,
        |units, _| units[2] = 1 << 31 | 1,
        |_, texts| texts[0] = 0xff,
    ];
    for (nth, damage) in damages.into_iter().enumerate() {
        let error = normalized(charsmap(damage)).expect_err("it is damaged");
        assert_eq!(error, "its normalizer's precompiled_charsmap is damaged", "{nth}");
    }
}

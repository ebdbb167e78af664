//! The files: as other makers write OpenAI's vocabularies, and small ones.

use std::collections::HashMap;
use std::io::Read;

use serde_json::{Value, json};

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
pub(super) fn spelt(bytes: &[u8]) -> String {
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

pub(super) fn added(id: u32, content: &str, special: bool) -> Value {
    json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": special})
}

pub(super) fn normalized(id: u32, content: &str) -> Value {
    json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": true, "normalized": true, "special": false})
}

/// As GPT-2's file has it: one merge a token, and the cut built in.
pub(super) fn like_gpt2(more: Value) -> String {
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
pub(super) fn like_llama3() -> String {
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
pub(super) fn like_qwen() -> String {
    let (tokens, halves) = vocabulary("cl100k_base");
    let merge =
        |&(left, right): &(usize, usize)| json!([spelt(&tokens[left]), spelt(&tokens[right])]);
    let merges = halves[..20_000].iter().map(merge).collect();
    file(&tokens[..20_256], merges, split(""), json!({"normalizer": {"type": "NFC"}}))
}

pub(super) fn split_by(pattern: &str, behavior: &str, invert: bool) -> Value {
    json!({"type": "Split", "pattern": {"Regex": pattern}, "behavior": behavior, "invert": invert})
}

pub(super) fn small_vocab(more: &[&str]) -> Value {
    let bytes = (0..=u8::MAX).map(|byte| spelt(&[byte]));
    bytes
        .chain(more.iter().map(ToString::to_string))
        .enumerate()
        .map(|(id, token)| (token, json!(id)))
        .collect()
}

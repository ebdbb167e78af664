//! Ids that tiktoken gave (npm tiktoken 1.0.22; harmony: crate tiktoken-rs 0.12),
//! and what it does with special tokens.

use std::collections::HashSet;

use tokens::bpe::{DisallowedSpecial, Encoding, SpecialSet, Specials};

use super::tokenizer;

#[test]
fn harmony_is_o200k_with_its_own_special_tokens() {
    let mut tokenizer = tokenizer(Encoding::O200kHarmony);
    let reference = tiktoken_rs::o200k_harmony().expect("the vocabulary is compiled in");
    let text = "<|start|>user<|message|>Hi, it's 3 o'clock.<|end|><|start|>assistant<|reserved_200999|>\
                <|channel|>final <|constrain|>json<|return|><|call|><|startoftext|><|endoftext|><|";
    let all = Specials { allowed: SpecialSet::All, disallowed: SpecialSet::None };
    let ids = tokenizer.encode_with_specials(text, &all).expect("all are allowed");
    assert_eq!(ids, reference.encode_with_special_tokens(text));
    assert_eq!(tokenizer.decode(&ids).as_deref(), Ok(text.as_bytes()));
    for id in reference.special_tokens() {
        assert!(tokenizer.encoding().special_token(id).is_some(), "{id}");
    }
}

#[test]
fn a_special_token_is_allowed_refused_or_text() {
    let mut tokenizer = tokenizer(Encoding::Cl100kBase);
    let reference = tiktoken_rs::cl100k_base().expect("the vocabulary is compiled in");
    let text = "a <|endoftext|> b<|fim_prefix|>c";
    let mut encode = |allowed, disallowed| {
        tokenizer.encode_with_specials(text, &Specials { allowed, disallowed })
    };
    let refused = |token: &str, at| Err(DisallowedSpecial { token: token.to_string(), at });

    assert_eq!(encode(SpecialSet::None, SpecialSet::All), refused("<|endoftext|>", 2));
    assert_eq!(
        encode(SpecialSet::Only(&["<|endoftext|>"]), SpecialSet::All),
        refused("<|fim_prefix|>", 17)
    );
    let one = encode(SpecialSet::Only(&["<|endoftext|>"]), SpecialSet::None);
    let allowed = HashSet::from(["<|endoftext|>"]);
    let (expected, _) = reference.encode(text, &allowed).expect("nothing is refused");
    assert_eq!(one.as_ref(), Ok(&expected));
    assert!(one.is_ok_and(|ids| ids.contains(&100_257) && !ids.contains(&100_258)));
    assert_eq!(encode(SpecialSet::None, SpecialSet::None), Ok(reference.encode_ordinary(text)));
    assert_eq!(
        encode(SpecialSet::All, SpecialSet::All),
        Ok(reference.encode_with_special_tokens(text))
    );
}

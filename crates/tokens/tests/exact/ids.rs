//! Ids that tiktoken gave (npm tiktoken 1.0.22; harmony: crate tiktoken-rs 0.12),
//! and what it does with special tokens.

use std::collections::HashSet;

use tokens::bpe::{DisallowedSpecial, Encoding, SpecialSet, Specials};

use super::reference::Random;
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
    let tokens: Vec<&str> = reference.special_tokens().into_iter().collect();
    // All but <|endofprompt|>, which Python's tiktoken takes over from o200k_base.
    assert_eq!(tokens.len(), 1090);
    for token in &tokens {
        let id = tokenizer.encoding().special_token(token);
        assert_eq!(id.as_slice(), reference.encode_with_special_tokens(token), "{token}");
    }
    // In texts, where half of them are not whole.
    let its = Specials { allowed: SpecialSet::Only(&tokens), disallowed: SpecialSet::None };
    let mut random = Random::new(1);
    for _ in 0..5000 {
        let text = random.many(12, |random| match random.below(3) {
            0 => random.telling(),
            kind => {
                let token = tokens[random.below(tokens.len())];
                token[..token.len() - random.below(kind * 2)].to_string()
            }
        });
        let ids = tokenizer.encode_with_specials(&text, &its).expect("nothing is refused");
        assert_eq!(ids, reference.encode_with_special_tokens(&text), "{text:?}");
        assert_eq!(tokenizer.encode(&text), reference.encode_ordinary(&text), "{text:?}");
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

/// tiktoken states cl100k's pattern in two ways, which cut differently behind the last line
/// end of a text that ends in other blanks (bpe/split.rs). No token reaches across that cut,
/// so the ids are the same, and the reference's stand for both.
#[test]
fn no_token_of_cl100k_goes_on_from_a_line_end_with_another_blank() {
    let reference = tiktoken_rs::cl100k_base().expect("the vocabulary is compiled in");
    let is_line_end = |byte: u8| matches!(byte, b'\r' | b'\n');
    let begins_blank: HashSet<u8> = ('\0'..=char::MAX)
        .filter(|c| c.is_whitespace() && !matches!(c, '\r' | '\n'))
        .map(|blank| blank.to_string().as_bytes()[0])
        .collect();
    let mut with_line_end = 0;
    for id in 0..100_256 {
        let token = reference.decode_bytes(&[id]).expect("there is no gap");
        let Some(last) = token.iter().rposition(|&byte| is_line_end(byte)) else { continue };
        with_line_end += 1;
        if let Some(next) = token.get(last + 1) {
            assert!(!begins_blank.contains(next), "{id}: {token:?}");
        }
    }
    assert!(with_line_end > 1000, "{with_line_end}");
}

//! The crate tiktoken-rs, OpenAI's own core, to compare with; and texts by a seed, so
//! that a failure comes again.

use std::sync::LazyLock;

use serde::Deserialize;
use tiktoken_rs::CoreBPE;
use tokens::bpe::{Encoding, Tokenizer};

/// What tokenizers stumble over; tests/tokens/texts.mjs reads the same.
pub(super) static TEXTS: LazyLock<Texts> = LazyLock::new(|| {
    let texts = include_str!("../../../../tests/tokens/telling.json");
    serde_json::from_str(texts).expect("it is what is read here")
});

#[derive(Deserialize)]
pub(super) struct Texts {
    pub(super) telling: Vec<String>,
    /// Blocks that texts in one script come from: first and last code point, as hex.
    scripts: Vec<(String, String)>,
    pub(super) blanks: Vec<String>,
    /// Longer than a window of merging, when repeated.
    pub(super) runs: Vec<String>,
}

/// An encoding's counter, and who knows better.
pub(super) struct Pair {
    pub(super) encoding: Encoding,
    pub(super) tokenizer: Tokenizer,
    reference: CoreBPE,
}

impl Pair {
    pub(super) fn new(encoding: Encoding) -> Self {
        let reference = match encoding.vocabulary() {
            "o200k_base" => tiktoken_rs::o200k_base(),
            "cl100k_base" => tiktoken_rs::cl100k_base(),
            "p50k_base" => tiktoken_rs::p50k_base(),
            _ => tiktoken_rs::r50k_base(),
        };
        let reference = reference.expect("it is compiled in");
        Self { encoding, tokenizer: super::tokenizer(encoding), reference }
    }

    /// The ids of a text, which are the reference's.
    pub(super) fn ids(&mut self, text: &str, case: &str) -> Vec<u32> {
        let ids = self.reference.encode_ordinary(text);
        let case = || format!("{} {case}: {text:?}", self.encoding.name());
        assert_eq!(self.tokenizer.encode(text), ids, "{}", case());
        assert_eq!(self.tokenizer.count(text), ids.len(), "{}", case());
        assert_eq!(self.tokenizer.decode(&ids).as_deref(), Ok(text.as_bytes()), "{}", case());
        ids
    }
}

/// A number of the environment.
pub(super) fn number(name: &str) -> Option<usize> {
    std::env::var(name).ok()?.parse().ok()
}

/// xorshift64
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: usize) -> Self {
        Self(0x9e37_79b9 ^ seed as u64)
    }

    /// Some number less than `n`, which is not 0.
    pub(super) fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 33) as usize * n) >> 31
    }

    /// One to `most` of what `make` makes.
    pub(super) fn many(&mut self, most: usize, make: impl Fn(&mut Self) -> String) -> String {
        (0..=self.below(most)).map(|_| make(self)).collect()
    }

    pub(super) fn pick<'l>(&mut self, list: &'l [String]) -> &'l str {
        &list[self.below(list.len())]
    }

    /// What tokenizers stumble over. A lone surrogate comes as U+FFFD.
    pub(super) fn telling(&mut self) -> String {
        match self.below(TEXTS.telling.len() + 1) {
            0 => "\u{fffd}".into(),
            place => TEXTS.telling[place - 1].clone(),
        }
    }

    pub(super) fn letter(&mut self, alphabet: &[u8]) -> String {
        char::from(alphabet[self.below(alphabet.len())]).into()
    }

    pub(super) fn character(&mut self, first: usize, last: usize) -> String {
        let code = first + self.below(last - first + 1);
        char::from_u32(code as u32).unwrap_or('\u{fffd}').into()
    }

    pub(super) fn script(&mut self) -> String {
        let (first, last) = &TEXTS.scripts[self.below(TEXTS.scripts.len())];
        let [first, last] = [first, last].map(|hex| usize::from_str_radix(hex, 16).expect("hex"));
        self.many(40, |random| match random.below(6) {
            0 => " ".into(),
            _ => random.character(first, last),
        })
    }
}

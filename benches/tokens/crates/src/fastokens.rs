//! fastokens, with our vocabulary file, which it brings none beside.

use fastokens::{TiktokenConfig, Tokenizer};

pub struct Contestant(Tokenizer);

impl Contestant {
    /// `file` is what scripts/vocabularies.mjs describes.
    pub fn load(file: &[u8]) -> Self {
        const BYTES: usize = 256;
        let planes = &file[32 + BYTES..];
        let merges = planes.len() / 6;
        let half = |side: usize, merge: usize| {
            let byte = |plane: usize| usize::from(planes[(3 * side + plane) * merges + merge]);
            byte(0) | byte(1) << 8 | byte(2) << 16
        };
        let mut tokens: Vec<Vec<u8>> = file[32..][..BYTES].iter().map(|&byte| vec![byte]).collect();
        for merge in 0..merges {
            tokens.push([&*tokens[half(0, merge)], &*tokens[half(1, merge)]].concat());
        }
        let ranks: Vec<(Vec<u8>, u32)> = tokens.into_iter().zip(0..).collect();
        let made = Tokenizer::from_tiktoken_ranks(&ranks, TiktokenConfig::o200k_base());
        Self(made.expect("the ranks are OpenAI's"))
    }

    pub fn count(&self, text: &str) -> usize {
        self.encode(text).len()
    }

    pub fn encode(&self, text: &str) -> Vec<u32> {
        self.0.encode_ordinary(text).expect("its own scanner takes any text")
    }
}

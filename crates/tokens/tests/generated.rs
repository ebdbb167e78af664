//! Ids against the crate tiktoken-rs, OpenAI's own core, over generated texts of every
//! kind that has ever told two tokenizers apart: `tests/tokens/texts.mjs` says the same
//! to npm's tiktoken, of which `make test` runs a tenth, for it is slower. By seed, so a
//! failure comes again:
//!
//!     SEED=7 TEXTS=1000000 cargo test -p tollgate-tokens --features vocabulary --test generated

use std::env;
use std::io::Read;
use std::sync::Arc;

use tiktoken_rs::CoreBPE;
use tokens::bpe::{Encoding, Tokenizer, Vocabulary};

/// Texts of each vocabulary, unless TEXTS says another number.
const TEXTS: usize = 200_000;

#[test]
fn o200k_gives_tiktokens_ids() {
    compare(Encoding::O200kBase, &tiktoken_rs::o200k_base().expect("it is compiled in"), "");
}

#[test]
fn cl100k_gives_tiktokens_ids() {
    // Newer patterns differ at the end of a text alone (bpe/split.rs says how).
    compare(Encoding::Cl100kBase, &tiktoken_rs::cl100k_base().expect("it is compiled in"), "!");
}

#[test]
fn p50k_gives_tiktokens_ids() {
    compare(Encoding::P50kBase, &tiktoken_rs::p50k_base().expect("it is compiled in"), "");
}

#[test]
fn r50k_gives_tiktokens_ids() {
    compare(Encoding::R50kBase, &tiktoken_rs::r50k_base().expect("it is compiled in"), "");
}

fn compare(encoding: Encoding, reference: &CoreBPE, end: &str) {
    let number = |name| env::var(name).ok().and_then(|value| value.parse().ok());
    let seed: usize = number("SEED").unwrap_or(1);
    let texts: usize = number("TEXTS").unwrap_or(TEXTS);
    let mut tokenizer = tokenizer(encoding);
    let mut random = Random(0x9e37_79b9 ^ seed as u64);
    let mut tokens = 0;
    for at in 0..texts {
        let text = text(&mut random, at) + end;
        let ids = reference.encode_ordinary(&text);
        let case = || format!("{} seed {seed}, text {at}: {text:?}", encoding.name());
        assert_eq!(tokenizer.encode(&text), ids, "{}", case());
        assert_eq!(tokenizer.count(&text), ids.len(), "{}", case());
        assert_eq!(tokenizer.decode(&ids).as_deref(), Ok(text.as_bytes()), "{}", case());
        tokens += ids.len();
    }
    println!("{}: {texts} texts, {tokens} tokens, ids equal", encoding.name());
    assert!(tokens > 5 * texts, "texts are too short to tell anything");
}

/// What tokenizers stumble over. A lone surrogate comes as U+FFFD.
#[rustfmt::skip]
const TELLING: &[&str] = &[
    "a", "A", "z", "Z", "s", "S", "t", "T", "m", "M", "d", "D", "e", "E", "l", "L", "r", "R", "v", "V", "0", "1", "9",
    " ", ".", ",", "!", "?", "'", "\"", "-", "_", "/", "\\", "<", ">", "|", "{", "}", "(", ")", "[", "]", "#", "@", "&",
    "*", "+", "=", "~", "^", "`", "$", "%", "\t", "\n", "\u{b}", "\u{c}", "\r", "\u{1c}", "\u{1f}", "\u{85}", "\u{a0}",
    "\u{1680}", "\u{2002}", "\u{200b}", "\u{2028}", "\u{2029}", "\u{202f}", "\u{3000}", "\u{feff}", "\0", "é", "É", "ß",
    "ſ", "K", "İ", "ı", "ǅ", "ʰ", "ª", "º", "א", "ב", "ك", "中", "文", "字", "漢", "あ", "ア", "ー", "한", "글", "。",
    "，", "！", "「", "」", "٣", "²", "Ⅷ", "½", "\u{301}", "\u{93f}", "\u{94d}", "\u{fe0f}", "\u{200d}", "😀", "👩", "🏽",
    "𝒜", "𠀀", "🇩", "\r\n", "  ", "    ", "\n\n", "'s", "'S", "'ſ", "'re", "'RE", "'Ve", "'ll", "'lL", "'m", "'T", "'d",
    "’s", "<|endoftext|>", "<|endofprompt|>", "<|fim_prefix|>", "<|im_start|>", "<|", "|>", "https://", "://", "....",
    "----", "====", "    return", "\n\tif", "camelCase", "HTTPServer", "ABCdef", "\u{fffd}", "ing", "tion", "the",
    " the", "ة", "ни", "が", "าร", "ក្រ", "გა", "ություն",
];

/// Blocks that texts in one script come from.
#[rustfmt::skip]
const SCRIPTS: &[(usize, usize)] = &[
    (0x20, 0x7e), (0x20, 0x7e), (0x61, 0x7a), (0xa0, 0x24f), (0x300, 0x36f), (0x370, 0x3ff), (0x400, 0x4ff),
    (0x530, 0x58f), (0x590, 0x5ff), (0x600, 0x6ff), (0x900, 0x97f), (0x980, 0x9ff), (0xb80, 0xbff), (0xc00, 0xc7f),
    (0xe00, 0xe7f), (0x1000, 0x109f), (0x10a0, 0x10ff), (0x1200, 0x137f), (0x1780, 0x17ff), (0x1e00, 0x1eff),
    (0x2000, 0x206f), (0x2190, 0x23ff), (0x2500, 0x27bf), (0x3040, 0x30ff), (0x4e00, 0x9fff), (0x4e00, 0x52ff),
    (0xac00, 0xd7a3), (0xff00, 0xffef), (0x1d400, 0x1d7ff), (0x1f300, 0x1faff), (0x20000, 0x2a6df),
];

const BLANKS: &[&str] = &[" ", "\n", "\t", "\r\n", "\u{85}", "\u{feff}", "\u{a0}", "a", "/", "!"];
/// Longer than a window of merging, when repeated.
const RUNS: &[&str] = &["ab", "a", "ha", "\u{e01}\u{e32}", "中", "=-", "é"];
const BASE64: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The text number `at`: each kind in turn.
fn text(random: &mut Random, at: usize) -> String {
    match at % 13 {
        0 => random.many(20, Random::telling),
        1 => random.many(8, Random::telling),
        2 => random.many(12, |random| random.character(0, 0x10_ffff)),
        3 => random.many(3, Random::script),
        4 => random.many(6, |random| random.telling().repeat(1 + random.below(40))),
        5 => random.many(80, |random| random.letter(BASE64)),
        6 => random.many(12, |random| random.pick(BLANKS).into()),
        7 => random.many(10, |random| {
            let word = random.many(9, |random| random.letter(&BASE64[26..52]));
            if random.below(2) == 0 { word } else { format!(" {word}") }
        }),
        8 => random.many(4, |random| random.telling() + &random.script() + &random.telling()),
        9 => {
            let run = random.pick(RUNS).repeat(40 + random.below(120));
            run + &random.many(8, Random::telling)
        }
        10 => random.many(200, |random| random.letter(b"abcd")),
        // What is no UTF-8 is replaced, which is how text comes to any tokenizer.
        11 => {
            let mut bytes = random.many(30, Random::telling).into_bytes();
            for _ in 0..=random.below(6) {
                let place = random.below(bytes.len());
                bytes[place] = random.below(256) as u8;
            }
            String::from_utf8_lossy(&bytes).into_owned()
        }
        // Every code point in turn, where letters, marks, numbers and blanks differ.
        _ => {
            let code = at / 13 * 73 % 0x11_0000;
            let c = char::from_u32(code as u32).unwrap_or('\u{fffd}');
            format!("{c}'s {c}a{c}1{c}\n")
        }
    }
}

fn tokenizer(encoding: Encoding) -> Tokenizer {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../wasm-client/vocabularies");
    let path = format!("{root}/{}.merges.gz", encoding.vocabulary());
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(std::fs::File::open(path).expect("the vocabulary is there"))
        .read_to_end(&mut bytes)
        .expect("the vocabulary is gzip");
    let vocabulary = Vocabulary::load(&bytes).expect("the file is sound");
    Tokenizer::new(encoding, Arc::new(vocabulary)).expect("the file is the encoding's")
}

/// xorshift64
struct Random(u64);

impl Random {
    /// Some number less than `n`, which is not 0.
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 33) as usize * n) >> 31
    }

    /// One to `most` of what `make` makes.
    fn many(&mut self, most: usize, make: impl Fn(&mut Self) -> String) -> String {
        (0..=self.below(most)).map(|_| make(self)).collect()
    }

    fn pick<'l>(&mut self, list: &[&'l str]) -> &'l str {
        list[self.below(list.len())]
    }

    fn telling(&mut self) -> String {
        self.pick(TELLING).into()
    }

    fn letter(&mut self, alphabet: &[u8]) -> String {
        char::from(alphabet[self.below(alphabet.len())]).into()
    }

    fn character(&mut self, first: usize, last: usize) -> String {
        let code = first + self.below(last - first + 1);
        char::from_u32(code as u32).unwrap_or('\u{fffd}').into()
    }

    fn script(&mut self) -> String {
        let (first, last) = SCRIPTS[self.below(SCRIPTS.len())];
        self.many(40, |random| match random.below(6) {
            0 => " ".into(),
            _ => random.character(first, last),
        })
    }
}

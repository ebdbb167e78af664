//! Ids over generated texts of every kind that has ever told two tokenizers apart:
//! `tests/tokens/texts.mjs` says the same to npm's tiktoken, of which `make test` runs a
//! tenth, for it is slower.
//!
//!     SEED=7 TEXTS=1000000 cargo test -p tollgate-tokens --features vocabulary --test exact generated

use tokens::bpe::Encoding;

use super::reference::{Pair, Random, TEXTS, number};

/// Texts of each vocabulary, unless TEXTS says another number.
const COUNT: usize = 200_000;

#[test]
fn o200k_gives_tiktokens_ids() {
    compare(Encoding::O200kBase);
}

#[test]
fn cl100k_gives_tiktokens_ids() {
    compare(Encoding::Cl100kBase);
}

#[test]
fn p50k_gives_tiktokens_ids() {
    compare(Encoding::P50kBase);
}

#[test]
fn r50k_gives_tiktokens_ids() {
    compare(Encoding::R50kBase);
}

fn compare(encoding: Encoding) {
    let seed = number("SEED").unwrap_or(1);
    let texts = number("TEXTS").unwrap_or(COUNT);
    let mut pair = Pair::new(encoding);
    let mut random = Random::new(seed);
    let mut tokens = 0;
    for at in 0..texts {
        let text = text(&mut random, at);
        let (_, ids) = pair.ids(text, &format!("seed {seed}, text {at}"));
        tokens += ids.len();
    }
    println!("{}: {texts} texts, {tokens} tokens, ids equal", encoding.name());
    assert!(tokens > 5 * texts, "texts are too short to tell anything");
}

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
        6 => random.many(12, |random| random.pick(&TEXTS.blanks).into()),
        7 => random.many(10, |random| {
            let word = random.many(9, |random| random.letter(&BASE64[26..52]));
            if random.below(2) == 0 { word } else { format!(" {word}") }
        }),
        8 => random.many(4, |random| random.telling() + &random.script() + &random.telling()),
        9 => {
            let run = random.pick(&TEXTS.runs).repeat(40 + random.below(120));
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

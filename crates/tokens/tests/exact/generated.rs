//! Ids over generated texts of every kind that has ever told two tokenizers apart:
//! `tests/tokens/texts.mjs` says the same to npm's tiktoken, of which `make test` runs a
//! tenth, for it is slower.
//!
//!     SEED=7 TEXTS=1000000 cargo test -p tollgate-tokens --features vocabulary --test exact generated

use tokens::bpe::Encoding;

use super::reference::{Pair, Random, TEXTS, number};

/// Texts of each vocabulary, unless TEXTS says another number.
const COUNT: usize = 200_000;
/// Kinds of texts.
const KINDS: usize = 13;
/// Code points, surrogates among them.
const CODES: usize = 0x11_0000;

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
    let (mut tokens, mut of_codes) = (0, 0);
    let share = CODES.div_ceil((texts / KINDS).max(1));
    let mut met = vec![false; CODES];
    for at in 0..texts {
        let text = text(&mut random, at, share);
        let ids = pair.ids(&text, &format!("seed {seed}, text {at}"));
        tokens += ids.len();
        if at % KINDS == KINDS - 1 {
            of_codes += ids.len();
        }
        text.chars().for_each(|c| met[c as usize] = true);
    }
    println!("{}: {texts} texts, {tokens} tokens, ids equal", encoding.name());
    assert!(tokens - of_codes > 5 * texts, "texts are too short to tell anything");
    let missed = ('\0'..=char::MAX).find(|&c| !met[c as usize]);
    assert_eq!(missed, None, "a code point was in no text");
}

const BASE64: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The text number `at`: each kind in turn, of which the last has the next `share` of
/// all code points.
fn text(random: &mut Random, at: usize, share: usize) -> String {
    match at % KINDS {
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
        // Where letters, marks, numbers and blanks differ.
        _ => {
            let first = at / KINDS * share;
            let codes = (first..first + share).map(|code| code % CODES);
            let telling = |c| format!("{c}'s {c}a{c}1{c}\n");
            codes.map(|code| telling(char::from_u32(code as u32).unwrap_or('\u{fffd}'))).collect()
        }
    }
}

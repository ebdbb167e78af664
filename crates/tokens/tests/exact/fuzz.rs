//! A fuzz target for stable Rust: inputs grow from seeds by mutation, and those
//! that reach a token no input has reached before are kept to grow on. What it
//! finds comes again by its seed; more of it:
//!
//!     FUZZ_SEED=7 FUZZ_RUNS=200000 cargo test --profile tools -p tollgate-tokens --features vocabulary --test exact fuzz
//!
//! Inputs are bytes. What is no UTF-8 is replaced as `TextDecoder` does it, which
//! is how text comes to any tokenizer.

use std::collections::HashSet;
use std::num::NonZeroUsize;

use tokens::bpe::{Document, Encoding, Keep, Tokenizer};

use super::reference::{Pair, Random, number};

/// Inputs of each encoding, unless FUZZ_RUNS says another number.
const RUNS: usize = 5000;
/// Longer inputs find nothing that shorter ones do not, and take their time.
const INPUT_BYTES_MAX: usize = 600;

#[test]
fn o200k_is_what_tiktoken_says() {
    fuzz(Encoding::O200kBase);
}

#[test]
fn cl100k_is_what_tiktoken_says() {
    fuzz(Encoding::Cl100kBase);
}

#[test]
fn p50k_is_what_tiktoken_says() {
    fuzz(Encoding::P50kBase);
}

#[test]
fn r50k_is_what_tiktoken_says() {
    fuzz(Encoding::R50kBase);
}

fn fuzz(encoding: Encoding) {
    let seed = number("FUZZ_SEED").unwrap_or(1);
    let runs = number("FUZZ_RUNS").unwrap_or(RUNS);
    let mut pair = Pair::new(encoding);
    let mut random = Random::new(seed);
    let mut pool: Vec<Vec<u8>> = SEEDS.iter().map(|seed| seed.as_bytes().to_vec()).collect();
    let mut reached = HashSet::new();
    for run in 0..runs {
        let input = mutate(&pool, &mut random);
        let case = format!("seed {seed}, run {run}");
        let text = String::from_utf8_lossy(&input);
        let ids = pair.ids(&text, &case);
        let case = format!("{} {case}: {text:?}", encoding.name());
        holds_together(&mut pair.tokenizer, &text, &ids, &mut random, &case);
        let before = reached.len();
        reached.extend(ids);
        if reached.len() > before {
            pool.push(input);
        }
    }
    println!("{}: {runs} inputs reached {} tokens", encoding.name(), reached.len());
    assert!(pool.len() > SEEDS.len() + runs.min(100) / 2, "mutation finds nothing new");
}

/// Everything else that is told of a text fits its ids.
fn holds_together(
    tokenizer: &mut Tokenizer,
    text: &str,
    ids: &[u32],
    random: &mut Random,
    case: &str,
) {
    assert!(tokenizer.fits(text, ids.len()), "{case}");
    assert!(ids.is_empty() || !tokenizer.fits(text, ids.len() - 1), "{case}");

    let tokens = random.below(ids.len() + 2);
    for keep in [Keep::Head, Keep::Tail] {
        let kept = tokenizer.truncate(text, tokens, keep);
        assert!(tokenizer.count(kept) <= tokens, "{keep:?} {tokens} of {case}");
    }
    let size = NonZeroUsize::MIN.saturating_add(tokens);
    let mut covered = 0;
    for chunk in tokenizer.chunk(text, size, 0) {
        assert_eq!(chunk.range.start, covered, "{size} of {case}");
        assert_eq!(chunk.tokens, tokenizer.count(&text[chunk.range.clone()]), "{size} of {case}");
        covered = chunk.range.end;
    }
    assert_eq!(covered, text.len(), "{size} of {case}");

    // Typed elsewhere first, then edited into this text.
    let place = |random: &mut Random| text.floor_char_boundary(random.below(text.len() + 1));
    let (a, b) = (place(random), place(random));
    let (start, stop) = (a.min(b), a.max(b));
    let mut document = Document::new(tokenizer, &[&text[..start], "x 's", &text[stop..]].concat());
    let edited = document.edit(tokenizer, start..start + 4, &text[start..stop]);
    assert_eq!(edited, Ok(ids.len()), "edited {start}..{stop} of {case}");
}

/// One to eight changes to an input of the pool.
fn mutate(pool: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut input = pool[random.below(pool.len())].clone();
    for _ in 0..=random.below(8) {
        let at = random.below(input.len() + 1);
        let stop = (at + random.below(12)).min(input.len());
        match random.below(8) {
            0 => input.splice(at..stop, []).for_each(drop),
            1 => {
                let other = &pool[random.below(pool.len())];
                let from = random.below(other.len() + 1);
                let to = (from + 1 + random.below(40)).min(other.len());
                input.splice(at..at, other[from..to].iter().copied());
            }
            2 => {
                let again = input[at..stop].repeat(1 + random.below(20));
                input.splice(at..at, again);
            }
            3 if at < input.len() => input[at] ^= 1 << random.below(8),
            4 => input.splice(at..stop, [random.below(256) as u8]).for_each(drop),
            5 => {
                // The character after, or one with another case, class or script.
                let code = char::from_u32(random.below(0x11_0000) as u32).unwrap_or('\u{fffd}');
                input.splice(at..stop, code.to_string().into_bytes());
            }
            6 => input.splice(at..stop, random.telling().into_bytes()).for_each(drop),
            _ => {
                let word: Vec<u8> =
                    (0..=random.below(9)).map(|_| b'a' + random.below(26) as u8).collect();
                input.splice(at..at, word);
            }
        }
    }
    input.truncate(INPUT_BYTES_MAX);
    input
}

const SEEDS: &[&str] = &[
    "It's 3 o'clock, and I'LL say so. \r\n\r\n  Twice.",
    "fn main() {\n\tlet HTTPServer = fooBar(12345, \"\\u{1f600}\");\n}\n",
    "漢字とかな。你好，世界！안녕하세요",
    "Когда очередь заполнена — нет; ΑΒΓ αβγ ς",
    "🎉👩🏽‍💻🇩🇪 ok ⚠️",
    "TWFuIGlzIGRpc3Rpbmd1aXNoZWQ=",
    "जब कतार भर जाती है ตัวอย่าง עברית العربية",
    "{\"key\": [1.5e-7, null, true]}",
];

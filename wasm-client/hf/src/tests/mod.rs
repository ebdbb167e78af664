//! The package's own counter against the crate `tokenizers`, by tokenizer.json files
//! that are made of OpenAI's vocabularies as other makers write theirs. Real files are
//! tried through the built package by test/hf.test.mjs.

mod cut;
mod files;
mod forged;
mod growing;
mod refused;
mod same;
#[path = "../../../../crates/tokens/src/bpe/telling.rs"]
mod telling;

use proptest::prelude::*;

use telling::TELLING;

/// What tokenizers stumble over beside.
const MORE: &[&str] = &[
    "e\u{301}",
    "文字",
    "K",
    "한",
    "\u{1112}\u{1161}\u{11ab}",
    "ing",
    " the",
    " return",
    "camelCase",
    "HTTPServer",
    "<",
    "<|",
    "|>",
    "<|end|>",
    "<|end|>>",
    "<tool>",
    "<tool_call>",
    "----",
    "ооо",
    "กำ",
    "\u{fa0e}",
    "Å",
];

fn texts() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        8 => proptest::sample::select([TELLING, MORE].concat()).prop_map(String::from),
        2 => any::<char>().prop_map(String::from),
        2 => "[a-z]{1,9}",
        1 => (proptest::sample::select([TELLING, MORE].concat()), 1..40usize).prop_map(|(text, n)| text.repeat(n)),
    ];
    proptest::collection::vec(part, 0..16).prop_map(|parts| parts.concat())
}

/// Where the two are not the same: each has its own Unicode's letters, and
/// `tokenizers` does not fold U+017F, the long s, as the pattern's (?i:'s) says.
fn differs(text: &str) -> bool {
    text.contains("'ſ") || text.chars().any(is_newer)
}

/// Letters and numbers that came with Unicode 17.0 (2025-09), which `tokenizers`
/// 1.0.0-rc.3 knows; the counter has 16.0, as tiktoken. All there are: comparing
/// "{c}.com" for each character c found these (2026-11).
fn is_newer(char: char) -> bool {
    matches!(
        u32::from(char),
        0x88f | 0xc5c | 0xcdc | 0xa7ce..=0xa7d4 | 0xa7f1 | 0x10940..=0x10959 | 0x10ec5..=0x10ec7
            | 0x11db0..=0x11de9 | 0x16ea0..=0x16ed3 | 0x16ff2..=0x16ff6 | 0x187f8..=0x187ff
            | 0x18d09..=0x18d1e | 0x18d80..=0x18df2 | 0x1e6c0..=0x1e6ff | 0x2b73a..=0x2b73f
            | 0x2cea2..=0x2cead | 0x323b0..=0x33479
    )
}

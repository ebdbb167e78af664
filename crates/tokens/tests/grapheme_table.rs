//! `src/bpe/grapheme_table.rs` is what this test finds out about every character by
//! asking the crate `unicode-segmentation` which ones it parts. To write it again:
//!
//!     UPDATE=1 cargo test -p tollgate-tokens --features vocabulary --test grapheme_table

use std::fmt::Write;
use std::{env, fs};

use unicode_segmentation::UnicodeSegmentation;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/bpe/grapheme_table.rs");
/// A range's length has seven bits.
const RANGE_MAX: u32 = 128;

#[test]
fn the_committed_table_is_what_the_crate_does() {
    let text = generate();
    if env::var_os("UPDATE").is_some() {
        fs::write(FILE, &text).expect("the table is writable");
    }
    let committed = fs::read_to_string(FILE).expect("the table is there");
    assert!(committed == text, "stale: see the head of this test");
}

fn generate() -> String {
    let mut ranges: Vec<(u32, u32, u32)> = Vec::new();
    for code in 0..=u32::from(char::MAX) {
        let Some(class) = char::from_u32(code).map(class_of).filter(|&class| class != 0) else {
            continue;
        };
        match ranges.last_mut() {
            Some((first, last, of))
                if *of == class && *last + 1 == code && code - *first < RANGE_MAX =>
            {
                *last = code;
            }
            _ => ranges.push((code, code, class)),
        }
    }
    let mut text = format!(
        "// Written by tests/grapheme_table.rs; not to be edited. Source: the crate\n\
         // unicode-segmentation 1.13, Unicode {}. graphemes.rs says what the numbers mean.\n\n\
         #[rustfmt::skip]\npub(super) const TABLE: [u32; {}] = [\n",
        {
            let (major, minor, patch) = unicode_segmentation::UNICODE_VERSION;
            format!("{major}.{minor}.{patch}")
        },
        ranges.len(),
    );
    for line in ranges.chunks(14) {
        text += "    ";
        for (first, last, class) in line {
            write!(text, "{},", first << 11 | (last - first) << 4 | class).expect("it is a string");
        }
        text += "\n";
    }
    text + "];\n"
}

/// Its number in graphemes.rs. Hangul's syllables have none here.
fn class_of(character: char) -> u32 {
    // Whether all of it is one.
    let one = |text: &[char]| text.iter().collect::<String>().graphemes(true).count() == 1;
    let c = character;
    let (zwj, picture, consonant, linker) = ('\u{200d}', '\u{a9}', '\u{915}', '\u{94d}');
    let (leading, open, shut) = ('\u{1100}', '\u{ac00}', '\u{ac01}');
    match c {
        '\u{ac00}'..='\u{d7a3}' => 0,
        '\u{200d}' => 13,
        '\u{1f1e6}'..='\u{1f1ff}' => 9,
        _ if !one(&[c, '\u{300}']) => 1,
        _ if one(&['a', c]) => {
            if !one(&[picture, c, zwj, picture]) {
                5
            } else if one(&[consonant, c, consonant]) {
                4
            } else if one(&[consonant, linker, c, consonant]) {
                3
            } else {
                2
            }
        }
        _ if one(&[c, 'a']) => 6,
        _ if one(&[picture, zwj, c]) => 7,
        _ if one(&[consonant, linker, c]) => 8,
        _ if one(&[c, open]) => 10,
        _ if one(&[shut, c]) => 12,
        _ if one(&[open, c]) && one(&[leading, c]) => 11,
        _ => 0,
    }
}

//! `src/bpe/unicode_table.rs` is what this test makes of Unicode's general
//! categories, as the crate `regex-syntax` carries them: the tables of the regex
//! engine that OpenAI's tiktoken splits text with. To write it again:
//!
//!     UPDATE=1 cargo test -p tollgate-tokens --features vocabulary --test unicode_table

use std::{env, fs};

use regex_syntax::hir::{Class, HirKind};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/bpe/unicode_table.rs");
const BLOCK: usize = 128;

/// The classes of `src/bpe/unicode.rs`, by number. Code points of none are 0.
const CLASSES: [(u8, &str); 7] = [
    (1, r"[\p{Lu}\p{Lt}]"),
    (2, r"\p{Ll}"),
    (3, r"[\p{Lm}\p{Lo}]"),
    (4, r"\p{M}"),
    (5, r"\p{N}"),
    (6, r"[\s&&[^\r\n]]"),
    (7, r"[\r\n]"),
];

#[test]
fn the_committed_table_is_what_unicode_says() {
    let text = generate();
    if env::var_os("UPDATE").is_some() {
        fs::write(FILE, &text).expect("the table is writable");
    }
    let committed = fs::read_to_string(FILE).expect("the table is there");
    assert!(committed == text, "stale: see the head of this test");
}

fn generate() -> String {
    let mut classes = vec![0; 0x11_0000];
    for (class, pattern) in CLASSES {
        for (first, last) in ranges(pattern) {
            classes[first..=last].fill(class);
        }
    }
    let used = classes.iter().rposition(|&class| class != 0).expect("letters exist") + 1;
    classes.truncate(used.next_multiple_of(BLOCK));
    let mut blocks: Vec<&[u8]> = Vec::new();
    let index: Vec<usize> = classes
        .chunks(BLOCK)
        .map(|block| {
            blocks.iter().position(|known| *known == block).unwrap_or_else(|| {
                blocks.push(block);
                blocks.len() - 1
            })
        })
        .collect();
    assert!(blocks.len() <= 256, "the index is a byte");
    let numbers = |row: &[usize]| row.iter().map(|n| format!("{n},")).collect::<String>();
    let lines = |row: Vec<usize>| {
        row.chunks(45).map(|line| format!("    {}\n", numbers(line))).collect::<String>()
    };
    format!(
        "// Written by tests/unicode_table.rs; not to be edited. Source: Unicode 16.0.0 by the\n\
         // crate regex-syntax 0.8 (Unicode-3.0). unicode.rs says what the numbers mean.\n\n\
         #[rustfmt::skip]\npub(super) static INDEX: [u8; {}] = [\n{}];\n\n\
         #[rustfmt::skip]\npub(super) static BLOCKS: [[u8; {BLOCK}]; {}] = [\n{}];\n",
        index.len(),
        lines(index.clone()),
        blocks.len(),
        blocks
            .iter()
            .map(|block| {
                let block = block.iter().map(|&class| class.into()).collect::<Vec<usize>>();
                format!("    [{}],\n", numbers(&block))
            })
            .collect::<String>(),
    )
}

/// The code points of a class, as ranges with both ends in.
fn ranges(pattern: &str) -> Vec<(usize, usize)> {
    let hir = regex_syntax::parse(pattern).expect("the pattern is ours");
    let HirKind::Class(Class::Unicode(class)) = hir.kind() else { panic!("{pattern} is no class") };
    class.ranges().iter().map(|range| (range.start() as usize, range.end() as usize)).collect()
}

//! A document's count is that of its text, whatever happened to it.

use proptest::prelude::*;
use proptest::sample::Index;
use tokens::bpe::{Document, EditError, Encoding, Progress, is_hard_boundary};

use super::texts::text;
use super::{tokenizer, with_each};

#[derive(Debug, Clone)]
enum Change {
    Edit(Index, Index, String),
    Utf16(Index, Index, String),
    Append(String),
    Set(Index, Index, String),
}

fn change() -> impl Strategy<Value = Change> {
    let place = || (any::<Index>(), any::<Index>(), text());
    prop_oneof![
        3 => place().prop_map(|(a, b, text)| Change::Edit(a, b, text)),
        3 => place().prop_map(|(a, b, text)| Change::Utf16(a, b, text)),
        2 => text().prop_map(Change::Append),
        2 => place().prop_map(|(a, b, text)| Change::Set(a, b, text)),
    ]
}

/// The ends of a range of characters, near each other as a user's edits are.
fn range(text: &str, a: &Index, b: &Index) -> (usize, usize) {
    let ends: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
    let first = a.index(ends.len());
    let last = (first + b.index(20)).min(ends.len() - 1);
    (ends[first], ends[last])
}

/// What long runs are made of: each has what ends a run, too.
const RUNS: &[&[&str]] = &[
    &["a", "b", "in", "the", "A", " ", "'s"],
    &["a", "a", "aa", " ", "B"],
    &["AB", "Ba", "中", "x", "\u{301}", "1"],
    &["中", "国", "文", "字", "。", "か"],
    &["\u{e01}", "\u{e32}", "\u{e48}", " ", "ა"],
    &["-", "=", "\n", " ", "/"],
    &[" ", "\t", "\n", "  ", "a"],
    &["😀", "\u{200d}", "👩", "!", "é"],
    &["1", "234", "56", "²"],
    // And of many short pieces, without a boundary that two characters make.
    &["aB", "a'b", "Word", "'s", "中A"],
    &["}\n", " }\n", "  }\r\n", "\t|", "\n"],
    &["a'", "B'", "中", "\u{301}'", "'ll", "A"],
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn after_any_edits_the_count_is_that_of_the_text(
        start in text(), changes in proptest::collection::vec(change(), 1..20),
    ) {
        with_each(|tokenizer| {
            let mut text = start.repeat(3);
            let mut document = Document::new(tokenizer, &text);
            for change in &changes {
                match change {
                    Change::Edit(a, b, new) => {
                        let (from, to) = range(&text, a, b);
                        text.replace_range(from..to, new);
                        document.edit(tokenizer, from..to, new).expect("the range is inside");
                    }
                    Change::Utf16(a, b, new) => {
                        let (from, to) = range(&text, a, b);
                        let units = |at: usize| text[..at].encode_utf16().count();
                        let units = units(from)..units(to);
                        text.replace_range(from..to, new);
                        document.edit_utf16(tokenizer, units, new).expect("the range is inside");
                    }
                    Change::Append(new) => {
                        text.push_str(new);
                        document.append(tokenizer, new);
                    }
                    Change::Set(a, b, new) => {
                        let (from, to) = range(&text, a, b);
                        text.replace_range(from..to, new);
                        document.set(tokenizer, &text);
                    }
                }
                prop_assert_eq!(document.count(), tokenizer.count(&text));
                prop_assert_eq!(document.len(), text.len());
                prop_assert_eq!(document.len_utf16(), text.encode_utf16().count());
                prop_assert_eq!(document.parts().collect::<String>(), text.as_str());
            }
            Ok(())
        }).into_iter().collect::<Result<(), _>>()?;
    }

    /// Pieces of some kilobytes, of which most is kept.
    #[test]
    fn after_edits_within_long_runs_the_count_is_that_of_the_text(
        letters in proptest::sample::select(RUNS),
        lengths in proptest::collection::vec((any::<Index>(), 1..1_500usize), 2..6),
        edits in proptest::collection::vec((any::<Index>(), 0..40usize, any::<Index>(), 0..4usize), 1..24),
    ) {
        let run = |lengths: &[(Index, usize)]| -> String {
            lengths.iter().map(|(letter, n)| letter.get(letters).repeat(*n)).collect()
        };
        with_each(|tokenizer| {
            let mut text = run(&lengths);
            let mut document = Document::new(tokenizer, &text);
            for (at, removed, letter, added) in &edits {
                let from = text.floor_char_boundary(at.index(text.len() + 1));
                let to = text.floor_char_boundary(text.len().min(from + removed)).max(from);
                let put = letter.get(letters).repeat(*added);
                text.replace_range(from..to, &put);
                document.edit(tokenizer, from..to, &put).expect("the range is inside");
                prop_assert_eq!(document.count(), tokenizer.count(&text), "{}..{}", from, to);
                prop_assert_eq!(document.parts().collect::<String>(), text.as_str());
            }
            Ok(())
        }).into_iter().collect::<Result<(), _>>()?;
    }

    #[test]
    fn what_is_stable_stays_whatever_is_appended(start in text(), more in text()) {
        with_each(|tokenizer| {
            let mut document = Document::new(tokenizer, &start);
            let Progress { stable, provisional } = document.progress(tokenizer);
            prop_assert_eq!(stable + provisional, document.count());
            // No less than what stands before the last place where two characters alone make
            // a boundary.
            let settled = (1..start.len()).rev().find(|&at| {
                start.is_char_boundary(at) && is_hard_boundary(start.as_bytes(), at)
            });
            prop_assert!(stable >= tokenizer.count(&start[..settled.unwrap_or(0)]));
            let text = start.clone() + &more;
            document.append(tokenizer, &more);
            prop_assert_eq!(document.count(), tokenizer.count(&text));
            prop_assert!(document.progress(tokenizer).stable >= stable);
            Ok(())
        }).into_iter().collect::<Result<(), _>>()?;
    }
}

/// An edit at the start of a block may complete what the block before ends with: a
/// contraction is a word's own, and its letters else the next one's.
#[test]
fn a_contraction_that_an_edit_makes_or_undoes_at_any_place_of_a_run_is_seen() {
    with_each(|tokenizer| {
        for run in ["the'xample", "the'lexample", "it'sBig", "Aa'LLb", "中'reA", "a''v"] {
            let text = run.repeat(1_000 / run.len());
            let document = Document::new(tokenizer, &text);
            for (at, character) in text.char_indices() {
                for to in [at, at + character.len_utf8()] {
                    for put in ["re", "l", "LL", "e", "s", "'", "'v", ""] {
                        let (mut text, mut document) = (text.clone(), document.clone());
                        text.replace_range(at..to, put);
                        document.edit(tokenizer, at..to, put).expect("the range is inside");
                        assert_eq!(
                            document.count(),
                            tokenizer.count(&text),
                            "{:?}: {run:?}, {at}..{to}, {put:?}",
                            tokenizer.encoding()
                        );
                    }
                }
            }
        }
    });
}

/// Each of these characters is two tokens in some encoding, and what the first one holds
/// would be taken for another character, which is one token.
#[test]
fn edits_beside_each_other_in_a_run_whose_tokens_end_within_characters_are_counted_alike() {
    with_each(|tokenizer| {
        for run in ["υφχψ", "丂丄丅", "\u{81}\u{82}\u{83}"] {
            let mut text = run.repeat(3_000 / run.len());
            let mut document = Document::new(tokenizer, &text);
            let middle = text.floor_char_boundary(text.len() / 2);
            let near: Vec<_> = text[middle..].char_indices().take(24).collect();
            for (at, character) in near.iter().chain(near.iter().rev()) {
                let at = text.floor_char_boundary(middle + at);
                let put = character.to_string();
                text.insert_str(at, &put);
                document.edit(tokenizer, at..at, &put).expect("the range is inside");
                let encoding = tokenizer.encoding();
                assert_eq!(document.count(), tokenizer.count(&text), "{encoding:?}: {run:?}, {at}");
            }
        }
    });
}

#[test]
fn of_a_text_that_comes_word_by_word_all_but_the_last_word_is_stable() {
    with_each(|tokenizer| {
        let mut document = Document::default();
        let mut before = 0;
        for word in " Whoever| stands| before| the| gate| waits".split('|').cycle().take(2_000) {
            document.append(tokenizer, word);
            let Progress { stable, provisional } = document.progress(tokenizer);
            // The word before may go on as long as no blank has come.
            assert_eq!((stable, provisional), (before, document.count() - before));
            before = document.count();
        }
    });
}

#[test]
fn an_edit_that_does_not_fit_changes_nothing() {
    let mut tokenizer = tokenizer(Encoding::R50kBase);
    let mut document = Document::new(&mut tokenizer, "aé😀");
    let inside = |at| Err(EditError::InsideCharacter { at });
    for (range, outcome) in
        [(0..8, Err(EditError::OutOfRange { length: 7 })), (2..3, inside(2)), (1..5, inside(5))]
    {
        assert_eq!(document.edit(&mut tokenizer, range, "x"), outcome);
    }
    #[expect(clippy::reversed_empty_ranges, reason = "that is what is tried")]
    let reversed = document.edit(&mut tokenizer, 3..1, "");
    assert_eq!(reversed, Err(EditError::OutOfRange { length: 7 }));
    assert_eq!(document.edit_utf16(&mut tokenizer, 3..3, "x"), inside(3));
    assert_eq!(document.parts().collect::<String>(), "aé😀");
    let cut: Vec<_> = (0..6).map(|at| document.cut_utf16(at)).collect();
    assert_eq!(cut, [None, None, None, Some('😀'), None, None]);
}

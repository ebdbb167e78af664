//! Properties of counting, encoding, truncating and chunking.

use std::num::NonZeroUsize;

use proptest::prelude::*;
use tokens::bpe::{Encoding, Keep, Tokenizer};
use unicode_segmentation::UnicodeSegmentation;

use super::reference::TEXTS;
use super::{tokenizer, with_each};

pub(crate) fn text() -> impl Strategy<Value = String> {
    let telling = || proptest::sample::select(TEXTS.telling.as_slice());
    let part = prop_oneof![
        12 => telling(),
        3 => any::<char>().prop_map(String::from),
        // Longer than a merge window.
        1 => (telling(), 1..150usize).prop_map(|(s, n)| s.repeat(n)),
    ];
    proptest::collection::vec(part, 0..30).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn decoding_gives_the_text_back_and_counting_its_length(text in text()) {
        with_each(|tokenizer| {
            let ids = tokenizer.encode(&text);
            prop_assert_eq!(tokenizer.count(&text), ids.len());
            prop_assert_eq!(tokenizer.decode(&ids), Ok(text.clone().into_bytes()));
            Ok(())
        }).into_iter().collect::<Result<(), _>>()?;
    }

    #[test]
    fn a_text_fits_from_its_count_on(text in text()) {
        with_each(|tokenizer| {
            let count = tokenizer.count(&text);
            prop_assert!(tokenizer.fits(&text, count));
            prop_assert!(count == 0 || !tokenizer.fits(&text, count - 1));
            Ok(())
        }).into_iter().collect::<Result<(), _>>()?;
    }

    #[test]
    fn what_is_kept_of_a_text_fits_and_tears_no_grapheme(text in text(), tokens in 0..60usize) {
        let ends: Vec<usize> = text
            .grapheme_indices(true)
            .map(|(at, _)| at)
            .chain([text.len()])
            .collect();
        with_each(|tokenizer| {
            let head = tokenizer.truncate(&text, tokens, Keep::Head);
            prop_assert!(tokenizer.count(head) <= tokens);
            prop_assert!(text.starts_with(head) && ends.contains(&head.len()));
            let tail = tokenizer.truncate(&text, tokens, Keep::Tail);
            prop_assert!(tokenizer.count(tail) <= tokens);
            prop_assert!(text.ends_with(tail) && ends.contains(&(text.len() - tail.len())));
            if tokenizer.count(&text) <= tokens {
                prop_assert_eq!((head, tail), (text.as_str(), text.as_str()));
            }
            Ok(())
        }).into_iter().collect::<Result<(), _>>()?;
    }

    #[test]
    fn chunks_cover_the_text_and_overlap_no_more_than_asked(
        text in text(), size in 1..40usize, overlap in 0..40usize,
    ) {
        with_each(|tokenizer| {
            let size = NonZeroUsize::new(size).expect("the range starts at 1");
            let chunks = tokenizer.chunk(&text, size, overlap);
            let mut end = 0;
            for chunk in &chunks {
                let part = &text[chunk.range.clone()];
                prop_assert_eq!(chunk.tokens, tokenizer.count(part));
                prop_assert!(chunk.tokens <= size.get() || part.chars().count() == 1);
                prop_assert!(chunk.range.start <= end && chunk.range.end > end);
                prop_assert!(tokenizer.count(&text[chunk.range.start..end]) <= overlap);
                end = chunk.range.end;
            }
            prop_assert_eq!(end, text.len());
            Ok(())
        }).into_iter().collect::<Result<(), _>>()?;
    }
}

/// " I'" is a token of the text, but two of its own, so no part may end there.
#[test]
fn a_chunk_is_counted_by_itself_not_as_a_stretch_of_the_text() {
    let mut tokenizer = tokenizer(Encoding::O200kBase);
    let text = " I'LL";
    let ids = tokenizer.encode(text);
    assert_eq!(tokenizer.decode(&ids[..1]).as_deref(), Ok(" I'".as_bytes()));
    assert_eq!((ids.len(), tokenizer.count(" I'")), (2, 2));
    let parts = tokenizer.chunk(text, NonZeroUsize::MIN, 0);
    let told: Vec<_> = parts.iter().map(|part| (&text[part.range.clone()], part.tokens)).collect();
    assert_eq!(told, [(" I", 1), ("'", 1), ("LL", 1)]);
}

/// Differs from the small texts above in length only: many windows, the heap.
#[test]
fn long_runs_encode_as_they_decode() {
    for run in ["a", " ", "ab", "\n", "=", "中", "é", "ha ", "\u{e01}\u{e32}", "\u{301}"] {
        let text = run.repeat(40_000);
        with_each(|tokenizer: &mut Tokenizer| {
            let ids = tokenizer.encode(&text);
            assert_eq!(ids.len(), tokenizer.count(&text), "{run:?}");
            assert_eq!(tokenizer.decode(&ids).as_deref(), Ok(text.as_bytes()), "{run:?}");
        });
    }
}

//! Shortens a text to so many tokens, or cuts it into parts of so many.
//!
//! A cut stands where a token of the whole text ends, moved to the next boundary
//! between graphemes (what a reader takes for one character), so that no emoji and
//! no accent is torn. What is kept is counted again by itself, for at a cut the
//! text may fall into other pieces than before, and shortened on if it must be: the
//! bound always holds.

use std::num::NonZeroUsize;
use std::ops::Range;
use std::slice::SliceIndex;

use super::graphemes::{boundary_before, boundary_behind};
use super::tokenizer::Tokenizer;

/// Tokens that may fall otherwise where a text is cut. Merging settles again within
/// one or two of them; were it ever more, a part would end a little earlier or later.
const TOKENS_AROUND_A_CUT: usize = 4;

/// Which end of a text stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// The beginning.
    Head,
    /// The end.
    Tail,
}

/// A part of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// Where it lies in the text, in bytes.
    pub range: Range<usize>,
    /// Its tokens, counted by itself.
    pub tokens: usize,
}

impl Tokenizer {
    /// The longest beginning or end of `text` that the token ends allow, of at most
    /// `tokens` tokens by itself. Empty if not even one grapheme fits.
    #[must_use]
    pub fn truncate<'t>(&mut self, text: &'t str, tokens: usize, keep: Keep) -> &'t str {
        match keep {
            Keep::Head => part(text, ..self.head(text, tokens).0),
            Keep::Tail => part(text, self.tail(text, tokens)..),
        }
    }

    /// Cuts `text` into parts of at most `size` tokens each, every part beginning
    /// with the last tokens of the one before, at most `overlap` of them. Together
    /// they cover the text. A character is never torn: one that has more tokens
    /// than `size` is a part of its own. Where a part has no more than `overlap`
    /// tokens, or would bring nothing new, the next one begins at its end.
    ///
    /// A part's tokens are its own, as a model counts it that is given this part
    /// alone. Even without overlap they can add up to more than the text has:
    /// o200k's " I'LL" is " I'" and "LL", but " I'" by itself is two tokens, so with
    /// `size` 1 the cut stands behind " I", and three parts it is.
    #[must_use]
    pub fn chunk(&mut self, text: &str, size: NonZeroUsize, overlap: usize) -> Vec<Chunk> {
        let size = size.get();
        let mut chunks: Vec<Chunk> = Vec::new();
        let mut start = 0;
        while chunks.last().map_or(0, |last| last.range.end) < text.len() {
            let done = chunks.last().map_or(0, |last| last.range.end);
            let (mut length, mut tokens) = self.head(part(text, start..), size);
            if start + length <= done {
                // Nothing new fits behind the overlap.
                start = done;
                (length, tokens) = self.head(part(text, start..), size);
            }
            if length == 0 {
                (length, tokens) = self.character(part(text, start..), size);
            }
            let range = start..start + length;
            let again = self.tail(part(text, range.clone()), overlap.min(size - 1));
            start = if again == 0 { range.end } else { range.start + again };
            chunks.push(Chunk { range, tokens });
        }
        chunks
    }

    /// As much of the first grapheme as fits, at least a character; and its tokens.
    fn character(&mut self, text: &str, size: usize) -> (usize, usize) {
        let first = text.chars().next().map_or(0, char::len_utf8);
        let mut fits = (first, self.count(part(text, ..first)));
        for (at, character) in text.char_indices().skip(1) {
            let end = at + character.len_utf8();
            let tokens = self.count(part(text, ..end));
            if tokens > size {
                break;
            }
            fits = (end, tokens);
        }
        fits
    }

    /// How many bytes `tokens` allow from the beginning, and their tokens.
    fn head(&mut self, text: &str, tokens: usize) -> (usize, usize) {
        let (end, whole) = self.end_of_token(self.within_reach(text, tokens), tokens);
        if end == text.len() {
            return (end, whole);
        }
        let mut end = boundary_before(text, end);
        let mut step = 1;
        loop {
            let count = self.count(part(text, ..end));
            if count <= tokens {
                return (end, count);
            }
            // Twice as far each time: the text is counted again, and some texts
            // could make it many times.
            for _ in 0..step {
                end = boundary_before(text, end.saturating_sub(1));
            }
            step *= 2;
        }
    }

    /// As far as `tokens` reach, however long each is. A piece is encoded whole, and
    /// each part of a chunked one would encode again all that is left of it.
    fn within_reach<'t>(&self, text: &'t str, tokens: usize) -> &'t str {
        let tokens = tokens.saturating_add(TOKENS_AROUND_A_CUT);
        let bytes = tokens.saturating_mul(self.vocabulary().longest_token());
        part(text, ..text.floor_char_boundary(bytes))
    }

    /// From which byte on `tokens` allow the end of the text.
    fn tail(&mut self, text: &str, tokens: usize) -> usize {
        if tokens == 0 {
            return text.len();
        }
        let Some(skip) = self.count(text).checked_sub(tokens).filter(|&skip| skip > 0) else {
            return 0;
        };
        let (start, _) = self.end_of_token(text, skip);
        let mut start = boundary_behind(text, start);
        let mut step = 1;
        while self.count(part(text, start..)) > tokens {
            for _ in 0..step {
                start = boundary_behind(text, text.len().min(start + 1));
            }
            step *= 2;
        }
        start
    }

    /// Where the token number `tokens` of the text ends, in bytes, and how many
    /// there were until then; the text's end, if it has fewer.
    fn end_of_token(&mut self, text: &str, tokens: usize) -> (usize, usize) {
        let mut ids = Vec::new();
        self.encode_until(text.as_bytes(), tokens, &mut ids);
        ids.truncate(tokens);
        let vocabulary = self.vocabulary();
        let end = ids.iter().map(|&id| vocabulary.bytes_of(id).len()).sum();
        (end, ids.len())
    }
}

/// A part of a text between boundaries that are known to be some: without a panic, whose
/// sentence about them would be a twentieth of the package's module.
pub(super) fn part(text: &str, range: impl SliceIndex<str, Output = str>) -> &str {
    text.get(range).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::super::encoding::Encoding;
    use super::super::merge::tests::{pieces, vocabulary};
    use super::super::vocabulary::Vocabulary;
    use super::*;

    fn tokenizer() -> Tokenizer {
        thread_local! {
            static VOCABULARY: Arc<Vocabulary> = Arc::new(vocabulary("o200k_base"));
        }
        let made = Tokenizer::new(Encoding::O200kBase, VOCABULARY.with(Arc::clone));
        made.expect("it is o200k's")
    }

    proptest! {
        #[test]
        fn what_lies_beyond_reach_changes_nothing(text in pieces(), tokens in 0..4usize) {
            let mut tokenizer = tokenizer();
            let text = text.repeat(4);
            let near = tokenizer.within_reach(&text, tokens);
            prop_assert_eq!(
                tokenizer.end_of_token(near, tokens),
                tokenizer.end_of_token(&text, tokens)
            );
        }
    }

    #[test]
    fn the_work_of_chunking_grows_as_the_text_does() {
        // Each text is one piece: ideographs, which have cuts, and letters, which
        // have none.
        for letters in [['中', '国', '文', '字'], ['i', 'n', 'e', 't']] {
            let steps = |n| {
                let mut seed = 7u32;
                let next = || {
                    seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    letters[(seed >> 16) as usize % letters.len()]
                };
                let text: String = std::iter::repeat_with(next).take(n).collect();
                let mut tokenizer = tokenizer();
                let chunks = tokenizer.chunk(&text, NonZeroUsize::MIN.saturating_add(15), 2);
                assert!(chunks.len() > n / 100);
                tokenizer.steps()
            };
            let (small, large) = (steps(20_000), steps(100_000));
            assert!(large <= 6 * small, "{letters:?}: {small} to {large}");
        }
    }
}

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
/// More than most texts have.
const BYTES_A_TOKEN: usize = 6;

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
            Keep::Head => part(text, ..self.head(text, tokens, boundary_before).0),
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
            let (mut length, mut tokens) = self.head(part(text, start..), size, boundary_before);
            if start + length <= done {
                // Nothing new fits behind the overlap.
                start = done;
                (length, tokens) = self.head(part(text, start..), size, boundary_before);
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
        // Each prefix is counted from the text's beginning, so only the last few are.
        let sure = size.saturating_sub(TOKENS_AROUND_A_CUT);
        let mut fits = self.head(text, sure, str::floor_char_boundary);
        for character in part(text, fits.0..).chars() {
            let end = fits.0 + character.len_utf8();
            let tokens = self.count(part(text, ..end));
            if tokens > size && fits.0 > 0 {
                break;
            }
            fits = (end, tokens);
        }
        fits
    }

    /// How many bytes `tokens` allow from the beginning, and their tokens.
    /// `before` says where the last boundary is that is not behind a place.
    #[inline(never)]
    fn head(
        &mut self,
        text: &str,
        tokens: usize,
        before: fn(&str, usize) -> usize,
    ) -> (usize, usize) {
        let (end, whole) = self.end_of_near_token(text, tokens);
        if end == text.len() {
            return (end, whole);
        }
        let mut end = before(text, end);
        let mut step = 1;
        loop {
            let count = self.count(part(text, ..end));
            if count <= tokens {
                return (end, count);
            }
            // Twice as far each time: the text is counted again, and some texts
            // could make it many times.
            for _ in 0..step {
                end = before(text, end.saturating_sub(1));
            }
            step *= 2;
        }
    }

    /// `end_of_token`, without a look at what lies further away than it must: a piece is
    /// encoded whole, and each part of a chunked one would encode again all that is left.
    fn end_of_near_token(&mut self, text: &str, tokens: usize) -> (usize, usize) {
        let longest = self.vocabulary().longest_token();
        let enough = tokens.saturating_add(TOKENS_AROUND_A_CUT);
        let reach = enough.saturating_mul(longest);
        let mut bytes = enough.saturating_mul(BYTES_A_TOKEN).saturating_add(longest).min(reach);
        loop {
            let near = part(text, ..text.floor_char_boundary(bytes));
            let ids = self.first(near, enough);
            // The token that the cut went through began no further away than this.
            let is_settled = ids.len() == enough && self.length(&ids) + longest <= near.len();
            if is_settled || bytes == reach || near.len() == text.len() {
                let ids = &ids[..ids.len().min(tokens)];
                return (self.length(ids), ids.len());
            }
            bytes = bytes.saturating_mul(2).min(reach);
        }
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
        let ids = self.first(text, tokens);
        (self.length(&ids), ids.len())
    }

    /// The ids of the first `tokens`.
    fn first(&mut self, text: &str, tokens: usize) -> Vec<u32> {
        let mut ids = Vec::new();
        self.encode_until(text.as_bytes(), tokens, &mut ids);
        ids.truncate(tokens);
        ids
    }

    /// Bytes of tokens.
    fn length(&self, ids: &[u32]) -> usize {
        let vocabulary = self.vocabulary();
        ids.iter().map(|&id| vocabulary.bytes_of(id).len()).sum()
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
        let [o200k, _] = tokenizers();
        o200k
    }

    fn tokenizers() -> [Tokenizer; 2] {
        thread_local! {
            static VOCABULARIES: [Arc<Vocabulary>; 2] =
                ["o200k_base", "cl100k_base"].map(|name| Arc::new(vocabulary(name)));
        }
        let [o200k, cl100k] = VOCABULARIES.with(Clone::clone);
        [(Encoding::O200kBase, o200k), (Encoding::Cl100kBase, cl100k)].map(
            |(encoding, vocabulary)| Tokenizer::new(encoding, vocabulary).expect("it is its own"),
        )
    }

    /// Texts of what graphemes are made of, most of them few graphemes.
    fn marked() -> impl Strategy<Value = String> {
        let parts = "e\u{300}\u{301}\u{302}\u{64b}\u{651}\u{93e}\u{94d}\u{9cd}\u{e32}\u{e48}\u{20e3}\
            \u{1161}\u{11a8}\u{600}\u{200d}\u{fe0f}\u{1f3fd}\u{1f468}कন\u{1100}\u{ac00}' -";
        let parts = proptest::sample::subsequence(parts.chars().collect::<Vec<_>>(), 1..5);
        (parts, proptest::collection::vec((any::<proptest::sample::Index>(), 1..20usize), 1..40))
            .prop_map(|(parts, runs)| {
                let run = |(part, n): &(proptest::sample::Index, _)| {
                    std::iter::repeat_n(*part.get(&parts), *n).collect::<String>()
                };
                runs.iter().map(run).collect()
            })
    }

    /// The longest beginning before the first that is too long, each counted by itself.
    fn by_each_character(tokenizer: &mut Tokenizer, text: &str, size: usize) -> (usize, usize) {
        let ends = text.char_indices().map(|(at, character)| at + character.len_utf8());
        let counted = ends.map(|end| (end, tokenizer.count(&text[..end]))).enumerate();
        let fit = counted.take_while(|&(nth, (_, tokens))| nth == 0 || tokens <= size);
        fit.last().map_or((0, 0), |(_, fit)| fit)
    }

    proptest! {
        #[test]
        fn what_lies_beyond_reach_changes_nothing(text in pieces(), tokens in 0..200usize) {
            let mut tokenizer = tokenizer();
            let text = text.repeat(4);
            prop_assert_eq!(
                tokenizer.end_of_near_token(&text, tokens),
                tokenizer.end_of_token(&text, tokens)
            );
        }

        #[test]
        fn a_part_of_a_grapheme_ends_where_the_next_character_is_too_much(
            text in marked(), sizes in proptest::collection::vec(any::<proptest::sample::Index>(), 4)
        ) {
            for mut tokenizer in tokenizers() {
                let most = tokenizer.count(&text) + 1;
                for size in sizes.iter().map(|size| 1 + size.index(most)) {
                    prop_assert_eq!(
                        tokenizer.character(&text, size),
                        by_each_character(&mut tokenizer, &text, size),
                        "{} of {}", size, most
                    );
                }
            }
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

    #[test]
    fn to_chunk_what_has_no_boundary_costs_a_few_counts() {
        let mut seed = 7u32;
        let next = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            char::from(b'a' + (seed >> 16) as u8 % 26)
        };
        let text: String = std::iter::repeat_with(next).take(60_000).collect();
        let counted = {
            let mut tokenizer = tokenizer();
            assert!(tokenizer.count(&text) > 20_000);
            tokenizer.steps()
        };
        for size in [20, 100, 1000] {
            for overlap in [0, size / 10] {
                let mut tokenizer = tokenizer();
                let size = NonZeroUsize::new(size).expect("it is not 0");
                assert!(!tokenizer.chunk(&text, size, overlap).is_empty());
                let times = tokenizer.steps() / counted;
                // It was 60 times.
                assert!(times <= 10, "{size}, {overlap}: {times}");
            }
        }
    }

    #[test]
    fn the_work_of_chunking_one_grapheme_grows_as_it_does() {
        let kinds: [(&str, &[&str]); 4] = [
            ("e", &["\u{300}", "\u{301}", "\u{302}", "\u{303}"]),
            ("", &["\u{1f468}\u{200d}", "\u{1f469}\u{200d}", "\u{1f466}\u{fe0f}\u{200d}"]),
            ("", &["क\u{94d}", "न\u{94d}", "त\u{94d}"]),
            ("", &["\u{1100}", "\u{1102}", "\u{1103}", "\u{1105}"]),
        ];
        for (first, parts) in kinds {
            // Halves, and ever more parts.
            for (size, overlap) in [(None, 0), (None, 1), (Some(8), 1)] {
                let read = |n| {
                    let mut seed = 7u32;
                    let next = || {
                        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                        parts[(seed >> 16) as usize % parts.len()]
                    };
                    let text = std::iter::once(first).chain(std::iter::repeat_with(next).take(n));
                    let text: String = text.collect();
                    assert_eq!(boundary_behind(&text, 1), text.len());
                    let mut tokenizer = tokenizer();
                    let size = size.unwrap_or(tokenizer.count(&text) / 2 + 1);
                    let size = NonZeroUsize::new(size).expect("it is not 0");
                    let before = tokenizer.read();
                    assert!(tokenizer.chunk(&text, size, size.get() / 4 * overlap).len() > 1);
                    tokenizer.read() - before
                };
                let (small, large) = (read(2_000), read(10_000));
                assert!(
                    small > 0 && large <= 6 * small,
                    "{parts:?}, {size:?}, {overlap}: {small} to {large}"
                );
            }
        }
    }
}

//! Takes in a merge list of another maker's.
//!
//! A list from elsewhere ranks *pairs*, and may name several pairs that make one
//! token; the tables here rank tokens and know one pair each. That is enough, for of
//! the pairs that make a token byte-pair encoding only ever joins one:
//!
//! Take the moment when a pair is joined to the token `t`. Nothing has crossed the
//! ends of the two parts, so what lies between them went the way that the bytes of `t`
//! go alone, whatever stands around. That way is always the same, and comes to two
//! parts once at most. This pair is `t`'s own; the others that the list may have for
//! `t` never stand side by side. (So the crate `bpe` argues for tiktoken, whose ranks
//! are of tokens: "So many tokens, so little time", github.blog, 2024-12-12.)
//!
//! On that way only tokens shorter than `t` are made. So the own pairs are found from
//! the shortest token to the longest, each by merging its bytes by the pairs found so
//! far; the token's rank is that of its own pair. A token whose bytes come to no pair
//! that the list has is never made.

use std::collections::HashMap;

use super::file::{BYTES, IDS_MAX, TEXT_BYTES_MAX, write};

/// Longer tokens are refused, so that merging them, quadratic in the length, stays
/// cheap. Real ones have 128 bytes at most.
const TOKEN_BYTES_MAX: usize = 256;

/// The list is larger than the tables can be, or names a pair twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAdopted {
    /// The merge that is one too many, counted from 0.
    pub merge: usize,
}

/// A token of more than one byte, by its place among those that the list makes.
struct Made<'a> {
    pairs: Vec<(usize, &'a [u8], &'a [u8])>,
}

/// The vocabulary file for [`Vocabulary::load`](super::Vocabulary::load), which
/// [`Encoding::Adopted`](super::Encoding::Adopted) counts by, of pairs of tokens'
/// bytes in the order of their ranks. The ids 0 to 255 are the bytes, the rest the
/// tokens that are ever made, in the order of their ranks.
///
/// # Errors
///
/// If the list has no place in the tables.
pub fn adopt<'a>(
    merges: impl IntoIterator<Item = (&'a [u8], &'a [u8])>,
) -> Result<Vec<u8>, NotAdopted> {
    let mut ids: HashMap<Vec<u8>, u32> =
        (0..=u8::MAX).map(|byte| (vec![byte], u32::from(byte))).collect();
    let mut made: Vec<Made<'a>> = Vec::new();
    let mut bytes = BYTES;
    for (merge, (left, right)) in merges.into_iter().enumerate() {
        let refused = Err(NotAdopted { merge });
        if left.is_empty() || right.is_empty() || left.len() + right.len() > TOKEN_BYTES_MAX {
            return refused;
        }
        let next = (BYTES + made.len()) as u32;
        let id = *ids.entry([left, right].concat()).or_insert(next);
        if id == next {
            bytes += left.len() + right.len();
            if bytes > TEXT_BYTES_MAX || next as usize >= IDS_MAX {
                return refused;
            }
            made.push(Made { pairs: Vec::new() });
        }
        let pairs = &mut made[id as usize - BYTES].pairs;
        // Which of two ranks counts, readers of such lists do not agree.
        if pairs.iter().any(|&(_, l, r)| (l, r) == (left, right)) {
            return refused;
        }
        pairs.push((merge, left, right));
    }

    let mut by_length: Vec<u32> = (0..made.len() as u32).collect();
    by_length.sort_by_key(|&at| made[at as usize].length());
    // Rank and token of each own pair.
    let mut own: HashMap<(u32, u32), (usize, u32)> = HashMap::with_capacity(made.len());
    let mut parts = Vec::new();
    for at in by_length {
        let token = &made[at as usize];
        token.merge(&own, &mut parts);
        if let Some(rank) = token.rank_of(&parts, &ids) {
            own.insert((parts[0], parts[1]), (rank, BYTES as u32 + at));
        }
    }

    let mut by_rank: Vec<_> = own.into_iter().collect();
    by_rank.sort_by_key(|&(_, (rank, _))| rank);
    let mut renamed: Vec<u32> = (0..(BYTES + made.len()) as u32).collect();
    for (id, &(_, (_, old))) in (BYTES as u32..).zip(&by_rank) {
        renamed[old as usize] = id;
    }
    let name = |id: u32| renamed[id as usize];
    let halves: Vec<_> = by_rank.iter().map(|&((l, r), _)| (name(l), name(r))).collect();
    Ok(write(&halves))
}

impl Made<'_> {
    fn length(&self) -> usize {
        self.pairs.first().map_or(0, |(_, left, right)| left.len() + right.len())
    }

    /// What its bytes become by the own pairs so far.
    fn merge(&self, own: &HashMap<(u32, u32), (usize, u32)>, parts: &mut Vec<u32>) {
        parts.clear();
        // All of its pairs spell the same bytes.
        if let Some((_, left, right)) = self.pairs.first() {
            parts.extend(left.iter().chain(*right).map(|&byte| u32::from(byte)));
        }
        let joined = |pair: &[u32]| own.get(&(pair[0], pair[1])).copied();
        // Of equal ranks the first.
        while let Some((at, (_, token))) = parts
            .windows(2)
            .enumerate()
            .filter_map(|(at, pair)| Some((at, joined(pair)?)))
            .min_by_key(|&(_, (rank, _))| rank)
        {
            parts[at] = token;
            parts.remove(at + 1);
        }
    }

    /// The rank at which the list joins these to it, if they are two and it does.
    fn rank_of(&self, parts: &[u32], ids: &HashMap<Vec<u8>, u32>) -> Option<usize> {
        let &[left, right] = parts else { return None };
        let is = |part: &[u8], id| ids.get(part) == Some(&id);
        self.pairs.iter().find(|&&(_, l, r)| is(l, left) && is(r, right)).map(|&(rank, ..)| rank)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use std::sync::Arc;

    use super::super::{Cut, Encoding, Tokenizer, Vocabulary};
    use super::*;

    type List = Vec<(String, String)>;

    fn list(merges: &[(&str, &str)]) -> List {
        merges.iter().map(|&(left, right)| (left.to_owned(), right.to_owned())).collect()
    }

    fn adopted(list: &List) -> Result<Vec<u8>, NotAdopted> {
        let pairs = list.iter().map(|(left, right)| (left.as_bytes(), right.as_bytes()));
        adopt(pairs)
    }

    /// Byte-pair encoding word for word: of the pairs in the list the one of the
    /// lowest rank, leftmost first.
    fn by_list(list: &List, text: &str) -> Vec<String> {
        let mut parts: Vec<String> = text.chars().map(String::from).collect();
        loop {
            let rank =
                |pair: &[String]| list.iter().position(|(l, r)| [l, r] == [&pair[0], &pair[1]]);
            let ranks =
                parts.windows(2).enumerate().filter_map(|(at, pair)| Some((rank(pair)?, at)));
            let Some((_, at)) = ranks.min() else { return parts };
            let right = parts.remove(at + 1);
            parts[at] += &right;
        }
    }

    fn by_tables(file: &[u8], text: &str) -> Vec<String> {
        let vocabulary = Arc::new(Vocabulary::load(file).expect("adopt writes what load reads"));
        let encoding = Encoding::Adopted(Cut::Cl100k);
        let mut tokenizer =
            Tokenizer::new(encoding, Arc::clone(&vocabulary)).expect("its name fits");
        let ids = tokenizer.encode(text);
        let bytes = |id: u32| vocabulary.token(id).expect("it has bytes").to_vec();
        ids.into_iter().map(|id| String::from_utf8(bytes(id)).expect("ASCII")).collect()
    }

    #[test]
    fn several_pairs_for_one_token_are_one_token() {
        // As transformers writes out tiktoken's ranks: each way to cut a token.
        let list = list(&[("a", "b"), ("b", "c"), ("ab", "c"), ("a", "bc"), ("abc", "abc")]);
        let file = adopted(&list).expect("each token's own way is in the list");
        assert_eq!(by_tables(&file, "abcabcab"), ["abcabc", "ab"]);
        assert_eq!(by_list(&list, "abcabcab"), ["abcabc", "ab"]);
    }

    #[test]
    fn a_token_that_is_never_made_is_none() {
        // "ab" goes first, and ("ab", "c") is not listed.
        let list = list(&[("a", "b"), ("b", "c"), ("a", "bc")]);
        let file = adopted(&list).expect("it has a place");
        let vocabulary = Vocabulary::load(&file).expect("adopt writes what load reads");
        assert_eq!(vocabulary.ids(), BYTES + 2);
        assert_eq!(by_tables(&file, "abcbc"), ["ab", "c", "bc"]);
        assert_eq!(by_list(&list, "abcbc"), ["ab", "c", "bc"]);
    }

    #[test]
    fn a_half_may_come_later_than_the_whole() {
        // As Llama 3's list has it for ".:.:".
        let list = list(&[("ab", "c"), ("a", "b"), ("abc", "ab")]);
        let file = adopted(&list).expect("it has a place");
        for text in ["abcab", "ababc", "aabcabb", &"abcab".repeat(50)] {
            assert_eq!(by_tables(&file, text), by_list(&list, text), "{text}");
        }
    }

    #[test]
    fn what_has_no_place_is_refused() {
        let long = "a".repeat(128);
        for (merges, merge) in [
            (&[("a", "b"), ("b", "c"), ("a", "b")][..], 2),
            (&[("", "a")], 0),
            (&[("a", "a"), (&long, &format!("{long}a"))], 1),
        ] {
            assert_eq!(adopted(&list(merges)), Err(NotAdopted { merge }), "{merges:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        /// Random lists, most of them unlike what training makes.
        #[test]
        fn what_is_adopted_merges_as_the_list_says(
            seeds in proptest::collection::vec((0..64usize, 0..64usize, any::<bool>()), 1..24),
            moved in proptest::collection::vec(any::<(usize, usize)>(), 0..4),
            text in "[abc]{1,200}",
        ) {
            let mut tokens: Vec<String> = ["a", "b", "c"].map(String::from).to_vec();
            let mut list = List::new();
            for (left, right, every_way) in seeds {
                let pair = (tokens[left % tokens.len()].clone(), tokens[right % tokens.len()].clone());
                let token = format!("{}{}", pair.0, pair.1);
                if tokens.contains(&token) || token.len() > 12 {
                    continue;
                }
                let known = |part: &str| tokens.iter().any(|token| token == part);
                let ways = (1..token.len()).map(|at| token.split_at(at)).filter(|(l, r)| known(l) && known(r));
                let ways: List = ways.map(|(l, r)| (l.to_owned(), r.to_owned())).collect();
                list.extend(if every_way { ways } else { vec![pair] });
                tokens.push(token);
            }
            // Halves that come later, tokens that are never made.
            for (from, to) in moved {
                let length = list.len().max(1);
                if !list.is_empty() {
                    list.swap(from % length, to % length);
                }
            }
            let file = adopted(&list).expect("it has a place");
            prop_assert_eq!(by_tables(&file, &text), by_list(&list, &text));
        }
    }
}

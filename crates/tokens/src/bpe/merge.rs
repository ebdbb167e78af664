//! Byte-pair encoding of one piece that is no token itself.
//!
//! Of all adjacent pairs that make a token, the one of the lowest rank is joined,
//! the leftmost of equal ones, until none is left. Three ways, by size:
//!
//! - up to `WINDOW` parts: look for the lowest each time, and join all pairs of that
//!   rank at once, since what they become has a higher one. Quadratic where no pair is
//!   there twice, and the fastest there is at the few parts that nearly all pieces have;
//! - more parts: a window at a time. The tokens of a window but for its last
//!   quarter are taken over, and the next window starts behind them. Whether the
//!   two fit together, `Vocabulary::stand_apart` says exactly; if not, a longer
//!   window goes over the place again. A window that repeats the one before is not
//!   merged again, which is all there is to a megabyte of one letter;
//! - such a longer window: a heap.
//!
//! Time is therefore linear in the piece: what a window costs is bounded. (But for a
//! vocabulary of another maker's that has a token's half behind the token.)

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::characters::character;
use super::pairs::NONE;
use super::vocabulary::Vocabulary;

/// Parts that are merged by looking for the lowest rank. Beyond, the heap is
/// faster; and a window must hold several of the tokens that real runs have.
const WINDOW: usize = 64;

/// The memory that merging works in, kept between pieces so that it allocates
/// only until it has met the longest.
#[derive(Debug, Default)]
pub(super) struct Workspace {
    /// Tokens that are still to be joined, then those that are left.
    parts: Vec<u32>,
    joints: Vec<Joint>,
    /// A long run's tokens so far.
    run: Vec<u32>,
    /// The last piece's tokens, if they were to be kept.
    pub(super) tokens: Vec<u32>,
    heap: Heap,
    /// Pairs looked up and ranks compared: what tests hold against the length.
    #[cfg(test)]
    pub(super) steps: u64,
}

impl Workspace {
    /// The last piece was this token.
    pub(super) fn only(&mut self, token: u32) {
        self.tokens.clear();
        self.tokens.push(token);
    }
}

/// A part and the rank of it with its right neighbour.
#[derive(Debug, Clone, Copy)]
struct Joint {
    token: u32,
    rank: u32,
}

/// Counts the tokens of `piece`, which is UTF-8. If they are to be kept, they are in
/// `work.tokens` then.
pub(super) fn encode_piece(
    vocabulary: &Vocabulary,
    work: &mut Workspace,
    piece: &[u8],
    keep: bool,
) -> usize {
    work.tokens.clear();
    let mut count = 0;
    let mut take = |tokens: &mut Vec<u32>, some: &[u32]| {
        count += some.len();
        if keep {
            tokens.extend_from_slice(some);
        }
    };
    let mut start = 0;
    while start < piece.len() {
        work.parts.clear();
        let (end, cut) = split_off(vocabulary, piece, start, WINDOW, &mut work.parts);
        if cut || end == piece.len() || is_cut(vocabulary, piece, end) {
            // Between cuts there are often one ideograph or two.
            match work.parts[..] {
                [_] => take(&mut work.tokens, &work.parts),
                [left, right] => {
                    #[cfg(test)]
                    {
                        work.steps += 1;
                    }
                    match vocabulary.pairs.join(left, right) {
                        NONE => take(&mut work.tokens, &work.parts),
                        both => take(&mut work.tokens, &[both]),
                    }
                }
                _ => {
                    merge(vocabulary, work);
                    take(&mut work.tokens, &work.parts);
                }
            }
            start = end;
        } else {
            // Only where a character beyond ASCII starts there can be a cut: to ask of each byte
            // was half of the time for a run of letters.
            let cut = |at: &usize| piece[*at] >= 0xc0 && is_cut(vocabulary, piece, *at);
            let end = (end..piece.len()).find(cut).unwrap_or(piece.len());
            encode_run(vocabulary, work, &piece[..end], start);
            take(&mut work.tokens, &work.run);
            start = end;
        }
    }
    count
}

/// Writes the parts that merging `piece` may start from, from `at` on, until a cut
/// or until there are `most`; answers where it stopped, and whether it saw a cut.
fn split_off(
    vocabulary: &Vocabulary,
    piece: &[u8],
    mut at: usize,
    most: usize,
    parts: &mut Vec<u32>,
) -> (usize, bool) {
    let characters = &vocabulary.characters;
    // The character before, if it lies beyond ASCII and in this part.
    let mut before = 0;
    let mut ragged = characters.is_ragged(piece, at);
    while at < piece.len() && parts.len() < most {
        let byte = piece[at];
        // A window may start inside of a character, where a token of the last ended.
        if byte < 0xc0 {
            parts.push(vocabulary.byte_token(byte));
            at += 1;
            before = 0;
            ragged = at < piece.len() && piece[at] >= 0x80 && characters.is_ragged(piece, at);
            continue;
        }
        let (code, length) = character(piece, at);
        if before != 0 && !ragged && !characters.are_neighbours(before, code) {
            return (at, true);
        }
        let end = at + length;
        let ragged_end = characters.is_ragged(piece, end);
        let token = if ragged || ragged_end { NONE } else { characters.token(code) };
        if token == NONE {
            parts.extend(piece[at..end].iter().map(|&byte| vocabulary.byte_token(byte)));
        } else {
            parts.push(token);
        }
        (at, before, ragged) = (end, code, ragged_end);
    }
    (at, false)
}

/// Whether nothing ever joins across `at`, which lies inside of `piece` and may be
/// inside of a character.
pub(super) fn is_cut(vocabulary: &Vocabulary, piece: &[u8], at: usize) -> bool {
    let after = piece[at];
    let before = piece[at - 1];
    if after < 0xc0 || before < 0x80 || vocabulary.characters.is_ragged(piece, at) {
        return false;
    }
    let start = (0..at).rev().find(|&at| piece[at] >= 0xc0).unwrap_or(0);
    let (before, _) = character(piece, start);
    let (after, _) = character(piece, at);
    !vocabulary.characters.are_neighbours(before, after)
}

/// Encodes `piece[start..]`, however long, into `work.run`.
fn encode_run(vocabulary: &Vocabulary, work: &mut Workspace, piece: &[u8], start: usize) {
    work.run.clear();
    // The window, whose tokens are in `work.parts`; and the seam that was sound.
    let mut window = start..start;
    let mut sound = None;
    let mut at = start;
    // A seam is sound by the order of ranks. Where a half may come later, there is
    // none: one heap, in n log n.
    let mut most = if vocabulary.in_order { WINDOW } else { usize::MAX };
    loop {
        // The same bytes are the same tokens. At the end of the piece there are
        // fewer, so they are merged anew.
        let again = at..at + window.len();
        if window.is_empty() || piece.get(again.clone()) != Some(&piece[window.clone()]) {
            work.parts.clear();
            let mut end = at;
            while end < piece.len() && work.parts.len() < most {
                (end, _) = split_off(vocabulary, piece, end, most, &mut work.parts);
            }
            window = at..end;
            merge(vocabulary, work);
        } else {
            window = again;
        }
        if let (Some(&left), Some(&right)) = (work.run.last(), work.parts.first())
            && sound != Some((left, right))
        {
            if !vocabulary.stand_apart(left, right) {
                // Go back by as many tokens as the window has, and look further.
                let keep = work.run.len().saturating_sub(work.parts.len());
                at -= length_of(vocabulary, &work.run[keep..]);
                work.run.truncate(keep);
                window = at..at;
                most = most.saturating_mul(2);
                continue;
            }
            sound = Some((left, right));
        }
        if window.end == piece.len() {
            work.run.extend_from_slice(&work.parts);
            return;
        }
        // A token that fills the window may go on behind it; the seam will tell.
        let keep = (work.parts.len() * 3 / 4).max(1);
        at += length_of(vocabulary, &work.parts[..keep]);
        work.run.extend_from_slice(&work.parts[..keep]);
    }
}

fn length_of(vocabulary: &Vocabulary, tokens: &[u32]) -> usize {
    tokens.iter().map(|&id| vocabulary.bytes_of(id).len()).sum()
}

/// Joins `work.parts` until no pair makes a token.
fn merge(vocabulary: &Vocabulary, work: &mut Workspace) {
    // A character of four bytes may stand at the end of a window.
    if work.parts.len() > WINDOW + 3 {
        work.heap.merge(vocabulary, &mut work.parts);
        #[cfg(test)]
        {
            work.steps += work.heap.steps;
        }
        return;
    }
    let Workspace { parts, joints, .. } = work;
    let Some(&last) = parts.last() else { return };
    let (mut lowest, mut at) = (NONE, 0);
    joints.clear();
    for (i, pair) in parts.windows(2).enumerate() {
        let rank = vocabulary.pairs.join(pair[0], pair[1]);
        joints.push(Joint { token: pair[0], rank });
        if rank < lowest {
            (lowest, at) = (rank, i);
        }
    }
    joints.push(Joint { token: last, rank: NONE });
    if lowest == NONE {
        return;
    }
    while lowest != NONE {
        #[cfg(test)]
        {
            work.steps += joints.len() as u64;
        }
        // A pair's rank is the id of the token that it makes.
        let token = lowest;
        let join = |left: Joint, right: Joint| vocabulary.pairs.join(left.token, right.token);
        let mut left = Joint { token, rank: NONE };
        let (mut from, mut to) = (at + 2, at);
        if let Some(before) = at.checked_sub(1).and_then(|before| joints.get_mut(before)) {
            before.rank = join(*before, left);
        }
        // One pass closes the gaps and finds the next pair. Moving memory by itself would
        // be a call each time, dear in wasm for so few bytes.
        lowest = NONE;
        for (i, joint) in joints[..to].iter().enumerate() {
            if joint.rank < lowest {
                (lowest, at) = (joint.rank, i);
            }
        }
        let mut is_new = true;
        while let Some(&(mut joint)) = joints.get(from) {
            from += 1;
            let again = joint.rank == token && vocabulary.in_order;
            if again {
                joint.token = token;
                from += 1;
            }
            if again || is_new {
                left.rank = join(left, joint);
            }
            is_new = again;
            if left.rank < lowest {
                (lowest, at) = (left.rank, to);
            }
            joints[to] = left;
            left = joint;
            to += 1;
        }
        if is_new {
            left.rank = NONE;
        }
        joints[to] = left;
        joints.truncate(to + 1);
    }
    parts.clear();
    parts.extend(joints.iter().map(|joint| joint.token));
}

/// Merging in n log n, for windows too long to look through.
#[derive(Debug, Default)]
struct Heap {
    /// Rank and place of the pairs to join, stale ones among them.
    pairs: BinaryHeap<Reverse<(u32, u32)>>,
    parts: Vec<Part>,
    #[cfg(test)]
    steps: u64,
}

#[derive(Debug, Clone, Copy)]
struct Part {
    token: u32,
    /// The rank with the next part; `NONE` also for what was joined to the left.
    rank: u32,
    previous: u32,
    next: u32,
}

impl Heap {
    fn merge(&mut self, vocabulary: &Vocabulary, tokens: &mut Vec<u32>) {
        self.parts.clear();
        self.pairs.clear();
        let count = tokens.len() as u32;
        for (at, &token) in (0u32..).zip(tokens.iter()) {
            let rank = match tokens.get(at as usize + 1) {
                Some(&next) => vocabulary.pairs.join(token, next),
                None => NONE,
            };
            let (previous, next) = (at.wrapping_sub(1), at + 1);
            self.parts.push(Part { token, rank, previous, next });
            self.push(rank, at);
        }
        #[cfg(test)]
        {
            self.steps = u64::from(count);
        }
        while let Some(Reverse((rank, at))) = self.pairs.pop() {
            #[cfg(test)]
            {
                self.steps += 1;
            }
            let Part { rank: current, previous, next, .. } = self.parts[at as usize];
            // Something else took one of the two in between.
            if rank != current {
                continue;
            }
            let behind = self.parts[next as usize].next;
            self.parts[next as usize].rank = NONE;
            let right = if behind < count {
                self.parts[behind as usize].previous = at;
                vocabulary.pairs.join(rank, self.parts[behind as usize].token)
            } else {
                NONE
            };
            self.parts[at as usize] = Part { token: rank, rank: right, previous, next: behind };
            self.push(right, at);
            if previous < count {
                let left = vocabulary.pairs.join(self.parts[previous as usize].token, rank);
                self.parts[previous as usize].rank = left;
                self.push(left, previous);
            }
        }
        tokens.clear();
        let mut at = 0;
        while let Some(part) = self.parts.get(at as usize) {
            tokens.push(part.token);
            at = part.next;
        }
    }

    fn push(&mut self, rank: u32, at: u32) {
        if rank != NONE {
            self.pairs.push(Reverse((rank, at)));
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::Read;
    use std::sync::LazyLock;

    use proptest::prelude::*;

    use super::*;

    static VOCABULARIES: LazyLock<[Vocabulary; 3]> =
        LazyLock::new(|| ["o200k_base", "cl100k_base", "r50k_base"].map(vocabulary));

    pub(in super::super) fn vocabulary(name: &str) -> Vocabulary {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../wasm-client/vocabularies");
        let file = std::fs::File::open(format!("{root}/{name}.merges.gz")).expect("it is there");
        let mut bytes = Vec::new();
        flate2::read::GzDecoder::new(file).read_to_end(&mut bytes).expect("it is gzip");
        Vocabulary::load(&bytes).expect("it is sound")
    }

    fn encode(vocabulary: &Vocabulary, piece: &str) -> Vec<u32> {
        let mut work = Workspace::default();
        encode_piece(vocabulary, &mut work, piece.as_bytes(), true);
        work.tokens
    }

    /// Byte-pair encoding as it is defined: from single bytes, always the lowest
    /// rank of all, by the bytes that two parts make.
    fn by_definition(vocabulary: &Vocabulary, piece: &str) -> Vec<u32> {
        let mut parts: Vec<u32> = piece.bytes().map(|byte| vocabulary.byte_token(byte)).collect();
        let rank = |pair: &[u32]| {
            let bytes = [vocabulary.bytes_of(pair[0]), vocabulary.bytes_of(pair[1])].concat();
            vocabulary.words.find(&bytes, |id| vocabulary.bytes_of(id))
        };
        while let Some((id, at)) =
            parts.windows(2).enumerate().filter_map(|(at, pair)| Some((rank(pair)?, at))).min()
        {
            parts[at] = id;
            parts.remove(at + 1);
        }
        parts
    }

    /// Pieces, most of them longer than a window, from few different parts, so that
    /// runs repeat, almost repeat, and join in more than one way.
    pub(in super::super) fn pieces() -> impl Strategy<Value = String> {
        let parts = proptest::sample::subsequence(
            vec![
                "a", "b", "s", "in", "the", " ", "  ", "-", "=", "\n", "\t", "0", "é", "中", "国",
                "か", "\u{e01}", "\u{e32}", "ა", "გ", "\u{94d}", "न", "क", "😀", "\u{200d}", "՛",
                "ա",
            ],
            1..6,
        );
        (parts, proptest::collection::vec((any::<proptest::sample::Index>(), 1..30usize), 1..40))
            .prop_map(|(parts, runs)| {
                runs.iter().map(|(part, n)| part.get(&parts).repeat(*n)).collect()
            })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn windows_and_cuts_change_nothing(piece in pieces()) {
            for vocabulary in VOCABULARIES.iter() {
                prop_assert_eq!(encode(vocabulary, &piece), by_definition(vocabulary, &piece));
            }
        }

        #[test]
        fn a_seam_is_sound_exactly_if_encoding_keeps_it(piece in pieces(), at in any::<proptest::sample::Index>()) {
            let vocabulary = &VOCABULARIES[0];
            let ids = by_definition(vocabulary, &piece.chars().take(60).collect::<String>());
            // Two tokens that stand side by side do so by right; two others may not.
            for pair in ids.windows(2) {
                prop_assert!(vocabulary.stand_apart(pair[0], pair[1]));
            }
            let pair = [*at.get(&ids), ids[0]];
            let bytes = pair.map(|id| vocabulary.bytes_of(id)).concat();
            if let Ok(text) = std::str::from_utf8(&bytes) {
                let apart = by_definition(vocabulary, text) == pair;
                prop_assert_eq!(vocabulary.stand_apart(pair[0], pair[1]), apart);
            }
        }
    }

    #[test]
    fn pairs_of_one_rank_are_joined_together() {
        let steps = |vocabulary: &Vocabulary, piece: &str| {
            let mut work = Workspace::default();
            encode_piece(vocabulary, &mut work, piece.as_bytes(), false);
            work.steps
        };
        for vocabulary in VOCABULARIES.iter() {
            let blanks =
                ["    \n\t\t\n        \n    \r\n\t\t\t\n            \n\n ", &" ".repeat(53)];
            for piece in blanks {
                let (name, steps) = (vocabulary.name(), steps(vocabulary, piece));
                // One by one they took 20 times the piece's length.
                assert!(steps <= 8 * piece.len() as u64, "{name}, {piece:?}: {steps}");
            }
        }
    }

    #[test]
    fn the_work_grows_as_the_piece_does() {
        let random = |n: usize, letters: &[char]| {
            let mut seed = 7u32;
            let next = || {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                letters[(seed >> 16) as usize % letters.len()]
            };
            std::iter::repeat_with(next).take(n).collect::<String>()
        };
        let kinds: [(&str, &dyn Fn(usize) -> String); 6] = [
            ("one letter", &|n| "a".repeat(n)),
            ("blanks", &|n| " ".repeat(n)),
            ("two letters", &|n| "ab".repeat(n / 2)),
            ("letters", &|n| random(n, &['a', 'b', 'c', 'e', 'i', 'n', 's', 't'])),
            ("ideographs", &|n| random(n / 3, &['中', '国', '文', '字', '日', '本'])),
            ("marks", &|n| random(n / 3, &['\u{e01}', '\u{e32}', '\u{e23}', '\u{e48}'])),
        ];
        for vocabulary in VOCABULARIES.iter() {
            for (kind, make) in &kinds {
                let steps = |n| {
                    let mut work = Workspace::default();
                    encode_piece(vocabulary, &mut work, make(n).as_bytes(), false);
                    work.steps
                };
                let (small, large) = (steps(20_000), steps(200_000));
                let name = vocabulary.name();
                assert!(large <= 11 * small.max(1_000), "{name}, {kind}: {small} to {large}");
                // Some 40 comparisons a byte, whatever the length.
                assert!(large <= 60 * 200_000, "{name}, {kind}: {large}");
            }
        }
    }
}

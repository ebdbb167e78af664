//! The pieces of a document that are too long to be merged anew at each key: a megabyte
//! without a blank is one piece.
//!
//! Their tokens are kept. After an edit those that end before it and those that start
//! behind it are taken again, but for a few, and what lies between is merged by itself.
//! All of them are what merging the whole piece comes to exactly if each two neighbours
//! stand apart (`Vocabulary::stand_apart`). Of those that were neighbours before it is
//! known, so two seams are asked; where one does not hold, more is merged anew.
//!
//! What remains in proportion to the run is to cut it, to copy it and to go over its
//! tokens: a hundredth of merging it.

use std::ops::Range;
use std::sync::Arc;

use super::tokenizer::Tokenizer;
use super::vocabulary::Vocabulary;

/// Tokens on either side of an edit that are merged anew at once: merging settles within
/// one or two.
const BESIDE: usize = 4;

/// A long piece of a block.
#[derive(Debug, Clone)]
pub(super) struct Run {
    /// Where it lies in the block's text.
    pub(super) range: Range<usize>,
    pub(super) tokens: Vec<u32>,
}

impl Run {
    /// Shorter ones are merged in some microseconds, or the tokenizer knows them.
    pub(super) const BYTES_MIN: usize = 1024;
}

/// What is known of a text that was made by an edit: the runs of the blocks that it is
/// made of, in its places.
#[derive(Default)]
pub(super) struct Known<'d> {
    /// Bytes at its beginning, and at its end, that are as they were.
    pub(super) same: [usize; 2],
    /// Those of the beginning by their start.
    heads: Vec<(usize, &'d Run)>,
    /// Those of the end by what stands behind them.
    tails: Vec<(usize, &'d Run)>,
}

impl<'d> Known<'d> {
    /// The next block of the beginning, of which so many bytes stand before.
    pub(super) fn begins(&mut self, before: usize, runs: &'d [Run]) {
        self.heads.extend(runs.iter().map(|run| (before + run.range.start, run)));
    }

    /// The next block of the end, of `bytes`, of which so many stand behind.
    pub(super) fn ends(&mut self, behind: usize, bytes: usize, runs: &'d [Run]) {
        self.tails.extend(runs.iter().map(|run| (behind + bytes - run.range.end, run)));
    }

    /// The tokens of a piece of the text.
    #[inline(never)]
    pub(super) fn encode(
        &self,
        tokenizer: &mut Tokenizer,
        text: &[u8],
        range: Range<usize>,
    ) -> Vec<u32> {
        let piece = &text[range.clone()];
        let mut kept = self.kept(range.start, piece.len(), text.len() - range.end);
        let vocabulary = Arc::clone(tokenizer.vocabulary());
        let mut more = BESIDE;
        let mut sound = [false; 2];
        loop {
            for (kept, sound) in kept.iter_mut().zip(sound) {
                if !sound {
                    // Only in the order of ranks a seam can be asked.
                    kept.give_up(
                        &vocabulary,
                        piece,
                        if vocabulary.in_order { more } else { usize::MAX },
                    );
                }
            }
            let [head, tail] = &kept;
            let tokens = tokenizer.encode_piece(&piece[head.bytes..piece.len() - tail.bytes]);
            let (first, last) = (tokens.first().copied(), tokens.last().copied());
            let stand_apart = |left: Option<u32>, right: Option<u32>| {
                left.zip(right).is_none_or(|(left, right)| vocabulary.stand_apart(left, right))
            };
            sound = [
                stand_apart(head.inner(), first.or(tail.inner())),
                stand_apart(last.or(head.inner()), tail.inner()),
            ];
            if sound == [true; 2] {
                return [head.tokens, tokens, tail.tokens].concat();
            }
            more = more.saturating_mul(4);
        }
    }

    /// What is kept of a piece of so many bytes, with so many before it, and behind it.
    fn kept(&self, before: usize, bytes: usize, behind: usize) -> [Kept<'d>; 2] {
        [(before, &self.heads, 0), (behind, &self.tails, 1)].map(|(beside, runs, side)| {
            let same = self.same[side].saturating_sub(beside).min(bytes);
            let run = runs.iter().find(|(at, _)| *at == beside);
            run.map_or(Kept::default(), |(_, run)| Kept {
                tokens: &run.tokens,
                bytes: run.range.len(),
                same,
                side,
            })
        })
    }
}

/// Tokens at one end of a piece that are its own, if what stands beside them agrees.
#[derive(Default)]
struct Kept<'d> {
    tokens: &'d [u32],
    bytes: usize,
    /// Bytes of the piece that are as they were.
    same: usize,
    /// 0: at its beginning, 1: at its end.
    side: usize,
}

impl Kept<'_> {
    /// The one that stands beside the rest of the piece.
    fn inner(&self) -> Option<u32> {
        if self.side == 0 { self.tokens.last() } else { self.tokens.first() }.copied()
    }

    /// So many less, and those that are not all as they were, or end within a character.
    #[inline(never)]
    fn give_up(&mut self, vocabulary: &Vocabulary, piece: &[u8], mut tokens: usize) {
        let is_within = |kept: &Self| {
            let at = if kept.side == 0 { kept.bytes } else { piece.len() - kept.bytes };
            piece.get(at).is_some_and(|byte| byte & 0xc0 == 0x80)
        };
        while let Some(token) = self.inner()
            && (tokens > 0 || self.bytes > self.same || is_within(self))
        {
            tokens = tokens.saturating_sub(usize::from(self.bytes <= self.same));
            self.bytes -= vocabulary.bytes_of(token).len();
            let rest = 1..self.tokens.len();
            self.tokens = &self.tokens[if self.side == 0 { 0..rest.len() } else { rest }];
        }
    }
}

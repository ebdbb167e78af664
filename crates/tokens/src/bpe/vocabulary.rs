//! A vocabulary in memory: the tables that counting and merging ask.
//!
//! Rebuilt from the merge list at load, which takes some ten milliseconds and
//! spares every page the megabytes of ready-made tables.

use super::characters::Characters;
use super::file::{BYTES, LoadError, MergeList, TEXT_BYTES_MAX, TOKEN_BYTES_MAX};
use super::pairs::{NONE, Pairs};
use super::words::Words;

/// The tokens of an encoding, ready to count with. Immutable and shareable;
/// [`Tokenizer`](super::Tokenizer) counts by it.
///
/// o200k takes some 12 MB, the others half of it or less.
#[derive(Debug)]
pub struct Vocabulary {
    merges: MergeList,
    /// All tokens' bytes, by id.
    text: Vec<u8>,
    /// Where each token starts in `text`, and where the last one ends.
    starts: Vec<u32>,
    longest: usize,
    byte_tokens: [u32; BYTES],
    pub(super) words: Words,
    pub(super) pairs: Pairs,
    pub(super) characters: Characters,
}

impl Vocabulary {
    /// Builds the tables from a vocabulary file of `wasm-client/vocabularies`, not
    /// gzipped any more.
    ///
    /// # Errors
    ///
    /// Whatever the bytes are, if they are no such file.
    pub fn load(file: &[u8]) -> Result<Self, LoadError> {
        let merges = MergeList::read(file)?;
        let (text, starts) = spell_out(&merges)?;
        let mut vocabulary = Self {
            longest: 0,
            byte_tokens: [NONE; BYTES],
            words: Words::for_tokens(merges.ids()),
            pairs: Pairs::for_tokens(merges.ids()),
            characters: Characters::new(),
            merges,
            text,
            starts,
        };
        for (id, &byte) in (0..).zip(vocabulary.merges.bytes()) {
            vocabulary.byte_tokens[usize::from(byte)] = id;
        }
        // One of 256 bytes is missing exactly if another is there twice.
        if let Some(byte) = vocabulary.byte_tokens.iter().position(|&id| id == NONE) {
            return Err(LoadError::Inconsistent { id: byte as u32 });
        }
        for id in 0..vocabulary.merges.ids() as u32 {
            let Some(range) = range(&vocabulary.starts, id).filter(|range| !range.is_empty())
            else {
                continue;
            };
            vocabulary.longest = vocabulary.longest.max(range.len());
            vocabulary.words.add(&vocabulary.text, range.start, range.end, id);
            vocabulary.characters.learn(&vocabulary.text[range], id);
            if let Some((left, right)) = vocabulary.merges.halves(id) {
                vocabulary.pairs.add(left, right, id);
            }
        }
        Ok(vocabulary)
    }

    /// tiktoken's name for it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.merges.name()
    }

    /// The bytes of a token; `None` for an id that has none. Special tokens are the
    /// encoding's.
    #[must_use]
    pub fn token(&self, id: u32) -> Option<&[u8]> {
        range(&self.starts, id).map(|range| &self.text[range]).filter(|token| !token.is_empty())
    }

    /// Bytes of the longest token: 128 in all four.
    #[must_use]
    pub fn longest_token(&self) -> usize {
        self.longest
    }

    /// What merging asks for by an id that came out of a table.
    #[inline]
    pub(super) fn bytes_of(&self, id: u32) -> &[u8] {
        range(&self.starts, id).map_or(&[], |range| &self.text[range])
    }

    #[inline(always)]
    pub(super) fn byte_token(&self, byte: u8) -> u32 {
        self.byte_tokens[usize::from(byte)]
    }

    /// Whether byte-pair encoding leaves the two tokens as they are when they stand
    /// side by side. A sequence is the encoding of its bytes exactly if this holds
    /// for each two neighbours in it, so texts that were encoded apart can be put
    /// together by asking once. (The statement and its proof: "So many tokens, so
    /// little time", the article on the crate `bpe`, github.blog, 2024-12-12.)
    ///
    /// Undoes the merges nearest to the seam, latest first, and asks before each
    /// whether the two at the seam would have been joined before that merge.
    pub(super) fn stand_apart(&self, mut left: u32, mut right: u32) -> bool {
        // Merges from this rank on have been undone.
        let mut limit = NONE;
        loop {
            if self.pairs.join(left, right) < limit {
                return false;
            }
            let inner = (self.merges.halves(left), self.merges.halves(right));
            match inner {
                // Of two merges of one rank the left one comes first: a pair at
                // the seam that ranks as high as the right token loses to nothing.
                (Some((_, half)), other) if left > right || other.is_none() => {
                    limit = left;
                    left = half;
                }
                (_, Some((half, _))) => {
                    limit = right + 1;
                    right = half;
                }
                (_, None) => return true,
            }
        }
    }
}

fn range(starts: &[u32], id: u32) -> Option<std::ops::Range<usize>> {
    let id = id as usize;
    Some(*starts.get(id)? as usize..*starts.get(id + 1)? as usize)
}

/// The bytes of every token, one after the other, and where each starts.
fn spell_out(merges: &MergeList) -> Result<(Vec<u8>, Vec<u32>), LoadError> {
    let ids = merges.ids();
    let mut starts = Vec::with_capacity(ids + 1);
    starts.extend(0..=BYTES as u32);
    // First the lengths, so that the text is allocated once, at its size.
    for id in BYTES as u32..ids as u32 {
        let length = |half: u32| {
            let inconsistent = LoadError::Inconsistent { id };
            if half >= id {
                return Err(inconsistent);
            }
            range(&starts, half).map(|range| range.len()).filter(|&n| n > 0).ok_or(inconsistent)
        };
        let length = match merges.halves(id) {
            Some((left, right)) => length(left)? + length(right)?,
            None => 0,
        };
        let end = starts[id as usize] as usize + length;
        if length > TOKEN_BYTES_MAX || end > TEXT_BYTES_MAX {
            return Err(LoadError::Inconsistent { id });
        }
        starts.push(end as u32);
    }
    // Nearly all halves have at most 16 bytes. They are copied as 16 each, for the
    // next token overwrites what is too much; a copy of a length that only run
    // time knows would be a call each time, dear in wasm.
    let mut text = vec![0; starts[ids] as usize + SLACK];
    text[..BYTES].copy_from_slice(merges.bytes());
    for id in BYTES as u32..ids as u32 {
        let Some((left, right)) = merges.halves(id) else { continue };
        let mut to = starts[id as usize] as usize;
        for half in [left, right] {
            let Some(from) = range(&starts, half) else { continue };
            let length = from.len();
            match text[from.start..].first_chunk::<SLACK>().copied() {
                Some(chunk) if length <= SLACK => {
                    if let Some(place) = text[to..].first_chunk_mut::<SLACK>() {
                        *place = chunk;
                    }
                }
                _ => text.copy_within(from, to),
            }
            to += length;
        }
    }
    text.truncate(starts[ids] as usize);
    Ok((text, starts))
}

/// Bytes that a copy writes at once.
const SLACK: usize = 16;

//! A vocabulary in memory: the tables that counting and merging ask.
//!
//! Rebuilt from the merge list at load, which takes some ten milliseconds and
//! spares every page the megabytes of ready-made tables.

use std::hint::black_box;
use std::ops::Range;

use super::characters::Characters;
use super::file::{BYTES, IDS_MAX, LoadError, MergeList, TEXT_BYTES_MAX, TOKEN_BYTES_MAX};
use super::free::Free;
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
    /// Whether the halves of every token come before it.
    pub(super) in_order: bool,
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
        Self::load_with(file.to_vec(), &[])
    }

    /// The same from a file that it may keep, and with tokens that no merge makes, but
    /// that a piece of text which is all of one becomes. Their ids follow the file's
    /// ([`ids`](Self::ids)).
    ///
    /// # Errors
    ///
    /// As for [`load`](Self::load); and if there are more than there can be, or one is
    /// a single character.
    pub fn load_with(file: Vec<u8>, whole: &[&[u8]]) -> Result<Self, LoadError> {
        let merges = MergeList::read(file)?;
        let Spelt { mut text, mut starts, in_order } = spell_out(&merges)?;
        let ids = merges.ids();
        for (id, token) in (ids as u32..).zip(whole) {
            text.extend_from_slice(token);
            let long = token.len() > TOKEN_BYTES_MAX || text.len() > TEXT_BYTES_MAX;
            // Merging starts from characters.
            let short = std::str::from_utf8(token).is_ok_and(|text| text.chars().nth(1).is_none());
            if long || short || id as usize >= IDS_MAX {
                return Err(LoadError::Inconsistent { id });
            }
            starts.push(text.len() as u32);
        }
        let mut vocabulary = Self {
            longest: 0,
            in_order,
            byte_tokens: [NONE; BYTES],
            words: Words::for_tokens(ids + whole.len()),
            pairs: Pairs::for_tokens(ids),
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
        let mut free = [vocabulary.words.free(), vocabulary.pairs.free()];
        in_batches(0, ids + whole.len(), &mut |ids| {
            vocabulary.index(ids, &mut free);
            Ok(())
        })?;
        Ok(vocabulary)
    }

    /// Puts tokens into the tables, into slots that are still free.
    fn index(&mut self, ids: Range<u32>, [words, pairs]: &mut [Free; 2]) {
        for id in ids {
            let Some(range) = range(&self.starts, id).filter(|range| !range.is_empty()) else {
                continue;
            };
            self.longest = self.longest.max(range.len());
            self.words.add(words, &self.text, range.start, range.end, id);
            self.characters.learn(&self.text[range], id);
            if let Some((left, right)) = self.merges.halves(id) {
                self.pairs.add(pairs, left, right, id);
            }
        }
    }

    /// tiktoken's name for it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.merges.name()
    }

    /// The ids of the file's tokens are below this. Not every id has a token.
    #[must_use]
    pub fn ids(&self) -> usize {
        self.merges.ids()
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
    /// Needs a vocabulary that is `in_order`: then what was joined later has the
    /// higher rank. Undoes the merges nearest to the seam, latest first, and asks before each
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

fn range(starts: &[u32], id: u32) -> Option<Range<usize>> {
    let id = id as usize;
    Some(*starts.get(id)? as usize..*starts.get(id + 1)? as usize)
}

/// The tokens' bytes.
struct Spelt {
    /// One token after the other.
    text: Vec<u8>,
    /// Where each starts, and where the last one ends.
    starts: Vec<u32>,
    /// Whether the halves of every token come before it.
    in_order: bool,
}

fn spell_out(merges: &MergeList) -> Result<Spelt, LoadError> {
    let ids = merges.ids();
    // First the lengths, so that the text is allocated once, at its size.
    let mut lengths = vec![1; BYTES];
    lengths.resize(ids, 0);
    let mut late: Vec<u32> = Vec::new();
    in_batches(BYTES, ids, &mut |ids| measure_all(merges, ids, &mut lengths, &mut late))?;
    // The next round knows more of them, in an order in which they can be spelt.
    let mut spelt = Vec::with_capacity(late.len());
    while !late.is_empty() {
        let mut left = Vec::new();
        for &id in &late {
            match merges.halves(id) {
                Some(pair) if !measure(&mut lengths, id, pair)? => left.push(id),
                _ => spelt.push(id),
            }
        }
        if left.len() == late.len() || spelt.len() > LATE_MAX {
            return Err(LoadError::Inconsistent { id: left.first().copied().unwrap_or_default() });
        }
        late = left;
    }

    let mut starts = Vec::with_capacity(ids + 1);
    let mut end = 0;
    starts.push(0);
    for (id, length) in (0..).zip(&lengths) {
        end += length;
        if end as usize > TEXT_BYTES_MAX {
            return Err(LoadError::Inconsistent { id });
        }
        starts.push(end);
    }
    let mut text = vec![0; end as usize + SLACK];
    text[..BYTES].copy_from_slice(merges.bytes());
    in_batches(BYTES, ids, &mut |ids| {
        spell(merges, ids, &starts, &mut text);
        Ok(())
    })?;
    // What stands behind these is written already.
    for &id in &spelt {
        let Some((left, right)) = merges.halves(id) else { continue };
        let mut to = starts[id as usize] as usize;
        for from in [left, right].into_iter().filter_map(|half| range(&starts, half)) {
            let length = from.len();
            text.copy_within(from, to);
            to += length;
        }
    }
    text.truncate(end as usize);
    Ok(Spelt { text, starts, in_order: spelt.is_empty() })
}

/// Works through ids in parts. An engine that compiles a function better once it has run
/// long does so between two calls, and the first load is the one that somebody waits for.
/// What is called is hidden, else wasm-opt makes one function of all calls.
fn in_batches(
    from: usize,
    to: usize,
    work: &mut dyn FnMut(Range<u32>) -> Result<(), LoadError>,
) -> Result<(), LoadError> {
    let work = black_box(work);
    (from..to).step_by(BATCH).try_for_each(|from| work(from as u32..to.min(from + BATCH) as u32))
}

const BATCH: usize = 2048;

/// Notes the lengths of tokens; those with a half of no known length are `late`.
fn measure_all(
    merges: &MergeList,
    ids: Range<u32>,
    lengths: &mut [u32],
    late: &mut Vec<u32>,
) -> Result<(), LoadError> {
    for id in ids {
        if let Some(pair) = merges.halves(id)
            && !measure(lengths, id, pair)?
        {
            late.push(id);
        }
    }
    Ok(())
}

/// Writes tokens to their places in `text`.
///
/// Nearly all halves have at most 16 bytes. They are copied as 16 each, for the next
/// token overwrites what is too much; a copy of a length that only run time knows would
/// be a call each time, dear in wasm.
fn spell(merges: &MergeList, ids: Range<u32>, starts: &[u32], text: &mut [u8]) {
    for id in ids {
        let Some((left, right)) = merges.halves(id) else { continue };
        let mut to = starts[id as usize] as usize;
        for half in [left, right] {
            let Some(from) = range(starts, half) else { continue };
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
}

/// Notes the length of a token of these two; answers whether theirs are known.
fn measure(lengths: &mut [u32], id: u32, (left, right): (u32, u32)) -> Result<bool, LoadError> {
    let length = |half: u32| {
        lengths
            .get(half as usize)
            .copied()
            .filter(|_| half != id)
            .ok_or(LoadError::Inconsistent { id })
    };
    let (left, right) = (length(left)?, length(right)?);
    if (left + right) as usize > TOKEN_BYTES_MAX {
        return Err(LoadError::Inconsistent { id });
    }
    if left != 0 && right != 0 {
        lengths[id as usize] = left + right;
    }
    Ok(left != 0 && right != 0)
}

/// Tokens with a half that comes later. Llama 3 has a handful; each round over them
/// costs as much as there are left.
const LATE_MAX: usize = 4096;
/// Bytes that a copy writes at once.
const SLACK: usize = 16;

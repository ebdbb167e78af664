//! The blocks that a document is kept in: how a text is cut into them, and counted.

use std::ops::Range;

use super::boundary::{SEEN, is_hard_boundary, is_settled};
use super::cut::part;
use super::runs::{Known, Run};
use super::split::PIECES;
use super::tokenizer::Tokenizer;

/// So much is counted in a few microseconds, and a megabyte of text is then some four
/// thousand blocks to add up.
pub(super) const BLOCK_BYTES: usize = 256;
/// A block of more than this is split.
pub(super) const WHOLE_BYTES: usize = 2 * BLOCK_BYTES;

/// A part of a document that is counted by itself.
#[derive(Debug, Clone)]
pub(super) struct Block {
    pub(super) text: String,
    /// The tokens of its long pieces.
    pub(super) runs: Vec<Run>,
    pub(super) tokens: usize,
    pub(super) bytes: usize,
    pub(super) utf16: usize,
}

/// Counts a text up to `until`, which is a boundary, and cuts it into blocks. What stands
/// behind is there to be looked at, where the boundary is not a hard one.
#[inline(never)]
pub(super) fn into_blocks(
    tokenizer: &mut Tokenizer,
    text: &str,
    until: usize,
    known: &Known<'_>,
) -> Vec<Block> {
    let bytes = text.as_bytes();
    let mut blocks = Vec::new();
    let mut start = 0;
    while start < until {
        let left = until - start;
        let is_hard = |&at: &usize| text.is_char_boundary(at) && is_hard_boundary(bytes, at);
        let near = match left {
            0..=WHOLE_BYTES => (until == bytes.len()).then_some(until),
            _ => (start + BLOCK_BYTES..start + left.min(4 * BLOCK_BYTES)).find(is_hard),
        };
        let (end, tokens, runs) = match near {
            Some(end) => (end, tokenizer.count(part(text, start..end)), Vec::new()),
            None => far(tokenizer, bytes, start..until, known),
        };
        blocks.push(Block::new(part(text, start..end).to_string(), tokens, runs));
        start = end;
    }
    blocks
}

/// Counts a text from a place on piece by piece, up to another, or before it to a boundary
/// that an edit further on cannot move. Answers where that is, the tokens, and the long
/// pieces.
fn far(
    tokenizer: &mut Tokenizer,
    bytes: &[u8],
    Range { start, end: until }: Range<usize>,
    known: &Known<'_>,
) -> (usize, usize, Vec<Run>) {
    let cut = tokenizer.encoding().cut();
    let is_split = until - start > WHOLE_BYTES;
    let mut ends = [0; PIECES];
    let (mut tokens, mut runs) = (0, Vec::new());
    let mut at = start;
    loop {
        let found = cut.ends(bytes, at, &mut ends);
        for &end in &ends[..found] {
            let piece = at;
            if end - at > Run::BYTES_MIN {
                let run = known.encode(tokenizer, &bytes[..until], at..end);
                tokens += run.len();
                runs.push(Run { range: at - start..end - start, tokens: run });
            } else {
                tokens += tokenizer.count_one(bytes, at, end);
            }
            at = end;
            let is_digit = |at| bytes.get(at).is_some_and(u8::is_ascii_digit);
            // Near the end only a hard boundary is known to stay. Between digits there is none,
            // and a third of their time went into asking.
            let stays = || {
                !(is_digit(piece) && is_digit(at))
                    && (is_settled(bytes, piece, at)
                        || at + SEEN > bytes.len() && is_hard_boundary(bytes, at))
            };
            if at >= until || is_split && at - start >= BLOCK_BYTES && stays() {
                return (at, tokens, runs);
            }
        }
    }
}

impl Block {
    fn new(text: String, tokens: usize, runs: Vec<Run>) -> Self {
        // A unit for each character, and another for those of four bytes.
        let units = |byte: u8| usize::from(byte & 0xc0 != 0x80) + usize::from(byte >= 0xf0);
        let utf16 = text.bytes().map(units).sum();
        Self { tokens, bytes: text.len(), utf16, text, runs }
    }
}

/// The byte of a block's text that stands `units` UTF-16 units behind its start.
pub(super) fn byte_of_utf16(block: &Block, units: usize) -> Option<usize> {
    if block.utf16 == block.text.len() {
        return Some(units);
    }
    let mut left = units;
    for (at, character) in block.text.char_indices() {
        if left == 0 {
            return Some(at);
        }
        left = left.checked_sub(character.len_utf16())?;
    }
    (left == 0).then_some(block.text.len())
}

//! The count of a text that is being written: kept exact through edits, each of
//! which costs what its surroundings cost, not what the text does.
//!
//! The text is kept in blocks of some hundred bytes. A block ends at a *hard*
//! boundary (`boundary::is_hard_boundary`): one that the two characters around it
//! make, whatever stands further away. So each block's count is its own, and an
//! edit recounts the block it falls in, and a neighbour only where the boundary
//! between them has gone. Nothing is remembered of single pieces but long ones: to count
//! a block again takes a few microseconds.
//!
//! A run without a hard boundary may be of many pieces (`aBaB`, closing braces on lines of
//! their own). Then a block ends at a boundary that is *settled* (`boundary::is_settled`): one
//! that an edit further on does not move. After an edit such a run is cut anew from its block
//! on until it is cut where the next block starts, which is mostly at once.
//!
//! What has neither is one block, however long: letters without blanks, digits or signs
//! between (ideographs, kana and Thai without punctuation, a megabyte of one word), digits
//! alone, and signs or blanks alone. It is cut anew at each edit within, but its long pieces
//! are not merged anew (`runs`).

use std::fmt;
use std::ops::Range;

use super::blocks::{BLOCK_BYTES, Block, WHOLE_BYTES, byte_of_utf16, into_blocks};
use super::boundary::{SEEN, are_apart, is_hard_boundary};
use super::cut::part;
use super::runs::Known;
use super::tokenizer::Tokenizer;

/// A text with its count. The tokenizer is handed to each call, so that many
/// documents share one; it must be of the same encoding each time.
#[derive(Debug, Default, Clone)]
pub struct Document {
    /// None is empty.
    blocks: Vec<Block>,
    tokens: usize,
    bytes: usize,
    utf16: usize,
    /// Where the last edit began: the next one is mostly there or behind, and need
    /// not add up all blocks before.
    last: Start,
}

/// Where a block starts.
#[derive(Debug, Default, Clone, Copy)]
struct Start {
    block: usize,
    bytes: usize,
    utf16: usize,
}

/// A count in two parts, as a text grows at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Tokens that nothing appended can change any more.
    pub stable: usize,
    /// Tokens of the rest, exact if nothing comes: some words at most, unless the
    /// text ends in one long run.
    pub provisional: usize,
}

/// An edit that does not fit the text. The document is as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EditError {
    /// The range ends before it starts, or behind the text.
    OutOfRange {
        /// The length of the text, in the units of the range.
        length: usize,
    },
    /// An end of the range lies within a character: between the two UTF-16 units
    /// of one, or the bytes.
    InsideCharacter {
        /// Which end.
        at: usize,
    },
}

impl fmt::Display for EditError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfRange { length } => {
                write!(f, "the range lies outside of the text, whose length is {length}")
            }
            Self::InsideCharacter { at } => write!(f, "{at} lies within a character"),
        }
    }
}

impl std::error::Error for EditError {}

impl Document {
    /// A document with a text.
    #[must_use]
    pub fn new(tokenizer: &mut Tokenizer, text: &str) -> Self {
        let mut document = Self::default();
        document.append(tokenizer, text);
        document
    }

    /// The tokens of the text, always those of `Tokenizer::count`.
    #[must_use]
    pub fn count(&self) -> usize {
        self.tokens
    }

    /// The length of the text, bytes of UTF-8.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes
    }

    /// Whether there is no text.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// The length of the text, UTF-16 units: JavaScript's `length`.
    #[must_use]
    pub fn len_utf16(&self) -> usize {
        self.utf16
    }

    /// The text, in parts.
    pub fn parts(&self) -> impl Iterator<Item = &str> {
        self.blocks.iter().map(|block| block.text.as_str())
    }

    /// Puts `text` in the place of the bytes in `range`; answers the new count.
    ///
    /// # Errors
    ///
    /// If the range does not fit the text.
    pub fn edit(
        &mut self,
        tokenizer: &mut Tokenizer,
        range: Range<usize>,
        text: &str,
    ) -> Result<usize, EditError> {
        let places = self.places(&range, self.bytes, |start| start.bytes, |_, at| Some(at))?;
        self.replace(tokenizer, places, text);
        Ok(self.tokens)
    }

    /// `edit` with a range of UTF-16 units, as JavaScript's strings and editors
    /// count.
    ///
    /// # Errors
    ///
    /// If the range does not fit the text. A caller that may cut a surrogate pair
    /// in two widens the range to the whole character, which [`Self::cut_utf16`] tells.
    pub fn edit_utf16(
        &mut self,
        tokenizer: &mut Tokenizer,
        range: Range<usize>,
        text: &str,
    ) -> Result<usize, EditError> {
        let places = self.places(&range, self.utf16, |start| start.utf16, byte_of_utf16)?;
        self.replace(tokenizer, places, text);
        Ok(self.tokens)
    }

    /// The character that a place, in UTF-16 units, lies within; none where it lies
    /// between two, or behind the text.
    #[must_use]
    pub fn cut_utf16(&self, mut at: usize) -> Option<char> {
        let mut blocks = self.blocks.iter();
        let block = blocks.find(|block| {
            let is_here = at < block.utf16;
            if !is_here {
                at -= block.utf16;
            }
            is_here
        })?;
        let mut units = 0;
        let found = block.text.chars().find(|character| {
            units += character.len_utf16();
            units > at
        })?;
        // Its second unit is asked for, and it has one.
        (units == at + 1 && found.len_utf16() == 2).then_some(found)
    }

    /// Puts `text` at the end; answers the new count.
    pub fn append(&mut self, tokenizer: &mut Tokenizer, text: &str) -> usize {
        let end = self.end();
        self.replace(tokenizer, [end, end], text);
        self.tokens
    }

    /// Makes `text` the whole text; answers the new count. What both begin and end
    /// with is compared, not counted again.
    pub fn set(&mut self, tokenizer: &mut Tokenizer, text: &str) -> usize {
        let mut head = 0;
        for block in &self.blocks {
            let common = common_head(block.text.as_bytes(), &text.as_bytes()[head..]);
            head += common;
            if common < block.text.len() {
                break;
            }
        }
        while !text.is_char_boundary(head) {
            head -= 1;
        }
        let most = self.bytes.min(text.len()) - head;
        let mut tail = 0;
        for block in self.blocks.iter().rev() {
            let common = common_tail(block.text.as_bytes(), &text.as_bytes()[..text.len() - tail]);
            tail += common;
            if common < block.text.len() || tail >= most {
                break;
            }
        }
        tail = tail.min(most);
        while !text.is_char_boundary(text.len() - tail) {
            tail -= 1;
        }
        let range = head..self.bytes - tail;
        let middle = part(text, head..text.len() - tail);
        if !range.is_empty() || !middle.is_empty() {
            // Both ends are boundaries in `text`, and so in this one, whose bytes
            // around them are the same.
            let edited = self.edit(tokenizer, range, middle);
            debug_assert!(edited.is_ok(), "{edited:?}");
        }
        self.tokens
    }

    /// How much of the count is settled, if the text only grows at its end.
    #[must_use]
    pub fn progress(&self, tokenizer: &mut Tokenizer) -> Progress {
        let Some(last) = self.blocks.last() else {
            return Progress { stable: 0, provisional: 0 };
        };
        let bytes = last.text.as_bytes();
        // Its beginning is settled. A longer block has a hard boundary near there, or none. What
        // stands before that is counted again and not what is behind, which may be a run.
        let open = (1..bytes.len().min(WHOLE_BYTES))
            .rev()
            .find(|&at| last.text.is_char_boundary(at) && is_hard_boundary(bytes, at));
        let settled = tokenizer.count(part(&last.text, ..open.unwrap_or(0)));
        let provisional = last.tokens - settled;
        Progress { stable: self.tokens - provisional, provisional }
    }

    fn end(&self) -> Place {
        match self.blocks.last() {
            Some(last) => Place {
                start: Start {
                    block: self.blocks.len() - 1,
                    bytes: self.bytes - last.bytes,
                    utf16: self.utf16 - last.utf16,
                },
                byte: last.bytes,
            },
            None => Place { start: Start::default(), byte: 0 },
        }
    }

    /// Where a range's two ends are. `measure` and `byte` say where a block starts,
    /// and find a place in it, in the range's units.
    fn places(
        &self,
        range: &Range<usize>,
        total: usize,
        measure: impl Fn(Start) -> usize,
        byte: impl Fn(&Block, usize) -> Option<usize>,
    ) -> Result<[Place; 2], EditError> {
        if range.start > range.end || range.end > total {
            return Err(EditError::OutOfRange { length: total });
        }
        let mut places = [self.end(); 2];
        let mut found = 0;
        let mut start =
            if measure(self.last) <= range.start { self.last } else { Start::default() };
        for content in &self.blocks[start.block..] {
            let next = Start {
                block: start.block + 1,
                bytes: start.bytes + content.bytes,
                utf16: start.utf16 + content.utf16,
            };
            while found < 2 {
                let at = [range.start, range.end][found];
                if at > measure(next) {
                    break;
                }
                let inside = EditError::InsideCharacter { at };
                let byte = byte(content, at - measure(start)).ok_or(inside)?;
                if !content.text.is_char_boundary(byte) {
                    return Err(inside);
                }
                places[found] = Place { start, byte };
                found += 1;
            }
            if found == 2 {
                break;
            }
            start = next;
        }
        Ok(places)
    }

    /// Replaces what is between two places, and counts the blocks around anew.
    fn replace(&mut self, tokenizer: &mut Tokenizer, [from, to]: [Place; 2], text: &str) {
        let mut start = from.start;
        let mut first = start.block;
        let mut behind = (to.start.block + 1).min(self.blocks.len());
        let (head, tail) = match self.blocks.get(first..behind) {
            Some([one, .., other]) => (part(&one.text, ..from.byte), part(&other.text, to.byte..)),
            Some([one]) => (part(&one.text, ..from.byte), part(&one.text, to.byte..)),
            _ => ("", ""),
        };
        let mut changed = String::with_capacity(head.len() + text.len() + tail.len());
        changed.push_str(head);
        changed.push_str(text);
        changed.push_str(tail);
        // A boundary with a block beside that is perhaps none any more.
        let mut kept = head.len();
        while first > 0
            && kept < SEEN
            && !are_apart(self.blocks[first - 1].text.as_bytes(), changed.as_bytes())
        {
            first -= 1;
            let before = &self.blocks[first];
            start = Start {
                block: first,
                bytes: start.bytes - before.bytes,
                utf16: start.utf16 - before.utf16,
            };
            changed.insert_str(0, &before.text);
            kept += before.bytes;
        }
        let cut = tokenizer.encoding().cut();
        let mut more = 0;
        let until = loop {
            let until = changed.len();
            let Some(next) = self.blocks.get(behind) else { break until };
            // What is left of much text grows together with the next block again.
            let is_large = until >= BLOCK_BYTES / 4;
            if is_large && are_apart(changed.as_bytes(), next.text.as_bytes()) {
                break until;
            }
            changed.push_str(&next.text);
            if is_large && cut.settles_at(changed.as_bytes(), until) {
                break until;
            }
            behind += 1;
            // Where it falls out of step for long, it is not cut anew for each block.
            for next in self.blocks[behind..].iter().take(more) {
                if are_apart(changed.as_bytes(), next.text.as_bytes()) {
                    break;
                }
                changed.push_str(&next.text);
                behind += 1;
            }
            more = 2 * more + 1;
        };
        let known = self.known(first..behind, [from, to], until - text.len());
        let new = into_blocks(tokenizer, &changed, until, &known);
        for block in &self.blocks[first..behind] {
            self.tokens -= block.tokens;
            self.utf16 -= block.utf16;
            self.bytes -= block.bytes;
        }
        for block in &new {
            self.tokens += block.tokens;
            self.utf16 += block.utf16;
            self.bytes += block.bytes;
        }
        // Most edits leave as many blocks as there were.
        if new.len() == behind - first {
            for (block, new) in self.blocks[first..].iter_mut().zip(new) {
                *block = new;
            }
        } else {
            let rest = self.blocks.split_off(behind);
            self.blocks.truncate(first);
            self.blocks.extend(new);
            self.blocks.extend(rest);
        }
        self.last = start;
        debug_assert_eq!(self.bytes, self.parts().map(str::len).sum::<usize>());
    }

    /// What is known of the text that these blocks become, of which `same` bytes are as
    /// they were, by what was between two places.
    fn known(&self, range: Range<usize>, [from, to]: [Place; 2], same: usize) -> Known<'_> {
        let mut known = Known::default();
        let Some(blocks) = self.blocks.get(range.clone()) else { return known };
        let (first, last) = (from.start.block - range.start, to.start.block - range.start);
        let mut bytes = 0;
        for (nth, block) in blocks.iter().take(first + 1).enumerate() {
            known.begins(bytes, &block.runs);
            bytes += if nth == first { from.byte } else { block.bytes };
        }
        known.same = [bytes, same - bytes];
        bytes = 0;
        for block in blocks.iter().skip(last).rev() {
            known.ends(bytes, block.bytes, &block.runs);
            bytes += block.bytes;
        }
        known
    }
}

/// A place in the text: in the block that starts at `start`, before its `byte`.
#[derive(Debug, Clone, Copy)]
struct Place {
    start: Start,
    byte: usize,
}

fn common_head(a: &[u8], b: &[u8]) -> usize {
    let most = a.len().min(b.len());
    if a[..most] == b[..most] {
        return most;
    }
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

fn common_tail(a: &[u8], b: &[u8]) -> usize {
    let most = a.len().min(b.len());
    if a[a.len() - most..] == b[b.len() - most..] {
        return most;
    }
    a.iter().rev().zip(b.iter().rev()).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::Arc;

    use super::super::encoding::Encoding;
    use super::super::merge::tests::vocabulary;
    use super::*;

    fn letters(n: usize, letters: &[char]) -> String {
        let mut seed = 7u32;
        let next = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            letters[(seed >> 16) as usize % letters.len()]
        };
        std::iter::repeat_with(next).take(n).collect()
    }

    #[test]
    fn what_is_settled_before_a_run_is_told_without_merging_the_run() {
        let vocabulary = Arc::new(vocabulary("o200k_base"));
        let mut tokenizer = Tokenizer::new(Encoding::O200kBase, vocabulary).expect("its own");
        let run = letters(200_000, &['a', 'b', 'c', 'e', 'i', 'n', 's', 't']);
        let mut document = Document::new(&mut tokenizer, "Whoever waits ");
        document.append(&mut tokenizer, &run);
        let before = tokenizer.steps();
        let Progress { stable, provisional } = document.progress(&mut tokenizer);
        assert!(tokenizer.steps() - before < 100, "{}", tokenizer.steps() - before);
        let settled = tokenizer.count("Whoever waits");
        assert_eq!([stable, provisional], [settled, document.count() - settled]);
    }

    /// Of a key pressed, a blank, a few characters deleted, and what makes one run of two.
    #[test]
    fn the_work_of_an_edit_within_a_run_does_not_grow_with_the_run() {
        let kinds: [&[char]; 6] = [
            &['a'],
            &['a', 'b', 'c', 'e', 'i', 'n', 's', 't'],
            &['中', '国', '文', '字', '日', '本'],
            &['\u{e01}', '\u{e32}', '\u{e23}', '\u{e48}'],
            &['-', '='],
            &[' ', '\t'],
        ];
        for (name, encoding) in
            [("o200k_base", Encoding::O200kBase), ("cl100k_base", Encoding::Cl100kBase)]
        {
            let vocabulary = Arc::new(vocabulary(name));
            let mut tokenizer = Tokenizer::new(encoding, vocabulary).expect("its own");
            for kind in kinds {
                let mut most = [0; 2];
                for (most, n) in most.iter_mut().zip([20_000, 200_000]) {
                    let mut text = letters(n, kind);
                    let mut document = Document::new(&mut tokenizer, &text);
                    for part in 1..12 {
                        let at = text.floor_char_boundary(part * text.len() / 12);
                        let behind = text.floor_char_boundary(at + 12);
                        let own = kind[part % kind.len()].to_string();
                        for (range, put) in [
                            (at..at, &own[..]),
                            (at..at, "x 1"),
                            (at..at + 3, ""),
                            (at..behind, ""),
                        ] {
                            text.replace_range(range.clone(), put);
                            let before = tokenizer.steps();
                            document.edit(&mut tokenizer, range, put).expect("it is inside");
                            *most = (*most).max(tokenizer.steps() - before);
                        }
                    }
                    assert_eq!(document.count(), tokenizer.count(&text), "{name}, {kind:?}");
                }
                // Merging 200,000 letters takes some eight million.
                assert!(
                    most[0] > 0 && most.iter().all(|&most| most <= 40_000),
                    "{name}, {kind:?}: {most:?}"
                );
            }
        }
    }

    /// The most bytes that are counted again, of a key pressed, a word pasted, a word deleted,
    /// and a text that grows at its end.
    fn counted_again(tokenizer: &mut Tokenizer, mut text: String, key: &str) -> usize {
        let mut document = Document::new(tokenizer, &text);
        let mut most = 0;
        for part in 0..40 {
            let at = text.floor_char_boundary(part * text.len() / 40);
            let end = text.len() + key.len();
            for (range, put) in [
                (at..at, key),
                (at..at + key.len(), "some words\n"),
                (at..at + 11, key),
                (end..end, " and"),
            ] {
                // What is old is dropped after what is new was made: no place is used twice.
                let old: HashSet<_> =
                    document.blocks.iter().map(|block| block.text.as_ptr()).collect();
                text.replace_range(range.clone(), put);
                document.edit(tokenizer, range, put).expect("the range is inside");
                let new =
                    document.blocks.iter().filter(|block| !old.contains(&block.text.as_ptr()));
                most = most.max(new.map(|block| block.bytes).sum::<usize>());
            }
        }
        assert_eq!(document.count(), tokenizer.count(&text));
        most
    }

    #[test]
    fn what_is_counted_again_does_not_grow_with_the_text() {
        let vocabulary = Arc::new(vocabulary("o200k_base"));
        let mut tokenizer = Tokenizer::new(Encoding::O200kBase, vocabulary).expect("its own");
        let most = [4_000, 400_000].map(|bytes| {
            let lines = (0..).map(|n| format!("It waits {n} ms; 漢字 follow.\n"));
            counted_again(&mut tokenizer, lines.take(bytes / 32).collect(), "x")
        });
        assert!(most[1] <= most[0].max(4 * BLOCK_BYTES), "{most:?}");
        assert!(most[0] > 0);
    }

    /// No two characters alone make a boundary in these, and none of their pieces is long.
    #[test]
    fn what_is_counted_again_of_a_run_of_short_pieces_does_not_grow_with_it() {
        for (name, encoding, kinds) in [
            ("o200k_base", Encoding::O200kBase, &["aB", "Word", "a'b", "}\n", " }\n", "中'Aa"][..]),
            ("cl100k_base", Encoding::Cl100kBase, &["a'b", "}\n", "  }\n", "\t|\r\n", "中'A"][..]),
            ("r50k_base", Encoding::R50kBase, &["a'b", "}\n", " }\n", "中'A"][..]),
        ] {
            let vocabulary = Arc::new(vocabulary(name));
            let mut tokenizer = Tokenizer::new(encoding, vocabulary).expect("its own");
            for kind in kinds {
                for key in ["x", "B", "}", "'"] {
                    let most = [4_000, 400_000].map(|bytes| {
                        counted_again(&mut tokenizer, kind.repeat(bytes / kind.len()), key)
                    });
                    assert!(
                        most[1] <= most[0].max(6 * BLOCK_BYTES),
                        "{name}, {key:?} amid {kind:?}: {most:?}"
                    );
                }
            }
        }
    }
}

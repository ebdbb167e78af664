//! Exact counting by a vocabulary, for JavaScript. Texts are in the buffer that
//! [`super::room`] gives; places in a text are UTF-16 units, as JavaScript counts
//! them. What is wrong comes back as a sentence.

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;

use tokens::bpe::{self, Encoding, Keep, Progress, SpecialSet, Specials, Tokenizer, Vocabulary};
use wasm_bindgen::prelude::wasm_bindgen;

use super::room::{self, with_room, with_text};

/// An encoding with its vocabulary.
#[wasm_bindgen]
pub struct Encoder {
    tokenizer: Tokenizer,
    /// Of the text that was encoded last. They stay in their place and are copied from there: to
    /// hand over a list of each text takes a fifth of the time of a short one.
    ids: Vec<u32>,
}

/// The vocabulary's name that an encoding needs; none: there is no such encoding.
#[wasm_bindgen]
pub fn vocabulary_of(encoding: &str) -> Option<String> {
    Encoding::from_name(encoding).map(|encoding| encoding.vocabulary().to_owned())
}

#[wasm_bindgen]
impl Encoder {
    /// From the vocabulary's bytes in the buffer, which it keeps.
    #[wasm_bindgen(constructor)]
    pub fn new(encoding: &str, bytes: usize) -> Result<Encoder, String> {
        let encoding = Encoding::from_name(encoding).ok_or("There is no such encoding.")?;
        let vocabulary = Vocabulary::load_with(room::take(bytes), &[]);
        let vocabulary = vocabulary.map_err(|error| told(&error))?;
        let tokenizer = Tokenizer::new(encoding, Arc::new(vocabulary));
        Ok(Encoder { tokenizer: tokenizer.map_err(|error| told(&error))?, ids: Vec::new() })
    }

    /// The text's tokens.
    pub fn count(&mut self, bytes: usize) -> usize {
        // `encodeInto` wrote it.
        with_room(bytes, |text| self.tokenizer.count_utf8(text))
    }

    /// Whether the text has at most so many tokens.
    pub fn fits(&mut self, bytes: usize, tokens: usize) -> bool {
        with_text(bytes, |text| self.tokenizer.fits(text, tokens))
    }

    /// How many ids the text has; `ids` says where they are. `specials`: special tokens in it
    /// become their ids; else they are text like any other.
    pub fn encode(&mut self, bytes: usize, specials: bool) -> usize {
        let Self { tokenizer, ids } = self;
        if specials {
            let all = Specials { allowed: SpecialSet::All, disallowed: SpecialSet::None };
            // Only what is disallowed is an error.
            *ids = with_text(bytes, |text| tokenizer.encode_with_specials(text, &all))
                .unwrap_or_default();
        } else {
            ids.clear();
            with_room(bytes, |text| tokenizer.encode_utf8_into(text, ids));
        }
        ids.len()
    }

    /// The most bytes that a token has.
    pub fn longest_token(&self) -> usize {
        self.tokenizer.vocabulary().longest_token()
    }

    /// Where the ids of the last text are, until the next is encoded.
    pub fn ids(&self) -> *const u32 {
        self.ids.as_ptr()
    }

    /// Gives their memory back, after a text that was larger than most.
    pub fn tidy(&mut self) {
        self.ids = Vec::new();
    }

    /// The bytes that the ids stand for.
    pub fn decode(&self, ids: &[u32]) -> Result<Vec<u8>, String> {
        self.tokenizer.decode(ids).map_err(|error| told(&error))
    }

    /// Where to cut the text for so many tokens: where its beginning ends, or with
    /// `tail` where its end begins.
    pub fn truncate(&mut self, bytes: usize, tokens: usize, tail: bool) -> usize {
        with_text(bytes, |text| {
            if tail {
                let kept = self.tokenizer.truncate(text, tokens, Keep::Tail);
                units(text) - units(kept)
            } else {
                units(self.tokenizer.truncate(text, tokens, Keep::Head))
            }
        })
    }

    /// The parts of the text of at most `size` tokens: start, end and tokens of each.
    /// A part has at least one.
    pub fn chunk(&mut self, bytes: usize, size: usize, overlap: usize) -> Vec<u32> {
        let size = NonZeroUsize::new(size).unwrap_or(NonZeroUsize::MIN);
        with_text(bytes, |text| {
            let mut flat = Vec::new();
            // Parts begin in order, so nothing is counted twice.
            let (mut byte, mut unit) = (0, 0);
            let between = |range| text.get(range).map_or(0, units);
            for chunk in self.tokenizer.chunk(text, size, overlap) {
                unit += between(byte..chunk.range.start);
                byte = chunk.range.start;
                let end = unit + between(chunk.range);
                flat.extend([unit, end, chunk.tokens].map(|n| n as u32));
            }
            flat
        })
    }
}

/// A text that is being written.
#[wasm_bindgen]
#[derive(Default)]
pub struct Document {
    document: bpe::Document,
}

#[wasm_bindgen]
impl Document {
    /// An empty one.
    #[wasm_bindgen(constructor)]
    pub fn new() -> Document {
        Document::default()
    }

    /// Makes the buffer's text the whole text; the new count.
    pub fn set(&mut self, by: &mut Encoder, bytes: usize) -> usize {
        with_text(bytes, |text| self.document.set(&mut by.tokenizer, text))
    }

    /// Puts the buffer's text at the end; the new count.
    pub fn append(&mut self, by: &mut Encoder, bytes: usize) -> usize {
        with_text(bytes, |text| self.document.append(&mut by.tokenizer, text))
    }

    /// Puts the buffer's text in the place of what is between two places; the new
    /// count.
    pub fn edit(
        &mut self,
        by: &mut Encoder,
        start: usize,
        end: usize,
        bytes: usize,
    ) -> Result<usize, String> {
        with_text(bytes, |text| {
            let edited = self.document.edit_utf16(&mut by.tokenizer, start..end, text);
            edited.map_err(|error| told(&error))
        })
    }

    /// The code point of the character that a place lies within; 0 if in none.
    pub fn cut(&self, at: usize) -> u32 {
        self.document.cut_utf16(at).map_or(0, u32::from)
    }

    /// Its tokens.
    pub fn count(&self) -> usize {
        self.document.count()
    }

    /// Those of them that nothing appended can change.
    pub fn stable(&self, by: &mut Encoder) -> usize {
        let Progress { stable, .. } = self.document.progress(&mut by.tokenizer);
        stable
    }
}

/// In one place: what writes a sentence is large.
#[inline(never)]
fn told(error: &dyn fmt::Display) -> String {
    format!("{error}")
}

fn units(text: &str) -> usize {
    text.chars().map(char::len_utf16).sum()
}

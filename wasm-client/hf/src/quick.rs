//! A byte-level BPE tokenizer on the package's own counter: added tokens are found in
//! the text, what lies between is normalised, cut and merged, and ids are translated
//! from the counter's to the model's.

use std::collections::HashMap;
use std::sync::Arc;

use tokens::bpe::{self, Cut, Encoding, Vocabulary, is_hard_boundary};
use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

/// What such a tokenizer is made of; `form` keeps it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Parts {
    /// How text is cut.
    pub(crate) cut: Cut,
    /// Whether it is normalised to NFC before.
    pub(crate) nfc: bool,
    /// The ids that the model's template puts before a text and behind it.
    pub(crate) frame: [Vec<u32>; 2],
    /// Found in a text before anything else.
    pub(crate) added: Vec<Added>,
    /// The model's id of each of the counter's.
    pub(crate) ids: Vec<u32>,
    /// Ids that no merge makes, and what they stand for.
    pub(crate) unmade: Vec<(u32, Vec<u8>)>,
    /// Whether a piece of text that is all of one of them becomes it.
    pub(crate) whole: bool,
    /// The vocabulary file that the counter loads.
    pub(crate) merges: Vec<u8>,
}

/// An added token.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Added {
    pub(crate) text: String,
    pub(crate) id: u32,
    pub(crate) special: bool,
}

/// Bytes of a text for each of its NFC, at most: three for each of its NFD (the sign of
/// kelvin), which has three for each of NFC (the Greek letters with two marks).
pub(crate) const COMPOSED_BYTES_MAX: usize = 9;

pub(crate) struct Quick {
    counter: bpe::Tokenizer,
    nfc: bool,
    frame: [Vec<u32>; 2],
    /// In the order of their texts.
    added: Vec<Added>,
    /// Whether an added token begins with this byte.
    begins: [bool; 256],
    /// Bytes of the longest of them.
    longest: usize,
    ids: Vec<u32>,
    bytes: HashMap<u32, Meaning>,
}

/// What an id stands for.
enum Meaning {
    /// A token of the counter's.
    Token(u32),
    /// An added token, by its place.
    Added(usize),
    Unmade(Vec<u8>),
}

impl Quick {
    pub(crate) fn new(parts: Parts) -> Result<Self, String> {
        let Parts { cut, nfc, frame, mut added, mut ids, unmade, whole, merges } = parts;
        let words: Vec<&[u8]> = match whole {
            true => unmade.iter().map(|(_, bytes)| &bytes[..]).collect(),
            false => Vec::new(),
        };
        let vocabulary =
            Vocabulary::load_with(merges, &words).map_err(|error| error.to_string())?;
        if ids.len() != vocabulary.ids() {
            return Err(format!("{} ids for {} tokens", ids.len(), vocabulary.ids()));
        }
        if whole {
            ids.extend(unmade.iter().map(|(id, _)| id));
        }
        let counter = bpe::Tokenizer::new(Encoding::Adopted(cut), Arc::new(vocabulary))
            .map_err(|error| error.to_string())?;
        added.sort();
        let mut begins = [false; 256];
        for token in &added {
            let first = token.text.as_bytes().first().ok_or("an added token is empty")?;
            begins[usize::from(*first)] = true;
        }
        let longest = added.iter().map(|token| token.text.len()).max().unwrap_or_default();
        let mut bytes: HashMap<u32, Meaning> = HashMap::with_capacity(ids.len() + added.len());
        bytes.extend((0..).zip(&ids).map(|(token, &id)| (id, Meaning::Token(token))));
        bytes.extend(unmade.into_iter().map(|(id, bytes)| (id, Meaning::Unmade(bytes))));
        // An added token that is in the vocabulary, too, is the added one.
        bytes.extend(added.iter().enumerate().map(|(at, token)| (token.id, Meaning::Added(at))));
        Ok(Self { counter, nfc, frame, added, begins, longest, ids, bytes })
    }

    /// The text's tokens; above `limit`, some number above it.
    pub(crate) fn count(&mut self, text: &str, framed: bool, limit: usize) -> usize {
        let mut count = if framed { self.frame_tokens() } else { 0 };
        let mut from = 0;
        while count <= limit {
            let found = self.next_added(text, from);
            let end = found.map_or(text.len(), |(start, _)| start);
            count += self.count_ordinary(&text[from..end], limit - count);
            let Some((start, at)) = found else { break };
            count += 1;
            from = start + self.added[at].text.len();
        }
        count
    }

    /// Of the model's template.
    pub(crate) fn frame_tokens(&self) -> usize {
        self.frame.iter().map(Vec::len).sum()
    }

    /// The least tokens that so many bytes of a text are, whatever stands around them.
    pub(crate) fn tokens_min(&self, bytes: usize) -> usize {
        let longest = self.longest.max(self.counter.vocabulary().longest_token());
        bytes / (longest * if self.nfc { COMPOSED_BYTES_MAX } else { 1 })
    }

    /// The last place where what stands before it and what stands behind have the
    /// tokens that they have in the whole text, whatever follows the text.
    pub(crate) fn last_cut(&self, text: &str) -> Option<usize> {
        let bytes = text.as_bytes();
        // What follows may be the end of an added token.
        let end = bytes.len().checked_sub(self.longest.max(2))?;
        // Only marks change what stands before them, and ASCII has none.
        let composes = |at: usize| self.nfc && !bytes[at - 1..at + 2].is_ascii();
        (1..=end).rev().find(|&at| {
            text.is_char_boundary(at)
                && !composes(at)
                && is_hard_boundary(bytes, at)
                && !self.is_within_added(bytes, at)
        })
    }

    /// Whether an added token may reach across a place.
    fn is_within_added(&self, bytes: &[u8], at: usize) -> bool {
        (at.saturating_sub(self.longest)..at).any(|start| {
            self.begins[usize::from(bytes[start])]
                && self
                    .longest_at(&bytes[start..])
                    .is_some_and(|found| start + self.added[found].text.len() > at)
        })
    }

    pub(crate) fn encode(&mut self, text: &str, framed: bool) -> Vec<u32> {
        let mut ids = Vec::with_capacity(text.len() / 4 + 1);
        if framed {
            ids.extend_from_slice(&self.frame[0]);
        }
        let mut from = 0;
        loop {
            let found = self.next_added(text, from);
            let end = found.map_or(text.len(), |(start, _)| start);
            let made = ids.len();
            let ordinary = &text[from..end];
            match self.nfc.then(|| composed(ordinary)).flatten() {
                Some(composed) => self.counter.encode_into(&composed, &mut ids),
                None => self.counter.encode_into(ordinary, &mut ids),
            }
            for id in &mut ids[made..] {
                *id = self.ids[*id as usize];
            }
            let Some((start, at)) = found else { break };
            ids.push(self.added[at].id);
            from = start + self.added[at].text.len();
        }
        if framed {
            ids.extend_from_slice(&self.frame[1]);
        }
        ids
    }

    /// The text of the ids, or the one that is none.
    pub(crate) fn decode(&self, ids: &[u32], bare: bool) -> Result<String, u32> {
        let mut bytes = Vec::with_capacity(ids.len() * 4);
        for id in ids {
            match self.bytes.get(id).ok_or(*id)? {
                Meaning::Token(token) => {
                    bytes.extend_from_slice(self.counter.vocabulary().token(*token).ok_or(*id)?);
                }
                Meaning::Added(at) if bare && self.added[*at].special => {}
                Meaning::Added(at) => bytes.extend_from_slice(self.added[*at].text.as_bytes()),
                Meaning::Unmade(own) => bytes.extend_from_slice(own),
            }
        }
        Ok(String::from_utf8(bytes)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
    }

    fn count_ordinary(&mut self, text: &str, limit: usize) -> usize {
        let composed = if self.nfc { composed(text) } else { None };
        let text = composed.as_deref().unwrap_or(text);
        if limit == usize::MAX || !self.counter.fits(text, limit) {
            // What does not fit is some number above the limit.
            return if limit == usize::MAX { self.counter.count(text) } else { limit + 1 };
        }
        self.counter.count(text)
    }

    /// Where the next added token starts, and which: of those that start first, the
    /// longest.
    fn next_added(&self, text: &str, from: usize) -> Option<(usize, usize)> {
        let bytes = text.as_bytes();
        let mut at = from;
        loop {
            at += bytes[at..].iter().position(|&byte| self.begins[usize::from(byte)])?;
            if let Some(found) = self.longest_at(&bytes[at..]) {
                return Some((at, found));
            }
            at += 1;
        }
    }

    /// The longest added token that the bytes begin with. The tokens are sorted, so
    /// those that share the bytes up to a place stand together, the shortest first.
    fn longest_at(&self, bytes: &[u8]) -> Option<usize> {
        let (mut low, mut high) = (0, self.added.len());
        let mut longest = None;
        for (depth, &byte) in bytes.iter().enumerate() {
            let rest = &self.added[low..high];
            // Those that end before this byte were there already.
            let nth = |token: &Added| token.text.as_bytes().get(depth).copied();
            let start = rest.partition_point(|token| nth(token) < Some(byte));
            let end = rest.partition_point(|token| nth(token) <= Some(byte));
            (low, high) = (low + start, low + end);
            if low == high {
                break;
            }
            if self.added[low].text.len() == depth + 1 {
                longest = Some(low);
            }
        }
        longest
    }
}

/// The text in NFC, where it is not already. Nothing of ASCII and Latin-1 changes.
fn composed(text: &str) -> Option<String> {
    match is_nfc_quick(text.chars()) {
        IsNormalized::Yes => None,
        _ => Some(text.nfc().collect()),
    }
}

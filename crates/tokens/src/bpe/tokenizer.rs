//! Counts, encodes and decodes: the item to start from.

use std::fmt;
use std::sync::Arc;

use super::cache::Cache;
use super::cut::part;
use super::encoding::Encoding;
use super::long::{Long, LongCache};
use super::merge::{Workspace, encode_piece, is_cut};
use super::short::Short;
use super::split::{Cut, O200k, PIECES, Split};
use super::vocabulary::Vocabulary;

/// An encoding with its vocabulary, ready to work: tiktoken's `Encoding`.
///
/// It keeps a cache and working memory, so its methods take `&mut self`; the
/// vocabulary is shared. Text is encoded as ordinary text unless a method says
/// otherwise: `<|endoftext|>` in it is seven tokens or so, never the special one.
#[derive(Debug)]
pub struct Tokenizer {
    encoding: Encoding,
    vocabulary: Arc<Vocabulary>,
    cache: Cache,
    long_cache: LongCache,
    work: Workspace,
    /// Bytes that were to be counted or encoded: what tests hold against the length.
    #[cfg(test)]
    read: u64,
}

/// The vocabulary is not the one that the encoding needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WrongVocabulary {
    /// The name that is needed.
    pub expected: &'static str,
    /// The name of what was given.
    pub found: &'static str,
}

impl fmt::Display for WrongVocabulary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the vocabulary is {}, needed is {}", self.found, self.expected)
    }
}

impl std::error::Error for WrongVocabulary {}

/// A set of special tokens, by their text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpecialSet<'a> {
    /// None of them.
    None,
    /// All of the encoding's.
    All,
    /// These.
    Only(&'a [&'a str]),
}

impl SpecialSet<'_> {
    fn contains(self, token: &str) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::Only(tokens) => tokens.contains(&token),
        }
    }
}

/// What to do with special tokens in a text, by tiktoken's two arguments.
/// `allowed_special` become their ids. Of the rest, `disallowed_special` are an
/// error and all others ordinary text.
///
/// tiktoken's `encode` without arguments is the default: none allowed, all
/// disallowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Specials<'a> {
    /// Those that become their ids.
    pub allowed: SpecialSet<'a>,
    /// Those that are refused, unless allowed.
    pub disallowed: SpecialSet<'a>,
}

impl Default for Specials<'_> {
    fn default() -> Self {
        Self { allowed: SpecialSet::None, disallowed: SpecialSet::All }
    }
}

/// A text holds a special token that the caller disallowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DisallowedSpecial {
    /// The token's text.
    pub token: String,
    /// Where it starts, in bytes.
    pub at: usize,
}

impl fmt::Display for DisallowedSpecial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the text holds the special token {} at byte {}", self.token, self.at)
    }
}

impl std::error::Error for DisallowedSpecial {}

/// An id that the encoding does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownToken {
    /// The id.
    pub id: u32,
}

impl fmt::Display for UnknownToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no token has the id {}", self.id)
    }
}

impl std::error::Error for UnknownToken {}

impl Tokenizer {
    /// 4 MB besides the vocabulary.
    ///
    /// # Errors
    ///
    /// If `vocabulary` is not `encoding.vocabulary()`.
    pub fn new(encoding: Encoding, vocabulary: Arc<Vocabulary>) -> Result<Self, WrongVocabulary> {
        let (expected, found) = (encoding.vocabulary(), vocabulary.name());
        if expected != found {
            return Err(WrongVocabulary { expected, found });
        }
        Ok(Self {
            encoding,
            vocabulary,
            cache: Cache::new(),
            long_cache: LongCache::new(),
            work: Workspace::default(),
            #[cfg(test)]
            read: 0,
        })
    }

    /// The encoding it was made for.
    #[must_use]
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// The vocabulary it counts by.
    #[must_use]
    pub fn vocabulary(&self) -> &Arc<Vocabulary> {
        &self.vocabulary
    }

    /// How many tokens `text` is: `encode(text).len()`, without allocating.
    #[must_use]
    pub fn count(&mut self, text: &str) -> usize {
        self.count_utf8(text.as_bytes())
    }

    /// `count` of a text that is known to be UTF-8 and need not be read once more to
    /// see it: a tenth of the time.
    ///
    /// # Panics
    ///
    /// Perhaps, if it is not UTF-8; otherwise the count of that means nothing.
    #[must_use]
    pub fn count_utf8(&mut self, text: &[u8]) -> usize {
        self.count_until(text, usize::MAX)
    }

    /// Whether `text` is at most `tokens` tokens. Reads no further than it takes to
    /// know.
    #[must_use]
    pub fn fits(&mut self, text: &str, tokens: usize) -> bool {
        // A token has a byte at least, and `longest_token` at most.
        if text.len() <= tokens {
            return true;
        }
        if text.len() > tokens.saturating_mul(self.vocabulary.longest_token()) {
            return false;
        }
        self.count_until(text.as_bytes(), tokens) <= tokens
    }

    /// The ids of `text`: tiktoken's `encode_ordinary`.
    #[must_use]
    pub fn encode(&mut self, text: &str) -> Vec<u32> {
        let mut ids = Vec::new();
        self.encode_into(text, &mut ids);
        ids
    }

    /// Appends the ids of `text` to `ids`.
    pub fn encode_into(&mut self, text: &str, ids: &mut Vec<u32>) {
        self.encode_utf8_into(text.as_bytes(), ids);
    }

    /// `encode_into` of a text that is known to be UTF-8, as for `count_utf8`.
    ///
    /// # Panics
    ///
    /// Perhaps, if it is not UTF-8; otherwise the ids of that mean nothing.
    pub fn encode_utf8_into(&mut self, text: &[u8], ids: &mut Vec<u32>) {
        // English has four bytes a token and more; a guess below costs one copy.
        ids.reserve(text.len() / 4 + 1);
        self.encode_until(text, usize::MAX, ids);
    }

    /// The ids of `text`, special tokens treated as `specials` says: tiktoken's
    /// `encode`.
    ///
    /// # Errors
    ///
    /// The first disallowed special token.
    pub fn encode_with_specials(
        &mut self,
        text: &str,
        specials: &Specials<'_>,
    ) -> Result<Vec<u32>, DisallowedSpecial> {
        let mut ids = Vec::with_capacity(text.len() / 4 + 1);
        // Where the ordinary text starts that is not encoded yet, and where to
        // look for the next special token.
        let (mut from, mut look) = (0, 0);
        while let Some((start, token, id)) = self.encoding.next_special(part(text, look..)) {
            let start = look + start;
            look = start + token.len();
            if specials.allowed.contains(token) {
                // Each stretch of text is split by itself, as tiktoken does.
                self.encode_into(part(text, from..start), &mut ids);
                ids.push(id);
                from = look;
            } else if specials.disallowed.contains(token) {
                return Err(DisallowedSpecial { token: token.to_string(), at: start });
            }
        }
        self.encode_into(part(text, from..), &mut ids);
        Ok(ids)
    }

    /// The bytes that `ids`, special ones among them, stand for. Any sequence of
    /// tokens is bytes; whether they are UTF-8 is the caller's question.
    ///
    /// # Errors
    ///
    /// The first id that is none.
    pub fn decode(&self, ids: &[u32]) -> Result<Vec<u8>, UnknownToken> {
        let mut bytes = Vec::with_capacity(ids.len() * 4);
        for &id in ids {
            match self.vocabulary.token(id) {
                Some(token) => bytes.extend_from_slice(token),
                None => match self.encoding.special_text(id) {
                    Some(token) => bytes.extend_from_slice(token.as_bytes()),
                    None => return Err(UnknownToken { id }),
                },
            }
        }
        Ok(bytes)
    }

    /// Counts, and stops as soon as there are more than `limit`; then the answer
    /// is some number above it.
    fn count_until(&mut self, bytes: &[u8], limit: usize) -> usize {
        #[cfg(test)]
        {
            self.read += bytes.len() as u64;
        }
        match self.encoding.cut() {
            Cut::O200k => self.count_by(O200k, bytes, limit),
            cut => self.count_by_ends(cut, bytes, limit),
        }
    }

    /// A tenth faster on code than the way by ends, and larger: for what most ask for.
    fn count_by(&mut self, split: impl Split, bytes: &[u8], limit: usize) -> usize {
        let mut count = 0;
        let mut at = 0;
        while at < bytes.len() && count <= limit {
            let end = split.piece_end(bytes, at);
            count += self.count_piece(bytes, at, end);
            at = end;
        }
        count
    }

    fn count_by_ends(&mut self, cut: Cut, bytes: &[u8], limit: usize) -> usize {
        let mut ends = [0; PIECES];
        let mut count = 0;
        let mut at = 0;
        while at < bytes.len() && count <= limit {
            let found = cut.ends(bytes, at, &mut ends);
            for &end in &ends[..found] {
                count += self.count_piece(bytes, at, end);
                at = end;
            }
        }
        count
    }

    /// `count` of one piece of a text.
    #[inline(never)]
    pub(super) fn count_one(&mut self, bytes: &[u8], at: usize, end: usize) -> usize {
        self.count_piece(bytes, at, end)
    }

    /// The tokens of a piece that is none itself.
    pub(super) fn encode_piece(&mut self, piece: &[u8]) -> &[u32] {
        encode_piece(&self.vocabulary, &mut self.work, piece, true);
        &self.work.tokens
    }

    #[inline(always)]
    fn count_piece(&mut self, bytes: &[u8], at: usize, end: usize) -> usize {
        match Short::within(bytes, at, end) {
            Some(short) => self.count_short(short),
            None => self.count_long(&bytes[at..end]),
        }
    }

    #[inline(always)]
    fn count_short(&mut self, piece: Short) -> usize {
        let hash = piece.hash();
        match self.cache.count(piece, hash) {
            Some(count) => count,
            None => self.count_unknown(piece, hash),
        }
    }

    #[inline(never)]
    fn count_unknown(&mut self, piece: Short, hash: u64) -> usize {
        match self.cache.spare_count(piece, hash) {
            Some(count) => count,
            None => self.learn(piece, hash),
        }
    }

    #[inline(always)]
    fn count_long(&mut self, piece: &[u8]) -> usize {
        if let Some(long) = Long::new(piece) {
            return match self.long_cache.find(long) {
                Some(known) => known.count(),
                None => self.learn_long(piece, long),
            };
        }
        if self.long_token(piece).is_some() {
            return 1;
        }
        encode_piece(&self.vocabulary, &mut self.work, piece, false)
    }

    /// Looks up, or merges, a piece that is not in the cache; answers its number of
    /// tokens. They are in `work` then.
    #[inline(never)]
    fn learn(&mut self, piece: Short, hash: u64) -> usize {
        let Self { vocabulary, work, cache, .. } = self;
        let vocabulary = &**vocabulary;
        match vocabulary.words.find_short(piece, hash, |id| vocabulary.bytes_of(id)) {
            Some(id) => work.only(id),
            None => {
                let bytes = piece.bytes();
                encode_piece(vocabulary, work, &bytes[..piece.len()], true);
            }
        }
        cache.put(piece, hash, &work.tokens);
        work.tokens.len()
    }

    /// `learn` for a long piece.
    #[inline(never)]
    fn learn_long(&mut self, piece: &[u8], long: Long<'_>) -> usize {
        let token = self.long_token(piece);
        let Self { vocabulary, work, long_cache, .. } = self;
        match token {
            Some(id) => work.only(id),
            None => {
                encode_piece(vocabulary, work, piece, true);
            }
        }
        long_cache.put(long, &work.tokens);
        work.tokens.len()
    }

    fn long_token(&self, piece: &[u8]) -> Option<u32> {
        let vocabulary = &*self.vocabulary;
        if piece.len() > vocabulary.longest_token() {
            return None;
        }
        // No token holds what merging could cut. Runs of ideographs nearly all end
        // here, before they are hashed.
        let second = utf8_length(piece[0]);
        if second > 1 && second < piece.len() && is_cut(vocabulary, piece, second) {
            return None;
        }
        vocabulary.words.find(piece, |id| vocabulary.bytes_of(id))
    }

    /// Appends ids of a text, piece by piece, until `ids` holds `enough`; the last
    /// piece comes whole.
    pub(super) fn encode_until(&mut self, bytes: &[u8], enough: usize, ids: &mut Vec<u32>) {
        #[cfg(test)]
        {
            self.read += bytes.len() as u64;
        }
        let cut = self.encoding.cut();
        let mut ends = [0; PIECES];
        let mut at = 0;
        while at < bytes.len() {
            let found = cut.ends(bytes, at, &mut ends);
            for &end in &ends[..found] {
                if ids.len() >= enough {
                    return;
                }
                match Short::within(bytes, at, end) {
                    Some(short) => self.encode_short(short, ids),
                    None => self.encode_long(&bytes[at..end], ids),
                }
                at = end;
            }
        }
    }

    /// What merging has done so far.
    #[cfg(test)]
    pub(super) fn steps(&self) -> u64 {
        self.work.steps
    }

    /// The bytes of all texts so far, of one as often as it was counted.
    #[cfg(test)]
    pub(super) fn read(&self) -> u64 {
        self.read
    }

    #[inline(always)]
    fn encode_short(&mut self, piece: Short, ids: &mut Vec<u32>) {
        let hash = piece.hash();
        // Most pieces are one token, and to copy a length that only run time knows is
        // a call in wasm.
        match self.cache.tokens(piece, hash) {
            Some(&[id]) => ids.push(id),
            Some(tokens) => ids.extend_from_slice(tokens),
            None => {
                self.learn(piece, hash);
                ids.extend_from_slice(&self.work.tokens);
            }
        }
    }

    fn encode_long(&mut self, piece: &[u8], ids: &mut Vec<u32>) {
        if let Some(long) = Long::new(piece) {
            match self.long_cache.find(long) {
                Some(known) => self.long_cache.tokens_into(known, ids),
                None => {
                    self.learn_long(piece, long);
                    ids.extend_from_slice(&self.work.tokens);
                }
            }
        } else if let Some(id) = self.long_token(piece) {
            ids.push(id);
        } else {
            encode_piece(&self.vocabulary, &mut self.work, piece, true);
            ids.extend_from_slice(&self.work.tokens);
        }
    }
}

/// Of the character that begins with `first`.
fn utf8_length(first: u8) -> usize {
    match first {
        0..0x80 => 1,
        0x80..0xe0 => 2,
        0xe0..0xf0 => 3,
        _ => 4,
    }
}

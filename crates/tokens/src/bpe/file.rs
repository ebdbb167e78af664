//! Reads a vocabulary file: a merge list, as `scripts/vocabularies.mjs` writes it
//! and describes it. This is where bytes become trusted; behind it ids are ids.

use std::fmt;

use super::encoding::{ADOPTED, Encoding};

const MAGIC: [u8; 4] = *b"TGV1";
const HEADER: usize = 32;
const NAME: std::ops::Range<usize> = 16..32;
/// In both halves of a pair: no token has this id.
const NO_TOKEN: u32 = 0xff_ffff;

/// Tokens of a single byte come first, in every vocabulary.
pub(super) const BYTES: usize = 256;
/// Two ids must fit in 36 bits of a pair table's slot. o200k has 199,998.
pub(super) const IDS_MAX: usize = 1 << 18;
/// The longest token of the four vocabularies has 128 bytes. Without a bound, few
/// pairs could double their way to any length.
pub(super) const TOKEN_BYTES_MAX: usize = 1024;
/// All tokens together: seven times o200k's 1.4 MB.
pub(super) const TEXT_BYTES_MAX: usize = 10 << 20;

/// Why bytes are no vocabulary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LoadError {
    /// They do not begin as a vocabulary does. Gzipped bytes must be unpacked first.
    NotAVocabulary,
    /// They end too early, or too late.
    Length {
        /// The length by the file's own header, bytes.
        expected: usize,
        /// The length of what was given, bytes.
        found: usize,
    },
    /// They are damaged: the checksum does not fit.
    Damaged,
    /// The checksum fits but the content is none: what wrote the file is wrong.
    Inconsistent {
        /// The id of the token that cannot be.
        id: u32,
    },
    /// A vocabulary that no encoding here uses.
    UnknownName,
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAVocabulary => f.write_str(
                "not a vocabulary: it does not begin with TGV1 (still gzipped, or an error page?)",
            ),
            Self::Length { expected, found } => {
                write!(f, "the vocabulary has {found} bytes instead of {expected}")
            }
            Self::Damaged => f.write_str("the vocabulary is damaged: its checksum does not fit"),
            Self::Inconsistent { id } => {
                write!(f, "the vocabulary is inconsistent at id {id}")
            }
            Self::UnknownName => f.write_str("a vocabulary that no known encoding uses"),
        }
    }
}

impl std::error::Error for LoadError {}

/// A checked file. All accessors are total for ids below `ids()`.
#[derive(Debug)]
pub(super) struct MergeList {
    file: Vec<u8>,
    name: &'static str,
    merges: usize,
}

impl MergeList {
    /// Checks length, checksum and name.
    ///
    /// # Errors
    ///
    /// What does not fit. Whether the pairs make sense, `Vocabulary` sees as it
    /// builds the tokens.
    pub(super) fn read(file: Vec<u8>) -> Result<Self, LoadError> {
        if file.len() < HEADER + BYTES || file[..4] != MAGIC {
            return Err(LoadError::NotAVocabulary);
        }
        let ids = u32::from_le_bytes([file[4], file[5], file[6], file[7]]) as usize;
        if !(BYTES..=IDS_MAX).contains(&ids) {
            return Err(LoadError::Damaged);
        }
        let merges = ids - BYTES;
        let expected = HEADER + BYTES + 6 * merges;
        if file.len() != expected {
            return Err(LoadError::Length { expected, found: file.len() });
        }
        let (stated, content) = file[8..].split_at(8);
        if stated != checksum(content).to_le_bytes() {
            return Err(LoadError::Damaged);
        }
        let stated = &file[NAME];
        let end = stated.iter().position(|&byte| byte == 0).unwrap_or(stated.len());
        let name = Encoding::ALL
            .iter()
            .map(|encoding| encoding.vocabulary())
            .chain([ADOPTED])
            .find(|name| name.as_bytes() == &stated[..end])
            .ok_or(LoadError::UnknownName)?;
        Ok(Self { file, name, merges })
    }

    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    /// Ids are below this. Not every id has a token.
    pub(super) fn ids(&self) -> usize {
        BYTES + self.merges
    }

    /// The byte that each of the first ids stands for.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.file[HEADER..HEADER + BYTES]
    }

    /// The two tokens that make token `id`, or `None` for a single byte, an id
    /// without a token, and an id beyond the vocabulary.
    #[inline]
    pub(super) fn halves(&self, id: u32) -> Option<(u32, u32)> {
        let merge = (id as usize).checked_sub(BYTES).filter(|&merge| merge < self.merges)?;
        let half = |side: usize| {
            let byte = |plane: usize| {
                u32::from(self.file[HEADER + BYTES + (3 * side + plane) * self.merges + merge])
            };
            byte(0) | byte(1) << 8 | byte(2) << 16
        };
        let pair = (half(0), half(1));
        (pair != (NO_TOKEN, NO_TOKEN)).then_some(pair)
    }
}

/// The file of an adopted vocabulary: the ids 0 to 255 stand for the bytes in their
/// order, the rest are made by these pairs. `MergeList::read` takes it.
pub(super) fn write(pairs: &[(u32, u32)]) -> Vec<u8> {
    let mut file = vec![0; HEADER];
    file[..4].copy_from_slice(&MAGIC);
    file[4..8].copy_from_slice(&((BYTES + pairs.len()) as u32).to_le_bytes());
    file[NAME][..ADOPTED.len()].copy_from_slice(ADOPTED.as_bytes());
    file.extend(0..=u8::MAX);
    for plane in 0..6 {
        file.extend(pairs.iter().map(|&(left, right)| {
            let half = if plane < 3 { left } else { right };
            half.to_le_bytes()[plane % 3]
        }));
    }
    let stated = checksum(&file[16..]).to_le_bytes();
    file[8..16].copy_from_slice(&stated);
    file
}

/// Against damage on the way, not against malice: `index.json` beside the files
/// has SHA-256 for that. Eight bytes a step, so that it costs under a millisecond.
fn checksum(content: &[u8]) -> u64 {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let step = |hash: u64, word: u64| {
        let hash = (hash ^ word).wrapping_mul(ODD);
        hash ^ hash >> 32
    };
    let (words, rest) = content.as_chunks::<8>();
    let hash =
        words.iter().fold(content.len() as u64, |hash, &word| step(hash, u64::from_le_bytes(word)));
    if rest.is_empty() {
        return hash;
    }
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    step(hash, u64::from_le_bytes(last))
}

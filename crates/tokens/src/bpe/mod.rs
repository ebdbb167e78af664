//! Exact token counts by OpenAI's vocabularies, as tiktoken counts.
//!
//! What it is not: an estimate, a download, a decompressor. The caller brings the
//! bytes of a vocabulary; special tokens, message overheads and everything of HTTP
//! are the caller's, too. Behind the feature `vocabulary`, which the Worker leaves
//! off.
//!
//! The way of a text: `split` cuts it into pieces; `cache` and `long` know those that
//! came before, `words` those that are tokens, and `merge` does the rest by `pairs` and
//! `characters`. `vocabulary` builds these tables from a `file`. `document` counts
//! a text that is being typed, `cut` shortens texts, `adopt` takes in merge lists
//! of other makers.
//!
//! ```no_run
//! use std::sync::Arc;
//! use tokens::bpe::{Encoding, Tokenizer, Vocabulary};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let vocabulary = Vocabulary::load(&std::fs::read("o200k_base.merges")?)?;
//! let mut tokenizer = Tokenizer::new(Encoding::O200kBase, Arc::new(vocabulary))?;
//! assert_eq!(tokenizer.count("How many tokens?"), 4);
//! # Ok(())
//! # }
//! ```

mod adopt;
mod blocks;
mod boundary;
mod cache;
mod characters;
mod cut;
mod document;
mod encoding;
mod file;
mod free;
mod grapheme_table;
mod graphemes;
mod long;
mod merge;
mod pairs;
mod runs;
mod short;
mod split;
#[cfg(test)]
mod telling;
mod tokenizer;
mod unicode;
mod unicode_table;
mod vocabulary;
mod words;

pub use adopt::{NotAdopted, adopt};
pub use boundary::is_hard_boundary;
pub use cut::{Chunk, Keep};
pub use document::{Document, EditError, Progress};
pub use encoding::Encoding;
pub use file::LoadError;
pub use split::Cut;
pub use tokenizer::{
    DisallowedSpecial, SpecialSet, Specials, Tokenizer, UnknownToken, WrongVocabulary,
};
pub use vocabulary::Vocabulary;

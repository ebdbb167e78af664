//! The package's vocabularies, for tests.

use std::io::Read;
use std::sync::Arc;

use tokens::bpe::{Encoding, Tokenizer, Vocabulary};

/// A vocabulary file, unpacked.
pub(crate) fn file(name: &str) -> Vec<u8> {
    let path =
        format!("{}/../../wasm-client/vocabularies/{name}.merges.gz", env!("CARGO_MANIFEST_DIR"));
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(std::fs::File::open(path).expect("the vocabulary is there"))
        .read_to_end(&mut bytes)
        .expect("the vocabulary is gzip");
    bytes
}

pub(crate) fn tokenizer(encoding: Encoding) -> Tokenizer {
    let vocabulary = Vocabulary::load(&file(encoding.vocabulary())).expect("the file is sound");
    Tokenizer::new(encoding, Arc::new(vocabulary)).expect("the file is the encoding's")
}

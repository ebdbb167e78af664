//! Exact counting from outside: what holds for every text, and ids that tiktoken
//! gave or gives.

mod documents;
mod files;
mod fuzz;
mod generated;
mod ids;
mod published;
mod reference;
mod texts;

use std::cell::RefCell;
use std::io::Read;
use std::sync::Arc;

use tokens::bpe::{Encoding, Tokenizer, Vocabulary};

/// A vocabulary file, unpacked.
fn file(name: &str) -> Vec<u8> {
    let path =
        format!("{}/../../wasm-client/vocabularies/{name}.merges.gz", env!("CARGO_MANIFEST_DIR"));
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(std::fs::File::open(path).expect("the vocabulary is there"))
        .read_to_end(&mut bytes)
        .expect("the vocabulary is gzip");
    bytes
}

fn tokenizer(encoding: Encoding) -> Tokenizer {
    let vocabulary = Vocabulary::load(&file(encoding.vocabulary())).expect("the file is sound");
    Tokenizer::new(encoding, Arc::new(vocabulary)).expect("the file is the encoding's")
}

/// Runs `test` with the tokenizer of each encoding, loaded once a thread.
fn with_each<T>(mut test: impl FnMut(&mut Tokenizer) -> T) -> Vec<T> {
    thread_local! {
        static ALL: RefCell<[Tokenizer; 5]> = RefCell::new(Encoding::ALL.map(tokenizer));
    }
    ALL.with_borrow_mut(|all| all.iter_mut().map(&mut test).collect())
}

//! Exact counting from outside: what holds for every text, and ids that tiktoken
//! gave or gives.

#[path = "../common/mod.rs"]
mod common;
mod documents;
mod files;
mod fuzz;
mod generated;
mod ids;
mod published;
mod reference;
mod texts;

use std::cell::RefCell;

use common::{file, tokenizer};
use tokens::bpe::{Encoding, Tokenizer};

/// Runs `test` with the tokenizer of each encoding, loaded once a thread.
fn with_each<T>(mut test: impl FnMut(&mut Tokenizer) -> T) -> Vec<T> {
    thread_local! {
        static ALL: RefCell<[Tokenizer; 5]> = RefCell::new(Encoding::ALL.map(tokenizer));
    }
    ALL.with_borrow_mut(|all| all.iter_mut().map(&mut test).collect())
}

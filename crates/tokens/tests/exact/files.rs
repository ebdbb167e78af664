//! Bytes that are no vocabulary, and ids that are no token, are told so.

use std::sync::Arc;

use proptest::prelude::*;
use tokens::bpe::{Encoding, LoadError, Tokenizer, UnknownToken, Vocabulary, WrongVocabulary};

use super::file;

fn load(bytes: &[u8]) -> Result<(), LoadError> {
    Vocabulary::load(bytes).map(|_| ())
}

#[test]
fn damage_is_told_from_what_is_no_vocabulary() {
    let good = file("r50k_base");
    assert_eq!(load(&good), Ok(()));
    assert_eq!(load(b""), Err(LoadError::NotAVocabulary));
    assert_eq!(load(b"<!doctype html>".repeat(99).as_slice()), Err(LoadError::NotAVocabulary));
    let length = |found| Err(LoadError::Length { expected: good.len(), found });
    assert_eq!(load(&good[..good.len() - 1]), length(good.len() - 1));
    assert_eq!(load(&[good.as_slice(), b"\n"].concat()), length(good.len() + 1));
    for at in [8, 20, 40, 300, good.len() - 1] {
        let mut bad = good.clone();
        bad[at] ^= 1;
        assert_eq!(load(&bad), Err(LoadError::Damaged), "at {at}");
    }
}

#[test]
fn an_encoding_takes_its_own_vocabulary_only() {
    let r50k = Arc::new(Vocabulary::load(&file("r50k_base")).expect("the file is sound"));
    let outcome = Tokenizer::new(Encoding::P50kBase, r50k).map(|_| ());
    assert_eq!(outcome, Err(WrongVocabulary { expected: "p50k_base", found: "r50k_base" }));
}

#[test]
fn an_unknown_id_is_named() {
    let tokenizer = super::tokenizer(Encoding::P50kBase);
    assert_eq!(tokenizer.decode(&[50_256]).as_deref(), Ok(b"<|endoftext|>".as_slice()));
    for id in [50_281, u32::MAX] {
        assert_eq!(tokenizer.decode(&[0, id]), Err(UnknownToken { id }));
    }
}

proptest! {
    #[test]
    fn any_bytes_are_refused_without_a_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..900), ids in 256..360u32,
    ) {
        let _ = load(&bytes);
        // A header that fits, and a checksum that does: only the pairs are nonsense.
        let mut file = b"TGV1".to_vec();
        file.extend(ids.to_le_bytes());
        file.extend([0; 8]);
        file.extend(*b"r50k_base\0\0\0\0\0\0\0");
        file.extend(0..=255);
        file.extend(bytes.iter().cycle().take(if bytes.is_empty() { 0 } else { 6 * (ids as usize - 256) }));
        let sum = checksum(&file[16..]);
        file[8..16].copy_from_slice(&sum.to_le_bytes());
        if let Ok(vocabulary) = Vocabulary::load(&file) {
            let mut tokenizer = Tokenizer::new(Encoding::R50kBase, Arc::new(vocabulary)).expect("its name is r50k's");
            let text = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\u{4e2d}\u{6587}".repeat(9);
            prop_assert!(tokenizer.count(&text) > 0);
        }
    }
}

/// As `scripts/vocabularies.mjs` computes it.
fn checksum(content: &[u8]) -> u64 {
    content.chunks(8).fold(content.len() as u64, |hash, chunk| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        let hash = (hash ^ u64::from_le_bytes(word)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        hash ^ hash >> 32
    })
}

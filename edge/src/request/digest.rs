//! Hashes that stand for lists of texts: keys of the answer cache, names of Relays.

use sha2::{Digest, Sha256};

/// The hash of these parts, to which more may be added.
pub(super) fn of(parts: &[&str]) -> Sha256 {
    let mut hash = Sha256::new();
    for part in parts {
        // Lengths before texts: no two lists of parts hash alike.
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hash
}

/// As text.
pub(super) fn hex(hash: Sha256) -> String {
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

//! What every limit counts: requests, tokens, money.

/// Requests, tokens, micro-dollars.
pub(crate) type Three = [u64; 3];

pub(crate) fn add(sum: &mut Three, part: &Three) {
    for (sum, part) in sum.iter_mut().zip(part) {
        *sum = sum.saturating_add(*part);
    }
}

/// What of `whole` is beyond `part`.
pub(crate) fn less(whole: &Three, part: &Three) -> Three {
    std::array::from_fn(|kind| whole[kind].saturating_sub(part[kind]))
}

pub(crate) fn signed(amount: u64) -> i64 {
    i64::try_from(amount).unwrap_or(i64::MAX)
}

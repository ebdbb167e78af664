//! What an account's output bucket held, second by second: for pictures.

use limits::admin::{AdminInput, AdminReply};
use limits::message::{Millis, Tokens};
use limits::{Answer, Gate, Input};

use crate::world::CHUNK_MS;

/// One look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Since the scenario began.
    pub at_ms: Millis,
    /// What the provider's bucket holds; below zero: it is overdrawn, and refuses.
    pub left: i64,
    /// The least that it comes to if nothing more goes: nobody but the simulator knows
    /// how much the running answers will still generate. None: not looked at.
    pub least: Option<i64>,
    /// What the Gate lets new requests have of it; none: there is no Gate.
    pub free: Option<i64>,
}

/// What the Gate lets new requests have of the output now. Asked of a copy, so that
/// looking changes nothing.
pub(crate) fn free(gate: &Gate, now: Millis) -> Option<i64> {
    let output = gate.clone().handle(now, Input::Admin(AdminInput::State));
    let Answer::Admin(AdminReply::State(state)) = output.reply else { return None };
    let mut limits = state.pools.iter().flat_map(|pool| &pool.limits);
    limits.find(|limit| limit.kind == "output_tokens").map(|limit| limit.level)
}

/// The least that a bucket comes to which holds `left` and gets `per_minute`, while
/// these answers generate: what each still has, and its tokens in a chunk.
pub(crate) fn least(left: i64, per_minute: u64, mut running: Vec<(Tokens, Tokens)>) -> i64 {
    let gained = (per_minute * CHUNK_MS) as i64;
    let mut level = left * 60_000;
    let mut least = level;
    while !running.is_empty() {
        for (rest, speed) in &mut running {
            let tokens = (*speed).clamp(1, *rest);
            *rest -= tokens;
            level -= tokens as i64 * 60_000;
        }
        running.retain(|(rest, _)| *rest > 0);
        least = least.min(level);
        level += gained;
    }
    least / 60_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_is_where_refill_overtakes_what_is_generated() {
        // 300 a minute: one a chunk.
        assert_eq!(least(10, 300, Vec::new()), 10);
        assert_eq!(least(10, 300, vec![(6, 3)]), 10 - 3 + 1 - 3);
        assert_eq!(least(10, 300, vec![(4, 3), (9, 3)]), 10 - 6 + 1 - 4 + 1 - 3);
        assert_eq!(least(-5, 300, vec![(1, 3)]), -6);
    }
}

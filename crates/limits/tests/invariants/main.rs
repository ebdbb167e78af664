//! The invariants of ARCHITECTURE.md at the Gate, over random sequences of events
//! that shrink; each test is named by its own. That of whole streams (12) is
//! `crates/providers/tests/stream.rs`, all interleavings of three requests are
//! `small.rs`.

#[path = "../common/mod.rs"]
mod common;

mod books;
mod counts;
mod flood;
mod mirror;
mod others;

use limits::message::LimitView;
use limits::{Answer, Input};

/// A tenant's own limits, as it and its end user see them.
fn limits_of(shell: &mut common::Shell, tenant: &str, user: Option<&str>) -> Vec<LimitView> {
    let input = Input::View {
        tenant: tenant.into(),
        user: user.map(str::to_owned),
        account_scope: false,
        visitor: None,
    };
    match shell.step(input).reply {
        Answer::View(view) => {
            assert!(view.account_limits.is_empty());
            view.limits
        }
        other => panic!("{other:?}"),
    }
}

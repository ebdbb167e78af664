//! A client left: what it held comes back, and what was used all the same is charged.

mod common;

use common::*;
use limits::admin::Amounts;
use limits::message::{Admit, Decision, Event};
use limits::settings::GateSettings;

fn wide() -> GateSettings {
    settings(1_000, 10_000_000, 10_000_000)
}

#[test]
fn cancels_free_places_and_grants_even_before_their_admit() {
    let mut shell = Shell::new(wide(), r#"{"a":{"limits":{"concurrent":1}}}"#);
    assert!(is_granted(&shell.admit(admit("t0", "a"))));
    let waits = admit("t1", "a");
    assert!(matches!(shell.admit(waits.clone()), Decision::Queued { .. }));
    assert_eq!(shell.poll(waits), None);
    shell.event(Event::Cancelled { ticket: "t0".into(), attempt: 0 });
    assert_eq!(shell.answers.len(), 1, "its slot went to the next");
    shell.event(Event::Cancelled { ticket: "t9".into(), attempt: 0 });
    shell.admit(admit("t9", "a"));
    let spend = *shell.totals()["tenant/a"];
    assert_eq!((spend.open, spend.spent), (1, Amounts::default()));
}

/// An attempt broke after it was used; its settlement rides on the next one's admit, which
/// is late or lost. Meanwhile the client leaves, and the cancel goes first.
#[test]
fn a_cancel_that_overtakes_the_settlement_of_the_attempt_before_takes_nothing_from_it() {
    let cancelled = || Event::Cancelled { ticket: "t0".into(), attempt: 1 };
    let start = || {
        let mut shell = Shell::new(wide(), r#"{"a":{"limits":{"concurrent":5}}}"#);
        assert!(is_granted(&shell.admit(admit("t0", "a"))));
        shell.event(cancelled());
        let spend = *shell.totals()["tenant/a"];
        assert_eq!((spend.open, spend.reserved.tokens), (1, 2_000), "until it is told");
        shell
    };
    let spent = |shell: &mut Shell| {
        let spend = *shell.totals()["tenant/a"];
        (spend.open, spend.reserved.tokens, spend.spent.requests, spend.spent.tokens)
    };
    let mut late = start();
    for _ in 0..2 {
        let next = Admit { attempt: 1, ..admit("t0", "a") };
        late.call(Some(next), vec![settled("t0", "a")]);
        assert_eq!(spent(&mut late), (0, 0, 1, 1_100));
    }
    // Never told: as much as it can have been.
    let mut lost = start();
    lost.pass(lost.settings.ticket_ttl_ms + 10_000);
    assert_eq!(spent(&mut lost), (0, 0, 1, 2_000));
}

/// Nor does a cancel make room for what was used by the very attempt that it names.
#[test]
fn what_a_cancelled_attempt_used_all_the_same_is_charged_once() {
    let mut shell = Shell::new(wide(), r#"{"a":{}}"#);
    assert!(is_granted(&shell.admit(admit("t0", "a"))));
    let cancelled = || Event::Cancelled { ticket: "t0".into(), attempt: 0 };
    for _ in 0..2 {
        shell.event(cancelled());
        shell.event(settled("t0", "a"));
    }
    assert!(is_granted(&shell.admit(admit("t0", "a"))), "and a late double takes nothing");
    let spend = *shell.totals()["tenant/a"];
    assert_eq!((spend.open, spend.spent.requests, spend.spent.tokens), (0, 1, 1_100));
}

//! Messages that come twice, late or at once, are answered alike and change nothing.

mod common;

use common::*;
use limits::admin::Amounts;
use limits::message::{Admit, Call, Decision, Event, Lease, VERSION};
use limits::{Answer, Input};

fn now(ticket: &str) -> Admit {
    Admit { patience_ms: 0, ..admit(ticket, "a") }
}

/// Requests that run or wait, and what all of them hold.
fn held(shell: &mut Shell) -> (u64, Amounts) {
    let spend = *shell.totals()["tenant/a"];
    (spend.open, spend.reserved)
}

#[test]
fn a_late_double_of_a_refused_admit_is_refused_again_and_takes_nothing() {
    let tenants = r#"{"a":{"limits":{"concurrent":1},"budgets":[{"window":"day","tokens":3500}]}}"#;
    // At once, after a wait in a parked call, and at the end of its patience.
    for patience_ms in [0, 90_000] {
        let mut shell = Shell::new(wide(), tenants);
        assert!(is_granted(&shell.admit(admit("t0", "a"))));
        let ask = Admit { patience_ms, ..admit("t1", "a") };
        let (refused, at) = match shell.poll(ask.clone()) {
            Some(decision) => (decision, shell.now),
            None => {
                shell.pass(patience_ms);
                let (_, decision) = shell.answers.pop().expect("its time is over");
                (decision, shell.now)
            }
        };
        let Decision::Refused(refused) = refused else { panic!("{refused:?}") };
        let wait = refused.retry_after_ms.expect("it may come back");
        shell.event(settled("t0", "a"));
        let after = held(&mut shell);
        assert_eq!(after, (0, Amounts::default()));
        for late_ms in [0, 10, 2_000, 20_000] {
            shell.pass(at + late_ms - shell.now);
            for park in [false, true] {
                let again = ask.clone();
                let double = if park { shell.poll(again) } else { Some(shell.admit(again)) };
                let Some(Decision::Refused(double)) = double else { panic!("{double:?}") };
                assert_eq!(double.reason, refused.reason);
                assert_eq!(double.retry_after_ms, Some(wait.saturating_sub(late_ms).max(1)));
                assert_eq!(held(&mut shell), after, "{late_ms} ms late");
            }
        }
        assert!(is_granted(&shell.admit(now("t2"))), "another request is another matter");
    }
}

/// Its next attempt was not refused: neither is one that the provider put back.
#[test]
fn what_was_refused_is_that_attempt() {
    let mut shell = Shell::new(wide(), r#"{"a":{"limits":{"concurrent":1}}}"#);
    assert!(is_granted(&shell.admit(admit("t0", "a"))));
    assert!(!is_granted(&shell.admit(now("t1"))));
    shell.event(settled("t0", "a"));
    assert!(!is_granted(&shell.admit(now("t1"))));
    assert!(is_granted(&shell.admit(Admit { attempt: 1, ..now("t1") })));
}

/// It went without asking, for the answer did not come in time, and runs.
#[test]
fn who_runs_in_spite_of_a_refusal_is_accounted_for() {
    let mut shell = Shell::new(wide(), r#"{"a":{"limits":{"concurrent":1}}}"#);
    assert!(is_granted(&shell.admit(admit("t0", "a"))));
    assert!(!is_granted(&shell.admit(now("t1"))));
    assert!(is_granted(&shell.admit(running("t1", "a", 10))));
    assert_eq!(held(&mut shell).0, 2);
}

/// How many refusals are remembered is bounded: the last ones.
#[test]
fn a_flood_of_refusals_leaves_only_the_last_of_them() {
    let mut shell = Shell::new(wide(), r#"{"a":{"limits":{"concurrent":1}},"b":{}}"#);
    assert!(is_granted(&shell.admit(admit("t0", "a"))));
    for n in 0..70_000 {
        assert!(!is_granted(&shell.admit(now(&format!("n{n}")))));
    }
    shell.event(settled("t0", "a"));
    assert!(!is_granted(&shell.admit(now("n69999"))));
    assert!(!is_granted(&shell.admit(now("n10000"))));
    assert!(is_granted(&shell.admit(now("n0"))), "forgotten by then");
}

fn borrows(shell: &mut Shell, ticket: &str) -> Option<Lease> {
    let admit = Some(now(ticket));
    let call = Call { v: VERSION, admit, lend: 4, ..Call::default() };
    match shell.step(Input::Call(call)).reply {
        Answer::Reply(reply) => {
            assert!(reply.decision.as_ref().is_some_and(is_granted), "{reply:?}");
            reply.lease
        }
        other => panic!("{other:?}"),
    }
}

/// One of the two replies is read, whichever.
#[test]
fn the_double_of_a_question_for_a_lease_brings_the_same_lease() {
    let mut shell = Shell::new(wide(), r#"{"a":{}}"#);
    let lease = borrows(&mut shell, "t0").expect("limits are far");
    let before = held(&mut shell);
    assert_eq!(borrows(&mut shell, "t0"), Some(lease.clone()));
    assert_eq!(held(&mut shell), before);
    // Late, when it is used: nobody would draw on it.
    shell.event(settled("t0.0", "a"));
    assert_eq!(borrows(&mut shell, "t0"), None);
    shell.event(settled("t0", "a"));
    shell.event(Event::Returned { lease: lease.id, from: 1 });
    assert_eq!(held(&mut shell), (0, Amounts::default()));
}

#[test]
fn a_question_that_brought_no_lease_brings_none_when_it_comes_again() {
    let mut shell = Shell::new(wide(), r#"{"a":{"budgets":[{"window":"day","requests":100}]}}"#);
    for n in 0..95 {
        assert!(is_granted(&shell.admit(now(&format!("n{n}")))));
    }
    assert_eq!(borrows(&mut shell, "t0"), None, "the budget's end is near");
    for n in 0..95 {
        shell.event(settle(&format!("n{n}"), "a", limits::message::Used::Nothing));
    }
    assert_eq!(borrows(&mut shell, "t0"), None, "who asked has its answer");
    assert!(borrows(&mut shell, "t1").is_some());
}

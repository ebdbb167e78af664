//! Who is refused and comes back when it was told to.

mod common;

use common::*;
use limits::Input;
use limits::message::{Admit, Decision, Event, Millis, Observation};

/// A request a second, and a queue of ten seconds.
fn busy() -> Shell {
    let mut shell = Shell::new(settings(60, 100_000_000, 100_000_000), r#"{"t":{},"other":{}}"#);
    assert!(is_granted(&shell.admit(admit("first", "t"))));
    for n in 0..10 {
        assert_eq!(shell.poll(waits(&format!("before{n}"))), None);
    }
    shell
}

fn waits(ticket: &str) -> Admit {
    Admit { patience_ms: 3_600_000, ..admit(ticket, "t") }
}

/// A request of a size of its own that asks `at` and waits two seconds.
fn asks(ticket: &str, at: Millis) -> Admit {
    Admit { bytes: 777, patience_ms: 2_000, asked_ms: START + at, ..admit(ticket, "t") }
}

fn told(decision: &Decision) -> Millis {
    match decision {
        Decision::Refused(refusal) => refusal.retry_after_ms.expect("a time"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn its_place_is_before_all_who_asked_since() {
    let mut shell = busy();
    let told = told(&shell.admit(asks("mine", 0)));
    assert!((10_000..14_000).contains(&told), "{told}");
    for n in 0..10 {
        let since = Admit { asked_ms: START + 1, ..waits(&format!("since{n}")) };
        assert_eq!(shell.poll(since), None);
    }
    shell.pass(told);
    shell.answers.clear();
    assert_eq!(shell.poll(Admit { is_retry: Some(true), ..asks("again", told) }), None);
    shell.pass(1_100);
    let first = shell.answers.first().expect("a second has gone by");
    assert!(first.0 == "again" && is_granted(&first.1), "{:?}", shell.answers);
}

#[test]
fn nobody_else_takes_it_and_it_is_kept_for_a_while() {
    let mut shell = busy();
    let told = told(&shell.admit(asks("mine", 0)));
    // Room for it is left by its own line alone.
    for (other, at) in [("early", told / 2), ("other size", 0), ("other tenant", 0)] {
        let tenant = if other == "other tenant" { "other" } else { "t" };
        let bytes = if other == "other size" { 778 } else { 777 };
        let ask =
            Admit { bytes, key: format!("k-{tenant}"), tenant: tenant.into(), ..asks(other, at) };
        let is_refused = matches!(shell.admit(ask), Decision::Refused(_));
        assert_eq!(is_refused, tenant == "t", "{other}");
    }
    shell.pass(told + 60_000);
    assert_eq!(shell.answers.iter().filter(|(_, decision)| is_granted(decision)).count(), 10);
    assert!(is_granted(&shell.admit(asks("much later", told + 60_000))), "all is over");
}

#[test]
fn of_many_who_send_the_same_one_that_asks_for_the_first_time_is_not_taken_for_another() {
    for (is_retry, has_place) in [(Some(false), false), (Some(true), true), (None, true)] {
        let mut shell = busy();
        let told = [told(&shell.admit(asks("one", 0))), told(&shell.admit(asks("two", 0)))];
        for n in 0..10 {
            let since = Admit { asked_ms: START + 1, ..waits(&format!("since{n}")) };
            assert_eq!(shell.poll(since), None);
        }
        shell.pass(told[0]);
        let decision = shell.admit(Admit { is_retry, ..asks("again", told[0]) });
        let is_queued = matches!(decision, Decision::Queued { .. } | Decision::Granted { .. });
        assert_eq!(is_queued, has_place, "{is_retry:?}: {decision:?}");
    }
}

#[test]
fn while_the_provider_holds_the_pool_told_times_do_not_grow() {
    let mut shell = busy();
    let refused = Observation { retry_after_ms: Some(600_000), ..observed("first", 429, None) };
    shell.call(None, vec![Event::Observed(refused)]);
    let ask = |n: u64| Admit { bytes: 1_000 + n, ..asks(&format!("held{n}"), 0) };
    for n in 0..6 {
        let told = told(&shell.admit(ask(n)));
        assert!(told <= 700_000, "{n}: {told}");
        for _ in 0..100 {
            shell.pass(1_000);
            shell.step(Input::Wake);
        }
    }
    let after = told(&shell.admit(ask(6)));
    assert!(after < 60_000, "{after}");
}

#[test]
fn tenants_of_whom_nobody_is_here_do_not_count_in_anybodys_share() {
    let tenants: Vec<String> = (0..40).map(|n| format!(r#""gone{n}":{{}}"#)).collect();
    let policies = format!(r#"{{"t":{{}},"x":{{}},{}}}"#, tenants.join(","));
    let told_x = |are_away: bool| {
        let mut shell = Shell::new(settings(60, 100_000_000, 100_000_000), &policies);
        assert!(is_granted(&shell.admit(admit("first", "t"))));
        for n in 0..60 {
            assert_eq!(shell.poll(waits(&format!("before{n}"))), None);
        }
        assert_eq!(shell.poll(Admit { patience_ms: 3_600_000, ..admit("x0", "x") }), None);
        for n in 0..40 {
            let gone = Admit { patience_ms: 0, ..admit(&format!("gone{n}"), &format!("gone{n}")) };
            assert!(!are_away || matches!(shell.admit(gone), Decision::Refused(_)));
        }
        told(&shell.admit(Admit { patience_ms: 0, ..admit("x1", "x") }))
    };
    assert_eq!(told_x(true), told_x(false));
}

#[test]
fn a_full_queue_leaves_it_to_whom_it_is_kept_for() {
    let mut set = settings(60, 100_000_000, 100_000_000);
    set.queue.length_max = 10;
    let mut shell = Shell::new(set, r#"{"t":{},"other":{}}"#);
    assert!(is_granted(&shell.admit(admit("first", "t"))));
    for n in 0..10 {
        assert_eq!(shell.poll(waits(&format!("before{n}"))), None);
    }
    let at = told(&shell.admit(Admit { patience_ms: 60_000, ..asks("mine", 0) }));
    // Refused as the queue is full: no place is kept for it.
    let kept = told(&shell.admit(asks("kept", 0)));
    for n in 0..10 {
        shell.poll(waits(&format!("since{n}")));
    }
    shell.pass(at.max(kept));
    for n in 0..20 {
        shell.poll(waits(&format!("fills{n}")));
    }
    let full = shell.admit(Admit { is_retry: Some(true), ..asks("back", kept) });
    assert_eq!(reason(&full), "QueueFull");
    shell.pass(told(&full));
    let again = shell.admit(Admit { is_retry: Some(true), ..asks("again", 2 * kept) });
    assert!(is_granted(&again) || matches!(again, Decision::Queued { .. }), "{again:?}");
}

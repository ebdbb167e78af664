//! Who is refused and comes back when it was told to.

mod common;

use common::*;
use limits::message::{
    Admit, Call, Decision, Event, Millis, Observation, Pool, Settle, Used, VERSION,
};
use limits::{Answer, Input};

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

/// What one more of its line is told after these were refused.
fn told_after(refused: &[&str]) -> Millis {
    let mut shell = busy();
    for ticket in refused {
        told(&shell.admit(asks(ticket, 0)));
    }
    told(&shell.admit(Admit { bytes: 778, ..asks("newcomer", 0) }))
}

#[test]
fn a_message_that_comes_twice_has_one_place_and_one_time() {
    let mut shell = busy();
    let first = told(&shell.admit(asks("mine", 0)));
    shell.pass(500);
    assert_eq!(told(&shell.admit(asks("mine", 0))), first - 500);
    assert_eq!(told_after(&["mine", "mine", "mine"]), told_after(&["mine"]));
    assert!(told_after(&["mine", "mine2"]) > told_after(&["mine"]));
}

#[test]
fn a_client_that_comes_too_early_has_the_place_that_it_had() {
    let mut shell = busy();
    let first = told(&shell.admit(asks("mine", 0)));
    for n in 1..=3 {
        shell.pass(1_000);
        let early = asks(&format!("mine{n}"), n * 1_000);
        let told = told(&shell.admit(Admit { is_retry: Some(true), ..early }));
        assert_eq!(told, first - n * 1_000, "it gains and loses nothing");
    }
    let newcomer = |shell: &mut Shell| told(&shell.admit(Admit { bytes: 778, ..asks("new", 0) }));
    let mut patient = busy();
    assert_eq!(told(&patient.admit(asks("mine", 0))), first);
    patient.pass(3_000);
    assert_eq!(newcomer(&mut shell), newcomer(&mut patient), "nobody stands behind it twice");
    shell.pass(first - 3_000);
    let back = Admit { is_retry: Some(true), ..asks("back", first) };
    let decision = shell.admit(back);
    assert!(!matches!(decision, Decision::Refused(_)), "{decision:?}");
    // Of who says nothing, or that it is new, it may be another that sends the same.
    for is_retry in [None, Some(false)] {
        let mut shell = busy();
        told(&shell.admit(asks("mine", 0)));
        let other = told(&shell.admit(Admit { is_retry, ..asks("other", 0) }));
        assert!(other > first, "{is_retry:?}: {other}");
    }
}

#[test]
fn a_place_goes_to_no_other_user_that_gets_the_slot_of_its_owner() {
    const USERS: u64 = 50_000;
    let tenants = r#"{"t":{"users":{"limits":{"rpm":60}}},"other":{}}"#;
    let mut shell = Shell::new(settings(60, 100_000_000, 100_000_000), tenants);
    assert!(is_granted(&shell.admit(admit("first", "other"))));
    let held = Observation { retry_after_ms: Some(600_000), ..observed("first", 429, None) };
    shell.event(Event::Observed(held.clone()));
    let of =
        |ticket: String, user: u64| Admit { user: Some(format!("u{user}")), ..asks(&ticket, 0) };
    let first = told(&shell.admit(of("mine".into(), 0)));
    for user in 1..USERS {
        let asks = Admit { bytes: 778, ..of(format!("t{user}"), user) };
        assert!(matches!(shell.admit(asks), Decision::Refused(_)));
    }
    shell.pass(first);
    let held = Observation { attempt: 1, sent_ms: shell.now, ..held };
    shell.event(Event::Observed(held));
    // By now all are idle, and the slot of each goes to another one.
    for n in 0..USERS {
        let newcomer = Admit { is_retry: Some(true), ..of(format!("new{n}"), USERS + n) };
        let decision = shell.admit(newcomer);
        assert!(matches!(decision, Decision::Refused(_)), "{n} has another's place");
    }
}

#[test]
fn a_pools_slot_is_not_given_away_while_somebody_is_to_come_back_to_it() {
    let pool_of = |n: u64| Pool { class: format!("class{n}"), ..pool() };
    let mut shell = Shell::new(settings(60, 100_000_000, 100_000_000), r#"{"t":{}}"#);
    let of = |ticket: &str, n: u64| Admit { pool: pool_of(n), ..asks(ticket, 0) };
    let held = |ticket: &str, n: u64| {
        let refused = Observation { pool: pool_of(n), ..observed(ticket, 429, None) };
        Event::Observed(Observation { retry_after_ms: Some(60_000), ..refused })
    };
    let nothing = |ticket: &str, n: u64| match settle(ticket, "t", Used::Nothing) {
        Event::Settled(settle) => Event::Settled(Settle { pool: pool_of(n), ..settle }),
        other => other,
    };
    assert!(is_granted(&shell.admit(of("first", 0))));
    shell.call(None, vec![held("first", 0), nothing("first", 0)]);
    let first = told(&shell.admit(of("mine", 0)));
    // More pools than there are slots.
    for n in 1..=300 {
        shell.pass(1);
        let ticket = format!("t{n}");
        assert!(is_granted(&shell.admit(of(&ticket, n))), "{n}");
        shell.event(nothing(&ticket, n));
    }
    shell.pass(first - 300);
    for n in 0..30 {
        let ahead =
            Admit { patience_ms: 3_600_000, asked_ms: START + 1, ..of(&format!("a{n}"), 0) };
        shell.poll(Admit { bytes: 778, ..ahead });
    }
    let back = shell.admit(Admit { is_retry: Some(true), ..of("back", 0) });
    assert!(matches!(back, Decision::Queued { .. }), "{back:?}");
    shell.answers.clear();
    assert_eq!(shell.poll(Admit { is_retry: Some(true), ..of("back", 0) }), None);
    shell.pass(1_100);
    assert_eq!(shell.answers.first().map(|(ticket, _)| ticket.as_str()), Some("back"));
}

#[test]
fn nothing_is_lent_while_somebody_is_about_to_come_back() {
    let mut shell = Shell::new(settings(60_000, 100_000_000, 100_000_000), r#"{"t":{},"u":{}}"#);
    let lends = |shell: &mut Shell, ticket: &str| {
        let admit = Some(Admit { asked_ms: shell.now, ..admit(ticket, "u") });
        let call = Call { v: VERSION, admit, lend: 8, ..Call::default() };
        let Answer::Reply(reply) = shell.step(Input::Call(call)).reply else { panic!("a reply") };
        assert!(reply.decision.as_ref().is_some_and(is_granted), "{reply:?}");
        reply.lease.is_some()
    };
    assert!(lends(&mut shell, "first"));
    let held = Observation { retry_after_ms: Some(16_000), ..observed("first", 429, None) };
    shell.event(Event::Observed(held));
    let told = told(&shell.admit(asks("mine", 0)));
    // The hold is over before who was told of it comes.
    shell.pass(told);
    assert!(!lends(&mut shell, "while it is awaited"));
    assert!(is_granted(&shell.admit(Admit { is_retry: Some(true), ..asks("back", told) })));
    shell.event(settle("back", "t", Used::Nothing));
    assert!(lends(&mut shell, "it came"));
}

#[test]
fn a_budget_that_is_shut_when_its_turn_came_does_not_cost_it_its_place() {
    let tenants = r#"{"t":{"budgets":[{"window":"day","requests":12}]},"other":{}}"#;
    let mut shell = Shell::new(settings(60, 100_000_000, 100_000_000), tenants);
    // Half an hour before the day ends.
    shell.now += 13 * 3_600_000 + 1_800_000;
    let began = shell.now - START;
    assert!(is_granted(&shell.admit(admit("first", "t"))));
    for n in 0..11 {
        assert_eq!(shell.poll(waits(&format!("before{n}"))), None);
    }
    let first = told(&shell.admit(Admit { patience_ms: 2_000, ..asks("mine", began) }));
    shell.pass(first);
    shell.event(settled("first", "t"));
    (0..11).for_each(|n| shell.event(settled(&format!("before{n}"), "t")));
    let spent = shell.admit(Admit { is_retry: Some(true), ..asks("spent", began + first) });
    assert_eq!(reason(&spent), "BudgetSpent");
    let opens = told(&spent);
    assert!(opens < 1_800_000, "{opens}");
    shell.pass(1_000);
    let early = shell.admit(Admit { is_retry: Some(true), ..asks("early", began) });
    assert_eq!((reason(&early), told(&early)), ("BudgetSpent".into(), opens - 1_000));
    shell.pass(opens - 1_000);
    let asked_ms = shell.now;
    assert!(is_granted(&shell.admit(Admit { asked_ms, ..admit("next", "t") })));
    for n in 0..5 {
        assert_eq!(shell.poll(Admit { asked_ms, ..waits(&format!("since{n}")) }), None);
    }
    let back = Admit { is_retry: Some(true), asked_ms, ..asks("back", 0) };
    shell.answers.clear();
    assert_eq!(shell.poll(back), None);
    shell.pass(1_100);
    let order = shell.answers.first().map(|(ticket, _)| ticket.as_str());
    assert_eq!(order, Some("back"), "{:?}", shell.answers);
}

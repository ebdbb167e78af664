//! What the provider tells the Gate: refusals, spend caps, limits that nobody knew.

mod common;

use common::*;
use limits::admin::{AdminInput, AdminReply, Amounts};
use limits::message::{Admit, Decision, Event, Observation, Reason, Used};
use limits::settings::GateSettings;

#[test]
fn a_provider_refusal_regains_its_place_and_nobody_goes_before() {
    let mut shell = Shell::new(wide(), r#"{"a":{}}"#);
    assert!(is_granted(&shell.admit(admit("t0", "a"))));
    let refused = Observation { retry_after_ms: Some(3_000), ..observed("t0", 429, None) };
    let again = Admit { attempt: 1, ..admit("t0", "a") };
    let events = vec![Event::Observed(refused), settle("t0", "a", Used::Nothing)];
    let reply = shell.call(Some(again.clone()), events);
    assert!(matches!(reply.decision, Some(Decision::Queued { .. })), "{reply:?}");
    let later = Admit { asked_ms: START + 1, ..admit("t1", "a") };
    assert!(matches!(shell.admit(later.clone()), Decision::Queued { .. }));
    assert_eq!((shell.poll(later), shell.poll(again)), (None, None));
    shell.pass(2_999);
    assert!(shell.answers.is_empty(), "earlier retries fail");
    shell.pass(1);
    let order: Vec<&str> = shell.answers.iter().map(|(ticket, _)| ticket.as_str()).collect();
    assert_eq!(order, ["t0", "t1"]);
    assert_eq!(shell.totals()["tenant/a"].spent, Amounts::default());
}

#[test]
fn a_refusal_told_twice_teaches_once() {
    let mut shell = Shell::new(wide(), r#"{"a":{}}"#);
    let refused = |attempt: u32, sent_ms: u64| {
        let seen = observed("t0", 429, None);
        Event::Observed(Observation { attempt, sent_ms, retry_after_ms: Some(3_000), ..seen })
    };
    let pool_now = |shell: &mut Shell| match shell.admin(AdminInput::State) {
        AdminReply::State(state) => {
            let pool = &state.pools[0];
            (pool.held_until_ms, pool.headroom_permille, pool.refused_upstream)
        }
        other => panic!("{other:?}"),
    };
    assert!(is_granted(&shell.admit(admit("t0", "a"))));
    shell.call(None, vec![refused(0, START), refused(0, START)]);
    let once = pool_now(&mut shell);
    assert_eq!(once, (START + 3_000, 30, 1));
    // Resent after its settlement and hold, while the next attempt runs.
    shell.event(settle("t0", "a", Used::Nothing));
    shell.pass(3_001);
    assert!(is_granted(&shell.admit(Admit { attempt: 1, ..admit("t0", "a") })));
    shell.event(refused(0, START));
    assert_eq!(pool_now(&mut shell), once);
    // The next attempt's own is news; so is that of a Worker that does not
    // count attempts.
    shell.event(refused(1, START + 3_001));
    assert_eq!(pool_now(&mut shell), (START + 6_001, 60, 2));
    shell.pass(3_001);
    shell.event(refused(0, START + 6_002));
    assert_eq!(pool_now(&mut shell), (START + 9_002, 100, 3));
}

#[test]
fn a_spend_cap_told_again_after_a_resume_does_not_stop() {
    let mut shell = Shell::new(wide(), r#"{"a":{}}"#);
    assert!(is_granted(&shell.admit(admit("t0", "a"))));
    let mut cap = observed("t0", 429, None);
    cap.error_code = Some("contract_spend_limit_reached".into());
    shell.event(Event::Observed(cap.clone()));
    assert_eq!(reason(&shell.admit(admit("t1", "a"))), "ProviderSpendCap");
    shell.admin(AdminInput::Resume { account: "acct".into() });
    shell.event(Event::Observed(cap));
    assert!(is_granted(&shell.admit(admit("t2", "a"))));
}

#[test]
fn a_spend_cap_stops_the_account_until_the_month_ends() {
    let mut shell = Shell::new(settings(60, 1_000_000, 1_000_000), r#"{"a":{}}"#);
    assert!(is_granted(&shell.admit(admit("t0", "a"))));
    let waits = admit("t1", "a");
    shell.admit(waits.clone());
    assert_eq!(shell.poll(waits), None);
    let mut cap = observed("t0", 429, None);
    cap.error_code = Some("enforced_spend_limit_reached".into());
    shell.event(Event::Observed(cap));
    let (ticket, decision) = shell.answers.pop().expect("who waits is told");
    assert_eq!((ticket.as_str(), reason(&decision).as_str()), ("t1", "ProviderSpendCap"));
    shell.restart();
    match shell.admit(admit("t2", "a")) {
        Decision::Refused(refusal) => assert_eq!(refusal.retry_after_ms, None, "no retry"),
        other => panic!("{other:?}"),
    }
    assert_eq!(shell.admin(AdminInput::Resume { account: "acct".into() }), AdminReply::Done);
    assert!(!matches!(shell.admit(admit("t3", "a")), Decision::Refused(_)));
}

#[test]
fn unknown_limits_start_slowly_and_open_with_the_first_answer() {
    let mut shell = Shell::new(GateSettings::default(), r#"{"a":{}}"#);
    let granted =
        (0..20).filter(|n| is_granted(&shell.admit(admit(&format!("t{n}"), "a")))).count();
    assert_eq!(granted, 1, "50 a minute, by the second");
    shell.pass(2_600);
    assert_eq!(shell.totals()["tenant/a"].open, 3);
    shell.pass(4_000);
    assert_eq!(shell.totals()["tenant/a"].open, 4, "and no more before an answer");
    let mut seen = observed("t0", 200, Some((6_000, 5_996)));
    let level = |limit| limits::message::Level { limit, remaining: limit, reset_ms: None };
    (seen.input, seen.output) = (Some(level(1_000_000)), Some(level(200_000)));
    shell.event(Event::Observed(seen));
    shell.pass(1_000);
    let open = shell.totals()["tenant/a"].open;
    assert_eq!(open, 20);
}

#[test]
fn an_answer_ends_the_pace_of_the_unknown_whatever_it_tells() {
    for told in [Some((6_000, 5_999)), None] {
        let mut shell = Shell::new(GateSettings::default(), r#"{"a":{}}"#);
        assert!(is_granted(&shell.admit(admit("t0", "a"))));
        shell.pass(3);
        shell.event(Event::Observed(observed("t0", 200, told)));
        assert!(is_granted(&shell.admit(admit("t1", "a"))), "{told:?}");
    }
}

#[test]
fn an_accounts_places_are_kept_and_go_to_who_waits_as_soon_as_one_is_free() {
    let mut settings = wide();
    let account = settings.accounts.get_mut("acct").expect("it has one");
    account.limits.get_mut("*").expect("of every class").concurrent = Some(2);
    let mut shell = Shell::new(settings, r#"{"a":{},"b":{}}"#);
    assert!(is_granted(&shell.admit(admit("t0", "a"))));
    assert!(is_granted(&shell.admit(admit("t1", "b"))));
    match shell.admit(Admit { patience_ms: 0, ..admit("t2", "a") }) {
        Decision::Refused(refusal) => {
            assert_eq!(refusal.reason, Reason::ProviderLimit);
            assert_eq!(refusal.limit.map(|limit| limit.kind), Some("concurrent".into()));
            assert!(refusal.retry_after_ms.is_some_and(|ms| ms > 0));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(shell.poll(admit("t3", "a")), None, "it waits");
    shell.event(settled("t0", "a"));
    assert_eq!(shell.answers.len(), 1, "the place went on in the same step");
    assert!(shell.answers[0].0 == "t3" && is_granted(&shell.answers[0].1));
    let other = limits::message::Pool { class: "other".into(), ..pool() };
    assert!(is_granted(&shell.admit(Admit { pool: other, ..admit("t4", "a") })), "its own places");
    // A restart forgets who runs until each tells; those it counts again.
    shell.restart();
    for (id, tenant) in [("t1", "b"), ("t3", "a")] {
        assert!(is_granted(&shell.admit(running(id, tenant, 10))));
    }
    assert_eq!(reason(&shell.admit(Admit { patience_ms: 0, ..admit("t5", "a") })), "ProviderLimit");
}

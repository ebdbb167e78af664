//! The Gate from outside: what it answers, in which words, and what it holds.

mod common;

use common::*;
use limits::admin::{AdminInput, AdminReply, Amounts};
use limits::message::{Admit, Decision, Event, Observation, Priority, Reason, Settle, Used};
use limits::policy::Tenants;
use limits::settings::GateSettings;
use limits::{Answer, Input};

#[test]
fn who_may_not_ask_is_told_why_and_takes_nothing() {
    let tenants = r#"{"a":{"models":["claude-*"],"priority":{"highest":"normal"}},"b":{}}"#;
    let mut shell = Shell::new(wide(), tenants);
    let mut revoked = key("a");
    revoked.id = "old".into();
    shell.admin(AdminInput::AddKey(revoked));
    shell.admin(AdminInput::RevokeKey { id: "old".into() });
    let mut expired = key("a");
    expired.id = "late".into();
    expired.expires_ms = Some(START);
    shell.admin(AdminInput::AddKey(expired));
    let a = || admit("t", "a");
    for (ask, reason) in [
        (admit("t", "nobody"), Reason::UnknownTenant),
        (Admit { key: "old".into(), ..a() }, Reason::KeyRevoked),
        (Admit { key: "late".into(), ..a() }, Reason::KeyRevoked),
        (Admit { key: "never".into(), ..a() }, Reason::KeyRevoked),
        (Admit { key: "k-b".into(), ..a() }, Reason::KeyRevoked),
        (Admit { model: "gpt".into(), ..a() }, Reason::ModelNotAllowed),
        (Admit { priority: Priority::Critical, ..a() }, Reason::PriorityNotAllowed),
        (Admit { input_tokens: (1 << 40) + 1, ..a() }, Reason::TooLarge),
    ] {
        match shell.admit(ask.clone()) {
            Decision::Refused(refusal) => assert_eq!(refusal.reason, reason, "{ask:?}"),
            other => panic!("{ask:?}: {other:?}"),
        }
    }
    assert_eq!(shell.totals()["deployment"].reserved, Amounts::default());
    assert!(is_granted(&shell.admit(a())));
}

#[test]
fn a_limit_that_refuses_leaves_all_others_untouched() {
    let tenants = r#"{"a":{"limits":{"rpm":2},"budgets":[{"window":"day","usd":"0.025"}]}}"#;
    let mut shell = Shell::new(wide(), tenants);
    let now = Admit { patience_ms: 0, ..admit("", "a") };
    let ask = |n: u32| Admit { ticket: format!("t{n}"), ..now.clone() };
    assert!(is_granted(&shell.admit(ask(0))));
    // The money holds one more cent and a half: the third is held back by the
    // budget, the request bucket keeps its one.
    let dear = Admit { microusd_max: 20_000, ..ask(1) };
    assert_eq!(reason(&shell.admit(dear)), "TenantLimit");
    assert!(is_granted(&shell.admit(ask(2))));
    assert_eq!(shell.totals()["tenant/a"].reserved.requests, 2);
    assert_eq!(reason(&shell.admit(ask(3))), "TenantLimit");
    let dearer = Admit { microusd_max: 25_001, ..ask(4) };
    assert_eq!(reason(&shell.admit(dearer)), "TooLarge");
}

#[test]
fn what_a_client_left_behind_is_charged_to_its_tenant_and_not_to_the_providers_bucket() {
    let mut shell = Shell::new(settings(60_000, 10_000_000, 60_000), r#"{"a":{}}"#);
    assert!(is_granted(&shell.admit(Admit { max_tokens: 50_000, ..admit("left", "a") })));
    shell.pass(1_000);
    // It left before the provider told of a token, so its bound is all that is known.
    let used = Used::Tokens {
        input: 1_000,
        input_total: 1_000,
        output: 50_000,
        microusd: 750_000,
        estimated: true,
    };
    let Event::Settled(settle) = settle("left", "a", used) else { unreachable!() };
    shell.event(Event::Settled(Settle { max_tokens: 50_000, ran_ms: 1_000, ..settle }));
    assert_eq!(shell.totals()["tenant/a"].spent.tokens, 51_000);
    // Lengths of 1,000 without memory: 59,100 less the margin hold more than forty.
    let ask = |n: u32| Admit { patience_ms: 0, ..admit(&format!("t{n}"), "a") };
    let granted = (0..60).filter(|n| is_granted(&shell.admit(ask(*n)))).count();
    assert!(granted > 40, "{granted}");
}

#[test]
fn admit_and_settle_are_idempotent() {
    let mut shell = Shell::new(wide(), r#"{"a":{}}"#);
    for _ in 0..3 {
        assert!(is_granted(&shell.admit(admit("t", "a"))));
    }
    assert_eq!(shell.totals()["tenant/a"].open, 1);
    for _ in 0..3 {
        shell.event(settled("t", "a"));
    }
    // A late double of the admit takes nothing.
    assert!(is_granted(&shell.admit(admit("t", "a"))));
    let spend = *shell.totals()["tenant/a"];
    assert_eq!(spend.spent, Amounts { requests: 1, tokens: 1_100, microusd: 1_000 });
    assert_eq!((spend.open, spend.reserved), (0, Amounts::default()));
}

#[test]
fn a_spent_budget_names_the_days_end_and_opens_then() {
    let tenants = r#"{"a":{"budgets":[{"window":"day","requests":1}]},"b":{}}"#;
    let mut shell = Shell::new(wide(), tenants);
    assert!(is_granted(&shell.admit(admit("t0", "a"))));
    shell.event(settled("t0", "a"));
    let day_left = 86_400_000 - START % 86_400_000;
    match shell.admit(admit("t1", "a")) {
        Decision::Refused(refusal) => {
            assert_eq!(refusal.reason, Reason::BudgetSpent);
            assert_eq!(refusal.retry_after_ms, Some(day_left));
            let limit = refusal.limit.expect("names the limit");
            assert_eq!((limit.scope.as_str(), limit.kind.as_str()), ("tenant", "requests_day"));
            assert_eq!((limit.level, limit.capacity), (0, 1));
        }
        other => panic!("{other:?}"),
    }
    assert!(is_granted(&shell.admit(admit("t2", "b"))), "another tenant's budget is its own");
    shell.now += day_left;
    assert!(is_granted(&shell.admit(admit("t3", "a"))));
}

#[test]
fn the_deployments_budget_binds_all_and_shows_nobody_its_numbers() {
    let budgets = json::from_str(r#"[{"window":"day","requests":2}]"#).expect("sound");
    let mut shell = Shell::new(GateSettings { budgets, ..wide() }, r#"{"a":{},"b":{}}"#);
    for (ticket, tenant) in [("t0", "a"), ("t1", "b")] {
        assert!(is_granted(&shell.admit(admit(ticket, tenant))));
        shell.event(settled(ticket, tenant));
    }
    match shell.admit(admit("t2", "a")) {
        Decision::Refused(refusal) => {
            assert_eq!(refusal.reason, Reason::DeploymentBudgetSpent);
            assert_eq!(refusal.limit.map(|limit| (limit.level, limit.capacity)), Some((0, 0)));
        }
        other => panic!("{other:?}"),
    }
}

/// Of several that are shut the one that shuts longest is told, whosever it is: who comes
/// when another opens would be refused again.
#[test]
fn the_budget_that_shuts_longest_is_told() {
    let budgets = json::from_str(r#"[{"window":"day","requests":1}]"#).expect("sound");
    let tenants = r#"{
        "t":{"budgets":[{"window":"month","requests":1}]},
        "u":{"limits":{"rpm":1},"users":{"budgets":[{"window":"month","requests":1}]}}
    }"#;
    let of_user = |ticket: &str| Admit { user: Some("ann".into()), ..admit(ticket, "u") };
    for (first, second, scope, settings) in [
        (admit("a", "t"), admit("b", "t"), "tenant", GateSettings { budgets, ..wide() }),
        // The tenant's own bucket is empty, too: nobody waits for it in vain.
        (of_user("a"), of_user("b"), "user", wide()),
    ] {
        let mut shell = Shell::new(settings, tenants);
        let tenant = first.tenant.clone();
        assert!(is_granted(&shell.admit(first)));
        shell.event(settled("a", &tenant));
        let Decision::Refused(refusal) = shell.admit(second) else {
            panic!("{scope}: it is spent")
        };
        assert_eq!(refusal.reason, Reason::BudgetSpent, "{scope}");
        let limit = refusal.limit.expect("one");
        assert_eq!((limit.scope.as_str(), limit.kind.as_str()), (scope, "requests_month"));
        assert_eq!(refusal.retry_after_ms, Some(limit.resets_ms), "{scope}");
    }
}

#[test]
fn end_users_have_limits_of_their_own() {
    let tenants = r#"{"a":{"users":{"limits":{"rpm":1,"concurrent":1},"budgets":[{"window":"day","tokens":4000}]}}}"#;
    let mut shell = Shell::new(wide(), tenants);
    let ask = |ticket: &str, user: &str| Admit {
        user: Some(user.into()),
        patience_ms: 0,
        ..admit(ticket, "a")
    };
    assert!(is_granted(&shell.admit(ask("t0", "u"))));
    assert_eq!(reason(&shell.admit(ask("t1", "u"))), "UserLimit");
    assert!(is_granted(&shell.admit(ask("t2", "v"))), "another user");
    assert!(is_granted(&shell.admit(admit("t3", "a"))), "no user");
    let view = match shell
        .step(Input::View {
            tenant: "a".into(),
            user: Some("u".into()),
            account_scope: false,
            visitor: None,
        })
        .reply
    {
        Answer::View(view) => view,
        other => panic!("{other:?}"),
    };
    let of_user: Vec<_> = view.limits.iter().filter(|limit| limit.scope == "user").collect();
    assert_eq!(of_user.len(), 3);
    assert!(view.account_limits.is_empty(), "an account's levels need their scope");
    assert_eq!(view.available[0].requests, 0);
    assert_eq!(view.available[0].input_tokens, 2_000);
}

#[test]
fn no_tenants_users_lock_out_anothers() {
    let users = r#"{"users":{"budgets":[{"window":"day","requests":9}]}}"#;
    let tenants = format!(r#"{{"a":{users},"b":{users}}}"#);
    let mut shell = Shell::new(settings(600_000_000, 1 << 50, 1 << 50), &tenants);
    let mut met = |tenant: &str, most: usize| {
        let granted = |n: &usize| {
            let name = format!("{tenant}{n}");
            let ask = admit(&name, tenant);
            let ask = Admit { user: Some(name.clone()), patience_ms: 0, ..ask };
            let decision = shell.admit(ask);
            shell.event(settled(&name, tenant));
            is_granted(&decision) || reason(&decision) != "UserLimit"
        };
        (0..most).take_while(granted).count()
    };
    // Half of 50,000 for whoever comes, the other half in equal shares.
    assert_eq!(met("a", 50_000), 25_000);
    assert_eq!(met("b", 50_000), 12_500);
}

#[test]
fn a_look_at_limits_remembers_no_user() {
    let tenants =
        r#"{"a":{"users":{"limits":{"rpm":50},"budgets":[{"window":"day","requests":9}]}}}"#;
    let mut shell = Shell::new(wide(), tenants);
    for n in 0..=50_000 {
        let user = Some(format!("u{n}"));
        let look = Input::View { tenant: "a".into(), user, account_scope: false, visitor: None };
        let Answer::View(view) = shell.step(look).reply else { panic!("a view") };
        let seen: Vec<_> = view
            .limits
            .iter()
            .map(|l| (l.scope.as_str(), l.level, l.per_s, l.per_minute))
            .collect();
        // 50 a minute are less than one a second, and told.
        assert_eq!(seen, [("user", 50, 0, 50), ("user", 9, 0, 0)]);
    }
    let one = Admit { user: Some("one".into()), ..admit("t", "a") };
    assert!(is_granted(&shell.admit(one)), "there is room");
    assert_eq!(shell.totals().len(), 3, "deployment, tenant, one user");
}

#[test]
fn a_full_pool_queues_in_order_and_answers_parked_calls_when_it_refills() {
    // 60 a minute: one a second, after the burst's margin.
    let mut shell = Shell::new(settings(60, 1_000_000, 1_000_000), r#"{"a":{}}"#);
    assert!(is_granted(&shell.admit(admit("t0", "a"))));
    for n in 1..4 {
        let ask = Admit { asked_ms: START + n, ..admit(&format!("t{n}"), "a") };
        assert!(matches!(shell.admit(ask.clone()), Decision::Queued { .. }));
        assert_eq!(shell.poll(ask), None, "parked");
    }
    assert!(shell.wake_at.is_some());
    shell.pass(10_000);
    let order: Vec<&str> = shell.answers.iter().map(|(ticket, _)| ticket.as_str()).collect();
    assert_eq!(order, ["t1", "t2", "t3"]);
    assert!(shell.answers.iter().all(|(_, decision)| is_granted(decision)));
}

#[test]
fn a_slice_ends_with_queued_and_a_lost_waiter_gives_up_its_place() {
    let mut shell = Shell::new(settings(1, 1_000_000, 1_000_000), r#"{"a":{}}"#);
    assert!(is_granted(&shell.admit(admit("t0", "a"))));
    let patient = |ticket: &str| Admit { patience_ms: 200_000, ..admit(ticket, "a") };
    assert!(matches!(shell.admit(patient("t1")), Decision::Queued { .. }));
    assert_eq!(shell.poll(patient("t1")), None);
    shell.step(Input::Release { ticket: "t1".into() });
    assert!(matches!(shell.answers.pop(), Some((_, Decision::Queued { .. }))));
    assert!(matches!(shell.admit(patient("t2")), Decision::Queued { .. }));
    assert_eq!(shell.poll(patient("t2")), None);
    // t1 never comes back: three slices later t2 is alone.
    shell.pass(130_000);
    let answers = std::mem::take(&mut shell.answers);
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert_eq!(answers[0].0, "t2");
    assert!(is_granted(&answers[0].1));
}

#[test]
fn deadlines_bounds_and_hopeless_waits_refuse_with_a_time() {
    let mut set = settings(1, 1_000_000, 1_000_000);
    set.queue.length_max = 1;
    let mut shell = Shell::new(set, r#"{"a":{}}"#);
    assert!(is_granted(&shell.admit(admit("t0", "a"))));
    // One a minute: 30 s of patience are not enough, and it is said at once.
    match shell.admit(admit("t1", "a")) {
        Decision::Refused(refusal) => {
            assert_eq!(refusal.reason, Reason::ProviderLimit);
            let wait = refusal.retry_after_ms.expect("a time");
            assert!((59_000..=61_000).contains(&wait), "{wait}");
            shell.pass(wait);
        }
        other => panic!("{other:?}"),
    }
    assert!(is_granted(&shell.admit(admit("t2", "a"))), "that time comes true");
    let patient = |ticket: &str| Admit { patience_ms: 130_000, ..admit(ticket, "a") };
    assert!(matches!(shell.admit(patient("t3")), Decision::Queued { .. }));
    assert_eq!(reason(&shell.admit(patient("t4"))), "QueueFull");
    // Its client's patience shrinks with each poll: at its end it is answered.
    assert_eq!(shell.poll(Admit { patience_ms: 5_000, ..patient("t3") }), None);
    shell.pass(5_000);
    let (ticket, decision) = shell.answers.pop().expect("answered by its deadline");
    assert_eq!((ticket.as_str(), reason(&decision).as_str()), ("t3", "Deadline"));
}

#[test]
fn who_would_wait_too_long_by_a_guess_at_its_length_waits_as_long_as_it_can() {
    // By a guess three a minute go.
    let mut shell = Shell::new(settings(60, 1_000_000, 3_000), r#"{"a":{}}"#);
    let long = |ticket: &str| Admit { max_tokens: 32_000, ..admit(ticket, "a") };
    let mut waiting = 0;
    for n in 0..20 {
        match shell.admit(long(&format!("t{n}"))) {
            Decision::Granted { .. } => {}
            Decision::Queued { .. } => waiting += 1,
            Decision::Refused(refusal) => panic!("{refusal:?}"),
        }
        shell.now += 1_000;
    }
    assert!(waiting >= 16, "{waiting}");
    assert_eq!(reason(&shell.admit(Admit { patience_ms: 0, ..long("now") })), "ProviderLimit");
    // Where another limit alone is too late, nothing is guessed.
    let mut shell = Shell::new(settings(1, 1_000_000, 3_000), r#"{"a":{}}"#);
    assert!(is_granted(&shell.admit(long("t0"))));
    assert_eq!(reason(&shell.admit(long("t1"))), "ProviderLimit");
}

#[test]
fn what_was_never_asked_for_is_charged_in_full_and_waits_no_more() {
    let unasked = |ticket: &str| match settled(ticket, "a") {
        Event::Settled(settle) => Event::Settled(Settle { unasked: true, ..settle }),
        other => panic!("{other:?}"),
    };
    let mut shell = Shell::new(settings(60, 1_000_000, 1_000_000), r#"{"a":{}}"#);
    // The Gate that could not be reached is, as a rule, one that restarts.
    shell.restart();
    for _ in 0..2 {
        shell.event(unasked("t0"));
    }
    let one = Amounts { requests: 1, tokens: 1_100, microusd: 1_000 };
    assert_eq!(shell.totals()["tenant/a"].spent, one);
    // Asked, of a Gate that restarted since: what was written ahead covers it.
    shell.event(settled("t1", "a"));
    assert_eq!(shell.totals()["tenant/a"].spent, one);
    // Its admit was queued, too late for the Worker; another attempt's stays.
    assert!(matches!(shell.admit(admit("t2", "a")), Decision::Granted { .. }));
    for ticket in ["t3", "t4"] {
        assert!(matches!(shell.admit(admit(ticket, "a")), Decision::Queued { .. }), "{ticket}");
    }
    let waiting = |shell: &mut Shell| match shell.admin(AdminInput::State) {
        AdminReply::State(state) => state.waiting[1],
        other => panic!("{other:?}"),
    };
    shell.event(unasked("t3"));
    assert_eq!(waiting(&mut shell), 1);
    let Event::Settled(other) = unasked("t4") else { panic!("a settlement") };
    shell.event(Event::Settled(Settle { attempt: 7, ..other }));
    assert_eq!(waiting(&mut shell), 1, "t4 waits for another attempt");
    assert_eq!(shell.totals()["tenant/a"].open, 1, "nothing is granted for nobody");
}

#[test]
fn messages_of_the_version_before_are_read() {
    let Event::Settled(settle) = settled("t", "a") else { panic!("a settlement") };
    let mut old = serde_json::to_value(&settle).expect("plain data");
    assert_eq!(old.get("unasked"), None, "not told where it says nothing");
    let read: Settle = serde_json::from_value(old.clone()).expect("readable");
    assert_eq!(read, settle);
    old["unasked"] = true.into();
    assert!(serde_json::from_value::<Settle>(old).expect("readable").unasked);
    let mut old = serde_json::to_value(observed("t", 429, None)).expect("plain data");
    old.as_object_mut().expect("an object").remove("attempt");
    assert_eq!(serde_json::from_value::<Observation>(old).expect("readable").attempt, 0);
}

#[test]
fn tickets_that_nobody_renews_expire_at_their_worst_case() {
    let mut shell = Shell::new(wide(), r#"{"a":{}}"#);
    shell.admit(admit("t0", "a"));
    shell.admit(admit("t1", "a"));
    shell.pass(14 * 60_000);
    assert!(is_granted(&shell.admit(running("t1", "a", 50))));
    shell.pass(2 * 60_000);
    let spend = *shell.totals()["tenant/a"];
    assert_eq!(spend.spent, Amounts { requests: 1, tokens: 2_000, microusd: 10_000 });
    assert_eq!(spend.open, 1);
    shell.event(settled("t0", "a"));
    assert_eq!(shell.totals()["tenant/a"].spent.microusd, 10_000, "never refunded");
}

#[test]
fn a_restart_remembers_tenants_keys_spend_and_versions() {
    let tenants = r#"{"a":{"budgets":[{"window":"day","requests":100}]}}"#;
    let mut shell = Shell::new(wide(), tenants);
    for n in 0..10 {
        let ticket = format!("t{n}");
        shell.admit(admit(&ticket, "a"));
        shell.event(settled(&ticket, "a"));
    }
    shell.admit(admit("open", "a"));
    let version = shell.call(Some(running("open", "a", 0)), vec![]).policy.expect("news").version;
    shell.restart();
    let spent = shell.totals()["tenant/a"].spent;
    assert!(spent.requests >= 11 && spent.requests <= 11 + 2, "{spent:?}");
    // A renewal rebuilds the ticket; its settlement is covered by the ceiling.
    assert!(is_granted(&shell.admit(running("open", "a", 10))));
    assert_eq!(shell.totals()["tenant/a"].open, 1);
    shell.event(settled("open", "a"));
    // So is one that comes without.
    shell.event(settled("t9", "a"));
    assert_eq!(shell.totals()["tenant/a"].spent, spent);
    let again = shell.call(Some(admit("new", "a")), vec![]).policy.expect("news").version;
    assert_eq!(again, version);
}

#[test]
fn a_quiet_gate_loses_nothing_in_a_restart() {
    let mut shell = Shell::new(wide(), r#"{"a":{"budgets":[{"window":"day","usd":"100"}]}}"#);
    shell.admit(admit("t0", "a"));
    shell.event(settled("t0", "a"));
    shell.pass(5_000);
    assert_eq!(shell.wake_at, None, "nothing keeps it awake");
    shell.restart();
    assert_eq!(shell.totals()["tenant/a"].spent.microusd, 1_000);
}

/// The platform ends a Gate that nobody asks: who comes back when it was told to finds
/// neither a chunk of a bucket gone nor the seconds before the row was written.
#[test]
fn a_restart_in_the_quiet_changes_no_time_that_was_told() {
    let [slow, plain] = [r#"{"a":{"limits":{"rpm":2}}}"#, r#"{"a":{}}"#];
    for (settings, tenants) in [(wide(), slow), (settings(2, 1 << 40, 1 << 40), plain)] {
        for quiet_ms in [5_000, 15_000] {
            let mut shell = Shell::new(settings.clone(), tenants);
            for ticket in ["t0", "t1"] {
                shell.admit(admit(ticket, "a"));
                shell.event(settled(ticket, "a"));
                shell.pass(2_000);
            }
            let impatient = |ticket: &str| Admit { patience_ms: 0, ..admit(ticket, "a") };
            let Decision::Refused(refusal) = shell.admit(impatient("t2")) else { panic!("empty") };
            let told = refusal.retry_after_ms.expect("a time");
            assert!(told > quiet_ms, "{told}");
            shell.pass(quiet_ms);
            shell.restart();
            shell.event(Event::Observed(observed("another", 200, None)));
            shell.pass(told - quiet_ms);
            assert!(is_granted(&shell.admit(impatient("t3"))), "{tenants}, told {told}");
        }
    }
}

/// Who comes after a while goes at once, though the platform ended the Gate meanwhile.
#[test]
fn the_first_after_a_restart_in_the_quiet_waits_for_nobody() {
    let mut shell = Shell::new(settings(50, 1 << 40, 1 << 40), r#"{"a":{}}"#);
    for n in 0..4 {
        let ticket = format!("t{n}");
        let impatient = Admit { patience_ms: 0, ..admit(&ticket, "a") };
        assert!(is_granted(&shell.admit(impatient)), "{n}");
        shell.event(settled(&ticket, "a"));
        shell.pass(15_000);
        shell.restart();
    }
}

#[test]
fn a_gate_that_is_asked_now_and_then_learns_through_its_restarts() {
    let mut shell = Shell::new(settings(1_000, 1 << 40, 1_000), r#"{"a":{}}"#);
    for n in 0..8 {
        let ticket = format!("t{n}");
        assert!(is_granted(&shell.admit(admit(&ticket, "a"))));
        shell.event(settled(&ticket, "a"));
        shell.pass(5_000);
        restart(&mut shell);
        shell.pass(60_000);
    }
    // A hundred tokens each, as those were, and not a thousand.
    let impatient = |ticket: &str| Admit { patience_ms: 0, ..admit(ticket, "a") };
    for ticket in ["one", "two"] {
        assert!(is_granted(&shell.admit(impatient(ticket))), "{ticket}");
        shell.now += 1_000;
    }
}

#[test]
fn apply_tells_changes_is_idempotent_and_prunes_only_when_told() {
    let mut shell = Shell::new(wide(), r#"{"a":{"weight":2},"b":{}}"#);
    let file = |json: &str| serde_json::from_str::<Tenants>(json).expect("sound");
    let mut apply = |json: &str, prune, dry_run| match shell.admin(AdminInput::Apply {
        tenants: file(json),
        prune,
        dry_run,
    }) {
        AdminReply::Applied { changes, .. } => {
            changes.into_iter().map(|change| change.path).collect::<Vec<_>>()
        }
        other => panic!("{other:?}"),
    };
    let next = r#"{"tenants":{"a":{"weight":3,"limits":{"rpm":5}}}}"#;
    let changes = ["tenants.a.limits.rpm", "tenants.a.weight"];
    assert_eq!(apply(next, false, true), changes);
    assert_eq!(apply(next, false, false), changes);
    assert_eq!(apply(next, false, false), [""; 0]);
    assert_eq!(apply(next, true, false), ["tenants.b"]);
    let unsound = r#"{"tenants":{"a":{"weight":0}}}"#;
    let reply =
        shell.admin(AdminInput::Apply { tenants: file(unsound), prune: false, dry_run: false });
    assert!(matches!(reply, AdminReply::Unsound { .. }), "{reply:?}");
    assert_eq!(reason(&shell.admit(admit("t", "b"))), "UnknownTenant");
    let exported = shell.admin(AdminInput::Export);
    assert_eq!(exported, AdminReply::Tenants(file(next)));
}

#[test]
fn policies_go_out_when_they_change() {
    let mut shell = Shell::new(wide(), r#"{"a":{},"b":{}}"#);
    let policy = shell.call(Some(admit("t0", "a")), vec![]).policy.expect("none was held");
    assert_eq!((policy.known, policy.keys.as_slice()), (true, ["k-a".to_owned()].as_slice()));
    let holding = |version| limits::message::Call {
        v: 1,
        admit: Some(admit("t0", "a")),
        policy_version: Some(version),
        ..Default::default()
    };
    let told = |shell: &mut Shell, version| match shell.step(Input::Call(holding(version))).reply {
        Answer::Reply(reply) => reply.policy,
        other => panic!("{other:?}"),
    };
    assert_eq!(told(&mut shell, policy.version), None);
    shell.admin(AdminInput::RevokeKey { id: "k-b".into() });
    assert_eq!(told(&mut shell, policy.version), None, "another tenant's change");
    shell.admin(AdminInput::RevokeKey { id: "k-a".into() });
    let news = told(&mut shell, policy.version).expect("news");
    assert!(news.keys.is_empty() && news.version > policy.version);
}

#[test]
fn a_budget_of_models_counts_only_them_after_many_changes() {
    let mut shell = Shell::new(settings(1_000, 10_000_000, 10_000_000), r#"{"t":{}}"#);
    for n in 0..200 {
        let file = format!(
            r#"{{"tenants":{{"t":{{"budgets":[{{"window":"day","requests":1,"models":["model-{n}"]}}]}}}}}}"#
        );
        let tenants = serde_json::from_str(&file).expect("sound");
        shell.admin(AdminInput::Apply { tenants, prune: false, dry_run: false });
    }
    for n in 0..3 {
        assert!(is_granted(&shell.admit(admit(&format!("other{n}"), "t"))), "of another model");
    }
    let of =
        |ticket: &str| Admit { model: "model-199".into(), patience_ms: 0, ..admit(ticket, "t") };
    assert!(is_granted(&shell.admit(of("first"))));
    assert!(!is_granted(&shell.admit(of("second"))), "a request a day");
}

#[test]
fn a_refusal_names_the_budget_that_refused() {
    let tenants = r#"{"t":{"budgets":[
        {"window":"day","usd":"100"},
        {"window":"day","usd":"0.01","models":["claude-sonnet-*"]}
    ]}}"#;
    let mut shell = Shell::new(settings(1_000, 10_000_000, 10_000_000), tenants);
    assert!(is_granted(&shell.admit(admit("first", "t"))));
    shell.event(settled("first", "t"));
    let Decision::Refused(refusal) = shell.admit(admit("second", "t")) else {
        panic!("it is spent")
    };
    let limit = refusal.limit.expect("one");
    assert_eq!((limit.capacity, limit.models), (10_000, vec!["claude-sonnet-*".to_owned()]));
}

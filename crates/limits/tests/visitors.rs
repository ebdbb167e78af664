//! Visitors of a tenant's pages: each has limits of its own, all of them a day's
//! budget, and neither touches what the tenant's servers may use.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Shell, admit, is_granted, reason, settings, settled};
use limits::admin::{AdminInput, AdminReply, Key, KeyKind};
use limits::message::{Admit, Call, Decision, EndUser, VERSION, View, VisitorBounds};
use limits::settings::GateSettings;
use limits::{Answer, Input};

/// Visitors: two requests a minute, at most 9,000 tokens a day. All: 5 cents.
const TENANT: &str = r#"{"a":{"limits":{"rpm":100},"users":{"limits":{"rpm":1}},"publishable":{
    "origins":["https://a.example"],"models":["claude-sonnet-*"],"max_tokens":1000,"system":"Be kind.",
    "visitor":{"limits":{"rpm":2},"budgets":[{"window":"day","tokens":9000}]},"usd_day":"0.05"}},"b":{}}"#;

fn wide() -> GateSettings {
    settings(600_000, 1 << 40, 1 << 40)
}

fn by(ticket: &str, user: EndUser<'_>) -> Admit {
    Admit { user: Some(user.text()), patience_ms: 0, ..admit(ticket, "a") }
}

fn view(shell: &mut Shell, user: EndUser<'_>) -> View {
    let look = Input::View {
        tenant: "a".into(),
        user: Some(user.text()),
        account_scope: false,
        visitor: None,
    };
    match shell.step(look).reply {
        Answer::View(view) => view,
        other => panic!("{other:?}"),
    }
}

#[test]
fn no_kind_of_end_user_passes_for_another() {
    for user in [
        EndUser::Named("ann"),
        EndUser::Visitor("ann"),
        EndUser::Visitor("address 1.2.3.4"),
        EndUser::Address("1.2.3.4"),
    ] {
        assert_eq!(EndUser::of(&user.text()), user);
    }
}

#[test]
fn each_visitor_has_limits_of_its_own() {
    let mut shell = Shell::new(wide(), TENANT);
    let (ann, bob) = (EndUser::Visitor("ann"), EndUser::Visitor("bob"));
    for (ticket, user, expected) in [
        ("t0", ann, None),
        ("t1", ann, None),
        ("t2", ann, Some("UserLimit")),
        ("t3", bob, None),
        ("t4", EndUser::Address("ann"), None),
        ("t5", EndUser::Named("ann"), None),
        ("t6", EndUser::Named("ann"), Some("UserLimit")),
    ] {
        let decision = shell.admit(by(ticket, user));
        let refused = (!is_granted(&decision)).then(|| reason(&decision));
        assert_eq!(refused.as_deref(), expected, "{ticket}");
        // The day's budget of all would end it sooner.
        shell.event(settled(ticket, "a"));
    }
    let Decision::Refused(refusal) = shell.admit(by("t7", ann)) else { panic!("a refusal") };
    let limit = refusal.limit.unwrap();
    assert_eq!((limit.scope.as_str(), limit.capacity), ("visitor", 2));
}

#[test]
fn all_visitors_share_a_days_budget_that_servers_do_not() {
    let mut shell = Shell::new(wide(), TENANT);
    // A cent each at most; five of them hold the day's five.
    for n in 0..5 {
        assert!(is_granted(&shell.admit(by(&format!("t{n}"), EndUser::Address(&n.to_string())))));
    }
    let Decision::Refused(refusal) = shell.admit(by("t5", EndUser::Visitor("new"))) else {
        panic!("a refusal")
    };
    assert_eq!(format!("{:?}", refusal.reason), "BudgetSpent");
    let limit = refusal.limit.unwrap();
    assert_eq!((limit.scope.as_str(), limit.level, limit.capacity), ("publishable", 0, 0));
    assert!(is_granted(&shell.admit(admit("s0", "a"))), "a server of the same tenant");
    // What a restart finds is what was spent, at least.
    let before = *shell.totals()["publishable/a"];
    assert_eq!(before.reserved.microusd, 50_000);
    shell.restart();
    let after = *shell.totals()["publishable/a"];
    assert!(after.spent.microusd >= 50_000, "{after:?}");
    let decision = shell.admit(by("t6", EndUser::Visitor("new")));
    assert_eq!(reason(&decision), "BudgetSpent");
    shell.now += 86_400_000;
    assert!(is_granted(&shell.admit(by("t7", EndUser::Visitor("new")))), "the next day");
}

#[test]
fn what_visitors_hold_does_not_hold_servers_up() {
    let mut shell = Shell::new(wide(), TENANT);
    for n in 0..5 {
        assert!(is_granted(&shell.admit(by(&format!("t{n}"), EndUser::Address(&n.to_string())))));
    }
    let patient = Admit { patience_ms: 60_000, ..by("t5", EndUser::Visitor("new")) };
    assert!(matches!(shell.admit(patient), Decision::Queued { .. }));
    shell.step(Input::Wake);
    assert!(is_granted(&shell.admit(Admit { patience_ms: 0, ..admit("s0", "a") })));
}

/// A visitor's admit by the token that allows so much.
fn ask(shell: &mut Shell, ticket: &str, visitor: Option<VisitorBounds>) -> Decision {
    let admit = by(ticket, EndUser::Visitor("ann"));
    let call = Call { v: VERSION, admit: Some(admit), visitor, ..Call::default() };
    match shell.step(Input::Call(call)).reply {
        Answer::Reply(reply) => reply.decision.unwrap(),
        other => panic!("{other:?}"),
    }
}

fn token(id: &str, ends_ms: u64, tokens: Option<u64>, microusd: Option<u64>) -> VisitorBounds {
    VisitorBounds { token: id.into(), ends_ms, tokens, microusd }
}

#[test]
fn a_visitor_token_tightens_what_its_visitor_may_use() {
    let mut shell = Shell::new(wide(), TENANT);
    let ends = shell.now + 600_000;
    let tokens = |id: &str, tokens| Some(token(id, ends, Some(tokens), None));
    let usd = |microusd| Some(token("c", ends, None, Some(microusd)));
    let ask = |shell: &mut Shell, ticket: &str, bounds| ask(shell, ticket, bounds);
    assert_eq!(reason(&ask(&mut shell, "t0", tokens("a", 1_999))), "TooLarge", "2,000 at most");
    assert_eq!(reason(&ask(&mut shell, "t1", usd(9_999))), "TooLarge");
    assert!(is_granted(&ask(&mut shell, "t2", tokens("b", 2_001))));
    assert_eq!(reason(&ask(&mut shell, "t3", tokens("b", 2_001))), "UserLimit", "held");
    assert!(is_granted(&ask(&mut shell, "t4", tokens("d", 2_000))), "another token's is its own");
    assert_eq!(reason(&ask(&mut shell, "t5", tokens("e", u64::MAX))), "UserLimit", "two a minute");
    shell.now += 60_000;
    assert!(is_granted(&ask(&mut shell, "t6", None)), "the tenant's own budget is larger");
    assert!(is_granted(&ask(&mut shell, "t7", None)));
    shell.now += 60_000;
    assert_eq!(reason(&ask(&mut shell, "t8", tokens("f", u64::MAX))), "UserLimit", "and holds");
}

#[test]
fn a_visitor_token_is_bounded_over_its_life_whatever_day_it_is() {
    let mut shell = Shell::new(wide(), &TENANT.replace(r#""tokens":9000"#, r#""tokens":900000"#));
    // Ten minutes before midnight (UTC); the token lives for twenty.
    shell.now = (shell.now / 86_400_000 + 1) * 86_400_000 - 600_000;
    let late = token("late", shell.now + 1_200_000, Some(2_500), None);
    let spend = |shell: &mut Shell, ticket: &str, bounds: &VisitorBounds| {
        let decision = ask(shell, ticket, Some(bounds.clone()));
        if is_granted(&decision) {
            shell.event(settled(ticket, "a"));
        }
        decision
    };
    assert!(is_granted(&spend(&mut shell, "t0", &late)));
    let level = |shell: &mut Shell, bounds: &VisitorBounds| {
        let look = Input::View {
            tenant: "a".into(),
            user: Some(EndUser::Visitor("ann").text()),
            account_scope: false,
            visitor: Some(bounds.clone()),
        };
        match shell.step(look).reply {
            Answer::View(view) => {
                let life = view.limits.into_iter().find(|limit| limit.kind == "tokens_life");
                life.map(|limit| (limit.level, limit.capacity))
            }
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(level(&mut shell, &late), Some((1_400, 2_500)));
    shell.now += 900_000;
    let Decision::Refused(refusal) = spend(&mut shell, "t1", &late) else {
        panic!("after midnight it is the same token")
    };
    assert_eq!(format!("{:?}", refusal.reason), "BudgetSpent");
    assert_eq!(refusal.retry_after_ms, None, "it never opens");
    let limit = refusal.limit.unwrap();
    assert_eq!((limit.scope.as_str(), limit.kind.as_str()), ("visitor", "tokens_life"));
    // A restart forgets nothing of it, and another token knows nothing of it.
    shell.restart();
    assert_eq!(reason(&spend(&mut shell, "t2", &late)), "BudgetSpent");
    let next = token("next", shell.now + 600_000, Some(2_500), None);
    assert_eq!(level(&mut shell, &next), Some((2_500, 2_500)), "a look takes nothing");
    // What the visitor may ask a minute is full again.
    shell.now += 60_000;
    assert!(is_granted(&spend(&mut shell, "t3", &next)));
    // A change of the tenant's table does not give it back either.
    let wider = TENANT.replace(r#""tokens":9000"#, r#""tokens":9000000"#);
    let tenants = serde_json::from_str(&format!(r#"{{"tenants":{wider}}}"#)).unwrap();
    shell.admin(AdminInput::Apply { tenants, prune: false, dry_run: false });
    shell.now += 60_000;
    assert_eq!(reason(&spend(&mut shell, "t4", &next)), "BudgetSpent");
}

#[test]
fn a_visitors_tokens_are_bounded_in_number() {
    let many = TENANT.replace(r#""rpm":2"#, r#""rpm":200"#).replace("9000", "9000000");
    let mut shell = Shell::new(wide(), &many.replace(r#""0.05""#, "1000"));
    for n in 0..16_u64 {
        let ends = shell.now + 60_000 + n;
        let decision = ask(
            &mut shell,
            &format!("t{n}"),
            Some(token(&format!("k{n}"), ends, Some(5_000), None)),
        );
        assert!(is_granted(&decision), "{n}");
        shell.event(settled(&format!("t{n}"), "a"));
    }
    let one_more = Some(token("more", shell.now + 600_000, Some(5_000), None));
    let Decision::Refused(refusal) = ask(&mut shell, "u0", one_more.clone()) else { panic!() };
    assert_eq!(refusal.retry_after_ms, Some(60_000), "when the first of them ends");
    shell.now += 60_000;
    assert!(is_granted(&ask(&mut shell, "u1", one_more)));
}

#[test]
fn a_visitor_sees_nothing_but_its_own() {
    let mut shell = Shell::new(wide(), TENANT);
    for met in [false, true] {
        if met {
            assert!(is_granted(&shell.admit(by("t0", EndUser::Visitor("ann")))));
        }
        let seen = view(&mut shell, EndUser::Visitor("ann"));
        let scopes: Vec<_> = seen.limits.iter().map(|l| (&*l.scope, &*l.kind, l.level)).collect();
        let (requests, tokens) = if met { (1, 7_000) } else { (2, 9_000) };
        let own = [("visitor", "requests", requests), ("visitor", "tokens_day", tokens)];
        assert_eq!(scopes, own, "met: {met}");
        let policy = seen.policy.publishable.unwrap();
        assert_eq!((policy.max_tokens, policy.system.as_deref()), (1_000, Some("Be kind.")));
        assert!(seen.available.iter().all(|pool| pool.requests <= 2));
    }
    let server = view(&mut shell, EndUser::Named("ann"));
    assert!(server.limits.iter().all(|limit| limit.scope != "visitor"));
}

#[test]
fn a_tenant_without_the_table_has_no_publishable_keys_and_no_visitors() {
    let mut shell = Shell::new(wide(), TENANT);
    let key = |tenant: &str| Key {
        id: format!("pk{tenant}"),
        kind: KeyKind::Publishable,
        ..common::key(tenant)
    };
    let AdminReply::Rejected { message } = shell.admin(AdminInput::AddKey(key("b"))) else {
        panic!("rejected")
    };
    assert!(message.contains("publishable"), "{message}");
    assert!(matches!(shell.admin(AdminInput::AddKey(key("a"))), AdminReply::Key(_)));
    let ask = Admit { user: Some(EndUser::Visitor("u").text()), ..admit("t0", "b") };
    assert_eq!(reason(&shell.admit(ask)), "KeyRevoked");
    let other = Admit { model: "claude-opus-5-5".into(), ..by("t1", EndUser::Address("x")) };
    assert_eq!(reason(&shell.admit(other)), "ModelNotAllowed");
}

#[test]
fn a_visitor_is_lent_nothing() {
    let mut shell = Shell::new(wide(), TENANT);
    let admit = by("t0", EndUser::Visitor("ann"));
    let call = Call { v: VERSION, admit: Some(admit), lend: 64, ..Call::default() };
    let Answer::Reply(reply) = shell.step(Input::Call(call)).reply else { panic!("a reply") };
    assert_eq!((reply.decision.map(|d| is_granted(&d)), reply.lease), (Some(true), None));
}

#[test]
fn addresses_are_bounded_and_lock_nobody_out_whom_a_server_names() {
    let tenants =
        TENANT.replace(r#""0.05""#, "1000000").replace(r#""rpm":100"#, r#""rpm":1000000"#);
    let mut shell = Shell::new(settings(600_000_000, 1 << 50, 1 << 50), &tenants);
    let mut met = 0;
    for n in 0..10_001 {
        let ticket = format!("t{n}");
        let decision = shell.admit(by(&ticket, EndUser::Address(&n.to_string())));
        met += usize::from(is_granted(&decision));
        if is_granted(&decision) {
            shell.event(settled(&ticket, "a"));
        } else {
            assert_eq!(reason(&decision), "UserLimit");
        }
    }
    assert_eq!(met, 10_000, "each of them spent today, so none is forgotten");
    assert!(is_granted(&shell.admit(by("v", EndUser::Visitor("ann")))));
    assert!(is_granted(&shell.admit(by("n", EndUser::Named("ann")))));
    shell.now += 86_400_000;
    assert!(is_granted(&shell.admit(by("x", EndUser::Address("another")))), "the next day");
}

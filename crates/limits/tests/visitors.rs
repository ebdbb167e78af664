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
    let look = Input::View { tenant: "a".into(), user: Some(user.text()), account_scope: false };
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
    let before = shell.totals()["publishable/a"];
    assert_eq!(before.reserved.microusd, 50_000);
    shell.restart();
    let after = shell.totals()["publishable/a"];
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

#[test]
fn a_visitor_token_tightens_its_visitors_day() {
    let mut shell = Shell::new(wide(), TENANT);
    let mut ask = |ticket: &str, visitor: Option<VisitorBounds>| {
        let admit = by(ticket, EndUser::Visitor("ann"));
        let call = Call { v: VERSION, admit: Some(admit), visitor, ..Call::default() };
        match shell.step(Input::Call(call)).reply {
            Answer::Reply(reply) => reply.decision.unwrap(),
            other => panic!("{other:?}"),
        }
    };
    let tokens = |tokens| Some(VisitorBounds { tokens: Some(tokens), microusd: None });
    let usd = |microusd| Some(VisitorBounds { tokens: None, microusd: Some(microusd) });
    assert_eq!(reason(&ask("t0", tokens(1_999))), "TooLarge", "2,000 at most are needed");
    assert_eq!(reason(&ask("t1", usd(9_999))), "TooLarge");
    assert!(is_granted(&ask("t2", tokens(2_000))));
    assert_eq!(reason(&ask("t3", tokens(2_001))), "UserLimit", "held");
    assert!(is_granted(&ask("t4", None)), "the tenant's own budget is larger");
    assert_eq!(reason(&ask("t5", tokens(u64::MAX))), "UserLimit", "and holds all the same");
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

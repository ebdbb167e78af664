//! What others hold of a budget, beside what is spent of it: whoever fits goes, and who
//! does not is told which budget it is, and until when it is held.

mod common;

use common::{Shell, admit, is_granted, settled, wide};
use limits::admin::Amounts;
use limits::jobs::{JobInput, JobReply};
use limits::message::{Admit, Decision, EndUser, LimitView, Reason, Refusal};
use limits::settings::GateSettings;
use limits::{Answer, Input};

/// Ten thousand tokens a day, for its servers and for visitors of its pages.
const TENANT: &str = r#"{"a":{"budgets":[{"window":"day","tokens":10000}],"publishable":{
    "origins":["https://a.example"],"models":["claude-sonnet-*"],"max_tokens":9000,
    "system":"Be kind.","visitor":{"limits":{"rpm":20}},"usd_day":"5"}}}"#;

/// A request that holds `tokens` of a budget.
fn holds(shell: &Shell, ticket: &str, user: &str, tokens: u64) -> Admit {
    let user = (!user.is_empty()).then(|| user.to_owned());
    let (asked_ms, max_tokens) = (shell.now, tokens - 1_000);
    Admit { user, asked_ms, max_tokens, ..admit(ticket, "a") }
}

fn run(shell: &mut Shell, ticket: &str, tokens: u64) {
    let ask = holds(shell, ticket, "", tokens);
    assert!(is_granted(&shell.admit(ask)), "{ticket}");
}

/// Refused at once with this much patience, and why.
fn refused(shell: &mut Shell, ticket: &str, tenant: &str, patience_ms: u64) -> Refusal {
    let ask = Admit { asked_ms: shell.now, patience_ms, ..admit(ticket, tenant) };
    match shell.admit(ask) {
        Decision::Refused(refusal) => refusal,
        other => panic!("{ticket}: {other:?}"),
    }
}

fn limit(refusal: &Refusal) -> (&str, &str) {
    let LimitView { scope, kind, .. } = refusal.limit.as_deref().expect("a limit refuses");
    (scope, kind)
}

/// All ten requests of a budget, until then.
fn reserve(shell: &mut Shell, id: &str, requests: u64, ttl_ms: u64) {
    let amounts = Amounts { requests, tokens: 1_000_000, microusd: 50_000_000 };
    let input = JobInput::Reserve { id: id.into(), amounts, ttl_ms };
    let job = Input::Job { tenant: "a".into(), key: "k-a".into(), input };
    match shell.step(job).reply {
        Answer::Job(JobReply::Job(_)) => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn who_needs_too_much_of_what_is_left_holds_up_only_its_own_line() {
    let visitor = EndUser::Visitor("ann").text();
    for large in ["large", visitor.as_str()] {
        let mut shell = Shell::new(wide(), TENANT);
        run(&mut shell, "runs", 6_000);
        let ask = holds(&shell, "waits", large, 5_000);
        assert_eq!(shell.poll(ask), None);
        for (ticket, user) in [("t0", "small"), ("t1", "")] {
            let ask = Admit { patience_ms: 0, ..holds(&shell, ticket, user, 2_000) };
            assert!(is_granted(&shell.admit(ask)), "{ticket} beside {large}");
        }
        assert!(shell.answers.is_empty(), "{large} still waits");
    }
}

#[test]
fn what_comes_back_is_for_who_has_waited_longest_then_for_who_fits() {
    for (left, goes) in
        [(2_000, ["middle"].as_slice()), (5_000, &["large"]), (7_000, &["large", "middle"])]
    {
        let mut shell = Shell::new(wide(), TENANT);
        run(&mut shell, "rest", 8_900 - left);
        // It uses 1,100, and holds all but a thousand of what is left.
        run(&mut shell, "runs", left + 100);
        for (user, tokens) in [("large", 5_000), ("larger", 8_000), ("middle", 1_900)] {
            let ask = holds(&shell, user, user, tokens);
            assert_eq!(shell.poll(ask), None, "{user}");
        }
        shell.event(settled("runs", "a"));
        let went: Vec<_> = shell.answers.iter().map(|(ticket, _)| ticket.as_str()).collect();
        assert_eq!(went, goes, "{left}");
    }
}

#[test]
fn until_a_job_ends_that_holds_a_budget_is_told_and_is_true() {
    let budgets = json::from_str(r#"[{"window":"day","requests":10}]"#).expect("budgets");
    let of_all = GateSettings { budgets, ..wide() };
    let of_tenant = r#"{"a":{"budgets":[{"window":"day","requests":10}]},"b":{}}"#;
    for (settings, tenants, who, reason, scope) in [
        (wide(), of_tenant, "a", Reason::BudgetSpent, "tenant"),
        (of_all, r#"{"a":{},"b":{}}"#, "b", Reason::DeploymentBudgetSpent, "deployment"),
    ] {
        let mut shell = Shell::new(settings, tenants);
        reserve(&mut shell, "short", 1, 5_000_000);
        reserve(&mut shell, "long", 9, 9_000_000);
        // Patience does not help: it is told at once.
        for (ticket, patience_ms) in [("t0", 0), ("t1", 30_000)] {
            let refusal = refused(&mut shell, ticket, who, patience_ms);
            assert_eq!((refusal.reason, limit(&refusal)), (reason, (scope, "requests_day")));
            assert_eq!(refusal.retry_after_ms, Some(5_000_000));
        }
        shell.pass(5_000_000);
        let ask = Admit { patience_ms: 0, asked_ms: shell.now, ..admit("t2", who) };
        assert!(is_granted(&shell.admit(ask)));
        shell.event(settled("t2", who));
        assert_eq!(refused(&mut shell, "t3", who, 0).retry_after_ms, Some(4_000_000));
    }
}

#[test]
fn a_job_that_holds_a_part_gives_way_when_the_next_window_opens() {
    let mut shell = Shell::new(wide(), r#"{"a":{"budgets":[{"window":"day","requests":10}]}}"#);
    let day_ms = 86_400_000;
    reserve(&mut shell, "j", 6, 3 * day_ms);
    for ticket in ["t0", "t1", "t2", "t3"] {
        run(&mut shell, ticket, 2_000);
        shell.event(settled(ticket, "a"));
    }
    let tomorrow = day_ms - shell.now % day_ms;
    assert_eq!(refused(&mut shell, "t4", "a", 0).retry_after_ms, Some(tomorrow));
    shell.pass(tomorrow);
    let ask = Admit { patience_ms: 0, ..holds(&shell, "t5", "", 2_000) };
    assert!(is_granted(&shell.admit(ask)));
    // The rest of the next day's is held by one that runs.
    reserve(&mut shell, "j", 9, 2 * day_ms);
    let refusal = refused(&mut shell, "t6", "a", 0);
    assert_eq!(refusal.reason, Reason::TenantLimit);
    assert!(refusal.retry_after_ms.is_some_and(|ms| ms < 60_000), "{refusal:?}");
}

#[test]
fn what_requests_hold_of_the_deployment_s_budget_is_told_by_their_usual_time() {
    let budgets = json::from_str(r#"[{"window":"day","usd":"0.1"}]"#).expect("budgets");
    let mut shell =
        Shell::new(GateSettings { budgets, leases: false, ..wide() }, r#"{"a":{},"b":{}}"#);
    for n in 0..10 {
        run(&mut shell, &format!("t{n}"), 2_000);
    }
    let refusal = refused(&mut shell, "now", "b", 0);
    assert_eq!(refusal.reason, Reason::DeploymentBudgetSpent);
    assert_eq!(limit(&refusal), ("deployment", "microusd_day"));
    let usual = refusal.retry_after_ms.expect("it comes back");
    assert!(usual >= 1_000, "{usual}");
    let patient = admit("waits", "b");
    assert_eq!(shell.admit(patient.clone()), Decision::Queued { wait_ms: usual });
    assert_eq!(shell.poll(patient), None);
    shell.pass(30_000);
    let (_, decision) = shell.answers.first().expect("its time ran out");
    let Decision::Refused(refusal) = decision else { panic!("{decision:?}") };
    assert_eq!(
        (refusal.reason, limit(refusal)),
        (Reason::Deadline, ("deployment", "microusd_day"))
    );
    assert_eq!(refusal.retry_after_ms, Some(usual));
}

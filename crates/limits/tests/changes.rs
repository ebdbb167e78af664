//! What operators change while requests wait and run: keys, tenants, budgets.

mod common;

use common::*;
use limits::admin::{AdminInput, AdminReply, Amounts};
use limits::message::{Admit, Decision, Event, Reason, Used};
use limits::settings::GateSettings;

fn wide() -> GateSettings {
    GateSettings { leases: false, ..settings(600_000, 1 << 40, 1 << 40) }
}

fn apply(shell: &mut Shell, tenants: &str, prune: bool) {
    let file = format!(r#"{{"tenants":{tenants}}}"#);
    let tenants = serde_json::from_str(&file).expect("sound");
    let reply = shell.admin(AdminInput::Apply { tenants, prune, dry_run: false });
    assert!(matches!(reply, AdminReply::Applied { .. }), "{reply:?}");
}

/// How many run in the pool.
fn runs(shell: &mut Shell) -> u64 {
    let AdminReply::State(state) = shell.admin(AdminInput::State) else { panic!("a state") };
    state.pools.iter().map(|pool| pool.open).sum()
}

fn revoke(shell: &mut Shell) {
    shell.admin(AdminInput::RevokeKey { id: "k-a".into() });
}

fn lock_the_model(shell: &mut Shell) {
    apply(shell, r#"{"a":{"models":["other-*"]}}"#, false);
}

fn remove(shell: &mut Shell) {
    apply(shell, "{}", true);
}

/// Its row is gone, and so are those of its keys: nothing says that it ever was.
fn forget(shell: &mut Shell) {
    remove(shell);
    shell.rows.retain(|key, _| !key.starts_with("key/"));
}

#[test]
fn what_runs_is_accounted_for_after_a_restart_whatever_became_of_its_right_to_ask() {
    for (change, reason) in [
        (revoke as fn(&mut Shell), Reason::KeyRevoked),
        (lock_the_model, Reason::ModelNotAllowed),
        (remove, Reason::UnknownTenant),
        (forget, Reason::UnknownTenant),
    ] {
        let mut shell = Shell::new(wide(), r#"{"a":{"limits":{"concurrent":9}}}"#);
        assert!(is_granted(&shell.admit(admit("t0", "a"))));
        change(&mut shell);
        restart(&mut shell);
        assert!(is_granted(&shell.admit(running("t0", "a", 100))), "{reason:?}");
        assert_eq!(runs(&mut shell), 1, "{reason:?}");
        for scope in ["deployment", "tenant/a"] {
            let spend = *shell.totals()[scope];
            assert_eq!(spend.open, 1, "{reason:?}: {scope}");
        }
        // A restart counts it as spent.
        let before = shell.totals()["deployment"].spent;
        assert!(before.tokens >= 2_000, "{reason:?}: {before:?}");
        let Decision::Refused(refusal) = shell.admit(admit("t1", "a")) else {
            panic!("{reason:?}: a new request goes")
        };
        assert_eq!(refusal.reason, reason);
        // Late, when nothing of before the restart would be known by itself.
        for _ in 0..30 {
            shell.pass(30_000);
            shell.admit(running("t0", "a", 200));
        }
        assert_eq!(runs(&mut shell), 1, "{reason:?}: all the time");
        shell.event(settled("t0", "a"));
        assert_eq!(runs(&mut shell), 0, "{reason:?}");
        let spend = *shell.totals()["deployment"];
        assert_eq!((spend.open, spend.spent), (0, before), "{reason:?}: once");
        // It comes back, and what it left balances.
        apply(&mut shell, r#"{"a":{"limits":{"concurrent":1}}}"#, false);
        assert_eq!(shell.totals()["tenant/a"].open, 0, "{reason:?}");
    }
}

/// Three thousand tokens a day of this model: of two requests at a time one.
const OF_SONNET: &str =
    r#"{"a":{"budgets":[{"window":"day","tokens":3500,"models":["claude-sonnet-*"]}]}}"#;

/// Requests and tokens that are spent, and held.
fn books(shell: &mut Shell) -> [(u64, u64); 2] {
    let spend = *shell.totals()["tenant/a"];
    [spend.spent, spend.reserved].map(|Amounts { requests, tokens, .. }| (requests, tokens))
}

#[test]
fn a_budget_of_models_holds_what_ran_before_it_was_given() {
    let mut shell = Shell::new(wide(), r#"{"a":{}}"#);
    let other = |ticket: &str| Admit { model: "gpt".into(), ..admit(ticket, "a") };
    assert!(is_granted(&shell.admit(admit("t0", "a"))));
    assert!(is_granted(&shell.admit(other("o0"))));
    apply(&mut shell, OF_SONNET, false);
    let now = |ticket: &str| Admit { patience_ms: 0, ..admit(ticket, "a") };
    assert_eq!(reason(&shell.admit(now("t1"))), "TenantLimit", "2,000 of 3,500 are held");
    assert!(is_granted(&shell.admit(Admit { patience_ms: 0, ..other("o1") })));
    shell.event(settled("t0", "a"));
    assert!(is_granted(&shell.admit(now("t2"))), "1,100 are spent");
    assert_eq!(books(&mut shell), [(1, 1_100), (3, 6_000)]);
    for ticket in ["t2", "o0", "o1"] {
        shell.event(settled(ticket, "a"));
    }
    assert_eq!(books(&mut shell), [(4, 4_400), (0, 0)]);
    // 2,200 of it.
    assert_eq!(reason(&shell.admit(now("t3"))), "BudgetSpent");
    assert!(is_granted(&shell.admit(Admit { max_tokens: 100, ..now("t4") })));
}

#[test]
fn a_budget_that_is_taken_away_gives_back_all_that_it_held() {
    let mut shell = Shell::new(wide(), OF_SONNET);
    assert!(is_granted(&shell.admit(admit("t0", "a"))));
    for tenants in [r#"{"a":{}}"#, OF_SONNET, r#"{"a":{"weight":2}}"#, OF_SONNET] {
        apply(&mut shell, tenants, false);
        assert_eq!(books(&mut shell), [(0, 0), (1, 2_000)]);
    }
    shell.event(settle("t0", "a", Used::Nothing));
    assert_eq!(books(&mut shell), [(0, 0), (0, 0)]);
    let now = |ticket: &str| Admit { patience_ms: 0, ..admit(ticket, "a") };
    assert!(is_granted(&shell.admit(now("t1"))));
    assert!(!is_granted(&shell.admit(now("t2"))));
}

#[test]
fn who_waits_when_a_budget_of_its_model_is_given_waits_for_it() {
    let mut shell = Shell::new(wide(), r#"{"a":{"limits":{"concurrent":1}}}"#);
    assert!(is_granted(&shell.admit(admit("t0", "a"))));
    for ticket in ["t1", "t2"] {
        let ask = Admit { patience_ms: 600_000, ..admit(ticket, "a") };
        assert_eq!(shell.poll(ask), None);
    }
    apply(&mut shell, OF_SONNET, false);
    assert!(shell.answers.is_empty(), "it holds 2,000 of 3,500");
    shell.event(settled("t0", "a"));
    assert_eq!(shell.answers.len(), 1, "1,100 are spent: one fits");
    shell.event(settled("t1", "a"));
    let (ticket, decision) = shell.answers.last().expect("answered");
    assert_eq!((ticket.as_str(), reason(decision).as_str()), ("t2", "BudgetSpent"));
}

/// Of a lease nobody knows yet what was used.
#[test]
fn a_budget_of_models_holds_what_was_lent_before_it_was_given() {
    let mut shell = Shell::new(GateSettings { leases: true, ..wide() }, r#"{"a":{}}"#);
    let call = limits::message::Call {
        v: limits::message::VERSION,
        admit: Some(admit("t0", "a")),
        lend: 4,
        ..Default::default()
    };
    let output = shell.step(limits::Input::Call(call));
    let limits::Answer::Reply(reply) = output.reply else { panic!("a reply") };
    assert_eq!(reply.lease.expect("limits are far").tickets, 4);
    let before = books(&mut shell);
    apply(&mut shell, OF_SONNET, false);
    let now = |ticket: &str| Admit { patience_ms: 0, max_tokens: 1, ..admit(ticket, "a") };
    assert!(!is_granted(&shell.admit(now("t1"))), "they hold more than all of it");
    assert_eq!(books(&mut shell), before);
    shell.event(Event::Returned { lease: "t0".into(), from: 0 });
    assert_eq!(books(&mut shell), [(0, 0), (1, 2_000)]);
    assert!(is_granted(&shell.admit(now("t2"))));
}

/// A restart counts as spent what ran, and its renewal holds nothing more: a budget that
/// comes after both counts it all the same.
#[test]
fn a_budget_of_models_counts_what_ran_before_a_restart() {
    let mut shell = Shell::new(wide(), r#"{"a":{}}"#);
    assert!(is_granted(&shell.admit(admit("t0", "a"))));
    restart(&mut shell);
    shell.admit(running("t0", "a", 100));
    apply(&mut shell, OF_SONNET, false);
    let now = |ticket: &str| Admit { patience_ms: 0, ..admit(ticket, "a") };
    assert_eq!(reason(&shell.admit(now("t1"))), "BudgetSpent", "2,000 of 3,500");
    shell.event(settled("t0", "a"));
    assert_eq!(books(&mut shell)[1], (0, 0));
}

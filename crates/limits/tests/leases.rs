//! Tickets lent to isolates: what is lent is promised once, used or given back,
//! and nothing is lent where a limit is near.

mod common;

use std::collections::BTreeMap;

use common::*;
use limits::admin::{AdminInput, AdminReply};
use limits::borrow::{Borrowed, Size};
use limits::message::{
    Admit, Call, Decision, Event, Lease, Level, Observation, Progress, Reply, Used, VERSION,
    lent_ticket,
};
use limits::{Answer, Input};
use proptest::prelude::*;

const FREE: &str = r#"{"t":{}}"#;

fn ask(shell: &mut Shell, admit: Admit, lend: u32) -> Reply {
    let call = Call { v: VERSION, admit: Some(admit), lend, ..Call::default() };
    match shell.step(Input::Call(call)).reply {
        Answer::Reply(reply) => reply,
        other => panic!("{other:?}"),
    }
}

fn lease(shell: &mut Shell, ticket: &str, lend: u32) -> Option<Lease> {
    let reply = ask(shell, admit(ticket, "t"), lend);
    assert!(matches!(reply.decision, Some(Decision::Granted { .. })), "{reply:?}");
    reply.lease
}

fn open(shell: &mut Shell) -> (u64, u64) {
    let totals = shell.totals();
    (totals["tenant/t"].open, totals["tenant/t"].reserved.tokens)
}

fn available(shell: &mut Shell) -> [u64; 3] {
    let input = Input::View { tenant: "t".into(), user: None, account_scope: false, visitor: None };
    match shell.step(input).reply {
        Answer::View(view) => {
            let free = &view.available[0];
            [free.requests, free.input_tokens, free.output_tokens]
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn lent_tickets_are_promised_until_they_are_settled_or_come_back() {
    let mut shell = Shell::new(settings(60_000, 60_000_000, 60_000_000), FREE);
    let before = {
        lease(&mut shell, "a", 0);
        shell.event(settle("a", "t", Used::Nothing));
        available(&mut shell)
    };
    let lent = lease(&mut shell, "b", 10).expect("far from every limit");
    assert_eq!((lent.tickets, lent.input_tokens, lent.max_tokens), (10, 2_000, 1_000));
    assert_eq!(open(&mut shell), (11, 2_000 + 10 * 3_000), "each holds its worst case");
    let now = available(&mut shell);
    assert_eq!(before[0] - now[0], 11);
    assert!(before[1] - now[1] >= 21_000 && before[2] > now[2]);
    for number in 0..3 {
        shell.event(settled(&lent_ticket("b", number), "t"));
    }
    shell.event(Event::Returned { lease: "b".into(), from: 3 });
    shell.event(Event::Returned { lease: "b".into(), from: 3 });
    shell.event(settled("b", "t"));
    assert_eq!(open(&mut shell), (0, 0));
    let spent = shell.totals()["tenant/t"].spent;
    assert_eq!((spent.requests, spent.tokens), (4, 4 * 1_100), "what was used, and no more");
}

#[test]
fn nothing_is_lent_near_a_limit_or_where_somebody_waits() {
    for (why, settings, tenants) in [
        ("unknown limits", Default::default(), FREE),
        ("a few requests a minute", settings(50, 60_000_000, 60_000_000), FREE),
        ("a tenant's concurrency", far(), r#"{"t":{"limits":{"concurrent":100}}}"#),
        ("a tenant's small bucket", far(), r#"{"t":{"limits":{"itpm":50000}}}"#),
        ("the end of a budget", far(), r#"{"t":{"budgets":[{"window":"day","tokens":100000}]}}"#),
        ("a setting", limits::settings::GateSettings { leases: false, ..far() }, FREE),
    ] {
        let mut shell = Shell::new(settings, tenants);
        assert_eq!(lease(&mut shell, "a", 64), None, "{why}");
    }
    let mut shell = Shell::new(far(), r#"{"t":{"users":{"limits":{"rpm":600000}}}}"#);
    assert_eq!(lease(&mut shell, "a", 3), None, "too few to be worth it");
    let user = Admit { user: Some("u".into()), ..admit("b", "t") };
    assert_eq!(ask(&mut shell, user, 64).lease, None, "an end user's limits are its own");
    shell.event(Event::Observed(observed("b", 429, None)));
    assert_eq!(ask(&mut shell, admit("c", "t"), 64).lease, None, "it waits");
}

fn far() -> limits::settings::GateSettings {
    settings(6_000_000, 6_000_000_000, 6_000_000_000)
}

#[test]
fn the_same_admit_again_brings_no_second_lease() {
    let mut shell = Shell::new(far(), FREE);
    let lent = lease(&mut shell, "a", 8);
    assert!(lent.is_some());
    // Whichever reply is read, the isolate has it.
    assert_eq!(lease(&mut shell, "a", 8), lent);
    assert_eq!(open(&mut shell).0, 9);
    // Its reply was lost: whoever gives up on it gives all of it back.
    shell.event(Event::Cancelled { ticket: "a".into(), attempt: 0 });
    assert_eq!(open(&mut shell), (0, 0));
}

#[test]
fn a_lent_ticket_that_runs_long_becomes_one_like_any_other() {
    let mut shell = Shell::new(far(), FREE);
    let lent = lease(&mut shell, "a", 4).expect("far from every limit");
    let name = lent_ticket(&lent.id, 0);
    shell.event(settled("a", "t"));
    shell.event(Event::Returned { lease: lent.id, from: 1 });
    for _ in 0..20 {
        shell.pass(30_000);
        assert!(is_granted(&shell.admit(running(&name, "t", 500))));
    }
    assert_eq!(open(&mut shell).0, 1, "ten minutes on");
    shell.event(settled(&name, "t"));
    assert_eq!(open(&mut shell), (0, 0));
    assert_eq!(shell.totals()["tenant/t"].spent.tokens, 2_200);
}

#[test]
fn a_lost_isolate_s_tickets_count_as_spent() {
    let mut shell = Shell::new(far(), FREE);
    lease(&mut shell, "a", 4).expect("far from every limit");
    shell.event(settled("a", "t"));
    shell.pass(130_000);
    assert_eq!(open(&mut shell), (0, 0));
    let spent = shell.totals()["tenant/t"].spent;
    assert_eq!((spent.requests, spent.tokens), (5, 1_100 + 4 * 3_000));
    // A late report corrects nothing and adds nothing.
    shell.event(settled(&lent_ticket("a", 0), "t"));
    shell.event(Event::Returned { lease: "a".into(), from: 1 });
    assert_eq!(shell.totals()["tenant/t"].spent, spent);
}

#[test]
fn a_restarted_gate_counts_what_it_lent_as_spent() {
    let mut shell = Shell::new(far(), FREE);
    let lent = lease(&mut shell, "a", 8).expect("far from every limit");
    shell.restart();
    for number in 0..8 {
        shell.event(settled(&lent_ticket(&lent.id, number), "t"));
    }
    let spent = shell.totals()["tenant/t"].spent;
    assert!(spent.requests >= 9 && spent.tokens >= 8 * 1_100, "{spent:?}");
    assert_eq!(open(&mut shell).0, 0);
}

#[test]
fn an_answer_from_before_a_change_of_limits_says_nothing_though_its_ticket_was_lent_later() {
    let mut shell = Shell::new(far(), FREE);
    let earlier = lease(&mut shell, "a", 4).expect("far from every limit");
    shell.pass(1_000);
    let later = lease(&mut shell, "b", 4).expect("far from every limit");
    shell.pass(1_000);
    let sent = |ticket: String, status, limit, sent_ms, now| {
        let seen = observed(&ticket, status, Some((limit, 1)));
        Event::Observed(Observation { sent_ms, at_ms: now, ..seen })
    };
    // The later lease's request goes first, and its answer takes 500 ms; 100 ms after
    // it the other one is refused at once, by limits that fell in between.
    let start = shell.now;
    shell.pass(120);
    shell.event(sent(lent_ticket(&earlier.id, 0), 429, 600, start + 100, shell.now));
    shell.pass(380);
    shell.event(sent(lent_ticket(&later.id, 0), 200, 6_000_000, start, shell.now));
    let AdminReply::State(state) = shell.admin(AdminInput::State) else { panic!("the state") };
    assert_eq!(state.pools[0].limits[0].capacity, 600);
}

#[test]
fn a_limit_that_falls_below_what_is_lent_shuts_nobody_out() {
    let mut shell = Shell::new(far(), FREE);
    lease(&mut shell, "a", 64).expect("far from every limit");
    shell.event(Event::Observed(observed("a", 200, Some((600, 500)))));
    shell.pass(2_000);
    // All of it runs: more than the 10 that a second has now.
    assert_eq!(open(&mut shell).0, 65);
    assert!(is_granted(&shell.admit(admit("b", "t"))));
}

#[test]
fn what_a_cancelled_lease_was_used_for_is_charged_all_the_same() {
    let mut shell = Shell::new(far(), FREE);
    // No longer young: nothing that it does not know was reserved before a start.
    shell.pass(16 * 60_000);
    lease(&mut shell, "a", 8).expect("far from every limit");
    shell.event(Event::Cancelled { ticket: "a".into(), attempt: 0 });
    for number in 0..8 {
        shell.event(settled(&lent_ticket("a", number), "t"));
        shell.event(settled(&lent_ticket("a", number), "t"));
    }
    assert_eq!(shell.totals()["tenant/t"].spent.requests, 8);
}

#[test]
fn a_lease_whose_reply_was_lost_comes_back_where_the_request_went_unasked() {
    let mut shell = Shell::new(far(), FREE);
    lease(&mut shell, "a", 64).expect("far from every limit");
    let Event::Settled(mut settle) = settled("a", "t") else { unreachable!() };
    settle.unasked = true;
    shell.event(Event::Settled(settle));
    shell.pass(130_000);
    assert_eq!(shell.totals()["tenant/t"].spent.tokens, 1_100);
}

#[test]
fn a_lost_isolate_leaves_its_tenant_no_debt() {
    let mut shell = Shell::new(far(), r#"{"t":{"limits":{"otpm":400000}}}"#);
    let long = |ticket: &str| Admit { max_tokens: 8_000, ..admit(ticket, "t") };
    for n in 0..200 {
        let id = format!("w{n}");
        ask(&mut shell, long(&id), 0);
        shell.event(settled(&id, "t"));
        shell.pass(500);
    }
    let lent = ask(&mut shell, long("a"), 64).lease.expect("short answers were learned");
    assert!(u64::from(lent.tickets) * 8_000 <= 50_000, "an eighth, at the worst: {lent:?}");
    shell.event(settled("a", "t"));
    shell.pass(130_000);
    assert!(is_granted(&shell.admit(long("b"))));
}

#[test]
fn returns_leave_room_in_the_memory_of_what_is_over() {
    let mut shell = Shell::new(far(), FREE);
    ask(&mut shell, admit("x", "t"), 0);
    shell.event(settled("x", "t"));
    shell.pass(16 * 60_000);
    ask(&mut shell, admit("y", "t"), 0);
    shell.event(settled("y", "t"));
    for n in 0..1_100 {
        let id = format!("l{n}");
        lease(&mut shell, &id, 64).expect("far from every limit");
        let back = Event::Returned { lease: id.clone(), from: 0 };
        shell.call(None, vec![settle(&id, "t", Used::Nothing), back]);
    }
    shell.event(settled("y", "t"));
    assert_eq!(shell.totals()["tenant/t"].spent.requests, 2);
}

#[test]
fn concurrency_counts_what_runs_and_not_what_is_lent() {
    let mut shell = Shell::new(far(), FREE);
    let lent = lease(&mut shell, "a", 64).expect("far from every limit");
    shell.event(settled("a", "t"));
    let file = serde_json::from_str(r#"{"tenants":{"t":{"limits":{"concurrent":2}}}}"#);
    let tenants = file.expect("a sound file");
    shell.admin(AdminInput::Apply { tenants, prune: false, dry_run: false });
    assert!(is_granted(&shell.admit(admit("b", "t"))));
    // One that is told of runs.
    assert!(is_granted(&shell.admit(running(&lent_ticket(&lent.id, 0), "t", 10))));
    let now = Admit { patience_ms: 0, ..admit("c", "t") };
    assert!(!is_granted(&shell.admit(now)));
}

#[test]
fn a_stream_whose_key_was_revoked_is_settled_by_what_it_used() {
    let mut shell = Shell::new(far(), FREE);
    lease(&mut shell, "a", 4).expect("far from every limit");
    shell.event(settled("a", "t"));
    shell.event(Event::Returned { lease: "a".into(), from: 1 });
    shell.admin(AdminInput::RevokeKey { id: "k-t".into() });
    for _ in 0..5 {
        shell.pass(30_000);
        assert!(is_granted(&shell.admit(running("a.0", "t", 100))));
    }
    shell.event(settled("a.0", "t"));
    assert_eq!(shell.totals()["tenant/t"].spent.tokens, 2_200);
}

#[test]
fn levels_told_by_a_lent_ticket_s_response_count_its_request_once() {
    // What a stream that renews costs the pool's input: asked, and lent.
    let cost = |lent: bool| {
        let mut shell = Shell::new(settings(600_000, 60_000_000, 600_000_000), FREE);
        let big = |ticket: &str| Admit { input_tokens: 50_000, ..admit(ticket, "t") };
        let mut name = "a".to_owned();
        ask(&mut shell, big("a"), if lent { 4 } else { 0 });
        if lent {
            let back = Event::Returned { lease: "a".into(), from: 1 };
            shell.call(None, vec![settle("a", "t", Used::Nothing), back]);
            name = lent_ticket("a", 0);
        }
        let mut seen = observed(&name, 200, None);
        seen.input = Some(Level { limit: 60_000_000, remaining: 30_000_000, reset_ms: None });
        shell.event(Event::Observed(seen));
        let renewal = Admit { running: Some(Progress { output_tokens: 10 }), ..big(&name) };
        assert!(is_granted(&shell.admit(renewal)));
        let used = Used::Tokens {
            input: 50_000,
            input_total: 50_000,
            output: 20,
            microusd: 1,
            estimated: false,
        };
        shell.event(settle(&name, "t", used));
        available(&mut shell)[1]
    };
    assert_eq!(cost(true), cost(false));
}

/// As the Gate would lend it, for requests of this size.
fn lease_for(size: &Size, id: &str, tickets: u32) -> Lease {
    let Size { input_tokens, max_tokens, microusd_max } = *size;
    Lease { id: id.into(), tickets, input_tokens, max_tokens, microusd_max, ttl_ms: 2_000 }
}

#[test]
fn an_isolate_draws_what_it_was_lent_and_asks_for_its_demand() {
    let size = Size { input_tokens: 1_000, max_tokens: 500, microusd_max: 50 };
    let lent = |id: &str, tickets| lease_for(&size, id, tickets);
    let mut held = Borrowed::default();
    for n in 0..3 {
        assert_eq!(held.draw("t", &pool(), &size, n), None);
        assert_eq!(held.wanted("t", &pool(), n), 0, "too little demand");
    }
    assert_eq!(held.draw("t", &pool(), &size, 10), None);
    assert_eq!(held.wanted("t", &pool(), 10), 4);
    assert_eq!(held.wanted("t", &pool(), 11), 0, "a question is under way");
    held.replied("t", &pool(), Some(lent("x", 2)), 10);
    for larger in [
        Size { input_tokens: 1_001, ..size },
        Size { max_tokens: 501, ..size },
        Size { microusd_max: 51, ..size },
    ] {
        assert_eq!(held.draw("t", &pool(), &larger, 100), None, "{larger:?}");
    }
    assert_eq!(held.draw("u", &pool(), &size, 100), None, "another tenant");
    assert_eq!(held.draw("t", &pool(), &size, 100), Some("x.0".into()));
    assert_eq!(held.draw("t", &pool(), &size, 2_008), Some("x.1".into()));
    assert_eq!(held.draw("t", &pool(), &size, 2_008), None, "used up");
    assert_eq!(held.take_returns(2_009), [], "nothing is left of it");
    held.replied("t", &pool(), Some(lent("y", 5)), 2_010);
    assert_eq!(held.held_until(), Some(4_010), "counted from before it asked");
    assert_eq!(held.draw("t", &pool(), &size, 4_010), None, "over");
    let returned = |lease: &str, from| Event::Returned { lease: lease.into(), from };
    assert_eq!(held.take_returns(4_010), [returned("y", 0)]);
    for _ in 0..5 {
        held.draw("t", &pool(), &size, 4_020);
    }
    held.replied("t", &pool(), Some(lent("z", 5)), 4_020);
    assert_eq!(held.draw("t", &pool(), &size, 4_040), Some("z.0".into()));
    held.refused(&pool(), 4_050);
    assert_eq!(held.draw("t", &pool(), &size, 4_060), None, "the provider refused");
    assert_eq!(held.wanted("t", &pool(), 4_060), 0);
    held.replied("t", &pool(), Some(lent("late", 5)), 4_045);
    assert_eq!(held.draw("t", &pool(), &size, 4_070), None, "asked for before the refusal");
    assert_eq!(held.take_returns(4_070), [returned("z", 1), returned("late", 0)]);
}

#[test]
fn half_a_lease_on_one_request_asks_for_the_next_while_others_draw() {
    let size = Size { input_tokens: 1, max_tokens: 1, microusd_max: 1 };
    let lent = |id: &str, tickets| lease_for(&size, id, tickets);
    let mut held = Borrowed::default();
    for _ in 0..100 {
        held.draw("t", &pool(), &size, 0);
    }
    assert_eq!(held.wanted("t", &pool(), 0), 64);
    held.replied("t", &pool(), Some(lent("a", 64)), 0);
    for number in 0..32 {
        assert_eq!(held.draw("t", &pool(), &size, 1), Some(format!("a.{number}")));
    }
    assert_eq!(held.draw("t", &pool(), &size, 2), None, "this one asks");
    assert!(held.wanted("t", &pool(), 2) > 0);
    assert_eq!(held.draw("t", &pool(), &size, 3), Some("a.32".into()), "the others go on");
    held.replied("t", &pool(), Some(lent("b", 64)), 2);
    let rest = (33..64).map(|number| format!("a.{number}"));
    for name in rest.chain(["b.0".to_owned()]) {
        assert_eq!(held.draw("t", &pool(), &size, 4), Some(name));
    }
    assert_eq!((held.take_returns(4), held.held_until()), (vec![], Some(2_002)));
    for number in 1..32 {
        assert_eq!(held.draw("t", &pool(), &size, 5), Some(format!("b.{number}")));
    }
    assert_eq!(held.draw("t", &pool(), &size, 6), None, "this one asks");
    assert!(held.wanted("t", &pool(), 6) > 0);
    held.replied("t", &pool(), None, 6);
    assert_eq!(held.draw("t", &pool(), &size, 7), Some("b.32".into()), "in vain: used up first");
    let rest = Event::Returned { lease: "b".into(), from: 33 };
    assert_eq!(held.take_returns(2_002), [rest]);
}

/// What happens to a few isolates.
#[derive(Clone, Debug)]
enum Happens {
    /// So many requests at once in one of them.
    Requests {
        isolate: usize,
        count: u8,
    },
    /// Some of what runs ends.
    Settle {
        count: u8,
    },
    Pass {
        ms: u16,
    },
    /// An isolate tells what is over.
    Flush {
        isolate: usize,
    },
    /// An isolate is lost with what it holds.
    Lost {
        isolate: usize,
    },
    Kill,
}

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        8 => (0_usize..3, 1_u8..40).prop_map(|(isolate, count)| Happens::Requests { isolate, count }),
        6 => (1_u8..60).prop_map(|count| Happens::Settle { count }),
        6 => (1_u16..1_500).prop_map(|ms| Happens::Pass { ms }),
        2 => (0_usize..3).prop_map(|isolate| Happens::Flush { isolate }),
        1 => (0_usize..3).prop_map(|isolate| Happens::Lost { isolate }),
        1 => Just(Happens::Kill),
    ]
}

/// The provider's request bucket: never below nothing while nobody else uses the
/// account (invariant 4), however tickets are lent, used, lost and given back.
fn play(steps: Vec<Happens>, rpm: u64) -> Result<(), TestCaseError> {
    let tenants = r#"{"t":{"budgets":[{"window":"day","requests":100000,"tokens":20000000}]}}"#;
    let mut shell = Shell::new(settings(rpm, rpm * 20_000, rpm * 20_000), tenants);
    let mut isolates: [Borrowed; 3] = Default::default();
    let (mut level, mut at) = (rpm * 60_000, shell.now);
    let mut running: Vec<String> = Vec::new();
    let (mut sent, mut drawn, mut settled_requests, mut tickets) = (0_u64, 0_u64, 0_u64, 0_u64);
    let size = Size { input_tokens: 1_000, max_tokens: 1_000, microusd_max: 10_000 };
    for step in steps {
        match step {
            Happens::Requests { isolate, count } => {
                for _ in 0..count {
                    let held = &mut isolates[isolate];
                    tickets += 1;
                    let mut name = format!("r{tickets}");
                    if let Some(lent) = held.draw("t", &pool(), &size, shell.now) {
                        drawn += 1;
                        name = lent;
                    } else {
                        let wanted = held.wanted("t", &pool(), shell.now);
                        let admit = Admit { patience_ms: 0, ..admit(&name, "t") };
                        let reply = ask(&mut shell, admit, wanted);
                        if wanted > 0 {
                            isolates[isolate].replied("t", &pool(), reply.lease, shell.now);
                        }
                        if !matches!(reply.decision, Some(Decision::Granted { .. })) {
                            continue;
                        }
                    }
                    level = (level + (shell.now - at) * rpm).min(rpm * 60_000);
                    at = shell.now;
                    prop_assert!(level >= 60_000, "the provider refuses {name}");
                    level -= 60_000;
                    sent += 1;
                    running.push(name);
                }
            }
            Happens::Settle { count } => {
                for name in running.drain(..usize::from(count).min(running.len())) {
                    shell.event(settled(&name, "t"));
                    settled_requests += 1;
                }
            }
            Happens::Pass { ms } => shell.pass(ms.into()),
            Happens::Flush { isolate } => {
                let events = isolates[isolate].take_returns(shell.now);
                shell.call(None, events);
            }
            Happens::Lost { isolate } => isolates[isolate] = Borrowed::default(),
            Happens::Kill => shell.restart(),
        }
        let spent = shell.totals()["tenant/t"].spent;
        prop_assert!(spent.requests >= settled_requests, "spend is never forgotten");
    }
    for name in running {
        shell.event(settled(&name, "t"));
    }
    shell.pass(60 * 60_000);
    let totals: BTreeMap<_, _> = shell.totals();
    for (scope, spend) in &totals {
        prop_assert!(spend.open == 0 && spend.reserved == Default::default(), "{scope}: {spend:?}");
    }
    prop_assert!(totals["tenant/t"].spent.requests >= sent);
    // Not vacuous: large limits do lend.
    prop_assert!(rpm < 100_000 || sent < 200 || drawn > 0, "{sent} sent, none of them lent");
    match shell.admin(AdminInput::State) {
        AdminReply::State(state) => prop_assert_eq!(state.open, 0),
        other => prop_assert!(false, "{other:?}"),
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_lent_is_promised_once(
        steps in prop::collection::vec(happens(), 1..120),
        rpm in prop::sample::select(vec![600_u64, 3_000, 12_000, 600_000]),
    ) {
        play(steps, rpm)?;
    }
}

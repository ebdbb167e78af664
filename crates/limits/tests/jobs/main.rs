//! Jobs at the Gate: reserved whole or refused, drawn on without a budget's leave,
//! given back, and never lost by a restart.

#[path = "../common/mod.rs"]
mod common;
mod restarts;

use common::{START, Shell, admit, restart, settings, settle};
use limits::admin::{AdminInput, AdminReply, Amounts};
use limits::jobs::{JobInput, JobReply, JobView};
use limits::message::{Admit, Decision, Event, Reason, Refusal, Settle, Used};
use limits::{Answer, Input};
use proptest::prelude::*;

const DAY: u64 = 86_400_000;

/// Ten requests a day, 20,000 tokens, a dollar.
const TENANTS: &str = r#"{
    "t": {"budgets": [{"window": "day", "requests": 10, "tokens": 20000, "usd": "1"}]},
    "u": {}
}"#;

fn shell() -> Shell {
    Shell::new(settings(1_000, 1_000_000, 1_000_000), TENANTS)
}

fn amounts(requests: u64, tokens: u64, microusd: u64) -> Amounts {
    Amounts { requests, tokens, microusd }
}

fn ask(shell: &mut Shell, tenant: &str, input: JobInput) -> JobReply {
    let input = Input::Job { tenant: tenant.into(), key: format!("k-{tenant}"), input };
    match shell.step(input).reply {
        Answer::Job(reply) => reply,
        other => panic!("{other:?}"),
    }
}

fn reserve(shell: &mut Shell, id: &str, amounts: Amounts) -> JobReply {
    ask(shell, "t", JobInput::Reserve { id: id.into(), amounts, ttl_ms: 3_600_000 })
}

fn show(shell: &mut Shell, id: &str) -> JobView {
    match ask(shell, "t", JobInput::Show { id: id.into() }) {
        JobReply::Job(job) => job,
        other => panic!("{other:?}"),
    }
}

fn job(reply: JobReply) -> JobView {
    match reply {
        JobReply::Job(job) => job,
        other => panic!("{other:?}"),
    }
}

fn refused(reply: JobReply) -> Refusal {
    match reply {
        JobReply::Refused(refusal) => refusal,
        other => panic!("{other:?}"),
    }
}

/// 2,000 tokens and a cent at most.
fn call(ticket: &str, job: &str) -> Admit {
    Admit { job: Some(job.into()), ..admit(ticket, "t") }
}

/// A thousandth of a cent a token.
fn used(ticket: &str, tenant: &str, input: u64, output: u64) -> Event {
    let (input_total, microusd) = (input, input + output);
    settle(ticket, tenant, Used::Tokens { input, input_total, output, microusd, estimated: false })
}

fn reason(decision: Decision) -> Reason {
    match decision {
        Decision::Refused(refusal) => refusal.reason,
        other => panic!("{other:?}"),
    }
}

const GRANTED: Decision = Decision::Granted { waited_ms: 0 };

#[test]
fn a_job_is_reserved_whole_or_not_at_all() {
    let mut shell = shell();
    for (more, why) in [
        (amounts(11, 1, 1), Reason::TooLarge),
        (amounts(1, 20_001, 1), Reason::TooLarge),
        (amounts(1, 1, 1_000_001), Reason::TooLarge),
    ] {
        assert_eq!(refused(reserve(&mut shell, "j", more)).reason, why);
        let totals = shell.totals();
        assert_eq!(totals["tenant/t"].reserved, Amounts::default());
        assert_eq!(totals["deployment"].reserved, Amounts::default());
    }
    let held = amounts(8, 16_000, 100_000);
    let view = job(reserve(&mut shell, "j", held));
    assert_eq!((view.reserved, view.left), (held, held));
    for scope in ["tenant/t", "deployment"] {
        assert_eq!(shell.totals()[scope].reserved, held);
    }
    // What another job holds may come back when it ends: that is the time told.
    let refusal = refused(reserve(&mut shell, "k", amounts(3, 1, 1)));
    assert_eq!((refusal.reason, refusal.retry_after_ms), (Reason::BudgetSpent, Some(3_600_000)));
    // The plain requests of the tenant have what is left.
    assert_eq!(shell.admit(admit("a", "t")), GRANTED);
    assert_eq!(shell.admit(admit("b", "t")), GRANTED);
    assert!(matches!(shell.admit(admit("c", "t")), Decision::Refused(_) | Decision::Queued { .. }));
}

#[test]
fn a_spent_budget_refuses_the_job_until_the_day_ends() {
    let mut shell = shell();
    for ticket in ["a", "b", "c"] {
        assert_eq!(shell.admit(admit(ticket, "t")), GRANTED);
        shell.event(used(ticket, "t", 1_000, 1_000));
    }
    let refusal = refused(reserve(&mut shell, "j", amounts(8, 8_000, 8)));
    assert_eq!(refusal.reason, Reason::BudgetSpent);
    assert_eq!(refusal.retry_after_ms, Some(DAY - START % DAY));
    assert!(refusal.limit.is_some_and(|limit| limit.kind == "requests_day"));
    shell.pass(DAY);
    job(reserve(&mut shell, "j", amounts(8, 8_000, 8)));
}

#[test]
fn calls_of_a_job_go_while_others_are_refused_by_the_same_budget() {
    let mut shell = shell();
    job(reserve(&mut shell, "j", amounts(5, 10_000, 500_000)));
    // Others use up all the rest.
    for n in 0..5 {
        let ticket = format!("o{n}");
        assert_eq!(shell.admit(admit(&ticket, "t")), GRANTED);
        shell.event(used(&ticket, "t", 1_000, 1_000));
    }
    assert!(matches!(
        shell.admit(Admit { patience_ms: 0, ..admit("x", "t") }),
        Decision::Refused(_)
    ));
    for n in 0..5 {
        let ticket = format!("j{n}");
        assert_eq!(shell.admit(call(&ticket, "j")), GRANTED, "step {n}");
        shell.event(used(&ticket, "t", 1_000, 1_000));
    }
    let view = show(&mut shell, "j");
    assert_eq!((view.used.tokens, view.left.tokens, view.left.requests), (10_000, 0, 0));
    let Decision::Refused(refusal) = shell.admit(call("j9", "j")) else { panic!("beyond it") };
    assert_eq!((refusal.reason, refusal.retry_after_ms), (Reason::JobSpent, None));
    assert_eq!(refusal.limit.map(|limit| (limit.scope, limit.level)), Some(("job".into(), 0)));
    // It is spent, and nothing of the day is left or reserved.
    let day = &shell.totals()["tenant/t"];
    assert_eq!(
        (day.spent.requests, day.reserved),
        (10, amounts(0, 0, 490_000)),
        "the job's dollars"
    );
}

#[test]
fn what_is_left_goes_back_and_what_runs_stays_held() {
    let mut shell = shell();
    job(reserve(&mut shell, "j", amounts(8, 16_000, 800_000)));
    assert_eq!(shell.admit(call("a", "j")), GRANTED);
    let last = job(ask(&mut shell, "t", JobInput::Release { id: "j".into() }));
    assert_eq!(last.held, amounts(1, 2_000, 10_000));
    assert_eq!(shell.totals()["tenant/t"].reserved, amounts(1, 2_000, 10_000));
    assert_eq!(reason(shell.admit(call("b", "j"))), Reason::JobUnknown);
    shell.event(used("a", "t", 1_000, 10));
    let day = &shell.totals()["tenant/t"];
    assert_eq!((day.reserved, day.spent.tokens), (Amounts::default(), 1_010));
    assert!(!shell.rows.keys().any(|key| key.starts_with("job/")), "its row is gone");
    assert_eq!(
        refused(ask(&mut shell, "t", JobInput::Show { id: "j".into() })).reason,
        Reason::JobUnknown
    );
}

#[test]
fn the_same_id_renews_and_resizes_and_reserves_nothing_twice() {
    let mut shell = shell();
    let half = amounts(5, 10_000, 500_000);
    job(reserve(&mut shell, "j", half));
    shell.pass(3_000_000);
    let again = job(reserve(&mut shell, "j", half));
    assert_eq!(again.expires_ms, shell.now + 3_600_000);
    assert_eq!(shell.totals()["tenant/t"].reserved, half);
    shell.pass(3_000_000);
    assert_eq!(shell.admit(call("a", "j")), GRANTED, "renewed, it outlives its first hour");
    // Larger: the difference is asked for. Smaller: never below what runs.
    let full = amounts(10, 20_000, 1_000_000);
    assert_eq!(job(reserve(&mut shell, "j", full)).reserved, full);
    assert_eq!(refused(reserve(&mut shell, "j", amounts(21, 0, 0))).reason, Reason::TooLarge);
    assert_eq!(show(&mut shell, "j").reserved, full, "a refused change changes nothing");
    let least = job(reserve(&mut shell, "j", amounts(0, 0, 0)));
    assert_eq!(least.reserved, amounts(1, 2_000, 10_000));
    assert_eq!(shell.totals()["deployment"].reserved, amounts(1, 2_000, 10_000));
}

/// Released and reserved again while a request of it still runs: it is another job, which
/// has all that it asked for.
#[test]
fn an_id_that_was_released_is_a_new_jobs_with_all_of_its_amounts() {
    let mut shell = shell();
    let half = amounts(4, 8_000, 100_000);
    job(reserve(&mut shell, "j", half));
    for ticket in ["a", "b"] {
        assert_eq!(shell.admit(call(ticket, "j")), GRANTED);
    }
    shell.event(used("a", "t", 1_000, 1_000));
    job(ask(&mut shell, "t", JobInput::Release { id: "j".into() }));
    let again = job(reserve(&mut shell, "j", half));
    assert_eq!((again.left, again.used), (half, Amounts::default()));
    let held = amounts(5, 10_000, 110_000);
    assert_eq!(shell.totals()["tenant/t"].reserved, held, "and what runs of the one before");
    shell.event(used("b", "t", 1_000, 1_000));
    assert_eq!(show(&mut shell, "j").left, half, "whose end is not the new one's");
    for n in 0..4 {
        assert_eq!(shell.admit(call(&format!("n{n}"), "j")), GRANTED, "step {n}");
    }
}

#[test]
fn nobody_renews_it_and_it_expires() {
    let mut shell = shell();
    job(reserve(&mut shell, "j", amounts(10, 20_000, 1_000_000)));
    shell.pass(3_599_999);
    assert_eq!(show(&mut shell, "j").left.requests, 10);
    shell.pass(1);
    assert_eq!(reason(shell.admit(call("a", "j"))), Reason::JobUnknown);
    assert_eq!(shell.totals()["tenant/t"].reserved, Amounts::default());
}

#[test]
fn a_day_that_ends_under_a_job_takes_its_reservation_over() {
    let mut shell = shell();
    let all = amounts(10, 20_000, 900_000);
    ask(&mut shell, "t", JobInput::Reserve { id: "j".into(), amounts: all, ttl_ms: 3 * DAY });
    assert_eq!(shell.admit(call("a", "j")), GRANTED);
    shell.event(used("a", "t", 1_000, 1_000));
    shell.pass(DAY);
    let day = &shell.totals()["tenant/t"];
    assert_eq!((day.spent.requests, day.reserved.requests), (0, 9), "the new day holds the rest");
    for n in 0..9 {
        assert_eq!(shell.admit(call(&format!("b{n}"), "j")), GRANTED);
    }
    assert!(
        matches!(shell.admit(admit("x", "t")), Decision::Granted { .. }),
        "a request of the day is free"
    );
}

#[test]
fn another_tenant_sees_nothing_of_it() {
    let mut shell = shell();
    job(reserve(&mut shell, "j", amounts(1, 2_000, 10_000)));
    for input in [JobInput::Show { id: "j".into() }, JobInput::Release { id: "j".into() }] {
        assert_eq!(refused(ask(&mut shell, "u", input)).reason, Reason::JobUnknown);
    }
    assert_eq!(ask(&mut shell, "u", JobInput::List), JobReply::Jobs(Vec::new()));
    let theirs = Admit { job: Some("j".into()), ..admit("a", "u") };
    assert_eq!(reason(shell.admit(theirs)), Reason::JobUnknown);
    // Nor does a key of another tenant act for this one.
    let input = Input::Job { tenant: "t".into(), key: "k-u".into(), input: JobInput::List };
    assert!(
        matches!(shell.step(input).reply, Answer::Job(JobReply::Refused(r)) if r.reason == Reason::KeyRevoked)
    );
    let AdminReply::Jobs(all) = shell.admin(AdminInput::Jobs) else { panic!("operators see all") };
    assert_eq!(all.iter().map(|job| (&*job.tenant, &*job.id)).collect::<Vec<_>>(), [("t", "j")]);
}

#[test]
fn a_tenant_has_a_hundred_jobs_at_most() {
    let mut shell = Shell::new(settings(1_000, 1_000_000, 1_000_000), r#"{"t": {}}"#);
    for n in 0..100 {
        job(reserve(&mut shell, &format!("j{n}"), amounts(1, 1, 1)));
    }
    assert_eq!(refused(reserve(&mut shell, "more", amounts(1, 1, 1))).reason, Reason::JobsFull);
    job(reserve(&mut shell, "j0", amounts(2, 2, 2)));
    ask(&mut shell, "t", JobInput::Release { id: "j1".into() });
    job(reserve(&mut shell, "more", amounts(1, 1, 1)));
}

#[test]
fn rate_limits_queue_a_jobs_call_and_a_retry_has_its_place() {
    let mut shell = Shell::new(settings(60, 1_000_000, 1_000_000), TENANTS);
    job(reserve(&mut shell, "j", amounts(5, 10_000, 500_000)));
    // Somebody else empties the bucket of requests and waits in line.
    let mut n = 0;
    let other = |n: u32, shell: &Shell| Admit {
        asked_ms: shell.now,
        patience_ms: 600_000,
        ..admit(&format!("o{n}"), "u")
    };
    while shell.admit(other(n, &shell)) == GRANTED {
        n += 1;
    }
    let impatient = Admit { asked_ms: shell.now, patience_ms: 1, ..call("a", "j") };
    // A plain request would be refused at once; this one has a place until its deadline.
    let plain = Admit { asked_ms: shell.now, patience_ms: 1, ..admit("p", "t") };
    assert!(matches!(shell.admit(plain), Decision::Refused(_)));
    assert!(matches!(shell.admit(impatient.clone()), Decision::Queued { .. }));
    let first = shell.now;
    shell.pass(2);
    assert_eq!(show(&mut shell, "j").held, Amounts::default(), "who gave up holds nothing");
    // Later calls of the tenant stand in line; the retry goes before them.
    let later = Admit { asked_ms: first + 1, patience_ms: 600_000, ..admit("later", "t") };
    assert!(matches!(shell.admit(later), Decision::Queued { .. }));
    let retry = Admit { asked_ms: shell.now, patience_ms: 600_000, ..call("b", "j") };
    assert!(matches!(shell.admit(retry.clone()), Decision::Queued { .. }));
    let mut order = Vec::new();
    for _ in 0..200 {
        shell.pass(500);
        for ticket in ["later", "b"] {
            let again = if ticket == "b" {
                retry.clone()
            } else {
                Admit { patience_ms: 600_000, ..admit("later", "t") }
            };
            if !order.contains(&ticket) && matches!(shell.admit(again), Decision::Granted { .. }) {
                order.push(ticket);
            }
        }
    }
    assert_eq!(order, ["b", "later"]);
}

#[test]
fn a_refused_call_leaves_the_kept_place_to_the_next() {
    let mut shell = Shell::new(settings(60, 1_000_000, 1_000_000), TENANTS);
    job(reserve(&mut shell, "j", amounts(5, 10_000, 500_000)));
    assert_eq!(shell.admit(admit("o", "u")), GRANTED, "a request a second");
    let early = Admit { patience_ms: 1, ..call("a", "j") };
    assert!(matches!(shell.admit(early), Decision::Queued { .. }));
    shell.pass(2);
    let now = shell.now;
    let patient =
        |ticket: &str, asked_ms| Admit { asked_ms, patience_ms: 600_000, ..call(ticket, "j") };
    assert!(
        matches!(shell.admit(patient("later", now)), Decision::Queued { .. }),
        "it takes the place"
    );
    let early = Admit { asked_ms: now, patience_ms: 1, ..call("b", "j") };
    assert!(matches!(shell.admit(early), Decision::Queued { .. }));
    shell.pass(2);
    // More than the job has: refused, and the place is still there.
    let large = Admit { max_tokens: 50_000, ..patient("large", shell.now) };
    assert_eq!(reason(shell.admit(large)), Reason::JobSpent);
    let other = Admit { asked_ms: now + 1, patience_ms: 600_000, ..admit("plain", "t") };
    assert_eq!(shell.poll(other), None);
    assert_eq!(shell.poll(patient("next", shell.now)), None);
    shell.answers.clear();
    shell.pass(10_000);
    let order: Vec<_> = shell.answers.iter().map(|(ticket, _)| ticket.as_str()).collect();
    assert_eq!(order, ["next", "plain"]);
}

#[test]
fn the_time_told_is_when_enough_jobs_have_ended() {
    let mut shell = shell();
    for (id, requests, minutes) in [("short", 2, 10), ("long", 6, 60)] {
        let amounts = amounts(requests, 1, 1);
        let ttl_ms = minutes * 60_000;
        job(ask(&mut shell, "t", JobInput::Reserve { id: id.into(), amounts, ttl_ms }));
    }
    for (requests, minutes) in [(3, 10), (4, 10), (5, 60)] {
        let refusal = refused(reserve(&mut shell, "next", amounts(requests, 1, 1)));
        assert_eq!(refusal.retry_after_ms, Some(minutes * 60_000), "{requests}");
    }
    shell.pass(600_000);
    job(reserve(&mut shell, "next", amounts(4, 1, 1)));
}

#[test]
fn what_was_sent_without_asking_is_the_jobs_all_the_same() {
    let mut shell = shell();
    job(reserve(&mut shell, "j", amounts(5, 10_000, 500_000)));
    let Event::Settled(settle) = used("a", "t", 1_000, 500) else { unreachable!() };
    let settle = Settle { unasked: true, job: Some("j".into()), ..settle };
    for _ in 0..2 {
        shell.event(Event::Settled(settle.clone()));
        let view = show(&mut shell, "j");
        assert_eq!(view.used, amounts(1, 1_500, 1_500));
        assert_eq!(view.left, amounts(4, 8_500, 498_500));
        let day = &shell.totals()["tenant/t"];
        assert_eq!((day.spent, day.reserved), (view.used, view.left));
    }
    // More than it has left: what really was used is told, and nothing is left.
    let Event::Settled(more) = used("b", "t", 9_000, 500) else { unreachable!() };
    shell.event(Event::Settled(Settle { unasked: true, job: Some("j".into()), ..more }));
    let view = show(&mut shell, "j");
    assert_eq!((view.used.tokens, view.left.tokens), (11_000, 0));
    assert_eq!(shell.totals()["tenant/t"].reserved, amounts(3, 0, 489_000));
}

#[test]
fn a_job_of_background_work_keeps_to_its_pace() {
    // 24 an hour of the day for others, one after the other for background work.
    let budgets = r#"[{"window":"day","requests":576,"pace":"even"}]"#;
    let tenant = |default: &str| {
        format!(r#"{{"t":{{"priority":{{"default":"{default}"}},"budgets":{budgets}}}}}"#)
    };
    for (default, most) in [("normal", 264), ("background", 240)] {
        let mut shell = Shell::new(settings(1_000, 1_000_000, 1_000_000), &tenant(default));
        // 10:00 UTC: ten hours are over.
        assert_eq!(shell.now % DAY, 10 * 3_600_000);
        let beyond = refused(reserve(&mut shell, "j", amounts(most + 1, 1, 1)));
        assert_eq!(beyond.reason, Reason::BudgetSpent, "{default}");
        job(reserve(&mut shell, "j", amounts(most, 1, 1)));
    }
}

#[test]
fn a_removed_tenants_jobs_go_with_it() {
    let mut shell = shell();
    job(reserve(&mut shell, "j", amounts(5, 10_000, 500_000)));
    let file = serde_json::from_str(r#"{"tenants": {"u": {}}}"#).expect("a file");
    shell.admin(AdminInput::Apply { tenants: file, prune: true, dry_run: false });
    assert_eq!(shell.totals()["deployment"].reserved, Amounts::default());
    assert_eq!(shell.admin(AdminInput::Jobs), AdminReply::Jobs(Vec::new()));
}

#[derive(Clone, Debug)]
enum Deed {
    Reserve(u8, u64),
    Release(u8),
    Ask(u8),
    Plain,
    Settle(usize, u64),
    Cancel(usize),
    Pass(u64),
    Restart,
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let deed = prop_oneof![
        2 => (0..3_u8, 0..6_u64).prop_map(|(id, size)| Deed::Reserve(id, size)),
        1 => (0..3_u8).prop_map(Deed::Release),
        6 => (0..3_u8).prop_map(Deed::Ask),
        3 => Just(Deed::Plain),
        5 => (0..8_usize, 0..2_500_u64).prop_map(|(n, out)| Deed::Settle(n, out)),
        1 => (0..8_usize).prop_map(Deed::Cancel),
        2 => (0..1_800_000_u64).prop_map(Deed::Pass),
        1 => Just(Deed::Restart),
    ];
    prop::collection::vec(deed, 1..60)
}

proptest! {
    /// Invariants 1, 2 and 8: whatever happens, what the budgets hold is what jobs
    /// have left and open tickets hold; nothing real is ever forgotten; and a call
    /// that fits its job is never refused by a budget.
    #[test]
    fn the_books_balance(deeds in deeds()) {
        let mut shell = shell();
        let mut open: Vec<(String, bool)> = Vec::new();
        let mut real = (0, 0);
        for (n, deed) in deeds.into_iter().enumerate() {
            let ticket = format!("t{n}");
            let day = shell.now / DAY;
            match deed {
                Deed::Reserve(id, size) => {
                    let size = amounts(size, size * 2_000, size * 10_000);
                    reserve(&mut shell, &format!("j{id}"), size);
                }
                Deed::Release(id) => {
                    ask(&mut shell, "t", JobInput::Release { id: format!("j{id}") });
                }
                Deed::Ask(id) => {
                    let id = format!("j{id}");
                    let left = match ask(&mut shell, "t", JobInput::Show { id: id.clone() }) {
                        JobReply::Job(job) => Some(job.left),
                        _ => None,
                    };
                    let fits = left.map(|left| left.requests >= 1 && left.tokens >= 2_000 && left.microusd >= 10_000);
                    let asked = Admit { patience_ms: 0, ..call(&ticket, &id) };
                    match (shell.admit(asked), fits) {
                        (Decision::Granted { .. }, Some(true)) => open.push((ticket, true)),
                        // Rate limits hold its calls up, budgets do not.
                        (Decision::Refused(refusal), Some(true)) => {
                            prop_assert_eq!(refusal.reason, Reason::ProviderLimit);
                        }
                        (Decision::Refused(refusal), Some(false)) => prop_assert_eq!(refusal.reason, Reason::JobSpent),
                        (Decision::Refused(refusal), None) => prop_assert_eq!(refusal.reason, Reason::JobUnknown),
                        (decision, fits) => prop_assert!(false, "{:?} where it fits: {:?}", decision, fits),
                    }
                }
                Deed::Plain => {
                    if shell.admit(Admit { patience_ms: 0, ..admit(&ticket, "t") }) == GRANTED {
                        open.push((ticket, false));
                    }
                }
                Deed::Settle(n, output) if !open.is_empty() => {
                    let (ticket, _) = open.remove(n % open.len());
                    shell.event(used(&ticket, "t", 1_000, output));
                    real.0 += 1;
                    real.1 += 1_000 + output;
                }
                Deed::Cancel(n) if !open.is_empty() => {
                    let (ticket, _) = open.remove(n % open.len());
                    shell.event(settle(&ticket, "t", Used::Nothing));
                }
                Deed::Settle(..) | Deed::Cancel(_) => {}
                Deed::Pass(ms) => {
                    shell.pass(ms);
                    // Tickets that were not renewed expired, at their worst case.
                    open.clear();
                    shell.pass(1_000_000);
                }
                Deed::Restart => {
                    shell.restart();
                    // What ran settles later, within what was counted.
                }
            }
            if shell.now / DAY != day {
                real = (0, 0);
            }
            let totals = shell.totals();
            let AdminReply::Jobs(jobs) = shell.admin(AdminInput::Jobs) else { panic!() };
            for scope in ["tenant/t", "deployment"] {
                let scope = &totals[scope];
                let rest: u64 = jobs.iter().map(|job| job.left.requests + job.held.requests).sum();
                prop_assert!(scope.reserved.requests >= rest, "{:?} {:?}", scope, jobs);
                prop_assert!(scope.reserved.requests <= rest + open.len() as u64, "{:?} {:?}", scope, jobs);
                prop_assert!(scope.ceiling.requests >= scope.spent.requests + scope.reserved.requests);
                prop_assert!(scope.spent.requests >= real.0, "{:?} {:?}", scope, real);
                prop_assert!(scope.spent.tokens >= real.1, "{:?} {:?}", scope, real);
            }
        }
    }
}

//! The queue at the Gate: end users beside each other, who is shed when it is full,
//! and that nobody looks in vain.

mod common;

use common::*;
use limits::Input;
use limits::admin::AdminInput;
use limits::jobs::JobInput;
use limits::message::{
    Admit, CachedPrompt, Decision, Event, Level, Observation, Priority, Reason, Settle, Used,
};
use limits::settings::GateSettings;

/// A request a second, tokens without end.
fn slow() -> GateSettings {
    settings(60, 100_000_000, 100_000_000)
}

fn of_user(ticket: &str, tenant: &str, user: &str) -> Admit {
    Admit { user: Some(user.into()), ..patient(ticket, tenant) }
}

fn patient(ticket: &str, tenant: &str) -> Admit {
    Admit { patience_ms: 3_600_000, ..admit(ticket, tenant) }
}

/// Takes what the bucket of requests holds.
fn drain(shell: &mut Shell) {
    let ask = |n: u32| Admit { patience_ms: 0, ..admit(&format!("drain{n}"), "other") };
    let granted = (0..).take_while(|n| is_granted(&shell.admit(ask(*n)))).count();
    assert!(granted > 0);
}

fn tickets(shell: &mut Shell) -> Vec<String> {
    std::mem::take(&mut shell.answers).into_iter().map(|(ticket, _)| ticket).collect()
}

fn refusals(shell: &mut Shell) -> Vec<(String, String)> {
    let refused = |(ticket, decision): (String, Decision)| match decision {
        Decision::Refused(refusal) => {
            assert!(refusal.retry_after_ms.is_some_and(|ms| ms >= 1_000), "{refusal:?}");
            Some((ticket, format!("{:?}", refusal.reason)))
        }
        _ => None,
    };
    std::mem::take(&mut shell.answers).into_iter().filter_map(refused).collect()
}

#[test]
fn an_end_user_who_floods_its_tenant_waits_for_itself() {
    let mut shell = Shell::new(slow(), r#"{"t":{},"other":{}}"#);
    drain(&mut shell);
    for n in 0..50 {
        assert_eq!(shell.poll(of_user(&format!("flood{n}"), "t", "a")), None);
    }
    for (n, user) in ["b", "c", "b"].into_iter().enumerate() {
        assert_eq!(shell.poll(of_user(&format!("{user}{n}"), "t", user)), None);
    }
    shell.pass(7_000);
    let order = tickets(&mut shell);
    assert_eq!(order[..6], ["flood0", "b0", "c1", "flood1", "b2", "flood2"], "{order:?}");
}

#[test]
fn where_room_comes_at_once_those_who_wait_go_one_after_the_other() {
    // Ten requests a second.
    let mut shell = Shell::new(settings(600, 100_000_000, 100_000_000), r#"{"t":{}}"#);
    for n in 0..9 {
        assert!(is_granted(&shell.admit(patient(&format!("new{n}"), "t"))), "{n}: nobody waits");
    }
    let held = Observation { retry_after_ms: Some(10_000), ..observed("new0", 429, None) };
    shell.event(Event::Observed(held));
    for n in 0..30 {
        assert_eq!(shell.poll(patient(&format!("waits{n}"), "t")), None);
    }
    let went = [10_000, 500, 500, 1_000].map(|ms| {
        shell.pass(ms);
        tickets(&mut shell).len()
    });
    assert!(went[0] <= 2, "{went:?}");
    assert_eq!(went[1..], [5, 5, 10], "and all of the limit is used");
}

#[test]
fn turns_are_by_tokens_and_not_by_requests() {
    // Input is scarce: a thousand tokens a second.
    let mut shell = Shell::new(settings(100_000, 60_000, 100_000_000), r#"{"t":{}}"#);
    let sized = |ticket: &str, user: &str, input_tokens| Admit {
        input_tokens,
        ..of_user(ticket, "t", user)
    };
    assert!(is_granted(&shell.admit(sized("first", "x", 59_000))));
    for n in 0..10 {
        assert_eq!(shell.poll(sized(&format!("large{n}"), "a", 5_000)), None);
        assert_eq!(shell.poll(sized(&format!("small{n}"), "b", 1_000)), None);
    }
    shell.pass(22_000);
    let order = tickets(&mut shell);
    let of = |name: &str| order.iter().filter(|ticket| ticket.starts_with(name)).count();
    assert!((2..=3).contains(&of("large")) && of("small") == 10, "{order:?}");
}

#[test]
fn a_full_queue_sheds_the_newest_of_the_largest_flow() {
    let mut set = slow();
    set.queue.length_max = 10;
    let mut shell = Shell::new(set, r#"{"flood":{},"one":{},"two":{"weight":3},"other":{}}"#);
    drain(&mut shell);
    for n in 0..10 {
        assert_eq!(shell.poll(patient(&format!("f{n}"), "flood")), None);
    }
    assert_eq!(reason(&shell.admit(patient("f10", "flood"))), "QueueFull");
    for n in 0..5 {
        assert_eq!(shell.poll(patient(&format!("one{n}"), "one")), None, "{n}");
    }
    let shed = refusals(&mut shell);
    let names: Vec<_> = shed.iter().map(|(ticket, _)| ticket.as_str()).collect();
    assert_eq!(names, ["f9", "f8", "f7", "f6", "f5"]);
    assert!(shed.iter().all(|(_, why)| why == "QueueFull"));
    // Both hold as much now.
    assert_eq!(reason(&shell.admit(patient("one5", "one"))), "QueueFull");
    // Three times the weight, three times the place.
    for n in 0..6 {
        assert_eq!(shell.poll(patient(&format!("two{n}"), "two")), None, "{n}");
    }
    assert_eq!(reason(&shell.admit(patient("two6", "two"))), "QueueFull");
    assert_eq!(refusals(&mut shell).len(), 6);
}

#[test]
fn bytes_and_tokens_bound_it_as_well() {
    for kind in ["bytes", "tokens"] {
        let mut set = slow();
        match kind {
            "bytes" => set.queue.bytes_max = 10_000,
            // 1,000 of input and, as nothing was learned, 1,000 of output.
            _ => set.queue.tokens_max = 200_000,
        }
        let mut shell = Shell::new(set, r#"{"flood":{},"one":{},"other":{}}"#);
        drain(&mut shell);
        let sized = |ticket: &str, tenant: &str| Admit { bytes: 100, ..patient(ticket, tenant) };
        for n in 0..100 {
            assert_eq!(shell.poll(sized(&format!("f{n}"), "flood")), None, "{kind} {n}");
        }
        assert_eq!(reason(&shell.admit(sized("f100", "flood"))), "QueueFull", "{kind}");
        let large = Admit { bytes: 250, input_tokens: 4_000, ..patient("large", "one") };
        assert_eq!(shell.poll(large), None, "{kind}");
        let shed: Vec<_> = refusals(&mut shell).into_iter().map(|(ticket, _)| ticket).collect();
        assert_eq!(shed, ["f99", "f98", "f97"], "{kind}");
        // Alone it is more than all of the queue holds.
        let whale = Admit { bytes: 20_000, input_tokens: 250_000, ..patient("whale", "one") };
        assert_eq!(reason(&shell.admit(whale)), "QueueFull", "{kind}");
        assert!(refusals(&mut shell).is_empty(), "{kind}: nobody goes in vain");
    }
}

#[test]
fn within_a_tenant_its_largest_end_user_is_shed_and_of_one_the_least_urgent() {
    let mut set = slow();
    set.queue.length_max = 6;
    let mut shell = Shell::new(set, r#"{"t":{},"other":{}}"#);
    drain(&mut shell);
    let mut ask = |ticket: &str, user: &str, priority| {
        let ask = Admit { priority, ..of_user(ticket, "t", user) };
        let decision = shell.poll(ask);
        (decision.map(|decision| reason(&decision)), refusals(&mut shell))
    };
    for (n, priority) in [Priority::Normal, Priority::Background].into_iter().enumerate() {
        for m in 0..2 {
            assert_eq!(ask(&format!("a{n}{m}"), "a", priority), (None, vec![]));
        }
    }
    assert_eq!(ask("a4", "a", Priority::Normal), (None, vec![]));
    assert_eq!(ask("b0", "b", Priority::Normal), (None, vec![]));
    let full = || "QueueFull".to_owned();
    // Another user's request has the place of the larger one's background work, the newest first;
    let shed = |ticket: &str| (None, vec![(ticket.to_owned(), full())]);
    assert_eq!(ask("b1", "b", Priority::Background), shed("a11"));
    // and so has an urgent one of its own.
    assert_eq!(ask("a5", "a", Priority::Critical), shed("a10"));
    assert_eq!(ask("a6", "a", Priority::Normal), (Some(full()), vec![]));
}

#[test]
fn what_the_provider_refused_has_its_place_in_a_full_queue() {
    let mut set = slow();
    set.queue.length_max = 3;
    let mut shell = Shell::new(set, r#"{"t":{},"other":{}}"#);
    assert!(is_granted(&shell.admit(patient("r", "t"))));
    shell.pass(2_000);
    drain(&mut shell);
    let later = |ticket: &str, now| Admit { asked_ms: now, ..patient(ticket, "t") };
    for n in 0..3 {
        let ask = later(&format!("t{n}"), shell.now);
        assert_eq!(shell.poll(ask), None);
    }
    shell.call(
        None,
        vec![Event::Observed(observed("r", 429, None)), settle("r", "t", Used::Nothing)],
    );
    assert_eq!(shell.poll(Admit { attempt: 1, ..patient("r", "t") }), None);
    // A newcomer of another tenant sheds one that was never sent, too.
    assert_eq!(shell.poll(patient("o", "other")), None);
    let shed: Vec<_> = refusals(&mut shell).into_iter().map(|(ticket, _)| ticket).collect();
    assert_eq!(shed, ["t2", "t1"]);
    shell.pass(30_000);
    let left: Vec<_> = tickets(&mut shell).into_iter().filter(|ticket| ticket != "o").collect();
    assert_eq!(left, ["r", "t0"]);
}

const HELD: &str = r#"{
    "t":{"budgets":[{"window":"day","usd":"0.02"}]},
    "u":{"limits":{"concurrent":1}},
    "v":{"users":{"limits":{"concurrent":1}}}}"#;

#[test]
fn a_limit_held_by_requests_that_run_is_looked_at_when_one_ends() {
    let mut shell = Shell::new(settings(6_000, 100_000_000, 100_000_000), HELD);
    let cases = [("t", 2, "microusd_day"), ("u", 1, "concurrent"), ("v", 1, "concurrent")];
    for (tenant, most, kind) in cases {
        let name = |n: u32| format!("{tenant}{n}");
        let ask = |n: u32| of_user(&name(n), tenant, "someone");
        for n in 0..most {
            assert!(is_granted(&shell.admit(ask(n))), "{kind}");
        }
        assert_eq!(shell.poll(ask(8)), None, "{kind}");
        assert_eq!(shell.poll(ask(9)), None, "{kind}");
        // After 5 s without a call marks are written.
        let sooner = shell.wake_at.filter(|at| *at < shell.now + 5_000);
        assert_eq!(sooner, None, "{kind}: nobody looks in between");
        shell.now += 10;
        shell.event(settle(&name(0), tenant, Used::Nothing));
        assert_eq!(tickets(&mut shell), [name(8)], "{kind}");
        shell.now += 10;
        let cancelled = Event::Cancelled { ticket: name(8), attempt: 0 };
        shell.event(cancelled);
        assert_eq!(tickets(&mut shell), [name(9)], "{kind}");
        shell.event(settle(&name(9), tenant, Used::Nothing));
    }
}

#[test]
fn what_a_job_gives_back_goes_to_all_who_wait_for_it() {
    let mut set = settings(6_000, 100_000_000, 100_000_000);
    set.budgets = serde_json::from_str(r#"[{"window":"day","usd":"0.05"}]"#).expect("a budget");
    let mut shell = Shell::new(set, r#"{"a":{},"b":{},"c":{},"j":{}}"#);
    let job = |input| Input::Job { tenant: "j".into(), key: "k-j".into(), input };
    let amounts = limits::admin::Amounts { requests: 5, tokens: 10_000, microusd: 50_000 };
    let reserve = JobInput::Reserve { id: "job".into(), amounts, ttl_ms: 3_600_000 };
    shell.step(job(reserve));
    for tenant in ["a", "b", "c"] {
        for n in 0..2 {
            assert_eq!(shell.poll(patient(&format!("{tenant}{n}"), tenant)), None);
        }
    }
    shell.step(job(JobInput::Release { id: "job".into() }));
    assert_eq!(tickets(&mut shell), ["a0", "b0", "c0", "a1", "b1"]);
}

#[test]
fn a_client_that_left_makes_room_at_once() {
    let mut set = slow();
    set.queue.length_max = 2;
    let mut shell = Shell::new(set, r#"{"t":{},"other":{}}"#);
    drain(&mut shell);
    for ticket in ["t0", "t1"] {
        assert_eq!(shell.poll(patient(ticket, "t")), None);
    }
    assert_eq!(reason(&shell.admit(patient("t2", "t"))), "QueueFull");
    shell.event(Event::Cancelled { ticket: "t0".into(), attempt: 0 });
    assert_eq!(shell.poll(patient("t3", "t")), None);
    shell.answers.clear();
    shell.pass(2_500);
    assert_eq!(tickets(&mut shell), ["t1", "t3"]);
}

/// What is taken from a tenant while its requests wait, and what they are told then.
#[test]
fn who_may_not_ask_any_more_is_refused_where_it_waits() {
    let apply = |tenants: &str, prune| {
        let file = serde_json::from_str(&format!(r#"{{"tenants":{tenants}}}"#));
        AdminInput::Apply { tenants: file.expect("a sound file"), prune, dry_run: false }
    };
    let visitors = r#"{"t":{"publishable":{"origins":["*"],"models":["claude-*"],
        "max_tokens":2000,"usd_day":"5","visitor":{"limits":{"rpm":100}}}}}"#;
    let (none, visitor) = (r#"{"t":{}}"#, Some("visitor v"));
    let narrowed = r#"{"t":{"models":["claude-haiku-*"]}}"#;
    let lowered = r#"{"t":{"priority":{"default":"background","highest":"background"}}}"#;
    let revoke = || AdminInput::RevokeKey { id: "k-t".into() };
    for (before, user, change, told) in [
        (none, None, revoke(), "KeyRevoked"),
        (none, None, apply(r#"{"other":{}}"#, true), "UnknownTenant"),
        (none, None, apply(narrowed, false), "ModelNotAllowed"),
        (none, None, apply(lowered, false), "PriorityNotAllowed"),
        (visitors, visitor, apply(none, false), "KeyRevoked"),
    ] {
        let mut shell = Shell::new(slow(), before);
        shell.admin(apply(r#"{"other":{}}"#, false));
        shell.admin(AdminInput::AddKey(key("other")));
        drain(&mut shell);
        let ask = |n: &str| Admit { user: user.map(str::to_owned), ..patient(n, "t") };
        assert_eq!(shell.poll(ask("parked")), None, "{told}");
        assert!(matches!(shell.admit(ask("between")), Decision::Queued { .. }), "{told}");
        assert_eq!(shell.poll(patient("others", "other")), None, "{told}");
        shell.admin(change);
        let [(ticket, decision)] = &shell.answers[..] else { panic!("{:?}", shell.answers) };
        assert_eq!((ticket.as_str(), &*reason(decision)), ("parked", told));
        shell.answers.clear();
        // Nor does one go that is not parked now, or hold up who may.
        shell.pass(1_500);
        assert_eq!(tickets(&mut shell), ["others"], "{told}");
        assert_eq!(shell.totals()["tenant/t"].reserved, Default::default(), "{told}");
        assert_eq!(reason(&shell.poll(ask("between")).expect("at once")), told);
    }
}

/// A change that takes nothing from those who wait leaves them where they are.
#[test]
fn who_may_ask_as_before_keeps_its_place() {
    let mut shell = Shell::new(slow(), r#"{"t":{},"other":{}}"#);
    drain(&mut shell);
    shell.admin(AdminInput::AddKey(limits::admin::Key { id: "second".into(), ..key("t") }));
    assert_eq!(shell.poll(patient("t0", "t")), None);
    let file = serde_json::from_str(r#"{"tenants":{"t":{"models":["claude-sonnet-*"]}}}"#);
    let tenants = file.expect("a sound file");
    shell.admin(AdminInput::Apply { tenants, prune: false, dry_run: false });
    shell.admin(AdminInput::RevokeKey { id: "second".into() });
    assert!(shell.answers.is_empty(), "{:?}", shell.answers);
    shell.pass(1_500);
    assert_eq!(tickets(&mut shell), ["t0"]);
}

/// Who of two tenants goes, of 300 while both have hundreds that wait.
fn turns_of(weights: [u32; 2], rpm: u64) -> [usize; 2] {
    let [a, b] = weights;
    let tenants = format!(r#"{{"a":{{"weight":{a}}},"b":{{"weight":{b}}},"other":{{}}}}"#);
    let mut shell = Shell::new(settings(rpm, 1 << 40, 1 << 40), &tenants);
    drain(&mut shell);
    for n in 0..400 {
        for tenant in ["a", "b"] {
            assert_eq!(shell.poll(patient(&format!("{tenant}{n}"), tenant)), None);
        }
    }
    shell.answers.clear();
    let mut went = Vec::new();
    while went.len() < 300 {
        shell.pass(100);
        let some = tickets(&mut shell);
        for ticket in &some {
            shell.event(settled(ticket, &ticket[..1]));
        }
        went.extend(some);
    }
    ["a", "b"].map(|tenant| went[..300].iter().filter(|ticket| ticket.starts_with(tenant)).count())
}

#[test]
fn large_weights_share_a_large_pool() {
    for (weights, least, most) in [
        ([1, 1], 0.8, 1.2),
        ([1_000, 1_000], 0.8, 1.2),
        ([500, 1_000], 1.6, 2.4),
        ([1, 3], 2.4, 3.6),
    ] {
        let [a, b] = turns_of(weights, 4_000);
        let share = b as f64 / a as f64;
        assert!((least..=most).contains(&share), "{weights:?}: {a} and {b}");
    }
}

#[test]
fn background_moves_in_a_large_pool() {
    let rpm = 120_000;
    let mut shell = Shell::new(settings(rpm, 1 << 40, 1 << 40), r#"{"t":{},"other":{}}"#);
    let of = |ticket: String, priority| Admit { priority, ..patient(&ticket, "t") };
    drain(&mut shell);
    for n in 0..100 {
        assert_eq!(shell.poll(of(format!("later{n}"), Priority::Background)), None);
    }
    let (mut background, mut others) = (0, 0);
    for second in 0..10 {
        // More than there is room for, so that nobody of a lower priority goes but by age.
        for n in 0..3_000 {
            shell.poll(of(format!("{second}n{n}"), Priority::Normal));
        }
        shell.pass(1_000);
        for ticket in tickets(&mut shell) {
            if ticket.starts_with("later") {
                background += 1
            } else {
                others += 1
            }
            shell.event(settled(&ticket, "t"));
        }
    }
    assert_eq!(background, 100, "beside {others}");
}

#[test]
fn nothing_goes_before_the_provider_s_retry_after_of_hours() {
    let mut shell = Shell::new(slow(), r#"{"t":{}}"#);
    assert!(is_granted(&shell.admit(admit("first", "t"))));
    let refused = Observation { retry_after_ms: Some(7_200_000), ..observed("first", 429, None) };
    shell.call(None, vec![Event::Observed(refused), settle("first", "t", Used::Nothing)]);
    for (passes, goes) in [(7_199_000, false), (2_000, true)] {
        shell.pass(passes);
        let now = Admit { patience_ms: 0, ..admit(&format!("after {passes}"), "t") };
        assert_eq!(is_granted(&shell.admit(now)), goes, "{passes}");
    }
}

#[test]
fn a_request_that_no_bucket_takes_is_told_so_and_holds_nobody_up() {
    // Estimated at 29,000 of 30,000, and more than 30,000.
    never_fits(30_000, 29_000, None);
    // What is left is told in thousands.
    never_fits(30_400, 29_000, None);
    // It might have been read from the cache, and is not.
    never_fits(30_000, 40_000, Some(CachedPrompt { prefix: 1, hour: false }));
}

fn never_fits(limit: u64, input_tokens: u64, cached: Option<CachedPrompt>) {
    let mut shell = Shell::new(settings(1_000, limit, 1_000_000), r#"{"a":{},"b":{}}"#);
    let full = Some(Level { limit, remaining: 30_000, reset_ms: None });
    let mut attempts = 0;
    let refusal = loop {
        let large = Admit {
            attempt: attempts,
            input_tokens,
            cached,
            patience_ms: 600_000,
            ..admit("large", "a")
        };
        match shell.poll(large) {
            Some(Decision::Refused(refusal)) => break refusal,
            Some(Decision::Granted { .. }) => {}
            _ => {
                shell.answers.clear();
                for _ in 0..200 {
                    shell.pass(1_000);
                }
                let granted =
                    shell.answers.iter().any(|(of, how)| of == "large" && is_granted(how));
                assert!(granted, "a full bucket is enough to try it");
            }
        }
        let seen = Observation {
            attempt: attempts,
            sent_ms: shell.now,
            at_ms: shell.now,
            retry_after_ms: Some(1_000),
            input: full,
            ..observed("large", 429, None)
        };
        let Event::Settled(nothing) = settle("large", "a", Used::Nothing) else { unreachable!() };
        let nothing = Event::Settled(Settle { attempt: attempts, ..nothing });
        shell.call(None, vec![Event::Observed(seen), nothing]);
        attempts += 1;
        assert!(attempts < 4, "again and again");
    };
    assert_eq!(refusal.reason, Reason::TooLarge);
    shell.pass(2_000);
    assert!(is_granted(&shell.admit(admit("small", "b"))));
}

#[test]
fn who_hears_late_that_it_may_go_is_followed_at_the_limits_own_distance() {
    // One each 1,200 ms, and 60 for what messages' ways vary.
    const APART_MS: u64 = 1_260;
    for late in [0, 50, 400] {
        let mut shell = Shell::new(settings(50, 100_000_000, 100_000_000), r#"{"t":{}}"#);
        assert!(is_granted(&shell.admit(admit("first", "t"))));
        assert_eq!(shell.poll(patient("slow", "t")), None);
        assert_eq!(shell.poll(patient("next", "t")), None);
        // Its slice is over, and the poll that follows is on its way when its turn comes.
        shell.step(Input::Release { ticket: "slow".into() });
        shell.answers.clear();
        shell.pass(APART_MS + 1);
        assert!(tickets(&mut shell).is_empty(), "granted, and nobody was told");
        shell.pass(late);
        assert!(is_granted(&shell.poll(patient("slow", "t")).expect("an answer")));
        shell.pass(APART_MS - 2);
        assert!(tickets(&mut shell).is_empty(), "{late}: too close behind");
        shell.pass(4);
        assert_eq!(tickets(&mut shell), ["next"], "{late}: later than need be");
    }
}

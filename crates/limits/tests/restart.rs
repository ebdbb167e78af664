//! A restart begins neither blind nor needlessly cautious: levels, what runs and places
//! are about what they were, and never more; spend is never less (invariant 8).

mod common;

use common::{Shell, admit, is_granted, pool, restart, running, settings, settle};
use limits::admin::{AdminInput, AdminReply};
use limits::message::{Admit, Decision, Event, Settle, Used};
use limits::policy::Tenants;
use limits::settings::{GateSettings, Reserves};

const DAY: u64 = 86_400_000;
const OTPM: u64 = 120_000;
/// A restart may count this much as used: 5 % of a bucket.
const CHUNK: i64 = OTPM as i64 / 20;

fn used(ticket: &str, output: u64) -> Event {
    let (input, microusd) = (1_000, 1_000 + output);
    let used = Used::Tokens { input, input_total: input, output, microusd, estimated: false };
    settle(ticket, "t", used)
}

/// What the pool lets new requests have of the output limit, and how many run in it.
fn pool_of(shell: &mut Shell) -> (i64, u64) {
    let AdminReply::State(state) = shell.admin(AdminInput::State) else { panic!("a state") };
    let state = state.pools.into_iter().find(|state| state.pool == pool()).expect("it was met");
    let output = state.limits.into_iter().find(|limit| limit.kind == "output_tokens");
    (output.expect("it is known").level, state.open)
}

/// Ten requests run that have generated half of what is expected of them.
fn busy(settings: GateSettings) -> Shell {
    let mut shell = Shell::new(settings, r#"{"t": {}}"#);
    for n in 0..100 {
        let ticket = format!("before{n}");
        assert!(is_granted(&shell.admit(admit(&ticket, "t"))));
        shell.now += 8_000;
        shell.event(used(&ticket, 400));
    }
    shell.now += 60_000;
    for n in 0..10 {
        assert!(is_granted(&shell.admit(admit(&format!("runs{n}"), "t"))));
    }
    shell.now += 4_000;
    for n in 0..10 {
        shell.admit(running(&format!("runs{n}"), "t", 200));
    }
    shell
}

fn reserving(reserves: Reserves) -> GateSettings {
    let mut settings = settings(1_000, 10_000_000, OTPM);
    settings.accounts.values_mut().for_each(|account| account.reserves = reserves);
    settings
}

#[test]
fn a_restart_costs_a_chunk_of_the_level_once_those_that_run_have_told() {
    for reserves in [Reserves::Generated, Reserves::MaxTokens] {
        let mut shell = busy(reserving(reserves));
        let mut other = shell.clone();
        let (_, ran) = pool_of(&mut shell);
        restart(&mut shell);
        other.now = shell.now;
        let (before, _) = pool_of(&mut other);
        let (after, runs) = pool_of(&mut shell);
        // Rows are written by the chunk: some may be missing, whose output the level lacks.
        assert_eq!((ran, (7..=10).contains(&runs)), (10, true), "{reserves:?}: {runs}");
        // Until they tell, what they may generate yet stays free, some 300 each: whether they
        // still run is not known, nor what they had generated if not.
        let held = if reserves == Reserves::Generated { 10 * 300 } else { 0 };
        let least = before - CHUNK - 500 - held;
        assert!((least..=before).contains(&after), "{reserves:?}: {before} {after}");
        for n in 0..10 {
            shell.admit(running(&format!("runs{n}"), "t", 200));
        }
        let (told, runs) = pool_of(&mut shell);
        assert_eq!(runs, 10, "each is counted once");
        assert!((before - CHUNK - 500..=before).contains(&told), "{reserves:?}: {before} {told}");
        assert!(told >= after - 200, "{reserves:?}: {after} {told}");
        shell.now += 4_000;
        for n in 0..10 {
            shell.event(used(&format!("runs{n}"), 400));
        }
        shell.now += 60_000;
        assert_eq!(pool_of(&mut shell).1, 0);
    }
}

#[test]
fn a_restarted_gate_counts_as_one_that_never_was_away() {
    for reserves in [Reserves::Generated, Reserves::MaxTokens] {
        for told in [0, 5, 10] {
            let mut shell = busy(reserving(reserves));
            let mut other = shell.clone();
            restart(&mut shell);
            other.now = shell.now;
            for n in 0..told {
                shell.admit(running(&format!("runs{n}"), "t", 200));
            }
            for shell in [&mut shell, &mut other] {
                shell.now += 1_000;
                for n in 0..10 {
                    shell.event(used(&format!("runs{n}"), 250));
                }
            }
            let (level, runs) = pool_of(&mut shell);
            let (whole, _) = pool_of(&mut other);
            assert_eq!(runs, 0, "{reserves:?}, {told} told");
            let lost = whole - level;
            assert!((0..=CHUNK + 500).contains(&lost), "{reserves:?}, {told} told: {lost} lost");
        }
    }
}

#[test]
fn whoever_tells_nothing_for_long_is_taken_for_gone() {
    let mut shell = busy(settings(1_000, 10_000_000, OTPM));
    restart(&mut shell);
    assert_eq!(pool_of(&mut shell).1, 10);
    shell.now += 10_000;
    let half = pool_of(&mut shell).1;
    assert!((1..=5).contains(&half), "{half}");
    shell.now += 20_000;
    assert_eq!(pool_of(&mut shell).1, 0);
}

#[test]
fn places_are_given_away_once() {
    let mut limited = settings(1_000, 10_000_000, OTPM);
    for account in limited.accounts.values_mut() {
        account.limits.values_mut().for_each(|limits| limits.concurrent = Some(5));
    }
    let mut shell = Shell::new(limited, r#"{"t": {}}"#);
    for n in 0..5 {
        assert!(is_granted(&shell.admit(admit(&format!("runs{n}"), "t"))), "{n}");
    }
    restart(&mut shell);
    let now = |ticket: &str| Admit { patience_ms: 0, ..admit(ticket, "t") };
    assert!(!is_granted(&shell.admit(now("a"))), "all are taken");
    for n in 0..3 {
        shell.admit(running(&format!("runs{n}"), "t", 10));
    }
    assert!(!is_granted(&shell.admit(now("b"))), "told or not");
    shell.event(used("runs3", 20));
    assert!(is_granted(&shell.admit(now("c"))), "one ended that nobody had told of");
    assert!(!is_granted(&shell.admit(now("d"))));
    shell.event(used("runs0", 20));
    assert!(is_granted(&shell.admit(now("e"))));
    assert!(!is_granted(&shell.admit(now("f"))));
}

/// By when every isolate has told what it runs.
const TOLD_MS: u64 = 40_000;

/// Five requests run of five places, which are an account's, a tenant's or an end user's;
/// then comes a restart.
fn full(whose: &str) -> Shell {
    let mut settings = settings(1_000, 10_000_000, OTPM);
    if whose == "account" {
        for account in settings.accounts.values_mut() {
            account.limits.values_mut().for_each(|limits| limits.concurrent = Some(5));
        }
    }
    let tenant = match whose {
        "tenant" => r#"{"t": {"limits": {"concurrent": 5}}}"#,
        "user" => r#"{"t": {"users": {"limits": {"concurrent": 5}}}}"#,
        _ => r#"{"t": {}}"#,
    };
    let mut shell = Shell::new(settings, tenant);
    for n in 0..5 {
        assert!(is_granted(&shell.admit(by_user(admit(&format!("runs{n}"), "t")))), "{whose}");
    }
    assert!(!is_granted(&shell.admit(at_once("sixth"))), "{whose}");
    shell.pass(1_000);
    shell.restart();
    shell
}

fn by_user(admit: Admit) -> Admit {
    Admit { user: Some("u".into()), ..admit }
}

fn at_once(ticket: &str) -> Admit {
    by_user(Admit { patience_ms: 0, ..admit(ticket, "t") })
}

fn ended(ticket: &str) -> Event {
    let Event::Settled(ended) = used(ticket, 20) else { unreachable!() };
    Event::Settled(limits::message::Settle { user: Some("u".into()), ..ended })
}

const OWNERS: [&str; 3] = ["account", "tenant", "user"];

#[test]
fn a_place_is_kept_until_every_isolate_has_told_who_runs() {
    for whose in OWNERS {
        let mut shell = full(whose);
        for second in 0..TOLD_MS / 1_000 {
            let ticket = format!("at{second}");
            assert!(!is_granted(&shell.admit(at_once(&ticket))), "{whose}: {second} s after");
            shell.pass(1_000);
            if second == 30 {
                for n in 0..3 {
                    shell.admit(by_user(running(&format!("runs{n}"), "t", 10)));
                }
            }
        }
        // Two told nothing: they are gone, and three run on.
        for n in 0..2 {
            assert!(is_granted(&shell.admit(at_once(&format!("next{n}")))), "{whose}");
        }
        assert!(!is_granted(&shell.admit(at_once("over"))), "{whose}");
        shell.event(ended("runs0"));
        assert!(is_granted(&shell.admit(at_once("last"))), "{whose}");
    }
}

#[test]
fn whose_end_is_told_frees_its_place_at_once_and_once() {
    for whose in OWNERS {
        let mut shell = full(whose);
        let waits = |ticket: &str| by_user(Admit { patience_ms: 600_000, ..admit(ticket, "t") });
        for n in 0..4 {
            assert_eq!(shell.poll(waits(&format!("waits{n}"))), None, "{whose}");
        }
        let went = |shell: &mut Shell| std::mem::take(&mut shell.answers).len();
        // What went in the last second before is not known.
        shell.pass(1_000);
        // One that had told, and one that nobody told of, each twice.
        shell.admit(by_user(running("runs0", "t", 10)));
        assert_eq!(went(&mut shell), 0, "{whose}");
        for ticket in ["runs0", "runs1"] {
            shell.event(ended(ticket));
            shell.event(ended(ticket));
            assert_eq!(went(&mut shell), 1, "{whose}: {ticket}");
        }
        // The others wait until it is clear that three are gone.
        shell.pass(TOLD_MS - 3_000);
        assert_eq!(went(&mut shell), 0, "{whose}");
        shell.pass(12_000);
        assert_eq!(went(&mut shell), 2, "{whose}");
    }
}

#[test]
fn a_lost_request_s_place_comes_back_however_often_the_gate_restarts() {
    for whose in OWNERS {
        let mut shell = full(whose);
        let tell = |shell: &mut Shell, tokens| {
            for n in 0..4 {
                shell.admit(by_user(running(&format!("runs{n}"), "t", tokens)));
            }
        };
        tell(&mut shell, 10);
        shell.pass(8_000);
        tell(&mut shell, 20);
        shell.pass(22_000);
        shell.restart();
        tell(&mut shell, 30);
        assert!(!is_granted(&shell.admit(at_once("early"))), "{whose}");
        shell.pass(11_000);
        assert!(is_granted(&shell.admit(at_once("fifth"))), "{whose}");
        assert!(!is_granted(&shell.admit(at_once("sixth"))), "{whose}");
    }
}

#[test]
fn an_idle_gate_remembers_no_places() {
    let mut shell = busy(settings(1_000, 10_000_000, OTPM));
    for n in 0..10 {
        shell.event(used(&format!("runs{n}"), 400));
    }
    shell.pass(60_000);
    restart(&mut shell);
    assert_eq!(pool_of(&mut shell).1, 0);
}

#[test]
fn a_tenant_s_output_limit_loses_a_chunk() {
    let tenants = r#"{"t": {"limits": {"otpm": 120000}}}"#;
    let mut shell = busy(settings(1_000, 10_000_000, 10_000_000));
    let file: Tenants =
        serde_json::from_str(&format!(r#"{{"tenants":{tenants}}}"#)).expect("sound");
    shell.admin(AdminInput::Apply { tenants: file, prune: false, dry_run: false });
    let level = |shell: &mut Shell| {
        let input = limits::Input::View {
            tenant: "t".into(),
            user: None,
            account_scope: false,
            visitor: None,
        };
        let limits::Answer::View(view) = shell.step(input).reply else { panic!("a view") };
        view.limits.iter().find(|limit| limit.kind == "output_tokens").expect("set").level
    };
    shell.admit(running("runs0", "t", 210));
    let mut other = shell.clone();
    restart(&mut shell);
    other.now = shell.now;
    for n in 0..10 {
        shell.admit(running(&format!("runs{n}"), "t", 210));
    }
    for shell in [&mut shell, &mut other] {
        for n in 0..10 {
            shell.event(used(&format!("runs{n}"), 300));
        }
    }
    let lost = level(&mut other) - level(&mut shell);
    assert!((0..=CHUNK + 500).contains(&lost), "{lost}");
}

/// Each window, how long it lasts from the start of these tests, and its kind. They
/// start on a Tuesday, the 24th of November 2026, at 10:00 UTC.
const WINDOWS: [(&str, u64, &str); 5] = [
    (r#""window": "day""#, 14 * 3_600_000, "requests_day"),
    (r#""window": "week""#, 6 * DAY - 36_000_000, "requests_week"),
    (r#""window": "week", "starts": "sunday""#, 5 * DAY - 36_000_000, "requests_week"),
    (r#""window": "month""#, 7 * DAY - 36_000_000, "requests_month"),
    (r#""window": "month", "starts": "rolling""#, 30 * DAY - 36_000_000, "requests_month"),
];

/// Restarts in between never make room, nor does the end of a window come early.
#[test]
fn budgets_of_all_windows_hold_through_restarts() {
    for (window, lasts, kind) in WINDOWS {
        let tenants = format!(r#"{{"t": {{"budgets": [{{{window}, "requests": 1000}}]}}}}"#);
        let mut shell = Shell::new(settings(100_000, 100_000_000, 100_000_000), &tenants);
        let mut spent = 0;
        let refusal = loop {
            let ticket = format!("r{spent}");
            match shell.admit(admit(&ticket, "t")) {
                Decision::Granted { .. } => {}
                Decision::Refused(refusal) => break refusal,
                Decision::Queued { .. } => panic!("{window}: it waits"),
            }
            spent += 1;
            shell.now += 1_000;
            if spent % 100 == 0 {
                restart(&mut shell);
            } else {
                shell.event(used(&ticket, 100));
            }
        };
        // Ten restarts at most, each of a chunk of 2 % and the open one.
        assert!((700..=1_000).contains(&spent), "{window}: {spent} of 1,000");
        let limit = refusal.limit.expect("its own limit");
        assert_eq!(limit.kind, kind, "{window}");
        let opens = refusal.retry_after_ms.expect("it opens");
        let ends = common::START + lasts;
        assert_eq!(shell.now + opens, ends, "{window}");
        shell.now = ends - 1_001;
        restart(&mut shell);
        assert!(!is_granted(&shell.admit(admit("early", "t"))), "{window}");
        shell.now = ends - 1_000;
        restart(&mut shell);
        assert!(is_granted(&shell.admit(admit("next", "t"))), "{window}: a new window");
    }
}

/// Day by day, restarts at night: thirty days back count, and no more.
#[test]
fn a_rolling_month_survives_a_restart_each_day() {
    let tenants =
        r#"{"t": {"budgets": [{"window": "month", "starts": "rolling", "requests": 300}]}}"#;
    let mut shell = Shell::new(settings(100_000, 100_000_000, 100_000_000), tenants);
    for day in 0..75_u64 {
        let mut granted = 0;
        for n in 0..10 {
            let ticket = format!("d{day}n{n}");
            if is_granted(&shell.admit(admit(&ticket, "t"))) {
                granted += 1;
                shell.event(used(&ticket, 10));
            }
        }
        assert_eq!(granted, 10, "day {day}: 300 in any thirty days");
        let over = Admit { patience_ms: 0, ..admit(&format!("over{day}"), "t") };
        assert_eq!(is_granted(&shell.admit(over)), day < 29, "day {day}");
        shell.event(settle(&format!("over{day}"), "t", Used::Nothing));
        // Quiet, so that marks are exact, then midnight.
        shell.pass(60_000);
        restart(&mut shell);
        shell.now += DAY - 61_000;
    }
}

/// An hour of output debt, and a restart in the next day.
#[test]
fn an_end_user_in_debt_is_in_debt_after_a_restart() {
    let tenants = r#"{"t": {"users": {"limits": {"otpm": 1000}}}}"#;
    let mut shell = Shell::new(settings(100_000, 100_000_000, 100_000_000), tenants);
    shell.now = (shell.now / DAY + 1) * DAY - 600_000;
    let ask = |ticket: &str| Admit {
        user: Some("u".into()),
        max_tokens: 64_000,
        patience_ms: 0,
        ..admit(ticket, "t")
    };
    assert!(is_granted(&shell.admit(ask("first"))));
    let Event::Settled(settle) = used("first", 60_000) else { unreachable!() };
    shell.event(Event::Settled(Settle { user: Some("u".into()), max_tokens: 64_000, ..settle }));
    shell.pass(60_000);
    shell.pass(20_000);
    restart(&mut shell);
    shell.pass(660_000);
    assert!(is_granted(&shell.admit(admit("another", "t"))));
    shell.event(used("another", 100));
    // Quiet, when rows that say nothing any more go.
    shell.pass(20_000);
    assert!(!is_granted(&shell.admit(ask("second"))), "most of an hour of it is left");
    shell.pass(3_600_000);
    assert!(is_granted(&shell.admit(ask("third"))));
}

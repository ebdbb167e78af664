//! Isolates that are lent tickets while limits are far: fewer calls, and nothing
//! else changes: no refusal by the provider, no use forgone, no spend forgotten.
//!
//! Tickets are lent where a second's requests are some tens, so these limits are
//! larger than the other tests', and the answers shorter.

use limits::message::Priority;
use limits::settings::GateSettings;
use simulator::provider::Limits;
use simulator::{Fault, Flow, Growth, Report, Scenario, run};

/// Out of reach of all traffic here.
const WIDE: Limits = Limits { rpm: 60_000, itpm: 60_000_000, otpm: 60_000_000 };

/// The same requests with leases and without.
fn with_and_without(scenario: &Scenario) -> (Report, Report) {
    let mut without = scenario.clone();
    without.settings.leases = false;
    let (with, without) = (run(scenario), run(&without));
    assert_eq!((with.asked, without.drawn), (without.asked, 0), "seed {}", scenario.seed);
    (with, without)
}

fn scenario(seed: u64, span_ms: u64, limits: Limits, per_minute: f64) -> Scenario {
    let flow = Flow { patience_ms: 300_000, ..Flow::new("a", per_minute, 1_000, 100) };
    Scenario { isolates: 2, ..Scenario::new(seed, span_ms, limits, vec![flow]) }
}

#[test]
fn far_from_every_limit_most_requests_need_no_call() {
    let limits = Limits { rpm: 600_000, itpm: 600_000_000, otpm: 60_000_000 };
    for (per_minute, span_ms) in [(3_000.0, 12_000), (12_000.0, 6_000), (48_000.0, 3_000)] {
        for seed in 0..20 {
            let mut scenario = scenario(seed, span_ms, limits, per_minute);
            scenario.isolates = 1;
            let (with, without) = with_and_without(&scenario);
            let calls = (with.calls_permille(), without.calls_permille());
            println!(
                "{per_minute} a minute, seed {seed}: {calls:?} calls for 1,000, {} of {} drawn",
                with.drawn, with.asked
            );
            assert_eq!((with.refused_upstream, with.refused()), (0, 0), "seed {seed}");
            // The first second, and what arrives while a lease is asked for, asks.
            assert!(with.drawn * 10 >= with.asked * 6, "seed {seed}");
            assert!(calls.0 * 2 <= calls.1, "seed {seed}: {calls:?}");
        }
    }
}

/// Questions for leases and returns among them: whichever reply is read, an isolate has each
/// lease once, and what it does not use comes back. `run` asserts that the books balance.
#[test]
fn messages_that_all_come_twice_strand_no_lease() {
    for seed in 0..20 {
        let mut scenario = scenario(seed, 30_000, WIDE, 6_000.0);
        scenario.faults = vec![Fault::Doubled(1_000), Fault::Late(100, 1_000)];
        let report = run(&scenario);
        println!("{report}");
        assert!(report.drawn * 2 >= report.asked, "seed {seed}: or leases are not tried");
        assert_eq!((report.refused_upstream, report.refused()), (0, 0), "seed {seed}");
        assert_eq!(report.microusd.0, report.microusd.1, "seed {seed}");
    }
}

/// Demand of 0.4 times a limit grows to 1.5 times it, at once or in ten seconds;
/// when the burst is used up, it is the limit that is measured.
fn growing(kind: &str, seed: u64) -> Scenario {
    let (limits, per_minute, input, span_ms) = match kind {
        "requests" => (Limits { rpm: 3_000, ..WIDE }, 1_200.0, 100, 195_000),
        "input" => (Limits { itpm: 15_000_000, ..WIDE }, 600.0, 10_000, 205_000),
        _ => (Limits { otpm: 150_000, ..WIDE }, 600.0, 1_000, 205_000),
    };
    let mut scenario = scenario(seed, span_ms, limits, per_minute);
    let to_ms = 30_000 + 10_000 * (seed % 2);
    let flow = &mut scenario.flows[0];
    flow.growth = Some(Growth { from_ms: 30_000, to_ms, times: 3.75 });
    flow.input = input;
    flow.output = if kind == "output" { 100 } else { 40 };
    scenario.measure_from_ms = 170_000;
    scenario
}

fn use_of(kind: &str, report: &Report) -> u64 {
    match kind {
        "requests" => report.requests_permille(),
        "input" => report.input_permille(),
        _ => report.output_permille(),
    }
}

#[test]
fn leases_that_are_out_as_a_limit_nears_neither_overrun_nor_waste_it() {
    for (kind, seeds) in [("requests", 2), ("input", 10), ("output", 20)] {
        for seed in 0..seeds {
            let (with, without) = with_and_without(&growing(kind, seed));
            let used = (use_of(kind, &with), use_of(kind, &without));
            println!("{kind}, seed {seed}: use {used:?}, {} of {} drawn", with.drawn, with.asked);
            assert_eq!((with.refused_upstream, with.refused()), (0, 0), "{kind}, seed {seed}");
            assert!(with.drawn > 100, "{kind}, seed {seed}: leases are out");
            assert!(used.0 >= 970 && used.0 + 10 >= used.1, "{kind}, seed {seed}: {used:?}");
        }
    }
}

/// `run` holds recorded spend against the real one at each restart and at the end,
/// and that the buckets are full again.
#[test]
fn lost_isolates_and_restarts_with_leases_out_forget_and_overrun_nothing() {
    let faults = [
        vec![Fault::IsolatesLost(3_000, 60_000)],
        vec![Fault::RestartEvery(7_000)],
        vec![Fault::RestartEvery(7_000), Fault::IsolatesLost(3_000, 60_000), Fault::Doubled(100)],
    ];
    for (faults, seed) in faults.iter().flat_map(|faults| (0..20).map(move |seed| (faults, seed))) {
        let mut scenario = scenario(seed, 60_000, WIDE, 1_200.0);
        scenario.faults = faults.clone();
        let report = run(&scenario);
        let (real, recorded) = report.microusd;
        println!("{faults:?}: {report}  {recorded} recorded, {real} real");
        assert!(report.drawn > 300, "seed {seed}");
        assert_eq!((report.refused_upstream, report.refused()), (0, 0), "{faults:?}, seed {seed}");
        assert_eq!(report.answered + report.lost, report.asked, "{faults:?}, seed {seed}");
    }
}

#[test]
fn capacity_that_lost_isolates_held_comes_back() {
    for seed in 0..5 {
        let mut scenario = growing("output", seed);
        scenario.faults = vec![Fault::IsolatesLost(10_000, 30_000)];
        // By then nothing is left of the full bucket of the beginning.
        (scenario.span_ms, scenario.measure_from_ms) = (265_000, 230_000);
        let (with, without) = with_and_without(&scenario);
        let used = (with.output_permille(), without.output_permille());
        println!("seed {seed}: use {used:?}, {} of {} drawn", with.drawn, with.asked);
        assert_eq!((with.refused_upstream, with.refused()), (0, 0), "seed {seed}");
        assert!(used.0 >= 970 && used.0 + 10 >= used.1, "seed {seed}: {used:?}");
    }
}

#[test]
fn limits_lowered_with_leases_out_cost_no_more_refusals_than_without() {
    let mut refused = (0, 0);
    for seed in 0..20 {
        let mut scenario = scenario(seed, 35_000, WIDE, 6_000.0);
        scenario.isolates = 4;
        let less = Limits { rpm: 600, itpm: 600_000, otpm: 60_000 };
        scenario.faults = vec![Fault::LimitsChange(30_000, less)];
        let (with, without) = with_and_without(&scenario);
        println!(
            "seed {seed}: {} refused upstream, {} without leases; {} of {} drawn",
            with.refused_upstream, without.refused_upstream, with.drawn, with.asked
        );
        assert_eq!((with.answered, with.refused()), (with.asked, 0), "seed {seed}");
        // A hundred requests a second, each some 50 ms from isolate to provider
        // and back: what is under way when the first refusal is told.
        assert!(with.refused_upstream <= 20, "seed {seed}");
        assert!(with.drawn > 1_000, "seed {seed}");
        refused = (refused.0 + with.refused_upstream, refused.1 + without.refused_upstream);
    }
    assert!(refused.0 * 10 <= refused.1 * 13, "{refused:?}");
}

/// What was lent before is more than a second has now, and runs for seconds yet.
#[test]
fn a_lowered_limit_is_used_while_what_was_lent_before_still_runs() {
    for seed in 0..5 {
        let mut scenario = scenario(seed, 40_000, WIDE, 6_000.0);
        scenario.isolates = 4;
        scenario.flows[0].output = 400;
        let less = Limits { rpm: 3_000, itpm: 6_000_000, otpm: 3_000_000 };
        scenario.faults = vec![Fault::LimitsChange(30_000, less)];
        scenario.measure_from_ms = 33_000;
        let (with, without) = with_and_without(&scenario);
        let started = (with.used_of(0).0, without.used_of(0).0);
        println!("seed {seed}: {started:?} started in seven seconds, at most 350");
        assert!(with.drawn > 1_000, "seed {seed}");
        assert!(started.0 >= 315 && started.0 <= 360, "seed {seed}: {started:?}");
        assert!(with.refused_upstream <= 20, "seed {seed}");
    }
}

/// What the other tests play, at a size at which tickets are lent.
fn others(seed: u64) -> Vec<(&'static str, Scenario)> {
    let limits = Limits { rpm: 12_000, itpm: 24_000_000, otpm: 600_000 };
    let flow = |tenant, per_minute| Flow {
        patience_ms: 300_000,
        ..Flow::new(tenant, per_minute, 1_000, 100)
    };
    let plain = || {
        let flows = vec![flow("one", 1_200.0), flow("two", 900.0)];
        Scenario { isolates: 2, ..Scenario::new(seed, 60_000, limits, flows) }
    };
    let with = |faults| Scenario { faults, ..plain() };
    let mut priorities = plain();
    priorities.flows[0].priority = Priority::Critical;
    priorities.flows[1].priority = Priority::Background;
    let mut leaves = plain();
    leaves.flows.iter_mut().for_each(|flow| flow.leave_permille = 300);
    let mut unknown = plain();
    unknown.settings = GateSettings {
        accounts: [("acct".to_owned(), Box::default())].into(),
        ..GateSettings::default()
    };
    let mut flood = plain();
    let growth = Some(Growth { from_ms: 30_000, to_ms: 30_000, times: 10.0 });
    flood.flows[0] = Flow { growth, patience_ms: 20_000, ..flow("flood", 1_200.0) };
    let less = Limits { rpm: 6_000, itpm: 12_000_000, otpm: 300_000 };
    let more = Limits { rpm: 24_000, itpm: 48_000_000, otpm: 1_200_000 };
    vec![
        ("plain", plain()),
        ("priorities", priorities),
        ("clients leave", leaves),
        ("limits unknown", unknown),
        ("a flood", flood),
        ("clocks ahead", with(vec![Fault::ClocksAhead(5_000)])),
        ("doubled", with(vec![Fault::Doubled(500)])),
        ("requests lost", with(vec![Fault::IsolateDies(50), Fault::Doubled(200)])),
        ("raised", with(vec![Fault::LimitsChange(30_000, more)])),
        ("lowered", with(vec![Fault::LimitsChange(30_000, less)])),
        ("shared", with(vec![Fault::Outside(10_000, 50_000, 300)])),
    ]
}

#[test]
fn what_holds_without_leases_holds_with_them() {
    for seed in 0..3 {
        for (name, scenario) in others(seed) {
            let report = run(&scenario);
            println!("{name}: {report}");
            assert!(report.drawn > 500, "{name}, seed {seed}: {} drawn", report.drawn);
            assert_eq!(report.refused_upstream, 0, "{name}, seed {seed}");
            assert_eq!(report.answered + report.refused(), report.asked, "{name}, seed {seed}");
            // Only who comes too often is refused.
            let served = report.waits_where(|flow| flow.tenant != "flood").count();
            let flood = report.waits("flood").count() as u64;
            assert_eq!(served as u64 + flood + report.refused(), report.asked, "{name}");
            assert!(name == "a flood" || report.refused() == 0, "{name}, seed {seed}");
        }
    }
}

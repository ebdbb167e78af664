//! Restarts, lost and doubled messages, changed limits, a shared account, skew.

use limits::settings::GateSettings;
use simulator::file::{self, File};
use simulator::provider::Limits;
use simulator::{Fault, Flow, Scenario, run};

const LIMITS: Limits = Limits { rpm: 600, itpm: 1_000_000, otpm: 100_000 };

fn scenario(seed: u64, faults: Vec<Fault>) -> Scenario {
    let flows = vec![Flow::new("one", 170.0, 1_000, 500), Flow::new("two", 90.0, 3_000, 700)];
    Scenario { faults, ..Scenario::new(seed, 240_000, LIMITS, flows) }
}

/// Recorded spend is never below the real one; `run` checks it at each restart
/// and at the end.
#[test]
fn restarts_forget_nothing_and_cost_little() {
    for seed in 0..5 {
        let mut scenario = scenario(seed, vec![Fault::RestartEvery(30_000)]);
        scenario.flows.iter_mut().for_each(|flow| flow.patience_ms = 300_000);
        let report = run(&scenario);
        println!("{report}");
        assert_eq!(report.answered, report.asked, "seed {seed}");
        assert_eq!(report.refused_upstream, 0, "seed {seed}");
        // Seven restarts: a chunk, and the worst case of what ran, each.
        let (real, recorded) = report.microusd;
        let worst = 4_096 * 15 + 60_000;
        assert!(recorded - real <= 7 * (1_000_000 + 100 * worst), "seed {seed}: {real} {recorded}");
    }
}

#[test]
fn a_restart_at_any_moment_forgets_nothing() {
    for at in 0..40 {
        let report = run(&scenario(at, vec![Fault::Restart(20_000 + 1_237 * at)]));
        assert_eq!(report.refused(), 0, "restart {at}");
    }
}

#[test]
fn lost_isolates_and_doubled_settlements_leave_the_books_whole() {
    for seed in 0..5 {
        let report = run(&scenario(seed, vec![Fault::IsolateDies(50), Fault::Doubled(200)]));
        println!("{report}");
        assert!(report.refused_upstream * 1_000 <= report.attempts, "seed {seed}");
        let doubled = run(&scenario(seed, vec![Fault::Doubled(500)]));
        assert_eq!(doubled.microusd.0, doubled.microusd.1, "seed {seed}");
        assert_eq!(doubled.refused_upstream, 0, "seed {seed}");
    }
}

/// Grants, refusals, places, progress, ends: each message twice, either copy late at times.
/// `run` asserts that all are answered in time and that the books balance to the token.
#[test]
fn messages_that_all_come_twice_change_nothing() {
    for seed in 0..20 {
        let faults = vec![Fault::Doubled(1_000), Fault::Late(100, 1_000)];
        let mut scenario = scenario(seed, faults);
        // Half of it above the limit: those who wait in vain, and those who come back.
        scenario.flows.iter_mut().for_each(|flow| flow.per_minute *= 1.5);
        scenario.flows[0].patience_ms = 5_000;
        scenario.flows[1].patience_ms = 5_000;
        scenario.flows[1].comes_back = true;
        let report = run(&scenario);
        println!("{report}");
        assert_eq!(report.refused_upstream, 0, "seed {seed}");
        assert!(report.refused() > 100, "seed {seed}: or their doubles are not tried");
        assert_eq!(report.microusd.0, report.microusd.1, "seed {seed}");
    }
}

#[test]
fn skewed_clocks_change_nothing() {
    for seed in 0..5 {
        let report = run(&scenario(seed, vec![Fault::ClocksAhead(5_000)]));
        assert_eq!((report.refused_upstream, report.refused()), (0, 0), "seed {seed}");
    }
}

#[test]
fn clients_that_leave_leak_no_capacity() {
    for seed in 0..5 {
        let mut scenario = scenario(seed, Vec::new());
        scenario.flows.iter_mut().for_each(|flow| flow.leave_permille = 300);
        let report = run(&scenario);
        assert_eq!((report.refused_upstream, report.refused()), (0, 0), "seed {seed}");
    }
}

#[test]
fn limits_that_nobody_told_are_learned_and_used() {
    for seed in 0..5 {
        let mut scenario = scenario(seed, Vec::new());
        scenario.settings = GateSettings {
            accounts: [("acct".to_owned(), Box::default())].into(),
            ..GateSettings::default()
        };
        scenario.measure_from_ms = 120_000;
        let report = run(&scenario);
        println!("{report}");
        assert_eq!((report.refused_upstream, report.refused()), (0, 0), "seed {seed}");
        assert!(report.output_permille() >= 900, "seed {seed}");
    }
}

#[test]
fn lowered_and_raised_limits_are_followed() {
    for seed in 0..5 {
        let less = Limits { rpm: 300, itpm: 500_000, otpm: 70_000 };
        let more = Limits { rpm: 900, itpm: 2_000_000, otpm: 200_000 };
        let faults = vec![Fault::LimitsChange(60_000, less), Fault::LimitsChange(120_000, more)];
        let mut scenario = scenario(seed, faults);
        scenario.flows.iter_mut().for_each(|flow| flow.patience_ms = 240_000);
        let report = run(&scenario);
        println!("{report}");
        // No client sees one: `answered` counts them all.
        assert_eq!(report.answered, report.asked, "seed {seed}");
        assert!(report.refused_upstream * 100 <= report.attempts, "seed {seed}");
    }
}

/// Of 500 seeds, those in which ten of the queue went at one moment, just when the
/// provider had halved its requests a second.
#[test]
fn those_who_wait_do_not_run_into_a_lowered_limit_together() {
    let text = file::text("limits-lowered-and-raised").expect("it is listed");
    let file = File::parse(text).expect("it parses");
    for seed in [86, 87, 186, 190, 231, 303, 362, 400, 428, 480] {
        let scenario = file.scenario(seed);
        let broken = file.broken(&scenario, &run(&scenario));
        assert!(broken.is_empty(), "seed {seed}: {broken:?}");
    }
}

#[test]
fn an_account_that_others_use_too_costs_retries_but_no_answers() {
    for seed in 0..5 {
        let mut scenario = scenario(seed, vec![Fault::Outside(30_000, 210_000, 300)]);
        scenario.flows.iter_mut().for_each(|flow| flow.patience_ms = 400_000);
        let report = run(&scenario);
        println!("{report}");
        assert_eq!(report.answered, report.asked, "seed {seed}");
        assert!(report.refused_upstream * 50 <= report.attempts, "seed {seed}");
    }
}

//! Demand above a limit: nothing refused upstream, nobody in vain, the limit used.

use simulator::provider::Limits;
use simulator::{Flow, Scenario, run};

const LIMITS: Limits = Limits { rpm: 1_000, itpm: 2_000_000, otpm: 400_000 };

/// 1.5 times the output limit. The first two minutes use up the burst with
/// which the bucket begins; the 90 s after them are measured.
#[test]
fn ninety_seconds_at_one_and_a_half_times_the_output_limit() {
    for seed in 0..10 {
        let flows =
            vec![Flow::new("chat", 600.0, 1_000, 400), Flow::new("code", 300.0, 4_000, 1_300)];
        let mut scenario = Scenario::new(seed, 210_000, LIMITS, flows);
        scenario.measure_from_ms = 120_000;
        let report = run(&scenario);
        println!("{report}");
        assert_eq!(report.refused_upstream, 0, "seed {seed}");
        assert_eq!(report.refused(), 0, "seed {seed}");
        assert_eq!(report.answered, report.asked, "seed {seed}");
        assert!(report.output_permille() >= 900, "seed {seed}");
    }
}

#[test]
fn each_limit_in_turn_is_used_and_never_overrun() {
    let cases = [
        ("requests", Flow::new("a", 225.0, 100, 30), Limits { rpm: 150, ..LIMITS }),
        ("input", Flow::new("a", 300.0, 10_000, 100), LIMITS),
        ("output", Flow::new("a", 60.0, 1_000, 1_000), Limits { otpm: 40_000, ..LIMITS }),
    ];
    for (kind, flow, limits) in cases {
        let flow = Flow { patience_ms: 300_000, ..flow };
        for seed in 0..5 {
            let mut scenario = Scenario::new(seed, 210_000, limits, vec![flow.clone()]);
            scenario.measure_from_ms = 120_000;
            let report = run(&scenario);
            println!("{kind}: {report}");
            let used = match kind {
                "requests" => report.requests_permille(),
                "input" => report.input_permille(),
                _ => report.output_permille(),
            };
            assert_eq!(report.refused_upstream, 0, "{kind}, seed {seed}");
            assert_eq!(report.refused(), 0, "{kind}, seed {seed}");
            assert!(used >= 800, "{kind}, seed {seed}: {used}");
        }
    }
}

//! A flood, priorities, weights: nobody starves, nobody pays for another.

use limits::message::Priority;
use limits::policy::Tenant;
use simulator::provider::Limits;
use simulator::{Flow, Scenario, run};

const LIMITS: Limits = Limits { rpm: 1_000, itpm: 2_000_000, otpm: 100_000 };

fn flow(tenant: &str, per_minute: f64) -> Flow {
    Flow::new(tenant, per_minute, 1_000, 500)
}

#[test]
fn a_flood_changes_little_for_tenants_within_their_share() {
    for seed in 0..5 {
        // A fair third of 200 requests a minute is 66; two ask for 20 each.
        let quiet = vec![flow("one", 20.0), flow("two", 20.0)];
        let alone = run(&Scenario::new(seed, 300_000, LIMITS, quiet.clone()));
        let flood = Flow { patience_ms: 30_000, ..flow("flood", 2_000.0) };
        let flows = quiet.into_iter().chain([flood]).collect();
        let report = run(&Scenario::new(seed, 300_000, LIMITS, flows));
        println!("{report}");
        assert_eq!(report.refused_upstream, 0, "seed {seed}");
        for tenant in ["one", "two"] {
            let (before, with) = (&alone.waits(tenant), &report.waits(tenant));
            // One service time: 500 tokens at some 60 a second.
            assert!(with.quantile(950) <= before.quantile(950) + 8_000, "{tenant}, seed {seed}");
            assert!(with.count() > 60, "{tenant}, seed {seed}");
        }
        let served = report.waits_where(|_| true).count();
        assert_eq!(report.asked - report.refused(), served as u64, "seed {seed}: only the flood");
        let floods = report.asked - report.waits("one").count() as u64;
        assert!(report.refused() < floods, "seed {seed}");
        assert!(!report.refused.contains_key("TenantLimit"), "seed {seed}");
    }
}

#[test]
fn priorities_go_first_and_background_moves() {
    for seed in 0..5 {
        let of = |tenant, per_minute, priority| Flow {
            priority,
            patience_ms: 1_800_000,
            ..flow(tenant, per_minute)
        };
        let flows = vec![
            of("critical", 60.0, Priority::Critical),
            of("normal", 100.0, Priority::Normal),
            of("background", 130.0, Priority::Background),
        ];
        let report = run(&Scenario::new(seed, 300_000, LIMITS, flows));
        println!("{report}");
        assert_eq!((report.refused_upstream, report.refused()), (0, 0), "seed {seed}");
        let [critical, normal, background] =
            ["critical", "normal", "background"].map(|tenant| report.waits(tenant).quantile(950));
        assert!(critical <= 1_000, "seed {seed}: {critical}");
        assert!(normal < 30_000 && normal < background, "seed {seed}: {normal} {background}");
        assert!(report.waits("background").count() > 400, "seed {seed}");
    }
}

#[test]
fn weights_divide_a_contended_pool() {
    for seed in 0..5 {
        let of = |tenant, weight| Flow {
            policy: Tenant { weight, ..Tenant::default() },
            patience_ms: 60_000,
            ..flow(tenant, 400.0)
        };
        let mut scenario = Scenario::new(seed, 400_000, LIMITS, vec![of("one", 1), of("three", 3)]);
        scenario.measure_from_ms = 200_000;
        let report = run(&scenario);
        println!("{report}");
        assert_eq!(report.refused_upstream, 0, "seed {seed}");
        let [one, three] = ["one", "three"].map(|tenant| report.waits(tenant).count());
        // The burst of the first minute is taken before they contend.
        assert!(three * 10 > one * 20 && three * 10 < one * 34, "seed {seed}: {one} {three}");
    }
}

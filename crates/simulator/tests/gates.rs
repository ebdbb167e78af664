//! Several Gates that are lent parts of tenants' limits, at ten, a hundred and a
//! thousand times one Gate's load. ARCHITECTURE.md, "Growing past one Gate", rests
//! on what this prints.

use simulator::gates::{Found, Plan, run};

/// A thousand requests a second are what one object carries in production
/// (platform docs, 2026-11).
const HOME_PER_S: u64 = 1_000;

fn plan(seed: u64, gates: usize, beat_ms: u64) -> Plan {
    Plan {
        seed,
        gates,
        per_gate: 1_000,
        tenants: 20,
        demand_permille: 1_500,
        beat_ms,
        way_ms: 20,
        span_ms: 240_000,
        loses_every_ms: 0,
    }
}

fn show(gates: usize, beat_ms: u64, found: &Found) {
    let Found { allowed, admitted, over, held_permille, lost, home_per_s, .. } = found;
    let used = admitted * 1_000 / allowed;
    println!(
        "{gates} Gates, a beat of {beat_ms} ms: {over} over, {used} permille used, {held_permille} \
         held, {lost} lost of {allowed}; {home_per_s} messages a second"
    );
}

#[test]
fn nothing_is_admitted_twice_and_little_is_stranded() {
    for (gates, beat_ms) in [(10, 100), (100, 100), (1_000, 1_000)] {
        for seed in 0..3 {
            let found = run(&plan(seed, gates, beat_ms));
            show(gates, beat_ms, &found);
            assert_eq!(found.over, 0, "{gates} Gates, seed {seed}");
            assert!(found.admitted * 1_000 >= found.allowed * 950, "{gates} Gates, seed {seed}");
            assert!(found.home_per_s <= HOME_PER_S, "{gates} Gates, seed {seed}");
        }
    }
}

#[test]
fn lost_gates_cost_what_they_held_and_nothing_is_admitted_twice() {
    for (gates, beat_ms) in [(10, 100), (100, 100)] {
        for seed in 0..3 {
            let found = run(&Plan { loses_every_ms: 5_000, ..plan(seed, gates, beat_ms) });
            show(gates, beat_ms, &found);
            assert_eq!(found.over, 0, "{gates} Gates, seed {seed}");
            assert!(found.lost > 0 && found.lost * 100 <= found.allowed, "{gates} Gates");
            assert!(found.admitted * 1_000 >= found.allowed * 950, "{gates} Gates, seed {seed}");
        }
    }
}

/// Far from their limits tenants are not refused for what other Gates hold.
#[test]
fn far_from_the_limits_nobody_is_refused() {
    for (gates, beat_ms) in [(10, 100), (100, 100), (1_000, 1_000)] {
        let found = run(&Plan { demand_permille: 500, ..plan(0, gates, beat_ms) });
        show(gates, beat_ms, &found);
        let refused = found.asked - found.admitted;
        println!("  {refused} of {} refused", found.asked);
        assert!(refused * 1_000 <= found.asked * 10, "{gates} Gates: {refused} refused");
    }
}

//! Who is refused is told when its turn comes, and keeps its place until then.

use std::collections::HashMap;

use simulator::file::{self, File};
use simulator::{Flow, Scenario, run};

fn scenario(seed: u64) -> Scenario {
    let text = file::text("refused-and-back").expect("it is listed");
    File::parse(text).expect("it parses").scenario(seed)
}

#[test]
fn whoever_comes_back_when_told_to_goes_however_short_its_patience() {
    for patience_ms in [2_000, 5_000, 10_000, 30_000] {
        let (mut back, mut in_time) = (0, 0);
        for seed in 0..20 {
            let mut scenario = scenario(seed);
            scenario.flows.iter_mut().for_each(|flow| flow.patience_ms = patience_ms);
            let report = run(&scenario);
            assert_eq!(report.refused(), 0, "seed {seed}: all of them go at last");
            back += report.came_back;
            in_time += report.back_in_time;
        }
        println!("{patience_ms} ms of patience: {in_time} of {back} in time");
        assert!(in_time * 100 >= back * 95, "{patience_ms} ms: {in_time} of {back}");
    }
}

/// The shortest time that could be told is from then to when its turn would come if all
/// waited in the queue instead, with the same requests and lengths.
#[test]
fn a_refused_client_is_told_about_when_its_turn_comes() {
    let mut ratios = Vec::new();
    for seed in 0..20 {
        let mut scenario = scenario(seed);
        let told = run(&scenario).told_back;
        scenario.flows.iter_mut().for_each(|flow| flow.patience_ms = 3_600_000);
        let turns: HashMap<_, _> = run(&scenario).turns.into_iter().collect();
        // Afterwards less is asked for than anybody could know.
        let known = told.iter().filter(|(_, at, told)| at + told < scenario.span_ms);
        ratios.extend(
            known.map(|(index, at, told)| told * 1_000 / turns[index].saturating_sub(*at).max(1)),
        );
    }
    ratios.sort_unstable();
    let at = |permille: usize| ratios[ratios.len() * permille / 1_000];
    let near = ratios.iter().filter(|ratio| (800..=1_200).contains(*ratio)).count();
    println!("{near} of {} within a fifth", ratios.len());
    println!("in permille of the turn: {:?}", [50, 250, 500, 750, 950].map(at));
    assert!((950..=1_050).contains(&at(500)));
    assert!(near * 1_000 >= ratios.len() * 890);
}

/// Nearly as much is used as if all waited: told too late, all would be away at a time and
/// what is refilled would be nobody's.
#[test]
fn who_is_told_to_come_back_leaves_little_unused() {
    for seed in 0..20 {
        let mut scenario = scenario(seed);
        let used = run(&scenario).output_permille();
        scenario.flows.iter_mut().for_each(|flow| flow.patience_ms = 3_600_000);
        let could = run(&scenario).output_permille();
        println!("seed {seed}: {used} permille of {could}");
        assert!(used * 1_000 >= could * 980, "seed {seed}: {used} permille of {could}");
    }
}

/// Clients with patience wait for the room that is left to those who are about to come
/// back; nobody else waits for it.
#[test]
fn room_for_who_comes_back_costs_another_tenant_nothing() {
    for seed in 0..20 {
        let mut scenario = scenario(seed);
        // Well within its share.
        scenario.flows[0].per_minute = 200.0;
        let patient = Flow {
            patience_ms: 600_000,
            comes_back: false,
            per_minute: 100.0,
            ..scenario.flows[1].clone()
        };
        scenario.flows.push(patient);
        let report = run(&scenario);
        let wait = report.waits("chat").quantile(950);
        println!("seed {seed}: {wait} ms");
        assert!(wait <= 3_000, "seed {seed}: {wait} ms");
    }
}

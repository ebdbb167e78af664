//! Every scenario of `scenarios/`, twenty seeds each, against what its file says
//! must hold. `tollgate simulate NAME --seed N` plays one again.

use simulator::file::{self, File};

macro_rules! hold {
    ($($test:ident: $name:literal),* $(,)?) => {
        $(#[test]
        fn $test() {
            holds($name, file::text($name).expect("it is listed"));
        })*

        #[test]
        fn every_scenario_is_tried() {
            let tried = [$($name),*];
            assert!(file::NAMES.iter().all(|name| tried.contains(name) || *name == "million"));
        }
    };
}

hold! {
    saturated_requests: "saturated-requests",
    saturated_input: "saturated-input",
    saturated_output: "saturated-output",
    small_input: "small-input",
    small_output: "small-output",
    reserved_output: "reserved-output",
    noisy_neighbour: "noisy-neighbour",
    user_floods: "user-floods",
    flood_over_the_queue: "flood-over-the-queue",
    priorities: "priorities",
    fifty_at_once: "fifty-at-once",
    fifty_of_large_answers: "fifty-of-large-answers",
    fifty_of_a_new_kind: "fifty-of-a-new-kind",
    ten_at_once: "ten-at-once",
    prompts_cached: "prompts-cached",
    limits_lowered_and_raised: "limits-lowered-and-raised",
    limits_unknown: "limits-unknown",
    small_unknown: "small-unknown",
    estimates_off: "estimates-off",
    heavy_tailed: "heavy-tailed",
    disconnects: "disconnects",
    outside_user: "outside-user",
    steep_rise: "steep-rise",
    skewed_clocks: "skewed-clocks",
    gate_restarts: "gate-restarts",
    cached_restarts: "cached-restarts",
    messages_lost_and_doubled: "messages-lost-and-doubled",
    faults_requests: "faults-requests",
    faults_input: "faults-input",
    faults_output: "faults-output",
    isolates_lost: "isolates-lost",
    refused_and_back: "refused-and-back",
}

fn holds(name: &str, text: &str) {
    let file = File::parse(text).expect(name);
    let (mut broken, mut all) = (Vec::new(), None::<simulator::Report>);
    for seed in 0..20 {
        let scenario = file.scenario(seed);
        let report = simulator::run(&scenario);
        println!("{report}");
        let found = file.broken(&scenario, &report);
        broken.extend(found.iter().map(|what| format!("seed {seed}: {what}")));
        match &mut all {
            Some(all) => all.merge(&report),
            None => all = Some(report),
        }
    }
    broken.extend(all.and_then(|all| file.broken_together(&all)));
    assert!(broken.is_empty(), "{name}:\n{}", broken.join("\n"));
}

/// An attempt counts whatever the provider made of it, an answer when it is one.
#[test]
fn attempts_for_nothing_break_their_bound() {
    let text = file::text("saturated-output").expect("it is listed");
    let mut file = File::parse(text).expect("it parses");
    file.holds.used = None;
    file.holds.refused_upstream_permille = 1_000;
    assert_eq!(file.holds.attempts_permille, Some(1_020));
    let scenario = file.scenario(0);
    for (attempts, refused_upstream, answered, is_broken) in
        [(1_020, 20, 1_000, false), (1_021, 21, 1_000, true), (1_021, 0, 1_000, true)]
    {
        let mut report = simulator::Report::default();
        (report.attempts, report.refused_upstream) = (attempts, refused_upstream);
        report.answered = answered;
        let broken = file.broken(&scenario, &report);
        assert_eq!(!broken.is_empty(), is_broken, "{attempts} for {answered}: {broken:?}");
    }
}

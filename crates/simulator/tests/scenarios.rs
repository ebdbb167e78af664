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
    reserved_output: "reserved-output",
    noisy_neighbour: "noisy-neighbour",
    flood_over_the_queue: "flood-over-the-queue",
    priorities: "priorities",
    fifty_at_once: "fifty-at-once",
    ten_at_once: "ten-at-once",
    prompts_cached: "prompts-cached",
    limits_lowered_and_raised: "limits-lowered-and-raised",
    limits_unknown: "limits-unknown",
    estimates_off: "estimates-off",
    heavy_tailed: "heavy-tailed",
    disconnects: "disconnects",
    outside_user: "outside-user",
    skewed_clocks: "skewed-clocks",
    gate_restarts: "gate-restarts",
    messages_lost_and_doubled: "messages-lost-and-doubled",
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

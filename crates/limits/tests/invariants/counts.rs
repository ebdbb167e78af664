//! Invariant 3: what counts towards limits and what is billed are kept apart, and
//! only the provider's own figures teach.

use proptest::prelude::*;

use limits::message::Used;

use super::limits_of;
use crate::common::*;

/// Far beyond what one test uses.
const WIDE: u64 = 1_000_000_000;
/// The Gate's guess of an answer's length, and the samples after which it is one no
/// more.
const PRIOR: u64 = 1_000;
const TRUSTED: usize = 8;

#[derive(Clone, Debug)]
struct Answered {
    input: u64,
    cached: u64,
    output: u64,
    microusd: u64,
    estimated: bool,
}

fn answered() -> impl Strategy<Value = Answered> {
    (0..4_000_u64, 0..4_000_u64, 1..1_000_u64, 0..9_000_u64, any::<bool>()).prop_map(
        |(input, cached, output, microusd, estimated)| Answered {
            input,
            cached,
            output,
            microusd,
            estimated,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn invariant_3_counts_are_kept_apart_and_only_real_ones_teach(
        answers in prop::collection::vec(answered(), 1..40),
    ) {
        let tenants = format!(r#"{{"t":{{"limits":{{"itpm":{WIDE},"otpm":{WIDE}}}}}}}"#);
        let mut shell = Shell::new(settings(WIDE, WIDE, WIDE), &tenants);
        let mut real = Vec::new();
        let (mut counted, mut billed, mut money) = ([0, 0], 0, 0);
        for (n, answer) in answers.into_iter().enumerate() {
            let Answered { input, cached, output, microusd, estimated } = answer;
            let ticket = format!("t{n}");
            let left = |shell: &mut Shell| {
                let limits = limits_of(shell, "t", None);
                [limits[0].level, limits[1].level]
            };
            let before = left(&mut shell);
            prop_assert!(is_granted(&shell.admit(admit(&ticket, "t"))));
            // What it is expected to generate is the mean of what others really did.
            let expected = match real.len() {
                few if few < TRUSTED => PRIOR,
                many => real.iter().sum::<u64>().div_ceil(many as u64),
            };
            let held = before[1] - left(&mut shell)[1];
            prop_assert!(held.abs_diff(expected as i64) <= 1, "{} held, {} expected", held, expected);
            let input_total = input + cached;
            let used = Used::Tokens { input, input_total, output, microusd, estimated };
            shell.event(settle(&ticket, "t", used));
            if !estimated {
                real.push(output);
            }
            counted = [counted[0] + input, counted[1] + output];
            billed += input_total + output;
            money += microusd;
            prop_assert_eq!(left(&mut shell), counted.map(|tokens| WIDE as i64 - tokens as i64));
            let spent = shell.totals()["tenant/t"].spent;
            prop_assert_eq!((spent.tokens, spent.microusd), (billed, money));
        }
    }
}

//! Invariant 6: a flood changes nothing for who stays within its share, beyond one
//! request's service time; of tenants beside each other, and of a tenant's end users.

use std::collections::BTreeSet;

use proptest::prelude::*;

use limits::message::{Admit, Decision};

use crate::common::*;

/// Requests a minute: a slot each 100 ms.
const RPM: u64 = 600;
const SLOT_MS: u64 = 60_000 / RPM;
/// Less than any flood brings.
const PLACES: usize = 30;

#[derive(Clone, Debug)]
enum Happens {
    /// One that stays within its share: at most every third slot.
    Quiet { after: u64 },
    /// So many at once.
    Flood { count: u8 },
}

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        3 => (3 * SLOT_MS..20 * SLOT_MS).prop_map(|after| Happens::Quiet { after }),
        2 => (1_u8..60).prop_map(|count| Happens::Flood { count }),
    ]
}

/// Plays; `who` says by whom a quiet one and a flood's request come.
fn play(steps: &[Happens], who: [(&str, &str); 2]) -> Result<(), TestCaseError> {
    let mut set = settings(RPM, 1_000_000_000, 1_000_000_000);
    set.queue.length_max = PLACES;
    let mut shell = Shell::new(set, r#"{"a":{},"b":{}}"#);
    let mut asked = BTreeSet::new();
    let mut flood = 0;
    let ask = |ticket: &str, (tenant, user): (&str, &str), now| Admit {
        asked_ms: now,
        user: Some(user.into()),
        patience_ms: 600_000,
        ..admit(ticket, tenant)
    };
    for (n, step) in steps.iter().enumerate() {
        match step {
            Happens::Quiet { after } => {
                shell.pass(*after);
                let ticket = format!("quiet{n}");
                let decision = shell.poll(ask(&ticket, who[0], shell.now));
                if decision.is_none() {
                    asked.insert(ticket);
                } else {
                    prop_assert!(decision.as_ref().is_some_and(is_granted), "{:?}", decision);
                }
            }
            Happens::Flood { count } => {
                for _ in 0..*count {
                    flood += 1;
                    shell.poll(ask(&format!("flood{flood}"), who[1], shell.now));
                }
            }
        }
        answered(&mut shell, &mut asked)?;
    }
    shell.pass(2 * SLOT_MS);
    answered(&mut shell, &mut asked)?;
    prop_assert!(asked.is_empty(), "{:?} still wait", asked);
    Ok(())
}

fn answered(shell: &mut Shell, asked: &mut BTreeSet<String>) -> Result<(), TestCaseError> {
    for (ticket, decision) in std::mem::take(&mut shell.answers) {
        if asked.remove(&ticket) {
            // The one that is served just then, and its own slot.
            let Decision::Granted { waited_ms } = decision else {
                return Err(TestCaseError::fail(format!("{ticket}: {decision:?}")));
            };
            prop_assert!(waited_ms <= 2 * SLOT_MS, "{} waited for {} ms", ticket, waited_ms);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn invariant_6_a_flood_costs_others_one_service_time(steps in prop::collection::vec(happens(), 1..60)) {
        play(&steps, [("a", "one"), ("b", "two")])?;
        play(&steps, [("a", "one"), ("a", "two")])?;
    }
}

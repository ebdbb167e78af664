//! Random sequences of all that can happen, killed at any moment: the books
//! balance (invariants 1, 2, 5 and 8).

use std::collections::BTreeMap;

use crate::common::*;
use limits::admin::AdminInput;
use limits::message::{Admit, Decision, Event, Level, Observation, Priority, Used};
use limits::{Answer, Input};
use proptest::prelude::*;

/// One thing that happens. Tickets are few, so that they collide.
#[derive(Clone, Debug)]
enum Happens {
    Admit { ticket: u8, tenant: u8, max: u16, patience: u16, parks: bool },
    Settle { ticket: u8, output: u16 },
    Renew { ticket: u8, output: u16 },
    Cancel { ticket: u8 },
    Release { ticket: u8 },
    Refuse { ticket: u8 },
    See { ticket: u8, limit: u16, left: u16 },
    Pass { ms: u32 },
    Kill,
    View { tenant: u8 },
}

fn happens() -> impl Strategy<Value = Happens> {
    let ticket = || 0_u8..24;
    prop_oneof![
        8 => (ticket(), 0_u8..3, 1_u16..2_000, 0_u16..60_000, any::<bool>()).prop_map(
            |(ticket, tenant, max, patience, parks)| Happens::Admit { ticket, tenant, max, patience, parks }
        ),
        6 => (ticket(), 0_u16..2_000).prop_map(|(ticket, output)| Happens::Settle { ticket, output }),
        2 => (ticket(), 0_u16..2_000).prop_map(|(ticket, output)| Happens::Renew { ticket, output }),
        1 => ticket().prop_map(|ticket| Happens::Cancel { ticket }),
        1 => ticket().prop_map(|ticket| Happens::Release { ticket }),
        1 => ticket().prop_map(|ticket| Happens::Refuse { ticket }),
        2 => (ticket(), 1_u16..500, 0_u16..500).prop_map(|(ticket, limit, left)| Happens::See { ticket, limit, left }),
        4 => (1_u32..40_000).prop_map(|ms| Happens::Pass { ms }),
        1 => Just(Happens::Kill),
        1 => (0_u8..3).prop_map(|tenant| Happens::View { tenant }),
    ]
}

/// What the Workers know: attempts that run, and what was really used.
#[derive(Default)]
struct Workers {
    /// Ticket: attempt, tenant, max_tokens, and whether it was told to run.
    running: BTreeMap<String, (u32, String, u64, bool)>,
    parked: BTreeMap<String, u64>,
    attempts: BTreeMap<String, u32>,
    /// Requests, tokens, money, by tenant.
    used: BTreeMap<String, (u64, u64, u64)>,
    rounds: BTreeMap<u8, u32>,
}

const INPUT: u64 = 500;

fn money(max: u64) -> u64 {
    2 * INPUT + 5 * max
}

impl Workers {
    /// A ticket's name: each number is used again once it is over.
    fn name(&self, ticket: u8) -> String {
        format!("t{ticket}-{}", self.rounds.get(&ticket).copied().unwrap_or(0))
    }

    fn decided(&mut self, name: &str, decision: &Decision) {
        match decision {
            Decision::Granted { .. } => {
                if let Some(entry) = self.running.get_mut(name) {
                    entry.3 = true;
                }
            }
            Decision::Queued { .. } => {}
            Decision::Refused(_) => {
                self.running.remove(name);
            }
        }
    }
}

fn play(steps: Vec<Happens>) -> Result<(), TestCaseError> {
    let tenants = r#"{
        "t0":{"limits":{"rpm":30,"concurrent":6},"budgets":[{"window":"day","tokens":100000,"usd":"0.2"}]},
        "t1":{"weight":3,"limits":{"otpm":20000},"users":{"limits":{"rpm":20}}},
        "t2":{"budgets":[{"window":"day","requests":40}]}}"#;
    let mut shell = Shell::new(settings(60, 200_000, 60_000), tenants);
    let mut workers = Workers::default();
    let mut killed = false;
    for step in steps {
        match step {
            Happens::Admit { ticket, tenant, max, patience, parks } => {
                let name = workers.name(ticket);
                if workers.running.get(&name).is_some_and(|entry| entry.3) {
                    continue;
                }
                let attempt = workers.attempts.get(&name).copied().unwrap_or(0);
                let fresh = (attempt, format!("t{tenant}"), u64::from(max), false);
                let (_, tenant, max, _) =
                    workers.running.entry(name.clone()).or_insert(fresh).clone();
                let ask = Admit {
                    attempt,
                    asked_ms: shell.now,
                    user: Some("u".into()),
                    input_tokens: INPUT,
                    max_tokens: max,
                    microusd_max: money(max),
                    patience_ms: patience.into(),
                    priority: [Priority::Critical, Priority::Normal, Priority::Background]
                        [usize::from(ticket % 3)],
                    ..admit(&name, &tenant)
                };
                let decision = if parks { shell.poll(ask) } else { Some(shell.admit(ask)) };
                match decision {
                    Some(decision) => {
                        // The newest call's patience counts.
                        if let Some(deadline) = workers.parked.get_mut(&name) {
                            *deadline = shell.now + u64::from(patience);
                        }
                        workers.decided(&name, &decision);
                    }
                    None => {
                        workers.parked.insert(name, shell.now + u64::from(patience));
                    }
                }
            }
            Happens::Settle { ticket, output } => {
                let name = workers.name(ticket);
                let Some((attempt, tenant, max, true)) = workers.running.get(&name).cloned() else {
                    continue;
                };
                workers.running.remove(&name);
                *workers.rounds.entry(ticket).or_default() += 1;
                let output = u64::from(output).min(max);
                let microusd = money(output);
                let used = Used::Tokens {
                    input: INPUT,
                    input_total: INPUT,
                    output,
                    microusd,
                    estimated: false,
                };
                let sum = workers.used.entry(tenant.clone()).or_default();
                *sum = (sum.0 + 1, sum.1 + INPUT + output, sum.2 + microusd);
                let Event::Settled(mut settle) = settle(&name, &tenant, used) else {
                    unreachable!()
                };
                (settle.attempt, settle.max_tokens, settle.input_estimate) = (attempt, max, INPUT);
                settle.user = Some("u".into());
                shell.event(Event::Settled(settle.clone()));
                shell.event(Event::Settled(settle));
            }
            Happens::Renew { ticket, output } => {
                let name = workers.name(ticket);
                let Some((attempt, tenant, max, true)) = workers.running.get(&name).cloned() else {
                    continue;
                };
                let ask = Admit {
                    attempt,
                    user: Some("u".into()),
                    input_tokens: INPUT,
                    max_tokens: max,
                    microusd_max: money(max),
                    ..running(&name, &tenant, u64::from(output).min(max))
                };
                prop_assert!(is_granted(&shell.admit(ask)), "what runs goes on");
            }
            Happens::Cancel { ticket } => {
                let name = workers.name(ticket);
                if !workers.running.get(&name).is_some_and(|entry| entry.3) {
                    let attempt = workers.attempts.get(&name).copied().unwrap_or(0);
                    shell.event(Event::Cancelled { ticket: name.clone(), attempt });
                    workers.running.remove(&name);
                    *workers.rounds.entry(ticket).or_default() += 1;
                }
            }
            Happens::Release { ticket } => {
                shell.step(Input::Release { ticket: workers.name(ticket) });
            }
            Happens::Refuse { ticket } => {
                let name = workers.name(ticket);
                let Some((attempt, tenant, max, true)) = workers.running.get(&name).cloned() else {
                    continue;
                };
                let seen = Observation {
                    attempt,
                    retry_after_ms: Some(1_000),
                    ..observed(&name, 429, None)
                };
                let Event::Settled(mut settle) = settle(&name, &tenant, Used::Nothing) else {
                    unreachable!()
                };
                settle.attempt = attempt;
                shell.call(None, vec![Event::Observed(seen), Event::Settled(settle)]);
                workers.running.insert(name.clone(), (attempt + 1, tenant, max, false));
                workers.attempts.insert(name, attempt + 1);
            }
            Happens::See { ticket, limit, left } => {
                let mut seen =
                    observed(&workers.name(ticket), 200, Some((limit.into(), left.into())));
                let level = |n: u16| Level {
                    limit: u64::from(limit) * 1_000,
                    remaining: u64::from(n) * 1_000,
                    reset_ms: None,
                };
                (seen.input, seen.output) = (Some(level(left)), Some(level(left / 2)));
                shell.event(Event::Observed(seen));
            }
            Happens::Pass { ms } => shell.pass(ms.into()),
            Happens::Kill => {
                killed = true;
                shell.restart();
                // Parked calls break; their Workers ask again, some never.
                workers.parked.clear();
            }
            Happens::View { tenant } => {
                let tenant = format!("t{tenant}");
                let input = Input::View {
                    tenant,
                    user: Some("u".into()),
                    account_scope: true,
                    visitor: None,
                };
                prop_assert!(matches!(shell.step(input).reply, Answer::View(_)));
            }
        }
        for (name, decision) in std::mem::take(&mut shell.answers) {
            let deadline = workers.parked.remove(&name);
            prop_assert!(deadline.is_some(), "{name} was not parked");
            workers.decided(&name, &decision);
        }
        for (name, deadline) in &workers.parked {
            prop_assert!(*deadline >= shell.now, "{name} was not answered by its deadline");
        }
        let totals = shell.totals();
        for (scope, spend) in &totals {
            let kinds = [
                (spend.spent.requests + spend.reserved.requests, spend.ceiling.requests),
                (spend.spent.tokens + spend.reserved.tokens, spend.ceiling.tokens),
                (spend.spent.microusd + spend.reserved.microusd, spend.ceiling.microusd),
            ];
            prop_assert!(kinds.iter().all(|(used, ceiling)| used <= ceiling), "{scope}: {spend:?}");
        }
        for (tenant, used) in &workers.used {
            let spent = totals[&format!("tenant/{tenant}")].spent;
            let recorded = (spent.requests, spent.tokens, spent.microusd);
            if killed {
                prop_assert!(
                    recorded.0 >= used.0 && recorded.1 >= used.1 && recorded.2 >= used.2,
                    "{tenant}: {recorded:?} is below the real {used:?}"
                );
            } else {
                prop_assert!(recorded >= *used, "{tenant}: {recorded:?}, real {used:?}");
            }
        }
        let told: u64 = workers.running.values().filter(|entry| entry.3).count() as u64;
        if !killed {
            prop_assert!(totals["deployment"].open >= told, "a running request has no ticket");
        }
    }
    // Everything ends: nothing stays reserved.
    shell.pass(60 * 60_000);
    for (scope, spend) in shell.totals() {
        prop_assert!(spend.open == 0 && spend.reserved == Default::default(), "{scope}: {spend:?}");
    }
    match shell.admin(AdminInput::State) {
        limits::admin::AdminReply::State(state) => {
            prop_assert_eq!((state.waiting, state.waiting_bytes, state.open), ([0; 3], 0, 0));
        }
        other => prop_assert!(false, "{other:?}"),
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn invariants_1_2_5_and_8_the_books_balance_whatever_happens(steps in prop::collection::vec(happens(), 1..150)) {
        play(steps)?;
    }
}

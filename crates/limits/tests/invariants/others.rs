//! Invariant 7: what one tenant is told and decided depends on nothing of another's,
//! and what an end user sees of its own on no other end user.

use std::collections::BTreeMap;

use proptest::prelude::*;

use limits::message::{Admit, Decision, Event, LimitView};
use limits::settings::GateSettings;

use super::limits_of;
use crate::common::*;

#[derive(Clone, Debug)]
struct Deed {
    tenant: usize,
    user: usize,
    what: What,
}

#[derive(Clone, Debug)]
enum What {
    Ask { ticket: u8 },
    Settle { ticket: u8 },
    Cancel { ticket: u8 },
    Pass { ms: u64 },
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let ticket = || 0_u8..12;
    let what = prop_oneof![
        5 => ticket().prop_map(|ticket| What::Ask { ticket }),
        3 => ticket().prop_map(|ticket| What::Settle { ticket }),
        1 => ticket().prop_map(|ticket| What::Cancel { ticket }),
        2 => (1_u64..20_000).prop_map(|ms| What::Pass { ms }),
    ];
    let deed = (0_usize..2, 0_usize..2, what);
    prop::collection::vec(deed.prop_map(|(tenant, user, what)| Deed { tenant, user, what }), 1..80)
}

const TENANTS: [&str; 2] = ["a", "b"];
const USERS: [&str; 2] = ["one", "two"];
const POLICY: &str = r#"{
    "a":{"limits":{"rpm":30,"concurrent":4},"budgets":[{"window":"day","tokens":30000}],
         "users":{"limits":{"rpm":20,"otpm":9000},"budgets":[{"window":"day","requests":12}]}},
    "b":{"limits":{"rpm":40},"budgets":[{"window":"day","usd":"0.2"}],"users":{"limits":{"rpm":15}}}}"#;

/// What a tenant limits as a whole is all its users'; here there is nothing of it.
const USERS_ONLY: &str = r#"{
    "a":{"users":{"limits":{"rpm":20,"otpm":9000,"concurrent":3},"budgets":[{"window":"day","requests":12}]}},
    "b":{}}"#;

/// Plays the deeds of those that `acts` names; time passes for all. What the first
/// tenant's first end user heard and saw.
fn play(
    set: GateSettings,
    policy: &str,
    deeds: &[Deed],
    acts: impl Fn(&Deed) -> bool,
) -> (Vec<Decision>, Vec<Vec<LimitView>>, Vec<Decision>) {
    let mut shell = Shell::new(set, policy);
    let (mut heard, mut seen, mut others) = (Vec::new(), Vec::new(), Vec::new());
    // Who was refused asks as another request.
    let mut rounds = BTreeMap::<_, u32>::new();
    for deed in deeds {
        if let What::Pass { ms } = deed.what {
            shell.pass(ms);
        } else if acts(deed) {
            let (tenant, user) = (TENANTS[deed.tenant], USERS[deed.user]);
            let round = |ticket: u8| (tenant, user, ticket);
            let name = |ticket: u8| {
                let round = rounds.get(&round(ticket)).copied().unwrap_or(0);
                format!("{tenant}-{user}-{ticket}-{round}")
            };
            match deed.what {
                What::Ask { ticket } => {
                    let ask = Admit {
                        user: Some(user.into()),
                        // Of how long answers are all of a model's are learned from.
                        max_tokens: 1,
                        patience_ms: 0,
                        ..admit(&name(ticket), tenant)
                    };
                    let mut decision = shell.admit(ask);
                    if matches!(decision, Decision::Refused(_)) {
                        *rounds.entry(round(ticket)).or_default() += 1;
                    }
                    // When a place is free is told by how fast answers are seen to come.
                    if let Decision::Refused(refusal) = &mut decision
                        && refusal.limit.as_ref().is_some_and(|of| of.kind == "concurrent")
                    {
                        refusal.retry_after_ms = None;
                    }
                    let own = deed.tenant == 0 && deed.user == 0;
                    if own { &mut heard } else { &mut others }.push(decision);
                }
                What::Settle { ticket } => shell.event(settled(&name(ticket), tenant)),
                What::Cancel { ticket } => {
                    shell.event(Event::Cancelled { ticket: name(ticket), attempt: 0 })
                }
                What::Pass { .. } => {}
            }
        }
        seen.push(limits_of(&mut shell, "a", Some("one")));
    }
    (heard, seen, others)
}

/// An account that is nobody's limit.
fn wide() -> GateSettings {
    settings(1_000_000, 1_000_000_000, 1_000_000_000)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn invariant_7_nothing_of_one_tenant_reaches_another(deeds in deeds()) {
        let with = play(wide(), POLICY, &deeds, |_| true);
        let without = play(wide(), POLICY, &deeds, |deed| deed.tenant == 0);
        prop_assert_eq!(with.0, without.0);
        prop_assert_eq!(with.1, without.1);
    }

    #[test]
    fn invariant_7_nothing_of_one_end_user_reaches_another(deeds in deeds()) {
        let with = play(wide(), USERS_ONLY, &deeds, |_| true);
        let without = play(wide(), USERS_ONLY, &deeds, |deed| deed.tenant == 0 && deed.user == 0);
        prop_assert_eq!(with.0, without.0);
        prop_assert_eq!(with.1, without.1);
    }

    #[test]
    fn invariant_7_a_refusal_tells_no_numbers_of_the_account_or_the_deployment(deeds in deeds()) {
        let mut set = settings(20, 30_000, 20_000);
        set.budgets = serde_json::from_str(r#"[{"window":"day","requests":25}]"#).expect("a budget");
        let (heard, seen, others) = play(set, POLICY, &deeds, |_| true);
        for decision in heard.into_iter().chain(others) {
            let Decision::Refused(refusal) = decision else { continue };
            let Some(limit) = refusal.limit else { continue };
            if matches!(&*limit.scope, "account" | "deployment" | "publishable") {
                let numbers = (limit.level, limit.capacity, limit.per_s, limit.per_minute, limit.held);
                prop_assert_eq!(numbers, (0, 0, 0, 0, 0));
            } else {
                prop_assert!(matches!(&*limit.scope, "tenant" | "user"), "{:?}", limit);
            }
        }
        for view in seen.into_iter().flatten() {
            prop_assert!(matches!(&*view.scope, "tenant" | "user"), "{:?}", view);
        }
    }
}

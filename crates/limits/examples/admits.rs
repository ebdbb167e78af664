//! How long one admit and its settlement take: `cargo run --release -p
//! tollgate-limits --example admits`. Prints ns a pair and rows written per
//! 1,000 admits, for 1,000 tenants with limits, budgets and keys.

use std::time::{Duration, Instant};

use limits::admin::{AdminInput, Key, KeyKind};
use limits::message::{Admit, Call, Decision, Event, Pool, Priority, Settle, Used, VERSION};
use limits::policy::{Budget, RateLimits, Tenant, Tenants, Usd, Window};
use limits::settings::{AccountSettings, ClassLimits, GateSettings};
use limits::{Answer, Gate, Input};

const TENANTS: usize = 1_000;
/// Calls made beforehand, few enough to stay in the cache as a message would.
const BATCH: usize = 1_000;
const START: u64 = 1_795_514_400_000;

fn main() {
    let mut gate = gate();
    let mut numbers = Vec::new();
    for (name, granted, pairs) in [("granted", true, 400_000), ("refused", false, 400_000)] {
        let (mut rows, mut count) = (0, 0);
        let mut spent = Duration::ZERO;
        for first in (0..pairs).step_by(BATCH) {
            let calls: Vec<Call> = (first..first + BATCH).map(|n| call(n, granted)).collect();
            let begun = Instant::now();
            for (n, call) in (first..).zip(calls) {
                // 2,000 admits a second.
                let now = START + n as u64 / 2 + if granted { 0 } else { 1_000_000 };
                let output = gate.handle(now, Input::Call(call));
                rows += output.writes.len();
                let Answer::Reply(reply) = output.reply else { panic!("a call is answered") };
                count += usize::from(matches!(reply.decision, Some(Decision::Granted { .. })));
            }
            spent += begun.elapsed();
        }
        let ns = spent.as_nanos() / pairs as u128;
        println!(
            "{name}: {ns} ns a call, {count} of {pairs} granted, {} rows per 1,000",
            rows * 1_000 / pairs
        );
        numbers.push((name, ns));
    }
    for (name, ns) in numbers {
        println!("ratio limits.{name}_per_s {}", 1_000_000_000 / ns.max(1));
    }
}

fn gate() -> Gate {
    let limits =
        ClassLimits { rpm: Some(1_000_000), itpm: Some(900_000_000), otpm: Some(900_000_000) };
    let account =
        AccountSettings { limits: [("*".into(), limits)].into(), ..AccountSettings::default() };
    let settings =
        GateSettings { accounts: [("acct".into(), account)].into(), ..GateSettings::default() };
    let mut gate = Gate::new(settings, START);
    let budget = Budget {
        window: Window::Day,
        starts: None,
        zone: None,
        tokens: Some(10_000_000_000),
        usd: Some(Usd(1_000_000_000_000)),
        requests: None,
        pace: None,
        hard: true,
    };
    let tenant = Tenant {
        limits: RateLimits {
            rpm: Some(100_000),
            itpm: None,
            otpm: Some(50_000_000),
            concurrent: Some(5_000),
        },
        budgets: vec![budget],
        ..Tenant::default()
    };
    let tenants = (0..TENANTS).map(|n| (format!("tenant{n}"), tenant.clone())).collect();
    let apply = AdminInput::Apply { tenants: Tenants { tenants }, prune: false, dry_run: false };
    gate.handle(START, Input::Admin(apply));
    for n in 0..TENANTS {
        let key = Key {
            id: format!("key{n}"),
            tenant: format!("tenant{n}"),
            kind: KeyKind::Secret,
            created_ms: START,
            expires_ms: None,
            revoked_ms: None,
        };
        gate.handle(START, Input::Admin(AdminInput::AddKey(key)));
    }
    gate
}

/// An admit with the settlement of the request a hundred before it.
fn call(n: usize, granted: bool) -> Call {
    let pool = Pool { account: "acct".into(), class: "sonnet".into(), speed: "standard".into() };
    let kind = if granted { "a" } else { "b" };
    let settle = |n: usize| Settle {
        ticket: format!("{kind}{n:016x}"),
        attempt: 0,
        tenant: format!("tenant{}", n % TENANTS),
        user: None,
        key: format!("key{}", n % TENANTS),
        pool: pool.clone(),
        model: "claude-sonnet-5-5".into(),
        max_tokens: 4_096,
        input_estimate: 1_000,
        used: Used::Tokens {
            input: 1_050,
            input_total: 1_050,
            output: 300,
            microusd: 8_000,
            estimated: false,
        },
        unasked: false,
        at_ms: START,
        ran_ms: 0,
    };
    let events = n.checked_sub(100).filter(|_| granted).map(|n| Event::Settled(settle(n)));
    Call {
        v: VERSION,
        config: 0,
        admit: Some(Admit {
            ticket: format!("{kind}{n:016x}"),
            attempt: 0,
            asked_ms: START,
            tenant: format!("tenant{}", n % TENANTS),
            user: None,
            key: format!("key{}", n % TENANTS),
            pool,
            model: "claude-sonnet-5-5".into(),
            priority: Priority::Normal,
            input_tokens: 1_000,
            max_tokens: 4_096,
            // More than the budget: refused at once.
            microusd_max: if granted { 80_000 } else { u64::MAX / 8 },
            patience_ms: 30_000,
            bytes: 4_000,
            running: None,
        }),
        events: events.into_iter().collect(),
        lend: 0,
        visitor: None,
        // As an isolate that was here before holds it: its key's.
        policy_version: Some((TENANTS + n % TENANTS + 1) as u64),
    }
}

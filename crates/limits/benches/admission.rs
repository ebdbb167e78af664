//! How fast the machine decides: `cargo bench -p tollgate-limits`. Prints a table,
//! then `ratio NAME VALUE` lines.
//!
//! Rounds of what is compared follow each other and the medians are printed: what
//! else the machine does befalls all alike.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use limits::admin::{AdminInput, Key, KeyKind};
use limits::message::{Admit, Call, Decision, Event, Pool, Priority, Settle, Used, VERSION};
use limits::policy::{RateLimits, Tenant, Tenants};
use limits::settings::{AccountSettings, ClassLimits, GateSettings, QueueSettings};
use limits::{Answer, Gate, Input};

const START: u64 = 1_795_514_400_000;
/// Tenants with four limits each.
const TENANTS: usize = 25;
const ROUNDS: usize = 15;
/// Calls of one round: few enough to stay in the cache, as a message would.
const CALLS: usize = 2_000;

/// Counts what is allocated, so that a waiter's size is measured and not guessed.
struct Counting;

static BYTES: AtomicUsize = AtomicUsize::new(0);

// SAFETY: hands every call on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        BYTES.fetch_add(layout.size(), Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        BYTES.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn main() {
    let mut rows = Vec::new();
    let (admit_ns, pair_ns) = admissions();
    let per_s = 1_000_000_000 / admit_ns;
    rows.push(("admissions a second, 100 limits", per_s.to_string(), "limits.admissions_per_s"));
    rows.push((
        "with the settlement of each",
        (1_000_000_000 / pair_ns).to_string(),
        "limits.admissions_settled_per_s",
    ));
    let [few, many] = waits();
    rows.push(("ns to queue and serve one, 100 wait", few.0.to_string(), "limits.wait_ns_100"));
    rows.push(("the same, 100,000 wait", many.0.to_string(), "limits.wait_ns_100000"));
    let ratio = format!("{:.2}", many.0 as f64 / few.0 as f64);
    rows.push(("the second over the first", ratio, "limits.wait_100000_vs_100"));
    rows.push(("bytes a waiter, of 100,000", many.1.to_string(), "limits.waiter_bytes"));
    for (what, value, _) in &rows {
        println!("{what:<38} {value:>12}");
    }
    for (_, value, name) in rows {
        println!("ratio {name} {value}");
    }
}

/// Nanoseconds of an admit that is granted, and of one with a settlement.
fn admissions() -> (u128, u128) {
    let mut gate = gate(1_000_000_000, QueueSettings::default());
    let (mut alone, mut pairs) = (Vec::new(), Vec::new());
    let mut number = 0;
    for round in 0..ROUNDS {
        let now = START + round as u64 * 10_000;
        let first = number;
        let admits = (0..CALLS).map(|n| call(first + n, 30_000, None));
        alone.push(timed(&mut gate, now, admits));
        let both = (0..CALLS).map(|n| call(first + CALLS + n, 30_000, Some(first + n)));
        pairs.push(timed(&mut gate, now + 1_000, both));
        number += 2 * CALLS;
        let rest = (0..CALLS).map(|n| Call {
            v: VERSION,
            events: vec![settled(first + CALLS + n)],
            ..Call::default()
        });
        timed(&mut gate, now + 2_000, rest);
    }
    (median(alone), median(pairs))
}

/// Nanoseconds a call, each made just before it is handed in, as a message is read.
fn timed(gate: &mut Gate, now: u64, calls: impl ExactSizeIterator<Item = Call>) -> u128 {
    let count = calls.len();
    let mut spent = Duration::ZERO;
    for call in calls {
        let asks = call.admit.is_some();
        let began = Instant::now();
        let output = gate.handle(now, Input::Call(call));
        spent += began.elapsed();
        let Answer::Reply(reply) = output.reply else { panic!("a call is answered") };
        let granted = matches!(reply.decision, Some(Decision::Granted { .. }));
        assert!(granted || !asks, "{:?}", reply.decision);
    }
    (spent.as_nanos() / count as u128).saturating_sub(clock_ns())
}

/// What reading the clock adds to each: on a virtual machine a tenth of an admission.
fn clock_ns() -> u128 {
    median((0..CALLS).map(|_| Instant::now().elapsed().as_nanos()).collect())
}

/// With 100 and with 100,000 waiting: nanoseconds that one more costs from its
/// call to its grant, and bytes each holds.
fn waits() -> [(u128, usize); 2] {
    let mut rounds = [Vec::new(), Vec::new()];
    let mut bytes = [0, 0];
    for _ in 0..ROUNDS / 3 {
        for (place, waiting) in [100, 100_000].into_iter().enumerate() {
            let queue = QueueSettings { length_max: 200_000, ..QueueSettings::default() };
            // A request each 10 ms, and none at the start.
            let mut gate = gate(6_000, queue);
            let mut number = 0;
            while !waits_one(&mut gate, START, number) {
                number += 1;
            }
            let before = BYTES.load(Ordering::Relaxed);
            for n in 1..waiting {
                assert!(waits_one(&mut gate, START, number + n));
            }
            bytes[place] = (BYTES.load(Ordering::Relaxed) - before) / waiting;
            number += waiting;
            // The clock of the queue: each step grants one, and one comes.
            let calls: Vec<_> = (0..CALLS).map(|n| call(number + n, 3_600_000, None)).collect();
            let began = Instant::now();
            for (n, call) in calls.into_iter().enumerate() {
                gate.handle(START + 10 * (n as u64 + 1), Input::Poll(call));
            }
            rounds[place].push(began.elapsed().as_nanos() / CALLS as u128);
        }
    }
    let [few, many] = rounds.map(median);
    [(few, bytes[0]), (many, bytes[1])]
}

fn waits_one(gate: &mut Gate, now: u64, number: usize) -> bool {
    let output = gate.handle(now, Input::Poll(call(number, 3_600_000, None)));
    output.reply == Answer::Parked
}

fn median(mut rounds: Vec<u128>) -> u128 {
    rounds.sort_unstable();
    rounds[rounds.len() / 2].max(1)
}

fn gate(rpm: u64, queue: QueueSettings) -> Gate {
    let limits = ClassLimits {
        rpm: Some(rpm),
        itpm: Some(900_000_000_000),
        otpm: Some(900_000_000_000),
        ..ClassLimits::default()
    };
    let account = AccountSettings {
        limits: [("*".into(), Box::new(limits))].into(),
        ..AccountSettings::default()
    };
    let settings = GateSettings {
        accounts: [("acct".into(), Box::new(account))].into(),
        queue,
        ..GateSettings::default()
    };
    let mut gate = Gate::new(settings, START);
    let limits = RateLimits {
        rpm: Some(900_000_000),
        itpm: Some(900_000_000_000),
        otpm: Some(900_000_000_000),
        concurrent: Some(1_000_000),
    };
    let tenant = Tenant { limits, ..Tenant::default() };
    let tenants = (0..TENANTS).map(|n| (format!("tenant{n}"), Box::new(tenant.clone()))).collect();
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

fn pool() -> Pool {
    Pool { account: "acct".into(), class: "sonnet".into(), speed: "standard".into() }
}

/// A prompt of a page.
const KINDS: [u64; 8] = [700, 40, 150, 60, 0, 0, 0, 50];

/// An admit, with the settlement of another request.
fn call(n: usize, patience_ms: u64, settles: Option<usize>) -> Call {
    Call {
        v: VERSION,
        admit: Some(Admit {
            ticket: format!("{n:016x}"),
            attempt: 0,
            asked_ms: START,
            tenant: format!("tenant{}", n % TENANTS),
            user: None,
            job: None,
            key: format!("key{}", n % TENANTS),
            pool: pool(),
            model: "claude-sonnet-5-5".into(),
            priority: Priority::Normal,
            input_tokens: 1_000,
            kinds: KINDS,
            max_tokens: 4_096,
            microusd_max: 80_000,
            patience_ms,
            is_retry: None,
            bytes: 4_000,
            cached: None,
            running: None,
        }),
        events: settles.map(settled).into_iter().collect(),
        // As an isolate that was here before holds it: its key's.
        policy_version: Some((TENANTS + n % TENANTS + 1) as u64),
        ..Call::default()
    }
}

fn settled(n: usize) -> Event {
    Event::Settled(Settle {
        ticket: format!("{n:016x}"),
        attempt: 0,
        tenant: format!("tenant{}", n % TENANTS),
        user: None,
        job: None,
        key: format!("key{}", n % TENANTS),
        pool: pool(),
        model: "claude-sonnet-5-5".into(),
        max_tokens: 4_096,
        input_estimate: 1_000,
        kinds: KINDS,
        cached: None,
        used: Used::Tokens {
            input: 1_050,
            input_total: 1_050,
            output: 300,
            microusd: 8_000,
            estimated: false,
        },
        unasked: false,
        at_ms: START,
        ran_ms: 4_000,
    })
}

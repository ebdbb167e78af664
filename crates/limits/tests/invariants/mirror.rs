//! Invariant 4: while nobody else uses the account the mirror promises no more than
//! the provider has; and what the provider refuses all the same goes before those
//! that asked later.

use std::collections::BTreeMap;

use proptest::prelude::*;

use limits::message::{Admit, Decision, Event, Level, Observation, Used};

use crate::common::*;

const RPM: u64 = 600;
const ITPM: u64 = 100_000;
/// The provider's clock is ahead of the Gate's.
const AHEAD_MS: u64 = 7_200_123;

#[derive(Clone, Debug)]
enum Happens {
    /// So many ask, of this size; they reach the provider this long after they may.
    Ask {
        count: u8,
        input: u64,
        way: u64,
    },
    /// One that runs ends; the Gate hears of its levels before or after that, or not.
    End {
        which: usize,
        levels: Option<bool>,
    },
    /// One that may go was given up by its client before it was sent.
    GiveUp {
        which: usize,
    },
    /// The provider refuses the next one, whatever it has.
    Refuse,
    Pass {
        ms: u64,
    },
}

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        6 => (1_u8..30, 1_u64..5_000, 0_u64..30).prop_map(|(count, input, way)| Happens::Ask { count, input, way }),
        5 => (any::<prop::sample::Index>(), prop::option::of(any::<bool>()))
            .prop_map(|(which, levels)| Happens::End { which: which.index(1_000), levels }),
        1 => any::<prop::sample::Index>().prop_map(|which| Happens::GiveUp { which: which.index(1_000) }),
        1 => Just(Happens::Refuse),
        6 => (1_u64..2_000).prop_map(|ms| Happens::Pass { ms }),
    ]
}

/// A bucket that refills continuously, in 60,000ths.
#[derive(Clone, Debug)]
struct Bucket {
    per_minute: u64,
    capacity: u64,
    level: u64,
    at: u64,
}

impl Bucket {
    fn full(per_minute: u64, capacity: u64) -> Self {
        let capacity = capacity * 60_000;
        Self { per_minute, capacity, level: capacity, at: START }
    }

    fn take(&mut self, now: u64, tokens: u64) -> bool {
        self.level = (self.level + (now - self.at) * self.per_minute).min(self.capacity);
        self.at = now;
        let has = self.level >= tokens * 60_000;
        self.level -= if has { tokens * 60_000 } else { 0 };
        has
    }

    fn tells(&self, limit: u64, unit: u64) -> Level {
        let left = self.level / 60_000;
        let full_at = self.at + (self.capacity - self.level) / self.per_minute + AHEAD_MS;
        let reset_ms = Some(full_at.div_ceil(1_000) * 1_000);
        Level { limit, remaining: (left + unit / 2) / unit * unit, reset_ms }
    }
}

/// One request, by its ticket.
#[derive(Clone, Debug)]
struct Request {
    number: u64,
    attempt: u32,
    input: u64,
    way: u64,
    asked: u64,
}

struct World {
    shell: Shell,
    /// Requests by the minute and by the second, input.
    provider: [Bucket; 3],
    asks: BTreeMap<String, Request>,
    /// On their way to the provider: when they arrive, and when they were sent.
    sent: BTreeMap<(u64, String), (u64, Request)>,
    running: Vec<(String, Request, Observation)>,
    refuses: bool,
    /// Those that the provider refused.
    back: Vec<String>,
}

impl World {
    fn new() -> Self {
        Self {
            shell: Shell::new(settings(RPM, ITPM, 1_000_000_000), r#"{"t":{}}"#),
            provider: [
                Bucket::full(RPM, RPM),
                Bucket::full(RPM, RPM / 60),
                Bucket::full(ITPM, ITPM),
            ],
            asks: BTreeMap::new(),
            sent: BTreeMap::new(),
            running: Vec::new(),
            refuses: false,
            back: Vec::new(),
        }
    }

    fn ask(&mut self, ticket: String, request: Request) -> Result<(), TestCaseError> {
        let ask = Admit {
            attempt: request.attempt,
            asked_ms: request.asked,
            input_tokens: request.input,
            patience_ms: 3_600_000,
            ..admit(&ticket, "t")
        };
        self.asks.insert(ticket.clone(), request);
        match self.shell.poll(ask) {
            Some(decision) => self.decided(ticket, &decision)?,
            None => self.hear()?,
        }
        Ok(())
    }

    fn decided(&mut self, ticket: String, decision: &Decision) -> Result<(), TestCaseError> {
        prop_assert!(is_granted(decision), "{}: {:?}", ticket, decision);
        let Some(request) = self.asks.remove(&ticket) else {
            return Err(TestCaseError::fail(format!("{ticket} did not ask")));
        };
        // Who was refused by the provider goes first.
        self.back.retain(|back| *back != ticket);
        let before = self.back.iter().filter_map(|back| self.asks.get(back));
        let passed = before.filter(|back| back.number < request.number).count();
        prop_assert!(passed == 0, "{} went before one that the provider refused", ticket);
        let at = self.shell.now + request.way;
        self.sent.insert((at, ticket), (self.shell.now, request));
        Ok(())
    }

    fn hear(&mut self) -> Result<(), TestCaseError> {
        for (ticket, decision) in std::mem::take(&mut self.shell.answers) {
            self.decided(ticket, &decision)?;
        }
        Ok(())
    }

    /// Time passes, and what is sent arrives in its time.
    fn pass(&mut self, ms: u64) -> Result<(), TestCaseError> {
        let until = self.shell.now + ms;
        for _ in 0..ms {
            self.shell.pass(1);
            self.hear()?;
            while let Some(((at, _), _)) = self.sent.first_key_value()
                && *at <= self.shell.now
            {
                self.arrive()?;
            }
        }
        prop_assert_eq!(self.shell.now, until);
        Ok(())
    }

    fn arrive(&mut self) -> Result<(), TestCaseError> {
        let Some(((at, ticket), (sent, mut request))) = self.sent.pop_first() else {
            return Ok(());
        };
        let [minute, second, input] = &mut self.provider;
        let is_refused = std::mem::take(&mut self.refuses);
        let seen = |status, levels: Option<[Level; 2]>| Observation {
            attempt: request.attempt,
            sent_ms: sent,
            at_ms: at,
            requests: levels.map(|levels| levels[0]),
            input: levels.map(|levels| levels[1]),
            ..observed(&ticket, status, None)
        };
        if !is_refused {
            let has = [minute.take(at, 1), second.take(at, 1), input.take(at, request.input)];
            prop_assert_eq!(has, [true; 3], "the provider refuses {}", ticket);
            let levels = [minute.tells(RPM, 1), input.tells(ITPM, 1_000)];
            self.running.push((ticket.clone(), request.clone(), seen(200, Some(levels))));
            return Ok(());
        }
        let refusal = Observation { retry_after_ms: Some(1_000), ..seen(429, None) };
        let Event::Settled(mut settle) = settle(&ticket, "t", Used::Nothing) else {
            unreachable!()
        };
        settle.attempt = request.attempt;
        self.shell.call(None, vec![Event::Observed(refusal), Event::Settled(settle)]);
        self.hear()?;
        request.attempt += 1;
        self.back.push(ticket.clone());
        self.ask(ticket, request)
    }
}

fn play(steps: Vec<Happens>) -> Result<(), TestCaseError> {
    let mut world = World::new();
    let mut number = 0;
    for step in steps {
        match step {
            Happens::Ask { count, input, way } => {
                for _ in 0..count {
                    number += 1;
                    let asked = world.shell.now;
                    let request = Request { number, attempt: 0, input, way, asked };
                    world.ask(format!("t{number:05}"), request)?;
                }
            }
            Happens::End { which, levels } if !world.running.is_empty() => {
                let (ticket, request, seen) = world.running.remove(which % world.running.len());
                let input = request.input;
                let used = Used::Tokens {
                    input,
                    input_total: input,
                    output: 100,
                    microusd: 1_000,
                    estimated: false,
                };
                let Event::Settled(mut settle) = settle(&ticket, "t", used) else { unreachable!() };
                (settle.attempt, settle.input_estimate) = (request.attempt, input);
                let settle = Event::Settled(settle);
                let events = match levels {
                    Some(true) => vec![Event::Observed(seen), settle],
                    Some(false) => vec![settle, Event::Observed(seen)],
                    None => vec![settle],
                };
                world.shell.call(None, events);
                world.hear()?;
            }
            Happens::GiveUp { which } if !world.sent.is_empty() => {
                let at = which % world.sent.len();
                let Some(key) = world.sent.keys().nth(at).cloned() else { continue };
                let Some((_, request)) = world.sent.remove(&key) else { continue };
                let Event::Settled(mut settle) = settle(&key.1, "t", Used::Nothing) else {
                    unreachable!()
                };
                settle.attempt = request.attempt;
                world.shell.event(Event::Settled(settle));
                world.hear()?;
            }
            Happens::End { .. } | Happens::GiveUp { .. } => {}
            Happens::Refuse => world.refuses = true,
            Happens::Pass { ms } => world.pass(ms)?,
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn invariant_4_the_mirror_promises_what_the_provider_has(steps in prop::collection::vec(happens(), 1..60)) {
        play(steps)?;
    }
}

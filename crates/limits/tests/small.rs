//! Small worlds, all of them: three requests, two limits that hold two at a time,
//! and every order of asking, settling, being lost, time passing and restarts
//! (invariants 1, 2, 5 and 8).

mod common;

use common::*;
use limits::admin::Spend;
use limits::message::{Admit, Decision, Event};

const TICKETS: [&str; 3] = ["a", "b", "c"];
const PATIENCE_MS: u64 = 20_000;
/// The account's requests and the tenant's: each has room for two.
const RPM: u64 = 2;

/// How far a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    New,
    /// Asked at this time, and has a place.
    Waits(u64),
    Runs,
    /// Its ticket expired while it ran: its settlement comes too late.
    Expired,
    /// Settled, refused, cancelled; or lost while it ran, never to be heard of.
    Over,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Happens {
    Ask(usize),
    Poll(usize),
    Cancel(usize),
    Settle(usize),
    Lose(usize),
    /// A slot refills.
    Pass,
    /// Tickets expire.
    Expire,
    Restart,
}

#[derive(Clone)]
struct World {
    shell: Shell,
    stages: [Stage; 3],
    /// Really used: requests, and money.
    real: (u64, u64),
    lost: u64,
    passes: u32,
    expired: bool,
    restarts: u32,
    way: Vec<Happens>,
}

#[test]
fn every_interleaving_of_three_requests_balances() {
    let settings = settings(RPM, 1_000_000, 1_000_000);
    let tenants = r#"{"t":{"limits":{"rpm":2},"budgets":[{"window":"day","usd":"0.02"}]}}"#;
    let world = World {
        shell: Shell::new(settings, tenants),
        stages: [Stage::New; 3],
        real: (0, 0),
        lost: 0,
        passes: 0,
        expired: false,
        restarts: 0,
        way: Vec::new(),
    };
    let mut ends = 0;
    explore(&world, &mut ends);
    // Fewer would mean that some were not reached.
    assert!(ends > 20_000, "{ends} ends");
    println!("{ends} ends");
}

fn explore(world: &World, ends: &mut u64) {
    let choices = world.choices();
    if choices.is_empty() {
        *ends += 1;
        world.clone().close();
    }
    for happens in choices {
        let mut next = world.clone();
        next.happen(happens);
        explore(&next, ends);
    }
}

impl World {
    fn choices(&self) -> Vec<Happens> {
        let mut choices = Vec::new();
        let first_new = self.stages.iter().position(|stage| *stage == Stage::New);
        for (n, stage) in self.stages.iter().enumerate() {
            match stage {
                // New ones are alike: the first of them asks.
                Stage::New if first_new == Some(n) => choices.push(Happens::Ask(n)),
                Stage::New | Stage::Over => {}
                Stage::Waits(asked) if self.shell.now >= asked + PATIENCE_MS => {
                    // Nobody waits past its deadline: the poll says so.
                    return vec![Happens::Poll(n)];
                }
                Stage::Waits(_) => choices.extend([Happens::Poll(n), Happens::Cancel(n)]),
                Stage::Runs => choices.extend([Happens::Settle(n), Happens::Lose(n)]),
                Stage::Expired => choices.push(Happens::Settle(n)),
            }
        }
        if choices.is_empty() {
            return choices;
        }
        // A poll alone changes nothing twice: time must pass in between.
        if matches!(self.way.last(), Some(Happens::Poll(_))) {
            choices.retain(|choice| !matches!(choice, Happens::Poll(_)));
        }
        if self.passes < 3 {
            choices.push(Happens::Pass);
        }
        if !self.expired && self.lost > 0 {
            choices.push(Happens::Expire);
        }
        if self.restarts < 2 {
            choices.push(Happens::Restart);
        }
        choices
    }

    fn happen(&mut self, happens: Happens) {
        self.way.push(happens);
        let before = self.spend();
        match happens {
            Happens::Ask(n) | Happens::Poll(n) => {
                let asked = match self.stages[n] {
                    Stage::Waits(asked) => asked,
                    _ => self.shell.now,
                };
                let patience_ms = (asked + PATIENCE_MS).saturating_sub(self.shell.now);
                let ask = Admit { patience_ms, asked_ms: asked, ..admit(TICKETS[n], "t") };
                let decision = self.shell.admit(ask);
                self.stages[n] = match &decision {
                    Decision::Granted { .. } => Stage::Runs,
                    Decision::Queued { .. } => Stage::Waits(asked),
                    Decision::Refused(_) => Stage::Over,
                };
                if matches!(self.stages[n], Stage::Waits(_)) {
                    assert!(patience_ms > 0, "{:?}: waits past its deadline", self.way);
                }
                // Invariant 1: whoever may not go takes nothing, unless it was granted
                // in the queue and is told now.
                let grew = self.spend().reserved.requests > before.reserved.requests;
                assert!(!grew || is_granted(&decision), "{:?}", self.way);
            }
            Happens::Cancel(n) => {
                self.stages[n] = Stage::Over;
                self.shell.event(Event::Cancelled { ticket: TICKETS[n].into(), attempt: 0 });
            }
            Happens::Settle(n) => {
                if std::mem::replace(&mut self.stages[n], Stage::Over) == Stage::Runs {
                    self.real = (self.real.0 + 1, self.real.1 + 1_000);
                }
                let settled = settled(TICKETS[n], "t");
                // Told twice, as reports are until they are acknowledged.
                self.shell.event(settled.clone());
                self.shell.event(settled);
            }
            Happens::Lose(n) => {
                self.stages[n] = Stage::Over;
                self.lost += 1;
                self.real = (self.real.0 + 1, self.real.1 + 1_000);
            }
            Happens::Pass => {
                self.passes += 1;
                self.shell.pass(11_000);
            }
            Happens::Expire => {
                self.expired = true;
                for stage in self.stages.iter_mut().filter(|stage| **stage == Stage::Runs) {
                    *stage = Stage::Expired;
                    self.lost += 1;
                    self.real = (self.real.0 + 1, self.real.1 + 1_000);
                }
                let ttl = self.shell.settings.ticket_ttl_ms;
                self.shell.pass(ttl + 10_000);
            }
            Happens::Restart => {
                self.restarts += 1;
                self.shell.restart();
            }
        }
        self.check();
    }

    fn spend(&mut self) -> Spend {
        *self.shell.totals()["deployment"]
    }

    fn check(&mut self) {
        let runs = self.stages.iter().filter(|stage| **stage == Stage::Runs).count() as u64;
        let scopes = self.shell.totals();
        for (scope, spend) in scopes {
            let Spend { spent, reserved, ceiling, open, .. } = *spend;
            let way = &self.way;
            // A ticket is a request and a cent, held in every scope alike.
            let held = (reserved.requests, reserved.microusd);
            if self.restarts == 0 && scope != "public" {
                let granted = self.shell.answers.len() as u64;
                assert!(open <= runs + self.lost + granted + 3, "{way:?}: {scope} holds {open}");
                assert_eq!(held, (open, open * 10_000), "{way:?}: {scope}");
            }
            // Invariant 8: what is recorded covers what is real, also before the
            // tickets of those that were lost have expired.
            let covered = spent.microusd + reserved.microusd;
            assert!(covered >= self.real.1 || self.restarts > 0, "{way:?}: {scope}");
            assert!(covered <= ceiling.microusd, "{way:?}: {scope}");
            assert!(self.restarts == 0 || ceiling.microusd >= self.real.1, "{way:?}: {scope}");
        }
    }

    /// All tickets expire: every attempt was settled exactly once (invariant 2).
    fn close(mut self) {
        self.shell.pass(2 * self.shell.settings.ticket_ttl_ms);
        let Spend { spent, reserved, open, .. } = self.spend();
        let way = &self.way;
        assert_eq!((open, reserved.requests, reserved.microusd), (0, 0, 0), "{way:?}");
        assert!(spent.requests >= self.real.0 && spent.microusd >= self.real.1, "{way:?}");
        if self.restarts == 0 {
            assert_eq!(spent.requests, self.real.0, "{way:?}");
            // Whoever was lost counts as the most that it can have cost.
            assert_eq!(spent.microusd, self.real.1 + self.lost * 9_000, "{way:?}");
        }
    }
}

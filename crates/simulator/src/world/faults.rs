//! What goes wrong: when it is due, and what it does. Faults of single requests
//! strike where the request is, in `upstream`.

use limits::Gate;
use limits::message::Millis;

use super::isolate::Isolate;
use super::shell::Parked;
use super::traffic::Stage;
use super::{Happens, START, World};
use crate::scenario::Fault;

impl World<'_> {
    /// Puts the scenario's faults on the clock.
    pub(super) fn set_faults(&mut self) {
        let scenario = self.scenario;
        for (index, fault) in scenario.faults.iter().enumerate() {
            match *fault {
                Fault::Restart(at) => self.at(START + at, Happens::Restart),
                Fault::RestartEvery(span) => {
                    for n in 1..=scenario.span_ms / span {
                        self.at(START + n * span, Happens::Restart);
                    }
                }
                Fault::LimitsChange(at, _) => self.at(START + at, Happens::Limits(index)),
                Fault::Outside(from, ..) => self.at(START + from, Happens::Drain),
                Fault::IsolatesLost(span, until) => {
                    for n in 1..=until / span {
                        let isolate = n as usize % self.isolates.len();
                        self.at(START + n * span, Happens::IsolateLost(isolate));
                    }
                }
                // These strike where a message or a request is.
                Fault::IsolateDies(_)
                | Fault::Doubled(_)
                | Fault::ClocksAhead(_)
                | Fault::ClocksApart(_)
                | Fault::Lost(_)
                | Fault::Late(..) => {}
            }
        }
    }

    /// How far an isolate's clock is ahead of the Gate's.
    pub(super) fn skew(&self, isolate: usize) -> i64 {
        let skews = self.scenario.faults.iter().map(|fault| match *fault {
            Fault::ClocksAhead(span) => span as i64,
            Fault::ClocksApart(span) if isolate.is_multiple_of(2) => span as i64,
            Fault::ClocksApart(span) => -(span as i64),
            _ => 0,
        });
        skews.sum()
    }

    /// Whether a message or a reply is lost.
    pub(super) fn loses(&mut self) -> bool {
        let losses = self.scenario.faults.iter().map(|fault| match fault {
            Fault::Lost(permille) => *permille,
            _ => 0,
        });
        let permille = losses.sum();
        permille > 0 && self.chance.is(permille)
    }

    /// How many of 1,000 messages are sent twice.
    pub(super) fn doubled_permille(&self) -> u32 {
        let doubled = self.scenario.faults.iter().map(|fault| match fault {
            Fault::Doubled(permille) => *permille,
            _ => 0,
        });
        doubled.sum()
    }

    /// How much longer than usual a message takes.
    pub(super) fn lateness(&mut self) -> Millis {
        for fault in &self.scenario.faults {
            if let Fault::Late(permille, most) = *fault
                && self.chance.is(permille)
            {
                return self.chance.between(0, most);
            }
        }
        0
    }

    /// The Gate dies and comes back with what it wrote; parked calls fail, and
    /// their Workers ask again at once.
    pub(super) fn restart(&mut self) {
        self.gate = Gate::new(self.scenario.settings.clone(), self.now);
        for (key, value) in &self.rows {
            self.gate.restore(key, value);
        }
        self.timer += 1;
        for Parked { asker: (index, asking), .. } in std::mem::take(&mut self.parked).into_values()
        {
            let request = &self.requests[index];
            if !request.dead && request.asking == asking && request.stage == Stage::Asks {
                self.ask(index, true);
            }
        }
        let (recorded, seed) = (self.totals().0.spent, self.scenario.seed);
        let forgot = recorded.requests < self.real.0
            || recorded.tokens < self.real.1
            || recorded.microusd < self.real.2;
        assert!(!forgot, "seed {seed}: a restart forgot spend");
    }

    /// An isolate is gone, with its lent tickets, its reports and the clients of its
    /// requests; the provider goes on answering them. Another starts in its place.
    pub(super) fn lose_isolate(&mut self, isolate: usize) {
        self.isolates[isolate] = Isolate::default();
        for index in 0..self.requests.len() {
            let request = &mut self.requests[index];
            if request.isolate != isolate || !matches!(request.stage, Stage::Asks | Stage::Runs) {
                continue;
            }
            (request.dead, request.lost) = (true, true);
            if request.stage == Stage::Asks {
                self.report.lost += 1;
                self.set_stage(index, Stage::Over);
            }
        }
    }

    /// Somebody else uses the account.
    pub(super) fn drain(&mut self) {
        let Some((until, permille)) = self.scenario.faults.iter().find_map(|fault| match fault {
            Fault::Outside(_, until, permille) => Some((START + until, *permille)),
            _ => None,
        }) else {
            return;
        };
        // A tenth of a second's use, ten times a second.
        let part = |limit: u64| limit * permille / 600_000;
        let limits = self.scenario.limits;
        let requests = u64::from(self.chance.is(((limits.rpm * permille / 600) % 1_000) as u32));
        let used = [part(limits.rpm) + requests, part(limits.itpm), part(limits.otpm)];
        self.provider.drain(self.now, used);
        self.report.used(self.now - START, used);
        if self.now < until {
            self.at(self.now + 100, Happens::Drain);
        }
    }
}

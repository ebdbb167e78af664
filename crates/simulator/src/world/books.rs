//! The invariants that can be seen from outside: while it runs, and at the end.

use limits::admin::{AdminInput, AdminReply, Spend, State};
use limits::{Answer, Input};

use super::World;
use super::isolate::Isolate;
use super::traffic::Stage;
use crate::provider::Limits;
use crate::report::Report;
use crate::scenario::{Fault, Flow};

impl World<'_> {
    pub(super) fn totals(&mut self) -> (Spend, bool) {
        let output = self.gate.handle(self.now, Input::Admin(AdminInput::Totals));
        let Answer::Admin(AdminReply::Totals(totals)) = output.reply else {
            panic!("totals were asked for")
        };
        let sound = totals.scopes.values().all(|spend| {
            let least = [
                (spend.spent.requests + spend.reserved.requests, spend.ceiling.requests),
                (spend.spent.tokens + spend.reserved.tokens, spend.ceiling.tokens),
                (spend.spent.microusd + spend.reserved.microusd, spend.ceiling.microusd),
            ];
            least.iter().all(|(used, ceiling)| used <= ceiling)
        });
        (*totals.scopes["deployment"], sound)
    }

    /// The invariants that can be seen from outside.
    pub(super) fn check(&mut self) {
        let seed = self.scenario.seed;
        let (spend, is_covered) = self.totals();
        assert!(is_covered, "seed {seed}: spend passed the stored ceiling");
        if self.scenario.faults.is_empty() {
            // Grants on their way to the Worker, settlements on theirs back.
            assert!(spend.open >= self.running, "seed {seed}: a running request has no ticket");
            self.check_places();
        }
        let is_ours =
            |fault: &Fault| !matches!(fault, Fault::LimitsChange(..) | Fault::Outside(..));
        if self.scenario.faults.iter().all(is_ours) {
            self.check_mirror();
        }
    }

    fn state(&mut self) -> State {
        let output = self.gate.handle(self.now, Input::Admin(AdminInput::State));
        let Answer::Admin(AdminReply::State(state)) = output.reply else {
            panic!("the state was asked for")
        };
        state
    }

    /// After a long rest every bucket is free, but for the mirror's least margin of
    /// 1.5 %: neither what ran nor what was lent holds any of it.
    fn check_full(&mut self) {
        // The margin narrows first, then that refills.
        self.state();
        self.now += 60_000;
        for limit in self.state().pools.iter().flat_map(|pool| &pool.limits) {
            let places = self.scenario.concurrent.filter(|_| limit.kind == "requests");
            let full = limit.capacity.min(places.unwrap_or(u64::MAX)) as i64;
            let margin = (full * 15 / 1_000).max(1);
            let (seed, kind, level) = (self.scenario.seed, &limit.kind, limit.level);
            assert!(level >= full - margin, "seed {seed}: {kind} leaked, {level} of {full}");
        }
    }

    /// No tenant runs more at one time than it may.
    fn check_places(&self) {
        for Flow { tenant, policy, .. } in &self.scenario.flows {
            let Some(most) = policy.limits.concurrent else { continue };
            let flows = self.scenario.flows.iter().zip(&self.running_of);
            let run: u64 = flows.filter(|(of, _)| of.tenant == *tenant).map(|(_, run)| run).sum();
            let seed = self.scenario.seed;
            assert!(run <= most, "seed {seed}: {run} of {tenant} run at one time");
        }
    }

    /// Invariant 4, while nobody else uses the account and its limits did not fall: what
    /// the mirror lets new requests have is there. Requests exactly; input and output, of
    /// which running requests' are estimated, within 3 % of a minute. How far a request
    /// whose isolate is gone generates on, nobody tells.
    fn check_mirror(&mut self) {
        let state = self.state();
        let left = self.provider.left(self.now);
        let Limits { itpm, otpm, .. } = self.scenario.limits;
        let slack = [0, itpm, otpm].map(|limit| limit as i64 * 3 / 100);
        let loses =
            |fault: &Fault| matches!(fault, Fault::IsolateDies(_) | Fault::IsolatesLost(..));
        let told = if self.scenario.faults.iter().any(loses) { 2 } else { 3 };
        let kinds = &["requests", "input_tokens", "output_tokens"][..told];
        let views = state.pools.iter().flat_map(|pool| &pool.limits);
        for limit in views.filter(|limit| kinds.contains(&limit.kind.as_str())) {
            let kind = kinds.iter().position(|kind| *kind == limit.kind).expect("a bucket's kind");
            assert!(
                limit.level <= left[kind] + slack[kind],
                "seed {}: {} mirrored as {}, really {}",
                self.scenario.seed,
                limit.kind,
                limit.level,
                left[kind]
            );
        }
    }

    /// The end: everything was answered, and the books balance.
    pub(super) fn close(mut self) -> Report {
        let seed = self.scenario.seed;
        let asks = self.requests.iter().filter(|request| request.stage != Stage::Over).count();
        assert_eq!(asks, 0, "seed {seed}: {asks} requests were never answered");
        let isolates = self.isolates.iter().all(Isolate::is_done);
        assert!(isolates, "seed {seed}: an isolate kept lent tickets or reports");
        // Tickets that nobody settles expire.
        self.now += 2 * self.scenario.settings.ticket_ttl_ms;
        self.step(Input::Wake);
        let (spend, is_covered) = self.totals();
        assert!(is_covered, "seed {seed}: spend passed the stored ceiling");
        let open = (spend.open, spend.reserved.requests, spend.reserved.microusd);
        assert_eq!(open, (0, 0, 0), "seed {seed}: reservations leaked");
        self.check_full();
        let exact = (spend.spent.requests, spend.spent.tokens, spend.spent.microusd);
        let loses = |fault: &Fault| {
            use Fault::{IsolateDies, IsolatesLost, Restart, RestartEvery};
            matches!(fault, Restart(_) | RestartEvery(_) | IsolateDies(_) | IsolatesLost(..))
        };
        if self.scenario.faults.iter().any(loses) {
            assert!(
                exact.0 >= self.real.0 && exact.1 >= self.real.1 && exact.2 >= self.real.2,
                "seed {seed}: recorded {exact:?} is below the real {:?}",
                self.real
            );
        } else {
            assert_eq!(exact, self.real, "seed {seed}: the books do not balance");
        }
        self.report.microusd = (self.real.2, spend.spent.microusd);
        self.report
    }
}

//! A bounded memory of refusals: a message that comes twice is answered twice alike.
//!
//! Whoever was refused has gone, and a new request has a new name. A late double of its
//! admit must take neither a place nor a ticket that nobody would ever settle.

use crate::gate::Gate;
use crate::map::{Name, name};
use crate::message::{Admit, Decision, Reason, Refusal, VisitorBounds};

/// The reasons that time mends: only these need remembering, the others hold for the
/// double, too. Packed beside the time as their places here.
const TIMED: [Reason; 8] = [
    Reason::ProviderLimit,
    Reason::TenantLimit,
    Reason::UserLimit,
    Reason::BudgetSpent,
    Reason::DeploymentBudgetSpent,
    Reason::QueueFull,
    Reason::Deadline,
    Reason::JobSpent,
];

impl Gate {
    /// Decides on one admit. None: parked, its answer comes later.
    pub(crate) fn admit(
        &mut self,
        admit: &mut Admit,
        tenant: Option<usize>,
        bounds: Option<&VisitorBounds>,
        may_park: bool,
    ) -> Option<Decision> {
        let (name, attempt, runs) = (name(&admit.ticket), admit.attempt, admit.running.is_some());
        let decision = self.decide(name, admit, tenant, bounds, may_park);
        if let Some(Decision::Refused(refusal)) = decision.as_ref().filter(|_| !runs) {
            self.remember(name, attempt, refusal);
        }
        decision
    }

    /// An attempt is told that it may not go.
    pub(crate) fn remember(&mut self, name: Name, attempt: u32, refusal: &Refusal) {
        let reason = TIMED.iter().position(|reason| *reason == refusal.reason);
        if let Some((reason, wait)) = reason.zip(refusal.retry_after_ms) {
            let due = self.now.saturating_add(wait).min(u64::MAX / TIMED.len() as u64);
            let packed = due * TIMED.len() as u64 + reason as u64;
            self.refused.note(name, Some(attempt), packed);
        }
    }

    /// The refusal that an attempt was told before, without the limit's numbers.
    pub(crate) fn refused_before(&self, name: Name, attempt: u32) -> Option<Decision> {
        let packed = self.refused.noted(name, Some(attempt))?;
        let (due, reason) = (packed / TIMED.len() as u64, packed % TIMED.len() as u64);
        let retry_after_ms = Some(due.saturating_sub(self.now).max(1));
        let reason = TIMED[reason as usize];
        Some(Decision::Refused(Refusal { reason, retry_after_ms, limit: None }))
    }
}

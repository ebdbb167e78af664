//! Step 6: the Gate decides. Asked once; while queued, polled with the same
//! admit; after a refusal by the provider, asked again for the same place.

use limits::borrow;
use limits::message::{
    Admit, Decision, Event, Millis, PolicyView, Pool, Priority, Progress, Reason, Refusal, Reply,
    VERSION, View, VisitorBounds,
};
use serde::{Deserialize, Serialize};

use super::auth::{self, Caller};
use super::delivery;
use super::errors::Problem;
use super::estimate::Size;
use super::parse::{Endpoint, Wishes};
use super::publishable;
use super::{Call, Passage};
use crate::isolate::{self, Isolate};
use crate::journey::{GateMethod, Step};

/// A parked call's slice: 10 s, or a fortieth of the whole wait where that is
/// more, as the free plan allows 50 calls a request (Workers limits, 2026-11).
/// Fortieths of what is left would be smaller each time, and a hundred.
pub fn slice_ms(asked_ms: Millis, deadline_ms: Millis) -> Millis {
    (deadline_ms.saturating_sub(asked_ms) / 40).max(10_000)
}

/// Where the asking stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Admission {
    stage: Stage,
    /// Whether the provider's answer needs the Gate's leave at all.
    needs_leave: bool,
    /// Looks into the cache before it asks for leave.
    looks: bool,
    priority: Priority,
    asked_ms: Millis,
    deadline_ms: Millis,
    /// Refusals by the provider so far.
    pub attempt: u32,
    /// When it asked for a lease, too.
    borrows_since: Option<Millis>,
    /// Since when it waits at the Gate, where it does.
    waits_since: Option<Millis>,
    /// How long it waited there, over all attempts.
    pub waited_ms: Millis,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The tenant's policy is needed first.
    Policy,
    /// The first question.
    Admit,
    /// It has a place in the queue.
    Queued,
}

impl Admission {
    /// Before anything was asked.
    pub fn new(
        isolate: &Isolate,
        endpoint: &Endpoint,
        caller: &Caller,
        wishes: &Wishes,
        looks: bool,
        now: Millis,
    ) -> Self {
        let policy = isolate.policy_of(caller, now);
        let default = policy.map_or(Priority::Normal, |policy| policy.priority_default);
        let priority = auth::priority(caller, wishes, default);
        let needs_leave = matches!(endpoint, Endpoint::Post(_));
        let wait_ms = wishes.wait_ms(priority);
        Self {
            stage: if policy.is_none() { Stage::Policy } else { Stage::Admit },
            needs_leave,
            looks,
            priority,
            asked_ms: now,
            deadline_ms: now + wait_ms,
            attempt: 0,
            borrows_since: None,
            waits_since: None,
            waited_ms: 0,
        }
    }

    /// Whether the tenant's policy is not known yet.
    pub fn needs_policy(&self) -> bool {
        self.stage == Stage::Policy
    }

    /// The first step.
    pub fn next(&self) -> Step {
        match self.stage {
            Stage::Admit if !self.needs_leave => Step::Send,
            Stage::Admit if self.looks => Step::Look,
            _ => Step::Ask,
        }
    }

    /// Whether to look into the cache first.
    pub fn look(&mut self, looks: bool) {
        self.looks = looks;
    }

    /// The cache had nothing.
    pub fn missed(&mut self) {
        self.looks = false;
    }

    /// The Gate's method for this stage.
    pub fn method(&self) -> GateMethod {
        match self.stage {
            Stage::Policy => GateMethod::View,
            Stage::Admit => GateMethod::Admit,
            Stage::Queued => GateMethod::Poll,
        }
    }

    /// How long the next call may be parked, at most.
    pub fn parks_ms(&self) -> Millis {
        match self.stage {
            Stage::Queued => slice_ms(self.asked_ms, self.deadline_ms),
            _ => 0,
        }
    }

    fn patience_ms(&self, now: Millis) -> Millis {
        self.deadline_ms.saturating_sub(now)
    }
}

/// The message of this stage, as JSON.
pub(super) fn message(passage: &mut Passage, isolate: &mut Isolate, now: Millis) -> String {
    let Caller { tenant, user, .. } = &passage.caller;
    if passage.call.as_ref().is_none_or(|call| call.admission.stage == Stage::Policy) {
        return view_message(tenant, user.as_deref(), false, None);
    }
    let lend = borrower(passage).map_or(0, |(pool, _)| isolate.borrowed.wanted(tenant, pool, now));
    if let Some(Call { admission, .. }) = &mut passage.call {
        admission.waits_since.get_or_insert(now);
        if lend > 0 {
            admission.borrows_since = Some(now);
        }
    }
    let admit = admit(passage, now, None);
    let bounds = passage.caller.bounds();
    wrap(isolate, admit.as_ref(), bounds, isolate.policy_version(tenant, now), lend)
}

/// Takes the leave from a lease, where this isolate holds one that is good for
/// the request: then nothing needs to be asked.
pub(super) fn borrow(passage: &mut Passage, isolate: &mut Isolate, now: Millis) -> bool {
    let Some((pool, size)) = borrower(passage) else { return false };
    let priority = passage.call.as_ref().map(|call| call.admission.priority);
    let may = |policy: &PolicyView| priority >= Some(policy.priority_highest);
    if !isolate.policy_of(&passage.caller, now).is_some_and(may) {
        return false;
    }
    let ticket = isolate.borrowed.draw(&passage.caller.tenant, pool, &size, now);
    let Some((ticket, call)) = ticket.zip(passage.call.as_mut()) else { return false };
    call.ticket.lent(ticket);
    passage.step = Step::Send;
    true
}

/// What a lease must be good for, where the request may draw on one: not where
/// its end user has limits, nor after the provider refused it.
fn borrower(passage: &Passage) -> Option<(&Pool, borrow::Size)> {
    let call = passage.call.as_ref()?;
    let first = call.admission.stage == Stage::Admit && call.admission.attempt == 0;
    if !first || passage.caller.user.is_some() || passage.wishes.job.is_some() {
        return None;
    }
    let Size { input_tokens, max_tokens, microusd_max, .. } = call.size;
    Some((&call.route.pool, borrow::Size { input_tokens, max_tokens, microusd_max }))
}

/// The admit of this request as of now.
pub(super) fn admit(passage: &Passage, now: Millis, running: Option<Progress>) -> Option<Admit> {
    let call = passage.call.as_ref()?;
    let Admission { priority, asked_ms, attempt, .. } = call.admission;
    Some(Admit {
        ticket: call.ticket.id().to_owned(),
        attempt,
        asked_ms,
        tenant: passage.caller.tenant.clone(),
        user: passage.caller.user.clone(),
        job: passage.wishes.job.clone(),
        key: passage.caller.key().to_owned(),
        pool: call.route.pool.clone(),
        model: call.ticket.model.clone(),
        priority,
        input_tokens: call.size.input_tokens,
        kinds: call.size.kinds,
        max_tokens: call.size.max_tokens,
        microusd_max: call.size.microusd_max,
        patience_ms: call.admission.patience_ms(now),
        is_retry: passage.wishes.is_retry,
        bytes: call.facts.bytes,
        cached: call.size.cached,
        running,
    })
}

/// A call as JSON text. Events ride on it from JavaScript, which holds them.
pub(super) fn wrap(
    isolate: &Isolate,
    admit: Option<&Admit>,
    bounds: Option<VisitorBounds>,
    policy_version: Option<u64>,
    lend: u32,
) -> String {
    let mut text = format!("{{\"v\":{VERSION},\"config\":{}", isolate.hash());
    if let Some(admit) = admit.and_then(|admit| serde_json::to_string(admit).ok()) {
        text.push_str(",\"admit\":");
        text.push_str(&admit);
    }
    if let Some(version) = policy_version {
        text.push_str(&format!(",\"policy_version\":{version}"));
    }
    if let Some(bounds) = bounds.and_then(|bounds| serde_json::to_string(&bounds).ok()) {
        text.push_str(",\"visitor\":");
        text.push_str(&bounds);
    }
    if lend > 0 {
        text.push_str(&format!(",\"lend\":{lend}"));
    }
    text.push('}');
    text
}

/// Asks for what one caller may see.
pub fn view_message(
    tenant: &str,
    user: Option<&str>,
    account_scope: bool,
    visitor: Option<&VisitorBounds>,
) -> String {
    let (tenant, user) = (tenant.to_owned(), user.map(str::to_owned));
    let ask = ViewAsk { tenant, user, account_scope, visitor: visitor.cloned() };
    // Plain data: serialisation cannot fail.
    serde_json::to_string(&ask).unwrap_or_default()
}

/// The message to the Gate's `view`.
#[derive(Debug, Serialize, Deserialize)]
pub struct ViewAsk {
    /// Whose limits.
    pub tenant: String,
    /// Its end user.
    #[serde(default)]
    pub user: Option<String>,
    /// Whether the caller may see the accounts' levels.
    #[serde(default)]
    pub account_scope: bool,
    /// What its visitor token allows.
    #[serde(default)]
    pub visitor: Option<VisitorBounds>,
}

/// The Gate replied.
pub(super) fn replied(
    passage: &mut Passage,
    isolate: &mut Isolate,
    text: &str,
    now: Millis,
) -> Result<(), Problem> {
    if passage.call()?.admission.stage == Stage::Policy {
        let view: View = json::from_str(text).map_err(|_| not_understood())?;
        isolate.learn_policy(&passage.caller.tenant, view.policy, now);
        return policy_known(passage, isolate, now);
    }
    let reply: Reply = json::from_str(text).map_err(|_| not_understood())?;
    isolate.gate_started(reply.started_ms);
    if let Some(policy) = reply.policy {
        isolate.learn_policy(&passage.caller.tenant, *policy, now);
    }
    let asked = passage.call()?.admission.borrows_since.take();
    if let Some(((pool, _), asked)) = borrower(passage).zip(asked) {
        // A client that left cancelled the admit, and with it the lease.
        let lease = reply.lease.filter(|_| !passage.client_left);
        isolate.borrowed.replied(&passage.caller.tenant, pool, lease, asked);
    }
    match reply.decision {
        Some(Decision::Granted { waited_ms }) => {
            let admission = &mut passage.call()?.admission;
            let since = admission.waits_since.take().unwrap_or(now);
            admission.waited_ms += waited_ms.max(now.saturating_sub(since));
            if passage.client_left {
                let event = passage.call()?.ticket.nothing(now);
                passage.tell_some(event);
            }
            passage.step = Step::Send;
        }
        Some(Decision::Queued { .. }) => {
            passage.call()?.admission.stage = Stage::Queued;
            passage.step = Step::Ask;
        }
        Some(Decision::Refused(refusal)) => return Err(refused(passage, isolate, &refusal, now)),
        None => {
            return Err(not_understood());
        }
    }
    Ok(())
}

pub(super) fn not_understood() -> Problem {
    Problem::unavailable(
        "tollgate_gate_unreachable",
        "The Gate's reply was not understood; a deploy may be under way. Retry in 2 seconds.",
    )
    .after(2_000)
}

/// The policy came: on to the cache, to the question, or to the provider.
fn policy_known(passage: &mut Passage, isolate: &Isolate, now: Millis) -> Result<(), Problem> {
    let policy = isolate.policy(&passage.caller.tenant, now);
    let (known, lives) = policy.map_or((false, false), |policy| {
        (policy.known, policy.keys.iter().any(|key| key == passage.caller.key()))
    });
    let reason = match (known, lives) {
        (false, _) => Some(Reason::UnknownTenant),
        (true, false) => Some(Reason::KeyRevoked),
        (true, true) => None,
    };
    if let Some(reason) = reason {
        return Err(Problem::refused(&Refusal { reason, retry_after_ms: None, limit: None }));
    }
    let default = policy.map_or(Priority::Normal, |policy| policy.priority_default);
    let priority = auth::priority(&passage.caller, &passage.wishes, default);
    let wait_ms = passage.wishes.wait_ms(priority);
    let admission = &mut passage.call()?.admission;
    admission.priority = priority;
    admission.deadline_ms = admission.asked_ms + wait_ms;
    admission.stage = Stage::Admit;
    passage.allowed(isolate, now)?;
    passage.find_cache_entry(isolate, now)?;
    passage.step = passage.next_step()?;
    Ok(())
}

/// A refusal: remembered until it ends, told in words.
fn refused(
    passage: &mut Passage,
    isolate: &mut Isolate,
    refusal: &Refusal,
    now: Millis,
) -> Problem {
    let told = passage.caller.is_public().then(|| publishable::told(refusal));
    let refusal = told.as_ref().unwrap_or(refusal);
    if let Some((pool, size)) = sized(passage, now) {
        isolate.learn_refusal(
            &passage.caller.tenant,
            passage.caller.user.as_deref(),
            &pool,
            size,
            refusal,
            now,
        );
    }
    delivery::noted(passage, Problem::refused(refusal))
}

/// A refusal that this isolate remembers holds for this request, too.
pub(super) fn remembered(passage: &Passage, isolate: &Isolate, now: Millis) -> Option<Refusal> {
    let (pool, size) = sized(passage, now)?;
    isolate.refused(&passage.caller.tenant, passage.caller.user.as_deref(), &pool, size, now)
}

/// What a refusal is remembered for: none for a job's, which has its own budget and
/// keeps its place.
fn sized(passage: &Passage, now: Millis) -> Option<(Pool, isolate::Size<'_>)> {
    let call = passage.call.as_ref().filter(|_| passage.wishes.job.is_none())?;
    let size = isolate::Size {
        model: &call.ticket.model,
        input_tokens: call.size.input_tokens,
        cached: call.size.cached.map(|prompt| prompt.prefix),
        max_tokens: call.size.max_tokens,
        microusd_max: call.size.microusd_max,
        patience_ms: call.admission.patience_ms(now),
        priority: call.admission.priority as u8,
        is_retry: passage.wishes.is_retry == Some(true),
    };
    Some((call.route.pool.clone(), size))
}

/// The Gate did not reply in 2 s, or threw (invariant 11).
pub(super) fn gate_failed(passage: &mut Passage, overloaded: bool) -> Result<(), Problem> {
    // Whoever can read a page could use the account without any limit.
    let left = passage.client_left || passage.caller.is_public();
    let call = passage.call()?;
    if call.route.fail_open && !left {
        call.ticket.unasked = true;
        passage.step = passage.next_step()?;
        return Ok(());
    }
    // It may have granted, or queued, what this side never heard of.
    cancel(passage);
    Err(if overloaded {
        // Never retried at once (platform: overloaded objects).
        Problem::unavailable(
            "tollgate_gate_overloaded",
            "The Gate is overloaded. Retry in 5 seconds.",
        )
        .after(5_000)
    } else {
        Problem::unavailable(
            "tollgate_gate_unreachable",
            "The Gate did not answer within 2 seconds. Retry in 2 seconds.",
        )
        .after(2_000)
    })
}

/// The client left while it waited.
pub(super) fn left(passage: &mut Passage) {
    if passage.step == Step::Ask {
        cancel(passage);
    }
}

fn cancel(passage: &mut Passage) {
    let asked = passage.call.as_ref().is_some_and(|call| call.admission.stage != Stage::Policy);
    if asked {
        let event = passage.call.as_ref().map(|call| {
            let ticket = call.ticket.id().to_owned();
            Event::Cancelled { ticket, attempt: call.ticket.attempt }
        });
        passage.tell_some(event);
    }
}

/// This attempt is over, and another one may go: back to its place.
pub(super) fn again(passage: &mut Passage) -> Result<(), Problem> {
    let call = passage.call()?;
    call.admission.attempt += 1;
    call.admission.stage = Stage::Admit;
    call.ticket.attempt = call.admission.attempt;
    call.ticket.settled = false;
    call.ticket.unasked = false;
    passage.step = Step::Ask;
    Ok(())
}

/// Another attempt, after one that ran: it may wait as long as the first, and not
/// beyond `ends_ms`.
pub(super) fn anew(passage: &mut Passage, ends_ms: Millis, now: Millis) -> Result<(), Problem> {
    patient(passage, ends_ms, now)?;
    again(passage)
}

/// Its wait for the Gate begins now.
pub(super) fn patient(passage: &mut Passage, ends_ms: Millis, now: Millis) -> Result<(), Problem> {
    let priority = passage.call()?.admission.priority;
    let wait_ms = passage.wishes.wait_ms(priority);
    passage.call()?.admission.deadline_ms = ends_ms.min(now + wait_ms);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_wait_is_forty_slices_and_a_short_one_few_seconds_each() {
        for (wait_ms, slices) in [(3_600_000, 40), (600_000, 40), (120_000, 12), (1_000, 1)] {
            let (mut now, mut calls): (Millis, _) = (7, 0);
            let deadline_ms: Millis = now + wait_ms;
            // As the Gate knows it: by what is left of the patience.
            while let patience_ms @ 1.. = deadline_ms.saturating_sub(now) {
                now += slice_ms(7, now + patience_ms).min(patience_ms);
                calls += 1;
            }
            assert_eq!(calls, slices, "{wait_ms}");
        }
    }
}

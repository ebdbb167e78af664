//! Tollgate's own answers to what cannot go: one table of reasons, one sentence
//! each, in the provider's JSON.
//!
//! Refusals are data until here; the sentence that the user reads is written in
//! this file and nowhere else. Each code has its row in docs/errors.md (a test
//! compares).

use limits::jobs::JOBS_MAX;
use limits::message::{LimitView, Millis, Reason, Refusal};
use limits::policy::Usd;
use providers::anthropic::errors::body;

use super::{Answer, Headers};

/// Where the rows are.
const DOCS: &str = "docs/errors.md#";

/// A request that gets no provider's answer, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    /// The HTTP status.
    pub status: u16,
    /// `error.type`, in the provider's words.
    pub kind: &'static str,
    /// `error.details.error_code`.
    pub code: &'static str,
    /// What is wrong and what to do: never a key, never the prompt.
    pub message: String,
    /// When to come back, where that helps.
    pub retry_after_ms: Option<Millis>,
    /// The limit that refused, for the RateLimit headers.
    pub limit: Option<Box<LimitView>>,
}

impl Problem {
    /// The client's fault, with the field that is.
    pub fn bad(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(400, "invalid_request_error", code, message)
    }

    /// A credential that does not open this door.
    pub fn unauthorized(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(401, "authentication_error", code, message)
    }

    /// A known caller who may not.
    pub fn forbidden(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(403, "permission_error", code, message)
    }

    /// Nothing is here.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(404, "not_found_error", "tollgate_not_found", message)
    }

    /// Ours or our operator's fault.
    pub fn unavailable(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(503, "api_error", code, message)
    }

    /// An answer that ended before its end.
    pub fn upstream_broken() -> Self {
        Self::new(
            502,
            "api_error",
            "tollgate_upstream_broken",
            "The provider's response broke off. Retry in 1 second; what was used is accounted for.",
        )
        .after(1_000)
    }

    /// Any other.
    pub fn new(
        status: u16,
        kind: &'static str,
        code: &'static str,
        message: impl Into<String>,
    ) -> Self {
        let message = message.into();
        Self { status, kind, code, message, retry_after_ms: None, limit: None }
    }

    /// Says when to come back.
    #[must_use]
    pub fn after(mut self, ms: Millis) -> Self {
        self.retry_after_ms = Some(ms);
        self
    }

    /// What the Gate refused, in words.
    pub fn refused(refusal: &Refusal) -> Self {
        let limit = refusal.limit.as_deref();
        let is_whole = refusal.reason == Reason::TooLarge;
        let what = limit.map_or_else(|| "a limit".to_owned(), |limit| described(limit, is_whole));
        let when = match refusal.retry_after_ms {
            Some(ms) => format!(" Retry in {}.", span(ms)),
            None => String::new(),
        };
        let rate = |code, sentence: String| {
            Self::new(429, "rate_limit_error", code, format!("{sentence}{when}"))
        };
        let problem = match refusal.reason {
            Reason::UnknownTenant => Self::unauthorized(
                "tollgate_unknown_tenant",
                "This key's tenant does not exist on this gate. Create it with `make apply FILE=tenants.toml`, then a key with `make key TENANT=NAME`.",
            ),
            Reason::KeyRevoked => Self::unauthorized(
                "tollgate_key_revoked",
                "This key was revoked or is not registered on this gate. Create one with `make key TENANT=NAME`.",
            ),
            Reason::ModelNotAllowed => Self::forbidden(
                "tollgate_model_not_allowed",
                "model: this tenant may not use it. Choose one of the tenant's `models`, or let the operator add it.",
            ),
            Reason::PriorityNotAllowed => Self::forbidden(
                "tollgate_priority_not_allowed",
                "x-tollgate-priority: above the highest that this tenant or key may ask for. Lower it, or let the operator raise `priority.highest`.",
            ),
            Reason::ProviderLimit => rate(
                "tollgate_provider_limit",
                format!(
                    "The provider account's {} allows this request only after its x-tollgate-max-wait.",
                    limit.map_or("rate limit".into(), |l| kind_words(&l.kind))
                ),
            ),
            Reason::TenantLimit => rate("tollgate_tenant_limit", format!("This tenant's own rate limit is reached: {what}.")),
            Reason::UserLimit if limit.is_none() => rate(
                "tollgate_user_limit",
                "x-tollgate-user, or the visitor token: as many end users of this tenant, or tokens with bounds of this visitor, are in use as may be. Go on with one of those, or wait until one is over.".to_owned(),
            ),
            Reason::UserLimit => rate("tollgate_user_limit", format!("This end user's own rate limit is reached: {what}.")),
            Reason::BudgetSpent if limit.is_some_and(|limit| limit.kind.ends_with("_life")) => rate(
                "tollgate_budget_spent",
                format!("This visitor token has not enough left for the most that this request can use: {what}. Mint another with POST /v1/visitors, or lower max_tokens."),
            ),
            Reason::BudgetSpent => rate(
                "tollgate_budget_spent",
                format!("The budget is spent, or too little of it is left or open for the most that this can use: {what}."),
            ),
            Reason::DeploymentBudgetSpent => rate(
                "tollgate_deployment_budget_spent",
                format!("The deployment's budget is spent, or too little of it is left or open for the most that this can use: {what}."),
            ),
            Reason::TooLarge => Self::bad(
                "tollgate_larger_than_limit",
                format!("This request alone is larger than all of {what}: it can never be admitted. Make it smaller, lower max_tokens, or let the operator raise the limit."),
            ),
            Reason::QueueFull => Self::unavailable(
                "tollgate_queue_full",
                format!("The queue is full.{when}"),
            ),
            Reason::Deadline => rate("tollgate_deadline", "The request's x-tollgate-max-wait ran out in the queue.".into()),
            Reason::ProviderSpendCap => rate(
                "tollgate_provider_spend_cap",
                "The provider account reached its spend cap: nothing goes before it resumes or is raised at the provider.".into(),
            ),
            Reason::JobUnknown => Self::new(
                404,
                "not_found_error",
                "tollgate_job_unknown",
                "x-tollgate-job: this tenant has no such job: it was never reserved, was released, or expired. Reserve it with POST /v1/jobs.",
            ),
            Reason::JobSpent => rate(
                "tollgate_job_spent",
                format!("The job has not enough left for the most that this request can use: {what}. Reserve more by POST /v1/jobs with the same id, or lower max_tokens."),
            ),
            Reason::JobsFull => rate(
                "tollgate_jobs_full",
                format!("This tenant has {JOBS_MAX} jobs, the most there may be. Release one with DELETE /v1/jobs/ID."),
            ),
            _ => rate("tollgate_refused", "The gate refused this request.".into()),
        };
        // A job has no window for the RateLimit headers.
        let limit = refusal.limit.clone().filter(|limit| limit.scope != "job");
        Self { retry_after_ms: refusal.retry_after_ms, limit, ..problem }
    }

    /// The answer that says so.
    pub fn answer(&self, request_id: &str) -> Answer {
        let mut headers = Headers::default();
        headers.add("content-type", "application/json");
        headers.add("request-id", request_id);
        headers.add("x-tollgate-request-id", request_id);
        headers.add("x-should-retry", if self.retry_after_ms.is_some() { "true" } else { "false" });
        if let Some(ms) = self.retry_after_ms {
            headers.add("retry-after", &ms.div_ceil(1000).max(1).to_string());
            headers.add("retry-after-ms", &ms.max(1).to_string());
        }
        if let Some(limit) = &self.limit {
            let name = format!("\"{}-{}\"", limit.scope, limit.kind.replace('_', "-"));
            let (left, reset) = (limit.level.max(0), limit.resets_ms.div_ceil(1000));
            headers.add("ratelimit", &format!("{name};r={left};t={reset}"));
            headers.add(
                "ratelimit-policy",
                &format!("{name};q={};w={}", limit.capacity, window_s(limit)),
            );
        }
        let message = format!("{} ({DOCS}{})", self.message, self.code);
        let body = body(self.kind, &message, Some(self.code), Some(request_id));
        Answer { status: self.status, headers, body: body.into_bytes(), code: Some(self.code) }
    }
}

/// A bucket holds a minute, a budget its window, a visitor token its life; a month
/// counts as 30 days.
fn window_s(limit: &LimitView) -> u64 {
    match limit.kind.rsplit_once('_') {
        Some((_, "day")) => 86_400,
        Some((_, "week")) => 7 * 86_400,
        Some((_, "month")) => 30 * 86_400,
        // The rest of it: when it began is not told.
        Some((_, "life")) => limit.resets_ms.div_ceil(1000),
        _ => 60,
    }
}

fn kind_words(kind: &str) -> String {
    // As the settings name it.
    let kind = kind.strip_prefix("micro").unwrap_or(kind);
    match kind.strip_suffix("_life") {
        Some(kind) => format!("{kind} of its life"),
        None if kind == "concurrent" => "concurrent requests".into(),
        None => kind.replace('_', " "),
    }
}

/// What is left of a limit, or the `whole` of it.
fn described(limit: &LimitView, whole: bool) -> String {
    let (left, kind, scope) = (limit.level.max(0), kind_words(&limit.kind), &limit.scope);
    if scope == "account" {
        // An account's level is not the caller's to know.
        return format!("the provider account's {kind}");
    }
    if limit.capacity == 0 {
        // Nor is what its tenant or all visitors have left a visitor's.
        return format!("the {kind} of the {scope} scope");
    }
    let amount = |amount: u64| match limit.kind.starts_with("microusd") {
        true => Usd(amount).to_string(),
        false => amount.to_string(),
    };
    let capacity = amount(limit.capacity);
    if whole {
        return format!("the {capacity} {kind} ({scope})");
    }
    format!("{} of {capacity} {kind} left ({scope})", amount(left.unsigned_abs()))
}

fn span(ms: Millis) -> String {
    match ms.div_ceil(1000) {
        0 | 1 => "1 second".into(),
        s if s < 120 => format!("{s} seconds"),
        s if s < 7_200 => format!("{} minutes", s.div_ceil(60)),
        s => format!("{} hours", s.div_ceil(3600)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_finds_no_place_among_end_users_or_tokens_is_told_so() {
        let refusal =
            Refusal { reason: Reason::UserLimit, retry_after_ms: Some(90_000), limit: None };
        let problem = Problem::refused(&refusal);
        assert_eq!((problem.status, problem.code), (429, "tollgate_user_limit"));
        for part in ["x-tollgate-user", "visitor token", "Retry in 90 seconds."] {
            assert!(problem.message.contains(part), "{}", problem.message);
        }
    }

    #[test]
    fn budgets_are_told_in_the_settings_words_and_never_as_spent_where_some_is_left() {
        let limit = |kind: &str| LimitView {
            scope: "tenant".into(),
            kind: kind.into(),
            level: 12_340_000,
            capacity: 20_000_000,
            per_s: 0,
            per_minute: 0,
            resets_ms: 1,
            held: 0,
            models: Vec::new(),
        };
        for (reason, kind, part) in [
            (Reason::BudgetSpent, "microusd_week", ": 12.34 of 20.00 usd week left (tenant)."),
            (Reason::BudgetSpent, "tokens_day", "too little of it is left"),
            (Reason::TooLarge, "microusd_day", "all of the 20.00 usd day (tenant):"),
            (Reason::TooLarge, "tokens_day", "all of the 20000000 tokens day (tenant):"),
            (Reason::TooLarge, "tokens_day", "max_tokens"),
        ] {
            let limit = Some(Box::new(limit(kind)));
            let refusal = Refusal { reason, retry_after_ms: None, limit };
            let Problem { message, .. } = Problem::refused(&refusal);
            assert!(message.contains(part), "{message}");
        }
    }
}

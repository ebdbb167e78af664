//! `/v1/limits`: what the caller may still use, from a snapshot of the isolate
//! at most a second old.

use ::keys::Kind;
use limits::message::{
    AccountLimits, Calibration, LimitView, Millis, Pool, PublishableView, View, VisitorBounds,
};
use serde::{Serialize, Serializer};
use sha2::{Digest, Sha256};

use crate::isolate::Isolate;
use crate::journey::{Answer, Head};
use crate::request::Headers;
use crate::request::admit::view_message;
use crate::request::auth;
use crate::request::errors::Problem;
use crate::request::parse::Wishes;
use crate::request::publishable;

/// When to ask again: the snapshot's own age, while something waits or runs low;
/// a browser's guard learns the rest from response headers.
const NEXT_POLL_MS: Millis = 5_000;

/// Who asks.
pub(super) struct Caller {
    tenant: String,
    user: Option<String>,
    account_scope: bool,
    key: String,
    is_public: bool,
    /// What its visitor token allows in all.
    bounds: Option<VisitorBounds>,
    /// A visitor token's models; empty: all.
    models: Vec<String>,
}

pub(super) fn caller(isolate: &Isolate, headers: &Headers, now: Millis) -> Result<Caller, Problem> {
    let wishes = Wishes::parse(headers)?;
    let caller = auth::caller(isolate, headers, &wishes, now)?;
    debug_assert!(caller.claims.kind != Kind::Admin, "auth::caller refuses admins");
    let (key, is_public) = (caller.key().to_owned(), caller.is_public());
    let bounds = caller.bounds();
    Ok(Caller {
        tenant: caller.tenant,
        user: caller.user,
        account_scope: caller.claims.scope_account,
        key,
        is_public,
        bounds,
        models: caller.claims.models,
    })
}

impl Caller {
    pub(super) fn message(&self) -> String {
        let bounds = self.bounds.as_ref();
        view_message(&self.tenant, self.user.as_deref(), self.account_scope, bounds)
    }

    /// Whom a view is of: a user's tokens see each its own.
    fn viewer(&self) -> Option<String> {
        let user = self.user.as_deref()?;
        Some(match &self.bounds {
            Some(bounds) => format!("{user} {}", bounds.token),
            None => user.to_owned(),
        })
    }

    /// The answer from the isolate's memory, where that is fresh.
    pub(super) fn remembered(&self, isolate: &Isolate, head: &Head, now: Millis) -> Option<Answer> {
        let (view, at) =
            isolate.view(&self.tenant, self.viewer().as_deref(), self.account_scope, now)?;
        self.tell(isolate, head, view, *at).ok()
    }

    /// The answer from the Gate's.
    pub(super) fn answer(
        &self,
        isolate: &mut Isolate,
        head: &Head,
        text: &str,
        now: Millis,
    ) -> Result<Answer, Problem> {
        let view: View = json::from_str(text).map_err(|_| super::gate_unreachable())?;
        isolate.learn_view(
            &self.tenant,
            self.viewer().as_deref(),
            self.account_scope,
            view.clone(),
            now,
        );
        self.tell(isolate, head, &view, now)
    }

    fn tell(
        &self,
        isolate: &Isolate,
        head: &Head,
        view: &View,
        at_ms: Millis,
    ) -> Result<Answer, Problem> {
        let lives = view.policy.known && view.policy.keys.contains(&self.key);
        if !lives {
            let (reason, known) = (limits::message::Reason::KeyRevoked, view.policy.known);
            let reason = if known { reason } else { limits::message::Reason::UnknownTenant };
            return Err(Problem::refused(&limits::message::Refusal {
                reason,
                retry_after_ms: None,
                limit: None,
            }));
        }
        let table = match self.is_public {
            true => Some(publishable::table(&view.policy, head)?),
            false => None,
        };
        let told = Told {
            version: view.v,
            models: models(isolate, view, table, &self.models),
            limits: &view.limits,
            accounts: &view.account_limits,
            queue: Queue {
                critical_ms: view.queue_ms[0],
                normal_ms: view.queue_ms[1],
                background_ms: view.queue_ms[2],
            },
            next_poll_ms: NEXT_POLL_MS,
        };
        let body = serde_json::to_string(&told).map_err(|_| super::gate_unreachable())?;
        // Of what is told, without the time of telling: equal levels, equal tag.
        let digest = Sha256::digest(body.as_bytes());
        let etag: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let etag = format!("\"{etag}\"");
        let mut answer = Answer::default();
        answer.headers.add("etag", &etag);
        answer.headers.add("cache-control", "private, no-cache");
        let same = |tag: &str| matches!(tag.trim().trim_start_matches("W/"), tag if tag == etag || tag == "*");
        if head.headers.get("if-none-match").is_some_and(|tags| tags.split(',').any(same)) {
            answer.status = 304;
            return Ok(answer);
        }
        answer.status = 200;
        answer.headers.add("content-type", "application/json");
        let rest = body.strip_prefix('{').unwrap_or_default();
        answer.body = format!("{{\"at_ms\":{at_ms},{rest}").into_bytes();
        Ok(answer)
    }
}

#[derive(Serialize)]
struct Told<'a> {
    version: u32,
    #[serde(serialize_with = "by_id")]
    models: Vec<(&'a str, Model<'a>)>,
    /// The caller's own.
    limits: &'a [LimitView],
    /// The accounts', by pool, for the scope `account`.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    accounts: &'a [AccountLimits],
    queue: Queue,
    next_poll_ms: Millis,
}

#[derive(Serialize)]
struct Model<'a> {
    class: &'a str,
    max_input_tokens: u64,
    /// What the caller could use now, over all limits; none while the gate has
    /// not yet learned the pool's limits.
    available: Option<Amounts>,
    /// What the provider's counts taught of its estimates.
    #[serde(skip_serializing_if = "Option::is_none")]
    calibration: Option<&'a Calibration>,
}

#[derive(Serialize)]
struct Amounts {
    requests: u64,
    input_tokens: u64,
    output_tokens: u64,
}

#[derive(Serialize)]
struct Queue {
    critical_ms: Millis,
    normal_ms: Millis,
    background_ms: Millis,
}

fn by_id<S: Serializer>(models: &[(&str, Model<'_>)], to: S) -> Result<S::Ok, S::Error> {
    to.collect_map(models.iter().map(|(id, model)| (id, model)))
}

/// The models that this caller may use.
fn models<'a>(
    isolate: &'a Isolate,
    view: &'a View,
    table: Option<&PublishableView>,
    token: &[String],
) -> Vec<(&'a str, Model<'a>)> {
    let Some(settings) = isolate.settings() else { return Vec::new() };
    providers::models::all()
        .iter()
        .filter(|model| {
            view.policy.allows(model.id)
                && table.is_none_or(|table| table.allows(model.id))
                && limits::policy::allows(token, model.id)
        })
        .map(|model| {
            let account = settings.target(model.id).account_name.to_owned();
            let pool = Pool { account, class: model.class.into(), speed: "standard".into() };
            let available = view.available.iter().find(|available| available.pool == pool);
            let available = available.map(|a| Amounts {
                requests: a.requests,
                input_tokens: a.input_tokens,
                output_tokens: a.output_tokens,
            });
            let learned = view.calibrations.iter().find(|(id, _)| id == model.id);
            let calibration = learned.map(|(_, calibration)| calibration);
            let (class, max_input_tokens) = (model.class, model.context_tokens);
            (model.id, Model { class, max_input_tokens, available, calibration })
        })
        .collect()
}

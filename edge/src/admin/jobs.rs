//! `/v1/jobs`: a tenant's server reserves a budget for many requests, looks after
//! it and gives it back. What that means is the Gate's (`limits`, jobs).

use ::keys::Kind;
use limits::admin::Amounts;
use limits::jobs::{JobInput, JobReply, JobView, TTL_MS_MAX};
use limits::message::{Millis, Tokens};
use limits::policy::Usd;
use serde::{Deserialize, Serialize};

use super::json;
use crate::isolate::Isolate;
use crate::journey::{Answer, Head};
use crate::request::auth::{self, Caller};
use crate::request::errors::Problem;
use crate::request::parse::job_id;

/// An hour: a job that nobody renews holds its budget no longer.
const TTL_S: u64 = 3_600;

/// What is asked, once its body is read.
pub(super) struct Errand {
    caller: Caller,
    /// None: a reservation, which the body describes.
    input: Option<JobInput>,
}

/// The message to the Gate's `job`.
#[derive(Debug, Serialize, Deserialize)]
pub struct JobAsk {
    /// Whose job.
    pub tenant: String,
    /// The key's id.
    pub key: String,
    /// What is asked.
    pub input: JobInput,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ask {
    #[serde(default)]
    id: Option<String>,
    requests: u64,
    tokens: Tokens,
    usd: Usd,
    #[serde(default)]
    ttl_s: Option<u64>,
}

#[derive(Serialize)]
struct List {
    jobs: Vec<JobView>,
}

/// Who asks, and what, as far as the path tells. The second: a body is to be read.
pub(super) fn errand(
    isolate: &Isolate,
    head: &Head,
    now: Millis,
) -> Result<(Errand, bool), Problem> {
    let caller = auth::caller(isolate, &head.headers, &Default::default(), now)?;
    if caller.claims.kind != Kind::Secret {
        return Err(Problem::forbidden(
            "tollgate_wrong_key_kind",
            "x-api-key: jobs are reserved with a secret key (tg_sk_…), by a server.",
        ));
    }
    let id = head.path.strip_prefix("/v1/jobs").unwrap_or_default().strip_prefix('/');
    let id = id.map(|id| job_id(id).ok_or_else(unknown)).transpose()?;
    let input = match (head.method.as_str(), id) {
        ("POST", None) => None,
        ("GET" | "HEAD", None) => Some(JobInput::List),
        ("GET" | "HEAD", Some(id)) => Some(JobInput::Show { id }),
        ("DELETE", Some(id)) => Some(JobInput::Release { id }),
        _ => {
            return Err(Problem::new(
                405,
                "invalid_request_error",
                "tollgate_wrong_method",
                "/v1/jobs takes POST and GET, /v1/jobs/ID takes GET and DELETE.",
            ));
        }
    };
    let reads = input.is_none();
    Ok((Errand { caller, input }, reads))
}

impl Errand {
    /// The message to the Gate.
    pub(super) fn message(&self, body: &[u8]) -> Result<String, Problem> {
        let input = match &self.input {
            Some(input) => input.clone(),
            None => reservation(super::text(body)?)?,
        };
        let ask =
            JobAsk { tenant: self.caller.tenant.clone(), key: self.caller.key().to_owned(), input };
        // Plain data: serialisation cannot fail.
        Ok(serde_json::to_string(&ask).unwrap_or_default())
    }

    /// What the Gate replied.
    pub(super) fn replied(&self, reply: &str) -> Result<Answer, Problem> {
        match ::json::from_str(reply).map_err(|_| super::gate_unreachable())? {
            JobReply::Job(job) => Ok(json(200, &job)),
            JobReply::Jobs(jobs) => Ok(json(200, &List { jobs })),
            JobReply::Refused(refusal) => Err(Problem::refused(&refusal)),
        }
    }
}

/// Every amount is named: a job without dollars would stop at a budget of dollars.
fn reservation(body: &str) -> Result<JobInput, Problem> {
    let bad = |message: &str| Problem::bad("tollgate_bad_request", message);
    let Ask { id, requests, tokens, usd, ttl_s } = super::read(body)?;
    let ttl_ms = ttl_s.unwrap_or(TTL_S).saturating_mul(1_000);
    if !(1..=TTL_MS_MAX).contains(&ttl_ms) {
        return Err(bad("ttl_s: must be 1 to 604800 seconds (seven days), or left out."));
    }
    let id = match id {
        None => ["job_", &super::key_calls::new_id()?].concat(),
        Some(id) => job_id(&id).ok_or_else(|| {
            bad("id: must be 1 to 64 of the characters A-Z a-z 0-9 _ . -, or left out.")
        })?,
    };
    let amounts = Amounts { requests, tokens, microusd: usd.0 };
    Ok(JobInput::Reserve { id, amounts, ttl_ms })
}

fn unknown() -> Problem {
    use limits::message::{Reason, Refusal};
    Problem::refused(&Refusal { reason: Reason::JobUnknown, retry_after_ms: None, limit: None })
}

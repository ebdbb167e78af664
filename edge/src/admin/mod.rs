//! Everything that is not a request to the provider: health, what the caller
//! may still use, and the operators' API. At most one Gate call each, and no
//! decision about limits.

mod config;
pub mod jobs;
mod key_calls;
mod limits_view;
mod ready;
mod tenants;
mod visitors;

use ::keys::{Claims, Kind, Role};
use limits::admin::{AdminInput, AdminReply};
use limits::message::Millis;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::isolate::Isolate;
use crate::journey::{Answer, GateMethod, Head, Journey, Step, Unread};
use crate::request::errors::Problem;
use crate::request::{Headers, auth, cors, parse};

/// Largest body of the operators' API: 1,000 tenants take some 300 KB.
const BODY_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// One such request.
pub struct Errand {
    head: Head,
    task: Task,
    step: Step,
    body: Vec<u8>,
    answer: Answer,
}

/// What it is about.
enum Task {
    /// Answered already.
    Answered,
    /// `/readyz`.
    Ready {
        /// A viewer's token was sent, by its id: tell in words, unless it is denied.
        viewer: Option<String>,
    },
    /// `/v1/limits`.
    Limits(limits_view::Caller),
    /// `/v1/visitors`.
    Visitors(auth::Caller),
    /// `/v1/jobs`.
    Jobs(jobs::Errand),
    /// `/admin/…`, for this admin.
    Admin { admin: Claims, call: Call },
}

/// One call of the operators' API.
enum Call {
    GetTenants,
    PutTenants,
    ListKeys { tenant: Option<String> },
    CreateKey(Option<key_calls::Created>),
    RevokeKey { id: String },
    DenyToken { id: String },
    Resume { account: String },
    Jobs,
    Config,
}

/// What the Gate's `admin` takes.
#[derive(Debug, Serialize, Deserialize)]
pub struct AdminAsk {
    /// The admin token's id: it may have been denied.
    pub by: String,
    /// What is asked.
    pub input: AdminInput,
    /// The admin token to deny, in place of `input`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deny: Option<String>,
}

/// What it answers: none where the token is denied.
pub type AdminAnswer = Option<AdminReply>;

impl Errand {
    /// The errand of a path, or the 404.
    pub fn begin(isolate: &Isolate, head: Head, now: Millis) -> Self {
        let mut errand = Self {
            head,
            task: Task::Answered,
            step: Step::Answer,
            body: Vec::new(),
            answer: Answer::default(),
        };
        match errand.understand(isolate, now) {
            Ok((task, step)) => (errand.task, errand.step) = (task, step),
            Err(problem) => errand.answer = problem.answer(&errand.head.id),
        }
        errand
    }

    /// An errand that only says what is wrong.
    pub fn problem(head: Head, problem: &Problem) -> Self {
        let answer = problem.answer(&head.id);
        Self { head, task: Task::Answered, step: Step::Answer, body: Vec::new(), answer }
    }

    fn understand(&mut self, isolate: &Isolate, now: Millis) -> Result<(Task, Step), Problem> {
        let Head { method, path, .. } = &self.head;
        match (method.as_str(), path.as_str()) {
            ("OPTIONS", _) => {
                let headers = cors::preflight(&self.head.headers, isolate.origins());
                self.answer = Answer { status: 204, headers, body: Vec::new(), code: None };
                Ok((Task::Answered, Step::Answer))
            }
            ("GET" | "HEAD", "/healthz") => {
                self.answer = json(
                    200,
                    &serde_json::json!({ "status": "ok", "version": env!("CARGO_PKG_VERSION") }),
                );
                Ok((Task::Answered, Step::Answer))
            }
            ("GET" | "HEAD", "/readyz") => {
                let admin = auth::claims(isolate, &self.head.headers, now).ok();
                let viewer =
                    admin.filter(|claims| claims.kind == Kind::Admin).map(|claims| claims.id);
                if viewer.is_none() && isolate.gate_answers(now) {
                    self.answer = ready::answer(isolate, false, None);
                    return Ok((Task::Answered, Step::Answer));
                }
                Ok((Task::Ready { viewer }, Step::Ask))
            }
            ("GET" | "HEAD", "/v1/limits") => {
                let caller = limits_view::caller(isolate, &self.head.headers, now)?;
                if let Some(answer) = caller.remembered(isolate, &self.head, now) {
                    self.answer = answer;
                    return Ok((Task::Answered, Step::Answer));
                }
                Ok((Task::Limits(caller), Step::Ask))
            }
            (_, "/v1/visitors") => {
                Ok((Task::Visitors(visitors::caller(isolate, &self.head, now)?), Step::Read))
            }
            (_, path) if parse::is_jobs(path) => {
                let (errand, reads) = jobs::errand(isolate, &self.head, now)?;
                Ok((Task::Jobs(errand), if reads { Step::Read } else { Step::Ask }))
            }
            (_, path) if path.starts_with("/admin/") => self.admin(isolate, now),
            ("GET" | "HEAD", path) if !path.starts_with("/v1/") => {
                Ok((Task::Answered, Step::Asset))
            }
            (_, path) => Err(unknown(path)),
        }
    }

    fn admin(&self, isolate: &Isolate, now: Millis) -> Result<(Task, Step), Problem> {
        let Head { method, path, headers, .. } = &self.head;
        if isolate.keyring().is_err() {
            // Without a secret there is no operator, and so no such place.
            return Err(unknown(path));
        }
        let (call, role, step) = match (method.as_str(), path.as_str()) {
            ("GET", "/admin/tenants") => (Call::GetTenants, Role::Viewer, Step::Ask),
            ("PUT", "/admin/tenants") => (Call::PutTenants, Role::Operator, Step::Read),
            ("GET", "/admin/keys") => {
                let tenant = tenants::of_query(&self.head.query)?;
                (Call::ListKeys { tenant }, Role::Viewer, Step::Ask)
            }
            ("POST", "/admin/keys") => (Call::CreateKey(None), Role::Operator, Step::Read),
            ("GET", "/admin/jobs") => (Call::Jobs, Role::Viewer, Step::Ask),
            ("GET", "/admin/config") => (Call::Config, Role::Viewer, Step::Ask),
            (method, path) => {
                let (call, role) = named(method, path).ok_or_else(|| unknown(path))?;
                (call, role, Step::Ask)
            }
        };
        let admin = auth::claims(isolate, headers, now)?;
        let has = admin.role.filter(|_| admin.kind == Kind::Admin);
        if has.is_none_or(|has| has < role) {
            return Err(Problem::forbidden(
                "tollgate_role",
                format!(
                    "authorization: {method} {path} takes an admin token of role {} or higher. `make token ROLE={}` signs one.",
                    role.name(),
                    role.name()
                ),
            ));
        }
        Ok((Task::Admin { admin, call }, step))
    }

    fn fill(&mut self, result: Result<Answer, Problem>) {
        self.step = Step::Answer;
        self.answer = result.unwrap_or_else(|problem| problem.answer(&self.head.id));
    }
}

impl Journey for Errand {
    fn head(&self) -> &Head {
        &self.head
    }

    fn step(&self) -> Step {
        self.step
    }

    fn answer(&mut self) -> &mut Answer {
        &mut self.answer
    }

    fn body_bytes_max(&self) -> u64 {
        BODY_BYTES_MAX
    }

    fn unread(&mut self, why: Unread) {
        let problem = match why {
            Unread::TooLarge => Problem::new(
                413,
                "request_too_large",
                "tollgate_request_too_large",
                "The body is larger than 8 MB.",
            ),
            Unread::NoRoom => {
                Problem::unavailable("tollgate_no_room", "Busy. Retry in 2 seconds.").after(2_000)
            }
            Unread::Broken => Problem::bad(
                "tollgate_body_incomplete",
                "The body ended before its content-length.",
            ),
        };
        self.fill(Err(problem));
    }

    fn read(&mut self, window: &[u8]) {
        self.body.extend_from_slice(window);
    }

    fn parsed(&mut self, isolate: &mut Isolate, now: Millis) {
        self.step = Step::Ask;
        if let Task::Visitors(caller) = &self.task
            && let Some(policy) = isolate.policy_of(caller, now)
        {
            let body = text(&self.body);
            self.fill(body.and_then(|body| visitors::mint(isolate, caller, policy, body, now)));
        }
    }

    fn gate_method(&self) -> GateMethod {
        match self.task {
            Task::Admin { .. } | Task::Ready { viewer: Some(_) } => GateMethod::Admin,
            Task::Jobs(_) => GateMethod::Job,
            _ => GateMethod::View,
        }
    }

    fn gate_message(&mut self, isolate: &mut Isolate, now: Millis) -> String {
        match &mut self.task {
            Task::Limits(caller) => caller.message(),
            Task::Visitors(caller) => {
                crate::request::admit::view_message(&caller.tenant, None, false, None)
            }
            Task::Jobs(errand) => errand.message(&self.body).unwrap_or_else(|problem| {
                self.fill(Err(problem));
                String::new()
            }),
            Task::Admin { admin, call } => {
                let input = match call {
                    Call::GetTenants => Ok(AdminInput::Export),
                    Call::PutTenants => text(&self.body).and_then(|body| tenants::put(body, admin)),
                    Call::ListKeys { tenant } => {
                        Ok(AdminInput::ListKeys { tenant: tenant.clone() })
                    }
                    Call::CreateKey(created) => text(&self.body)
                        .and_then(|body| key_calls::create(isolate, body, created, now)),
                    Call::RevokeKey { id } => Ok(AdminInput::RevokeKey { id: id.clone() }),
                    Call::Resume { account } => Ok(AdminInput::Resume { account: account.clone() }),
                    Call::Jobs => Ok(AdminInput::Jobs),
                    Call::Config | Call::DenyToken { .. } => Ok(AdminInput::State),
                };
                let deny = match call {
                    Call::DenyToken { id } => Some(id.clone()),
                    _ => None,
                };
                match input {
                    // Plain data: serialisation cannot fail.
                    Ok(input) => ask(&admin.id, input, deny),
                    Err(problem) => {
                        self.fill(Err(problem));
                        String::new()
                    }
                }
            }
            Task::Ready { viewer: Some(id) } => ask(id, AdminInput::State, None),
            Task::Ready { viewer: None } | Task::Answered => {
                crate::request::admit::view_message("", None, false, None)
            }
        }
    }

    fn replied(&mut self, isolate: &mut Isolate, reply: &str, now: Millis) {
        let result = match &mut self.task {
            Task::Answered => return,
            Task::Ready { viewer } => {
                isolate.gate_answered(now);
                // To a denied token the Gate says null.
                Ok(ready::answer(isolate, viewer.is_some() && reply != "null", None))
            }
            Task::Limits(caller) => caller.answer(isolate, &self.head, reply, now),
            Task::Visitors(caller) => text(&self.body)
                .and_then(|body| visitors::replied(isolate, caller, body, reply, now)),
            Task::Jobs(errand) => errand.replied(reply),
            Task::Admin { call, .. } => match json::from_str(reply) {
                Err(_) => Err(gate_unreachable()),
                Ok(Value::Null) => Err(Problem::unauthorized(
                    "tollgate_key_revoked",
                    "authorization: this admin token was denied. `make token` signs another.",
                )),
                Ok(reply) => replied(isolate, call, &reply),
            },
        };
        self.fill(result);
    }

    fn gate_failed(&mut self, isolate: &Isolate, overloaded: bool) {
        let result = match &self.task {
            // Whether the token is denied is not known: nothing is told in words.
            Task::Ready { .. } => Ok(ready::answer_unreachable(isolate, overloaded)),
            _ => Err(gate_unreachable()),
        };
        self.fill(result);
    }
}

/// A call about one thing that the path names.
fn named(method: &str, path: &str) -> Option<(Call, Role)> {
    let (kind, name) = path.strip_prefix("/admin/")?.split_once('/')?;
    match (method, kind) {
        ("DELETE", "keys") if key_calls::id_ok(name) => {
            Some((Call::RevokeKey { id: name.into() }, Role::Operator))
        }
        // An operator must not lock the owners out.
        ("DELETE", "tokens") if key_calls::id_ok(name) => {
            Some((Call::DenyToken { id: name.into() }, Role::Owner))
        }
        ("POST", "accounts") => {
            let account = name.strip_suffix("/resume").filter(|name| key_calls::id_ok(name))?;
            Some((Call::Resume { account: account.into() }, Role::Operator))
        }
        _ => None,
    }
}

/// The message to the Gate's `admin`.
fn ask(by: &str, input: AdminInput, deny: Option<String>) -> String {
    // Plain data: serialisation cannot fail.
    serde_json::to_string(&AdminAsk { by: by.to_owned(), input, deny }).unwrap_or_default()
}

/// An [`AdminReply`] as it came: what goes on to the operator is not read into
/// types on its way.
fn replied(isolate: &Isolate, call: &Call, reply: &Value) -> Result<Answer, Problem> {
    let Some((kind, told)) = reply.as_object().and_then(|reply| reply.iter().next()) else {
        return Ok(json(200, &serde_json::json!({ "done": true })));
    };
    let message = || told["message"].as_str().unwrap_or_default().to_owned();
    match (call, kind.as_str()) {
        (_, "unsound") => Err(tenants::unsound(&told["errors"])),
        (_, "not_found") => Err(Problem::not_found(message())),
        (_, "rejected") => Err(Problem::bad("tollgate_rejected", message())),
        (Call::CreateKey(Some(created)), "key") => Ok(json(201, &created.answer(told))),
        (Call::Config, "state") => Ok(json(200, &config::answer(isolate, told))),
        _ => Ok(json(200, told)),
    }
}

fn text(body: &[u8]) -> Result<&str, Problem> {
    std::str::from_utf8(body)
        .map_err(|_| Problem::bad("tollgate_bad_request", "body: not UTF-8. Send JSON in UTF-8."))
}

/// A body of ours; or what is wrong with it, by its path.
fn read<T: serde::de::DeserializeOwned>(body: &str) -> Result<T, Problem> {
    ::json::from_str(body).map_err(|error| {
        let path = error.path().join(".");
        let path = if path.is_empty() { "body" } else { &path };
        Problem::bad("tollgate_bad_request", format!("{path}: {error}."))
    })
}

fn gate_unreachable() -> Problem {
    Problem::unavailable(
        "tollgate_gate_unreachable",
        "The Gate did not answer. Retry in 2 seconds.",
    )
    .after(2_000)
}

fn unknown(path: &str) -> Problem {
    if path.starts_with("/v1/messages/batches") {
        return Problem::not_found(
            "Message Batches are not built yet on this gate; call the provider directly for them.",
        );
    }
    if path.starts_with("/v1/") {
        return Problem::not_found(
            "This gate does not serve this path. Its operator can pass it on unmetered by the account's setting `pass_through = true`.",
        );
    }
    Problem::not_found("Nothing is here. The API is under /v1, the page at /.")
}

fn json(status: u16, value: &impl Serialize) -> Answer {
    let mut headers = Headers::default();
    headers.add("content-type", "application/json");
    headers.add("cache-control", "no-store");
    Answer { status, headers, body: serde_json::to_vec(value).unwrap_or_default(), code: None }
}

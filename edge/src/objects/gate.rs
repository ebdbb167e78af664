//! The Gate's storage around its core: rows in, one step, rows out.
//!
//! `edge/js/gate.mjs` is the object itself; it holds the parked calls and the
//! timer, and rebuilds this from SQL whenever it was lost. Every write of a step
//! is made in that step, without an await: workerd then commits all or none of
//! them before anything that the step answered leaves (output gate).

use std::collections::{BTreeSet, VecDeque};

use js_sys::Array;
use limits::admin::AdminReply;
use limits::message::{Admit, Call, Reply, TicketId};
use limits::{Answer, Gate, Input, Output, Zone};
use serde::Serialize;
use wasm_bindgen::prelude::*;
// Of the crate `worker` the bindings alone: the rest exports classes of its own to
// JavaScript, which no linker may leave out (docs/bench.md).
use worker_sys::SqlStorage;

use crate::admin::jobs::JobAsk;
use crate::admin::{AdminAnswer, AdminAsk};
use crate::carrier::deployment;
use crate::request::admit::{ViewAsk, slice_ms};

/// Denied admin tokens remembered; they expire by themselves.
const DENIED_MAX: usize = 10_000;
/// Rows of denied admin tokens, beside the core's own.
const DENIED: &str = "denied/";

/// What the storage threw, in its words.
fn failed(thrown: JsValue) -> JsError {
    let error = thrown.dyn_ref::<js_sys::Error>();
    JsError::new(&error.map_or_else(String::new, |error| error.message().into()))
}

/// The core and its storage.
#[wasm_bindgen]
pub struct GateCore {
    gate: Gate,
    sql: SqlStorage,
    denied: BTreeSet<String>,
    answers: VecDeque<(TicketId, Reply)>,
    logs: VecDeque<String>,
    wake_at: Option<u64>,
    parked: Option<(TicketId, u64)>,
}

#[wasm_bindgen]
impl GateCore {
    /// Loads the Gate. The schema is readable by the version before: rows are
    /// only ever added by name.
    #[wasm_bindgen(constructor)]
    pub fn new(sql: SqlStorage, env: &JsValue, now: f64) -> Result<GateCore, JsError> {
        sql.exec("CREATE TABLE IF NOT EXISTS state (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID", Array::new()).map_err(failed)?;
        let rows = sql.exec("SELECT key, value FROM state", Array::new()).map_err(failed)?.raw();
        let settings =
            deployment(env).settings.map(|settings| settings.gate_settings()).unwrap_or_default();
        let mut gate = Gate::new(settings, now as u64);
        let mut denied = BTreeSet::new();
        for row in rows {
            let row: Array = row.map_err(failed)?.unchecked_into();
            // Both columns are NOT NULL TEXT.
            let (Some(key), Some(value)) = (row.get(0).as_string(), row.get(1).as_string()) else {
                continue;
            };
            match key.strip_prefix(DENIED) {
                Some(id) => {
                    denied.insert(id.to_owned());
                }
                None => gate.restore(&key, &value),
            }
        }
        Ok(Self {
            gate,
            sql,
            denied,
            answers: VecDeque::new(),
            logs: VecDeque::new(),
            wake_at: None,
            parked: None,
        })
    }

    /// Answers a call at once. What cannot be read (another version's, during a
    /// deploy) is answered by nothing, so that it is not sent again, and harms no
    /// call that travels with it: a settlement lost so expires as spent.
    pub fn call(&mut self, text: &str, now: f64) -> Result<String, JsError> {
        let Ok(call) = json::from_str::<Call>(text) else { return Ok(String::new()) };
        match self.step(Input::Call(call), now)? {
            Answer::Reply(reply) => Ok(serde_json::to_string(&reply)?),
            _ => Err(JsError::new("a call was not answered")),
        }
    }

    /// Answers a poll, or parks it: then `parked_ticket` names it.
    pub fn poll(&mut self, text: &str, now: f64) -> Result<Option<String>, JsError> {
        let call: Call = json::from_str(text)?;
        let slice =
            |admit: &Admit| slice_ms(admit.asked_ms, admit.patience_ms.saturating_add(now as u64));
        let ticket = call.admit.as_ref().map(|admit| (admit.ticket.clone(), slice(admit)));
        match self.step(Input::Poll(call), now)? {
            Answer::Reply(reply) => Ok(Some(serde_json::to_string(&reply)?)),
            Answer::Parked => {
                // Parked and decided in the same step: nobody waits there yet.
                let decided =
                    |(id, _): &(TicketId, Reply)| ticket.as_ref().is_some_and(|t| t.0 == *id);
                if let Some(at) = self.answers.iter().position(decided)
                    && let Some((_, reply)) = self.answers.remove(at)
                {
                    return Ok(Some(serde_json::to_string(&reply)?));
                }
                self.parked = ticket;
                Ok(None)
            }
            _ => Err(JsError::new("a poll was not answered")),
        }
    }

    /// The ticket parked last.
    pub fn parked_ticket(&self) -> Option<String> {
        self.parked.as_ref().map(|(ticket, _)| ticket.clone())
    }

    /// How long it may stay parked.
    pub fn parks_ms(&self) -> f64 {
        self.parked.as_ref().map_or(0.0, |(_, ms)| *ms as f64)
    }

    /// A parked call's slice is over: its answer is among the answers.
    pub fn release(&mut self, ticket: String, now: f64) -> Result<(), JsError> {
        self.step(Input::Release { ticket }, now).map(drop)
    }

    /// The timer or the alarm rang.
    pub fn wake(&mut self, now: f64) -> Result<(), JsError> {
        self.step(Input::Wake, now).map(drop)
    }

    /// What one caller may still use.
    pub fn view(&mut self, text: &str, now: f64) -> Result<String, JsError> {
        let ViewAsk { tenant, user, account_scope, visitor } = json::from_str(text)?;
        match self.step(Input::View { tenant, user, account_scope, visitor }, now)? {
            Answer::View(view) => Ok(serde_json::to_string(&view)?),
            _ => Err(JsError::new("a view was not answered")),
        }
    }

    /// A tenant's server asks about its jobs.
    pub fn job(&mut self, text: &str, now: f64) -> Result<String, JsError> {
        let JobAsk { tenant, key, input } = json::from_str(text)?;
        match self.step(Input::Job { tenant, key, input }, now)? {
            Answer::Job(reply) => Ok(serde_json::to_string(&reply)?),
            _ => Err(JsError::new("a job's owner was not answered")),
        }
    }

    /// An operator's request.
    pub fn admin(&mut self, text: &str, now: f64) -> Result<String, JsError> {
        let AdminAsk { by, input, deny } = json::from_str(text)?;
        if self.denied.contains(&by) {
            return Ok(serde_json::to_string(&AdminAnswer::None)?);
        }
        if let Some(id) = deny {
            return Ok(serde_json::to_string(&Some(self.deny(id)?))?);
        }
        let reply = match self.step(Input::Admin(input), now)? {
            Answer::Admin(reply) => reply,
            _ => return Err(JsError::new("an operator was not answered")),
        };
        Ok(serde_json::to_string(&Some(reply))?)
    }

    /// Moves to the next answer for a parked call; its ticket.
    pub fn answered_ticket(&mut self) -> Option<String> {
        self.answers.front().map(|(ticket, _)| ticket.clone())
    }

    /// That answer, which is taken.
    pub fn answered_reply(&mut self) -> Option<String> {
        let (_, reply) = self.answers.pop_front()?;
        serde_json::to_string(&reply).ok()
    }

    /// The next line for the log, which is taken.
    pub fn log_line(&mut self) -> Option<String> {
        self.logs.pop_front()
    }

    /// Names of time zones whose offsets the budgets want, for `ms` from now on.
    pub fn zones_wanted(&self, ms: f64) -> Vec<String> {
        self.gate.zones_wanted(ms as u64)
    }

    /// A zone's offsets until `until`, as pairs: from when on, milliseconds ahead of UTC.
    pub fn set_zone(&mut self, name: &str, pairs: &[f64], until: f64) {
        let changes = pairs.chunks_exact(2).map(|pair| (pair[0] as u64, pair[1] as i64));
        self.gate.set_zone(name, Zone::new(changes.collect()), until as u64);
    }

    /// Whether there are answers or lines to take: mostly none, and to ask for each makes
    /// an array of an option.
    pub fn has_news(&self) -> bool {
        !self.answers.is_empty() || !self.logs.is_empty()
    }

    /// When to wake it, milliseconds since the Unix epoch; infinite: never.
    pub fn wake_at(&self) -> f64 {
        self.wake_at.map_or(f64::INFINITY, |at| at as f64)
    }
}

/// A line of the log: a part of a budget was used.
#[derive(Serialize)]
struct ReachedLine<'a> {
    event: &'static str,
    scope: &'a str,
    kind: &'static str,
    percent: u8,
    limit: u64,
    hard: bool,
}

impl GateCore {
    fn step(&mut self, input: Input, now: f64) -> Result<Answer, JsError> {
        let Output { reply, answers, writes, wake_at, reached } =
            self.gate.handle(now as u64, input);
        for write in writes {
            match write.value {
                Some(value) => self.put(&write.key, &value)?,
                None => {
                    let statement = "DELETE FROM state WHERE key = ?";
                    let key = Array::of1(&write.key.as_str().into());
                    self.sql.exec(statement, key).map_err(failed)?;
                }
            }
        }
        self.answers.extend(answers);
        for (scope, limits::Reached { kind, percent, limit, is_hard }) in reached {
            self.logs.push_back(serde_json::to_string(&ReachedLine {
                event: "budget_reached",
                scope: &scope,
                kind,
                percent,
                limit,
                hard: is_hard,
            })?);
        }
        self.wake_at = wake_at;
        Ok(reply)
    }

    fn put(&self, key: &str, value: &str) -> Result<(), JsError> {
        let statement = "INSERT INTO state (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value";
        self.sql.exec(statement, Array::of2(&key.into(), &value.into())).map(drop).map_err(failed)
    }

    fn deny(&mut self, id: String) -> Result<AdminReply, JsError> {
        if self.denied.len() >= DENIED_MAX {
            let message =
                "10,000 admin tokens are denied already: rotate TOLLGATE_SECRET instead.".into();
            return Ok(AdminReply::Rejected { message });
        }
        self.put(&format!("{DENIED}{id}"), "")?;
        self.denied.insert(id);
        Ok(AdminReply::Done)
    }
}

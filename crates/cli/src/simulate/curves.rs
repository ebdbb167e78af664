//! What the real Gate does over time, for pictures: how paced budgets open, and how
//! far ahead of the spend is written.

use std::collections::BTreeMap;

use limits::admin::{AdminInput, AdminReply, Spend};
use limits::message::{Admit, Call, Decision, Event, Millis, Priority, VERSION};
use limits::settings::{AccountSettings, ClassLimits, GateSettings};
use limits::{Answer, Gate, Input, Output};

type Rows = BTreeMap<String, String>;

/// Monday, 2026-11-23, 00:00 UTC.
const MONDAY: Millis = 1_795_392_000_000;
const HOUR: Millis = 3_600_000;
const MINUTE: Millis = 60_000;
/// The week's budget of [`open_in_week`], in tokens.
const WEEK_TOKENS: u64 = 700_000;

/// How much of a week's budget a request could have, hour by hour, while nothing of
/// it is used: by pace, in parts of the whole.
pub(super) fn open_in_week(pace: &str, priority: Priority) -> Result<Vec<(f64, f64)>, String> {
    let budget = format!(r#"{{"window":"week","tokens":{WEEK_TOKENS},"pace":"{pace}"}}"#);
    let (gate, _) = gate_of(&budget, MONDAY)?;
    let mut open = Vec::new();
    for hour in 0..7 * 24 {
        let now = MONDAY + hour * HOUR + HOUR / 2;
        // The largest request that is granted, by halves.
        let (mut fits, mut beyond) = (0, WEEK_TOKENS + 1);
        while fits + 1 < beyond {
            let tokens = (fits + beyond) / 2;
            let admit = Admit { priority, input_tokens: tokens - 1, ..admit(0)? };
            let call = Call { v: VERSION, admit: Some(admit), ..Call::default() };
            match is_granted(&gate.clone().handle(now, Input::Call(call))) {
                true => fits = tokens,
                false => beyond = tokens,
            }
        }
        open.push((hour as f64 / 24.0, fits as f64 / WEEK_TOKENS as f64));
    }
    Ok(open)
}

/// What [`reserve_ahead`] saw at a time, in dollars.
pub(super) struct Mark {
    pub(super) minute: f64,
    /// What was really used.
    pub(super) real: f64,
    /// What the Gate counts as spent or held.
    pub(super) counted: f64,
    /// What is written.
    pub(super) written: f64,
}

/// A day's budget of ten dollars in use: a request every two seconds, a pause, and the
/// end of the Gate, after which another goes on from its rows. Also, how many rows
/// of the budget's were written, and how many requests there were.
pub(super) fn reserve_ahead() -> Result<(Vec<Mark>, [usize; 2]), String> {
    const ENDS: Millis = 5 * MINUTE;
    let (mut gate, mut rows) = gate_of(r#"{"window":"day","usd":"10.00"}"#, MONDAY)?;
    let (mut marks, mut real) = (Vec::new(), 0);
    let (mut written, mut asked) = (0, 0);
    let mut wakes: Option<Millis> = None;
    for second in 0..7 * 60_u64 {
        let (at, now) = (second * 1_000, MONDAY + second * 1_000);
        if at == ENDS {
            gate = Gate::new(settings(), now - 1_000);
            rows.iter().for_each(|(key, value)| gate.restore(key, value));
            // What went in the last second is not known to it: nothing goes in its first.
            let call = Call { v: VERSION, admit: Some(admit(second - 1)?), ..Call::default() };
            written += store(&mut rows, gate.handle(now - 1_000, Input::Call(call)));
        }
        while let Some(at) = wakes.filter(|at| *at <= now) {
            let output = gate.handle(at, Input::Wake);
            wakes = output.wake_at;
            written += store(&mut rows, output);
        }
        let rests = (3 * MINUTE..4 * MINUTE).contains(&at);
        if second % 2 == 0 && !rests {
            let call = Call { v: VERSION, admit: Some(admit(second)?), ..Call::default() };
            let granted = gate.handle(now, Input::Call(call));
            if !is_granted(&granted) {
                return Err(format!("the budget is too small: {:?}", granted.reply));
            }
            written += store(&mut rows, granted);
            let call = Call { v: VERSION, events: vec![settle(second, now)?], ..Call::default() };
            let settled = gate.handle(now, Input::Call(call));
            wakes = settled.wake_at;
            written += store(&mut rows, settled);
            real += 8_000;
            asked += 1;
        }
        let spend = spend_of(&mut gate, now)?;
        let usd = |microusd: u64| microusd as f64 / 1e6;
        marks.push(Mark {
            minute: at as f64 / MINUTE as f64,
            real: usd(real),
            counted: usd(spend.spent.microusd + spend.reserved.microusd),
            written: usd(spend.ceiling.microusd),
        });
    }
    Ok((marks, [written, asked]))
}

fn spend_of(gate: &mut Gate, now: Millis) -> Result<Spend, String> {
    let output = gate.handle(now, Input::Admin(AdminInput::Totals));
    let Answer::Admin(AdminReply::Totals(totals)) = output.reply else {
        return Err(format!("totals were asked for: {:?}", output.reply));
    };
    totals
        .scopes
        .get("tenant/acme")
        .map(|spend| **spend)
        .ok_or_else(|| "the tenant is not there".into())
}

/// A Gate with one tenant, one key and one budget, and its rows.
fn gate_of(budget: &str, now: Millis) -> Result<(Gate, Rows), String> {
    let tenants = format!(r#"{{"tenants":{{"acme":{{"budgets":[{budget}]}}}}}}"#);
    let apply = AdminInput::Apply { tenants: read(&tenants)?, prune: false, dry_run: false };
    let key = r#"{"id":"k","tenant":"acme","kind":"secret","created_ms":0}"#;
    let mut gate = Gate::new(settings(), now);
    let mut rows = Rows::new();
    for input in [apply, AdminInput::AddKey(read(key)?)] {
        store(&mut rows, gate.handle(now, Input::Admin(input)));
    }
    Ok((gate, rows))
}

/// An account of which more may go by the second than is asked here.
fn settings() -> GateSettings {
    let limits = ClassLimits { rpm: Some(6_000), ..ClassLimits::default() };
    let limits = [("*".to_owned(), Box::new(limits))].into();
    let account = AccountSettings { limits, ..AccountSettings::default() };
    let accounts = [("a".to_owned(), Box::new(account))].into();
    GateSettings { accounts, ..GateSettings::default() }
}

/// Stores what a step wrote; how many of those rows are the budget's.
fn store(rows: &mut Rows, output: Output) -> usize {
    let mut written = 0;
    for write in output.writes {
        written += usize::from(write.key == "scope/tenant/acme");
        match write.value {
            Some(value) => rows.insert(write.key, value),
            None => rows.remove(&write.key),
        };
    }
    written
}

/// A request of the tenant's. By its JSON, whose fields have defaults.
fn admit(number: u64) -> Result<Admit, String> {
    read(&format!(
        r#"{{"ticket":"t{number}","asked_ms":0,{WHOSE},"input_tokens":100,"microusd_max":20000,"patience_ms":0}}"#
    ))
}

fn settle(number: u64, now: Millis) -> Result<Event, String> {
    let used = r#"{"tokens":{"input":100,"input_total":100,"output":50,"microusd":8000,"estimated":false}}"#;
    read(&format!(
        r#"{{"settled":{{"ticket":"t{number}","attempt":0,{WHOSE},"input_estimate":100,"used":{used},"at_ms":{now}}}}}"#
    ))
}

const WHOSE: &str = r#""tenant":"acme","key":"k","pool":{"account":"a","class":"c","speed":"standard"},"model":"m","max_tokens":1"#;

fn read<T: serde::de::DeserializeOwned>(json: &str) -> Result<T, String> {
    serde_json::from_str(json).map_err(|error| format!("{json}: {error}"))
}

fn is_granted(output: &Output) -> bool {
    let Answer::Reply(reply) = &output.reply else { return false };
    matches!(reply.decision, Some(Decision::Granted { .. }))
}

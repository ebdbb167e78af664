//! A Gate with its shell's duties, for tests: rows are stored, time is told.
#![allow(dead_code)] // Each test file uses its part.

use std::collections::BTreeMap;

use limits::admin::{AdminInput, AdminReply, Key, KeyKind, Spend};
use limits::message::{
    Admit, Call, Decision, Event, Level, Observation, Pool, Progress, Reply, Settle, Used, VERSION,
};
use limits::policy::Tenants;
use limits::settings::{AccountSettings, ClassLimits, GateSettings};
use limits::{Answer, ByName, Gate, Input, Output};

pub(crate) const START: u64 = 1_795_514_400_000;

#[derive(Clone)]
pub(crate) struct Shell {
    pub(crate) gate: Gate,
    pub(crate) settings: GateSettings,
    pub(crate) now: u64,
    pub(crate) rows: BTreeMap<String, String>,
    pub(crate) answers: Vec<(String, Decision)>,
    pub(crate) wake_at: Option<u64>,
}

/// Limits that are in nobody's way.
pub(crate) fn wide() -> GateSettings {
    settings(600_000, 1 << 40, 1 << 40)
}

/// Settings with one account `acct` and these limits a minute.
pub(crate) fn settings(rpm: u64, itpm: u64, otpm: u64) -> GateSettings {
    let limits =
        ClassLimits { rpm: Some(rpm), itpm: Some(itpm), otpm: Some(otpm), concurrent: None };
    let account =
        AccountSettings { limits: [("*".into(), Box::new(limits))].into(), ..Default::default() };
    GateSettings {
        accounts: [("acct".into(), Box::new(account))].into(),
        ..GateSettings::default()
    }
}

impl Shell {
    /// A Gate with these tenants (JSON of the file's inner table), a key each.
    pub(crate) fn new(settings: GateSettings, tenants: &str) -> Self {
        let gate = Gate::new(settings.clone(), START);
        let rows = BTreeMap::new();
        let mut shell =
            Self { gate, settings, now: START, rows, answers: Vec::new(), wake_at: None };
        let file: Tenants =
            serde_json::from_str(&format!(r#"{{"tenants":{tenants}}}"#)).expect("a sound file");
        let names: Vec<String> = file.tenants.keys().cloned().collect();
        let apply = AdminInput::Apply { tenants: file, prune: false, dry_run: false };
        let reply = shell.admin(apply);
        assert!(matches!(reply, AdminReply::Applied { .. }), "{reply:?}");
        for name in names {
            shell.admin(AdminInput::AddKey(key(&name)));
        }
        shell
    }

    pub(crate) fn step(&mut self, input: Input) -> Output {
        let output = self.gate.handle(self.now, input);
        for write in &output.writes {
            match &write.value {
                Some(value) => self.rows.insert(write.key.clone(), value.clone()),
                None => self.rows.remove(&write.key),
            };
        }
        for (ticket, reply) in &output.answers {
            let decision = reply.decision.clone().expect("an answer decides");
            self.answers.push((ticket.clone(), decision));
        }
        self.wake_at = output.wake_at;
        output
    }

    /// Lets time pass, waking the Gate as it asked.
    pub(crate) fn pass(&mut self, ms: u64) {
        let until = self.now + ms;
        while let Some(at) = self.wake_at.filter(|at| *at <= until) {
            self.now = at;
            self.step(Input::Wake);
        }
        self.now = until;
    }

    pub(crate) fn admin(&mut self, input: AdminInput) -> AdminReply {
        match self.step(Input::Admin(input)).reply {
            Answer::Admin(reply) => reply,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn call(&mut self, admit: Option<Admit>, events: Vec<Event>) -> Reply {
        let call = Call { v: VERSION, admit, events, ..Call::default() };
        match self.step(Input::Call(call)).reply {
            Answer::Reply(reply) => reply,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn admit(&mut self, admit: Admit) -> Decision {
        self.call(Some(admit), Vec::new()).decision.expect("an admit is decided")
    }

    /// True where it was parked.
    pub(crate) fn poll(&mut self, admit: Admit) -> Option<Decision> {
        let call = Call { v: VERSION, admit: Some(admit), ..Call::default() };
        match self.step(Input::Poll(call)).reply {
            Answer::Reply(reply) => Some(reply.decision.expect("an admit is decided")),
            Answer::Parked => None,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn event(&mut self, event: Event) {
        self.call(None, vec![event]);
    }

    pub(crate) fn totals(&mut self) -> ByName<Spend> {
        match self.admin(AdminInput::Totals) {
            AdminReply::Totals(totals) => totals.scopes,
            other => panic!("{other:?}"),
        }
    }

    /// The Gate dies, and comes back with its rows.
    pub(crate) fn restart(&mut self) {
        self.gate = Gate::new(self.settings.clone(), self.now);
        for (key, value) in &self.rows {
            self.gate.restore(key, value);
        }
        self.wake_at = None;
    }
}

/// A restart, and a second: what went in the last one before is not known, so that
/// nobody goes in the first.
pub(crate) fn restart(shell: &mut Shell) {
    shell.restart();
    shell.event(Event::Observed(observed("another", 200, None)));
    shell.now += 1_000;
}

pub(crate) fn key(tenant: &str) -> Key {
    Key {
        id: format!("k-{tenant}"),
        tenant: tenant.into(),
        kind: KeyKind::Secret,
        created_ms: START,
        expires_ms: None,
        revoked_ms: None,
    }
}

pub(crate) fn pool() -> Pool {
    Pool { account: "acct".into(), class: "class".into(), speed: "standard".into() }
}

/// 1,000 input tokens, at most 1,000 of output, a cent at most, 30 s patience.
pub(crate) fn admit(ticket: &str, tenant: &str) -> Admit {
    Admit {
        ticket: ticket.into(),
        attempt: 0,
        asked_ms: START,
        tenant: tenant.into(),
        user: None,
        key: format!("k-{tenant}"),
        pool: pool(),
        model: "claude-sonnet-5-5".into(),
        priority: Default::default(),
        input_tokens: 1_000,
        kinds: [0; 8],
        max_tokens: 1_000,
        microusd_max: 10_000,
        patience_ms: 30_000,
        is_retry: None,
        bytes: 100,
        job: None,
        cached: None,
        running: None,
    }
}

pub(crate) fn running(ticket: &str, tenant: &str, output_tokens: u64) -> Admit {
    Admit { running: Some(Progress { output_tokens }), ..admit(ticket, tenant) }
}

/// 1,000 in, 100 out, a tenth of a cent.
pub(crate) fn settled(ticket: &str, tenant: &str) -> Event {
    let used = Used::Tokens {
        input: 1_000,
        input_total: 1_000,
        output: 100,
        microusd: 1_000,
        estimated: false,
    };
    settle(ticket, tenant, used)
}

pub(crate) fn settle(ticket: &str, tenant: &str, used: Used) -> Event {
    Event::Settled(Settle {
        ticket: ticket.into(),
        attempt: 0,
        tenant: tenant.into(),
        user: None,
        job: None,
        key: format!("k-{tenant}"),
        pool: pool(),
        model: "claude-sonnet-5-5".into(),
        max_tokens: 1_000,
        input_estimate: 1_000,
        kinds: [0; 8],
        cached: None,
        used,
        unasked: false,
        at_ms: START,
        ran_ms: 0,
    })
}

pub(crate) fn observed(ticket: &str, status: u16, requests: Option<(u64, u64)>) -> Observation {
    Observation {
        pool: pool(),
        ticket: ticket.into(),
        attempt: 0,
        sent_ms: START,
        at_ms: START,
        status,
        error_code: None,
        retry_after_ms: None,
        requests: requests.map(|(limit, remaining)| Level { limit, remaining, reset_ms: None }),
        input: None,
        output: None,
    }
}

pub(crate) fn is_granted(decision: &Decision) -> bool {
    matches!(decision, Decision::Granted { .. })
}

pub(crate) fn reason(decision: &Decision) -> String {
    match decision {
        Decision::Refused(refusal) => format!("{:?}", refusal.reason),
        other => panic!("not refused: {other:?}"),
    }
}

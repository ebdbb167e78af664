//! What all requests share: keys and their pools, limits, faults, and the record
//! of what came in and went out. Every lock is opened and shut in one function.

use crate::answer::Service;
use crate::catalog::{Catalog, LimitChange, LimitTable};
use crate::clock::Clock;
use crate::fault::Schedule;
use crate::pool::Pool;
use crate::prompt_cache::PromptCache;
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Any key that begins so is accepted, unless keys were named.
pub const KEY_PREFIX: &str = "sk-ant-emulator";

/// Keys that have pools. Each is some kilobytes.
const ORGANISATIONS_MAX: usize = 10_000;

/// How an emulator is set up.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Accepted keys; empty: every key with [`KEY_PREFIX`].
    pub keys: Vec<String>,
    /// Limits of every key.
    pub limits: LimitTable,
    /// Service times.
    pub service: Service,
    /// Requests that `/emulator/requests` remembers.
    pub remembered: usize,
    /// Where time comes from.
    pub clock: Clock,
}

/// One key: the provider would say organisation.
#[derive(Debug)]
pub struct Organisation {
    /// The key, for statistics; the last four letters of a foreign one.
    pub label: String,
    /// `anthropic-organization-id`.
    pub id: String,
    /// Its prompt cache.
    pub cache: Mutex<PromptCache>,
    pools: Mutex<BTreeMap<String, Arc<Mutex<Pool>>>>,
}

/// Shared by every connection.
#[derive(Debug)]
pub struct State {
    /// How it was set up.
    pub settings: Settings,
    /// The models.
    pub catalog: Catalog,
    /// The faults to come.
    pub schedule: Mutex<Schedule>,
    limits: Mutex<LimitTable>,
    organisations: Mutex<BTreeMap<String, Arc<Organisation>>>,
    seen: Mutex<VecDeque<Arc<Mutex<Seen>>>>,
    tally: Mutex<Tally>,
    count: AtomicU64,
}

/// What came in and what went out, for tests of byte identity and of header
/// allow-lists.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Seen {
    /// `request-id` of the answer.
    pub request_id: String,
    /// When it came, ms since the epoch.
    pub at_ms: u64,
    /// GET, POST.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Names in lower case, as received and in order; keys redacted.
    pub headers: Vec<(String, String)>,
    /// Bytes of the request's body.
    pub body_bytes: u64,
    /// SHA-256 of it, hex.
    pub body_sha256: String,
    /// Status of the answer; 0 where the connection was closed without one.
    pub status: u16,
    /// Bytes of the answer's body that were handed to the connection.
    pub answer_bytes: u64,
    /// SHA-256 of these, hex; absent until the answer is over.
    pub answer_sha256: Option<String>,
    /// True when the whole answer was handed over.
    pub complete: bool,
    /// The fault that met it.
    pub fault: Option<String>,
}

#[derive(Debug, Default)]
struct Tally {
    since_ms: u64,
    answers: BTreeMap<u16, u64>,
    faults: BTreeMap<String, u64>,
}

/// Opens a lock; a panic elsewhere does not spread through it, as every update
/// under a lock is complete in itself.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    /// A fresh one.
    pub fn new(settings: Settings) -> Result<Self, String> {
        let tally = Tally { since_ms: settings.clock.now_ms(), ..Tally::default() };
        Ok(Self {
            catalog: Catalog::new()?,
            schedule: Mutex::default(),
            limits: Mutex::new(settings.limits.clone()),
            organisations: Mutex::default(),
            seen: Mutex::default(),
            tally: Mutex::new(tally),
            count: AtomicU64::new(0),
            settings,
        })
    }

    /// Milliseconds since the epoch.
    pub fn now_ms(&self) -> u64 {
        self.settings.clock.now_ms()
    }

    /// A number that no other request has.
    pub fn next(&self) -> u64 {
        self.count.fetch_add(1, Ordering::Relaxed)
    }

    /// The organisation of a key, if the key is accepted.
    pub fn organisation(&self, key: &str) -> Option<Arc<Organisation>> {
        let mut all = lock(&self.organisations);
        if let Some(organisation) = all.get(key) {
            return Some(organisation.clone());
        }
        let keys = &self.settings.keys;
        let accepted = if keys.is_empty() {
            key.starts_with(KEY_PREFIX)
        } else {
            keys.iter().any(|k| k == key)
        };
        if !accepted || all.len() >= ORGANISATIONS_MAX {
            return None;
        }
        let organisation = Arc::new(Organisation {
            label: redacted(key),
            id: format!("org-{}", &sha256(key.as_bytes())[..24]),
            cache: Mutex::default(),
            pools: Mutex::default(),
        });
        all.insert(key.to_owned(), organisation.clone());
        Some(organisation)
    }

    /// A pool of an organisation: made when first asked for.
    pub fn pool(&self, organisation: &Organisation, name: &str) -> Arc<Mutex<Pool>> {
        if let Some(pool) = lock(&organisation.pools).get(name) {
            return pool.clone();
        }
        // The limits stay locked, so that no change slips by between; the order
        // of locks is limits, organisations, pools, pool.
        let limits = lock(&self.limits);
        let fresh = || Arc::new(Mutex::new(Pool::new(limits.of(name), self.now_ms())));
        lock(&organisation.pools).entry(name.to_owned()).or_insert_with(fresh).clone()
    }

    /// Other limits from now on, levels kept.
    pub fn change_limits(&self, changes: &BTreeMap<String, LimitChange>) {
        let mut limits = lock(&self.limits);
        limits.apply(changes);
        let now_ms = self.now_ms();
        for organisation in lock(&self.organisations).values() {
            for (name, pool) in lock(&organisation.pools).iter() {
                lock(pool).resize(limits.of(name), now_ms);
            }
        }
    }

    /// Full buckets, empty caches, statistics from zero, no faults, nothing seen.
    pub fn reset(&self) {
        let now_ms = self.now_ms();
        for organisation in lock(&self.organisations).values() {
            *lock(&organisation.cache) = PromptCache::default();
            for pool in lock(&organisation.pools).values() {
                lock(pool).reset(now_ms);
            }
        }
        *lock(&self.schedule) = Schedule::default();
        lock(&self.seen).clear();
        *lock(&self.tally) = Tally { since_ms: now_ms, ..Tally::default() };
    }

    /// Remembers a request; the oldest is forgotten.
    pub fn remember(&self, seen: Seen) -> Arc<Mutex<Seen>> {
        let seen = Arc::new(Mutex::new(seen));
        let mut all = lock(&self.seen);
        while all.len() >= self.settings.remembered.max(1) {
            all.pop_front();
        }
        all.push_back(seen.clone());
        seen
    }

    /// The last requests, newest first.
    pub fn seen(&self, last: usize) -> Vec<Seen> {
        lock(&self.seen).iter().rev().take(last).map(|seen| lock(seen).clone()).collect()
    }

    /// Counts an answer, and the fault that made it.
    pub fn tally(&self, status: u16, fault: Option<&str>) {
        let mut tally = lock(&self.tally);
        *tally.answers.entry(status).or_default() += 1;
        if let Some(fault) = fault {
            *tally.faults.entry(fault.to_owned()).or_default() += 1;
        }
    }

    /// Everything `/emulator/stats` says.
    pub fn statistics(&self) -> Value {
        let now_ms = self.now_ms();
        let mut pools = Vec::new();
        for organisation in lock(&self.organisations).values() {
            for (name, pool) in lock(&organisation.pools).iter() {
                let mut pool = lock(pool);
                let account = pool.account().clone();
                let mut row = json!(account);
                row["key"] = organisation.label.clone().into();
                row["pool"] = name.clone().into();
                row["limits"] = json!(pool.limits());
                row["levels"] = json!(pool.levels(now_ms));
                let could = pool.could(now_ms);
                row["could"] = json!(could);
                row["used_permille"] = json!({
                    "requests": permille(account.granted, could.requests),
                    "input_tokens": permille(account.input_tokens, could.input_tokens),
                    "output_tokens": permille(account.output_tokens, could.output_tokens),
                });
                pools.push(row);
            }
        }
        let tally = lock(&self.tally);
        json!({
            "now_ms": now_ms,
            "since_ms": tally.since_ms,
            "answers": tally.answers,
            "faults": tally.faults,
            "pools": pools,
        })
    }
}

fn permille(used: u64, could: u64) -> u64 {
    used.saturating_mul(1_000).checked_div(could).unwrap_or(0)
}

/// A key as it may be shown: an emulator's own whole, any other by its end.
pub fn redacted(key: &str) -> String {
    if key.starts_with(KEY_PREFIX) {
        return key.to_owned();
    }
    let tail: Vec<char> = key.chars().rev().take(4).collect();
    if key.len() < 16 {
        "…".to_owned()
    } else {
        format!("…{}", tail.iter().rev().collect::<String>())
    }
}

/// SHA-256, hex.
pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Bytes in hex.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

//! `TOLLGATE_GATE`: where the Gate runs, its queue, the deployment's budgets.

use limits::policy::{Budget, Tenant, Tenants, Usd, origin_ok};
use limits::settings::{Durability, QueueSettings};
use serde::de::{self, Deserializer};
use serde::{Deserialize, Serialize};

use crate::finding::Finding;
use crate::quantity::Percent;

/// The Gate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Gate {
    /// Where the Durable Object is created; see [`Gate::location_hint`].
    pub location_hint: Option<LocationHint>,
    /// The jurisdiction that it must not leave.
    pub jurisdiction: Option<Jurisdiction>,
    /// Origins whose pages may read answers, `["*"]` for any. Keys are sent by
    /// hand and never by cookie, so another origin gains nothing by default.
    #[serde(deserialize_with = "origins")]
    pub origins: Vec<String>,
    /// The proxy that says from which address a request came, where that is not
    /// Cloudflare; none: nobody is believed.
    pub proxy: Option<Proxy>,
    /// The queue's bounds.
    pub queue: Queue,
    /// The deployment's budgets, in the form of a tenant's.
    pub budgets: Vec<Budget>,
    /// How far ahead of the real spend is written.
    pub chunk: Chunk,
    /// Whether isolates are lent tickets while limits are far; otherwise every
    /// request asks the Gate.
    pub leases: bool,
    /// How long an answer is kept for a repeat with the same `idempotency-key`, in
    /// seconds; 0: not at all, and the header is refused.
    #[serde(deserialize_with = "kept_s")]
    pub idempotency_s: u32,
    /// Seconds added to every `retry-after` of a provider's limit.
    #[serde(deserialize_with = "extra_s")]
    pub retry_after_extra: u32,
}

impl Default for Gate {
    fn default() -> Self {
        Self {
            location_hint: None,
            jurisdiction: None,
            origins: vec!["*".into()],
            proxy: None,
            queue: Queue::default(),
            budgets: Vec::new(),
            chunk: Chunk::default(),
            leases: true,
            idempotency_s: DAY_S,
            retry_after_extra: 0,
        }
    }
}

impl Gate {
    /// Where the object is created. Where nothing is set, that is eastern North
    /// America, near Anthropic's API; within a jurisdiction, Cloudflare's choice.
    pub fn location_hint(&self) -> Option<LocationHint> {
        let default = self.jurisdiction.is_none().then_some(LocationHint::Enam);
        self.location_hint.or(default)
    }

    /// Whether pages of `origin` (as in the header of that name) may read answers.
    pub fn origin_allowed(&self, origin: &str) -> bool {
        self.origins.iter().any(|allowed| allowed == "*" || allowed == origin)
    }

    pub(crate) fn contradictions(&self) -> Vec<Finding> {
        use LocationHint::{Eeur, Enam, Weur, Wnam};
        let mut findings = Vec::new();
        let outside = match (self.jurisdiction, self.location_hint) {
            (Some(Jurisdiction::Eu), Some(hint)) => ![Weur, Eeur].contains(&hint),
            (Some(Jurisdiction::Fedramp), Some(hint)) => ![Wnam, Enam].contains(&hint),
            _ => false,
        };
        if outside {
            findings.push(Finding::new(
                "TOLLGATE_GATE.location_hint",
                "lies outside the jurisdiction",
                "remove it, or name a place inside",
            ));
        }
        findings.extend(self.budget_findings());
        findings
    }

    /// A tenant's budgets have the same form, and so the same rules.
    fn budget_findings(&self) -> Vec<Finding> {
        let holder = Tenant { budgets: self.budgets.clone(), ..Tenant::default() };
        let mut tenants = Tenants::default();
        tenants.tenants.insert("x".into(), Box::new(holder));
        let errors = tenants.validate();
        let finding = |path: &str, remedy: &str| {
            let path = path.strip_prefix("tenants.x.").unwrap_or(path);
            Finding::new(format!("TOLLGATE_GATE.{path}"), "not a budget of this version", remedy)
        };
        errors.iter().map(|error| finding(&error.path, &error.remedy)).collect()
    }
}

/// Where a Durable Object can be created (Cloudflare's data location page, 2026-11).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum LocationHint {
    Wnam,
    Enam,
    Sam,
    Weur,
    Eeur,
    Apac,
    Oc,
    Afr,
    Me,
}

impl LocationHint {
    /// As Cloudflare spells it, e.g. `enam`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Wnam => "wnam",
            Self::Enam => "enam",
            Self::Sam => "sam",
            Self::Weur => "weur",
            Self::Eeur => "eeur",
            Self::Apac => "apac",
            Self::Oc => "oc",
            Self::Afr => "afr",
            Self::Me => "me",
        }
    }
}

/// A jurisdiction of Durable Objects (Cloudflare's data location page, 2026-11).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum Jurisdiction {
    Eu,
    Fedramp,
}

impl Jurisdiction {
    /// As Cloudflare spells it, e.g. `eu`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Eu => "eu",
            Self::Fedramp => "fedramp",
        }
    }
}

/// A trusted proxy before a gate that is hosted elsewhere than on Cloudflare.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proxy {
    /// The header that it writes or adds to, in lower case.
    #[serde(deserialize_with = "address_header")]
    pub header: String,
    /// How many proxies of one's own add to it: the address is the entry so far
    /// from its end, as clients may have written all that stand before.
    #[serde(default = "one_hop", deserialize_with = "hops")]
    pub hops: u32,
}

/// The queue's bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Queue {
    /// Waiting requests at most.
    #[serde(deserialize_with = "length")]
    pub length_max: u32,
    /// Bytes of their bodies at most, over all isolates.
    #[serde(deserialize_with = "bytes")]
    pub bytes_max: u64,
    /// Tokens that they are expected to use at most.
    #[serde(deserialize_with = "amount")]
    pub tokens_max: u64,
    /// How long requests wait that say nothing.
    pub wait_s: Waits,
    /// The longest that any may wait, in seconds.
    #[serde(deserialize_with = "wait")]
    pub wait_s_max: u32,
}

impl Default for Queue {
    fn default() -> Self {
        let QueueSettings { length_max, bytes_max, tokens_max, patience_max_ms, .. } =
            QueueSettings::default();
        Self {
            length_max: u32::try_from(length_max).unwrap_or(u32::MAX),
            bytes_max,
            tokens_max,
            wait_s: Waits::default(),
            wait_s_max: u32::try_from(patience_max_ms / 1_000).unwrap_or(u32::MAX),
        }
    }
}

/// Seconds by priority.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)]
pub struct Waits {
    #[serde(deserialize_with = "wait")]
    pub critical: u32,
    #[serde(deserialize_with = "wait")]
    pub normal: u32,
    #[serde(deserialize_with = "wait")]
    pub background: u32,
}

impl Default for Waits {
    fn default() -> Self {
        let [critical, normal, background] = QueueSettings::default()
            .patience_ms
            .map(|ms| u32::try_from(ms / 1_000).unwrap_or(u32::MAX));
        Self { critical, normal, background }
    }
}

/// How far ahead of the real spend the durable marks are written: after a crash
/// that much may count as spent. Larger is cheaper, smaller is more exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Chunk {
    /// Of a bucket's capacity.
    #[serde(deserialize_with = "some_share")]
    pub bucket: Percent,
    /// Of a budget.
    #[serde(deserialize_with = "some_share")]
    pub budget: Percent,
    /// Requests, where no budget limits them.
    #[serde(deserialize_with = "amount")]
    pub requests: u64,
    /// Tokens, where no budget limits them.
    #[serde(deserialize_with = "amount")]
    pub tokens: u64,
    /// Money, where no budget limits it.
    #[serde(deserialize_with = "money")]
    pub usd: Usd,
}

impl Default for Chunk {
    fn default() -> Self {
        let core = Durability::default();
        Self {
            bucket: Percent { permille: core.bucket_permille },
            budget: Percent { permille: core.budget_permille },
            requests: core.requests_chunk,
            tokens: core.tokens_chunk,
            usd: Usd(core.microusd_chunk),
        }
    }
}

fn between<'de, D, N>(from: D, least: N, most: N) -> Result<N, D::Error>
where
    D: Deserializer<'de>,
    N: Deserialize<'de> + PartialOrd + std::fmt::Display,
{
    let number = N::deserialize(from)?;
    if number < least || number > most {
        return Err(de::Error::custom(format!("out of range; write {least} to {most}")));
    }
    Ok(number)
}

/// 100,000 waiting requests of 1 KB each fill most of the object's 128 MB.
fn length<'de, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
    between(from, 1, 100_000)
}

/// A tebibyte: more than all isolates of a deployment hold.
fn bytes<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    between(from, 1 << 20, 1 << 40)
}

const DAY_S: u32 = 86_400;

/// A day at most: after that nobody repeats a request, and answers are private.
fn kept_s<'de, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
    between(from, 0, DAY_S)
}

/// A day: no client waits longer.
fn wait<'de, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
    between(from, 1, DAY_S)
}

fn extra_s<'de, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
    between(from, 0, 3_600)
}

fn amount<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    between(from, 1, 1_000_000_000_000)
}

fn money<'de, D: Deserializer<'de>>(from: D) -> Result<Usd, D::Error> {
    match Usd::deserialize(from)? {
        Usd(0) => Err(de::Error::custom("nothing; write more than nothing")),
        usd => Ok(usd),
    }
}

fn some_share<'de, D: Deserializer<'de>>(from: D) -> Result<Percent, D::Error> {
    let share = Percent::deserialize(from)?;
    if !(1..=500).contains(&share.permille) {
        return Err(de::Error::custom("out of range; write 0.1% to 50%"));
    }
    Ok(share)
}

/// All such headers are called so; `forwarded` (RFC 7239) holds more than addresses.
fn address_header<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let name = String::deserialize(from)?;
    let is_token = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_known = name.starts_with("x-") || name.ends_with("-ip");
    if is_known && name.len() <= 64 && name.bytes().all(is_token) {
        return Ok(name);
    }
    Err(de::Error::custom(
        "not a header with addresses; write its name in lower case, e.g. \"x-forwarded-for\" or \
         \"x-real-ip\"",
    ))
}

fn one_hop() -> u32 {
    1
}

/// More proxies in a row than anybody has.
fn hops<'de, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
    between(from, 1, 16)
}

fn origins<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    let origins = Vec::<String>::deserialize(from)?;
    if origins.len() > 100 {
        return Err(de::Error::custom("more than 100 origins; remove some, or write [\"*\"]"));
    }
    if origins.iter().all(|origin| origin_ok(origin)) {
        return Ok(origins);
    }
    Err(de::Error::custom(
        "one of them is not an origin; write \"https://app.example.com\" (no path, no slash at the \
         end) or \"*\"",
    ))
}

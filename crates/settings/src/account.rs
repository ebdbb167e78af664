//! `TOLLGATE_ACCOUNTS`: whose API is called, with which secret, within which limits.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use limits::ByName;
use limits::policy::RATE_MAX;
use providers::models;
use serde::de::{self, Deserializer};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::finding::Finding;
use crate::quantity::Percent;
use crate::read;

/// One account at a provider.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// Whose API it speaks.
    #[serde(default)]
    pub provider: Provider,
    /// The name of the secret that holds its API key.
    #[serde(default = "secret_default", deserialize_with = "secret_name")]
    pub secret: String,
    /// Where its API is.
    #[serde(default)]
    pub base_url: BaseUrl,
    /// Its tier: a first belief of its limits. None: learned from the provider's headers.
    #[serde(default)]
    pub tier: Option<Tier>,
    /// First beliefs by model class, or `*` for every class; they win over the
    /// tier's figures, and the provider's headers over both.
    #[serde(default)]
    pub limits: ByName<ClassLimits>,
    /// Use no more than this share of the account's limits.
    #[serde(default = "all", deserialize_with = "share")]
    pub share: Percent,
    /// What is left unused below the limits.
    #[serde(default)]
    pub headroom: Headroom,
    /// What a request takes of the output limit while it runs.
    #[serde(default)]
    pub reserves: Reserves,
    /// What happens while the Gate cannot be reached.
    #[serde(default)]
    pub fail: Fail,
    /// Passes `/v1/…` paths that Tollgate does not know on to this account.
    #[serde(default)]
    pub pass_through: bool,
}

/// An account of Anthropic's Start tier, with `ANTHROPIC_API_KEY`.
impl Default for Account {
    fn default() -> Self {
        Self {
            provider: Provider::Anthropic,
            secret: secret_default(),
            base_url: BaseUrl::default(),
            tier: Some(Tier::Start),
            limits: ByName::new(),
            share: Percent::ALL,
            headroom: Headroom::Adaptive,
            reserves: Reserves::Generated,
            fail: Fail::Closed,
            pass_through: false,
        }
    }
}

impl Account {
    /// Limits of a class that no model has would never be looked at. A model too
    /// new for the providers' data is its own class.
    pub(crate) fn class_findings(&self, name: &str) -> Vec<Finding> {
        let known = |class: &str| {
            matches!(class, "*" | "count_tokens") || models::all().iter().any(|m| m.class == class)
        };
        let mut findings = Vec::new();
        for class in self.limits.keys().filter(|class| !known(class)) {
            let remedy = match models::class_of(class) {
                Some(model) => format!("write {:?}, the class of this model", model.class),
                None if class.starts_with("claude-") => continue,
                None => {
                    "write a class as GET /v1/limits names it, e.g. \"sonnet-5-5\", or \"*\"".into()
                }
            };
            let path = read::path(&["TOLLGATE_ACCOUNTS", name, "limits", class]);
            findings.push(Finding::new(path, "not a model class", remedy));
        }
        findings
    }
}

/// Whose API an account speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    /// The Claude API.
    #[default]
    Anthropic,
}

impl<'de> Deserialize<'de> for Provider {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        const LATER: [&str; 8] =
            ["openai", "azure", "gemini", "bedrock", "vertex", "foundry", "ollama", "vllm"];
        match String::deserialize(from)?.as_str() {
            "anthropic" => Ok(Self::Anthropic),
            name if LATER.contains(&name) => Err(de::Error::custom(format!(
                "the provider {name} is not built yet; \"anthropic\" is"
            ))),
            _ => Err(de::Error::custom("unknown provider; write \"anthropic\"")),
        }
    }
}

/// A tier of Anthropic's whose limits are published. Evaluation's and Custom's
/// are not: leave `tier` out, and they are learned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum Tier {
    Start,
    Build,
    Scale,
}

impl Tier {
    /// As the settings and the providers' data spell it, e.g. `start`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Build => "build",
            Self::Scale => "scale",
        }
    }
}

/// Limits a minute and places, each where it is set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClassLimits {
    /// Requests a minute.
    #[serde(deserialize_with = "rate")]
    pub rpm: Option<u64>,
    /// Input tokens a minute.
    #[serde(deserialize_with = "rate")]
    pub itpm: Option<u64>,
    /// Output tokens a minute.
    #[serde(deserialize_with = "rate")]
    pub otpm: Option<u64>,
    /// Requests that run at one time.
    #[serde(deserialize_with = "places")]
    pub concurrent: Option<u64>,
}

impl ClassLimits {
    /// These, and `other`'s where they say nothing.
    pub fn or(self, other: Self) -> Self {
        Self {
            rpm: self.rpm.or(other.rpm),
            itpm: self.itpm.or(other.itpm),
            otpm: self.otpm.or(other.otpm),
            concurrent: self.concurrent.or(other.concurrent),
        }
    }
}

/// What is left unused below an account's limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Headroom {
    /// As much as the provider's answers show to be needed.
    #[default]
    Adaptive,
    /// 48 of 50 requests, 28,000 of 30,000 tokens.
    Guide,
    /// Fixed shares.
    #[serde(untagged)]
    Fixed {
        /// Of the requests.
        rpm: Percent,
        /// Of the input tokens.
        itpm: Percent,
        /// Of the output tokens.
        otpm: Percent,
    },
}

impl<'de> Deserialize<'de> for Headroom {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match Value::deserialize(from)? {
            Value::String(text) if text == "adaptive" => Ok(Self::Adaptive),
            Value::String(text) if text == "guide" => Ok(Self::Guide),
            Value::Object(table) => {
                let mut shares = [Percent::NONE; 3];
                for (key, value) in table {
                    let kind = ["rpm", "itpm", "otpm"].iter().position(|kind| *kind == key);
                    let kind = kind.ok_or_else(|| {
                        de::Error::custom(format!("{key:?} is unknown; it knows rpm, itpm, otpm"))
                    })?;
                    let text = value.as_str().ok_or("not a share; write it as \"80%\"");
                    shares[kind] = text.and_then(Percent::parse).map_err(de::Error::custom)?;
                    if shares[kind].permille > 500 {
                        return Err(de::Error::custom("more than half unused; write at most 50%"));
                    }
                }
                let [rpm, itpm, otpm] = shares;
                Ok(Self::Fixed { rpm, itpm, otpm })
            }
            _ => Err(de::Error::custom(
                "not a headroom; write \"adaptive\", \"guide\" or { rpm = \"4%\", itpm = \"5%\" }",
            )),
        }
    }
}

/// What a request takes of an account's output limit while it runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reserves {
    /// What it generates, as it generates it.
    #[default]
    Generated,
    /// `max_tokens` from its start; at its end comes back what it did not generate.
    MaxTokens,
}

/// What happens to requests while the Gate cannot be reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fail {
    /// They are refused with 503.
    #[default]
    Closed,
    /// They are admitted, and recorded afterwards.
    Open,
}

/// Where a provider's API is: https, or a loopback address. Without a slash at
/// its end, and without credentials, query and fragment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BaseUrl(String);

impl BaseUrl {
    /// As text, e.g. `https://api.anthropic.com`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn parse(text: &str) -> Result<Self, &'static str> {
        const FORM: &str = "not a base URL; write https://HOST or https://HOST/PATH";
        let graphic = text.bytes().all(|byte| byte.is_ascii_graphic());
        if !graphic || text.len() > 512 || text.contains(['\\', '?', '#', '@']) {
            return Err(FORM);
        }
        let (scheme, rest) = text.split_once("://").ok_or(FORM)?;
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (host, port) = match authority.rfind(':') {
            Some(at) if !authority.ends_with(']') => authority.split_at(at),
            _ => (authority, ""),
        };
        let port_ok = port.is_empty() || port[1..].parse::<u16>().is_ok_and(|port| port > 0);
        if !port_ok || !host_ok(host) || path.split('/').any(|step| step == "..") {
            return Err(FORM);
        }
        match scheme {
            "https" => Ok(()),
            "http" if is_loopback(host) => Ok(()),
            "http" => Err("http is for loopback addresses only; use https"),
            _ => Err(FORM),
        }?;
        let text = text.trim_end_matches('/');
        if text.ends_with("/v1") {
            return Err("the path /v1 is added by Tollgate; leave it out");
        }
        Ok(Self(text.into()))
    }
}

impl Default for BaseUrl {
    fn default() -> Self {
        Self("https://api.anthropic.com".into())
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for BaseUrl {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(from)?).map_err(de::Error::custom)
    }
}

/// True for `http://` and a loopback host, where nothing leaves the machine.
pub fn is_loopback_http(url: &str) -> bool {
    url.starts_with("http://") && BaseUrl::parse(url).is_ok()
}

fn host_ok(host: &str) -> bool {
    match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(v6) => v6.parse::<Ipv6Addr>().is_ok(),
        None => {
            let label_ok = |label: &str| {
                !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            };
            host.split('.').all(label_ok)
        }
    }
}

fn is_loopback(host: &str) -> bool {
    let v6 = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || host.parse::<Ipv4Addr>().is_ok_and(|ip| ip.is_loopback())
        || v6.parse::<Ipv6Addr>().is_ok_and(|ip| ip.is_loopback())
}

pub(crate) fn name_ok(name: &str) -> bool {
    let safe = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
    (1..=32).contains(&name.len()) && name.bytes().all(safe)
}

fn secret_default() -> String {
    "ANTHROPIC_API_KEY".into()
}

fn all() -> Percent {
    Percent::ALL
}

fn rate<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    match u64::deserialize(from)? {
        rate @ 1..=RATE_MAX => Ok(Some(rate)),
        _ => Err(de::Error::custom(format!("out of range; write 1 to {RATE_MAX} a minute"))),
    }
}

/// A million at one time: far above any provider's.
fn places<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    match u64::deserialize(from)? {
        places @ 1..=1_000_000 => Ok(Some(places)),
        _ => Err(de::Error::custom("out of range; write 1 to 1000000 at one time")),
    }
}

fn share<'de, D: Deserializer<'de>>(from: D) -> Result<Percent, D::Error> {
    let share = Percent::deserialize(from)?;
    if share.permille < 10 {
        return Err(de::Error::custom("nearly nothing could be sent; write at least 1%"));
    }
    Ok(share)
}

/// The name, not the secret: what is refused here is not repeated.
fn secret_name<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let name = String::deserialize(from)?;
    let safe = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
    if !(1..=64).contains(&name.len()) || !name.bytes().all(safe) {
        return Err(de::Error::custom(
            "not the name of a secret; write e.g. \"ANTHROPIC_API_KEY\" and put the key itself by \
             `wrangler secret put ANTHROPIC_API_KEY` (.dev.vars locally)",
        ));
    }
    if name.starts_with("TOLLGATE_") {
        return Err(de::Error::custom("this is Tollgate's own secret; name the provider's"));
    }
    Ok(name)
}

//! What one isolate remembers between requests: settings, secrets, tenants'
//! policies, and refusals that still hold. All of it can be rebuilt; what must
//! not be lost is kept elsewhere (`edge/js/reports.mjs`, the Gate).

use std::collections::{BTreeMap, HashMap};

use keys::Keyring;
use limits::borrow::Borrowed;
use limits::message::{Millis, PolicyView, Pool, Refusal, View};
use serde_json::Value;
use settings::Settings;

use crate::request::auth::Caller;

/// A policy is used for at most this long (design §4: revocations bind within 10 s).
const POLICY_MS: Millis = 10_000;
/// `/v1/limits` is answered from a view at most this old (design §4).
const VIEW_MS: Millis = 1_000;
/// Levels of a pool go to the Gate at most this often: its mirror knows what it
/// granted, and the next response corrects what this one would have.
const LEVELS_MS: Millis = 100;
/// Whoever is refused by the Gate keeps its place there until the time that it is told;
/// of one caller one in this span,
const PLACED_MS: Millis = 125;
/// and so many at once. What is beyond is a flood, and is told the same time.
const PLACED_AT_ONCE: Millis = 32;
/// Of those who come back so many more can be refused again before they count as one.
const BACK_AT_ONCE: Millis = 4 * PLACED_AT_ONCE;
/// Tenants, views and marks remembered at most: forgotten all at once beyond,
/// as each can be asked for again.
const REMEMBERED: usize = 2_000;

/// One isolate's memory.
#[derive(Default)]
pub struct Isolate {
    /// The deployment, once configured.
    pub deployment: Option<Deployment>,
    /// Whether Cloudflare stands before the Worker, and names clients' addresses.
    pub at_cloudflare: bool,
    policies: HashMap<String, (PolicyView, Millis)>,
    views: HashMap<(String, Option<String>, bool), (View, Millis)>,
    marks: HashMap<Mark, Refused>,
    told: HashMap<Pool, Millis>,
    /// Tickets lent by the Gate.
    pub borrowed: Borrowed,
    gate_answered_ms: Millis,
    /// When the Gate started that last replied, and whether that is news.
    gate_started_ms: Millis,
    gate_restarted: bool,
    ids: Ids,
}

/// Settings and secrets, or what is wrong with them.
pub struct Deployment {
    /// The settings in effect.
    pub settings: Result<Settings, Vec<settings::Finding>>,
    /// Their hash, for the messages to the Gate.
    pub hash: u32,
    keyring: Result<Keyring, String>,
    provider_keys: BTreeMap<String, String>,
    /// Bindings that the Worker needs, and whether they are there.
    pub bindings: [(&'static str, bool); 4],
}

impl Deployment {
    /// From the environment's text bindings: variables as JSON, secrets by name.
    pub fn new(
        variables: &BTreeMap<String, Value>,
        secret: impl Fn(&str) -> Option<String>,
        bindings: [(&'static str, bool); 4],
    ) -> Self {
        let parsed = Settings::parse(variables);
        let hash = parsed.as_ref().map_or(0, Settings::hash);
        let previous = secret("TOLLGATE_SECRET_PREVIOUS");
        let keyring = match secret("TOLLGATE_SECRET") {
            None => Err("TOLLGATE_SECRET is not set: run `wrangler secret put TOLLGATE_SECRET` (`openssl rand -hex 32` makes one)".into()),
            Some(current) => {
                let previous: Vec<&[u8]> = previous.as_deref().map(str::as_bytes).into_iter().collect();
                Keyring::new(current.as_bytes(), &previous).map_err(|weak| format!("TOLLGATE_SECRET: {weak}"))
            }
        };
        let names =
            parsed.iter().flat_map(|s| s.accounts.values()).map(|account| account.secret.clone());
        let mut provider_keys = BTreeMap::new();
        provider_keys.extend(names.filter_map(|name| secret(&name).map(|key| (name, key))));
        Self { settings: parsed, hash, keyring, provider_keys, bindings }
    }

    /// Signs and verifies; or the sentence that says what is missing.
    fn keyring(&self) -> Result<&Keyring, &str> {
        self.keyring.as_ref().map_err(String::as_str)
    }

    /// The provider's key that this secret holds, unless it is unset.
    pub fn provider_key(&self, secret: &str) -> Option<&str> {
        self.provider_keys.get(secret).map(String::as_str).filter(|key| !key.is_empty())
    }
}

/// What a remembered refusal is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Mark {
    tenant: String,
    user: Option<String>,
    pool: Pool,
}

/// What the Gate refused of it.
#[derive(Clone, Debug, Default)]
struct Refused {
    marks: Vec<NotBefore>,
    /// When those who keep places had them one by one, as in the generic cell rate
    /// algorithm.
    placed_ms: Millis,
}

/// "Not before": holds for requests at least as large and no more patient.
#[derive(Clone, Debug)]
struct NotBefore {
    /// When a retry can succeed.
    until_ms: Millis,
    /// When to ask all the same: limits and budgets can be raised.
    ask_ms: Millis,
    input_tokens: u64,
    cached: Option<u32>,
    max_tokens: u64,
    microusd_max: u64,
    /// Of which model alone: budgets may count some of a pool's. None: of all.
    model: Option<String>,
    patience_ms: Millis,
    priority: u8,
    refusal: Refusal,
}

/// What decides whether a remembered refusal holds for a request.
#[derive(Clone, Copy, Debug)]
pub struct Size<'a> {
    /// Its model.
    pub model: &'a str,
    /// Estimated input tokens.
    pub input_tokens: u64,
    /// The fingerprint of what the provider may read of them from its cache: limits
    /// do not count that, so only refusals of the same prompt tell of such a request.
    pub cached: Option<u32>,
    /// The limit on the output.
    pub max_tokens: u64,
    /// The most that it can cost.
    pub microusd_max: u64,
    /// How long it would wait.
    pub patience_ms: Millis,
    /// 0 is the highest.
    pub priority: u8,
    /// Its client says that it comes back: perhaps to its place.
    pub is_retry: bool,
}

impl Isolate {
    /// The settings in effect, where they are sound.
    pub fn settings(&self) -> Option<&Settings> {
        self.deployment.as_ref()?.settings.as_ref().ok()
    }

    /// Their hash, for the messages to the Gate.
    pub fn hash(&self) -> u32 {
        self.deployment.as_ref().map_or(0, |deployment| deployment.hash)
    }

    /// Signs and verifies keys; or what is missing.
    pub fn keyring(&self) -> Result<&Keyring, &str> {
        self.deployment.as_ref().map_or(Err("the gate is not configured"), Deployment::keyring)
    }

    /// The header that a client's address is read from, and its place from the end;
    /// none where a client could have written all of them.
    pub fn address_header(&self) -> Option<(&str, u32)> {
        let proxy = self.settings()?.gate.proxy.as_ref();
        // Cloudflare overwrites this one (docs, HTTP headers, 2026-11).
        let cloudflare = self.at_cloudflare.then_some(("cf-connecting-ip", 1));
        proxy.map(|proxy| (proxy.header.as_str(), proxy.hops)).or(cloudflare)
    }

    /// Origins whose pages may read responses.
    pub fn origins(&self) -> &[String] {
        self.settings().map_or(&[], |settings| &settings.gate.origins)
    }

    /// A fresh request id, unique in the world: the isolate's random name and a count.
    pub fn request_id(&mut self) -> String {
        self.ids.next()
    }

    /// The policy of a tenant, where it is fresh enough.
    pub fn policy(&self, tenant: &str, now: Millis) -> Option<&PolicyView> {
        let (policy, at) = self.policies.get(tenant)?;
        (now.saturating_sub(*at) < POLICY_MS).then_some(policy)
    }

    /// The policy of a tenant, where it is fresh enough and this key lives by it.
    /// A key that it does not name may be newer than the copy: then the Gate is asked.
    pub fn policy_of(&self, caller: &Caller, now: Millis) -> Option<&PolicyView> {
        let policy = self.policy(&caller.tenant, now)?;
        (policy.known && policy.keys.iter().any(|key| key == caller.key())).then_some(policy)
    }

    /// The version to name in a call: none where the policy is due for renewal,
    /// which the answer then brings before the policy is too old to be used.
    pub fn policy_version(&self, tenant: &str, now: Millis) -> Option<u64> {
        self.policy(tenant, now + POLICY_MS / 2).map(|policy| policy.version)
    }

    /// Remembers a policy that the Gate sent at `now`.
    pub fn learn_policy(&mut self, tenant: &str, policy: PolicyView, now: Millis) {
        bounded(&mut self.policies);
        self.policies.insert(tenant.to_owned(), (policy, now));
    }

    /// A view for this caller, where it is fresh enough.
    pub fn view(
        &self,
        tenant: &str,
        user: Option<&str>,
        account: bool,
        now: Millis,
    ) -> Option<&(View, Millis)> {
        let found = self.views.get(&(tenant.to_owned(), user.map(str::to_owned), account))?;
        (now.saturating_sub(found.1) < VIEW_MS).then_some(found)
    }

    /// Remembers a view that the Gate sent at `now`.
    pub fn learn_view(
        &mut self,
        tenant: &str,
        user: Option<&str>,
        account: bool,
        view: View,
        now: Millis,
    ) {
        bounded(&mut self.views);
        self.learn_policy(tenant, view.policy.clone(), now);
        self.views.insert((tenant.to_owned(), user.map(str::to_owned), account), (view, now));
    }

    /// A Gate replied that started then; 0: one of an earlier version, which does not say.
    pub fn gate_started(&mut self, started_ms: Millis) {
        self.gate_restarted |= self.gate_started_ms != started_ms;
        self.gate_started_ms = started_ms;
    }

    /// Whether it had forgotten what runs here: told once.
    pub fn gate_restarted(&mut self) -> bool {
        std::mem::take(&mut self.gate_restarted)
    }

    /// The Gate answered a question about its health.
    pub fn gate_answered(&mut self, now: Millis) {
        self.gate_answered_ms = now;
    }

    /// Whether it did so a moment ago: anybody may ask for it, at any rate.
    pub fn gate_answers(&self, now: Millis) -> bool {
        now.saturating_sub(self.gate_answered_ms) < VIEW_MS
    }

    /// Whether a good response's levels are news for the Gate, which then hears them.
    pub fn levels_due(&mut self, pool: &Pool, now: Millis) -> bool {
        match self.told.get_mut(pool) {
            Some(at) if now.saturating_sub(*at) < LEVELS_MS => false,
            Some(at) => {
                *at = now;
                true
            }
            None => {
                bounded(&mut self.told);
                self.told.insert(pool.clone(), now);
                true
            }
        }
    }

    /// A refusal that still holds for such a request: nothing needs to be asked.
    pub fn refused(
        &self,
        tenant: &str,
        user: Option<&str>,
        pool: &Pool,
        size: Size<'_>,
        now: Millis,
    ) -> Option<Refusal> {
        if self.marks.is_empty() {
            return None;
        }
        let mark = Mark { tenant: tenant.into(), user: user.map(Into::into), pool: pool.clone() };
        let holds = |m: &&NotBefore| {
            now < m.until_ms.min(m.ask_ms)
                && size.input_tokens >= m.input_tokens
                && (size.cached.is_none() || size.cached == m.cached)
                && size.max_tokens >= m.max_tokens
                && size.microusd_max >= m.microusd_max
                && m.model.as_deref().is_none_or(|model| model == size.model)
                && size.patience_ms <= m.patience_ms
                // More patient than the refusal lasts: it may wait in the queue.
                && now + size.patience_ms < m.until_ms
                && size.priority >= m.priority
        };
        let Refused { marks, placed_ms } = self.marks.get(&mark)?;
        let found = marks.iter().find(holds)?;
        let at_once = if size.is_retry { BACK_AT_ONCE } else { PLACED_AT_ONCE };
        if found.refusal.reason.keeps_place() && *placed_ms < now + at_once * PLACED_MS {
            return None;
        }
        Some(Refusal { retry_after_ms: Some(found.until_ms - now), ..found.refusal.clone() })
    }

    /// Remembers a refusal of the Gate until it ends.
    pub fn learn_refusal(
        &mut self,
        tenant: &str,
        user: Option<&str>,
        pool: &Pool,
        size: Size<'_>,
        refusal: &Refusal,
        now: Millis,
    ) {
        let Some(after) = refusal.retry_after_ms else { return };
        bounded(&mut self.marks);
        let mark = Mark { tenant: tenant.into(), user: user.map(Into::into), pool: pool.clone() };
        let Refused { marks, placed_ms } = self.marks.entry(mark).or_default();
        if refusal.reason.keeps_place() {
            let most = now + BACK_AT_ONCE * PLACED_MS;
            *placed_ms = (now.max(*placed_ms) + PLACED_MS).min(most);
        }
        marks.retain(|m| now < m.until_ms.min(m.ask_ms));
        // A few sizes and priorities; more would make the look-up a search.
        marks.truncate(7);
        let Size { input_tokens, cached, max_tokens, microusd_max, .. } = size;
        let model = (!refusal.reason.keeps_place()).then(|| size.model.to_owned());
        let refusal = refusal.clone();
        marks.insert(
            0,
            NotBefore {
                until_ms: now.saturating_add(after),
                ask_ms: now + POLICY_MS,
                input_tokens,
                cached,
                max_tokens,
                microusd_max,
                model,
                patience_ms: size.patience_ms,
                priority: size.priority,
                refusal,
            },
        );
    }
}

fn bounded<K, V>(map: &mut HashMap<K, V>) {
    if map.len() >= REMEMBERED {
        map.clear();
    }
}

/// Request ids: `tgr_`, 16 hex digits of the isolate, a count.
#[derive(Default)]
struct Ids {
    isolate: Option<u64>,
    count: u64,
}

impl Ids {
    fn next(&mut self) -> String {
        // Drawn at the first request: workerd forbids randomness before. Should
        // it fail, the count alone still tells an isolate's requests apart.
        let isolate = *self.isolate.get_or_insert_with(|| getrandom::u64().unwrap_or_default());
        self.count += 1;
        format!("tgr_{isolate:016x}{:06x}", self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use limits::message::Reason;

    const SIZE: Size<'_> = Size {
        model: "m",
        input_tokens: 100,
        cached: None,
        max_tokens: 50,
        microusd_max: 10,
        patience_ms: 1_000,
        priority: 1,
        is_retry: false,
    };

    fn pool() -> Pool {
        Pool { account: "a".into(), class: "c".into(), speed: "standard".into() }
    }

    #[test]
    fn a_refusal_holds_for_the_larger_and_no_more_patient_until_its_time() {
        let (mut isolate, pool, size) = (Isolate::default(), pool(), SIZE);
        let refusal =
            Refusal { reason: Reason::BudgetSpent, retry_after_ms: Some(9_000), limit: None };
        isolate.learn_refusal("t", None, &pool, size, &refusal, 0);
        let at = |isolate: &Isolate, size: Size<'_>, now| {
            isolate.refused("t", None, &pool, size, now).map(|r| r.retry_after_ms)
        };
        assert_eq!(at(&isolate, size, 1_000), Some(Some(8_000)));
        assert_eq!(at(&isolate, Size { input_tokens: 99, ..size }, 1_000), None, "smaller may fit");
        assert_eq!(at(&isolate, Size { microusd_max: 9, ..size }, 1_000), None, "cheaper, too");
        let other = Size { model: "n", ..size };
        assert_eq!(at(&isolate, other, 1_000), None, "a budget may not count this model");
        assert_eq!(
            at(&isolate, Size { patience_ms: 2_000, ..size }, 1_000),
            None,
            "more patient may queue"
        );
        assert_eq!(at(&isolate, Size { priority: 0, ..size }, 1_000), None, "critical may go");
        assert_eq!(at(&isolate, Size { cached: Some(7), ..size }, 1_000), None, "may be read");
        assert_eq!(at(&isolate, size, 8_500), None, "patient enough by now");
        assert_eq!(at(&isolate, size, 9_000), None, "over");
        let day = Refusal { retry_after_ms: Some(80_000_000), ..refusal };
        isolate.learn_refusal("t", None, &pool, size, &day, 0);
        assert_eq!(at(&isolate, size, 9_999), Some(Some(79_990_001)), "the true time is told");
        assert_eq!(at(&isolate, size, 10_000), None, "a budget can be raised: ask again");
        assert!(isolate.refused("u", None, &pool, size, 1_000).is_none(), "another tenant");
        assert!(isolate.refused("t", Some("x"), &pool, size, 1_000).is_none(), "another user");
        let reason = Reason::ProviderLimit;
        let rate = Refusal { reason, retry_after_ms: Some(9_000), limit: None };
        // As many as have places of their own.
        (0..=PLACED_AT_ONCE).for_each(|_| isolate.learn_refusal("t", None, &pool, size, &rate, 0));
        let of_pool = isolate.refused("t", None, &pool, other, 0);
        assert_eq!(of_pool.map(|refusal| refusal.reason), Some(reason), "all models of a pool");
    }

    #[test]
    fn some_a_second_ask_for_places_of_their_own_and_the_rest_is_a_flood() {
        let (mut isolate, pool, size) = (Isolate::default(), pool(), SIZE);
        let refusal =
            Refusal { reason: Reason::ProviderLimit, retry_after_ms: Some(60_000), limit: None };
        let mut asked = 0;
        // 500 a second for ten seconds.
        for now in (0..10_000).step_by(2) {
            if isolate.refused("t", None, &pool, size, now).is_none() {
                isolate.learn_refusal("t", None, &pool, size, &refusal, now);
                asked += 1;
            }
        }
        assert_eq!(asked, 32 + 80);
        let back = Size { is_retry: true, ..size };
        assert!(isolate.refused("t", None, &pool, back, 10_000).is_none(), "it has a place");
        assert!(isolate.refused("t", None, &pool, size, 10_000).is_some());
        assert!(isolate.refused("t", None, &pool, size, 10_125).is_none());
        let none = Refusal { reason: Reason::QueueFull, ..refusal.clone() };
        (0..100).for_each(|_| isolate.learn_refusal("u", None, &pool, size, &none, 0));
        isolate.learn_refusal("u", None, &pool, size, &refusal, 0);
        assert!(isolate.refused("u", None, &pool, size, 0).is_none(), "those keep no places");
    }

    #[test]
    fn levels_of_a_pool_are_told_after_a_while() {
        let mut isolate = Isolate::default();
        let pool = |class: &str| Pool {
            account: "a".into(),
            class: class.into(),
            speed: "standard".into(),
        };
        assert!(isolate.levels_due(&pool("c"), 0), "the first");
        assert!(!isolate.levels_due(&pool("c"), 99));
        assert!(isolate.levels_due(&pool("d"), 99), "another pool");
        assert!(isolate.levels_due(&pool("c"), 100));
        assert!(!isolate.levels_due(&pool("c"), 199), "counted from the last");
    }

    #[test]
    fn another_gate_than_before_is_noticed_once() {
        let mut isolate = Isolate::default();
        for (started, is_news) in [(5, true), (5, false), (9, true), (9, false), (0, true)] {
            isolate.gate_started(started);
            assert_eq!(isolate.gate_restarted(), is_news, "{started}");
            assert!(!isolate.gate_restarted(), "told once");
        }
    }

    #[test]
    fn ids_differ() {
        let mut ids = Ids::default();
        assert_ne!(ids.next(), ids.next());
    }
}

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use serde_json::Value;

use super::*;

/// The `[vars]` of a wrangler.toml.
fn parse(vars: &str) -> Result<Settings, Vec<Finding>> {
    let variables: BTreeMap<String, Value> = toml::from_str(vars).expect(vars);
    Settings::parse(&variables)
}

#[test]
fn nothing_set_is_one_account_of_the_start_tier() {
    let settings = parse("").unwrap();
    let (name, account) = settings.accounts.first_key_value().unwrap();
    assert_eq!((name.as_str(), account.tier), ("anthropic", Some(Tier::Start)));
    assert_eq!(account.base_url.as_str(), "https://api.anthropic.com");
    assert_eq!(settings.secrets_required(), ["ANTHROPIC_API_KEY", "TOLLGATE_SECRET"]);
    assert!(!settings.cache.enabled);
    assert_eq!(settings.gate.location_hint(), Some(LocationHint::Enam));
    assert!(settings.gate.origin_allowed("https://any.example"));
}

/// Each key of all that can be set.
const EVERYTHING: &str = r#"
[TOLLGATE_ACCOUNTS.main]
provider = "anthropic"
secret = "MAIN_KEY"
base_url = "http://127.0.0.1:9999/"
limits."sonnet-5-5" = { rpm = 50, itpm = 30000, otpm = 8000 }
limits."*" = { rpm = 10 }
share = "80%"
headroom = { rpm = "4%", itpm = "6.7%" }
fail = "open"
pass_through = true
[TOLLGATE_ACCOUNTS.other]
secret = "OTHER_KEY"
headroom = "guide"
reserves = "max_tokens"
[TOLLGATE_ROUTES."claude-*"]
account = "other"
[TOLLGATE_ROUTES."claude-haiku-*"]
account = "main"
timeouts = { first_byte_s = 5, between_bytes_s = 6, total_s = 7 }
atomic = { attempts = 2, allow_cut = true }
cache = { enabled = true }
[TOLLGATE_GATE]
location_hint = "weur"
jurisdiction = "eu"
origins = ["https://app.example.com"]
proxy = { header = "x-forwarded-for", hops = 2 }
queue = { length_max = 7, bytes_max = 2000000, tokens_max = 5000, wait_s = { critical = 1 }, wait_s_max = 9 }
budgets = [{ window = "day", usd = "12.50" }, { window = "day", usd = 20, requests = 5 }]
chunk = { bucket = "1%", budget = "0.5%", requests = 3, tokens = 4, usd = "0.01" }
leases = false
idempotency_s = 60
retry_after_extra = 30
[TOLLGATE_CACHE]
enabled = false
ttl_s = 60
"#;

#[test]
fn everything_that_can_be_set_arrives() {
    let settings = parse(EVERYTHING).unwrap();

    let haiku = settings.target("claude-haiku-5-5");
    assert_eq!((haiku.account_name, haiku.model), ("main", "claude-haiku-5-5"), "longest prefix");
    assert_eq!(haiku.timeouts, Timeouts { first_byte_s: 5, between_bytes_s: 6, total_s: 7 });
    assert_eq!((haiku.cache_enabled, haiku.cache_ttl_s), (true, 60));
    assert_eq!(settings.target("claude-opus-5-5").account_name, "other");
    assert_eq!(settings.target("unrouted").account_name, "main", "the first by name");
    assert_eq!(settings.accounts["main"].base_url.as_str(), "http://127.0.0.1:9999");
    assert!(!settings.gate.origin_allowed("https://evil.example"));
    assert_eq!(settings.gate.proxy, Some(Proxy { header: "x-forwarded-for".into(), hops: 2 }));

    let gate = settings.gate_settings();
    let main = &gate.accounts["main"];
    let class =
        |rpm, itpm, otpm| limits::settings::ClassLimits { rpm, itpm, otpm, concurrent: None };
    assert_eq!(*main.limits["sonnet-5-5"], class(Some(50), Some(30_000), Some(8_000)));
    assert_eq!(*main.limits["*"], class(Some(10), None, None));
    assert_eq!(main.share_permille, 800);
    let fixed = limits::settings::Headroom::Fixed { rpm: 40, itpm: 67, otpm: 0 };
    assert_eq!((main.headroom, main.fail), (fixed, limits::settings::Fail::Open));
    assert_eq!(gate.accounts["other"].headroom, limits::settings::Headroom::Guide);
    assert_eq!(main.reserves, limits::settings::Reserves::Generated);
    assert_eq!(gate.accounts["other"].reserves, limits::settings::Reserves::MaxTokens);
    assert_eq!(gate.queue.patience_ms, [1_000, 120_000, 600_000]);
    let limits::settings::QueueSettings { length_max, tokens_max, .. } = gate.queue;
    assert_eq!((length_max, tokens_max, gate.queue.patience_max_ms), (7, 5_000, 9_000));
    let amounts = gate.budgets.iter().map(|of| (of.usd.map(|usd| usd.0), of.requests));
    let amounts: Vec<_> = amounts.collect();
    assert_eq!(amounts, [(Some(12_500_000), None), (Some(20_000_000), Some(5))]);
    let chunk = (gate.durability.bucket_permille, gate.durability.budget_permille);
    assert_eq!((chunk, gate.durability.microusd_chunk), ((10, 5), 10_000));
    assert!(!gate.leases);
}

#[test]
fn first_beliefs_are_the_classes_then_the_stars_then_the_tiers() {
    let class =
        |rpm, itpm, otpm| limits::settings::ClassLimits { rpm, itpm, otpm, concurrent: None };
    let told = |vars: &str| parse(vars).unwrap().gate_settings().accounts;

    let start = &told("")["anthropic"].limits;
    assert_eq!(*start["sonnet-5-5"], class(Some(1_000), Some(2_000_000), Some(400_000)));
    assert_eq!(*start["fable-5"], class(Some(1_000), Some(500_000), Some(100_000)));
    assert!(start["count_tokens"].rpm.is_some() && start["count_tokens"].itpm.is_none());
    assert!(!start.contains_key("*"), "an unknown class is learned");

    let set = &told(
        "TOLLGATE_ACCOUNTS.a = { tier = 'scale', \
         limits = { '*' = { rpm = 7 }, sonnet-5-5 = { otpm = 9 } } }",
    )["a"]
        .limits;
    assert_eq!(*set["opus-5-5"], class(Some(7), Some(10_000_000), Some(2_000_000)));
    assert_eq!(*set["sonnet-5-5"], class(Some(7), Some(10_000_000), Some(9)));
    assert_eq!(*set["*"], class(Some(7), None, None));
    assert_ne!(set["count_tokens"].rpm, Some(7), "no model's class");

    let learned = &told("TOLLGATE_ACCOUNTS.a = { limits.'*'.rpm = 7 }")["a"].limits;
    assert_eq!(*learned["count_tokens"], class(None, None, None));
    assert_eq!(told("TOLLGATE_ACCOUNTS.a = {}")["a"].limits.get("sonnet-5-5"), None);
}

#[test]
fn the_gate_is_told_its_own_defaults() {
    let told = parse("").unwrap().gate_settings();
    let core = limits::settings::GateSettings::default();
    assert_eq!(
        (told.queue, &told.budgets, told.durability, told.leases),
        (core.queue, &core.budgets, core.durability, core.leases)
    );
}

#[test]
fn the_hash_is_of_the_meaning_and_not_of_the_spelling() {
    let a = parse("TOLLGATE_CACHE = { enabled = false }").unwrap();
    let b = parse("[TOLLGATE_GATE]\nretry_after_extra = 0").unwrap();
    let c = parse("TOLLGATE_CACHE = { enabled = true }").unwrap();
    assert_eq!(a.hash(), b.hash());
    assert_ne!(a.hash(), c.hash());
}

/// What is written, and what the finding says: path, and a part of the rest.
const BAD: &[(&str, &str, &str)] = &[
    ("TOLLGATE_ACOUNTS = {}", "TOLLGATE_ACOUNTS", "did you mean `TOLLGATE_ACCOUNTS`?"),
    ("TOLLGATE_SECRET = 'x'", "TOLLGATE_SECRET", "wrangler secret put TOLLGATE_SECRET"),
    ("TOLLGATE_ACCOUNTS = 'x'", "TOLLGATE_ACCOUNTS", "[vars.TOLLGATE_ACCOUNTS.NAME]"),
    ("TOLLGATE_ACCOUNTS.a = 'x'", "TOLLGATE_ACCOUNTS.a", "not a table"),
    ("TOLLGATE_GATE = 3", "TOLLGATE_GATE", "[vars.TOLLGATE_GATE]"),
    (
        "TOLLGATE_ACCOUNTS.a.headrom = 'guide'",
        "TOLLGATE_ACCOUNTS.a.headrom",
        "did you mean `headroom`?",
    ),
    ("TOLLGATE_ACCOUNTS.A = {}", "TOLLGATE_ACCOUNTS.A", "lower-case"),
    ("TOLLGATE_ACCOUNTS.a.provider = 'openai'", "TOLLGATE_ACCOUNTS.a.provider", "not built yet"),
    (
        "TOLLGATE_ACCOUNTS.a.provider = 'antropic'",
        "TOLLGATE_ACCOUNTS.a.provider",
        "write \"anthropic\"",
    ),
    (
        "TOLLGATE_ACCOUNTS.a.secret = 'sk-ant-api03-x'",
        "TOLLGATE_ACCOUNTS.a.secret",
        "wrangler secret put",
    ),
    (
        "TOLLGATE_ACCOUNTS.a.secret = 'TOLLGATE_SECRET'",
        "TOLLGATE_ACCOUNTS.a.secret",
        "name the provider's",
    ),
    (
        "TOLLGATE_ACCOUNTS.a.base_url = 'http://api.example.com'",
        "TOLLGATE_ACCOUNTS.a.base_url",
        "use https",
    ),
    (
        "TOLLGATE_ACCOUNTS.a.base_url = 'http://localhost.evil.example'",
        "TOLLGATE_ACCOUNTS.a.base_url",
        "use https",
    ),
    (
        "TOLLGATE_ACCOUNTS.a.base_url = 'http://127.0.0.1.evil.example'",
        "TOLLGATE_ACCOUNTS.a.base_url",
        "use https",
    ),
    (
        "TOLLGATE_ACCOUNTS.a.base_url = 'http://127.0.0.1:80@evil.example'",
        "TOLLGATE_ACCOUNTS.a.base_url",
        "https://HOST",
    ),
    (
        "TOLLGATE_ACCOUNTS.a.base_url = 'http://127.0.0.1\\\\@evil.example'",
        "TOLLGATE_ACCOUNTS.a.base_url",
        "https://HOST",
    ),
    (
        "TOLLGATE_ACCOUNTS.a.base_url = 'ftp://a.example'",
        "TOLLGATE_ACCOUNTS.a.base_url",
        "https://HOST",
    ),
    ("TOLLGATE_ACCOUNTS.a.base_url = 'https://'", "TOLLGATE_ACCOUNTS.a.base_url", "https://HOST"),
    (
        "TOLLGATE_ACCOUNTS.a.base_url = 'https://a.example:99999'",
        "TOLLGATE_ACCOUNTS.a.base_url",
        "https://HOST",
    ),
    (
        "TOLLGATE_ACCOUNTS.a.base_url = 'https://a.example/?k=1'",
        "TOLLGATE_ACCOUNTS.a.base_url",
        "https://HOST",
    ),
    (
        "TOLLGATE_ACCOUNTS.a.base_url = 'https://a.example/v1'",
        "TOLLGATE_ACCOUNTS.a.base_url",
        "leave it out",
    ),
    (
        "TOLLGATE_ACCOUNTS.a.tier = 'tier-1'",
        "TOLLGATE_ACCOUNTS.a.tier",
        "it knows `start`, `build`, `scale`",
    ),
    (
        "TOLLGATE_ACCOUNTS.a.limits.sonnet-5-5.tpm = 3",
        "TOLLGATE_ACCOUNTS.a.limits.sonnet-5-5.tpm",
        "did you mean",
    ),
    (
        "TOLLGATE_ACCOUNTS.a.limits.'claude-x.5'.rpm = 0",
        "TOLLGATE_ACCOUNTS.a.limits.\"claude-x.5\".rpm",
        "write 1 to",
    ),
    (
        "TOLLGATE_ACCOUNTS.a.limits.opus-5.rpm = -1",
        "TOLLGATE_ACCOUNTS.a.limits.opus-5.rpm",
        "whole number",
    ),
    (
        "TOLLGATE_ACCOUNTS.a.limits.opus-5.rpm = 9000000000000",
        "TOLLGATE_ACCOUNTS.a.limits.opus-5.rpm",
        "write 1 to",
    ),
    (
        "TOLLGATE_ACCOUNTS.a.limits.opus-5.rpm = '50'",
        "TOLLGATE_ACCOUNTS.a.limits.opus-5.rpm",
        "whole number",
    ),
    (
        "TOLLGATE_ACCOUNTS.a.limits.sonnet-55 = {}",
        "TOLLGATE_ACCOUNTS.a.limits.sonnet-55",
        "GET /v1/limits",
    ),
    (
        "TOLLGATE_ACCOUNTS.a.limits.claude-opus-4-8 = {}",
        "TOLLGATE_ACCOUNTS.a.limits.claude-opus-4-8",
        "write \"opus-4\"",
    ),
    ("TOLLGATE_ACCOUNTS.a.share = '0.5%'", "TOLLGATE_ACCOUNTS.a.share", "at least 1%"),
    ("TOLLGATE_ACCOUNTS.a.share = 0.8", "TOLLGATE_ACCOUNTS.a.share", "write it as \"80%\""),
    ("TOLLGATE_ACCOUNTS.a.headroom = 'lots'", "TOLLGATE_ACCOUNTS.a.headroom", "\"adaptive\""),
    ("TOLLGATE_ACCOUNTS.a.headroom.rpm = '60%'", "TOLLGATE_ACCOUNTS.a.headroom", "at most 50%"),
    (
        "TOLLGATE_ACCOUNTS.a.headroom.tpm = '6%'",
        "TOLLGATE_ACCOUNTS.a.headroom",
        "it knows rpm, itpm, otpm",
    ),
    ("TOLLGATE_ACCOUNTS.a.reserves = 'max'", "TOLLGATE_ACCOUNTS.a.reserves", "`max_tokens`"),
    ("TOLLGATE_ACCOUNTS.a.fail = 'opne'", "TOLLGATE_ACCOUNTS.a.fail", "did you mean `open`?"),
    ("TOLLGATE_ACCOUNTS.a.pass_through = 'yes'", "TOLLGATE_ACCOUNTS.a.pass_through", "boolean"),
    ("TOLLGATE_ROUTES.x.account = 'nobody'", "TOLLGATE_ROUTES.x.account", "name one of anthropic"),
    ("TOLLGATE_ROUTES.'*-mini*' = {}", "TOLLGATE_ROUTES.\"*-mini*\"", "\"claude-*\""),
    ("TOLLGATE_ROUTES.x.model = 'y'", "TOLLGATE_ROUTES.x.model", "not built yet"),
    ("TOLLGATE_ROUTES.x.timeouts.total_s = 0", "TOLLGATE_ROUTES.x.timeouts.total_s", "1 to 86400"),
    (
        "TOLLGATE_ROUTES.x.timeouts.total_s = 60",
        "TOLLGATE_ROUTES.x.timeouts",
        "the longest of the three",
    ),
    (
        "TOLLGATE_ROUTES.x.timeouts.connect_s = 1",
        "TOLLGATE_ROUTES.x.timeouts.connect_s",
        "it knows `first_byte_s`",
    ),
    ("TOLLGATE_ROUTES.x.cache.ttl_s = 10", "TOLLGATE_ROUTES.x.cache.ttl_s", "60 (a minute)"),
    ("TOLLGATE_ROUTES.x.targets = []", "TOLLGATE_ROUTES.x.targets", "not built yet"),
    ("TOLLGATE_ROUTES.x.batch = true", "TOLLGATE_ROUTES.x.batch", "not built yet"),
    ("TOLLGATE_ROUTES.x.trim = {}", "TOLLGATE_ROUTES.x.trim", "not built yet"),
    ("TOLLGATE_ROUTES.x.when = {}", "TOLLGATE_ROUTES.x.when", "not built yet"),
    ("TOLLGATE_GATE.breaker = {}", "TOLLGATE_GATE.breaker", "not built yet"),
    ("TOLLGATE_GATE.emergency = true", "TOLLGATE_GATE.emergency", "not built yet"),
    ("TOLLGATE_GATE.location_hint = 'enma'", "TOLLGATE_GATE.location_hint", "did you mean `enam`?"),
    (
        "TOLLGATE_GATE = { location_hint = 'enam', jurisdiction = 'eu' }",
        "TOLLGATE_GATE.location_hint",
        "a place inside",
    ),
    (
        "TOLLGATE_GATE.jurisdiction = 'mars'",
        "TOLLGATE_GATE.jurisdiction",
        "it knows `eu`, `fedramp`",
    ),
    ("TOLLGATE_GATE.proxy = { hops = 1 }", "TOLLGATE_GATE.proxy", "header"),
    ("TOLLGATE_GATE.proxy = { header = 'X-Real-IP' }", "TOLLGATE_GATE.proxy.header", "lower case"),
    (
        "TOLLGATE_GATE.proxy = { header = 'forwarded' }",
        "TOLLGATE_GATE.proxy.header",
        "x-forwarded-for",
    ),
    (
        "TOLLGATE_GATE.proxy = { header = 'x-real-ip', hops = 0 }",
        "TOLLGATE_GATE.proxy.hops",
        "1 to 16",
    ),
    (
        "TOLLGATE_GATE.proxy = { header = 'x-real-ip', trust = true }",
        "TOLLGATE_GATE.proxy.trust",
        "unknown",
    ),
    ("TOLLGATE_GATE.origins = ['https://a.example/']", "TOLLGATE_GATE.origins", "no slash"),
    ("TOLLGATE_GATE.origins = ['https://a.example:443']", "TOLLGATE_GATE.origins", "not an origin"),
    ("TOLLGATE_GATE.origins = ['a.example']", "TOLLGATE_GATE.origins", "not an origin"),
    ("TOLLGATE_GATE.queue.length_max = 0", "TOLLGATE_GATE.queue.length_max", "write 1 to 100000"),
    ("TOLLGATE_GATE.queue.length = 5", "TOLLGATE_GATE.queue.length", "did you mean"),
    ("TOLLGATE_GATE.queue.bytes_max = 10", "TOLLGATE_GATE.queue.bytes_max", "out of range"),
    (
        "TOLLGATE_GATE.queue.wait_s.low = 10",
        "TOLLGATE_GATE.queue.wait_s.low",
        "it knows `critical`",
    ),
    (
        "TOLLGATE_GATE.budgets = [{ window = 'month', starts = 'monday', usd = 5 }]",
        "TOLLGATE_GATE.budgets[0].starts",
        "rolling",
    ),
    (
        "TOLLGATE_GATE.budgets = [{ window = 'day' }]",
        "TOLLGATE_GATE.budgets[0]",
        "tokens, usd or requests",
    ),
    (
        "TOLLGATE_GATE.budgets = [{ window = 'day', usd = 1.5 }]",
        "TOLLGATE_GATE.budgets[0].usd",
        "never a float",
    ),
    ("TOLLGATE_GATE.budgets = [{ usd = 5 }]", "TOLLGATE_GATE.budgets[0]", "add window"),
    ("TOLLGATE_GATE.chunk.bucket = '0%'", "TOLLGATE_GATE.chunk.bucket", "0.1% to 50%"),
    ("TOLLGATE_GATE.chunk.usd = 0", "TOLLGATE_GATE.chunk.usd", "more than nothing"),
    ("TOLLGATE_GATE.retry_after_extra = 90000", "TOLLGATE_GATE.retry_after_extra", "0 to 3600"),
    ("TOLLGATE_CACHE.ttl = 60", "TOLLGATE_CACHE.ttl", "did you mean `ttl_s`?"),
    ("TOLLGATE_CACHE.enabled = 1", "TOLLGATE_CACHE.enabled", "boolean"),
    ("TOLLGATE_ALERTS.slack = {}", "TOLLGATE_ALERTS", "not built yet"),
];

#[test]
fn each_mistake_is_named_once_by_path_with_a_remedy() {
    let mut wrong = Vec::new();
    for (vars, path, part) in BAD {
        match parse(vars).err().as_deref() {
            Some([finding])
                if finding.path == *path
                    && finding.to_string().contains(part)
                    && !finding.remedy.is_empty() => {}
            other => wrong.push((vars, path, part, other.map(<[Finding]>::to_vec))),
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn mistakes_of_several_tables_are_found_together() {
    let findings = parse(
        "TOLLGATE_CACHE.ttl = 1\nTOLLGATE_GATE.chunk = 1\n\
         TOLLGATE_ACCOUNTS = { a.tier = 'x', b.tier = 'y' }",
    );
    assert_eq!(findings.unwrap_err().len(), 4);
}

/// Replaces every value in turn.
fn with_each_replaced(value: &Value, by: &Value) -> Vec<Value> {
    match value {
        Value::Object(table) => {
            let each = |(key, value): (&String, &Value)| {
                let with = |replaced| {
                    let mut table = table.clone();
                    table.insert(key.clone(), replaced);
                    Value::Object(table)
                };
                with_each_replaced(value, by).into_iter().map(with).collect::<Vec<_>>()
            };
            table.iter().flat_map(each).chain([by.clone()]).collect()
        }
        Value::Array(_) => vec![by.clone(), Value::Array(vec![by.clone()])],
        _ => vec![by.clone()],
    }
}

#[test]
fn no_value_is_repeated_because_it_may_be_a_secret() {
    let sound: Value = toml::from_str(EVERYTHING).unwrap();
    let replaced = with_each_replaced(&sound, &Value::from("sk-ant-hunter2"));
    assert!(replaced.len() > 50);
    for vars in replaced {
        let Ok(vars) = serde_json::from_value::<BTreeMap<String, Value>>(vars.clone()) else {
            continue;
        };
        let findings = Settings::parse(&vars).expect_err(&format!("{vars:?}"));
        assert!(!format!("{findings:?}").contains("hunter2"), "{findings:?}");
    }
    let findings = parse("TOLLGATE_SECRET = 'hunter2'").unwrap_err();
    assert!(!format!("{findings:?}").contains("hunter2"));
}

#[test]
fn loopback_and_https_are_the_only_base_urls() {
    for url in [
        "http://localhost",
        "http://localhost:8080",
        "http://127.8.9.1:1",
        "http://[::1]:80",
        "https://[2001:db8::1]:8443/x",
        "https://gateway.example/anthropic",
    ] {
        let vars = format!("TOLLGATE_ACCOUNTS.a.base_url = '{url}'");
        assert_eq!(parse(&vars).expect(url).accounts["a"].base_url.as_str(), url);
    }
}

/// Names of accounts and routes apart, every key that can be set.
fn keys_of(value: &Value, keys: &mut Vec<String>) {
    for (key, value) in value.as_object().into_iter().flatten() {
        keys.push(key.clone());
        keys_of(value, keys);
    }
}

#[test]
fn every_key_is_in_the_documentation() {
    let docs = include_str!("../../../docs/configure.md");
    let settings = parse("TOLLGATE_ACCOUNTS.a.headroom.rpm = '1%'").unwrap();
    let mut keys = Vec::new();
    keys_of(&serde_json::to_value(&settings.accounts["a"]).unwrap(), &mut keys);
    keys_of(&serde_json::to_value(Route::default()).unwrap(), &mut keys);
    keys_of(&serde_json::to_value(&settings.gate).unwrap(), &mut keys);
    keys_of(&serde_json::to_value(settings.cache).unwrap(), &mut keys);
    assert!(keys.len() > 30, "{keys:?}");
    let words: Vec<&str> = docs
        .split('`')
        .skip(1)
        .step_by(2)
        .flat_map(|code| code.split(|c: char| !c.is_alphanumeric() && c != '_'))
        .collect();
    let missing: Vec<_> = keys.iter().filter(|key| !words.contains(&key.as_str())).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn places_are_set_by_class_and_bounded() {
    let told = |limits: &str| {
        parse(&format!("TOLLGATE_ACCOUNTS.a = {{ tier = 'start', limits = {{ {limits} }} }}"))
    };
    let limits = told("'*' = { concurrent = 10 }, sonnet-5-5 = { concurrent = 5 }").unwrap();
    let limits = &limits.gate_settings().accounts["a"].limits;
    let of = |class: &str| limits[class].concurrent;
    assert_eq!((of("sonnet-5-5"), of("opus-5-5"), of("count_tokens")), (Some(5), Some(10), None));
    assert_eq!(limits["sonnet-5-5"].rpm, Some(1_000), "beside what the tier is known for");
    assert!(told("'*' = { concurrent = 0 }").is_err());
}

//! The way of a request, driven as the carrier drives it, without a runtime.

mod delivery;
mod idempotency;
mod leases;
mod pages;
mod refusals;

use std::collections::BTreeMap;

use keys::{Claims, Keyring, Kind};
use limits::message::{
    Call as GateCall, Decision, Event, PolicyView, Priority, Reason, Refusal, Reply, Used, VERSION,
    View,
};

use super::*;
use crate::isolate::Deployment;

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const PROVIDER_KEY: &str = "sk-ant-the-providers-own-key";
const NOW: Millis = 1_800_000_000_000;

/// One gate's isolate and a client of it.
struct World {
    isolate: Isolate,
    key: String,
    id: String,
}

impl World {
    fn new() -> Self {
        Self::with(serde_json::json!({}))
    }

    /// With more variables.
    fn with(variables: serde_json::Value) -> Self {
        let variables: BTreeMap<String, serde_json::Value> =
            serde_json::from_value(variables).unwrap();
        let secret = |name: &str| match name {
            "TOLLGATE_SECRET" => Some(SECRET.to_owned()),
            "ANTHROPIC_API_KEY" => Some(PROVIDER_KEY.to_owned()),
            _ => None,
        };
        let mut isolate = Isolate::default();
        isolate.deployment = Some(Deployment::new(
            &variables,
            secret,
            [("GATE", true), ("RELAY", true), ("CACHE", true), ("ASSETS", true)],
        ));
        isolate.at_cloudflare = true;
        let mut world = Self { isolate, key: String::new(), id: String::new() };
        (world.key, world.id) = world.key_of("acme");
        world
    }

    fn key_of(&self, tenant: &str) -> (String, String) {
        let claims = Claims::tenant_key(Kind::Secret, tenant, keys::key_id([7; 7]));
        let key = Keyring::new(SECRET.as_bytes(), &[]).unwrap().sign(&claims).unwrap();
        (key, claims.id)
    }

    fn head(&mut self, headers: &[(&str, &str)]) -> Head {
        let mut all = Headers::default();
        all.add("x-api-key", &self.key);
        all.add("anthropic-version", "2026-10-21");
        all.add("content-type", "application/json");
        headers.iter().for_each(|(name, value)| all.add(name, value));
        let id = self.isolate.request_id();
        Head {
            id,
            method: "POST".into(),
            path: "/v1/messages".into(),
            query: String::new(),
            headers: all,
        }
    }

    fn begin(&mut self, headers: &[(&str, &str)]) -> Result<Passage, Problem> {
        let head = self.head(headers);
        Passage::begin(&mut self.isolate, head, Endpoint::Post(Api::Messages), NOW)
            .map_err(|(_, problem)| problem)
    }

    /// A request whose body was read, and its policy fetched.
    fn asked(&mut self, headers: &[(&str, &str)], body: &str) -> Passage {
        let mut passage = self.begin(headers).unwrap();
        passage.read(body.as_bytes());
        passage.parsed(&mut self.isolate, NOW);
        if passage.step() == Step::Ask && passage.gate_method() == GateMethod::View {
            let view = serde_json::to_string(&self.view()).unwrap();
            passage.replied(&mut self.isolate, &view, NOW);
        }
        passage
    }

    /// One that the Gate let through and whose attempt has begun.
    fn sent(&mut self, headers: &[(&str, &str)], body: &str) -> Passage {
        let mut passage = self.asked(headers, body);
        self.grant(&mut passage);
        passage
    }

    fn grant(&mut self, passage: &mut Passage) {
        assert_eq!((passage.step(), passage.gate_method()), (Step::Ask, GateMethod::Admit));
        let text = passage.gate_message(&mut self.isolate, NOW);
        let _: GateCall = serde_json::from_str(&text).unwrap();
        self.decide(passage, Decision::Granted { waited_ms: 0 });
        assert_eq!(passage.step(), Step::Send);
        passage.upstream(&self.isolate, NOW);
    }

    fn decide(&mut self, passage: &mut Passage, decision: Decision) {
        let reply = Reply {
            v: VERSION,
            decision: Some(decision),
            policy: None,
            lease: None,
            started_ms: 0,
        };
        passage.replied(&mut self.isolate, &serde_json::to_string(&reply).unwrap(), NOW);
    }

    fn view(&self) -> View {
        let policy = PolicyView {
            version: 1,
            known: true,
            keys: vec![self.id.clone()],
            models: Vec::new(),
            cache: None,
            priority_default: Priority::Normal,
            priority_highest: Priority::Critical,
            publishable: None,
        };
        View {
            v: VERSION,
            policy,
            limits: Vec::new(),
            account_limits: Vec::new(),
            available: Vec::new(),
            queue_ms: [0; 3],
            calibrations: Vec::new(),
        }
    }
}

fn body(more: &str) -> String {
    format!(
        r#"{{"model":"claude-sonnet-5-5","max_tokens":100,{more}"messages":[{{"role":"user","content":"Wie geht es dir?"}}]}}"#
    )
}

fn headers(list: &[(&str, &str)]) -> Headers {
    let mut headers = Headers::default();
    list.iter().for_each(|(name, value)| headers.add(name, value));
    headers
}

fn events(passage: &mut Passage) -> Vec<Event> {
    std::iter::from_fn(|| passage.take_report())
        .map(|text| serde_json::from_str(&text).unwrap())
        .collect()
}

fn settled(events: &[Event]) -> Vec<Used> {
    let used = |event: &Event| match event {
        Event::Settled(settle) => Some(settle.used),
        _ => None,
    };
    events.iter().filter_map(used).collect()
}

const ANSWER: &str = r#"{"id":"msg_1","type":"message","role":"assistant","model":"claude-sonnet-5-5","content":[],"stop_reason":"end_turn","usage":{"input_tokens":12,"cache_read_input_tokens":5,"cache_creation_input_tokens":0,"output_tokens":34}}"#;
const START: &str = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"model\":\"claude-sonnet-5-5\",\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"content\":[],\"stop_reason\":null,\"usage\":{\"input_tokens\":12,\"output_tokens\":1}}}\n\nevent: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\nevent: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"Danke, gut.\"}}\n\n";
const END: &str = "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":34}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";

#[test]
fn a_request_is_admitted_sent_answered_and_settled_once() {
    let mut world = World::new();
    let mut passage = world.sent(&[], &body(""));
    passage.response(
        &mut world.isolate,
        200,
        headers(&[
            ("content-type", "application/json"),
            ("request-id", "req_1"),
            ("anthropic-ratelimit-requests-limit", "1000"),
            ("anthropic-ratelimit-requests-remaining", "999"),
            ("set-cookie", "a=b"),
            ("anthropic-organization-id", "org"),
        ]),
        NOW,
    );
    assert_eq!(passage.step(), Step::Whole);
    passage.whole(ANSWER.as_bytes(), NOW);
    assert_eq!((passage.step(), passage.passes_body()), (Step::Answer, true));
    let told = events(&mut passage);
    assert!(matches!(&told[0], Event::Observed(o) if o.status == 200 && o.requests.is_some()));
    // $2 and $10 a million tokens, cache reads at $0.10 (docs of 2026-11).
    let used =
        Used::Tokens { input: 12, input_total: 17, output: 34, microusd: 365, estimated: false };
    assert_eq!(settled(&told), [used], "{told:?}");
    let down = &passage.answer().headers;
    assert_eq!(down.get("request-id"), Some("req_1"));
    assert_eq!(down.get("x-tollgate-cost-microusd"), Some("365"));
    for hidden in ["set-cookie", "anthropic-organization-id", "anthropic-ratelimit-requests-limit"]
    {
        assert_eq!(down.get(hidden), None, "{hidden} must not come down");
    }
}

#[test]
fn only_a_count_of_nothing_but_its_text_teaches() {
    let search = r#""tools":[{"type":"web_search_20250305","name":"web_search"}],"#;
    let mcp = r#""mcp_servers":[{"type":"url","url":"https://example.com","name":"m"}],"#;
    let fallback = r#""fallbacks":[{"model":"claude-haiku-4-5"}],"#;
    let tool = r#""tools":[{"name":"t","input_schema":{"type":"object"}}],"#;
    let system = r#""system":"Be brief.","#;
    let image = r#"{"type":"image","source":{"type":"url","url":"https://example.com/a.png"}}"#;
    let with_image = body("").replace(r#""Wie geht es dir?""#, &format!("[{image}]"));
    for (request, teaches) in [
        (body(""), true),
        (body(system), true),
        (body(tool), true),
        (body(search), false),
        (body(mcp), false),
        (body(fallback), false),
        (with_image, false),
    ] {
        let mut world = World::new();
        let mut passage = world.sent(&[], &request);
        let json = headers(&[("content-type", "application/json")]);
        passage.response(&mut world.isolate, 200, json, NOW);
        passage.whole(ANSWER.as_bytes(), NOW);
        let kinds = events(&mut passage).iter().find_map(|event| match event {
            Event::Settled(settle) => Some(settle.kinds),
            _ => None,
        });
        assert_eq!(kinds.expect("it ended") != [0; 8], teaches, "{request}");
    }
}

#[test]
fn headers_go_up_by_allow_list_with_the_providers_key_only() {
    let mut world = World::new();
    let mut passage = world.asked(
        &[
            ("cookie", "c"),
            ("x-forwarded-for", "1.2.3.4"),
            ("x-tollgate-user", "u1"),
            ("anthropic-beta", "b1"),
        ],
        &body(""),
    );
    let message = passage.gate_message(&mut world.isolate, NOW);
    assert!(!message.contains(&world.key) && !message.contains("Wie geht"), "{message}");
    world.decide(&mut passage, Decision::Granted { waited_ms: 0 });
    let up = passage.upstream(&world.isolate, NOW);
    assert_eq!(up.url, "https://api.anthropic.com/v1/messages");
    assert_eq!(up.headers.get("x-api-key"), Some(PROVIDER_KEY));
    assert_eq!(up.headers.get("anthropic-beta"), Some("b1"));
    assert!(!up.headers.flat().contains(&world.key));
    for name in ["cookie", "x-forwarded-for", "x-tollgate-user", "authorization"] {
        assert_eq!(up.headers.get(name), None, "{name} must not go up");
    }
}

#[test]
fn a_complete_stream_is_settled_by_its_usage_and_ends_as_it_came() {
    let mut world = World::new();
    let mut passage = world.sent(&[], &body(r#""stream":true,"#));
    passage.response(
        &mut world.isolate,
        200,
        headers(&[("content-type", "text/event-stream; charset=utf-8")]),
        NOW,
    );
    assert_eq!(passage.step(), Step::Relay);
    passage.chunk(START.as_bytes());
    passage.chunk(END.as_bytes());
    assert_eq!(passage.ended(Close::Complete, NOW), "");
    let [Used::Tokens { input: 12, output: 34, estimated: false, .. }] =
        settled(&events(&mut passage))[..]
    else {
        panic!()
    };
    assert_eq!(passage.ended(Close::Complete, NOW), "", "twice is once");
    assert!(events(&mut passage).is_empty());
}

#[test]
fn a_stream_without_its_end_is_closed_by_an_error_and_settled_as_estimated() {
    for why in [Close::Complete, Close::Broken, Close::Stalled] {
        let mut world = World::new();
        let mut passage =
            world.sent(&[], &body(r#""stream":true,"thinking":{"type":"disabled"},"#));
        passage.response(
            &mut world.isolate,
            200,
            headers(&[("content-type", "text/event-stream")]),
            NOW,
        );
        passage.chunk(START.as_bytes());
        passage.chunk(b"event: content_block_de");
        let text = passage.ended(why, NOW);
        assert!(
            text.starts_with("\nevent: ping\n\n\nevent: error\ndata: {\"type\":\"error\""),
            "{why:?}: {text}"
        );
        let [Used::Tokens { input: 12, output, estimated: true, .. }] =
            settled(&events(&mut passage))[..]
        else {
            panic!("{why:?}")
        };
        assert!((1..=100).contains(&output), "{output}");
    }
}

#[test]
fn a_client_that_leaves_is_told_to_the_gate_at_each_stage() {
    let mut world = World::new();
    let mut queued = world.asked(&[], &body(""));
    world.decide(&mut queued, Decision::Queued { wait_ms: 500 });
    assert_eq!(queued.gate_method(), GateMethod::Poll);
    queued.left();
    assert!(matches!(&events(&mut queued)[..], [Event::Cancelled { .. }]));
    // The grant that came all the same is given back.
    world.decide(&mut queued, Decision::Granted { waited_ms: 500 });
    assert_eq!(settled(&events(&mut queued)), [Used::Nothing]);

    let mut sent = world.sent(&[], &body(""));
    sent.left();
    sent.unanswered("client left", NOW);
    let [Used::Tokens { output: 100, estimated: true, .. }] = settled(&events(&mut sent))[..]
    else {
        panic!()
    };
}

#[test]
fn one_connect_failure_is_tried_again_and_costs_nothing() {
    let mut world = World::new();
    let mut passage = world.sent(&[], &body(""));
    passage.unanswered("connect(): Connection refused", NOW);
    assert_eq!(passage.step(), Step::Send);
    passage.upstream(&world.isolate, NOW);
    passage.unanswered("connect(): Connection refused", NOW);
    assert_eq!((passage.step(), passage.answer().status), (Step::Answer, 502));
    assert_eq!(settled(&events(&mut passage)), [Used::Nothing]);
}

#[test]
fn a_connection_that_cloudflare_could_not_make_is_tried_once_more() {
    let mut world = World::new();
    let mut passage = world.sent(&[], &body(""));
    passage.response(&mut world.isolate, 522, headers(&[("content-type", "text/html")]), NOW);
    passage.whole(b"<html>", NOW);
    assert_eq!(passage.step(), Step::Send);
    passage.upstream(&world.isolate, NOW);
    passage.response(&mut world.isolate, 522, headers(&[("content-type", "text/html")]), NOW);
    passage.whole(b"<html>", NOW);
    assert_eq!((passage.step(), passage.answer().status), (Step::Answer, 502));
    assert!(!passage.passes_body(), "no page of Cloudflare's, but the provider's JSON");
    assert_eq!(settled(&events(&mut passage)), [Used::Nothing]);
}

#[test]
fn what_may_have_been_sent_is_not_sent_again() {
    let mut world = World::new();
    let mut passage = world.sent(&[], &body(""));
    passage.unanswered("Network connection lost.", NOW);
    assert_eq!((passage.step(), passage.answer().status), (Step::Answer, 502));
    let [Used::Tokens { output: 100, estimated: true, .. }] = settled(&events(&mut passage))[..]
    else {
        panic!()
    };
}

#[test]
fn every_model_that_the_body_names_must_be_allowed() {
    let mut world = World::new();
    let only = PolicyView { models: vec!["claude-sonnet-*".into()], ..world.view().policy };
    world.isolate.learn_policy("acme", only, NOW);
    assert_eq!(world.asked(&[], &body("")).step(), Step::Ask);
    let other = body("").replace("claude-sonnet-5-5", "claude-opus-5-5");
    let mut refused = world.asked(&[], &other);
    assert_eq!((refused.step(), refused.answer().status), (Step::Answer, 403));
}

#[test]
fn bad_credentials_die_at_the_door() {
    let mut world = World::new();
    let key = world.key.clone();
    let forged = format!("{}x", &key[..key.len() - 1]);
    let admin = Keyring::new(SECRET.as_bytes(), &[])
        .unwrap()
        .sign(&Claims::admin(keys::Role::Owner, "adm1"))
        .unwrap();
    for (credential, bearer, code) in [
        (Some(forged.as_str()), None, "tollgate_key_invalid"),
        (Some("sk-ant-1234"), None, "tollgate_not_a_key"),
        (Some(""), None, "tollgate_no_key"),
        (None, None, "tollgate_no_key"),
        (Some(key.as_str()), Some("Bearer other"), "tollgate_two_credentials"),
        (Some(admin.as_str()), None, "tollgate_wrong_key_kind"),
    ] {
        let mut all = Headers::default();
        credential.iter().for_each(|value| all.add("x-api-key", value));
        bearer.iter().for_each(|value| all.add("authorization", value));
        let id = world.isolate.request_id();
        let head = Head {
            id,
            method: "POST".into(),
            path: "/v1/messages".into(),
            query: String::new(),
            headers: all,
        };
        let (head, problem) =
            Passage::begin(&mut world.isolate, head, Endpoint::Post(Api::Messages), NOW)
                .err()
                .unwrap();
        assert_eq!(problem.code, code);
        let answer = problem.answer(&head.id);
        let said = String::from_utf8(answer.body).unwrap() + answer.headers.flat();
        assert!(
            credential.is_none_or(|key| key.is_empty() || !said.contains(key)),
            "{code} repeats the key"
        );
    }
    let head = world.head(&[("authorization", &format!("Bearer {key}"))]);
    assert!(
        Passage::begin(&mut world.isolate, head, Endpoint::Post(Api::Messages), NOW).is_ok(),
        "the same one twice is one"
    );
}

#[test]
fn cache_keys_are_the_tenants_and_the_users_own() {
    let on = serde_json::json!({ "TOLLGATE_CACHE": { "enabled": true } });
    let key = |world: &mut World, list: &[(&str, &str)], body: &str| {
        let passage = world.asked(list, body);
        assert_eq!(passage.step(), Step::Look);
        passage.cache().unwrap().key.clone()
    };
    let mut acme = World::with(on.clone());
    let mut globex = World::with(on);
    (globex.key, globex.id) = globex.key_of("globex");
    let plain = key(&mut acme, &[], &body(""));
    let spaced = body("").replace(",\"", ", \"").replace(
        "{\"model\":\"claude-sonnet-5-5\", \"max_tokens\":100",
        "{\"max_tokens\":100, \"model\":\"claude-sonnet-5-5\"",
    );
    assert_eq!(plain, key(&mut acme, &[], &spaced), "order and blanks do not matter");
    assert_ne!(plain, key(&mut globex, &[], &body("")), "another tenant");
    assert_ne!(plain, key(&mut acme, &[("x-tollgate-user", "u1")], &body("")), "an end user");
    assert_ne!(plain, key(&mut acme, &[], &body(r#""stream":true,"#)), "a stream");
    assert_ne!(plain, key(&mut acme, &[("anthropic-beta", "b")], &body("")), "a beta");
    assert_eq!(acme.asked(&[("x-tollgate-cache", "skip")], &body("")).step(), Step::Ask);
}

#[test]
fn only_complete_successful_answers_are_kept() {
    let on = serde_json::json!({ "TOLLGATE_CACHE": { "enabled": true } });
    let mut world = World::with(on);
    let sent = |world: &mut World, body: &str| {
        let mut passage = world.asked(&[], body);
        passage.looked(None, Vec::new());
        world.grant(&mut passage);
        passage
    };
    let mut whole = sent(&mut world, &body(""));
    whole.response(&mut world.isolate, 200, headers(&[]), NOW);
    whole.whole(ANSWER.as_bytes(), NOW);
    assert!(whole.cache().is_some());
    let mut error = sent(&mut world, &body(""));
    error.response(&mut world.isolate, 500, headers(&[]), NOW);
    error.whole(b"{}", NOW);
    assert!(error.cache().is_none());
    let mut cut = sent(&mut world, &body(r#""stream":true,"#));
    cut.response(&mut world.isolate, 200, headers(&[("content-type", "text/event-stream")]), NOW);
    cut.chunk(START.as_bytes());
    cut.ended(Close::Complete, NOW);
    assert!(cut.cache().is_none());
}

#[test]
fn all_headers_are_read_of_errors_of_news_and_for_the_accounts_owner() {
    let mut world = World::new();
    let passage = world.sent(&[], &body(""));
    assert!(passage.reads_all(&mut world.isolate, 200, NOW), "the first of this pool");
    assert!(!passage.reads_all(&mut world.isolate, 200, NOW + 1));
    assert!(passage.reads_all(&mut world.isolate, 429, NOW + 1), "an error");
    assert!(passage.reads_all(&mut world.isolate, 200, NOW + 1_000), "news by then");
}

#[test]
fn models_need_no_leave_of_the_gate_but_a_key_that_lives() {
    let mut world = World::new();
    let models = |world: &mut World| {
        let mut head = world.head(&[]);
        head.method = "GET".into();
        let endpoint = Endpoint::Unmetered("/v1/models".into());
        Passage::begin(&mut world.isolate, head, endpoint, NOW)
            .map_err(|(_, problem)| problem)
            .unwrap()
    };
    let view = world.view();
    assert_eq!(models(&mut world).gate_method(), GateMethod::View, "nothing is known yet");
    world.isolate.learn_policy("acme", view.policy.clone(), NOW);
    assert_eq!(models(&mut world).step(), Step::Send);
    world.isolate.learn_policy("acme", PolicyView { keys: Vec::new(), ..view.policy }, NOW);
    let unknown = models(&mut world);
    assert_eq!(
        (unknown.step(), unknown.gate_method()),
        (Step::Ask, GateMethod::View),
        "revoked, or newer than the copy"
    );
}

#[test]
fn a_revoked_key_gets_nothing_from_the_cache() {
    let on = serde_json::json!({ "TOLLGATE_CACHE": { "enabled": true } });
    let mut world = World::with(on);
    let revoked = PolicyView { keys: Vec::new(), ..world.view().policy };
    world.isolate.learn_policy("acme", revoked.clone(), NOW);
    let mut passage = world.begin(&[]).unwrap();
    passage.read(body("").as_bytes());
    passage.parsed(&mut world.isolate, NOW);
    assert_eq!((passage.step(), passage.gate_method()), (Step::Ask, GateMethod::View));
    let view = View { policy: revoked, ..world.view() };
    passage.replied(&mut world.isolate, &serde_json::to_string(&view).unwrap(), NOW);
    assert_eq!((passage.step(), passage.answer().status), (Step::Answer, 401));
}

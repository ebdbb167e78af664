//! What pages may do, by publishable keys and visitor tokens.

use super::*;

/// A page's world: its tenant allows little.
fn page(kind: Kind, change: impl Fn(&mut Claims)) -> World {
    let mut world = World::new();
    let mut claims = Claims::tenant_key(kind, "acme", "pagekey234");
    if kind == Kind::Visitor {
        claims.user = Some("ann".into());
        claims.minted_by = Some(world.id.clone());
        claims.expires_ms = Some(NOW + 1_000);
    } else {
        world.id = claims.id.clone();
    }
    change(&mut claims);
    world.key = Keyring::new(SECRET.as_bytes(), &[]).unwrap().sign(&claims).unwrap();
    let table = limits::message::PublishableView {
        origins: vec![ORIGIN.into()],
        models: vec!["claude-sonnet-*".into(), "claude-haiku-4-5".into()],
        max_tokens: 100,
        betas: vec!["good-2026-01-01".into()],
        system: None,
    };
    let policy = PolicyView { publishable: Some(table), ..world.view().policy };
    world.isolate.learn_policy("acme", policy, NOW);
    world
}

const ORIGIN: &str = "https://app.example";
const FROM: (&str, &str) = ("origin", ORIGIN);

/// Status and text of the refusal, before anything was asked.
fn refusal(world: &mut World, headers: &[(&str, &str)], body: &str) -> (u16, String) {
    let answer = match world.begin(headers) {
        Err(problem) => problem.answer("r"),
        Ok(mut passage) => {
            passage.read(body.as_bytes());
            passage.parsed(&mut world.isolate, NOW);
            assert_eq!(passage.step(), Step::Answer, "{headers:?} {body}");
            std::mem::take(passage.answer())
        }
    };
    (answer.status, String::from_utf8(answer.body).unwrap())
}

#[test]
fn a_page_may_ask_what_its_tenant_allows() {
    for kind in [Kind::Publishable, Kind::Visitor] {
        let mut world = page(kind, |_| {});
        let address = ("cf-connecting-ip", "2001:db8::7");
        for (beta, more) in [
            ("", ""),
            ("good-2026-01-01", r#""temperature":1,"stop_sequences":["x"],"#),
            (
                "",
                r#""system":"Mine.","tools":[{"name":"t","input_schema":{}},{"type":"bash_20250124","name":"bash"}],"#,
            ),
        ] {
            let list = [FROM, address, ("anthropic-beta", beta), ("x-stainless-lang", "js")];
            let mut passage = world.asked(&list, &body(more));
            assert_eq!((passage.step(), passage.gate_method()), (Step::Ask, GateMethod::Admit));
            assert!(!passage.borrow(&mut world.isolate, NOW), "a page is lent nothing");
            let text = passage.gate_message(&mut world.isolate, NOW);
            let admit = serde_json::from_str::<GateCall>(&text).unwrap().admit.unwrap();
            let user =
                if kind == Kind::Visitor { "visitor ann" } else { "address 2001:db8:0:0::/64" };
            assert_eq!(
                (admit.key.as_str(), admit.user.as_deref()),
                (world.id.as_str(), Some(user))
            );
        }
    }
}

#[test]
fn what_a_page_may_not_ask_is_refused_by_its_field() {
    let ok = body("");
    for kind in [Kind::Publishable, Kind::Visitor] {
        let mut world = page(kind, |_| {});
        let headers: [(&[(&str, &str)], &str); 11] = [
            (&[], "origin"),
            (&[("origin", "https://evil.example")], "origin"),
            (&[("origin", "null")], "origin"),
            (&[("origin", "https://app.example.evil.example")], "origin"),
            (&[FROM, ("x-tollgate-user", "bob")], "x-tollgate-user"),
            (&[FROM, ("x-tollgate-priority", "critical")], "x-tollgate-priority"),
            (&[FROM, ("x-tollgate-max-wait", "600")], "x-tollgate-max-wait"),
            (&[FROM, ("x-tollgate-cache", "only")], "x-tollgate-cache"),
            (&[FROM, ("x-tollgate-anything", "")], "x-tollgate-anything"),
            (&[FROM, ("idempotency-key", "k")], "idempotency-key"),
            (
                &[FROM, ("anthropic-beta", "good-2026-01-01, files-api-2025-04-14")],
                "anthropic-beta",
            ),
        ];
        for (list, field) in headers {
            let (status, text) = refusal(&mut world, list, &ok);
            assert_eq!(status, 403, "{text}");
            assert!(text.contains(&format!(r#""message":"{field}: "#)), "{field}: {text}");
        }
        for (more, field) in [
            (r#""betas":["files-api-2025-04-14"],"#, "anthropic-beta"),
            (r#""tools":[{"type":"web_search_20250305","name":"web_search"}],"#, "tools"),
            (r#""tools":[{"type":"code_execution_20250825","name":"c"}],"#, "tools"),
            (r#""tools":[{"type":"unknown_20300101","name":"c"}],"#, "tools"),
            (
                r#""tools":[{"type":"advisor_20260301","name":"a","model":"claude-sonnet-5-5"}],"#,
                "tools",
            ),
            (
                r#""mcp_servers":[{"type":"url","url":"https://x.example","name":"x"}],"#,
                "mcp_servers",
            ),
            (r#""speed":"fast","#, "speed"),
            (r#""container":{"skills":[]},"#, "container"),
            (r#""cont\u0061iner":"c","#, "container"),
            (r#""context_management":{},"#, "context_management"),
            (r#""fallbacks":"default","#, "fallbacks"),
            (r#""fallbacks":[{"model":"claude-opus-5-5"}],"#, "model"),
            (r#""fallbacks":[{"model":"claude-haiku-4-5","max_tokens":101}],"#, "max_tokens"),
            (r#""thread":{"id":"t"},"#, "thread"),
            (r#""service_tier":"auto","#, "service_tier"),
            (r#""inference_geo":"us","#, "inference_geo"),
            (r#""anything":1,"#, "anything"),
        ] {
            let (status, text) = refusal(&mut world, &[FROM], &body(more));
            assert_eq!(status, 403, "{more}: {text}");
            assert!(text.contains(&format!(r#""message":"{field}: "#)), "{field}: {text}");
        }
        for (from, to, field) in [
            ("claude-sonnet-5-5", "claude-opus-5-5", "model"),
            (":100,", ":101,", "max_tokens"),
            (
                r#""Wie geht es dir?""#,
                r#"[{"type":"image","source":{"type":"file","file_id":"f"}}]"#,
                "file_id",
            ),
            (r#""Wie geht es dir?""#, r#"[{"type":"container_upload","file_id":"f"}]"#, "file_id"),
        ] {
            let (status, text) = refusal(&mut world, &[FROM], &ok.replace(from, to));
            assert_eq!(status, 403, "{to}: {text}");
            assert!(text.contains(&format!(r#""message":"{field}: "#)), "{field}: {text}");
        }
        // Neither by the list of models, nor by a file, nor by what is passed through.
        let mut head = world.head(&[FROM]);
        head.method = "GET".into();
        let unmetered = Endpoint::Unmetered("/v1/models".into());
        let refused = Passage::begin(&mut world.isolate, head, unmetered, NOW).err().unwrap().1;
        assert_eq!((refused.status, refused.code), (403, "tollgate_publishable_key"));
    }
}

#[test]
fn a_fixed_system_prompt_is_sent_to_the_letter() {
    let mut world = page(Kind::Publishable, |_| {});
    let mut policy = world.isolate.policy("acme", NOW).unwrap().clone();
    policy.publishable.as_mut().unwrap().system = Some("Sei nett. 🙂".into());
    world.isolate.learn_policy("acme", policy, NOW);
    for right in [
        r#""system":"Sei nett. 🙂","#,
        r#""system":"Sei nett. \ud83d\ude42","#,
        r#""system":[{"type":"text","text":"Sei nett. 🙂"}],"#,
        r#""system":[{"type":"text","text":"Sei nett. 🙂","cache_control":{"type":"ephemeral"}}],"#,
    ] {
        assert_eq!(world.asked(&[FROM], &body(right)).step(), Step::Ask, "{right}");
    }
    for wrong in [
        "",
        r#""system":null,"#,
        r#""system":"Sei nett. ","#,
        r#""system":"Sei nett. 🙂🙂","#,
        r#""system":[],"#,
        r#""system":[{"type":"text","text":"Sei nett."},{"type":"text","text":" 🙂"}],"#,
        r#""system":[{"type":"text","text":"Sei nett. 🙂"},{"type":"text","text":"Nein."}],"#,
        r#""system":[{"type":"text","text":"Sei nett. 🙂","citations":null}],"#,
    ] {
        let (status, text) = refusal(&mut world, &[FROM], &body(wrong));
        assert!(status == 403 && text.contains(r#""message":"system: "#), "{wrong}: {text}");
    }
    let more = body(r#""system":"Sei nett. 🙂","#)
        .replace(r#""messages":["#, r#""messages":[{"role":"system","content":"No."},"#);
    let (status, text) = refusal(&mut world, &[FROM], &more);
    assert!(status == 403 && text.contains(r#""message":"messages: "#), "{text}");
}

#[test]
fn a_visitor_token_narrows_further_and_dies_with_its_key() {
    let narrow = |claims: &mut Claims| {
        claims.models = vec!["claude-haiku-*".into()];
        (claims.tokens, claims.microusd) = (Some(5_000), Some(7));
    };
    let mut world = page(Kind::Visitor, narrow);
    let (status, text) = refusal(&mut world, &[FROM], &body(""));
    assert!(status == 403 && text.contains("tollgate_model_not_allowed"), "{text}");
    let haiku = body("").replace("claude-sonnet-5-5", "claude-haiku-4-5");
    let mut passage = world.asked(&[FROM], &haiku);
    let text = passage.gate_message(&mut world.isolate, NOW);
    let bounds = serde_json::from_str::<GateCall>(&text).unwrap().visitor.unwrap();
    assert_eq!((bounds.tokens, bounds.microusd), (Some(5_000), Some(7)));
    // A larger one than the table allows it is not.
    let mut wide = page(Kind::Visitor, |claims| claims.models = vec!["*".into()]);
    let opus = body("").replace("claude-sonnet-5-5", "claude-opus-5-5");
    assert_eq!(refusal(&mut wide, &[FROM], &opus).0, 403);

    let policy = world.isolate.policy("acme", NOW).unwrap().clone();
    let revoked = PolicyView { keys: Vec::new(), ..policy };
    world.isolate.learn_policy("acme", revoked.clone(), NOW);
    let mut passage = world.begin(&[FROM]).unwrap();
    passage.read(haiku.as_bytes());
    passage.parsed(&mut world.isolate, NOW);
    assert_eq!((passage.step(), passage.gate_method()), (Step::Ask, GateMethod::View));
    let view = View { policy: revoked, ..world.view() };
    passage.replied(&mut world.isolate, &serde_json::to_string(&view).unwrap(), NOW);
    assert_eq!((passage.step(), passage.answer().status), (Step::Answer, 401));
}

#[test]
fn a_page_never_goes_unasked_nor_hears_of_others_levels() {
    let open = serde_json::json!({ "TOLLGATE_ACCOUNTS": { "anthropic": { "fail": "open" } } });
    let mut world = World::with(open);
    let pages = page(Kind::Publishable, |_| {});
    (world.key, world.id) = (pages.key, pages.id);
    for known in [false, true] {
        if known {
            let policy = pages.isolate.policy("acme", NOW).unwrap().clone();
            world.isolate.learn_policy("acme", policy, NOW);
        }
        let mut passage = world.begin(&[FROM]).unwrap();
        passage.read(body("").as_bytes());
        passage.parsed(&mut world.isolate, NOW);
        passage.gate_failed(&world.isolate, false);
        assert_eq!((passage.step(), passage.answer().status), (Step::Answer, 503));
    }
    let limit = |scope: &str| limits::message::LimitView {
        scope: scope.into(),
        kind: "requests".into(),
        level: 17,
        capacity: 4_321,
        per_s: 72,
        per_minute: 4_321,
        resets_ms: 60_000,
        held: 0,
        models: Vec::new(),
    };
    for (reason, scope, is_told) in [
        (Reason::UserLimit, "visitor", true),
        (Reason::TenantLimit, "tenant", false),
        (Reason::BudgetSpent, "publishable", false),
    ] {
        let mut passage = world.asked(&[FROM], &body(""));
        let refusal =
            Refusal { reason, retry_after_ms: Some(600), limit: Some(limit(scope).into()) };
        world.decide(&mut passage, Decision::Refused(refusal));
        assert_eq!((passage.step(), passage.answer().status), (Step::Answer, 429));
        let all = String::from_utf8(passage.answer().body.clone()).unwrap()
            + passage.answer().headers.flat();
        assert_eq!(all.contains("4321"), is_told, "{all}");
    }
}

#[test]
fn people_who_share_an_address_share_no_answers() {
    let on = serde_json::json!({ "TOLLGATE_CACHE": { "enabled": true } });
    for (kind, caches) in [(Kind::Publishable, false), (Kind::Visitor, true)] {
        let mut world = World::with(on.clone());
        let pages = page(kind, |_| {});
        (world.key, world.id) = (pages.key, pages.id);
        let policy = pages.isolate.policy("acme", NOW).unwrap().clone();
        world.isolate.learn_policy("acme", policy, NOW);
        assert_eq!(world.asked(&[FROM], &body("")).step() == Step::Look, caches, "{kind:?}");
    }
}

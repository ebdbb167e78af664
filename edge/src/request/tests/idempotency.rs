//! A request with an idempotency key, step by step.

use super::*;

const KEY: (&str, &str) = ("idempotency-key", "k1");

fn ask(world: &mut World, headers: &[(&str, &str)], body: &str) -> (Passage, Vec<String>) {
    let passage = world.asked(headers, body);
    assert_eq!(passage.step(), Step::Claim);
    let ask = passage.claim_ask(NOW).split('\0').map(str::to_owned).collect();
    (passage, ask)
}

#[test]
fn a_key_is_its_tenants_and_end_users_and_a_fingerprint_the_whole_requests() {
    let mut world = World::new();
    let mut of = |headers: &[(&str, &str)], more: &str| ask(&mut world, headers, &body(more)).1;
    let first = of(&[KEY], "");
    assert_eq!(first, of(&[KEY], ""), "the same request");
    assert!(first.iter().take(2).all(|hash| hash.len() == 64), "hashes, and no word: {first:?}");
    for (what, other) in [
        ("body", of(&[KEY], r#""temperature":1,"#)),
        ("beta", of(&[KEY, ("anthropic-beta", "b")], "")),
        ("delivery", of(&[KEY, ("x-tollgate-delivery", "atomic")], "")),
    ] {
        assert_eq!(first[0], other[0], "{what}: the same Relay");
        assert_ne!(first[1], other[1], "{what}: another request");
    }
    let plain = of(&[KEY, ("x-tollgate-delivery", "stream")], "");
    assert_eq!(first, plain, "the same delivery, by its name");
    for (what, other) in [
        ("key", of(&[("idempotency-key", "k2")], "")),
        ("user", of(&[KEY, ("x-tollgate-user", "ann")], "")),
    ] {
        assert_ne!(first[0], other[0], "{what}: another Relay");
    }
    (world.key, world.id) = world.key_of("globex");
    assert_ne!(first[0], ask(&mut world, &[KEY], &body("")).1[0], "another tenant's");
}

#[test]
fn the_first_runs_and_only_its_good_answer_is_kept() {
    for (status, text, keeps_s) in
        [(200, ANSWER, 86_400), (200, "{", 0), (529, r#"{"type":"error"}"#, 0)]
    {
        let mut world = World::new();
        let (mut passage, _) = ask(&mut world, &[KEY], &body(""));
        assert_eq!(passage.keeps_s(), 0, "nothing yet");
        passage.claimed(&world.isolate, Claim::Mine, None, NOW);
        world.grant(&mut passage);
        passage.response(&mut world.isolate, status, headers(&[]), NOW);
        passage.whole(text.as_bytes(), NOW);
        assert_eq!(passage.keeps_s(), keeps_s, "{status} {text}");
    }
}

#[test]
fn a_stream_is_kept_where_it_came_to_its_end() {
    for (parts, keeps_s) in [(&[START, END][..], 86_400), (&[START], 0)] {
        let mut world = World::new();
        let (mut passage, _) = ask(&mut world, &[KEY], &body(r#""stream":true,"#));
        passage.claimed(&world.isolate, Claim::Mine, None, NOW);
        world.grant(&mut passage);
        let kind = headers(&[("content-type", "text/event-stream")]);
        passage.response(&mut world.isolate, 200, kind, NOW);
        parts.iter().for_each(|part| passage.chunk(part.as_bytes()));
        passage.ended(Close::Complete, NOW);
        assert_eq!(passage.keeps_s(), keeps_s);
    }
}

#[test]
fn a_repeat_is_answered_without_the_gate() {
    let mut world = World::new();
    let (mut passage, _) = ask(&mut world, &[KEY], &body(""));
    let meta = r#"{"content_type":"text/event-stream","model":"m","request_id":"req_1"}"#;
    passage.claimed(&world.isolate, Claim::Kept, Some(meta.into()), NOW);
    assert_eq!((passage.step(), passage.passes_body()), (Step::Answer, true));
    let answer = passage.answer();
    let told = ["content-type", "request-id", "x-tollgate-replayed", "x-tollgate-cost-microusd"];
    let told = told.map(|name| answer.headers.get(name).unwrap());
    assert_eq!((answer.status, told), (200, ["text/event-stream", "req_1", "true", "0"]));
    assert!(events(&mut passage).is_empty(), "nothing is charged");
    assert_eq!(passage.keeps_s(), 0, "it is kept already");
}

#[test]
fn who_waits_asks_again_until_its_time_is_over() {
    let mut world = World::new();
    let headers = [KEY, ("x-stainless-timeout", "60")];
    let (mut passage, ask) = ask(&mut world, &headers, &body(""));
    assert_eq!(ask[2], "10000", "a slice");
    passage.claimed(&world.isolate, Claim::Running, None, NOW + 10_000);
    assert_eq!(passage.step(), Step::Claim);
    assert!(passage.claim_ask(NOW + 57_000).ends_with("\u{0}3000"), "the rest");
    passage.claimed(&world.isolate, Claim::Running, None, NOW + 60_000);
    let answer = passage.answer();
    assert_eq!((answer.status, answer.code), (409, Some("tollgate_idempotency_running")));
    assert_eq!(answer.headers.get("x-should-retry"), Some("true"));
}

#[test]
fn a_long_wait_is_few_calls() {
    let mut world = World::new();
    let headers = [KEY, ("x-stainless-timeout", "3600")];
    let (passage, _) = ask(&mut world, &headers, &body(""));
    let left_ms = |now: Millis| passage.claim_ask(now).split('\0').next_back()?.parse().ok();
    let mut calls = 0;
    let mut now = NOW;
    while let Some(parks_ms @ 1..) = left_ms(now) {
        (calls, now) = (calls + 1, now + parks_ms);
    }
    // Workers' free plan: 50 a request, and others are still to come.
    assert!(now >= NOW + 600_000 && calls <= 40, "{calls} in {} ms", now - NOW);
}

#[test]
fn who_waited_in_vain_has_all_its_patience_left() {
    let mut world = World::new();
    let (mut passage, _) = ask(&mut world, &[KEY, ("x-tollgate-max-wait", "5")], &body(""));
    passage.claimed(&world.isolate, Claim::Mine, None, NOW + 40_000);
    let text = passage.gate_message(&mut world.isolate, NOW + 40_000);
    let call: GateCall = serde_json::from_str(&text).unwrap();
    assert_eq!(call.admit.unwrap().patience_ms, 5_000);
}

#[test]
fn a_refusal_that_is_remembered_holds_for_the_first_and_for_no_repeat() {
    let mut world = World::new();
    let mut refused = world.asked(&[], &body(""));
    let refusal =
        Refusal { reason: Reason::BudgetSpent, retry_after_ms: Some(3_600_000), limit: None };
    world.decide(&mut refused, Decision::Refused(refusal));
    let (mut first, _) = ask(&mut world, &[KEY], &body(""));
    first.claimed(&world.isolate, Claim::Mine, None, NOW);
    assert_eq!((first.step(), first.answer().status), (Step::Answer, 429));
    let (mut repeat, _) = ask(&mut world, &[KEY], &body(""));
    repeat.claimed(&world.isolate, Claim::Kept, Some("{}".into()), NOW);
    assert_ne!(repeat.answer().status, 429);
}

#[test]
fn without_its_relay_nothing_is_sent() {
    let mut world = World::new();
    let (mut passage, _) = ask(&mut world, &[KEY], &body(""));
    passage.unclaimed();
    assert_eq!(passage.answer().code, Some("tollgate_relay_unreachable"));
    let (mut other, _) = ask(&mut world, &[KEY], &body(""));
    other.claimed(&world.isolate, Claim::Other, None, NOW);
    assert_eq!((other.step(), other.answer().status), (Step::Answer, 422));
}

#[test]
fn a_key_is_claimed_also_where_the_gate_could_not_be_asked() {
    let mut world = World::with(
        serde_json::json!({ "TOLLGATE_ACCOUNTS": { "anthropic": { "fail": "open" } } }),
    );
    let mut passage = world.begin(&[KEY]).unwrap();
    passage.read(body("").as_bytes());
    passage.parsed(&mut world.isolate, NOW);
    assert_eq!((passage.step(), passage.gate_method()), (Step::Ask, GateMethod::View));
    passage.gate_failed(&world.isolate, false);
    assert_eq!(passage.step(), Step::Claim);
    passage.claimed(&world.isolate, Claim::Mine, None, NOW);
    assert_eq!(passage.step(), Step::Send);
}

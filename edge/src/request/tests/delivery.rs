//! Atomic delivery, step by step.

use super::*;

const ATOMIC: [(&str, &str); 1] = [("x-tollgate-delivery", "atomic")];
const QUIET: &str = r#""thinking":{"type":"disabled"},"#;

fn responded(world: &mut World, passage: &mut Passage, kind: &str) {
    passage.response(&mut world.isolate, 200, headers(&[("content-type", kind)]), NOW);
}

/// The next attempt of a passage whose last one broke.
fn again(world: &mut World, passage: &mut Passage) -> u32 {
    let text = passage.gate_message(&mut world.isolate, NOW);
    let call: GateCall = serde_json::from_str(&text).unwrap();
    world.decide(passage, Decision::Granted { waited_ms: 0 });
    passage.upstream(&world.isolate, NOW);
    call.admit.unwrap().attempt
}

#[test]
fn a_broken_stream_is_settled_and_asked_again_for() {
    let mut world = World::new();
    let mut passage = world.sent(&ATOMIC, &body(&format!(r#""stream":true,{QUIET}"#)));
    responded(&mut world, &mut passage, "text/event-stream");
    assert_eq!(passage.step(), Step::Hold);
    passage.chunk(START.as_bytes());
    passage.broke(Close::Broken, NOW);
    assert_eq!((passage.step(), passage.gate_method()), (Step::Ask, GateMethod::Admit));
    let [Used::Tokens { input: 12, output, estimated: true, .. }] =
        settled(&events(&mut passage))[..]
    else {
        panic!()
    };
    assert!((1..=100).contains(&output), "{output}");
    assert_eq!(again(&mut world, &mut passage), 1);
    responded(&mut world, &mut passage, "text/event-stream");
    passage.chunk(START.as_bytes());
    passage.chunk(END.as_bytes());
    passage.held(NOW);
    assert_eq!((passage.step(), passage.passes_body()), (Step::Answer, true));
    let [Used::Tokens { output: 34, estimated: false, .. }] = settled(&events(&mut passage))[..]
    else {
        panic!()
    };
    let down = &passage.answer().headers;
    assert_eq!(down.get("x-tollgate-attempts"), Some("2"));
    // 12 tokens at $2 and 34 at $10 a million, and what the broken one may have cost.
    let cost: u64 = down.get("x-tollgate-cost-microusd").unwrap().parse().unwrap();
    assert!(cost > 364, "{cost}");
}

#[test]
fn what_never_comes_whole_is_refused_without_a_time_to_come_back() {
    for kind in ["application/json", "text/event-stream"] {
        let mut world = World::new();
        let mut passage = world.sent(&ATOMIC, &body(""));
        for attempt in 1..=3 {
            responded(&mut world, &mut passage, kind);
            if kind == "application/json" {
                assert_eq!(passage.step(), Step::HoldWhole);
                passage.whole(&ANSWER.as_bytes()[..80], NOW);
            } else {
                passage.chunk(START.as_bytes());
                passage.held(NOW);
            }
            assert_eq!(settled(&events(&mut passage)).len(), 1, "each is settled");
            if attempt < 3 {
                assert_eq!(again(&mut world, &mut passage), attempt);
            }
        }
        let answer = passage.answer();
        assert_eq!((answer.status, answer.code), (502, Some("tollgate_answer_incomplete")));
        assert_eq!(answer.headers.get("x-should-retry"), Some("false"));
    }
}

#[test]
fn a_cut_answer_is_refused_at_once_and_charged_by_its_usage() {
    let mut world = World::new();
    let mut passage = world.sent(&ATOMIC, &body(""));
    responded(&mut world, &mut passage, "application/json");
    passage.whole(ANSWER.replace("end_turn", "max_tokens").as_bytes(), NOW);
    assert_eq!((passage.step(), passage.answer().status), (Step::Answer, 422));
    assert!(!passage.passes_body());
    let [Used::Tokens { output: 34, estimated: false, .. }] = settled(&events(&mut passage))[..]
    else {
        panic!()
    };
}

#[test]
fn nothing_is_asked_again_for_a_client_that_left_or_whose_time_is_over() {
    let mut world = World::new();
    let mut left = world.sent(&ATOMIC, &body(""));
    responded(&mut world, &mut left, "text/event-stream");
    left.left();
    left.broke(Close::Broken, NOW);
    assert_eq!(left.step(), Step::Answer);
    let mut late = world.sent(&[ATOMIC[0], ("x-stainless-timeout", "60")], &body(""));
    assert_eq!(late.upstream(&world.isolate, NOW + 59_000).total_ms, 1_000);
    responded(&mut world, &mut late, "text/event-stream");
    late.broke(Close::Stalled, NOW + 60_000);
    assert_eq!(late.answer().code, Some("tollgate_answer_incomplete"));
}

#[test]
fn an_answer_that_is_kept_is_not_handed_over_as_whole_where_it_may_be_cut() {
    let on = |allow_cut: bool| {
        World::with(serde_json::json!({
            "TOLLGATE_CACHE": { "enabled": true },
            "TOLLGATE_ROUTES": { "claude-sonnet-5-5": { "atomic": { "allow_cut": allow_cut } } },
        }))
    };
    let names = |headers: &[(&str, &str)], allow_cut| {
        let passage = on(allow_cut).asked(headers, &body(""));
        let keyed = [headers, &[("idempotency-key", "k1")]].concat();
        let claim = on(allow_cut).asked(&keyed, &body("")).claim_ask(NOW);
        (passage.cache().unwrap().key.clone(), claim)
    };
    let [plain, atomic, cut] = [names(&[], false), names(&ATOMIC, false), names(&ATOMIC, true)];
    for [one, other] in [[&plain, &atomic], [&plain, &cut], [&atomic, &cut]] {
        assert_ne!(one.0, other.0, "in the cache");
        assert_ne!(one.1, other.1, "under an idempotency key");
    }
    assert_eq!(plain, names(&[], true), "whose delivery is not atomic");
}

#[test]
fn only_the_wait_at_the_gate_is_told_as_such() {
    let mut world = World::new();
    let mut passage = world.asked(&[ATOMIC[0], ("idempotency-key", "k1")], &body(""));
    let mut now = NOW + 40_000;
    // Another one with the key ran for so long.
    passage.claimed(&world.isolate, Claim::Mine, None, now);
    for wait_ms in [300, 20] {
        passage.gate_message(&mut world.isolate, now);
        now += wait_ms;
        let decision = Some(Decision::Granted { waited_ms: 0 });
        let reply = Reply { v: VERSION, decision, policy: None, lease: None, started_ms: 0 };
        passage.replied(&mut world.isolate, &serde_json::to_string(&reply).unwrap(), now);
        passage.upstream(&world.isolate, now);
        responded(&mut world, &mut passage, "text/event-stream");
        now += 5_000;
        if wait_ms == 300 {
            passage.broke(Close::Broken, now);
        }
    }
    assert_eq!(passage.answer().headers.get("x-tollgate-wait-ms"), Some("320"));
}

#[test]
fn a_plain_request_is_neither_held_nor_repeated() {
    let mut world = World::new();
    let mut passage = world.sent(&[("x-tollgate-delivery", "stream")], &body(""));
    responded(&mut world, &mut passage, "application/json");
    assert_eq!(passage.step(), Step::Whole);
    passage.broke(Close::Broken, NOW);
    assert_eq!(passage.answer().code, Some("tollgate_upstream_broken"));
}

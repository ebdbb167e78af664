//! What the provider or the Gate refuses, and a Gate that does not answer.

use super::*;

#[test]
fn a_429_before_the_first_byte_goes_back_to_its_place() {
    let mut world = World::new();
    let mut passage = world.sent(&[], &body(""));
    passage.response(&mut world.isolate, 429, headers(&[("retry-after", "3")]), NOW);
    passage.whole(br#"{"type":"error","error":{"type":"rate_limit_error","message":"x"}}"#, NOW);
    assert_eq!((passage.step(), passage.gate_method()), (Step::Ask, GateMethod::Admit));
    let told = events(&mut passage);
    assert!(told.iter().any(|event| matches!(event, Event::Observed(o) if o.status == 429 && o.retry_after_ms == Some(3000))));
    assert_eq!(settled(&told), [Used::Nothing]);
    let call: GateCall =
        serde_json::from_str(&passage.gate_message(&mut world.isolate, NOW + 9)).unwrap();
    let admit = call.admit.unwrap();
    assert_eq!((admit.attempt, admit.asked_ms), (1, NOW), "the same place");
}

#[test]
fn a_spend_cap_reaches_the_client_and_is_not_retried() {
    let mut world = World::new();
    let mut passage = world.sent(&[], &body(""));
    passage.response(&mut world.isolate, 429, headers(&[]), NOW);
    passage.whole(br#"{"type":"error","error":{"type":"rate_limit_error","message":"x","details":{"error_code":"enforced_spend_limit_reached"}}}"#, NOW);
    assert_eq!((passage.step(), passage.answer().status), (Step::Answer, 429));
    assert_eq!(passage.answer().headers.get("x-should-retry"), Some("false"));
    assert!(passage.passes_body());
}

#[test]
fn an_unreachable_gate_refuses_or_lets_go_as_the_account_says() {
    let mut world = World::new();
    let mut closed = world.asked(&[], &body(""));
    closed.gate_failed(&world.isolate, false);
    assert_eq!((closed.step(), closed.answer().status), (Step::Answer, 503));
    assert!(matches!(&events(&mut closed)[..], [Event::Cancelled { .. }]), "it may have granted");

    let mut world = World::with(
        serde_json::json!({ "TOLLGATE_ACCOUNTS": { "anthropic": { "fail": "open" } } }),
    );
    let mut open = world.asked(&[], &body(""));
    open.gate_failed(&world.isolate, false);
    assert_eq!(open.step(), Step::Send);
    open.upstream(&world.isolate, NOW);
    open.response(&mut world.isolate, 200, headers(&[]), NOW);
    open.whole(ANSWER.as_bytes(), NOW);
    assert!(
        matches!(settled(&events(&mut open))[..], [Used::Tokens { .. }]),
        "recorded afterwards"
    );
}

#[test]
fn a_refusal_is_told_in_words_and_remembered() {
    let mut world = World::new();
    let mut passage = world.asked(&[("x-tollgate-max-wait", "1")], &body(""));
    let refusal =
        Refusal { reason: Reason::TenantLimit, retry_after_ms: Some(30_500), limit: None };
    world.decide(&mut passage, Decision::Refused(refusal.clone()));
    assert_eq!((passage.step(), passage.answer().status), (Step::Answer, 429));
    assert_eq!(passage.answer().headers.get("retry-after"), Some("31"));
    assert_eq!(passage.answer().headers.get("x-should-retry"), Some("true"));
    let text = String::from_utf8(passage.answer().body.clone()).unwrap();
    assert!(text.contains("tollgate_tenant_limit") && text.contains("31 seconds"), "{text}");
    for _ in 1..32 {
        let mut own_place = world.asked(&[("x-tollgate-max-wait", "1")], &body(""));
        assert_eq!(own_place.step(), Step::Ask);
        world.decide(&mut own_place, Decision::Refused(refusal.clone()));
    }
    // As large and no more patient, and many: the Gate is not asked.
    let again = world.asked(&[("x-tollgate-max-wait", "1")], &body(""));
    assert_eq!(again.step(), Step::Answer);
    assert_eq!(world.asked(&[], &body("")).step(), Step::Ask, "more patient: it may queue");
}

#[test]
fn the_gate_hears_whether_the_sdk_asks_again() {
    let mut world = World::new();
    for (count, is_retry) in [("0", Some(false)), ("2", Some(true)), ("often", None)] {
        let mut passage = world.asked(&[("x-stainless-retry-count", count)], &body(""));
        let text = passage.gate_message(&mut world.isolate, NOW);
        let call: GateCall = serde_json::from_str(&text).unwrap();
        assert_eq!(call.admit.unwrap().is_retry, is_retry, "{count}");
    }
}

//! Requests that go by tickets lent to the isolate.

use super::*;

#[test]
fn a_lease_that_came_after_its_client_left_is_not_drawn_on() {
    for leaves in [false, true] {
        let mut world = World::new();
        // Demand: four ask at once, the last for a lease, too.
        let mut asking: Vec<Passage> = (0..4).map(|_| world.asked(&[], &body(""))).collect();
        for one in &mut asking {
            assert!(!one.borrow(&mut world.isolate, NOW));
        }
        let last = &mut asking[3];
        let text = last.gate_message(&mut world.isolate, NOW);
        let call: GateCall = serde_json::from_str(&text).unwrap();
        assert_eq!(call.lend, 4);
        if leaves {
            last.left();
        }
        let lease = limits::message::Lease {
            id: call.admit.unwrap().ticket,
            tickets: 4,
            input_tokens: 1 << 20,
            max_tokens: 1 << 20,
            microusd_max: 1 << 40,
            ttl_ms: 2_000,
        };
        let decision = Some(Decision::Granted { waited_ms: 0 });
        let reply = Reply { v: VERSION, decision, policy: None, lease: Some(lease), started_ms: 0 };
        last.replied(&mut world.isolate, &serde_json::to_string(&reply).unwrap(), NOW);
        let mut next = world.asked(&[], &body(""));
        assert_eq!(next.borrow(&mut world.isolate, NOW), !leaves);
    }
}

//! The provider's ramp limit: a refusal by it halves the pace, which then grows slowly.

mod common;

use common::{Shell, admit, is_granted, observed, settings, settled};
use limits::message::{Admit, Event, Observation};

/// How many of twenty requests a second are granted in ten seconds.
fn granted(shell: &mut Shell, name: &str) -> u64 {
    let mut granted = 0;
    for n in 0..200 {
        let ticket = format!("{name}{n}");
        let now = Admit { patience_ms: 0, ..admit(&ticket, "t") };
        if is_granted(&shell.admit(now)) {
            granted += 1;
            shell.event(settled(&ticket, "t"));
        }
        shell.now += 50;
    }
    granted
}

fn ramp_refused(shell: &mut Shell, ticket: &str) {
    let seen = Observation {
        error_code: Some("ramp_limit_exceeded".into()),
        retry_after_ms: Some(1_000),
        ..observed(ticket, 429, None)
    };
    shell.event(Event::Observed(seen));
    shell.now += 1_000;
}

#[test]
fn a_ramp_refusal_halves_the_pace_again_and_again_and_it_grows_by_half_a_minute() {
    let mut shell = Shell::new(settings(100_000, 100_000_000, 100_000_000), r#"{"t": {}}"#);
    let free = granted(&mut shell, "free");
    assert_eq!(free, 200);
    let mut last = free;
    for round in ["a", "b", "c"] {
        ramp_refused(&mut shell, round);
        let now = granted(&mut shell, round);
        // A second's burst comes on top.
        assert!(now * 10 <= last * 6 && now * 10 >= last * 4, "{round}: {now} after {last}");
        last = now;
    }
    shell.restart();
    shell.now += 1_000;
    let again = granted(&mut shell, "again");
    assert!(again.abs_diff(last) <= 3, "a restart does not forget it: {again} after {last}");
    for round in ["d", "e", "f"] {
        shell.now += 50_000;
        let now = granted(&mut shell, round);
        assert!(now > last && now <= last * 3 / 2 + 3, "{round}: {now} after {last}");
        last = now;
    }
}
